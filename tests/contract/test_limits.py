"""More threads and processes than are known: the oldest are forgotten and counted, by engine and reference alike."""

from __future__ import annotations

from typing import Any

import pytest
import wire
from reference import MOST_PROCESSES, MOST_THREADS, Reference

from tracer import syscalls
from tracer._fast import Engine
from tracer.batch import record_batch
from tracer.sinks.parquet_file import SMALL_BYTES

NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
RULES, NAMES = syscalls.rules("x86_64", frozenset(NUMBERS)), syscalls.names("x86_64")
FIRST = 1000
BEYOND = 5
NONE_FORGOTTEN = {"forgotten_threads": 0, "forgotten_processes": 0}


def head(tgid: int, tid: int, at_ns: int) -> dict[str, Any]:
    return {"tgid": tgid, "tid": tid, "time_ns": at_ns}


def read(tgid: int, tid: int, at_ns: int) -> list[wire.AnyRecord]:
    enter = wire.Enter(syscall=NUMBERS["read"], args=(3, 0, 1), **head(tgid, tid, at_ns))
    return [enter, wire.Exit(syscall=NUMBERS["read"], ret=1, **head(tgid, tid, at_ns + 1))]


def rows_and_forgotten(records: list[wire.AnyRecord]) -> tuple[list[tuple[str, str | None]], dict[str, int]]:
    """Comm and file of each row, and what was forgotten: as both say."""
    block = b"".join(map(wire.encode, records))
    engine, reference = Engine(RULES, NAMES, syscalls.FAMILIES), Reference(RULES, NAMES, syscalls.FAMILIES)
    assert engine.feed(block) == len(block)
    reference.feed(block)
    columns = engine.take()
    assert columns is not None
    rows = [(row["comm"], row["file"]) for row in record_batch(columns).to_pylist()]
    columns.release()
    forgotten = {cause: count for cause, count in engine.counters().items() if cause in NONE_FORGOTTEN}
    assert rows == [(row["comm"], row["file"]) for row in reference.rows]
    assert forgotten.items() <= reference.counters.items()
    return rows, forgotten


@pytest.mark.parametrize(("beyond", "forgotten"), [(0, 0), (BEYOND, MOST_THREADS // 4 + 1)])
def test_threads(beyond: int, forgotten: int) -> None:
    """One that was in a call has no row of it, and no name any more."""
    count = MOST_THREADS + beyond
    records: list[wire.AnyRecord] = [
        wire.Comm(comm=b"thread", **head(FIRST, FIRST + number, number)) for number in range(count - 1)
    ]
    records[1:1] = read(FIRST, FIRST, 0)[:1]
    records += read(FIRST, FIRST + count - 1, count)
    records += [*read(FIRST, FIRST, count)[1:], *read(FIRST, FIRST + count - 2, count + 10)]
    rows, counted = rows_and_forgotten(records)
    assert rows == ([("", None), ("thread", None)] if beyond else [("", None), ("thread", None), ("thread", None)])
    assert counted == NONE_FORGOTTEN | {"forgotten_threads": forgotten}


@pytest.mark.parametrize(("beyond", "forgotten"), [(0, 0), (BEYOND, MOST_PROCESSES // 4 + 1)])
def test_processes(beyond: int, forgotten: int) -> None:
    count = MOST_PROCESSES + beyond
    records: list[wire.AnyRecord] = [
        wire.Name(fd=3, name=wire.NameText(b"/file"), **head(FIRST + number, 1, number)) for number in range(count)
    ]
    records += [*read(FIRST + count - 1, 2, count), *read(FIRST, 3, count + 10)]
    rows, counted = rows_and_forgotten(records)
    assert rows == [("", "/file"), ("", None if beyond else "/file")]
    assert counted == NONE_FORGOTTEN | {"forgotten_processes": forgotten}


def test_each_name_that_a_copied_table_has_no_room_for_is_counted() -> None:
    """Copies of a large table, until there is room for no more."""
    engine = Engine(RULES, NAMES, syscalls.FAMILIES)
    cache = engine.pairer.fd_cache
    chunks = range(0, 1 << 20, 64)  # a chunk of the table each: what is made room for at once
    numbers = [first + n for first in chunks for n in range(2)]
    names = [wire.Name(fd=fd, name=wire.NameText(b"/file"), **head(FIRST, FIRST, 1)) for fd in numbers]
    engine.feed(b"".join(map(wire.encode, names)))
    children = range(FIRST + 1, FIRST + 12)
    for child in children:
        engine.feed(wire.encode(wire.Fork(child_tgid=child, child_tid=child, **head(FIRST, FIRST, 2))))
    missing = sum(cache.name(child, fd) is None for child in children for fd in numbers)
    assert 0 < missing < len(children) * len(numbers)
    assert engine.counters()["untracked_fds"] == missing


def test_a_batch_is_full_when_its_texts_are() -> None:
    """Several wait for a writer that is slow: with as much text as rows they would take gigabytes."""
    engine = Engine(RULES, NAMES, syscalls.FAMILIES)
    most, path_bytes, rows = SMALL_BYTES, 3000, 6000  # what is written as a row group of its own
    block = b"".join(
        wire.encode(record)
        for n in range(rows)
        for record in (wire.Name(fd=3, name=wire.NameText(b"/%0*d" % (path_bytes, n)), **head(1, 1, n)), *read(1, 1, n))
    )
    sizes = []
    while block:
        taken = engine.feed(block)
        assert taken > 0
        block = block[taken:]
        columns = engine.take()
        batch = record_batch(columns)
        sizes.append((batch.num_rows, len(batch.column("file").dictionary) * path_bytes))
        del batch
        columns.release()
    assert sum(count for count, _ in sizes) == rows
    assert len(sizes) > 1
    assert all(most <= text <= 1.1 * most for _, text in sizes[:-1])
    assert sizes[-1][1] < most
