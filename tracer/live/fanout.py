"""One way for batches of columns: to a view, and to a recorder while one is there."""

from __future__ import annotations

import threading
from typing import Protocol

from tracer._fast import Columns


class View(Protocol):
    """Looks at batches, and keeps nothing of them that is not copied."""

    def consume(self, columns: Columns) -> None:
        """Take a batch's rows into account."""


class Recorder(Protocol):
    """What writes batches. It releases each when it is done with it."""

    def write(self, columns: Columns) -> None:
        """Queue a batch."""

    def abort(self) -> None:
        """Leave nothing behind."""


class Fanout:
    """Hands every batch to a view, and to a recorder between `start` and `stop`, as often as they come.

    `consume` is called by the tracing thread, the others by any.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._recorder: Recorder | None = None
        self._lock = threading.Lock()

    def consume(self, columns: Columns) -> None:
        """Show a batch, and record or release it. Raises OutputError once if the recording failed: it is over then."""
        with self._lock:
            self._view.consume(columns)
            if self._recorder is None:
                columns.release()
                return
            try:
                self._recorder.write(columns)
            except BaseException:
                columns.release()
                self._abort()
                raise

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
        """Leave nothing of a recording that runs."""
        with self._lock:
            self._abort()

    def _abort(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.abort()
