"""Names of what others change while a call runs: what the call returned tells which file it was."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, end, go_on, until_attached

ROUNDS = 20_000
SYSCALL = {"number": "pread64", "directory": "readlink"}
TRUTH = {
    ("number", 10): "10",
    ("number", 20): "20",
    ("number", "EFAULT"): "10",
    ("number", "EISDIR"): "d20",
    ("directory", 10): "d10/link",
    ("directory", 20): "d20/link",
    ("directory", "EINVAL"): "d10/file",
    ("directory", "ENOENT"): "d20/file",
}
"""What is shared and what a call returned -> what it was called on (see shared_meanwhile.c)."""


def check(recording: Path, shared: str, work: Path, **equal: object) -> None:
    """Every call has a row with the right name or none, and some have one."""
    rows = [
        row
        for row in pq.read_table(recording, filters=[("syscall", "=", SYSCALL[shared])]).to_pylist()
        if all(row[key] == value for key, value in equal.items()) and (shared, outcome(row)) in TRUTH
    ]
    assert len(rows) == ROUNDS
    named = [row for row in rows if row["file"] is not None and row["file"].startswith("/")]
    assert [row for row in named if row["file"] != f"{work}/{TRUTH[shared, outcome(row)]}"] == []
    assert len(named) > ROUNDS // 1000


def outcome(row: dict[str, Any]) -> int | str:
    return row["error"] or row["ret"]


def until_over(tracer: subprocess.Popen[bytes], option: str) -> None:
    """Ends a tracer of the whole machine; one of processes ends with them."""
    if option == "-a":
        end(tracer)
    else:
        assert tracer.wait(timeout=60) == 0


@pytest.mark.parametrize("shared", ["number", "directory"])
@pytest.mark.parametrize("sharer", ["thread", "process"])
def test_of_a_command(sharer: str, shared: str, programs: Path, cli: Cli, work: Path) -> None:
    program = programs / "shared_meanwhile"
    cli("record", "-o", "out.parquet", "-e", SYSCALL[shared], "--", program, sharer, shared, "succeed")
    check(work / "out.parquet", shared, work)


@pytest.mark.parametrize("shared", ["number", "directory"])
@pytest.mark.parametrize("sharer", ["thread", "process"])
def test_failed_calls_alone(sharer: str, shared: str, programs: Path, cli: Cli, work: Path) -> None:
    """With -Z the enter comes behind what changed meanwhile, and perhaps back."""
    program = programs / "shared_meanwhile"
    cli("record", "-Z", "-o", "out.parquet", "-e", SYSCALL[shared], "--", program, sharer, shared, "fail")
    check(work / "out.parquet", shared, work)


@pytest.mark.parametrize("shared", ["number", "directory"])
def test_a_thread_that_a_filter_hides(shared: str, programs: Path, cli: Cli, work: Path) -> None:
    """Its calls are not shown, but what they change is noticed."""
    program = programs / "shared_meanwhile"
    options = ("--comm", program.name[:15], "-o", "out.parquet", "-e", SYSCALL[shared])
    cli("record", *options, "--", program, "thread", shared, "succeed", "slowly")
    check(work / "out.parquet", shared, work)


def check_apart(recording: Path, names: dict[int, str]) -> None:
    """Each of the two tasks' reads has the task's own name."""
    rows = pq.read_table(recording, filters=[("syscall", "=", "pread64"), ("offset", "in", [1, 2])]).to_pylist()
    assert {(row["offset"], row["file"]) for row in rows} == {*names.items()}
    assert len(rows) == 2 * ROUNDS


@pytest.mark.parametrize("option", ["-p", "-a"])
def test_threads_with_tables_of_their_own_among_many(
    option: str, programs: Path, run, start: Start, work: Path
) -> None:
    process = run(programs / "apart", "many")
    assert process.stdout.readline() == b"ready\n"
    target = ["-p", str(process.pid)] if option == "-p" else ["-a"]
    tracer = start("record", "-o", "out.parquet", "-e", "pread64", *target)
    until_attached(tracer)
    go_on(process)
    until_over(tracer, option)
    check_apart(work / "out.parquet", {1: f"{work}/1", 2: f"{work}/2"})


def test_threads_that_parted_while_a_filter_hid_them(programs: Path, cli: Cli, work: Path) -> None:
    cli("record", "--comm", "reader", "-o", "out.parquet", "-e", "%desc", "--", programs / "apart", "hidden")
    check_apart(work / "out.parquet", {1: f"{work}/1", 2: f"{work}/2"})


def test_processes_with_one_table_and_two_roots(programs: Path, cli: Cli, work: Path) -> None:
    """Each calls the file by its own name, however the two take turns."""
    cli("record", "-o", "out.parquet", "-e", "%desc", "--", programs / "apart", "roots")
    check_apart(work / "out.parquet", {1: f"{work}/root/2", 2: "/2"})


@pytest.mark.parametrize("shared", ["number", "directory"])
@pytest.mark.parametrize("option", ["-p", "-a"])
def test_processes_that_shared_before_the_trace(
    option: str, shared: str, programs: Path, run, start: Start, work: Path
) -> None:
    process = run(programs / "shared_meanwhile", "process", shared, "succeed")
    pid, other = (int(number) for number in process.stdout.readline().split())
    target = ["-p", str(pid), "-p", str(other)] if option == "-p" else ["-a"]
    tracer = start("record", "-o", "out.parquet", "-e", SYSCALL[shared], *target)
    until_attached(tracer)
    go_on(process)
    until_over(tracer, option)
    check(work / "out.parquet", shared, work, pid=pid)


@pytest.mark.parametrize("later", [(), ("later",)], ids=["before", "later"])
@pytest.mark.parametrize("shared", ["number", "directory"])
def test_a_process_that_is_not_traced(
    shared: str, later: tuple[str, ...], programs: Path, run, start: Start, work: Path
) -> None:
    """What it changes is noticed, whoever made it."""
    process = run(programs / "shared_meanwhile", "process", shared, "succeed", *later, "slowly")
    pid = int(process.stdout.readline().split()[0])
    tracer = start("record", "-o", "out.parquet", "-e", SYSCALL[shared], "-p", str(pid))
    until_attached(tracer)
    go_on(process)
    assert tracer.wait(timeout=60) == 0
    check(work / "out.parquet", shared, work)


@pytest.mark.parametrize("shared", ["number", "directory"])
def test_a_process_that_shares_since_a_clone_that_is_not_shown(
    shared: str, programs: Path, run, start: Start, work: Path
) -> None:
    process = run(programs / "shared_meanwhile", "process", shared, "succeed", "later")
    pid = int(process.stdout.readline().split()[0])
    tracer = start("record", "-o", "out.parquet", "-e", SYSCALL[shared], "-f", "-p", str(pid))
    until_attached(tracer)
    go_on(process)
    assert tracer.wait(timeout=60) == 0
    check(work / "out.parquet", shared, work, pid=pid)


def test_programs_that_are_run_by_a_relative_path(programs: Path, cli: Cli, work: Path) -> None:
    """An execve ends the sharing of the table, and the threads that might have changed something."""
    told = cli("record", "-o", "out.parquet", "-e", "execve", "--", programs / "exec_meanwhile").stdout
    truth = {int(pid): f"{work}/d{status}/program" for pid, status in (line.split() for line in told.splitlines())}
    rows = [row for row in pq.read_table(work / "out.parquet").to_pylist() if row["pid"] in truth and row["ret"] == 0]
    assert len(rows) == len(truth) == 300
    assert [row for row in rows if row["file"] not in {None, "program", truth[row["pid"]]}] == []
    assert any(row["file"] == truth[row["pid"]] for row in rows)


def test_failed_calls_whose_names_change_while_they_block(programs: Path, cli: Cli, work: Path) -> None:
    """With -Z a name is asked for when the call has failed: it is shown if it was the same when the call began.

    Nobody else may rename anything meanwhile: these are calls that block."""
    cli("record", "-Z", "-o", "out.parquet", "-e", "read,pread64,truncate", "--", programs / "changed_meanwhile")
    rows = pq.read_table(work / "out.parquet").to_pylist()
    terminal, elsewhere, *reads, pipe, unchanged, moved = [row["file"] for row in rows]
    assert reads == [f"{work}/unchanged", *(None, f"{work}/other"), None, *(None, f"{work}/renamed-2"), None]
    assert (terminal, elsewhere) == (None, None)
    assert pipe.startswith("pipe:[")
    assert (unchanged, moved) == (f"{work}/leased", "leased-too")
