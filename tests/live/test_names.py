"""Names where no call tells of them: rings and tables that were there before the trace, threads that a filter hides,
namespaces, a root directory of the process's own."""

from __future__ import annotations

import itertools
import operator
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, end, go_on, until_attached

pytestmark = pytest.mark.beside_others


def names(recording: Path, syscall: str, **equal: object) -> list[str | None]:
    """`file` of the rows of a syscall, in order."""
    rows = pq.read_table(recording, filters=[("syscall", "=", syscall)]).to_pylist()
    return [row["file"] for row in rows if all(row[key] == value for key, value in equal.items())]


def attached(start: Start, *options: str | Path) -> subprocess.Popen[bytes]:
    tracer = start("record", "-o", "out.parquet", "-e", "write,pwrite64", *options)
    until_attached(tracer)
    return tracer


@pytest.mark.parametrize("option", ["-p", "-a"])
@pytest.mark.parametrize("kind", ["ring", "process", "process-high", "thread"])
def test_what_was_there_before_the_trace(option: str, kind: str, programs: Path, run, start: Start, work: Path) -> None:
    """A number becomes another file's, and then nobody's, in a table that the trace has not seen being shared."""
    process = run(programs / "before_the_trace", kind)
    assert process.stdout.readline() == b"ready\n"
    tracer = attached(start, *(["-p", str(process.pid)] if option == "-p" else ["-a"]))
    go_on(process)
    if option == "-a":
        end(tracer)
    else:
        assert tracer.wait(timeout=60) == 0
    found = names(work / "out.parquet", "pwrite64", pid=process.pid)
    assert found == [f"{work}/first", f"{work}/second", f"{work}/third", None]


def test_a_ring_that_has_no_descriptor(programs: Path, cli: Cli, work: Path) -> None:
    """Its index is another file's number."""
    command = ["-e", "io_uring_setup,pread64,fcntl", "--", programs / "ring_without_number"]
    cli("record", "-o", "out.parquet", "--raw", "out.raw", *command)
    cli("replay", "out.raw", "-o", "again.parquet")
    for name in ("out.parquet", "again.parquet"):
        rows = pq.read_table(work / name).to_pylist()
        at = next(at for at, row in enumerate(rows) if row["syscall"] == "io_uring_setup")
        found = [[row[key] for key in ("fd", "file", "device", "inode")] for row in rows[at:]]
        first, used, second, unused, made, marked = found
        assert first == second == [None] * 4
        assert (used[:2], unused[:2]) == ([0, f"{work}/zero"], [1, None])
        assert made == marked
        assert made[1] == "anon_inode:[io_uring]"


def test_counts_of_users_that_are_even_by_chance(programs: Path, run, start: Start, work: Path) -> None:
    """As many users of the table as threads, but one of them is another process."""
    process = run(programs / "even_counts")
    assert process.stdout.readline() == b"ready\n"
    tracer = attached(start, "-p", str(process.pid))
    go_on(process)
    assert tracer.wait(timeout=60) == 0
    assert names(work / "out.parquet", "pwrite64") == [f"{work}/first", f"{work}/second"]


def test_a_fork_while_a_thread_changes_the_table(programs: Path, cli: Cli, work: Path) -> None:
    """What pread returned tells which file it was: none where the number was closed in the child's copy."""
    cli("record", "-o", "out.parquet", "-e", "pread64,open,openat,dup2,close", "--", programs / "forks_meanwhile")
    rows = pq.read_table(work / "out.parquet", filters=[("syscall", "=", "pread64"), ("fd", "=", 50)]).to_pylist()
    children = {row["pid"] for row in rows} - {rows[0]["pid"]}
    assert len(children) > 50
    assert {row["ret"] for row in rows} == {10, 20, 30, -9}
    assert [row for row in rows if row["file"] != (None if row["ret"] < 0 else f"{work}/{row['ret']}")] == []


def test_numbers_that_another_thread_gives_to_another_file(programs: Path, cli: Cli, work: Path) -> None:
    """What pread and readlink returned tells which file it was: so it is called, or it has no name."""
    selection = "pread64,readlink,readlinkat,dup2,dup3,fchdir"
    cli("record", "-o", "out.parquet", "-e", selection, "--", programs / "replaced_meanwhile")
    rows = pq.read_table(work / "out.parquet", columns=["syscall", "ret", "file"]).to_pylist()
    for syscalls, place in (({"pread64"}, "{}"), ({"readlink", "readlinkat"}, "d{}/link")):
        used = [row for row in rows if row["syscall"] in syscalls and row["ret"] in (10, 20)]
        named = [row for row in used if row["file"] is not None]
        assert [row for row in named if row["file"] != f"{work}/{place.format(row['ret'])}"] == []
        assert {row["ret"] for row in named} == {10, 20}
        assert len(used) > 15_000


def test_numbers_that_were_changed_in_a_race(programs: Path, cli: Cli, work: Path) -> None:
    """When nothing is under way any more, a name that somebody read before the last change is not in use."""
    cli("record", "-o", "out.parquet", "-e", "%file,%desc", "--", programs / "raced")
    rows = pq.read_table(work / "out.parquet", columns=["syscall", "offset", "file"]).to_pylist()
    numbers = [row for row in rows if row["syscall"] == "lseek" and row["file"] != f"{work}/{row['offset']}"]
    looked = [row["file"] for row in rows if row["syscall"] in ("access", "faccessat") and row["file"]]
    paths = [file for file in looked if file.startswith(str(work))]
    assert [row for row in numbers if row["file"] is not None] == []
    assert {*paths} == {f"{work}/d0/is0", f"{work}/d1/is1"}
    assert len(paths) > 15_900
    assert len(numbers) < 100


def test_threads_that_use_what_is_their_own(programs: Path, cli: Cli, work: Path) -> None:
    """Numbers that others have just freed, while the kernel is still at the rest of the close."""
    made = ["pipe2", "socketpair", "eventfd2", "memfd_create"]
    selection = ",".join([*made, "openat", "read", "write", "pwrite64", "close"])
    cli("record", "-o", "out.parquet", "-e", selection, "--", programs / "own_numbers")
    rows = pq.read_table(
        work / "out.parquet", columns=["seq", "tid", "pid", "syscall", "file", "file_source"]
    ).to_pylist()
    threads = [row for row in rows if row["tid"] != row["pid"]]
    named = [row for row in threads if row["file"] is not None]
    assert len(threads) == 8 * 500 * 23
    assert len(named) >= 0.999 * len(threads)
    kinds = r"pipe:\[\d+\]|socket:\[\d+\]|anon_inode:\[eventfd\]|/memfd:own \(deleted\)"
    ours = rf"{work}/(file|link|#\d+ \(deleted\))"
    assert [row for row in named if not re.fullmatch(f"{kinds}|{ours}", row["file"])] == []
    asked = [row for row in named if row["file"] == f"{work}/link"]
    assert {(row["syscall"], row["file_source"]) for row in asked} <= {("openat", "arg")}
    assert len(asked) < 0.05 * 8 * 500


def test_numbers_that_threads_contend_for(programs: Path, cli: Cli, work: Path) -> None:
    """In which order the kernel did what they did at a time nobody can tell: a name may be unknown, not wrong."""
    cli("record", "-o", "out.parquet", "-e", "%desc", "--", programs / "contended")
    rows = pq.read_table(work / "out.parquet", columns=["tid", "syscall", "ret", "offset", "file"]).to_pylist()
    by_thread = sorted(rows, key=operator.itemgetter("tid"))  # what each did stays in order
    followed = [(row, then) for row, then in itertools.pairwise(by_thread) if then["syscall"] == "lseek"]
    followed = [(row, then["offset"]) for row, then in followed if row["tid"] == then["tid"] and row["ret"] > 0]
    reads = [(row["file"], offset) for row, offset in followed if row["syscall"] == "pread64"]
    opens = [(row["file"], offset) for row, offset in followed if row["syscall"] in ("open", "openat")]
    named = [(file, offset) for file, offset in reads + opens if file is not None]
    assert [(file, offset) for file, offset in named if file != f"{work}/{offset}"] == []
    assert len(reads) > 50_000
    assert len(opens) > 20_000
    assert len(named) > 0.9 * len(reads + opens)


@pytest.mark.parametrize("entry", [(), ("old",)], ids=["64", "32"])
def test_a_rename_that_others_are_told_of_before_it_returns(
    entry: tuple[str, ...], programs: Path, cli: Cli, work: Path
) -> None:
    cli("record", "-o", "out.parquet", "-e", "lseek,rename", "--", programs / "told_of_renames", *entry)
    rows = pq.read_table(work / "out.parquet", columns=["syscall", "offset", "file"]).to_pylist()
    told = [row for row in rows if row["syscall"] == "lseek"]
    assert len(told) == 20_000
    assert [row for row in told if row["file"] != f"{work}/{row['offset']}"] == []


def test_directories_of_threads_that_share_none(programs: Path, cli: Cli, work: Path) -> None:
    """Both have a table and a working directory of their own; each thread is called like its directory.

    A call that one makes while the other changes to its own may have no name: the two look like threads that share.
    """
    cli("record", "-o", "out.parquet", "-e", "access,faccessat", "--", programs / "private_directories")
    rows = pq.read_table(work / "out.parquet", filters=[("comm", "in", ["A", "B"])]).to_pylist()
    named = [row for row in rows if row["file"] is not None]
    assert {(row["comm"], row["file"]) for row in named} == {(name, f"{work}/{name}/p") for name in "AB"}
    assert len(rows) == 40_000
    assert len(named) > 39_990


@pytest.mark.parametrize("option", ["-p", "-a"])
def test_threads_are_called_what_they_were_at_the_call(
    option: str, programs: Path, run, start: Start, cli: Cli, work: Path
) -> None:
    """They were there before the trace, and are called otherwise, and then gone, right after their first call."""
    process = run(programs / "renamed_threads")
    assert process.stdout.readline() == b"ready\n"
    tracer = attached(start, "--raw", "out.raw", *(["-p", str(process.pid)] if option == "-p" else ["-a"]))
    go_on(process)
    if option == "-a":
        end(tracer)
    else:
        assert tracer.wait(timeout=60) == 0
    cli("replay", "out.raw", "-o", "again.parquet")
    for recording in ("out.parquet", "again.parquet"):
        rows = pq.read_table(work / recording, filters=[("syscall", "=", "pwrite64"), ("pid", "=", process.pid)])
        found = {row["offset"]: row["comm"] for row in rows.to_pylist()}
        assert found == {n: f"first-{n}" if n < 8 else f"second-{n - 8}" for n in range(16)}


def test_threads_that_a_filter_hides(programs: Path, cli: Cli, work: Path) -> None:
    """One thread is recorded, another one gives its number to other files."""
    cli("record", "-o", "out.parquet", "--comm", "seen", "-e", "pwrite64", "--", programs / "hidden_thread")
    found = names(work / "out.parquet", "pwrite64")
    assert found == [f"{work}/{name}" for name in ("first", "second", "third")] + [None]


ANONYMOUS = [f"anon_inode:[{'timer' if turn % 2 else 'event'}fd]" for turn in range(20)]


def test_anonymous_files_of_a_process_that_is_not_traced(programs: Path, run, start: Start, work: Path) -> None:
    """They have the same inode, are in no directory, and have names of the same length."""
    process = run(programs / "anonymous_files", "process")
    assert process.stdout.readline() == b"ready\n"
    tracer = start("record", "-o", "out.parquet", "-e", "pread64", "-p", str(process.pid))
    until_attached(tracer)
    go_on(process)
    assert tracer.wait(timeout=60) == 0
    assert names(work / "out.parquet", "pread64") == ANONYMOUS


def test_anonymous_files_of_a_hidden_thread(programs: Path, cli: Cli, work: Path) -> None:
    cli("record", "-o", "out.parquet", "--comm", "seen", "-e", "pread64", "--", programs / "anonymous_files", "thread")
    assert names(work / "out.parquet", "pread64") == ANONYMOUS


@pytest.mark.parametrize("identity", ["auto", "always"])
@pytest.mark.parametrize("others", [(), ("-Z",), ("--comm", "old_entry")])
def test_the_entry_for_32_bits(identity: str, others: tuple[str, ...], programs: Path, cli: Cli, work: Path) -> None:
    """Its calls are no rows, but counted, and what they do to names is noticed."""
    options = ("--identity", identity, "-e", "all", *others)
    ended = cli("record", "-o", "out.parquet", *options, "--fail-on-loss", "--", programs / "old_entry", status=3)
    assert "lost: compat_call 6;" in ended.stderr
    assert [name for name in pq.read_table(work / "out.parquet")["file"].to_pylist() if "forged" in str(name)] == []
    if "-Z" in others:
        return
    moved = [f"{work}/moved/file"] * 2
    assert names(work / "out.parquet", "pwrite64") == [f"{work}/first", f"{work}/second", f"{work}/dir/file", *moved]
    assert names(work / "out.parquet", "access")[-2:] == [f"{work}/moved", f"{work}/moved/file"]


def test_root_directory_of_its_own(programs: Path, cli: Cli, work: Path) -> None:
    """Paths are as the process sees them; what lies outside is shown by its whole path."""
    cli("record", "-o", "out.parquet", "-e", "pwrite64,unlink", "--", programs / "own_root")
    seen = ["/file", "/dir/file", f"{work}/outside"]
    assert names(work / "out.parquet", "pwrite64") == seen
    assert names(work / "out.parquet", "unlink") == ["/dir/file", "/file"]


def test_paths_whose_directory_is_their_root(programs: Path, cli: Cli, work: Path) -> None:
    """What was opened is told by the kernel; where an absolute path or a `..` would have led, nobody says."""
    cli("record", "-o", "out.parquet", "-e", "openat2", "--", programs / "in_root")
    opened, missing = [f"{work}/dir/there"] * 2, [f"{work}/dir/missing", f"{work}/dir/..missing"]
    assert names(work / "out.parquet", "openat2") == [*opened, None, None, None, None, *missing]


def test_namespaces_are_called_as_readlink_does(cli: Cli, work: Path) -> None:
    kinds = ("mnt", "net", "pid", "user", "uts")
    script = "".join(f"exec 3</proc/self/ns/{kind}; readlink /proc/self/fd/3; " for kind in kinds)
    shown = cli("record", "-o", "out.parquet", "-e", "openat,dup2,dup3", "--", "sh", "-c", script).stdout.split()
    found = names(work / "out.parquet", "openat")
    assert len(shown) == len(kinds)
    assert [name for name in found if name in shown] == shown


def test_deeper_than_the_kernel_program_walks(programs: Path, run, start: Start, work: Path) -> None:
    """Unknown: /proc would tell what it is called later."""
    process = run(programs / "too_deep")
    assert process.stdout.readline().count(b"/") > 330
    tracer = attached(start, "-p", str(process.pid))
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"done\n"
    end(tracer)
    assert names(work / "out.parquet", "pwrite64") == [None]
    go_on(process)


@pytest.mark.parametrize("kind", ["deep", "long"])
@pytest.mark.parametrize("identity", ["auto", "always"])
def test_what_can_not_be_spelled_takes_the_old_name_away(
    identity: str, kind: str, programs: Path, cli: Cli, work: Path
) -> None:
    """Each number is used as one of "first" and then as one of the other; then the same with the working directory."""
    made = ["openat", "dup", "dup2", "dup3", "fcntl"]
    options = ["--identity", identity, "-e", ",".join(["pread64", "access", *made])]
    cli("record", "-o", "out.parquet", *options, "--", programs / "unspelled", kind)
    rows = pq.read_table(work / "out.parquet").to_pylist()
    uses = [row["file"] for row in sorted(rows, key=operator.itemgetter("seq")) if row["syscall"] == "pread64"]
    uses = uses[-12:] if kind == "deep" else uses[-10:]  # the loader reads, too
    assert uses == [f"{work}/first", None] * (len(uses) // 2)
    calls = [row["syscall"] for row in rows if row["syscall"] in made]
    opens = [row["file"] for row in rows if row["syscall"] == "openat" and str(row["file"]).endswith("leaf")]
    assert [calls.count(name) for name in made[1:]] == [2, 2, 2, 2]
    assert len(opens) == (4 if kind == "deep" else 3)
    asked = [row["file"] for row in rows if row["syscall"] == "access" and str(row["file"]).endswith("missing")]
    assert asked == (["../missing", "missing", f"{work}/missing"] if kind == "deep" else [])


DEEP = """
import os
for _ in range(12):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
below = "/".join(["e" * 250] * 8)
os.makedirs(below)
for name in "ab":
    os.close(os.open(f"{below}/{name}", os.O_CREAT | os.O_RDWR))
    os.rename(f"{below}/{name}", f"{below}/{name}2")
"""


def test_a_path_that_is_too_long_behind_its_directory_is_told_as_it_was_given(cli: Cli, work: Path) -> None:
    cli("record", "-o", "out.parquet", "-e", "openat,rename", "--", sys.executable, "-c", DEEP)
    rows = pq.read_table(work / "out.parquet").sort_by("seq").to_pylist()
    below = "/".join(["e" * 250] * 8)
    told = [(row["syscall"], row["old_file"], row["file"]) for row in rows if below in (row["file"] or "")]
    assert told == [
        call
        for name in "ab"
        for call in (
            ("openat", None, f"{below}/{name}"),
            ("rename", f"{below}/{name}", f"{below}/{name}2"),
        )
    ]


def test_files_that_a_supervisor_opens(programs: Path, cli: Cli, work: Path) -> None:
    """What the kernel program found behind the end of a refused call has to be told again."""
    cli("record", "-o", "out.parquet", "-e", "pwrite64", "--", programs / "answered")
    assert names(work / "out.parquet", "pwrite64") == [f"{work}/file-{turn}" for turn in range(21)]
