"""What /proc did not answer is asked again, unless the process is known to be gone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import wire

from tracer import syscalls
from tracer._fast import Engine
from tracer.batch import record_batch

NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
RULES = syscalls.rules("x86_64", frozenset(NUMBERS))


def new_engine() -> Engine:
    return Engine(RULES, syscalls.names("x86_64"), syscalls.FAMILIES, capacity_rows=64, ask_proc=True)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def read(pid: int, fd: int, tid: int = 0) -> bytes:
    head = {"tgid": pid, "tid": tid or pid}
    enter = wire.Enter(syscall=NUMBERS["read"], args=(fd, 0, 1), time_ns=1, **head)
    return wire.encode(enter) + wire.encode(wire.Exit(syscall=NUMBERS["read"], ret=0, time_ns=2, **head))


def close(pid: int, name: str, *args: int) -> bytes:
    head = {"tgid": pid, "tid": pid}
    enter = wire.Enter(syscall=NUMBERS[name], args=args, time_ns=1, **head)
    return wire.encode(enter) + wire.encode(wire.Exit(syscall=NUMBERS[name], ret=0, time_ns=2, **head))


def rows(engine: Engine, *blocks: bytes) -> list[tuple[str, str | None]]:
    """Comm and file of the rows."""
    block = b"".join(blocks)
    assert engine.feed(block) == len(block)
    columns = engine.take()
    assert columns is not None
    found = [(row["comm"], row["file"]) for row in record_batch(columns, 0).to_pylist()]
    columns.release()
    return found


def asks(engine: Engine, *blocks: bytes) -> int:
    before = engine.pairer.proc_asks
    rows(engine, *blocks)
    return engine.pairer.proc_asks - before


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_a_name_that_is_known_is_not_asked_for(child: subprocess.Popen[bytes]) -> None:
    engine = new_engine()
    assert rows(engine, read(child.pid, 0))[0][1] == "/dev/null"
    assert engine.pairer.proc_asks == 2  # the descriptor's, and the thread's
    assert asks(engine, read(child.pid, 0), read(child.pid, 0)) == 0


@pytest.mark.parametrize(("name", "args"), [("close", (0,)), ("close_range", (0, 9, 0))])
def test_a_number_that_was_closed_is_not_asked_for(
    child: subprocess.Popen[bytes], name: str, args: tuple[int, ...]
) -> None:
    """By the time that the stream is read the process may have opened another file under it, as `child` has."""
    engine = new_engine()
    assert rows(engine, close(child.pid, name, *args))[0][1] is None
    assert engine.pairer.fd_cache.name(child.pid, 0) is None


def test_a_process_that_lives_is_asked_again(child: subprocess.Popen[bytes]) -> None:
    engine = new_engine()
    assert asks(engine, read(child.pid, 500)) == 2
    assert asks(engine, read(child.pid, 500), read(child.pid, 500)) == 2
    assert asks(engine, read(child.pid, 0)) == 1


def test_one_that_has_ended_but_was_not_waited_for_is_asked_again(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    engine = new_engine()
    assert asks(engine, read(child.pid, 0)) == 2
    assert asks(engine, read(child.pid, 0)) == 1


def test_one_that_is_gone_is_asked_once(child: subprocess.Popen[bytes]) -> None:
    end(child)
    engine = new_engine()
    assert asks(engine, read(child.pid, 0)) == 1
    unlink = wire.Enter(
        syscall=NUMBERS["unlink"], args=(1,), paths=wire.Paths(b"relative"), time_ns=3, tgid=child.pid, tid=child.pid
    )
    gone = wire.Exit(syscall=NUMBERS["unlink"], ret=0, time_ns=4, tgid=child.pid, tid=child.pid)
    blocks = [read(child.pid, 1), read(child.pid, 2, tid=child.pid + 1), wire.encode(unlink), wire.encode(gone)]
    assert asks(engine, *blocks) == 0


def test_names_that_were_told_before_stay(child: subprocess.Popen[bytes]) -> None:
    engine = new_engine()
    comm = Path(f"/proc/{child.pid}/comm").read_text().strip()
    assert rows(engine, read(child.pid, 0)) == [(comm, "/dev/null")]
    end(child)
    assert rows(engine, read(child.pid, 7), read(child.pid, 0)) == [(comm, None), (comm, "/dev/null")]


@pytest.mark.parametrize("way", ["fork", "exit"])
def test_what_comes_under_its_number_after_a_fork_or_its_end_is_another_one(
    child: subprocess.Popen[bytes], way: str
) -> None:
    end(child)
    engine = new_engine()
    assert asks(engine, read(child.pid, 0)) == 1
    records = {
        "fork": wire.Fork(
            child_tgid=child.pid,
            child_tid=child.pid,
            clone_flags=0,
            comm=b"",
            time_ns=5,
            tgid=os.getpid(),
            tid=os.getpid(),
        ),
        "exit": wire.TaskExit(group_dead=1, time_ns=5, tgid=child.pid, tid=child.pid),
    }
    assert asks(engine, wire.encode(records[way]), read(child.pid, 0)) >= 1


def test_others_are_asked_meanwhile(child: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["true"]) as other:
        other.wait()
    engine = new_engine()
    assert asks(engine, read(other.pid, 0)) == 1
    assert rows(engine, read(child.pid, 0))[0][1] == "/dev/null"
