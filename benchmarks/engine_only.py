"""The engine of the commit that is on the path over 100,000 calls, for a tool that counts instructions:

    PYTHONPATH=TREE PYTHONMALLOC=malloc valgrind --tool=callgrind --callgrind-out-file=OUT --collect-atstart=no \\
        --toggle-collect='__pyx_pw_6tracer_5_fast_6engine_6Engine_5feed' python benchmarks/engine_only.py
    callgrind_annotate OUT

The calls are DiverseAllTypes on 10 threads, in blocks of about 1,000. Only what happens in `Engine.feed` is counted, so
the total over 100,000 is the instructions of a pair. A machine that is busy with other things doesn't change it.
"""

from __future__ import annotations

from across import BLOCK_BYTES, new_engine
from arguments import Parser

from tracer.capture.generator import blocks

PAIRS = 100_000


def main() -> None:
    Parser(__doc__).parse_args()
    engine = new_engine()
    rows = 0
    for block in blocks("DiverseAllTypes", PAIRS, 10, block_bytes=BLOCK_BYTES):
        engine.feed(block)
        columns = engine.take()
        rows += columns.rows
        columns.release()
    assert rows == PAIRS


if __name__ == "__main__":
    main()
