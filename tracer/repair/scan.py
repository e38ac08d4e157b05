"""What of a Parquet file whose writer died is whole. Every byte may be wrong, and nothing is believed unseen."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tracer import schema
from tracer.recording import DAMAGE
from tracer.sinks.segments import MAGIC, SEGMENT_START

FOOTER_BYTES = 256 << 20
"""No footer is larger."""

FOOTER_BEGINS = 0x15
"""First byte of every footer: its first field, a 32-bit number, as Thrift's compact protocol has it."""

BATCH_ROWS = 1 << 16


class Segment(NamedTuple):
    """Row groups and the footer behind them."""

    start: int
    end: int
    rows: int
    keys: Mapping[bytes, bytes]


class Scan(NamedTuple):
    """The segments of a file, in order, and whether they are all that it was to hold."""

    segments: list[Segment]
    is_complete: bool

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that are part of a segment."""
        return sum(segment.end - segment.start for segment in self.segments)


def scan(file: mmap.mmap) -> Scan:
    """Find the segments of a file."""
    whole = _whole(file)
    return Scan([whole], True) if whole is not None else Scan(list(_segments(file)), False)


def batches(file: mmap.mmap, segment: Segment) -> Iterator[pa.RecordBatch]:
    """A segment's rows. Raises one of DAMAGE where they can't be read."""
    there = pa.BufferReader(pa.py_buffer(file).slice(0, segment.end))
    with pq.ParquetFile(there, page_checksum_verification=True) as opened:
        for batch in opened.iter_batches(BATCH_ROWS, columns=schema.SCHEMA.names):
            yield checked(batch)


def checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch as the schema has it, its contents looked through. Raises one of DAMAGE."""
    missing = set(schema.SCHEMA.names) - set(batch.schema.names)
    if missing:
        raise ValueError(f"there is no column {min(missing)}")
    batch = batch.select(schema.SCHEMA.names).replace_schema_metadata(None)
    batch.validate(full=True)
    for field, column in zip(schema.SCHEMA, batch.columns, strict=True):
        if not field.nullable and column.null_count:
            raise ValueError(f"{field.name} is missing in some rows")
    return batch.cast(schema.SCHEMA)


def _whole(file: mmap.mmap) -> Segment | None:
    """The whole file as one segment, if it lacks nothing but its name."""
    found = _segment(file, len(file)) if file[-len(MAGIC) :] == MAGIC else None
    if found is None or SEGMENT_START.encode() in found.keys:
        return None
    return found


def _segments(file: mmap.mmap) -> Iterator[Segment]:
    used, position = 0, len(MAGIC)
    while (position := file.find(MAGIC, position)) >= 0:
        position += len(MAGIC)
        found = _segment(file, position)
        if found is not None and found.start >= used and SEGMENT_START.encode() in found.keys:
            used = found.end
            yield found


def _segment(file: mmap.mmap, end: int) -> Segment | None:
    """The segment that ends here, if one does."""
    length = int.from_bytes(file[end - 8 : end - 4], "little")
    footer_start = end - 8 - length
    if not 0 < length <= FOOTER_BYTES or footer_start < len(MAGIC) or file[footer_start] != FOOTER_BEGINS:
        return None
    try:
        footer = pq.read_metadata(pa.BufferReader(MAGIC + file[footer_start:end]))
        keys = footer.metadata or {}
        start = int(keys.get(SEGMENT_START.encode(), b"0"))
        if not _fits(footer, max(start, len(MAGIC)), footer_start):
            return None
    except DAMAGE:
        return None
    return Segment(start, end, footer.num_rows, keys)


def _fits(footer: pq.FileMetaData, start: int, end: int) -> bool:
    """Whether a footer describes columns of ours that lie where it says, in that segment."""
    if not footer.schema.to_arrow_schema().equals(schema.SCHEMA):
        return False
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            first = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
            if not start <= first <= column.data_page_offset <= end or column.total_compressed_size < 0:
                return False
            if first + column.total_compressed_size > end or column.file_path:
                return False
    return True
