"""What /proc answered lies in the stream: a replay that asks nothing gives the same rows."""

from __future__ import annotations

import os
import threading
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


def rows_and_stream(block: bytes, *, ask_proc: bool) -> tuple[list[dict[str, Any]], bytes]:
    names, families = syscalls.names("x86_64"), syscalls.FAMILIES
    engine = Engine(RULES, names, families, capacity_rows=64, ask_proc=ask_proc, keep_stream=True)
    assert engine.feed(block) == len(block)
    columns = engine.take()
    assert columns is not None
    rows: list[dict[str, Any]] = record_batch(columns).to_pylist()
    columns.release()
    return rows, engine.take_stream()


def call(name: str, *args: int, ret: int = 0, at_ns: int = 1000, path: bytes | None = None) -> bytes:
    paths = None if path is None else wire.Paths(path)
    enter = wire.Enter(syscall=NUMBERS[name], args=args, paths=paths, time_ns=at_ns, **HEAD)
    return wire.encode(enter) + wire.encode(wire.Exit(syscall=NUMBERS[name], ret=ret, time_ns=at_ns + 10, **HEAD))


def test_names_that_were_asked_for_are_those_of_the_replay(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    file, directory = os.open(place, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    try:
        block = call("read", file, 0, 1, ret=0) + call("read", file, 0, 1, at_ns=2000)
        block += call("unlinkat", directory, 0, 0, ret=-2, path=b"../x", at_ns=3000)
        block += call("newstat", 0, 0, ret=-2, path=b"relative", at_ns=4000) + call("close", file, at_ns=5000)
        rows, stream = rows_and_stream(block, ask_proc=True)
    finally:
        os.close(file)
        os.close(directory)
    comm = Path(f"/proc/self/task/{HEAD['tid']}/comm").read_text().removesuffix("\n")
    assert {row["comm"] for row in rows} == {comm}
    found = [(row["file"], row["file_source"]) for row in rows]
    cwd = f"{Path.cwd()}/relative"
    where = str(place)
    assert found == [(where, "proc"), (where, "proc"), (f"{tmp_path.parent}/x", "arg"), (cwd, "arg"), (where, "proc")]
    asked = [record for record in wire.walk(stream) if isinstance(record, wire.Name | wire.Comm)]
    assert [record.from_proc for record in asked] == [True] * 4
    assert rows_and_stream(stream, ask_proc=False) == (rows, stream)
    assert rows_and_stream(block, ask_proc=False)[0] != rows


@pytest.mark.parametrize(("name", "ret"), [("close", 0), ("read", -9)])
def test_what_is_closed_is_not_asked_for(tmp_path: Path, name: str, ret: int) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        rows, stream = rows_and_stream(call(name, fd, 0, 1, ret=ret), ask_proc=True)
    finally:
        os.close(fd)
    assert rows[0]["file"] is None
    assert not [record for record in wire.walk(stream) if isinstance(record, wire.Name)]


def test_an_exec_is_not_named_after_the_new_program() -> None:
    nobody = {"tgid": 1 << 30, "tid": 1 << 30}  # whom /proc does not know
    records: list[wire.AnyRecord] = [
        wire.Enter(syscall=NUMBERS["execveat"], args=(0,) * 5, time_ns=1, **nobody),
        wire.Exec(old_tid=1 << 30, comm=b"new", time_ns=2, **nobody),
        wire.Exit(syscall=NUMBERS["execve"], ret=0, time_ns=3, **nobody),
    ]
    rows, _ = rows_and_stream(b"".join(map(wire.encode, records)), ask_proc=True)
    assert [(row["syscall"], row["comm"]) for row in rows] == [("execveat", "")]
