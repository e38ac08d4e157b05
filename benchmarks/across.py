"""The loop and the file of 2,000 pairs of whatever commit of tracer is on the path: commits against each other.

    for tree in OLD NEW OLD NEW; do PYTHONPATH=$tree python NEW/benchmarks/across.py; done

Each tree is a checkout with its extensions built in place. Prints medians: the loop (engine, taking the batch, handing
it to the recorder) in ms, the engine alone in ns a pair, the file (recorder started to file renamed) in ms. Making the
events is outside of the timers. It knows what the interfaces were before; the suites know only what they are.

With `--allocations`, how many the loop's thread makes instead; that needs no turns.
"""

from __future__ import annotations

import inspect
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "--allocations" in sys.argv:
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # an allocator that memray can see

from arguments import Parser
from ending import PRINTED, telling

from tracer import pipeline, syscalls
from tracer._fast import Engine
from tracer.batch import record_batch
from tracer.capture.generator import blocks
from tracer.sinks.recorder import ParquetRecorder

RUNS = 400
COUNTED_RUNS = 40
BLOCK_BYTES = 216_000
MARK_BYTES = 7_654_321
EVERY_CALL = frozenset(rule.name for rule in syscalls.TABLE)


def new_engine() -> Engine:
    options: dict[str, Any] = {"failed_only": False, "keep_stream": False}
    known = inspect.signature(pipeline.new_engine).parameters
    if "clock" in known:
        options["clock"] = pipeline.Clock(0, 0)
    if "ask_proc" in known:
        options["ask_proc"] = False
    return pipeline.new_engine(platform.machine(), EVERY_CALL, **options)


TAKES_ARROW = "release" in inspect.signature(ParquetRecorder.write).parameters


def hand_on(recorder: Any, columns: Any) -> None:
    """The batch to the recorder, as that wants it."""
    if TAKES_ARROW:
        recorder.write(record_batch(columns, 0), columns.release)
    else:
        recorder.write(columns)


def time_all(folder: Path) -> None:
    engine = new_engine()
    loops, engines, files = [], [], []
    stream = blocks("DiverseAllTypes", 10**9, 10, block_bytes=BLOCK_BYTES)
    clock = time.perf_counter
    for _ in range(RUNS):
        block = next(stream)
        start = clock()
        recorder = ParquetRecorder(folder / "x.parquet", force=True)
        begin = clock()
        engine.feed(block)
        fed = clock()
        columns = engine.take()
        hand_on(recorder, columns)
        handed = clock()
        rows = columns.rows
        recorder.close({})
        loops.append((handed - begin) / rows * 2_000)
        engines.append((fed - begin) / rows)
        files.append(clock() - start)
    late = RUNS // 4
    loop, engine_s, file = (statistics.median(times[late:]) for times in (loops, engines, files))
    print(f"loop {loop * 1e3:.3f} ms   engine {engine_s * 1e9:.1f} ns a pair   file {file * 1e3:.2f} ms")


def count_all(folder: Path) -> None:
    engine = new_engine()
    stream = blocks("DiverseAllTypes", 10**9, 10, block_bytes=BLOCK_BYTES)
    counts = []
    for _ in range(COUNTED_RUNS):
        block = next(stream)
        recorder = ParquetRecorder(folder / "x.parquet", force=True)

        def loop(block: Any = block, recorder: Any = recorder) -> None:
            engine.feed(block)
            hand_on(recorder, engine.take())

        counts.append(allocations_of(loop, folder))
        recorder.close({})
    fixed = allocations_of(lambda: None, folder)
    print(f"loop {statistics.median(counts[COUNTED_RUNS // 4 :]) - fixed:.0f} allocations of its thread")


def allocations_of(action: Callable[[], None], folder: Path) -> int:
    """How often the calling thread asks an allocator for memory. See allocations.py, which knows newer commits only."""
    import memray

    frees = ("FREE", "MUNMAP", "MMAP", "PYMALLOC_FREE")
    log = folder / "memray.bin"
    log.unlink(missing_ok=True)
    with memray.Tracker(log, trace_python_allocators=True):
        sys.setprofile(None)
        threading.setprofile(None)
        mark = bytearray(MARK_BYTES)
        action()
        del mark
    with memray.FileReader(log) as reader:
        records = [r for r in reader.get_allocation_records() if memray.AllocatorType(r.allocator).name not in frees]
    ours = next(record.tid for record in records if record.size == MARK_BYTES + 1)
    return sum(record.tid == ours for record in records)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--allocations", action="store_true", help="how many the loop's thread makes")
    measure = count_all if parser.parse_args().allocations else time_all
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        main()
