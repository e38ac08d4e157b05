"""A Parquet file that is readable up to its last checkpoint, however its writer ends.

The file is written in segments, each with a footer of its own behind its row groups, and a seal behind that. Offsets
in a footer count from the start of the file, so that the bytes up to the end of any footer are a Parquet file which
holds that segment's rows.
`close` puts one footer for all of them behind the last, made of the bytes of theirs: of a segment that has ended, no
more is kept than where its row groups stand in its footer. A reader of the whole file sees that one only; the others
are gaps between row groups, which the format allows.
"""

from __future__ import annotations

import errno
import mmap
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BufferedWriter

import pyarrow as pa
import pyarrow.parquet as pq

from tracer import schema
from tracer.sinks.footers import END_BYTES, MAGIC, footer_of, row_groups
from tracer.sinks.parquet_options import WRITER_OPTIONS, footer_keys
from tracer.sinks.seal import seal_of
from tracer.sinks.window import Window

SEGMENT_START = schema.FOOTER_PREFIX + "segment_start"
"""Footer key of a segment: the byte at which it begins, where the one before ends. A finished recording has none."""

SINK_BYTES = 1 << 16
"""What is gathered before it goes to Python; longer pieces go at once."""

MOST_GROUPS = 64
"""Row groups of a segment that nobody ends: what Arrow keeps of each takes 25 KB."""


class SegmentedWriter:
    """Writes row groups to a stream that is empty; a recording of one segment is written as any Parquet file is.

    A file that is not `durable` has segments for the sake of memory alone: they have no seals.
    """

    def __init__(self, stream: BufferedWriter, *, durable: bool) -> None:
        self._stream = stream
        self._durable = durable
        self._start = 0
        self._groups = 0
        self._ended = _Ended(stream)
        self._arrow: _Arrow | None = _Arrow(stream, 0)

    @property
    def is_dirty(self) -> bool:
        """Whether rows came after the last checkpoint."""
        return self._groups > 0

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write a batch as a row group."""
        if self._groups == MOST_GROUPS and not self._durable:
            self.checkpoint({})
        arrow = self._open()
        arrow.writer.write_batch(batch, row_group_size=batch.num_rows)
        arrow.sink.flush()
        self._groups += 1

    def write_table(self, table: pa.Table) -> None:
        """Write a table as a row group."""
        arrow = self._open()
        arrow.writer.write_table(table, row_group_size=table.num_rows)
        arrow.sink.flush()
        self._groups += 1

    def checkpoint(self, footer: Mapping[str, str]) -> None:
        """End the segment: once the stream is synced, all rows so far can be recovered. Without new ones it does
        nothing."""
        if self._groups:
            start = self._start
            self._end(footer_keys(footer) | {SEGMENT_START: str(start)})
            self._ended.append(self._start)
            if self._durable:
                self._seal(start)

    def close(self, footer: Mapping[str, str]) -> None:
        """Complete the file."""
        keys = footer_keys(footer)
        if not self._ended.groups:
            self._end(keys)
            return
        self.checkpoint(footer)
        for piece in footer_of(_empty_footer(keys), self._ended.groups, self._ended.rows, self._ended.row_groups()):
            self._stream.write(piece)

    def abandon(self) -> None:
        """Write nothing more."""
        arrow, self._arrow = self._arrow, None
        if arrow is not None:
            arrow.abandon()

    def _open(self) -> _Arrow:
        if self._arrow is None:
            self._arrow = _Arrow(self._stream, self._start)
        return self._arrow

    def _end(self, keys: dict[str, str]) -> None:
        arrow = self._open()
        arrow.writer.add_key_value_metadata(keys)
        arrow.writer.close()
        arrow.sink.flush()
        self._arrow = None
        self._groups = 0
        self._stream.flush()
        self._start = self._stream.tell()

    def _seal(self, start: int) -> None:
        """Seal the segment that begins there and ends at the end of the file."""
        segment = Window(self._stream.fileno(), self._start).chunks(start, self._start)
        self._start += self._stream.write(seal_of(segment))
        self._stream.flush()


class _Gate:
    """A stream that passes on what it is given, or lets nothing through."""

    closed = False

    def __init__(self, stream: BufferedWriter) -> None:
        self._stream = stream
        self.passes = False

    def write(self, data: pa.Buffer) -> int:
        """Write it, or count it as written."""
        return self._stream.write(data) if self.passes else len(data)

    def flush(self) -> None:
        """Nothing is held here."""

    def close(self) -> None:
        """The stream is another's to close."""


class _Arrow:
    """Arrow's writer whose offsets count from the start of the file, of which there are `start` bytes.

    Arrow takes offsets from what went through its sink, and begins at 0 only. So it is shown the file's own bytes as
    if it wrote them; they are neither copied nor looked at. The sink gathers what goes to Python: 80 pieces of a row
    group, which took a tenth of the time of a small one.
    """

    def __init__(self, stream: BufferedWriter, start: int) -> None:
        self._gate = _Gate(stream)
        self.sink = pa.BufferedOutputStream(pa.PythonFile(self._gate, mode="w"), SINK_BYTES)
        self.writer = pq.ParquetWriter(self.sink, schema.SCHEMA, **WRITER_OPTIONS)
        if start:
            self._skip(stream, start)
        self._gate.passes = True

    def abandon(self) -> None:
        """Write nothing more, not even what the sink has gathered."""
        self._gate.passes = False
        with suppress(OSError, ValueError, pa.ArrowException):
            self.writer.close()
        self.writer.is_open = False  # or its destructor would try once more, and print how that went

    def _skip(self, stream: BufferedWriter, start: int) -> None:
        with mmap.mmap(stream.fileno(), start, prot=mmap.PROT_READ) as there:
            buffer = pa.py_buffer(there)
            self.sink.write(buffer.slice(self.sink.tell()))
            self.sink.flush()
            del buffer
        if self.sink.tell() != start:
            raise OSError(f"Arrow's writer stands at {self.sink.tell()}, the file at {start}")


class _Ended:
    """The row groups of segments that have ended, as they stand in the footers of these in the file."""

    def __init__(self, stream: BufferedWriter) -> None:
        self.groups = 0
        self.rows = 0
        self._descriptor = stream.fileno()
        self._places = array("Q")
        """Of each segment, where they begin and how many bytes they are: a recording of a day has 86,400 segments."""

    def append(self, end: int) -> None:
        """Add those of the segment that ends there in the file."""
        length = int.from_bytes(self._read(end - END_BYTES, 4), "little")
        start = end - END_BYTES - length
        found = row_groups(self._read(start, length))
        self._places.extend((start + found.start, found.end - found.start))
        self.groups += found.groups
        self.rows += found.rows

    def row_groups(self) -> Iterator[bytes]:
        """All of them, in order."""
        for index in range(0, len(self._places), 2):
            yield self._read(self._places[index], self._places[index + 1])

    def _read(self, start: int, length: int) -> bytes:
        found = Window(self._descriptor, start + length).at(start, start + length)
        if len(found) != length:
            raise OSError(errno.EIO, "what was written is not in the file any more")
        return found


def _empty_footer(keys: dict[str, str]) -> bytes:
    """The footer of a file without rows."""
    out = pa.BufferOutputStream()
    writer = pq.ParquetWriter(out, schema.SCHEMA, **WRITER_OPTIONS)
    writer.add_key_value_metadata(keys)
    writer.close()
    file: bytes = out.getvalue().to_pybytes()
    return file[len(MAGIC) : -END_BYTES]
