"""A traced program can't make us grow: long names, and names that change for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wire
from test_decoder import HEAD, READ, new_engine

from tracer._fast import Engine

LONG = b"x" * 4000
PATH_MIB = 600
"""More than twice of what is kept, were it all kept."""


def resident_mib() -> float:
    """Of this process, by the kernel."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def feed(engine: Engine, records: list[wire.AnyRecord]) -> list[dict[str, Any]]:
    block, at, rows = b"".join(map(wire.encode, records)), 0, []
    while at < len(block):
        at = engine.feed(block, at)
    columns = engine.take()
    if columns is not None:
        rows = [{"count": columns.rows}]
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
    assert feed(engine, calls) == [{"count": 1}]
