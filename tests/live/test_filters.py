"""What the kernel program lets through: syscalls, failures, users, names, cgroups."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli

from tracer import selection
from tracer.capture.kernel import cgroup2_mounts

pytestmark = pytest.mark.beside_others


def rows_of(recording: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(recording).to_pylist()
    return rows


class TestSyscalls:
    COMMAND = ("--", "sh", "-c", "cd /; cat /etc/passwd; read x < /etc/group; ls no-such; exec true")

    def traced(self, cli: Cli, work: Path, *options: str) -> set[str]:
        cli("record", "--force", "-o", "a.parquet", *options, *self.COMMAND, status=0)
        return {row["syscall"] for row in rows_of(work / "a.parquet")}

    def test_names(self, cli: Cli, work: Path) -> None:
        assert self.traced(cli, work, "-e", "openat,read") == {"openat", "read"}
        assert self.traced(cli, work, "-e", "trace=openat", "-e", "read") == {"openat", "read"}

    def test_class(self, cli: Cli, work: Path) -> None:
        traced = self.traced(cli, work, "-e", "%desc")
        assert {"openat", "read", "close", "dup2", "mmap", "write"} <= traced
        assert not {"execve", "brk", "chdir", "exit_group"} & traced
        assert traced <= selection.parse(["%desc"])

    def test_all_but(self, cli: Cli, work: Path) -> None:
        everything = self.traced(cli, work, "-e", "all")
        assert {"read", "openat", "brk", "chdir", "execve", "exit_group", "rt_sigaction"} <= everything
        assert self.traced(cli, work, "-e", "!read,%file") == everything - selection.parse(["read,%file"])

    def test_regular_expression(self, cli: Cli, work: Path) -> None:
        assert self.traced(cli, work, "-e", "/^(open|exec)") == {"openat", "execve"}

    def test_without_one(self, cli: Cli, work: Path) -> None:
        traced = self.traced(cli, work)
        assert {"openat", "read", "close"} <= traced <= selection.parse(None)
        assert "execve" not in traced

    def test_paths_need_no_selection_of_what_changes_them(self, cli: Cli, work: Path) -> None:
        self.traced(cli, work, "-e", "read")
        files = {row["file"] for row in rows_of(work / "a.parquet") if row["comm"] in {"sh", "cat"}}
        assert {"/etc/passwd", "/etc/group"} <= files


class TestFailures:
    def test_only_failures_and_their_paths(self, cli: Cli, work: Path) -> None:
        (work / "folder").mkdir()
        script = "cat /etc/passwd > /dev/null; cd folder; cat nothing; cat ../neither; mkdir /proc/x; exit 0"
        cli("record", "-Z", "-o", "a.parquet", "-e", "%file,%desc", "--", "sh", "-c", script)
        rows = rows_of(work / "a.parquet")
        assert all(row["is_error"] and row["ret"] < 0 and row["error"] for row in rows)
        failed = {(row["file"], row["error"]) for row in rows}
        assert {
            (f"{work}/folder/nothing", "ENOENT"),
            (f"{work}/neither", "ENOENT"),
            ("/proc/x", "ENOENT"),
        } <= failed
        assert "/etc/passwd" not in {file for file, _ in failed}

    def test_interrupted_calls_are_among_them(self, cli: Cli, work: Path) -> None:
        """As strace's -Z has it: what the program sees is EINTR, or nothing."""
        script = "import signal, time; signal.signal(14, lambda *_: 0); signal.setitimer(0, 0.05); time.sleep(0.1)"
        cli("record", "-Z", "-o", "a.parquet", "-e", "clock_nanosleep", "--", sys.executable, "-c", script)
        assert [(row["ret"], row["is_error"]) for row in rows_of(work / "a.parquet")] == [(-514, False)]

    def test_failure_of_a_descriptor_that_succeeded_before(self, cli: Cli, work: Path) -> None:
        """Calls that are no rows still say what a descriptor is."""
        (work / "a").touch()
        cli(
            "record", "-Z", "-o", "a.parquet", "-e", "%desc", "--", "sh", "-c", "exec 5< a; exec 6<&5; echo x >&6; true"
        )
        (write,) = [row for row in rows_of(work / "a.parquet") if row["syscall"] == "write" and row["error"] == "EBADF"]
        assert write["file"] == f"{work}/a"


class TestTasks:
    BOTH = (
        "--",
        "sh",
        "-c",
        "cat /etc/passwd; setpriv --reuid=65534 --clear-groups cat /etc/group; exec cat /etc/hosts",
    )

    def opened(self, cli: Cli, work: Path, *options: str) -> set[str]:
        cli("record", "-o", "a.parquet", *options, *self.BOTH)
        return {row["file"] for row in rows_of(work / "a.parquet") if row["syscall"] == "openat"}

    @pytest.mark.parametrize("user", ["65534", "nobody"])
    def test_user(self, user: str, cli: Cli, work: Path) -> None:
        opened = self.opened(cli, work, "--uid", user)
        assert "/etc/group" in opened
        assert not {"/etc/passwd", "/etc/hosts"} & opened

    def test_name(self, cli: Cli, work: Path) -> None:
        opened = self.opened(cli, work, "--comm", "cat")
        assert {"/etc/passwd", "/etc/group", "/etc/hosts"} <= opened
        assert {row["comm"] for row in rows_of(work / "a.parquet")} == {"cat"}

    def test_part_of_a_name_is_another_name(self, cli: Cli, work: Path) -> None:
        assert self.opened(cli, work, "--comm", "ca") == set()


@pytest.fixture(scope="module")
def cgroup2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the cgroup2 file system is mounted; a bare root has it nowhere, so it is mounted for a while."""
    mounts = cgroup2_mounts()
    if mounts:
        yield mounts[0]
        return
    place = tmp_path_factory.mktemp("cgroup2")
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def cgroup(cgroup2: Path) -> Iterator[Path]:
    """A new cgroup with one below it."""
    top = cgroup2 / f"tracer-test-{os.getpid()}"
    (top / "below").mkdir(parents=True)
    yield top
    (top / "below").rmdir()
    top.rmdir()


MOUNTS = """
mkdir t 'c\td e'
mount -t tmpfs "$(printf 'm\\377\\013n')" t
mount -t cgroup2 none 'c\td e'
exec "$@"
"""


def test_cgroups_are_found_among_mounts_of_any_name(work: Path) -> None:
    code = "from tracer.capture.kernel import cgroup2_mounts; print([str(place) for place in cgroup2_mounts()])"
    command = ["unshare", "-m", "sh", "-e", "-c", MOUNTS, "sh", sys.executable, "-c", code]
    found = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True).stdout
    assert repr(f"{work}/c\td e") in found


class TestCgroup:
    @pytest.mark.parametrize(("where", "asked_for"), list(itertools.product(["", "below"], repeat=2)))
    def test_in_it_or_below(self, where: str, asked_for: str, cgroup: Path, cli: Cli, work: Path) -> None:
        script = f"cat /etc/passwd; (echo 0 > {cgroup / where}/cgroup.procs; exec cat /etc/group); cat /etc/hosts"
        cli("record", "-o", "a.parquet", "--cgroup", cgroup / asked_for, "--", "sh", "-c", script)
        opened = {row["file"] for row in rows_of(work / "a.parquet") if row["syscall"] == "openat"}
        assert ("/etc/group" in opened) == (where == "below" or asked_for == "")
        assert not {"/etc/passwd", "/etc/hosts"} & opened

    def test_path_below_the_mount(self, cgroup: Path, cli: Cli, work: Path) -> None:
        script = f"(echo 0 > {cgroup}/cgroup.procs; exec cat /etc/group)"
        cli("record", "-o", "a.parquet", "--cgroup", cgroup.name, "--", "sh", "-c", script)
        assert "/etc/group" in {row["file"] for row in rows_of(work / "a.parquet")}


RENAMED = """
import ctypes, os, threading
from pathlib import Path
libc = ctypes.CDLL(None)
os.mkfifo("pipe")
tids = []
def block():
    libc.prctl(15, b"shown", 0, 0, 0)
    tids.append(threading.get_native_id())
    os.close(os.open("pipe", os.O_RDONLY))
thread = threading.Thread(target=block)
thread.start()
openat = ("257 ", "56 ")
while not tids or not Path(f"/proc/self/task/{tids[0]}/syscall").read_text().startswith(openat):
    pass
Path(f"/proc/self/task/{tids[0]}/comm").write_text("hidden")
os.close(os.open("pipe", os.O_WRONLY))
thread.join()
libc.prctl(15, b"shown", 0, 0, 0)
os.stat("/etc")
libc.prctl(15, b"hidden", 0, 0, 0)
os.stat("/usr")
"""
"""A thread that is renamed while its call blocks, and one that renames itself, both ways."""


def test_a_thread_that_is_renamed_in_a_call(cli: Cli, work: Path) -> None:
    """The filter is asked as a call begins."""
    cli(
        *("record", "--comm", "shown", "--fail-on-loss", "-o", "out.parquet", "-e", "openat,close,prctl,newfstatat"),
        *("--", sys.executable, "-c", RENAMED),
    )
    rows = pq.read_table(work / "out.parquet").to_pylist()
    assert [(row["syscall"], row["file"], row["is_error"]) for row in rows] == [
        ("openat", f"{work}/pipe", False),
        ("newfstatat", "/etc", False),
        ("prctl", None, False),
    ]
    assert {row["comm"] for row in rows} == {"shown"}


def test_programs_that_are_run_under_another_name(cli: Cli, work: Path) -> None:
    script = "/bin/ls >/dev/null; /bin/true; /nonexistent; :"
    cli("record", "--comm", "sh", "--fail-on-loss", "-o", "out.parquet", "-e", "execve", "--", "sh", "-c", script)
    rows = pq.read_table(work / "out.parquet").to_pylist()
    assert [(row["file"], row["ret"]) for row in rows] == [("/bin/ls", 0), ("/bin/true", 0), ("/nonexistent", -2)]
