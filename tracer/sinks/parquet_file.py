"""One Parquet recording: where its batches go, and what of it outlives a crash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from tracer.sinks.output_file import OutputFile
from tracer.sinks.parquet_options import GROUP_BYTES, GROUP_ROWS, Footer
from tracer.sinks.segments import SegmentedWriter
from tracer.sinks.tail import Tail, one_batch

SMALL_ROWS = GROUP_ROWS // 4
SMALL_BYTES = GROUP_BYTES // 4
"""A durable recording keeps batches of fewer rows, and of less memory, in its tail until they make a row group. A batch
that is full of text alone has as much (MAX_DICTIONARY_BYTES in tracer/_fast/columns.pxd): it is not written twice."""


class ParquetFile:
    """Row groups into one file, that gets its name from `close`. Batches become row groups as they come.

    A durable one can be asked to `sync`: all rows up to then can be recovered from what lies on disk. Its small batches
    go to a second file until they are enough for a row group, so that row groups are large although rows are safe soon.

    Raises OutputError if the file can't be made, then OSError and what Arrow raises.
    """

    def __init__(self, path: Path, *, force: bool = False, durable: bool = False) -> None:
        self.file = OutputFile(path, force=force)
        self.safe_rows = 0
        """Rows that are still there after a crash."""
        self._rows = 0
        try:
            self._writer = SegmentedWriter(self.file.stream, durable=durable)
        except BaseException:
            self.file.abort()
            raise
        self._tail = Tail(self.file.temporary) if durable else None

    @property
    def bytes_written(self) -> int:
        """Bytes in files so far."""
        return self.file.stream.tell() + (self._tail.bytes_written if self._tail is not None else 0)

    def __str__(self) -> str:
        return str(self.file.path)

    def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool = False) -> None:
        """Write a batch; `footer` tells what the recording would say now. The last one is a row group, if no others
        wait for it."""
        self._rows += batch.num_rows
        if self._tail is None or (is_last and not self._tail.rows):
            self._writer.write_batch(batch)
        elif not _belongs_in_the_tail(batch) or _makes_a_group(self._tail, batch):
            self._write_group(self._tail, batch, footer)
        else:
            self._tail.append(batch, footer())

    def sync(self, footer: Footer) -> None:
        """Make all rows so far outlive a crash of the machine, if the file is a durable one."""
        self.file.check()
        if self._tail is None:
            return
        if self._writer.is_dirty:
            self._writer.checkpoint(footer())
            self.file.sync()
        self._tail.sync()
        self.safe_rows = self._rows

    def snapshot(self, footer: Footer, asked_ns: int) -> None:
        """This is no flight recorder."""

    def close(self, footer: Mapping[str, str]) -> int:
        """Complete the file; its size. Raises OutputError, too."""
        self.finish(footer)
        return self.file.commit()

    def finish(self, footer: Mapping[str, str]) -> None:
        """Complete the file, and leave it under its temporary name. Raises OutputError, too."""
        if self._tail is not None and self._tail.rows:
            self._writer.write_table(self._tail.table())
        self._writer.close(footer)
        self.file.complete()
        if self._tail is not None:
            self.safe_rows = self._rows
            self._tail.close()

    def abort(self, *, keep: bool = False) -> Path | None:
        """Stop. What was made safe is left behind if that is wished for, and is there: its name."""
        kept = keep and self.safe_rows > 0 and self.file.is_there
        if kept:
            self.file.keep()
        self.file.abort()
        self._writer.abandon()  # with its stream closed: or Arrow would write a footer for half a segment
        if self._tail is not None:
            self._tail.close(keep=kept)
        return self.file.temporary if kept else None

    def _write_group(self, tail: Tail, batch: pa.RecordBatch, footer: Footer) -> None:
        """The tail and the batch as one row group; the tail may go when that is on disk."""
        if not tail.rows:
            self._writer.write_batch(batch)
            return
        self._writer.write_table(one_batch([*tail.table().to_batches(), batch]))
        self._writer.checkpoint(footer())
        self.file.sync()
        tail.clear()


def is_small(rows: int) -> bool:
    """Whether a batch of so many rows is too small for a row group."""
    return rows < SMALL_ROWS


def _belongs_in_the_tail(batch: pa.RecordBatch) -> bool:
    return is_small(batch.num_rows) and batch.nbytes < SMALL_BYTES


def _makes_a_group(tail: Tail, batch: pa.RecordBatch) -> bool:
    """Whether the two are enough for a row group."""
    return bool(tail.rows + batch.num_rows >= GROUP_ROWS or tail.memory_bytes + batch.nbytes >= GROUP_BYTES)
