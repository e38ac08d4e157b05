"""Where the kernel program tells all names, /proc is asked only for those that it could not spell, and believed only if
it answers of the same file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wire

from tracer import syscalls
from tracer._fast import Engine
from tracer.batch import record_batch

NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
RULES = syscalls.rules("x86_64", frozenset(NUMBERS))
HEAD: dict[str, Any] = {"tgid": os.getpid(), "tid": threading.get_native_id()}


def files_and_stream(
    records: list[wire.AnyRecord] | bytes, *, live: bool
) -> tuple[list[tuple[str | None, str | None]], bytes]:
    engine = Engine(
        RULES, syscalls.names("x86_64"), syscalls.FAMILIES, ask_proc=live, kernel_names=True, keep_stream=True
    )
    block = records if isinstance(records, bytes) else b"".join(map(wire.encode, records))
    engine.feed(block)
    columns = engine.take()
    assert columns is not None
    files = [(row["file"], row["file_source"]) for row in record_batch(columns).to_pylist()]
    columns.release()
    return files, engine.take_stream()


def unspelled(fd: int, status: os.stat_result, at_ns: int) -> wire.Name:
    """What the kernel program sends of a path with too many components."""
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    section = wire.NameText(b"x\0", wire.NAME_COMPONENTS, wire.NAME_INCOMPLETE, status.st_ino, device)
    return wire.Name(fd=fd, name=section, time_ns=at_ns, **HEAD)


def call(name: str, *args: int, at_ns: int, path: bytes | None = None) -> list[wire.AnyRecord]:
    paths = None if path is None else wire.Paths(path)
    enter = wire.Enter(syscall=NUMBERS[name], args=args, paths=paths, time_ns=at_ns, **HEAD)
    return [enter, wire.Exit(syscall=NUMBERS[name], ret=0, time_ns=at_ns + 5, **HEAD)]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_the_same_file_is_believed_and_a_replay_knows_it(opened: int, tmp_path: Path) -> None:
    records = [unspelled(opened, os.stat(opened), 10), *call("fsync", opened, at_ns=10)]
    files, stream = files_and_stream(records, live=True)
    assert files == [(str(tmp_path / "file"), "proc")]
    again, _ = files_and_stream(stream, live=False)
    assert again == files
    assert files_and_stream(records, live=False)[0] == [(None, None)]


def test_another_file_under_the_number_is_not_believed(opened: int, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    known = wire.Name(fd=opened, name=wire.NameText(b"/before"), time_ns=5, **HEAD)
    for status in (other.stat(), os.stat("/dev")):
        records = [known, unspelled(opened, status, 10), *call("fsync", opened, at_ns=10)]
        assert files_and_stream(records, live=True)[0] == [(None, None)]


def test_a_name_that_the_kernel_program_did_not_speak_of_is_not_asked_for(opened: int) -> None:
    assert files_and_stream(call("fsync", opened, at_ns=10), live=True)[0] == [(None, None)]


def test_a_thread_whose_name_was_lost_stays_unknown() -> None:
    """By now it may be called otherwise."""
    engine = Engine(RULES, syscalls.names("x86_64"), syscalls.FAMILIES, ask_proc=True, kernel_names=True)
    told = wire.Comm(comm=b"told", time_ns=20, **HEAD)
    engine.feed(b"".join(map(wire.encode, [*call("getpid", at_ns=10), told, *call("getpid", at_ns=30)])))
    columns = engine.take()
    assert columns is not None
    assert [row["comm"] for row in record_batch(columns).to_pylist()] == ["", "told"]
    assert engine.pairer.proc_asks == 0


def test_working_directory() -> None:
    right = unspelled(wire.CWD_FD, Path.cwd().stat(), 10)
    wrong = unspelled(wire.CWD_FD, os.stat("/proc"), 30)
    records = [right, *call("unlink", 0, at_ns=20, path=b"x"), wrong, *call("unlink", 0, at_ns=40, path=b"x")]
    assert files_and_stream(records, live=True)[0] == [(f"{Path.cwd()}/x", "arg"), ("x", "arg")]
