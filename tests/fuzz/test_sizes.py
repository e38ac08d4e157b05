"""A traced program can't make us grow: long names, and names that change for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
import wire
from test_decoder import HEAD, NUMBERS, READ, new_engine

from tracer._fast import Engine

LONG = b"x" * 4000
PATH_MIB = 600
"""More than twice of what is kept, were it all kept."""


def resident_mib() -> float:
    """Of this process, by the kernel."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def feed(engine: Engine, records: list[wire.AnyRecord]) -> int:
    """How many rows they make."""
    block, at, rows = b"".join(map(wire.encode, records)), 0, 0
    while at < len(block):
        at = engine.feed(block, at)
        columns = engine.take()
        if columns is not None:
            rows += columns.rows
            columns.release()
    return rows


def test_names_of_open_descriptors_are_kept_up_to_a_limit() -> None:
    engine, count = new_engine(), (PATH_MIB << 20) // len(LONG)
    cache = engine.pairer.fd_cache
    before = resident_mib()
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        feed(engine, [wire.Name(fd=fd, name=wire.NameText(b"/%d/" % fd + LONG), **HEAD) for fd in numbers])
    last = count - 1
    assert engine.counters()["untracked_fds"] == cache.untracked > count // 3
    assert (cache.name(HEAD["tgid"], 0), cache.name(HEAD["tgid"], last)) == (b"/0/" + LONG, None)
    assert resident_mib() - before < PATH_MIB * 0.75
    feed(engine, [wire.TaskExit(group_dead=True, **HEAD), wire.Name(fd=3, name=wire.NameText(b"/again"), **HEAD)])
    assert cache.name(HEAD["tgid"], 3) == b"/again"


def opening(fd: int, path: bytes, name: bytes | None) -> list[wire.AnyRecord]:
    return [
        wire.Enter(syscall=NUMBERS["open"], args=(0, 0, 0), paths=wire.Paths(path), **HEAD),
        wire.Exit(syscall=NUMBERS["open"], ret=fd, name=None if name is None else wire.NameText(name), **HEAD),
    ]


@pytest.mark.parametrize("names_come", [True, False])
def test_names_that_come_with_the_open_count_too(names_come: bool) -> None:
    """The row of the open has the name as well, but not for long."""
    engine, count = new_engine(), (PATH_MIB << 20) // len(LONG)
    cache = engine.pairer.fd_cache
    before = resident_mib()
    for start in range(0, count, 1000):
        records: list[wire.AnyRecord] = []
        for fd in range(start, min(start + 1000, count)):
            path = b"/%d/" % fd + LONG
            records += opening(fd, b"a", path) if names_come else opening(fd, path, None)
        feed(engine, records)
    assert engine.counters()["untracked_fds"] == cache.untracked > count // 3
    assert (cache.name(HEAD["tgid"], 0), cache.name(HEAD["tgid"], count - 1)) == (b"/0/" + LONG, None)
    assert resident_mib() - before < PATH_MIB * 0.75
    copies = [wire.Exit(syscall=NUMBERS["dup"], ret=count, **HEAD)]
    feed(engine, [wire.Enter(syscall=NUMBERS["dup"], args=(0,), **HEAD), *copies])
    assert cache.name(HEAD["tgid"], count) == b"/0/" + LONG, "a copy takes no room"


def test_names_that_change_for_ever_take_no_room() -> None:
    engine = new_engine()
    growth = []
    for start in range(0, 100_000, 2000):
        records: list[wire.AnyRecord] = []
        for number in range(start, start + 2000):
            records += [
                wire.Comm(comm=b"%d" % number, **HEAD),
                wire.Name(fd=3, name=wire.NameText(b"/%d/" % number + LONG[:500]), **HEAD),
            ]
        feed(engine, records)
        growth.append(resident_mib())
    assert growth[-1] - growth[4] < 16
    assert engine.pairer.fd_cache.name(HEAD["tgid"], 3) == b"/99999/" + LONG[:500]
    assert engine.counters()["untracked_fds"] == 0


def test_a_number_whose_name_was_not_kept_is_null_and_not_an_older_one() -> None:
    engine = new_engine()
    cache = engine.pairer.fd_cache
    feed(engine, [wire.Name(fd=3, name=wire.NameText(b"/old"), **HEAD)])
    fd = 4
    while cache.untracked == 0:
        feed(engine, [wire.Name(fd=fd + n, name=wire.NameText(LONG), **HEAD) for n in range(1000)])
        fd += 1000
    feed(engine, [wire.Name(fd=3, name=wire.NameText(b"/new/" + LONG), **HEAD)])
    assert cache.name(HEAD["tgid"], 3) is None
    calls: list[wire.AnyRecord] = [
        wire.Enter(syscall=READ, args=(3, 0, 1), **HEAD),
        wire.Exit(syscall=READ, ret=1, **HEAD),
    ]
    assert feed(engine, calls) == 1
