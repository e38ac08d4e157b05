"""Footers of Parquet files as bytes: where the row groups lie in one, and one footer made of the row groups of many.

pyarrow's `FileMetaData` takes 30 KB for the schema and 25 KB for each row group. In the file, as Thrift's compact
protocol has it, a row group takes 2.4. Nothing is decoded here: fields are passed over, to find out where they end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAGIC = b"PAR1"

END_BYTES = 8
"""Behind a footer: its length and the file's magic bytes."""

NUM_ROWS, ROW_GROUPS = 3, 4
"""Fields of `FileMetaData` (parquet.thrift)."""

STOP, BOOLEANS, BYTE, INTEGERS, DOUBLE, BINARY, LIST, STRUCT = 0, (1, 2), 3, (4, 5, 6), 7, 8, 9, 12
"""What a field holds (Thrift's compact protocol). Footers have neither sets nor maps."""

MANY = 15
"""A list of so many elements or more has their number behind its first byte."""


class RowGroups(NamedTuple):
    """The bytes of a footer at which its row groups lie, one after the other, and what they hold."""

    start: int
    end: int
    groups: int
    rows: int


def row_groups(footer: bytes) -> RowGroups:
    """Those of a footer. Raises KeyError, ValueError or IndexError if it is none."""
    fields = _fields(footer)
    rows, _ = _varint(footer, fields[NUM_ROWS].start)
    groups, _, start = _list(footer, fields[ROW_GROUPS].start)
    return RowGroups(start, fields[ROW_GROUPS].stop, groups, rows >> 1)


def footer_of(empty: bytes, groups: int, rows: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """An empty file's footer with row groups in it, and what ends the file. `pieces` are their bytes, in order."""
    fields = _fields(empty)
    before = empty[: fields[NUM_ROWS].start] + _as_varint(rows << 1)
    before += empty[fields[NUM_ROWS].stop : fields[ROW_GROUPS].start] + _list_head(groups)
    after = empty[fields[ROW_GROUPS].stop :]
    length = len(before) + len(after)
    yield before
    for piece in pieces:
        length += len(piece)
        yield piece
    yield after + length.to_bytes(4, "little") + MAGIC


def _fields(footer: bytes) -> dict[int, slice]:
    """Where the value of each field lies."""
    fields: dict[int, slice] = {}
    number = at = 0
    while (head := footer[at]) != STOP:
        number, start = _field_number(footer, at, number)
        at = _behind(footer, start, head & 15)
        fields[number] = slice(start, at)
    return fields


def _field_number(footer: bytes, at: int, last: int) -> tuple[int, int]:
    """The number of the field that begins here, and where its value does."""
    step = footer[at] >> 4
    if step:
        return last + step, at + 1
    number, at = _varint(footer, at + 1)
    return (number >> 1) ^ -(number & 1), at


def _behind(footer: bytes, at: int, kind: int) -> int:
    """Where the value ends that begins here."""
    if kind in INTEGERS:
        while footer[at] & 0x80:
            at += 1
        return at + 1
    if kind == BINARY:
        length, at = _varint(footer, at)
        return at + length
    if kind == STRUCT:
        while (head := footer[at]) != STOP:
            at = _behind(footer, at + 1 if head >> 4 else _varint(footer, at + 1)[1], head & 15)
        return at + 1
    if kind == LIST:
        count, element, at = _list(footer, at)
        for _ in range(count):
            at = at + 1 if element in BOOLEANS else _behind(footer, at, element)
        return at
    if kind in BOOLEANS:
        return at
    if kind in {BYTE, DOUBLE}:
        return at + (1 if kind == BYTE else 8)
    raise ValueError(f"{kind} is no kind of field that footers have")


def _list(footer: bytes, at: int) -> tuple[int, int, int]:
    """How many elements a list has, of which kind, and where the first one begins."""
    head = footer[at]
    count, at = (head >> 4, at + 1) if head >> 4 < MANY else _varint(footer, at + 1)
    return count, head & 15, at


def _list_head(structs: int) -> bytes:
    """What stands before the elements of a list of so many structures."""
    return bytes([structs << 4 | STRUCT]) if structs < MANY else bytes([MANY << 4 | STRUCT]) + _as_varint(structs)


def _varint(footer: bytes, at: int) -> tuple[int, int]:
    """A number in pieces of seven bits, the last ones first, and where it ends."""
    number = shift = 0
    while (byte := footer[at]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    return number | byte << shift, at + 1


def _as_varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
