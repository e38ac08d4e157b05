"""The event loop as its allocations are counted: those of every thread but what Arrow needs to write a file.

The loops are the measured ones, with a recorder whose thread takes each batch and gives it back unwritten, a small one
when the next comes. A run ends when that thread, and the view's where there is one, have done all they had to do:
nothing is left out because it happened later.
"""

from __future__ import annotations

import queue
from pathlib import Path

from unprofiled import go_unprofiled
from workload import HeadlessLoop, TuiLoop, new_view

from tracer._fast import Columns
from tracer.sinks.recorder import DURABLE_S, ParquetRecorder


class UnwrittenRecorder(ParquetRecorder):
    """Queues, holds and releases batches as ever; between that it only counts their rows."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, force=True, durable_s=DURABLE_S)
        self._handed = 0
        self._done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def write(self, columns: Columns) -> None:
        self._handed += self._is_begun  # the first is held at once
        super().write(columns)

    def wait(self) -> None:
        """Until all batches so far are taken, and released but for one that is held."""
        while self._handed:
            self._done.get(timeout=60)
            self._handed -= 1

    def _take(self, columns: Columns) -> None:
        go_unprofiled()
        super()._take(columns)
        self._done.put(None)

    def _put(self, columns: Columns, *, is_last: bool) -> None:
        self.rows += columns.rows


class UnprofiledView:
    """A view, on a thread that no profiler watches."""

    def __init__(self) -> None:
        self._view = new_view()

    def consume(self, columns: Columns) -> None:
        go_unprofiled()
        self._view.consume(columns)


class HeadlessLoopCounted(HeadlessLoop):
    recorder: UnwrittenRecorder
    make_recorder = UnwrittenRecorder

    def settle(self) -> None:
        """Nothing is under way any more, and no thread is profiled."""
        self.get_going()
        self.wait()

    def wait(self) -> None:
        self.recorder.wait()

    def run(self) -> None:
        self.feed()
        self.wait()


class TuiLoopCounted(TuiLoop, HeadlessLoopCounted):
    make_view = UnprofiledView

    def wait(self) -> None:
        self.recorder.wait()
        self.fanout.wait()
