"""What the fuzzer of `recover` mutates, and what must hold of each input.

An input stands for what a crash has left: a file and the tail beside it. Its first byte tells how. An even one: a
leftover of ours with damage, which follows as a list; what comes back must be rows that had been written. An odd one:
the pieces of the two files, by somebody who means harm and puts their seals right: rows that our schema allows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracer.errors import DamagedFileError
from tracer.losses import entries_for, parse_entries, parse_totals
from tracer.repair.recover import recover
from tracer.schema import SCHEMA
from tracer.sinks import parquet_file
from tracer.sinks.footers import MAGIC
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.seal import MARK, SEAL, seal_of, sealed_length
from tracer.temporary import Leftover

DAMAGE = struct.Struct("<BHBB")
"""One damage: its kind, where it begins, how many bytes go, how many of the bytes behind it come instead."""

IN_TAIL, TO_THE_END = 1, 2
"""Bits of a damage's kind: which file it is in; nothing that comes after it is left."""

PIECE = struct.Struct("<BH")
"""A piece of a file: its kind and its length."""

SEALED = 2
"""Bit of a piece's kind, beside IN_TAIL."""

NAME = ".a.parquet.0123456789abcdef.tmp"

STEPS = (((20, True), (20, True)), ((5, True), (4, True), (3, False)), ((20, True), (40, True), (6, True), (5, True)))
"""How many rows are written at a time until the crash, and whether they are made safe then."""

FOOTER = {"schema_version": "1", "session": "s", "loss": '{"ring_full": 0}'}


class Left(NamedTuple):
    """The bytes of a crash's two files."""

    main: bytes
    tail: bytes


def rows_of(first: int, rows: int) -> pa.RecordBatch:
    """Rows that tell their number, with texts, nulls and numbers of each size among them."""
    calls = [
        {field.name: _value(field, n) for field in SCHEMA} | {"seq": n, "time_ns": 1_000_003 * n}
        for n in range(first, first + rows)
    ]
    (batch,) = pa.Table.from_pylist(calls, schema=SCHEMA).combine_chunks().to_batches()
    return batch


def _value(field: pa.Field, n: int) -> object:
    if field.nullable and n % 7 == 3:
        return None
    if pa.types.is_dictionary(field.type):
        return f"{field.name} {n % 5}"
    if pa.types.is_boolean(field.type):
        return n % 3 == 0
    return n % 100 if pa.types.is_integer(field.type) and field.type.bit_width < 32 else 77 * n


@cache
def written() -> pa.Table:
    """All rows that the leftovers' recorder wrote."""
    return pa.Table.from_batches([rows_of(0, 100)])


def crash(folder: Path, steps: tuple[tuple[int, bool], ...]) -> Left:
    """What is left when a recorder is killed after these steps."""
    file = ParquetFile(folder / "a.parquet", durable=True)
    left, done = Leftover(file.file.temporary), 0
    for rows, is_safe in steps:
        file.write(rows_of(done, rows), lambda: FOOTER)
        done += rows
        if is_safe:
            file.sync(lambda: FOOTER)
    file.abort(keep=True)
    content = Left(*(path.read_bytes() if path.exists() else b"" for path in (left.main, left.tail)))
    for path in left.files:
        path.unlink(missing_ok=True)
    return content


def leftovers(folder: Path) -> list[Left]:
    """The leftovers that are damaged. Row groups are of 64 rows, and tails hold batches of fewer than 16."""
    before = parquet_file.GROUP_ROWS, parquet_file.SMALL_ROWS
    parquet_file.GROUP_ROWS, parquet_file.SMALL_ROWS = 64, 16
    try:
        return [crash(folder, steps) for steps in STEPS]
    finally:
        parquet_file.GROUP_ROWS, parquet_file.SMALL_ROWS = before


def left_of(data: bytes, whole: list[Left]) -> Left:
    """The files that an input stands for."""
    kind, rest = data[0], data[1:]
    if kind % 2:
        return _pieced(rest)
    files = [bytearray(content) for content in whole[kind // 2 % len(whole)]]
    for where, at, gone, come in _damages(rest):
        file = files[bool(where & IN_TAIL)]
        start = at % (len(file) + 1)
        end = len(file) if where & TO_THE_END else start + gone
        file[start:end] = come
    return Left(*map(bytes, files))


def _damages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at + DAMAGE.size <= len(data):
        where, start, gone, length = DAMAGE.unpack_from(data, at)
        at += DAMAGE.size
        yield where, start, gone, data[at : at + length]
        at += length


def _pieced(data: bytes) -> Left:
    """The files that are made of these pieces."""
    files, at = (bytearray(), bytearray()), 0
    while at + PIECE.size <= len(data):
        kind, length = PIECE.unpack_from(data, at)
        at += PIECE.size
        piece = data[at : at + length]
        at += length
        seal = seal_of([piece]) if kind & SEALED else b""
        files[kind & IN_TAIL].extend(seal + piece if kind & IN_TAIL else piece + seal)
    return Left(*map(bytes, files))


def input_of(left: Left) -> bytes:
    """The input that stands for these two files."""
    data, at = b"\x01", 0
    while (found := left.main.find(MAGIC + MARK, at)) >= 0:
        found += len(MAGIC)
        data += PIECE.pack(SEALED, found - at) + left.main[at:found]
        at = found + SEAL.size
    data += PIECE.pack(0, len(left.main) - at) + left.main[at:]
    at = 0
    while length := sealed_length(left.tail[at : at + SEAL.size]):
        at += SEAL.size
        data += PIECE.pack(SEALED | IN_TAIL, length) + left.tail[at : at + length]
        at += length
    return data + PIECE.pack(IN_TAIL, len(left.tail) - at) + left.tail[at:]


def look(data: bytes, folder: Path, whole: list[Left]) -> int:
    """Recover what an input stands for, in an empty folder; how many rows came back. AssertionError is a finding."""
    if not data:
        return 0
    left, content = Leftover(folder / NAME), left_of(data, whole)
    there = {left.main: content.main, left.tail: content.tail}
    for path, part in there.items():
        path.write_bytes(part)
    try:
        found = recover(left)
    except DamagedFileError as error:
        assert "\n" not in str(error)
        assert {path: path.read_bytes() for path in folder.iterdir()} == there, "all is left as it was"
        for path in there:
            path.unlink()
        return 0
    assert list(folder.iterdir()) == [found.output], "what was recovered is gone, nothing else is left"
    try:
        _check(found.output, found.rows, is_ours=data[0] % 2 == 0)
    finally:
        found.output.unlink()
    return found.rows


def _check(path: Path, rows: int, *, is_ours: bool) -> None:
    table = pq.read_table(path)
    table.validate(full=True)
    assert table.num_rows == rows
    if not is_ours:
        _check_losses(pq.read_metadata(path).metadata)
        return
    numbers = table.column("seq").to_pylist()
    assert numbers == sorted(set(numbers)), "in order, none twice"
    is_one = pc.is_in(written().column("seq"), value_set=table.column("seq").combine_chunks())
    assert table.to_pylist() == written().filter(is_one).to_pylist(), "as they were written"


def _check_losses(footer: Mapping[bytes, bytes]) -> None:
    """That they can be told. The recording is not opened: DuckDB, used under atheris, breaks malloc at the end."""
    told = {key: footer.get(b"tracer." + key, b"").decode(errors="backslashreplace") for key in (b"loss", b"losses")}
    entries_for(parse_totals(told[b"loss"]), parse_entries(told[b"losses"]))
