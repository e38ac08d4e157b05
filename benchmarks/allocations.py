"""How much an operation allocates, counted with memray in runs that nobody times.

    .tox/bench/bin/python benchmarks/allocations.py bench_pipeline headless_parquet_loop/2000

prints allocations and bytes as JSON. `tox -e bench --notest` makes that environment.

What Python, C and Arrow ask of their allocators in the timed part of an operation, once it has been run a few times:
malloc, calloc, realloc, aligned allocations, and Python's own (small objects one by one, not the arenas they lie in).
Not counted: mappings (mmap), such as a new thread's stack. Arrow has an allocator of its own that memray can't see, so
the module puts Arrow on malloc; this must happen before pyarrow is imported. Every thread is counted; in the scope of
the event loop nothing is written meanwhile (see counted.py), since that is the file's scope. Where a case says
"thread", only the thread that runs the operation is counted.

memray's profile function, which would make a frame object for every Python call, is switched off: only its hooks in
the allocators are used. A thread that is there already must do that itself: an operation that has some has a method
`settle`, which makes each of them run `go_unprofiled()` before the counting begins. What tracing itself costs is
taken off, as a traced run of nothing shows it. A run that memray's log has no beginning of (it happens) is run again.
"""

from __future__ import annotations

import os

os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"

import importlib
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import memray
from arguments import Parser, positive
from unprofiled import go_unprofiled
from workload import Operation

HERE = Path(__file__).resolve().parent
MARK_BYTES = 7_654_321  # an allocation that nothing else makes: it tells which thread is ours
NOT_COUNTED = {
    memray.AllocatorType.FREE,
    memray.AllocatorType.MUNMAP,
    memray.AllocatorType.MMAP,
    memray.AllocatorType.PYMALLOC_FREE,
}


class LogError(Exception):
    """memray's log doesn't tell what is looked for."""


class Nothing:
    """What tracing costs by itself."""

    covers = ""
    pairs = 0

    def prepare(self) -> None:
        pass

    run = finish = prepare


class Count(NamedTuple):
    """Allocations and what they add up to, per operation."""

    allocations: int
    bytes: int


def count(operation: Operation, *, all_threads: bool, warmups: int = 5, runs: int = 5) -> Count:
    """What one timed part allocates: the median of some runs, after others that are not looked at."""
    for _ in range(warmups):
        operation.prepare()
        operation.run()
        operation.finish()
    with tempfile.TemporaryDirectory(prefix="tracer-allocations-") as name:
        fixed = median([run_and_count(Nothing(), Path(name), all_threads=all_threads) for _ in range(3)])
        counts = [run_and_count(operation, Path(name), all_threads=all_threads) for _ in range(runs)]
    found = median(counts)
    return Count(max(0, found.allocations - fixed.allocations), max(0, found.bytes - fixed.bytes))


def run_and_count(operation: Operation, folder: Path, *, all_threads: bool) -> Count:
    """One run; another one where the log can't be used."""
    for tries_left in (1, 0):
        operation.prepare()
        try:
            settle = getattr(operation, "settle", None)
            return _traced(operation.run, folder, all_threads=all_threads, settle=settle)
        except LogError:
            if not tries_left:
                raise
        finally:
            operation.finish()
    raise AssertionError


def median(counts: list[Count]) -> Count:
    """The median of allocations, and that of bytes."""
    return Count(*(round(statistics.median(column)) for column in zip(*counts, strict=True)))


def _traced(
    run: Callable[[], None], folder: Path, *, all_threads: bool, settle: Callable[[], None] | None = None
) -> Count:
    log = folder / "memray.bin"
    log.unlink(missing_ok=True)
    with memray.Tracker(log, trace_python_allocators=True):
        threading.setprofile(None)
        go_unprofiled()
        if settle is not None:
            settle()
        mark = bytearray(MARK_BYTES)
        run()
        del mark
    with memray.FileReader(log) as reader:
        records = [record for record in reader.get_allocation_records() if record.allocator not in NOT_COUNTED]
    begin = next((at for at, record in enumerate(records) if record.size == MARK_BYTES + 1), None)
    if begin is None:
        raise LogError("memray's log doesn't tell where the run begins")
    ours = records[begin].tid
    sizes = [record.size for record in records[begin:] if all_threads or record.tid == ours]
    return Count(len(sizes), sum(sizes))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("suite", help="bench_pipeline, say")
    parser.add_argument("case", help="the name of one of its benchmarks")
    parser.add_argument("--runs", type=positive, default=5)
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    suites = [path.stem for path in sorted(HERE.glob("bench_*.py"))]
    cases = getattr(importlib.import_module(options.suite), "CASES", {}) if options.suite in suites else {}
    if options.case not in cases:
        parser.error(f"there is no case {options.case} in a suite {options.suite}: `bench_SUITE.py --list` tells them")
    case = cases[options.case]
    with tempfile.TemporaryDirectory(prefix="tracer-bench-") as folder:
        operation = (case.counted or case.make)(Path(folder))
        # until every table and pool has its size; what takes seconds has it soon
        warmups = 40 if operation.pairs <= 10_000 else 5 if operation.pairs <= 1_000_000 else 1
        found = count(operation, all_threads=case.all_threads, warmups=warmups, runs=options.runs)
        written = [path.stat().st_size for path in Path(folder).glob("*.parquet")]
    writes = case.all_threads and case.counted is None  # what is counted instead leaves its file unwritten
    more = {"pairs": operation.pairs, "file_bytes": written[0] if writes and written else 0}
    print(json.dumps(found._asdict() | more))


if __name__ == "__main__":
    main()
