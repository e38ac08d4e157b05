"""One operation of workload.py over and over, for benchprof.py's profilers to watch: warmed up, and with marks.

    .tox/benchprof/bin/python benchmarks/profiled.py headless_parquet_file --pairs 1000000 --seconds 10

Only `run` of an operation is of interest, not the making of its events. The marks tell them apart:

--perf CONTROL ACK      switch perf on and off (perf record --control=fifo:CONTROL,ACK --delay=-1)
--intervals FILE        write when runs, threads and Python's own waits began and ended (boot clock) to a Parquet file
--memory ALLOCATED IN_USE   memray's two files: all allocations of one run, and what is in use at the peak, from the
                        making of the operation (its engine, its events) on
Without one, the frame `watched_run` is on the stack of the main thread in a run.
"""

from __future__ import annotations

import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from arguments import Parser, positive, seconds
from workload import PIPELINES, Operation

from tracer.sinks.recorder import ParquetRecorder

WARM_UP_RUNS = 2

INTERVALS = pa.schema(
    [
        ("kind", pa.string()),  # run, thread or wait
        ("tid", pa.int32()),
        ("what", pa.string()),  # the thread's name, or what is waited for
        ("begin_ns", pa.int64()),
        ("end_ns", pa.int64()),
    ]
)


def watched_run(operation: Operation) -> None:
    """A run that counts."""
    operation.run()


def repeat(operation: Operation, seconds: float, mark: Callable[[], AbstractContextManager[object]]) -> int:
    """Run the operation for so long, but once at least; how often it ran."""
    for _ in range(WARM_UP_RUNS):
        operation.prepare()
        operation.run()
        operation.finish()
    end = time.monotonic() + seconds
    runs = 0
    while runs == 0 or time.monotonic() < end:
        operation.prepare()
        with mark():
            watched_run(operation)
        operation.finish()
        runs += 1
    return runs


class PerfSwitch:
    """Perf's events, on while in a run."""

    def __init__(self, control: Path, acknowledged: Path) -> None:
        self._control = os.open(control, os.O_WRONLY)
        self._acknowledged = os.open(acknowledged, os.O_RDONLY)

    @contextmanager
    def on(self) -> Iterator[None]:
        self._tell(b"enable\n")
        try:
            yield
        finally:
            self._tell(b"disable\n")

    def _tell(self, command: bytes) -> None:
        os.write(self._control, command)
        os.read(self._acknowledged, 16)


class Intervals:
    """When runs, threads and Python's waits began and ended, by the boot clock, which recordings have, too.

    What a lock is for can't be seen from a futex call; so the calls by which Python's threads wait for each other note
    when they began and ended, and whoever reads the recording sees which of them a futex call belongs to.
    """

    def __init__(self) -> None:
        self._rows: list[list[Any]] = []
        """As in INTERVALS. One that is not over, as that of a thread which waits for work, has no end (None)."""
        self._began_ns = _now_ns()
        self._watch(threading.Thread, "run", "thread", lambda thread: thread.name)
        self._watch(threading.Thread, "start", "wait", lambda thread: f"the start of {thread.name}")
        self._watch(threading.Thread, "join", "wait", lambda thread: f"the end of {thread.name}")
        self._watch(queue.Queue, "put", "wait", lambda _: "room in a queue")
        self._watch(queue.Queue, "get", "wait", lambda _: "work: idle")
        self._watch(queue.Queue, "join", "wait", lambda _: "all in a queue to be done")
        self._watch(ParquetRecorder, "_run", "thread", lambda _: "the recorder's")
        self._watch(ParquetRecorder, "_next", "wait", lambda _: "work: idle")
        self._watch(ParquetRecorder, "_say_it_ends", "wait", lambda _: "the recorder's batch to be written")
        self._watch(ParquetRecorder, "_wait_for_room", "wait", lambda _: "room in the recorder's queue")
        self._watch(ParquetRecorder, "_wait_for_end", "wait", lambda _: "the end of the recorder's thread")

    def run(self) -> AbstractContextManager[None]:
        """A mark around a run."""
        return self._note("run", "")

    @contextmanager
    def _note(self, kind: str, what: str) -> Iterator[None]:
        row = [kind, threading.get_native_id(), what, _now_ns(), None]
        self._rows.append(row)
        try:
            yield
        finally:
            row[-1] = _now_ns()

    def _watch(self, owner: type, name: str, kind: str, what: Callable[[Any], str]) -> None:
        original = getattr(owner, name)

        def watched(this: Any, *args: Any, **kwargs: Any) -> Any:
            with self._note(kind, what(this)):
                return original(this, *args, **kwargs)

        setattr(owner, name, watched)

    def save(self, path: Path) -> None:
        """Write them down."""
        main = threading.main_thread()
        self._rows.append(["thread", main.native_id or 0, main.name, self._began_ns, None])
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, INTERVALS, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=INTERVALS), path, compression="zstd")


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def profile_memory(make: Callable[[], Operation], allocated: Path, in_use: Path) -> None:
    """Memray's files: the peak from the operation's making to its second run, then all allocations of another run."""
    from memray import FileDestination, FileFormat, Tracker

    def tracker(path: Path, form: FileFormat) -> Tracker:
        place = FileDestination(path)
        return Tracker(destination=place, native_traces=True, trace_python_allocators=True, file_format=form)

    with tracker(in_use, FileFormat.AGGREGATED_ALLOCATIONS):
        operation = make()
        repeat(operation, 0, nullcontext)
    operation.prepare()
    with tracker(allocated, FileFormat.ALL_ALLOCATIONS):
        watched_run(operation)
    operation.finish()


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("operation", choices=PIPELINES)
    parser.add_argument("--pairs", type=positive, default=1_000_000, help="calls per run [1000000]")
    parser.add_argument("--seconds", type=seconds, default=10, help="how long, at least [10]")
    marks = parser.add_mutually_exclusive_group()
    marks.add_argument("--perf", type=Path, nargs=2, metavar=("CONTROL", "ACK"))
    marks.add_argument("--intervals", type=Path, metavar="FILE")
    marks.add_argument("--memory", type=Path, nargs=2, metavar=("ALLOCATED", "IN_USE"))
    options = parser.parse_args()
    intervals = Intervals() if options.intervals else None
    with tempfile.TemporaryDirectory(prefix="profiled-") as folder:

        def make(pairs: int = options.pairs) -> Operation:
            return PIPELINES[options.operation](Path(folder), pairs=pairs)

        repeat(make(100), 0, nullcontext)  # what is imported or set up at first use is no part of a profile
        if options.memory:
            profile_memory(make, *options.memory)
        elif options.perf:
            repeat(make(), options.seconds, PerfSwitch(*options.perf).on)
        else:
            repeat(make(), options.seconds, intervals.run if intervals else nullcontext)
    if intervals:
        intervals.save(options.intervals)


if __name__ == "__main__":
    main()
