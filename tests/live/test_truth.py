"""The recorder and strace watch the same run, and must tell the same story."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SECONDS, Cli, Start, until, until_attached
from disks import loop_disk, mounted
from oracle import Report, compare, read_rows
from strace_files import DEFAULT, DESC, FILE
from strace_log import read_log

import tracer

Record = Callable[..., Path]
"""The fixture `record`."""

SOURCES = Path(__file__).parent.parent / "programs"
WITHOUT_STRACE = {
    *("anonymous_files", "answered", "apart", "before_the_trace", "busy", "by_handle", "changed_meanwhile"),
    *("cold_path", "contended", "counted", "dumped", "even_counts", "exec_meanwhile", "forks_meanwhile", "growth"),
    *("hidden_thread", "in_root", "in_the_middle", "lost_names", "misnamed", "odd_places", "old_entry"),
    *("overwritten_path", "own_numbers", "own_root", "private_directories", "raced", "refused", "renamed_threads"),
    *("replaced_meanwhile", "ring_without_number", "served", "shared_meanwhile", "subvolume", "told_of_renames"),
    *("too_deep", "torn", "which_file"),
}
"""Programs for other tests."""
PROGRAMS = sorted({source.stem for source in SOURCES.glob("*.c")} - WITHOUT_STRACE)

STRACE = ("strace", "-f", "-qq", "-y", "-s", "65535", "-xx", "-X", "raw", "-o")

REAL_PROGRAMS = {
    "tar": "tar cf tree.tar tree && mkdir again && tar xf tree.tar -C again && tar tf tree.tar",
    "find-xargs": "find tree -type f -print0 | xargs -0 -n 7 grep -l line;"
    " find tree -type f -name '*1*' -print0 | xargs -0 cat | wc -c",
    "git": "git init -q repo && cp -r tree repo/ && cd repo && git add . && git commit -qm first && rm -r tree/dir-1 &&"
    " git commit -qam second && git log --stat && git status --short && git diff HEAD~1",
    "compiler": "printf '#include <stdio.h>\\nint main(void) { return puts(\"hi\") < 0; }' > a.c &&"
    " gcc -O1 -o a a.c && ./a",
}
"""Scripts for a shell, in a folder that holds a small tree."""

IDENTITY = "\n".join(["[user]", "name = a", "email = a@example.org", "[init]", "defaultBranch = main", ""])


def make_tree(top: Path) -> None:
    (top / ".gitconfig").write_text(IDENTITY)
    for number in range(4):
        folder = top / "tree" / f"dir-{number}"
        folder.mkdir(parents=True)
        for other in range(5):
            (folder / f"file {other}").write_text(f"line of {number} and {other}\n" * 50 * other)
    (top / "tree" / "link").symlink_to("dir-1/file 1")


def watch_both(record: Record, command: list[str | Path], work: Path, *options: str) -> tuple[Path, Path]:
    """Runs a command under strace under the recorder; gives the recording and strace's log."""
    log = work.parent / "strace.log"
    return record([*STRACE, log, *command], *options), log


def report_of(recording: Path, log: Path, work: Path, names: frozenset[str] = FILE | DESC) -> Report:
    return compare(read_log(log), read_rows(recording), str(work), names)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program: str, programs: Path, record: Record, work: Path) -> None:
    report = report_of(*watch_both(record, [programs / program], work, "-e", "%file,%desc"), work)
    report.check()
    assert report.calls > 40
    assert report.paths > 30


@pytest.mark.parametrize("program", ["descriptors", "lost_mounts"])
def test_identity_is_always_compared(program: str, programs: Path, record: Record, work: Path) -> None:
    command = [programs / program]
    report = report_of(*watch_both(record, command, work, "-e", "%file,%desc", "--identity", "always"), work)
    report.check()
    assert report.calls > 40
    assert report.paths > 30


def check_what_it_told(recording: Path, told: Path, *, failed_only: bool = False) -> None:
    """Its last rows, but for opens that succeed, are of the calls that the program told of (tests/programs/tell.h)."""
    lines = [line.split(" ", 1) for line in told.read_text().splitlines()]
    normal = [(call, os.path.normpath(path).replace("//", "/")) for call, path in lines]
    expected = [call for call in normal if not failed_only or call[0] == "openat"]
    rows = [(row.syscall, row.file) for row in read_rows(recording) if row.syscall != "openat" or row.ret < 0]
    assert len(expected) >= 10
    assert rows[-len(expected) :] == expected


@pytest.mark.parametrize("failed_only", [False, True])
@pytest.mark.parametrize("program", ["served", "odd_places"])
def test_names_that_only_the_program_can_tell(
    program: str, failed_only: bool, programs: Path, record: Record, work: Path
) -> None:
    options = ("-Z", "-e", "openat") if failed_only else ("-e", "fstat,openat")
    recording = record([programs / program], *options, stdout=work.parent / "told")
    check_what_it_told(recording, work.parent / "told", failed_only=failed_only)


def test_files_by_their_handles(programs: Path, record: Record, tmp_path: Path) -> None:
    with loop_disk(tmp_path / "image", "mkfs.ext4", "-q") as place:
        subprocess.run([programs / "by_handle", "save", tmp_path / "handle", place], check=True)
    with mounted("-o", "loop", tmp_path / "image", place):
        command = [programs / "by_handle", "use", tmp_path / "handle", place]
        recording = record(command, "-e", "fstat", stdout=tmp_path / "told")
    check_what_it_told(recording, tmp_path / "told")


def test_a_name_is_read_whole_or_not_at_all(programs: Path, record: Record, work: Path) -> None:
    rows = [row.file for row in read_rows(record([programs / "torn"], "-e", "lseek"))]
    assert len(rows) > 500_000
    assert set(rows) - {None} == {str(work / (letter * 30) / "file") for letter in "ab"}
    assert rows.count(None) < len(rows) / 100


@pytest.mark.parametrize("entry", [(), ("by-the-old-entry",)])
def test_subvolumes_that_an_ioctl_destroys(entry: tuple[str, ...], programs: Path, cli: Cli, tmp_path: Path) -> None:
    with loop_disk(tmp_path / "image", "mkfs.btrfs", "-q") as place:
        record = ["record", "-o", tmp_path / "a.parquet", "-e", "fstat,openat", "--", programs / "subvolume", *entry]
        cli(*record, cwd=place)
    rows = [row for row in read_rows(tmp_path / "a.parquet") if (row.file or "").startswith(f"{place}/volume")]
    folder, missing = f"{place}/volume", f"{place}/volume/missing"
    gone, missing_there = f"{folder} (deleted)", f"{folder} (deleted)/missing"
    life = [folder, folder, folder, missing, gone, gone, missing_there]
    assert [row.file for row in rows] == life * 20


@pytest.fixture
def dumps_core() -> Iterator[None]:
    """A core goes into the working directory, by that name (core(5))."""
    settings = {Path("/proc/sys/kernel/core_pattern"): "core", Path("/proc/sys/kernel/core_uses_pid"): "0"}
    before = {path: path.read_text() for path in settings}
    for path, value in settings.items():
        path.write_text(value)
    yield
    for path, value in before.items():
        path.write_text(value)


def test_the_core_dump_before_is_unlinked_by_the_kernel(dumps_core: None, programs: Path, cli: Cli, work: Path) -> None:
    cli("record", "-o", "out.parquet", "-e", "fstat,lseek", "--", programs / "dumped")
    before, after = f"{work}/core", f"{work}/core (deleted)"
    rows = read_rows(work / "out.parquet")
    assert [row.file for row in rows if row.syscall == "newfstat"].count(before) >= 20
    gone = [row.file for row in rows if row.syscall == "lseek" and "/core" in (row.file or "")]
    assert gone == [after] * len(gone)
    assert len(gone) > 20, "some of them while the dump was under way"


@pytest.mark.parametrize("program", REAL_PROGRAMS)
def test_real_program(program: str, record: Record, work: Path) -> None:
    make_tree(work)
    command: list[str | Path] = ["sh", "-c", REAL_PROGRAMS[program]]
    report = report_of(*watch_both(record, command, work, "-e", "%file,%desc"), work)
    report.check()
    assert report.calls > 200


def test_python_with_sqlite(record: Record, work: Path) -> None:
    command: list[str | Path] = [sys.executable, "-S", "-E", SOURCES / "files_and_sqlite.py"]
    report = report_of(*watch_both(record, command, work, "-e", "%file,%desc"), work)
    report.check()
    assert report.calls > 2000


@pytest.mark.parametrize("program", ["directories", "fork_storm", "names", "threads"])
def test_without_a_selection(program: str, programs: Path, record: Record, work: Path) -> None:
    report = report_of(*watch_both(record, [programs / program], work), work, DEFAULT)
    report.check()
    assert report.calls > 40


AT_ONCE = ("directories", "names", "shared_tables", "threads")


def test_four_programs_at_once_on_the_whole_machine(programs: Path, start: Start, work: Path) -> None:
    recording = work.parent / "recording.parquet"
    tracer = start("record", "-a", "-o", recording, "-e", "%file,%desc")
    until_attached(tracer)
    folders = [work / program for program in AT_ONCE]
    for folder in folders:
        folder.mkdir()
    runs = [
        subprocess.Popen([*STRACE, f"{folder}.log", programs / folder.name], cwd=folder, stdin=subprocess.DEVNULL)
        for folder in folders
    ]
    assert [run.wait(SECONDS) for run in runs] == [0] * len(runs)
    end(tracer)
    rows = read_rows(recording)
    for folder in folders:
        report = compare(read_log(folder.with_suffix(".log")), rows, str(folder))
        report.check()
        assert report.calls > 40


def test_attached_in_the_middle_of_a_run(programs: Path, start: Start, work: Path) -> None:
    """strace begins first and both end with the run, so the rows are those of the log's last calls."""
    recording, log = work.parent / "recording.parquet", work.parent / "strace.log"
    program = subprocess.Popen([programs / "in_the_middle"], cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert program.stdout and program.stdin
        assert program.stdout.readline() == b"ready\n"
        strace = subprocess.Popen([*STRACE, log, "-p", str(program.pid)])
        until(lambda: tracer_of(program.pid) == strace.pid, "strace")
        tracer = start("record", "-p", str(program.pid), "-o", recording, "-e", "%file,%desc")
        until_attached(tracer)
        program.stdin.write(b"\n")
        program.stdin.close()
        assert program.wait(SECONDS) == 0
        assert strace.wait(SECONDS) == 0
        assert tracer.wait(SECONDS) == 0
    finally:
        program.kill()
        program.wait()
    calls = read_log(log)
    first = next(at for at, call in enumerate(calls) if call.name == "getcwd")
    rows = read_rows(recording)
    begin = next(row.seq for row in rows if row.syscall == "getcwd" and row.tid == program.pid)
    report = compare(calls[first:], [row for row in rows if row.seq >= begin], str(work / "moved"))
    report.check()
    assert report.calls > 300
    assert report.paths > 300


def end(tracer: subprocess.Popen[bytes]) -> None:
    tracer.send_signal(signal.SIGINT)
    _, messages = tracer.communicate(timeout=SECONDS)
    assert tracer.returncode == 0, messages


def tracer_of(pid: int) -> int:
    """Who traces a process with ptrace; 0 for nobody."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("TracerPid:")).split()[1])


def test_path_on_a_page_that_is_not_in_memory(programs: Path, record: Record, work: Path) -> None:
    asked_for = work.parent / "asked-for"
    rows = read_rows(record([programs / "cold_path"], "-e", "%file", stdout=asked_for))
    expected = [str(work / name) for name in asked_for.read_text().splitlines()]
    assert len(expected) == 16
    assert [row.file for row in rows if row.file and "/cold/file-" in row.file] == expected
    assert "still in memory" not in (work.parent / "stderr").read_text()


def test_a_path_that_its_call_may_have_overwritten_is_not_known(programs: Path, record: Record, work: Path) -> None:
    """Where the path is read at the exit, and where in memory the call wrote, decide."""
    asked_for = work.parent / "asked-for"
    calls = "readlink,readlinkat,lgetxattr,llistxattr,lstat,newfstatat,statx,statfs"
    recording = record([programs / "overwritten_path"], "-e", calls, stdout=asked_for)
    with tracer.open(recording) as opened:
        files = [row["file"] for row in opened.sql("SELECT file FROM calls ORDER BY seq").to_pylist()]
        unreadable = opened.loss["path_unreadable"]
    expected = [str(work / name) if name else None for name in asked_for.read_text().splitlines()]
    assert files[-len(expected) :] == expected
    assert unreadable == expected.count(None) == 11
