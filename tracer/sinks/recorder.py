"""The Parquet recorder: its own thread writes, so that draining the kernel's ring never waits for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
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
}
"""What Arrow's writer is told of codec and encodings."""

FOOTER_PREFIX = "tracer."


class ParquetRecorder:
    """Writes column batches to one Parquet file, each as a row group; rows are numbered from 0.

    `write` hands a batch to the writer thread and returns; it blocks while three are waiting. `close` writes the footer
    keys, completes the file and gives it its name. `abort` leaves nothing behind.

    Raises OutputError: at once if the file can't be made, at the next call if writing failed (disk full, say).
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = path
        self.rows = 0
        self._file = OutputFile(path, force=force)
        self._queue: queue.Queue[Columns | None] = queue.Queue(QUEUED_BATCHES)
        self._failure: OutputError | None = None
        self._writer = pq.ParquetWriter(self._file.stream, schema.SCHEMA, **WRITER_OPTIONS)
        self._thread = threading.Thread(target=self._run, name="tracer-writer", daemon=True)
        self._thread.start()

    @property
    def bytes_written(self) -> int:
        """Size of the file so far."""
        stream = self._file.stream
        return 0 if stream.closed else stream.tell()

    def write(self, columns: Columns) -> None:
        """Queue a batch, which is released when it has been written (or dropped after a failure)."""
        if self._failure is not None:
            raise self._failure
        self._queue.put(columns)

    def close(self, footer: Mapping[str, str]) -> int:
        """Write what is queued and the footer keys (`tracer.` is put before each); the file's size in bytes."""
        self._finish_thread()
        if self._failure is not None:
            self.abort()
            raise self._failure
        try:
            self._writer.add_key_value_metadata({FOOTER_PREFIX + key: value for key, value in footer.items()})
            self._writer.close()
            return self._file.commit()
        except OSError as error:
            self.abort()
            raise write_error(self.path, error) from error

    def abort(self) -> None:
        """Stop and remove the temporary file. Safe to call twice, and after `close`."""
        self._finish_thread()
        with suppress(OSError, ValueError, pa.ArrowException):
            self._writer.close()
        self._writer.is_open = False  # or its destructor would try once more, and print how that went
        self._file.abort()

    def _finish_thread(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (columns := self._queue.get()) is not None:
            if self._failure is None:
                self._write(columns)
            columns.release()

    def _write(self, columns: Columns) -> None:
        try:
            self._writer.write_batch(record_batch(columns, self.rows), row_group_size=columns.rows)
            self.rows += columns.rows
        except OSError as error:
            self._failure = write_error(self.path, error)
        except pa.ArrowException as error:
            self._failure = OutputError(f"writing {self.path} failed: {error}")
