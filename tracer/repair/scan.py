"""What of a Parquet file whose writer died is whole. Every byte may be wrong, and nothing is believed unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tracer import schema
from tracer.recording import DAMAGE, check_rows
from tracer.sinks.footers import MAGIC
from tracer.sinks.seal import MARK, SEAL, seal_of, sealed_length
from tracer.sinks.segments import SEGMENT_START
from tracer.sinks.window import Reader, Window

MOST_READINGS = 4
"""So many times its size is read of a file at most: it may be made of pieces that claim each other's bytes."""

START = SEGMENT_START.encode()

FOOTER_BEGINS = b"\x15"
"""First byte of every footer: its first field, a 32-bit number, as Thrift's compact protocol has it."""

BATCH_ROWS = 1 << 16


class Segment(NamedTuple):
    """Row groups and the footer behind them."""

    start: int
    end: int
    rows: int
    keys: Mapping[bytes, bytes]


class Scan(NamedTuple):
    """What of a file is whole: its segments, in order."""

    segments: list[Segment]
    used_bytes: int
    """Bytes of the file that are part of a segment, or seal one."""
    footer: Mapping[bytes, bytes] | None
    """What the footer of all says; None if there is none, because the file is not complete."""


NOTHING = Scan([], 0, None)


def scan(file: Window) -> Scan:
    """Find the segments of a file.

    One that ended before anything was made safe is one segment without a seal, and is believed as any Parquet file is.
    """
    segments = list(_segments(file))
    sealed = sum(segment.end - segment.start + SEAL.size for segment in segments)
    whole = _whole(file)
    if whole is None:
        return Scan(segments, sealed, None)
    if not segments:
        return Scan([whole], file.size, whole.keys)
    is_complete = whole.rows == sum(segment.rows for segment in segments) and _footer_start(file, file.size) == sealed
    return Scan(segments, file.size, whole.keys) if is_complete else Scan(segments, sealed, None)


def keys(file: Window) -> Mapping[bytes, bytes] | None:
    """What the first thing says that is whole in a file; None if nothing is."""
    first = next(_segments(file), None) or _whole(file)
    return None if first is None else first.keys


def was_sealed(file: Window) -> bool:
    """Whether there is the seal of any segment, intact or not."""
    return any(True for _ in file.places(MAGIC + MARK))


def hole_bytes(found: Scan) -> int:
    """Bytes before the end of the last segment that are part of none."""
    return max(0, found.segments[-1].end + SEAL.size - found.used_bytes) if found.segments and not found.footer else 0


def batches(file: Window, segment: Segment) -> Iterator[pa.RecordBatch]:
    """A segment's rows. Raises one of DAMAGE where they can't be read."""
    there = pa.PythonFile(Reader(file, segment.end), mode="r")
    # what is read ahead, all of the segment, would be kept in memory
    with pq.ParquetFile(there, page_checksum_verification=True, pre_buffer=False) as opened:
        for batch in opened.iter_batches(BATCH_ROWS, columns=schema.SCHEMA.names):
            yield checked(batch)


def checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch as the schema has it, its contents looked through. Raises one of DAMAGE."""
    missing = set(schema.SCHEMA.names) - set(batch.schema.names)
    if missing:
        raise ValueError(f"there is no column {min(missing)}")
    batch = batch.select(schema.SCHEMA.names).replace_schema_metadata(None)
    batch.validate(full=True)
    check_rows(batch)
    return batch.cast(schema.SCHEMA)


def _whole(file: Window) -> Segment | None:
    """The whole file as one segment, if it lacks nothing but its name."""
    found = _segment(file, 0, file.size) if file.at(file.size - len(MAGIC), file.size) == MAGIC else None
    if found is None or START in found.keys:
        return None
    return found


def _segments(file: Window) -> Iterator[Segment]:
    used, unread = 0, MOST_READINGS * file.size
    for place in file.places(MAGIC + MARK):
        position = place + len(MAGIC)
        seal = file.at(position, position + SEAL.size)
        start = position - (sealed_length(seal) or 0)
        if not used <= start < position:
            continue
        unread -= position - start
        if unread < 0:
            return
        is_intact = seal_of(file.chunks(start, position)) == seal
        found = _segment(file, start, position) if is_intact else None
        if found is not None:
            used = position + SEAL.size
            yield found


def _footer_start(file: Window, end: int) -> int:
    """Where the footer begins that ends here."""
    return end - 8 - int.from_bytes(file.at(end - 8, end - 4), "little")


def _segment(file: Window, start: int, end: int) -> Segment | None:
    """The segment that begins and ends here, if one does.

    Its columns are not looked at one by one: pyarrow ends the process over some that contradict themselves. Whoever
    reads them gets an error.
    """
    footer_start = _footer_start(file, end)
    if not max(start, len(MAGIC)) <= footer_start < end - 8:
        return None
    data = file.at(footer_start, end)
    if not data.startswith(FOOTER_BEGINS):
        return None
    try:
        footer = pq.read_metadata(pa.BufferReader(MAGIC + data))
        keys = footer.metadata or {}
        if not footer.schema.to_arrow_schema().equals(schema.SCHEMA) or int(keys.get(START, b"0")) != start:
            return None
    except DAMAGE:
        return None
    return Segment(start, end, footer.num_rows, keys)
