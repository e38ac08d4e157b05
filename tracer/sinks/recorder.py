"""The recorder's front: its own thread writes, so that draining the kernel's ring never waits for the disk."""

from __future__ import annotations

import _thread
import queue
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import pyarrow as pa

from tracer._fast import Columns
from tracer.batch import record_batch
from tracer.errors import OutputError
from tracer.sinks.output_file import write_error
from tracer.sinks.parquet_file import ParquetFile, is_small
from tracer.sinks.parquet_options import Footer

T = TypeVar("T")

QUEUED_BATCHES = 6
"""Batches that may wait for the writer; then `write` blocks, and the kernel's ring takes the strain."""

DURABLE_S = 1.0
"""How often a live recording is made safe: with the time until a batch is handed out, less than two seconds of rows are
lost by a crash."""


NO_THREAD_HINT = "the user, the cgroup or the machine has as many threads as it may (ulimit -u, pids.max)"

Waiting = Columns | int | None
"""What waits for the writer: a batch, when a snapshot was asked for (ns), or that this is the end."""


class Output(Protocol):
    """Where a recorder's batches go: `ParquetFile` says what is what."""

    @property
    def bytes_written(self) -> int:
        """Bytes so far."""

    def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool = False) -> None:
        """Write a batch; if it is the last, nothing comes after it but `close`."""

    def sync(self, footer: Footer) -> None:
        """Make all rows so far safe."""

    def snapshot(self, footer: Footer, asked_ns: int) -> None:
        """Make a recording of what is there, if this is a flight recorder. `asked_ns` is by the clock of `time_ns`."""

    def close(self, footer: Mapping[str, str]) -> int:
        """Complete it; its size."""

    def abort(self, *, keep: bool = False) -> Path | None:
        """Stop, and leave what is safe, by what `tracer-cli recover` finds it, or nothing."""


class ParquetRecorder:
    """Writes column batches to one Parquet file, or to what `output` is; rows are numbered from 0.

    `write` hands a batch to the writer's thread and returns; it blocks while six are waiting. That thread holds a
    small batch until another comes or it must be made safe: the last one is written by `close`, as a row group and by
    the thread that calls it (a new thread finds all caches and heaps cold: 2,000 rows took 4.1 ms, and take 2.9). For
    the sake of a single one nobody waits for the new thread. `close` writes the footer keys, completes the file and
    gives it its name. `abort` leaves nothing behind.

    With `durable_s` everything that was handed over is made safe so often: after a crash, or if writing fails in the
    end, the temporary file holds it for `tracer-cli recover`. `describe` says who tells the footer so far.

    Raises OutputError: at once if the file can't be made, with the first batch if no thread can be begun, at the next
    call if writing failed (disk full, say).
    """

    def __init__(
        self, path: Path, *, force: bool = False, durable_s: float | None = None, output: Output | None = None
    ) -> None:
        self.path = path
        self.rows = 0
        self.durable_s = durable_s
        self._output = output or ParquetFile(path, force=force, durable=durable_s is not None)
        self._held: Columns | None = None
        self._queue: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(QUEUED_BATCHES):
            self._room.put(None)
        self._failure: OutputError | None = None
        self._footer: Footer = dict
        self._due_s = 0.0
        self._is_begun = False
        self._is_queued = False
        self._is_ended = False
        self._writing = threading.Lock()
        """Whose it is writes what is held."""
        self._running = threading.Lock()
        """The writer's thread has it while it runs."""

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
        is_first = not self._is_begun
        if is_first:
            self._begin()  # before it is ours: if no thread can be begun, it is the caller's to release
        if is_first and is_small(columns.rows):
            self._held = columns
        else:
            self._wait_for_room()
            self._hand_over(columns)

    def snapshot(self, asked_ns: int) -> None:
        """Have the flight recorder that this one writes to make a recording of what it has. Does not wait for it.

        `asked_ns`, by the clock of `time_ns`, is when the while ends that it is about.
        """
        self._hand_over(asked_ns)

    def close(self, footer: Mapping[str, str]) -> int:
        """Write what is queued and the footer keys (`tracer.` is put before each); the size in bytes."""
        self._finish(is_last=True)
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

    def _hand_over(self, waiting: Columns | int) -> None:
        if not self._is_begun:
            self._begin()
        self._queue.put(waiting)
        self._is_queued = True

    def _begin(self) -> None:
        """Begin the writer's thread, and don't wait for that, as threading.Thread does: with other programs about it
        takes a millisecond and more until it has a processor."""
        self._due_s = time.monotonic() + (self.durable_s or 0)
        self._running.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError as error:
            self._running.release()
            self._failure = OutputError(f"{self.path} can't be written: {error}", hint=NO_THREAD_HINT)
            raise self._failure from error
        self._is_begun = True

    def _finish(self, *, is_last: bool = False) -> None:
        """End the writer's thread, when it has taken all that was queued, and write what it held."""
        self._say_it_ends()
        self._queue.put(None)
        if self._is_queued:
            self._wait_for_end()
        self._write_held(is_last=is_last)

    # Profiles tell these waits apart by their names.

    def _say_it_ends(self) -> None:
        with self._writing:  # not while a batch is written
            self._is_ended = True

    def _wait_for_room(self) -> None:
        self._room.get()

    def _wait_for_end(self) -> None:
        with self._running:
            pass

    # ---- on the writer's thread ----

    def _run(self) -> None:
        try:
            while (waiting := self._next()) is not None:
                with self._writing:
                    self._handle(waiting)
        finally:
            self._running.release()

    def _handle(self, waiting: Columns | int) -> None:
        self._write_held()
        if isinstance(waiting, int):
            self._attempt(lambda: self._output.snapshot(self._footer, waiting))
        else:
            self._room.put(None)  # not before: what is held, what waits and what is being filled are eight at most
            self._take(waiting)

    def _next(self) -> Waiting:
        """The next batch; while there is none, what is there is made safe when that is due."""
        while self.durable_s is not None:
            try:
                return self._queue.get(timeout=max(0.0, self._due_s - time.monotonic()))
            except queue.Empty:
                with self._writing:
                    if not self._is_ended:
                        self._make_safe(self.durable_s)
        return self._queue.get()

    def _take(self, columns: Columns) -> None:
        self._held = columns
        if not is_small(columns.rows):
            self._write_held()
        if self.durable_s is not None and time.monotonic() >= self._due_s:
            self._make_safe(self.durable_s)

    def _make_safe(self, durable_s: float) -> None:
        self._write_held()
        self._sync(durable_s)

    def _write_held(self, *, is_last: bool = False) -> None:
        columns, self._held = self._held, None
        if columns is None:
            return
        try:
            self._attempt(lambda: self._put(columns, is_last=is_last))
        finally:
            columns.release()

    def _put(self, columns: Columns, *, is_last: bool) -> None:
        self._output.write(record_batch(columns, self.rows), self._footer, is_last=is_last)
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
