"""The recorder's front: its own thread writes, so that draining the kernel's ring never waits for the disk."""

from __future__ import annotations

import queue
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import pyarrow as pa

from tracer._fast import Columns
from tracer.batch import record_batch
from tracer.errors import OutputError
from tracer.sinks.output_file import write_error
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.parquet_options import Footer

T = TypeVar("T")

QUEUED_BATCHES = 3
"""Batches that may wait for the writer; then `write` blocks, and the kernel's ring takes the strain."""

DURABLE_S = 1.0
"""How often a live recording is made safe: with the time until a batch is handed out, less than two seconds of rows are
lost by a crash."""


SNAPSHOT: Literal["snapshot"] = "snapshot"

Waiting = Columns | Literal["snapshot"] | None
"""What waits for the writer: a batch, that a snapshot is wished for, or that this is the end."""


class Output(Protocol):
    """Where a recorder's batches go: `ParquetFile` says what is what."""

    @property
    def bytes_written(self) -> int:
        """Bytes so far."""

    def write(self, batch: pa.RecordBatch, footer: Footer) -> None:
        """Write a batch."""

    def sync(self, footer: Footer) -> None:
        """Make all rows so far safe."""

    def snapshot(self, footer: Footer) -> None:
        """Make a recording of what is there, if this is a flight recorder."""

    def close(self, footer: Mapping[str, str]) -> int:
        """Complete it; its size."""

    def abort(self, *, keep: bool = False) -> Path | None:
        """Stop, and leave what is safe, or nothing."""


class ParquetRecorder:
    """Writes column batches to one Parquet file, or to what `output` is; rows are numbered from 0.

    `write` hands a batch to the writer's thread and returns; it blocks while three are waiting. That thread begins with
    the second batch: a recording of one is written by `close`, which is quicker (a new thread finds all caches and
    heaps cold: 2,000 rows took 4.1 ms, and take 2.9). `close` writes the footer keys, completes the file and gives it
    its name. `abort` leaves nothing behind.

    With `durable_s` each batch is written as it comes, and so often everything is made safe: after a crash, or if
    writing fails in the end, the temporary file holds it for `tracer-cli recover`. `describe` says who tells the footer
    so far.

    Raises OutputError: at once if the file can't be made, at the next call if writing failed (disk full, say).
    """

    def __init__(
        self, path: Path, *, force: bool = False, durable_s: float | None = None, output: Output | None = None
    ) -> None:
        self.path = path
        self.rows = 0
        self.durable_s = durable_s
        self._output = output or ParquetFile(path, force=force, durable=durable_s is not None)
        self._first: Columns | None = None
        self._queue: queue.Queue[Waiting] | None = None
        self._failure: OutputError | None = None
        self._footer: Footer = dict
        self._due_s = time.monotonic() + (durable_s or 0)
        self._thread: threading.Thread | None = None
        self._is_ended = False

    @property
    def bytes_written(self) -> int:
        """Size of the file so far; 0 once it is closed."""
        with suppress(ValueError):  # closed, perhaps this very moment
            return self._output.bytes_written
        return 0

    @property
    def has_failed(self) -> bool:
        """Whether nothing more is written: the next call says why."""
        return self._failure is not None

    def __str__(self) -> str:
        """What is written: a file's name, or what there is of many."""
        return str(self._output)

    def describe(self, footer: Footer) -> None:
        """Ask this, from the writer's thread, what the footer would say now: it goes with what is made safe."""
        self._footer = footer

    def write(self, columns: Columns) -> None:
        """Queue a batch, which is released when it has been written (or dropped after a failure)."""
        if self._failure is not None:
            raise self._failure
        if self._queue is None:
            if self._first is None and self.durable_s is None:
                self._first = columns
                return
            self._queue = self._start_thread()
        self._queue.put(columns)

    def snapshot(self) -> None:
        """Have the flight recorder that this one writes to make a recording of what it has. Does not wait for it."""
        if self._queue is None:
            self._queue = self._start_thread()
        self._queue.put(SNAPSHOT)

    def close(self, footer: Mapping[str, str]) -> int:
        """Write what is queued and the footer keys (`tracer.` is put before each); the size in bytes."""
        self._finish()
        size = self._attempt(lambda: self._output.close(footer))
        if self._failure is not None or size is None:
            self.abort()
            raise self._failure or OutputError(f"writing {self.path} failed")
        return size

    def abort(self, *, keep: bool = False) -> Path | None:
        """Stop and remove the temporary file. Safe to call twice, and after `close`.

        With `keep`, what is or can be made safe stays for `tracer-cli recover`: its name is returned.
        """
        given_up = OutputError(f"the recording {self.path} was given up")
        if keep:
            self._finish()
            self._attempt(lambda: self._output.sync(self._footer))
        elif self._failure is None:
            self._failure = given_up
        self._finish()
        kept = self._output.abort(keep=keep)
        if self._failure is None:
            given_up.hint = recovery_hint(kept) if kept is not None else None
            self._failure = given_up
        return kept

    def _start_thread(self) -> queue.Queue[Waiting]:
        waiting: queue.Queue[Waiting] = queue.Queue(QUEUED_BATCHES)
        if self._first is not None:
            waiting.put(self._first)
            self._first = None
        self._thread = threading.Thread(target=self._run, args=[waiting], name="tracer-writer", daemon=True)
        self._thread.start()
        return waiting

    def _finish(self) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        if self._queue is not None and self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        elif self._first is not None:
            self._write(self._first)

    # ---- on the writer's thread, if there is one ----

    def _run(self, waiting: queue.Queue[Waiting]) -> None:
        while (columns := self._next(waiting)) is not None:
            if columns == SNAPSHOT:
                self._attempt(lambda: self._output.snapshot(self._footer))
            else:
                self._write(columns)

    def _next(self, waiting: queue.Queue[Waiting]) -> Waiting:
        """The next batch; while there is none, what is there is made safe when that is due."""
        while self.durable_s is not None:
            with suppress(queue.Empty):
                return waiting.get(timeout=max(0.0, self._due_s - time.monotonic()))
            self._sync(self.durable_s)
        return waiting.get()

    def _write(self, columns: Columns) -> None:
        try:
            self._attempt(lambda: self._put(columns))
        finally:
            columns.release()
        if self.durable_s is not None and time.monotonic() >= self._due_s:
            self._sync(self.durable_s)

    def _put(self, columns: Columns) -> None:
        self._output.write(record_batch(columns, self.rows), self._footer)
        self.rows += columns.rows

    def _sync(self, durable_s: float) -> None:
        self._attempt(lambda: self._output.sync(self._footer))
        self._due_s = time.monotonic() + durable_s

    def _attempt(self, action: Callable[[], T]) -> T | None:
        """Do it, unless something has failed before. A failure is the end; what was made safe before is left."""
        if self._failure is not None:
            return None
        try:
            return action()
        except OutputError as error:
            failure = error
        except Exception as error:
            failure = write_error(self.path, error)
        kept = self._output.abort(keep=True)
        if kept is not None:
            failure.hint = recovery_hint(kept, failure.hint)
        self._failure = failure
        return None


def recovery_hint(kept: Path, hint: str | None = None) -> str:
    """How to get at what a recording that failed has left."""
    rest = f"what was recorded before is safe: `tracer-cli recover {shlex.quote(str(kept))}`"
    return f"{hint}; {rest}" if hint else rest
