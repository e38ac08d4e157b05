"""The engine over 100,000 calls and nothing else, for a tool that counts instructions:

    PYTHONMALLOC=malloc valgrind --tool=callgrind --callgrind-out-file=OUT --collect-atstart=no \\
        --toggle-collect='__pyx_pw_6tracer_5_fast_6engine_6Engine_5feed' python benchmarks/engine_only.py
    callgrind_annotate OUT

The calls are DiverseAllTypes on 10 threads, in blocks of about 1,000. Only what happens in `Engine.feed` is counted, so
the total over 100,000 is the instructions of a pair.
"""

from __future__ import annotations

from workload import every_call_engine

from tracer.capture.generator import blocks

PAIRS = 100_000
BLOCK_BYTES = 216_000
CAPACITY_ROWS = 1 << 14


def main() -> None:
    engine = every_call_engine(capacity_rows=CAPACITY_ROWS)
    rows = 0
    for block in blocks("DiverseAllTypes", PAIRS, 10, block_bytes=BLOCK_BYTES):
        assert engine.feed(block) == len(block)
        columns = engine.take()
        rows += columns.rows
        columns.release()
    assert rows == PAIRS


if __name__ == "__main__":
    main()
