"""One way for batches of columns: to a view, and to a recorder while one is there."""

from __future__ import annotations

import os
import queue
import threading
from types import TracebackType
from typing import Protocol, Self

from tracer._fast import Columns
from tracer.errors import ViewError

QUEUED_BATCHES = 6
"""Batches that may wait for the view; then `consume` waits too."""

VIEW_NICENESS = 5
"""How much the view's thread yields to the others: where all cores are busy, writing rows goes before looking at them.
A million rows took 1.15 of the time without a view, and take 1.06 (1.04 with 10, but then a busy machine leaves it a
tenth of a core).
"""


class View(Protocol):
    """Looks at batches, and keeps nothing of them that is not copied."""

    def consume(self, columns: Columns) -> None:
        """Take a batch's rows into account."""


class Recorder(Protocol):
    """What writes batches. It releases each when it is done with it."""

    def write(self, columns: Columns) -> None:
        """Queue a batch."""

    def abort(self, *, keep: bool = False) -> object:
        """Stop, and leave what is safe, or nothing."""


class Fanout:
    """Hands every batch to a view, and to a recorder between `start` and `stop`, as often as they come.

    A view that raises is not asked again; recordings go on without it. `view_error` tells of it at once, `wait` and
    leaving the context raise it.

    The view looks at batches on a thread of its own, so that whoever drains the kernel's ring waits for it only when
    it has fallen QUEUED_BATCHES behind. `consume` is called by one thread, the others by any. Leaving the context waits
    until the view has seen everything.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._recorder: Recorder | None = None
        self._lock = threading.Lock()
        self.view_error: ViewError | None = None
        self._is_over = False
        self._queue: queue.Queue[Columns | None] = queue.Queue(QUEUED_BATCHES)
        self._thread = threading.Thread(target=self._look, name="tracer-view", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        self._is_over = True
        if self.view_error is not None and error is None:
            raise self.view_error

    def consume(self, columns: Columns) -> None:
        """Hand a batch on. It is released when all have seen it.

        Raises OutputError once if the recording failed: it is over then.
        """
        if self._is_over:
            columns.release()
            raise RuntimeError("nobody looks any more")
        with self._lock:
            self._queue.put(columns.share())
            try:
                if self._recorder is not None:
                    self._recorder.write(columns.share())
            except BaseException:
                columns.release()
                self._abort()
                raise
            finally:
                columns.release()

    def wait(self) -> None:
        """Until the view has seen all batches so far. Raises ViewError if it has stopped."""
        self._queue.join()
        if self.view_error is not None:
            raise self.view_error

    def start(self, recorder: Recorder) -> None:
        """Record from the next batch on. Raises RuntimeError, and ends the new recorder, if there is one already."""
        with self._lock:
            if self._recorder is not None:
                recorder.abort()
                raise RuntimeError("a recording runs already")
            self._recorder = recorder

    def stop(self) -> None:
        """Record no more; the recorder is its owner's to close. Does nothing if there is none."""
        with self._lock:
            self._recorder = None

    def abort(self) -> None:
        """End a recording that runs; what of it can be made safe is left."""
        with self._lock:
            self._abort()

    def _abort(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.abort(keep=True)

    def _look(self) -> None:
        os.nice(VIEW_NICENESS)  # of this thread: Linux has one for each (nice(2), C library/kernel differences)
        while (columns := self._queue.get()) is not None:
            try:
                if self.view_error is None:
                    self._view.consume(columns)
            except BaseException as failure:
                self._stop_view(failure)
            finally:
                columns.release()
                del columns
                self._queue.task_done()
        self._queue.task_done()

    def _stop_view(self, failure: BaseException) -> None:
        what = ": ".join(filter(None, (type(failure).__name__, str(failure))))
        error = ViewError(f"the view stopped: {what}")
        error.__cause__ = failure
        self.view_error = error
