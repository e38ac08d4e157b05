"""The oracle itself: that it reads strace's output rightly, and that it fails when a recording is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from oracle import Report, Row, compare, read_rows
from strace_log import Call, LogError, parse_number, read_log

import tracer.schema

HEX = re.compile(r'"([^"]*)"|(?<=\d)<([^>]*)>')


def hexed(text: str) -> str:
    """strace's lines as `-xx` writes them, from plain ones: latin-1, one character a byte."""

    def escape(match: re.Match[str]) -> str:
        plain = match[1] if match[2] is None else match[2]
        digits = "".join(f"\\x{byte:02x}" for byte in plain.encode("latin-1"))
        return f'"{digits}"' if match[2] is None else f"<{digits}>"

    return HEX.sub(escape, text)


def log_of(folder: Path, text: str) -> list[Call]:
    path = folder / "strace.log"
    path.write_text(hexed(text.strip("\n")) + "\n")
    return read_log(path)


def rows_of(*values: tuple[int, str, int | None] | tuple[object, ...]) -> list[Row]:
    """Rows numbered in order, from (tid, syscall, ret, file, old_file)."""
    return [Row(seq, *value) for seq, value in enumerate(values)]  # type: ignore[arg-type]


@pytest.fixture
def report(tmp_path: Path):
    def run(log: str, *values: tuple[object, ...], cwd: str = "/w") -> Report:
        return compare(log_of(tmp_path, log), rows_of(*values), cwd)

    return run


RUN = """
10    execve("/bin/p", ["p"], 0x7ffd46a72bb8 /* 35 vars */) = 0
10    openat(-100</w>, "f", 0x42, 0600) = 3</w/f>
10    write(3</w/f>, "abc, (d) [e] {f", 15) = 15
10    write(3</w/f>, "abc", 3)          = 3
10    getpid()                          = 10
10    fstat(3</w/f>, {st_mode=0100644, st_size=18, ...}) = 0
10    close(3</w/f>)                    = 0
10    unlink("f")                       = 0
10    stat("f", 0x7ffc496b48e0)         = -1 ENOENT (No such file or directory)
10    exit_group(0)                     = ?
"""

ROWS: list[tuple[object, ...]] = [
    (10, "execve", 0, "/bin/p"),
    (10, "openat", 3, "/w/f"),
    (10, "write", 15, "/w/f"),
    (10, "write", 3, "/w/f"),
    (10, "newfstat", 0, "/w/f"),
    (10, "close", 0, "/w/f"),
    (10, "unlink", 0, "/w/f"),
    (10, "newstat", -2, "/w/f"),
]


def test_equal_runs_agree(report):
    result = report(RUN, *ROWS)
    result.check()
    assert (result.calls, result.rets, result.paths, result.unclaimed, result.never_returned) == (8, 8, 8, 0, 0)


@pytest.mark.parametrize("at", range(len(ROWS)))
def test_a_missing_row_fails(report, at):
    result = report(RUN, *ROWS[:at], *ROWS[at + 1 :])
    with pytest.raises(AssertionError, match="1 missing, 0 extra"):
        result.check()


@pytest.mark.parametrize("at", range(1, len(ROWS) + 1))
def test_an_extra_row_fails(report, at):
    with pytest.raises(AssertionError, match="0 missing, 1 extra"):
        report(RUN, *ROWS[:at], ROWS[at - 1], *ROWS[at:]).check()


def test_an_extra_row_of_a_call_that_was_not_asked_for_fails(report):
    with pytest.raises(AssertionError, match="0 missing, 1 extra"):
        report(RUN, *ROWS, (10, "sync", 0)).check()


@pytest.mark.parametrize("at", range(len(ROWS)))
@pytest.mark.parametrize("ret", [-512, 1 << 40, None])
def test_a_wrong_return_value_fails(report, at, ret):
    tid, name, _, file = ROWS[at]
    result = report(RUN, *ROWS[:at], (tid, name, ret, file), *ROWS[at + 1 :])
    with pytest.raises(AssertionError, match=f"{name} = .* says {ret}"):
        result.check()


@pytest.mark.parametrize("at", range(len(ROWS)))
@pytest.mark.parametrize("file", ["/w/F", "f", "/w/f (deleted)", None])
def test_a_wrong_path_fails(report, at, file):
    tid, name, ret, right = ROWS[at]
    with pytest.raises(AssertionError, match=f"{name} = .*file is {re.escape(repr(file))}, not '{right}'"):
        report(RUN, *ROWS[:at], (tid, name, ret, file), *ROWS[at + 1 :]).check()


def test_an_old_file_where_none_belongs_fails(report):
    with pytest.raises(AssertionError, match="old_file is '/w/g', not None"):
        report(RUN, *ROWS[:-1], (*ROWS[-1], "/w/g")).check()


@pytest.mark.parametrize("at", range(len(ROWS) - 1))
def test_swapped_rows_fail(report, at):
    with pytest.raises(AssertionError):
        report(RUN, *ROWS[:at], ROWS[at + 1], ROWS[at], *ROWS[at + 2 :]).check()


def test_an_empty_recording_fails(report):
    with pytest.raises(AssertionError, match="8 calls: 8 missing"):
        report(RUN).check()


def test_an_empty_log_fails(tmp_path):
    with pytest.raises(AssertionError, match="empty"):
        compare([], rows_of(*ROWS), "/w")


def among_others(instead: str | None, count: int) -> tuple[str, list[tuple[object, ...]]]:
    """A log with 2000 paths, and its rows, of which some have another path."""
    log = '10    close(3</w/f>) = 0\n10    openat(-100</w>, "f", 0) = 3</w/f>\n' * 1000
    rows = [(10, name, ret, "/w/f") for _ in range(1000) for name, ret in (("close", 0), ("openat", 3))]
    for at in range(count):
        rows[at * 7] = (*rows[at * 7][:3], instead)  # type: ignore[assignment]
    return log, list(rows)


@pytest.mark.parametrize(("unknown", "few"), [(0, True), (1, True), (2, False)])
def test_less_than_one_path_in_a_thousand_may_be_unknown(report, unknown, few):
    log, rows = among_others(None, unknown)
    result = report(log, *rows)
    assert (result.paths, len(result.unknown_paths), len(result.wrong_paths)) == (2000, unknown, 0)
    if few:
        result.check()
    else:
        with pytest.raises(AssertionError, match="0 wrong, 2 unknown"):
            result.check()


def test_not_one_path_may_be_wrong(report):
    log, rows = among_others("/w/g", 1)
    with pytest.raises(AssertionError, match="2000 paths: 1 wrong, 0 unknown"):
        report(log, *rows).check()


def test_a_name_where_there_is_none_is_wrong_not_unknown(report):
    result = report("10    close(77) = -1 EBADF (Bad file descriptor)", (10, "close", -9, "/w/f"))
    assert (len(result.wrong_paths), len(result.unknown_paths)) == (1, 0)


def test_order_is_that_of_seq(tmp_path):
    calls = log_of(tmp_path, RUN)
    compare(calls, reversed(rows_of(*ROWS)), "/w").check()


def test_other_threads_and_what_came_before_the_program_are_left_out(report):
    before = [(10, "openat", 5, "/elsewhere"), (9, "read", 1, None), (10, "close", -9, None)]
    report(RUN, *before, *ROWS, (11, "read", 1, "/x")).check()


def test_each_thread_is_compared_for_itself(report):
    log = """
10    openat(-100</w>, "a", 0 <unfinished ...>
11    read(4</w/b>,  <unfinished ...>
10    <... openat resumed>)             = 3</w/a>
11    <... read resumed>"xy", 100)      = 2
10    close(3</w/a> <unfinished ...>
11    close(4</w/b>)                    = 0
10    <... close resumed>)              = 0
"""
    rows = [(11, "read", 2, "/w/b"), (10, "openat", 3, "/w/a"), (11, "close", 0, "/w/b"), (10, "close", 0, "/w/a")]
    result = report(log, *rows)
    result.check()
    assert result.calls == 4
    with pytest.raises(AssertionError):
        report(log, *rows[:2], (10, "close", 0, "/w/b"), (11, "close", 0, "/w/a")).check()


def test_exec_of_a_thread_keeps_the_number_it_had(report):
    log = """
10    read(3</w/f>,  <unfinished ...>
12    execve("p", ["p"], 0x7ffc3c3f1a18 /* 35 vars */ <unfinished ...>
10    <... read resumed> <unfinished ...>) = ?
10    +++ superseded by execve in pid 12 +++
10    <... execve resumed>)             = 0
10    close(3</w/f>)                    = 0
"""
    result = report(log, (12, "execve", 0, "/w/p"), (10, "close", 0, "/w/f"))
    result.check()
    assert (result.calls, result.never_returned) == (2, 1)
    with pytest.raises(AssertionError, match="1 missing, 1 extra"):
        report(log, (10, "execve", 0, "/w/p"), (10, "close", 0, "/w/f")).check()


def test_exec_of_a_thread_while_nothing_interrupts_its_line(report):
    log = """
12    execve("p", ["p"], 0x7ffc3c3f1a18 /* 35 vars */ <pid changed to 10 ...>
10    +++ superseded by execve in pid 12 +++
10    <... execve resumed>)             = 0
"""
    report(log, (12, "execve", 0, "/w/p")).check()


def test_a_call_that_a_kill_ends_may_have_a_row_or_none(report):
    log = """
10    close(4</w/g>)                    = 0
10    read(3</w/f>,  <unfinished ...>
10    +++ killed by SIGKILL +++
"""
    for rows in ([], [(10, "read", -512, "/w/f")]):
        result = report(log, (10, "close", 0, "/w/g"), *rows)
        result.check()
        assert (result.calls, result.never_returned) == (1, 1)


@pytest.mark.parametrize("rest", ["", "10    <... ??? resumed>)                = ?\n"])
def test_a_thread_that_is_killed_before_a_call_has_no_row(report, rest):
    log = f"""
10    close(4</w/g>)                    = 0
10    ???( <unfinished ...>
{rest}10    +++ killed by SIGKILL +++
"""
    report(log, (10, "close", 0, "/w/g")).check()
    with pytest.raises(AssertionError):
        report(log, (10, "close", 0, "/w/g"), (10, "read", 0, "/w/f")).check()


@pytest.mark.parametrize(
    ("printed", "ret"),
    [
        ("? ERESTARTSYS (To be restarted if SA_RESTART is set)", -512),
        ("? ERESTART_RESTARTBLOCK (Interrupted by signal)", -516),
        ("? ERESTARTNOHAND (To be restarted if no handler)", -514),
        ("-1 EINTR (Interrupted system call)", -4),
        ("-1 (errno 530)", -530),
        ("0x2 (flags 0x2)", 2),
        ("0xffffffffffffff9c", -100),
    ],
)
def test_return_values(tmp_path, printed, ret):
    text = f"10    read(3</w/f>, 0x1, 2) = {printed}\n10    --- SIGALRM {{si_signo=14}} ---"
    assert [call.ret for call in log_of(tmp_path, text)] == [ret]


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("0755", 493), ("-1", -1), ("0x10", 16), ("10", 10), ("08", None)]
)
def test_numbers_are_written_as_in_c(text, number):
    if number is None:
        with pytest.raises(ValueError, match="invalid literal"):
            parse_number(text)
    else:
        assert parse_number(text) == number


@pytest.mark.parametrize("line", ["10    what is this", "no number", "10    read(3", "10    read(3) 5"])
def test_an_unknown_line_is_an_error(tmp_path, line):
    with pytest.raises(LogError):
        log_of(tmp_path, line)


FILES = {
    "descriptor of a deleted file": ("read(3</w/f>(deleted), 0x1, 2) = 2", "read", 2, "/w/f (deleted)"),
    "descriptor of a pipe": ("read(3<pipe:[77]>, 0x1, 2) = 2", "read", 2, "pipe:[77]"),
    "descriptor that is none": ("close(77) = -1 EBADF (Bad file descriptor)", "close", -9, None),
    "bytes that are not UTF-8": ("close(3</w/\xff\xe4\xc3\xa4\n>) = 0", "close", 0, "/w/\\xff\\xe4ä\n"),
    "opened through a link": ('openat(-100</w>, "link", 0) = 3</w/real>', "openat", 3, "/w/real"),
    "open that fails": ('openat(-100</w>, "a/../b", 0) = -1 ENOENT (No)', "openat", -2, "/w/b"),
    "relative to a directory": ('unlinkat(4</w/d>, "./x", 0) = 0', "unlinkat", 0, "/w/d/x"),
    "absolute behind a directory": ('unlinkat(4</w/d>, "//x//y/", 0) = 0', "unlinkat", 0, "/x/y"),
    "relative to no directory": ('openat(99, "x", 0) = -1 EBADF (Bad file descriptor)', "openat", -9, "x"),
    "relative to a pipe": ('openat(4<pipe:[1]>, "x", 0) = -1 ENOTDIR (Not)', "openat", -20, "x"),
    "relative to the working directory": ('mkdir("../x", 0755) = 0', "mkdir", 0, "/x"),
    "null pointer": ("openat(-100</w>, NULL, 0) = -1 EFAULT (Bad address)", "openat", -14, None),
    "wild pointer": ("openat(-100</w>, 0x8, 0) = -1 EFAULT (Bad address)", "openat", -14, None),
    "empty path": ('openat(-100</w>, "", 0) = -1 ENOENT (No)', "openat", -2, None),
    "empty path that works": ('newfstatat(3</w/f>, "", {st_size=0, ...}, 0x1000) = 0', "newfstatat", 0, "/w/f"),
    "empty path of the cwd": ('newfstatat(-100</w>, "", {st_size=0, ...}, 0x1000) = 0', "newfstatat", 0, "/w"),
    "null path that works": ("utimensat(3</w/f>, NULL, NULL, 0) = 0", "utimensat", 0, "/w/f"),
    "pair": ("pipe2([6<pipe:[8]>, 7<pipe:[8]>], 0) = 0", "pipe2", 0, "pipe:[8]"),
    "socket pair": ("socketpair(0x1, 0x1, 0, [6<socket:[8]>, 7<socket:[9]>]) = 0", "socketpair", 0, "socket:[8]"),
    "descriptor without a path": ("eventfd2(0, 0) = 12<anon_inode:[eventfd]>", "eventfd2", 12, "anon_inode:[eventfd]"),
    "label": ('memfd_create("hi", 0) = 5</memfd:hi>(deleted)', "memfd_create", 5, "/memfd:hi (deleted)"),
    "label that fails": ('memfd_create("hi", 0x8000) = -1 EINVAL (Invalid)', "memfd_create", -22, None),
    "copy": ("dup2(3</w/f>, 9</w/g>) = 9</w/f>", "dup2", 9, "/w/f"),
    "copy by fcntl": ("fcntl(3</w/f>, 0, 60) = 60</w/f>", "fcntl", 60, "/w/f"),
    "destination of a transfer": ("sendfile(5</w/o>, 3</w/f>, NULL, 9) = 9", "sendfile64", 9, "/w/o"),
    "destination behind the source": ("splice(3</w/f>, NULL, 5<pipe:[1]>, NULL, 9, 0) = 9", "splice", 9, "pipe:[1]"),
    "mapping": ("mmap(NULL, 4096, 0x1, 0x2, 3</w/f>, 0) = 0x7f0000000000", "mmap", 0x7F0000000000, "/w/f"),
    "mapping of nothing": ("mmap(NULL, 4096, 0x1, 0x22, 3</w/f>, 0) = 0x7f00000000", "mmap", 0x7F00000000, None),
    "ring": ("io_uring_enter(3</w/f>, 1, 1, 0x1, NULL, 0) = 1", "io_uring_enter", 1, "/w/f"),
    "registered ring": ("io_uring_enter(3</w/f>, 1, 1, 0x11, NULL, 0) = 1", "io_uring_enter", 1, None),
    "working directory": ('getcwd("/w", 4096) = 3', "getcwd", 3, "/w"),
    "newer than strace": ("syscall_0x1c4(0x4, 0x7fa9f95508c8, 0x1a4) = 0", "fchmodat2", 0, None),
}


@pytest.mark.parametrize("case", FILES)
def test_file_of_a_call(report, case):
    line, name, ret, file = FILES[case]
    report(f"10    {line}", (10, name, ret, file)).check()
    with pytest.raises(AssertionError, match="1 wrong"):
        report(f"10    {line}", (10, name, ret, f"{file}x")).check()


TWO_FILES = {
    "rename": ('rename("a", "/b") = 0', "rename", "/b", "/w/a"),
    "renameat2": ('renameat2(4</d>, "a", -100</w>, "b", 0x2) = 0', "renameat2", "/w/b", "/d/a"),
    "linkat": ('linkat(3</w/f>, "", 4</d>, "b", 0x1000) = 0', "linkat", "/d/b", "/w/f"),
    "symlink": ('symlink("../t", "b") = 0', "symlink", "/w/b", "../t"),
    "symlinkat": ('symlinkat("/t", 4</d>, "b") = 0', "symlinkat", "/d/b", "/t"),
}


@pytest.mark.parametrize("case", TWO_FILES)
def test_both_files_of_a_call(report, case):
    line, name, file, old_file = TWO_FILES[case]
    report(f"10    {line}", (10, name, 0, file, old_file)).check()
    with pytest.raises(AssertionError, match="2 wrong"):
        report(f"10    {line}", (10, name, 0, old_file, file)).check()


def test_what_strace_could_not_name_is_no_claim(report):
    result = report("10    read(3, 0x1, 2) = 2", (10, "read", 2, "/very/long"))
    result.check()
    assert (result.calls, result.paths, result.unclaimed) == (1, 0, 1)


@pytest.mark.parametrize(("cut", "result"), [("...", "-1 ENAMETOOLONG (File name too long)"), ("", "0")])
def test_a_path_that_is_too_long_behind_its_directory_counts_as_it_was_given(report, cut, result):
    text = "x" * 4093
    log = f'10    faccessat(-100</w>, "{text}"{cut}, 0) = {result}'
    ret = -36 if cut else 0
    report(log, (10, "faccessat", ret, text)).check()
    for wrong in ("/w/x", "/v/" + text, f"/w/{text}", f"/w/{text}"[:4095]):
        with pytest.raises(AssertionError, match="1 wrong"):
            report(log, (10, "faccessat", ret, wrong)).check()


def test_a_cut_path_that_folds_to_a_short_one_counts_as_it_is(report):
    text = "./" * 2047
    log = f'10    openat(-100</w>, "{text}"..., 0) = -1 ENAMETOOLONG (File name too long)'
    report(log, (10, "openat", -36, "/w")).check()
    with pytest.raises(AssertionError, match="1 wrong"):
        report(log, (10, "openat", -36, "/v")).check()


def test_the_working_directory_is_followed(report):
    log = """
10    mkdir("a", 0755) = 0
10    chdir("a") = 0
10    mkdir("b", 0755) = 0
10    chdir("missing") = -1 ENOENT (No such file or directory)
10    fchdir(4</d>) = 0
10    mkdir("c", 0755) = 0
"""
    rows = [(10, "mkdir", 0, "/w/a"), (10, "chdir", 0, "/w/a"), (10, "mkdir", 0, "/w/a/b")]
    rows += [(10, "chdir", -2, "/w/a/missing"), (10, "fchdir", 0, "/d"), (10, "mkdir", 0, "/d/c")]
    report(log, *rows).check()


def test_the_kernel_name_of_a_working_directory_counts_from_the_chdir_on(report):
    log = """
10    chdir("link") = 0
10    unlink("../x") = 0
10    openat(-100</w/real/deep>, "y", 0) = -1 ENOENT (No)
"""
    rows = [(10, "chdir", 0, "/w/link"), (10, "unlink", 0, "/w/real/x"), (10, "openat", -2, "/w/real/deep/y")]
    report(log, *rows).check()


@pytest.mark.parametrize(
    ("line", "directory"),
    [
        ("clone(child_stack=NULL, flags=0x1200000|0x11, child_tidptr=0x7f) = 11", "/w"),
        ("clone3({flags=0x3d0f00, child_tid=0x7f, exit_signal=0}, 88) = 11", "/d"),
        ("vfork() = 11", "/w"),
        ("fork() = 11", "/w"),
    ],
)
def test_a_child_shares_the_working_directory_only_with_clone_fs(report, line, directory):
    log = f"""
10    {line}
11    chdir("/d") = 0
10    unlink("x") = 0
11    unlink("y") = 0
"""
    rows = [(11, "chdir", 0, "/d"), (10, "unlink", 0, f"{directory}/x"), (11, "unlink", 0, "/d/y")]
    report(log, *rows).check()


def test_a_child_whose_first_call_is_written_before_its_fork(report):
    log = """
10    chdir("/d") = 0
10    vfork( <unfinished ...>
11    unlink("y") = 0
10    <... vfork resumed>) = 11
"""
    report(log, (10, "chdir", 0, "/d"), (11, "unlink", 0, "/d/y")).check()


def test_a_report_names_the_first_differences_and_counts_the_rest(report):
    text = str(report(RUN.lstrip("\n") * 3, *ROWS))
    assert "missing: tid 10 write = 15 (log line " in text
    assert "missing: and 4 more" in text


def test_rows_come_from_the_columns_of_the_schema(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    blank = {
        field.name: pa.nulls(2, field.type) if field.nullable else pa.array([0, 0]).cast(field.type)
        for field in tracer.schema.SCHEMA
        if not pa.types.is_dictionary(field.type) and not pa.types.is_boolean(field.type)
    }
    texts = {
        "syscall": pa.array(["close", "rename"]).dictionary_encode(),
        "file": pa.array(["/a", "/c"]).dictionary_encode(),
        "old_file": pa.array([None, "/b"]).dictionary_encode(),
        "comm": pa.array(["a", "b"]).dictionary_encode(),
    }
    columns = blank | texts | {"seq": pa.array([1, 0]), "tid": pa.array([10, 11], pa.int32())}
    pq.write_table(pa.table(columns), tmp_path / "rec.parquet")
    assert read_rows(tmp_path / "rec.parquet") == [
        Row(0, 11, "rename", None, "/c", "/b", "b"),
        Row(1, 10, "close", None, "/a", None, "a"),
    ]
