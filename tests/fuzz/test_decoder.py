"""Anything at all into the decoder: it stops, it counts, and what it makes of it is valid Arrow."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import streams
import wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracer import syscalls
from tracer._fast import Engine
from tracer.batch import record_batch

SCALE = float(os.environ.get("TRACER_TEST_SCALE", "1"))
RULES = syscalls.rules("x86_64", frozenset(call.name for call in syscalls.TABLE))
TABLE = wire.decode_rules(RULES)
MAKER = streams.Maker(TABLE)
NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
CAPACITY = 64
HEAD: dict[str, Any] = {"time_ns": 1000, "tgid": 100, "tid": 100}


def fuzzing(count: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    many = max(1, round(count * SCALE))
    return settings(max_examples=many, deadline=None, derandomize="CI" in os.environ, suppress_health_check=slow)


def new_engine(**more: Any) -> Engine:
    return Engine(RULES, syscalls.names("x86_64"), syscalls.FAMILIES, capacity_rows=CAPACITY, ahead_bytes=0, **more)


def taken(engine: Engine) -> list[dict[str, Any]]:
    """The rows so far, as Python objects, checked by Arrow down to the last offset and byte of UTF-8."""
    columns = engine.take()
    if columns is None:
        return []
    batch = record_batch(columns)
    batch.validate(full=True)
    rows: list[dict[str, Any]] = batch.drop_columns(["time"]).to_pylist()
    columns.release()
    return rows


def survive(block: bytes) -> tuple[Engine, list[dict[str, Any]]]:
    """Feeds a block to its end; fails if a batch brings it no nearer, or if the counters don't add up."""
    engine, rows, at = new_engine(keep_stream=True), [], 0
    while True:
        stopped = engine.feed(block, at)
        batch = taken(engine)
        rows += batch
        assert at < stopped <= len(block) or at == stopped == len(block)
        assert stopped == len(block) or len(batch) == CAPACITY
        at = stopped
        if at == len(block):
            break
    counters = engine.counters()
    halves = ("enter_without_exit", "exit_without_enter", "refused_calls", "unfinished_calls", "mismatched")
    without_row = counters["malformed"] + sum(counters[cause] for cause in halves)
    whole = list(wire.walk(block))
    assert counters["malformed"] == whole.count(None)
    # the last of a block that leads nowhere is no record; all others were handled, and gave one row at most
    assert engine.events in (len(whole), len(whole) - 1)
    assert len(rows) + without_row <= len(whole)
    assert list(wire.walk(engine.take_stream())) == whole[: engine.events]
    return engine, rows


@fuzzing(400)
@given(streams.damaged(TABLE))
def test_damaged_streams(block: bytes) -> None:
    survive(block)


@fuzzing(300)
@given(st.binary(max_size=600))
def test_noise(block: bytes) -> None:
    survive(block)


def test_many_damaged_streams() -> None:
    for number in range(round(400 * SCALE)):
        random = Random(number)
        block = b"".join(streams.told(MAKER, random.choices(range(1 << 32), k=40)))
        for _ in range(random.randrange(1, 4)):
            block = streams.damage(block, random)
        survive(block)


def sized(kind: int, flags: int, body: bytes, size: int | None = None, *, syscall: int = 0) -> bytes:
    """A record with this body, whatever its header says of it, padded to 8 bytes."""
    whole = 24 + len(body) if size is None else size
    record = struct.pack("=QIIHBBHH", 1000, 100, 100, whole, kind, flags, syscall, 0) + body
    return record + bytes(-len(record) % 8)


OPENAT, READ = NUMBERS["openat"], NUMBERS["read"]
ARGS = struct.pack("=4Q", (1 << 64) - 100, 0, 0, 0)


@pytest.mark.parametrize(
    "record",
    [
        sized(wire.ENTER, 4 | wire.HAS_PATHS, ARGS + struct.pack("=HHBBH", 0xFFFF, 0, 1, 0, 0) + b"/a", syscall=OPENAT),
        sized(wire.ENTER, 4 | wire.HAS_PATHS, ARGS + struct.pack("=HHBBH", 2, 0xFFFF, 1, 1, 0) + b"/a", syscall=OPENAT),
        sized(wire.ENTER, 4 | wire.HAS_PATHS, ARGS + b"\1\0", syscall=OPENAT),
        sized(wire.ENTER, 4 | wire.HAS_AUX, ARGS + b"\0" * 23, syscall=OPENAT),
        sized(wire.ENTER, 7, b"\0" * 56, syscall=READ),
        sized(wire.ENTER, 6, b"\0" * 8, syscall=READ),
        sized(wire.EXIT, wire.HAS_NAME, struct.pack("=qQIHBB", 3, 1, 0, 0xFFFF, 2, 0) + b"/a", syscall=OPENAT),
        sized(wire.EXIT, 0, b"", syscall=READ),
        sized(wire.NAME, wire.HAS_NAME, struct.pack("=iIQIHBB", 3, 0, 1, 0, 3, 2, 0) + b"/a"),
        sized(wire.NAME, 0, struct.pack("=iI", 3, 0)),
        sized(wire.FORK, 0, b"\0" * 31),
        sized(wire.EXEC, 0, b"\0" * 32),
        sized(wire.COMM, 0, b"\0" * 8),
        sized(0, 0, b""),
        sized(255, 0xFF, b"\0" * 64),
    ],
)
def test_a_part_that_points_outside_of_its_record_is_malformed(record: bytes) -> None:
    behind = wire.encode(wire.Enter(syscall=READ, args=(3, 0, 1), **HEAD))
    behind += wire.encode(wire.Exit(syscall=READ, ret=1, **HEAD))
    engine, rows = survive(record + behind)
    assert engine.counters()["malformed"] == 1
    assert [row["syscall"] for row in rows] == ["read"]


@pytest.mark.parametrize("size", [0, 1, 23, 25, 1 << 15, 0xFFFF])
def test_a_size_that_leads_nowhere_ends_the_block(size: int) -> None:
    block = sized(wire.TASK_EXIT, 0, b"", size)
    assert survive(block)[0].counters()["malformed"] == 1
    pairer = new_engine().pairer
    assert pairer.feed(block) == 0
    assert pairer.malformed == 1


HUGE = (-1, -100, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


@pytest.mark.parametrize("fd", HUGE)
def test_descriptors_of_any_size(fd: int) -> None:
    stories = {
        "openat": ((fd, 0, 0, 0), fd), "dup": ((fd,), fd), "dup2": ((3, fd), fd), "dup3": ((fd, 3, 0), 3),
        "fcntl": ((fd, 1030, 0), fd), "close_range": ((fd, fd, 0), 0), "close": ((fd,), 0), "fchdir": ((fd,), 0),
        "ioctl": ((fd, 0x5451, 0), 0), "mmap": ((0, fd, 0, 0, fd, 0), fd), "read": ((fd, fd, fd), fd),
        "epoll_ctl": ((fd, fd, fd, 0), 0), "pipe2": ((0, 0), 0), "poll": ((0, fd, fd), fd), "brk": ((fd,), fd),
    }  # fmt: skip
    block = b"".join(wire.encode(wire.Name(fd=n, name=wire.NameText(b"/n"), **HEAD)) for n in (3, -1, (1 << 31) - 1))
    for name, (args, ret) in stories.items():
        head, signed = HEAD | {"syscall": NUMBERS[name]}, struct.unpack("=q", struct.pack("=Q", ret % (1 << 64)))[0]
        pair = struct.pack("=II16x", fd % (1 << 32), fd % (1 << 32)) if name == "pipe2" else None
        paths = wire.Paths(b"../x") if name == "openat" else None
        block += wire.encode(wire.Enter(args=args, paths=paths, **head))
        block += wire.encode(wire.Exit(ret=signed, aux=pair, name=None, **head))
    _, rows = survive(block)
    assert [row["syscall"] for row in rows] == list(stories)


@pytest.mark.parametrize("tgid", [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
@pytest.mark.parametrize("tid", [0, 0xFFFF_FFFF])
@pytest.mark.parametrize("times_ns", [(0, 0), ((1 << 64) - 1, 0), (0, (1 << 64) - 1), (1 << 63, (1 << 63) - 1)])
def test_numbers_and_times_at_their_ends(tgid: int, tid: int, times_ns: tuple[int, int]) -> None:
    before, after = ({"time_ns": now, "tgid": tgid, "tid": tid} for now in times_ns)
    records: list[wire.AnyRecord] = [
        wire.Fork(child_tgid=tgid, child_tid=tid, clone_flags=(1 << 64) - 1, comm=b"\xff" * 16, **before),
        wire.Exec(old_tid=0xFFFF_FFFF - tid, comm=b"x", **after),
        wire.Enter(syscall=READ, args=(3, 0, 1), **before),
        wire.Exit(syscall=READ, ret=1, **after),
        wire.TaskExit(group_dead=True, **before),
    ]
    _, rows = survive(b"".join(map(wire.encode, records)))
    assert [row["syscall"] for row in rows] == ["read"]
    assert rows[0]["latency_ns"] == struct.unpack("=q", struct.pack("=Q", max(0, times_ns[1] - times_ns[0])))[0]


def test_texts_as_long_as_a_record_can_be() -> None:
    text = b"../" * 21000
    records: list[wire.AnyRecord] = [
        wire.Name(fd=3, name=wire.NameText(b"\0" * 65000, kind), **HEAD) for kind in range(8)
    ]
    records += [wire.Name(fd=wire.CWD_FD, name=wire.NameText(b"/" + b"d" * 65000), **HEAD)]
    for path in (text, b"/" + text, b"\xff" * 65000, b"a/" * 32000):
        records += [
            wire.Enter(syscall=NUMBERS["newstat"], args=(0, 0), paths=wire.Paths(path), **HEAD),
            wire.Exit(syscall=NUMBERS["newstat"], ret=0, **HEAD),
        ]
    _, rows = survive(b"".join(map(wire.encode, records)))
    escaped = len("\\xff")
    assert [len(row["file"]) for row in rows] == [1, 1, 4095 * escaped, 4095]


def strangers(count: int) -> Iterator[bytes]:
    """Blocks in which threads of as many processes, none of them seen before, make a call each."""
    for start in range(0, count, 5000):
        records: list[wire.AnyRecord] = []
        for number in range(start, start + 5000):
            head = {"time_ns": 1000 + number, "tgid": 1 + 7 * number, "tid": 1 + 7 * number}
            records += [
                wire.Name(fd=3, name=wire.NameText(b"/%d" % number), **head),
                wire.Enter(syscall=READ, args=(3, 0, 1), **head),
                wire.Exit(syscall=READ, ret=1, **head),
            ]
        yield b"".join(map(wire.encode, records))


def test_memory_is_bounded_whoever_comes() -> None:
    pairer = new_engine().pairer
    most_threads = most_processes = 0
    for block in strangers(200_000):
        assert pairer.feed(block) == 5000
        most_threads, most_processes = max(most_threads, len(pairer)), max(most_processes, len(pairer.fd_cache))
    assert (most_threads <= 65536, most_processes <= 32768) == (True, True)
    assert len(pairer) > 65536 // 2, "the recent ones are still known"
    assert pairer.fd_cache.name(1 + 7 * 199_999, 3) == b"/199999"
    assert pairer.fd_cache.untracked == 0


def test_tables_of_the_largest_size_are_not_kept_without_end() -> None:
    pairer = new_engine().pairer
    last = (1 << 20) - 1
    processes = 2000  # each takes the 128 KiB of pointers that the highest number needs: 192 MiB are enough for 1500
    names = [wire.Name(time_ns=1, tgid=n, tid=n, fd=last, name=wire.NameText(b"/x")) for n in range(1, processes + 1)]
    pairer.feed(b"".join(map(wire.encode, names)))
    assert pairer.fd_cache.name(1, last) == b"/x"
    assert pairer.fd_cache.name(processes, last) is None
    assert pairer.fd_cache.untracked > 0
