"""The rows that are too few for a row group yet, kept on disk beside the recording that they will be part of."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path

import pyarrow as pa

from tracer import schema
from tracer.sinks.output_file import open_private
from tracer.sinks.parquet_options import footer_keys
from tracer.sinks.seal import Unsealed, seal_of
from tracer.sinks.window import Window
from tracer.temporary import NEXT_TAIL, TAIL

OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)
"""Few rows: handing their columns to Arrow's threads takes longer than what these would save, and a quarter of all
allocations."""

SPARSE_BYTES = 1 << 20
"""A tail may grow to twice what it needs, and this much more, before it is written anew."""


class Tail:
    """An Arrow IPC stream of small batches, each sealed and on disk as soon as it is appended.

    A batch of a few rows takes some kilobytes. Whenever the file is much larger than it was when it was last written as
    one batch, it is written so again: it stays below twice of what its rows need, and no row is written more than a few
    times.
    """

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self.rows = 0
        self.memory_bytes = 0
        """What its batches took in memory, each by itself."""
        self.is_dirty = False
        self._dense_bytes = 0
        self._stream: BufferedWriter | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._piece = io.BytesIO()
        self._footer: Mapping[str, str] = {}
        self._said: Mapping[str, str] = {}

    @property
    def path(self) -> Path:
        """The file that it is in, once there are rows."""
        return self._temporary.with_suffix(TAIL)

    @property
    def bytes_written(self) -> int:
        """The file's size."""
        stream = self._stream
        return 0 if stream is None else stream.tell()

    def append(self, batch: pa.RecordBatch, footer: Mapping[str, str]) -> None:
        """Add rows. `footer` is what the recording would say now; what is new in it goes with the batch."""
        self._footer = footer
        if self._stream is None:
            self._stream = open_private(self.path)
        self._write(batch)
        self.rows += batch.num_rows
        self.memory_bytes += batch.nbytes
        if self._stream.tell() > 2 * self._dense_bytes + SPARSE_BYTES:
            self._densify()

    def sync(self) -> None:
        """Make all rows outlive a crash of the machine."""
        if self.is_dirty and self._stream is not None:
            os.fdatasync(self._stream.fileno())
            self.is_dirty = False

    def table(self) -> pa.Table:
        """All rows."""
        if self._stream is None:
            return schema.SCHEMA.empty_table()
        there = Window(self._stream.fileno(), self._stream.tell())
        with pa.ipc.open_stream(Unsealed(there), options=READ_OPTIONS) as reader:
            return one_batch(list(reader))

    def clear(self) -> None:
        """Begin anew: the rows are safe elsewhere."""
        if self._stream is None or self.rows == 0:
            return
        self._writer = None
        self._stream.seek(0)
        self._stream.truncate()
        self.rows = self.memory_bytes = self._dense_bytes = 0
        self.is_dirty = False

    def close(self, *, keep: bool = False) -> None:
        """Write nothing more, and remove the file."""
        self._writer = None
        if self._stream is None:
            return
        with suppress(OSError):
            self._stream.close()
        self._stream = None
        if not keep:
            for path in (self.path, self.path.with_suffix(NEXT_TAIL)):
                with suppress(OSError):
                    path.unlink()

    def _write(self, batch: pa.RecordBatch) -> None:
        assert self._stream is not None
        keys = footer_keys(self._footer)
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._piece, schema.SCHEMA.with_metadata(keys), options=OPTIONS)
            self._said = keys
        news = {key: value for key, value in keys.items() if self._said.get(key) != value}
        self._writer.write_batch(batch, custom_metadata=news)
        self._said = keys
        piece = self._piece.getvalue()
        self._piece.seek(0)
        self._piece.truncate()
        self._stream.write(seal_of([piece]))
        self._stream.write(piece)
        self._stream.flush()
        self.is_dirty = True

    def _densify(self) -> None:
        """Write the file anew as one batch; until that is on disk, the old one stays."""
        table = self.table()
        (batch,) = table.to_batches()
        path = self.path.with_suffix(NEXT_TAIL)
        old, self._stream, self._writer = self._stream, open_private(path), None
        self._write(batch)
        assert self._stream is not None
        os.fdatasync(self._stream.fileno())
        path.replace(self.path)
        self._dense_bytes = self._stream.tell()
        if old is not None:
            old.close()


def one_batch(batches: list[pa.RecordBatch]) -> pa.Table:
    """Batches whose dictionaries differ as a table of one chunk a column."""
    table: pa.Table = pa.Table.from_batches(batches, schema=batches[0].schema if batches else schema.SCHEMA)
    return table.replace_schema_metadata(None).unify_dictionaries().combine_chunks()
