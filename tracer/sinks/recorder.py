"""The Parquet recorder: its own thread writes, so that draining the kernel's ring never waits for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tracer import schema
from tracer._fast import Columns
from tracer.batch import record_batch
from tracer.errors import OutputError
from tracer.sinks.output_file import OutputFile, write_error

QUEUED_BATCHES = 3
"""Batches that may wait for the writer; then `write` blocks, and the kernel's ring takes the strain."""

ZSTD_LEVEL = 1

TEXT_COLUMNS = [column.name for column in schema.COLUMNS if column.type == schema.TEXT]

DELTA_COLUMNS = {"seq": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED", "time_ns": "DELTA_BINARY_PACKED"}
"""Columns that only grow: deltas are a tenth of the size before compression, and cheaper to compress."""

WRITER_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": ZSTD_LEVEL,
    "use_dictionary": TEXT_COLUMNS,
    "column_encoding": DELTA_COLUMNS,
    "store_schema": True,
    "write_statistics": [column.name for column in schema.COLUMNS if column.type != schema.TEXT],
}
"""What Arrow's writer is told of codec and encodings. Least and greatest values let readers pass over row groups; those
of texts hardly ever would, and finding them took a fifth of all writing."""

FOOTER_PREFIX = "tracer."


class ParquetRecorder:
    """Writes column batches to one Parquet file, each as a row group; rows are numbered from 0.

    `write` hands a batch to the writer's thread and returns; it blocks while three are waiting. That thread begins with
    the second batch: a recording of one is written by `close`, which is quicker (a new thread finds all caches and
    heaps cold: 2,000 rows took 4.1 ms, and take 2.9). `close` writes the footer keys, completes the file and gives it
    its name. `abort` leaves nothing behind.

    Raises OutputError: at once if the file can't be made, at the next call if writing failed (disk full, say).
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = path
        self.rows = 0
        self._file = OutputFile(path, force=force)
        self._first: Columns | None = None
        self._queue: queue.Queue[Columns | None] | None = None
        self._failure: OutputError | None = None
        self._footer: dict[str, str] | None = None
        try:
            self._writer = pq.ParquetWriter(self._file.stream, schema.SCHEMA, **WRITER_OPTIONS)
        except BaseException:
            self._file.abort()
            raise
        self._thread: threading.Thread | None = None
        self._is_ended = False

    @property
    def bytes_written(self) -> int:
        """Size of the file so far; 0 once it is closed."""
        with suppress(ValueError):  # closed, perhaps this very moment
            return self._file.stream.tell()
        return 0

    def write(self, columns: Columns) -> None:
        """Queue a batch, which is released when it has been written (or dropped after a failure)."""
        if self._failure is not None:
            raise self._failure
        if self._first is None and self._queue is None:
            self._first = columns
            return
        if self._queue is None:
            self._queue = self._start_thread()
        self._queue.put(columns)

    def close(self, footer: Mapping[str, str]) -> int:
        """Write what is queued and the footer keys (`tracer.` is put before each); the file's size in bytes."""
        self._footer = {FOOTER_PREFIX + key: value for key, value in footer.items()}
        self._finish()
        try:
            if self._failure is not None:
                raise self._failure
            return self._file.commit()
        except OutputError:
            self.abort()
            raise

    def abort(self) -> None:
        """Stop and remove the temporary file. Safe to call twice, and after `close`."""
        if self._failure is None:
            self._failure = OutputError(f"the recording {self.path} was given up")
        self._finish()
        self._file.abort()

    def _start_thread(self) -> queue.Queue[Columns | None]:
        waiting: queue.Queue[Columns | None] = queue.Queue(QUEUED_BATCHES)
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
            return
        if self._first is not None:
            self._write(self._first)
        self._end_writer()

    # ---- on the writer's thread, if there is one ----

    def _run(self, waiting: queue.Queue[Columns | None]) -> None:
        while (columns := waiting.get()) is not None:
            self._write(columns)
        self._end_writer()

    def _write(self, columns: Columns) -> None:
        if self._failure is None:
            with self._noting_failure():
                self._writer.write_batch(record_batch(columns, self.rows), row_group_size=columns.rows)
                self.rows += columns.rows
        columns.release()

    def _end_writer(self) -> None:
        if self._failure is None and self._footer is not None:
            with self._noting_failure():
                self._writer.add_key_value_metadata(self._footer)
                self._writer.close()
        else:
            with suppress(OSError, ValueError, pa.ArrowException):
                self._writer.close()
        self._writer.is_open = False  # or its destructor would try once more, and print how that went

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failure = write_error(self.path, error)
        except Exception as error:
            self._failure = OutputError(f"writing {self.path} failed: {error}")
