"""The loop and the file of 2,000 pairs of whatever commit of tracer is on the path: commits against each other.

    for tree in OLD NEW OLD NEW; do PYTHONPATH=$tree python NEW/benchmarks/across.py; done

Each tree is a checkout with its extensions built in place. Prints medians: the loop (engine, taking the batch, handing
it to the recorder) in ms, the engine alone in ns a pair, the file (recorder started to file renamed) in ms. Making the
events is outside of the timers. It knows what the interfaces were before; the suites know only what they are.
"""

from __future__ import annotations

import inspect
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tracer import pipeline, syscalls
from tracer._fast import Engine
from tracer.batch import record_batch
from tracer.capture.generator import blocks
from tracer.sinks.recorder import ParquetRecorder

RUNS = 400
EVERY_CALL = frozenset(rule.name for rule in syscalls.TABLE)


def new_engine() -> Engine:
    options: dict[str, Any] = {"failed_only": False, "ask_proc": False, "keep_stream": False}
    if "clock" in inspect.signature(pipeline.new_engine).parameters:
        options["clock"] = pipeline.Clock(0, 0)
    return pipeline.new_engine(platform.machine(), EVERY_CALL, **options)


def main() -> None:
    engine = new_engine()
    takes_arrow = "release" in inspect.signature(ParquetRecorder.write).parameters
    loops, engines, files = [], [], []
    stream = blocks("DiverseAllTypes", 10**9, 10, block_bytes=216_000)
    clock = time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(RUNS):
            block = next(stream)
            start = clock()
            recorder = ParquetRecorder(Path(folder) / "x.parquet", force=True)
            begin = clock()
            engine.feed(block)
            fed = clock()
            columns = engine.take()
            if takes_arrow:
                recorder.write(record_batch(columns, 0), columns.release)
            else:
                recorder.write(columns)
            handed = clock()
            rows = columns.rows
            recorder.close({})
            loops.append((handed - begin) / rows * 2_000)
            engines.append((fed - begin) / rows)
            files.append(clock() - start)
    late = RUNS // 4
    loop, engine_s, file = (statistics.median(times[late:]) for times in (loops, engines, files))
    print(f"loop {loop * 1e3:.3f} ms   engine {engine_s * 1e9:.1f} ns a pair   file {file * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
