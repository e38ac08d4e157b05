"""The plain reference itself, by example: the rules of docs/how-rows-are-made.md, and mistakes that tracers made."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest
import wire
from scene import PID, TID, WORKER, Scene
from wire import Comm, Enter, Exec, Exit, Fork, Name, NameText, Paths, TaskExit

from tracer import schema

EBADF, ENOENT = -9, -2
O_CLOEXEC = 0x80000


@pytest.fixture
def scene() -> Scene:
    return Scene()


# ---- the wire ----


def test_constants_and_sizes_are_those_of_the_header() -> None:
    header = (Path(__file__).parents[2] / "bpf" / "events.h").read_text()
    found = re.findall(r"TRACER_(\w+)(?:\s*=\s*|[ \t]+)\(?(-?(?:0x)?[0-9a-f]+)\)?[,\s]", header)
    known = {name: int(value, 0) for name, value in found}
    ours = {name: value for name, value in vars(wire).items() if name.isupper() and isinstance(value, int)}
    shared = ours.keys() & known.keys()
    assert len(shared) > 80
    assert {name: ours[name] for name in shared} == {name: known[name] for name in shared}
    sizes = dict(re.findall(r"sizeof\(struct (\w+)\) == (\d+)", header))
    assert int(sizes["event_header"]) == wire.HEADER_BYTES
    assert int(sizes["syscall_rule"]) == wire.RULE_BYTES


RECORDS: list[wire.AnyRecord] = [
    Enter(time_ns=1, tgid=2, tid=3, syscall=4, args=(5, (1 << 64) - 1), aux=bytes(24), paths=Paths(b"/a", b"b", 1, 4)),
    Enter(time_ns=1, tgid=2, tid=3, syscall=4),
    Exit(time_ns=1, tgid=2, tid=3, syscall=4, ret=-9, aux=b"x" * 24, name=NameText(b"n", 1, 2, 3, 4)),
    Exit(time_ns=1, tgid=2, tid=3, syscall=4, ret=1, paths=Paths(b"", b"", 3, 0)),
    Name(time_ns=1, tgid=2, tid=3, fd=-100, name=NameText(b"/"), from_proc=True),
    Fork(time_ns=1, tgid=2, tid=3, child_tgid=4, child_tid=5, clone_flags=6, comm=b"c"),
    Exec(time_ns=1, tgid=2, tid=3, old_tid=4, comm=b"fifteen letters"),
    TaskExit(time_ns=1, tgid=2, tid=3, group_dead=True),
    Comm(time_ns=1, tgid=2, tid=3, comm=b"new", from_proc=True),
]


def test_records_survive_their_bytes() -> None:
    block = b"".join(map(wire.encode, RECORDS))
    assert len(block) % 8 == 0
    assert list(wire.walk(block)) == RECORDS


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_size_that_does_not_fit_is_dropped_and_counted(scene: Scene, record: wire.AnyRecord) -> None:
    data = bytearray(wire.encode(record))
    size = struct.unpack_from("=H", data, 16)[0]
    for wrong in (size - 1, size + 8):
        bad = bytearray(data.ljust(size + 16, b"\0"))
        struct.pack_into("=H", bad, 16, wrong)
        block = bytes(bad[: wrong + -wrong % 8])
        before = scene.reference.counters["malformed"]
        scene.reference.feed(block + wire.encode(RECORDS[1]))
        assert scene.reference.counters["malformed"] == before + 1
    scene.call("fsync", 3)
    assert scene.rows[-1]["syscall"] == "fsync"


@pytest.mark.parametrize("tail", [b"\0" * 8, b"\0" * 32, b"\xff" * 40])
def test_a_block_that_leads_nowhere_is_one_malformed_record(scene: Scene, tail: bytes) -> None:
    scene.reference.feed(tail)
    assert scene.reference.counters["malformed"] == 1


def test_an_exit_has_paths_or_a_name_but_not_both(scene: Scene) -> None:
    scene.enter("openat", -100, 0, 0, 0, path=UNREAD)
    assert scene.exit("openat", 3, paths=Paths(b"/a"), name=NameText(b"/a")) is None
    assert scene.reference.counters["malformed"] == 1


def test_the_last_record_of_a_block_needs_no_padding(scene: Scene) -> None:
    data = wire.encode(Name(fd=3, name=NameText(b"/abc"), **scene.head()))
    scene.reference.feed(data[: struct.unpack_from("=H", data, 16)[0]])
    assert scene.file(3) == "/abc"


def test_a_row_has_the_columns_of_the_schema(scene: Scene) -> None:
    assert set(scene.call("getpid", ret=100)) == set(schema.SCHEMA.names) - {"seq", "time"}


# ---- pairing ----


def test_enter_and_exit_become_a_row(scene: Scene) -> None:
    row = scene.call("read", 3, 0, 64, ret=7)
    assert (row["syscall"], row["family"], row["fd"], row["ret"], row["bytes"]) == ("read", "FS", 3, 7, 7)
    assert (row["pid"], row["tid"], row["time_ns"], row["latency_ns"], row["gap_ns"]) == (PID, TID, 1010, 10, None)
    assert (row["requested_bytes"], row["error"], row["is_error"], row["restarts"]) == (64, None, False, 0)


def test_gap_is_measured_from_the_threads_last_row(scene: Scene) -> None:
    scene.call("getpid")
    scene.call("getpid", tid=WORKER)
    assert scene.call("getpid")["gap_ns"] == 30
    assert scene.call("getpid", tid=WORKER)["gap_ns"] == 30


def test_only_rows_move_the_end_that_gaps_are_measured_from() -> None:
    scene = Scene({"read"})
    scene.call("read", 3, 0, 1, ret=1)
    scene.call("close", 3)
    assert scene.call("read", 3, 0, 1, ret=1)["gap_ns"] == 30


def test_times_that_go_backwards_are_zero(scene: Scene) -> None:
    scene.call("getpid")
    scene.now_ns = 500
    scene.enter("getpid")
    scene.now_ns = 100
    row = scene.exit("getpid", 1)
    assert row and (row["gap_ns"], row["latency_ns"]) == (0, 0)


def test_a_second_enter_replaces_the_first(scene: Scene) -> None:
    scene.enter("read", 3, 0, 1)
    row = scene.call("write", 4, 0, 1, ret=1)
    assert (len(scene.rows), row["syscall"]) == (1, "write")
    assert scene.reference.counters["enter_without_exit"] == 1


def test_an_exit_without_enter_counts_once_the_thread_has_entered(scene: Scene) -> None:
    assert scene.exit("clone", 0) is None
    scene.exit("read", 1)
    assert scene.reference.counters["exit_without_enter"] == 0
    scene.call("getpid")
    scene.exit("read", 1)
    assert (scene.reference.counters["exit_without_enter"], len(scene.rows)) == (1, 1)


def test_a_refused_call_is_no_half_of_one(scene: Scene) -> None:
    """Of a call that seccomp refuses there is an exit alone; others of the thread have both."""
    scene.exit("read", -1, may_be_refused=True)
    scene.call("getpid", exit_may_be_refused=True)
    scene.exit("read", -1, may_be_refused=True)
    counters = scene.reference.counters
    assert (counters["refused_calls"], counters["exit_without_enter"], len(scene.rows)) == (1, 0, 1)


def test_an_exit_of_another_syscall_drops_both(scene: Scene) -> None:
    scene.enter("read", 3, 0, 1)
    assert scene.exit("write", 1) is None
    assert scene.exit("read", 1) is None
    counters = scene.reference.counters
    assert (counters["mismatched"], counters["exit_without_enter"]) == (1, 1)


@pytest.mark.parametrize(("entered", "left"), [("execveat", "execve"), ("execve", "execveat")])
def test_an_exec_may_end_as_another_exec(scene: Scene, entered: str, left: str) -> None:
    scene.enter(entered, -100, 0, 0, 0, 0, path=b"/bin/new")
    scene.exec()
    row = scene.exit(left, 0)
    assert row and (row["syscall"], row["file"], row["latency_ns"]) == (entered, "/bin/new", 20)
    assert not any(scene.reference.counters.values())


def test_unknown_syscalls_are_ignored(scene: Scene) -> None:
    scene.enter("read", 3, 0, 1)
    scene.feed(Enter(syscall=511, **scene.head()))
    scene.feed(Exit(syscall=511, ret=0, **scene.head()))
    assert scene.exit("read", 1)
    assert not any(scene.reference.counters.values())


@pytest.mark.parametrize("name", ["exit", "exit_group", "rt_sigreturn"])
def test_a_call_that_never_returns_is_a_row_at_once(scene: Scene, name: str) -> None:
    scene.call("getpid")
    scene.enter(name)
    row = scene.row
    assert (row["syscall"], row["ret"], row["latency_ns"], row["gap_ns"]) == (name, None, None, 10)
    assert (row["error"], row["is_error"], row["bytes"]) == (None, False, None)
    assert scene.call("getpid")["gap_ns"] == 10
    assert scene.reference.counters["enter_without_exit"] == 0


# ---- errors and values ----


@pytest.mark.parametrize(
    ("ret", "error"),
    [
        (-1, "EPERM"), (-4, "EINTR"), (-11, "EAGAIN"), (-35, "EDEADLK"), (-95, "EOPNOTSUPP"), (-133, "EHWPOISON"),
        (-41, "41"), (-515, "ENOIOCTLCMD"), (-524, "ENOTSUPP"), (-4095, "4095"), (-4096, None), (0, None),
        (-512, None), (-513, None), (-514, None), (-516, None),
    ],
)  # fmt: skip
def test_errors_are_named_and_restarts_are_none(scene: Scene, ret: int, error: str | None) -> None:
    row = scene.call("read", 3, 0, 8, ret=ret)
    assert (row["error"], row["is_error"], row["ret"], row["bytes"]) == (error, error is not None, ret, 0)


def test_failed_only_keeps_state_but_not_rows() -> None:
    scene = Scene(failed_only=True)
    scene.open(b"/a", 3)
    scene.call("exit_group", 0)
    scene.call("dup2", 3, 4, ret=4)
    row = scene.call("ftruncate", 4, 0, ret=-22)
    assert [row["file"] for row in scene.rows] == ["/a"]
    assert (row["error"], row["gap_ns"]) == ("EINVAL", None)


def test_failed_only_keeps_interrupted_calls() -> None:
    scene = Scene(failed_only=True)
    for ret in (-512, -513, -514, -516, -4, -4096, 5):
        scene.call("read", 3, 0, 8, ret=ret)
    assert [(row["ret"], row["is_error"]) for row in scene.rows] == [
        (-512, False), (-513, False), (-514, False), (-516, False), (-4, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "ret", "moved"),
    [
        ("write", (1, 0, 8), 8, 8), ("msgrcv", (0, 0, 9), 9, 9), ("msgsnd", (0, 0, 9), 0, None),
        ("sendmmsg", (3, 0, 2, 0), 2, None), ("recvmmsg", (3, 0, 2, 0, 0), 2, None), ("lseek", (3, 9, 0), 9, None),
        ("getcwd", (0, 64), 5, 5), ("syslog", (3, 0, 9), 9, None), ("mq_timedsend", (3, 0, 9, 0, 0), 0, None),
        ("fgetxattr", (3, 0, 0, 0), 12, 0), ("fgetxattr", (3, 0, 0, 64), 12, 12), ("flistxattr", (3, 0, 0), 12, 0),
        ("recvfrom", (3, 0, 8, 0, 0, 0), 8, 8), ("recvfrom", (3, 0, 8, 0x2, 0, 0), 8, 0),
        ("recvfrom", (3, 0, 8, 0x20, 0, 0), 99, 8), ("recvfrom", (3, 0, 8, 0x20, 0, 0), 5, 5),
        ("recvfrom", (3, 0, -1, 0x20, 0, 0), 99, 99), ("recvmsg", (3, 0, 0), 99, 99),
        ("recvmsg", (3, 0, 0x20), 99, None), ("recvmsg", (3, 0, 0x22), 99, 0), ("recvmsg", (3, 0, 0x20), 0, 0),
        ("recvmsg", (3, 0, 0x20), -11, 0),
    ],
)  # fmt: skip
def test_bytes_are_what_was_moved(scene: Scene, name: str, args: tuple[int, ...], ret: int, moved: int | None) -> None:
    assert scene.call(name, *args, ret=ret)["bytes"] == moved


def test_the_size_in_a_structure_decides_too(scene: Scene) -> None:
    vector = struct.pack("=QQ8x", 4, 1)
    row = scene.call("recvmsg", 3, 0, 0x20, ret=9, aux=vector)
    assert (row["requested_bytes"], row["bytes"]) == (4, 4)
    row = scene.call("recvmsg", 3, 0, 0x20, ret=9, aux=struct.pack("=QQ8x", 4, 0))
    assert (row["requested_bytes"], row["bytes"]) == (None, None)
    probe = struct.pack("=QII8x", 0, 0, 0)
    row = scene.call("getxattrat", -100, 0, 0, 0, 0, 16, path=b"/a", ret=9, aux=probe)
    assert (row["requested_bytes"], row["bytes"]) == (0, 0)


@pytest.mark.parametrize(
    ("name", "args", "requested"),
    [
        ("readlink", (0, 0, 1 << 32 | 3), 3), ("readlinkat", (-100, 0, 0, 1 << 32 | 3), 3),
        ("readlink", (0, 0, 0xFFFF_FFFF), None), ("readlink", (0, 0, 1 << 63 | 3), 3),
        ("getdents64", (3, 0, 1 << 32 | 64), 64), ("getdents", (3, 0, -1), 0xFFFF_FFFF),
        ("sched_getaffinity", (0, 1 << 32 | 8, 0), 8), ("read", (3, 0, 1 << 32 | 3), 1 << 32 | 3),
    ],
)  # fmt: skip
def test_a_size_is_as_wide_as_the_kernels(
    scene: Scene, name: str, args: tuple[int, ...], requested: int | None
) -> None:
    assert scene.call(name, *args, ret=1)["requested_bytes"] == requested


def test_offsets_and_sizes(scene: Scene) -> None:
    row = scene.call("pread64", 3, 0, 16, 4096, ret=16)
    assert (row["offset"], row["requested_bytes"]) == (4096, 16)
    assert scene.call("lseek", 3, 7, 2, ret=107)["offset"] == 107
    assert scene.call("lseek", 3, 7, 2, ret=EBADF)["offset"] is None
    assert scene.call("read", 3, 0, -1, ret=-14)["requested_bytes"] is None
    assert scene.call("writev", 3, 0, 2, ret=5, aux=struct.pack("=QQ8x", 11, 1))["requested_bytes"] == 11


@pytest.mark.parametrize("name", ["preadv2", "pwritev2"])
def test_an_offset_of_minus_one_is_the_current_position(scene: Scene, name: str) -> None:
    assert scene.call(name, 3, 0, 1, -1, 0, 0, ret=4)["offset"] is None
    assert scene.call(name, 3, 0, 1, 4096, 0, 0, ret=4)["offset"] == 4096
    assert scene.call(name.removesuffix("2"), 3, 0, 1, -1, ret=-22)["offset"] == -1


def test_flags_are_unsigned_and_openat2s_are_in_its_structure(scene: Scene) -> None:
    assert scene.call("openat", -100, 0, 0xFFFF_FFFF_8000_0000, 0, path=b"/a", ret=3)["flags"] == 0x8000_0000
    how = struct.pack("=QQQ", 1 << 40 | O_CLOEXEC, 0, 0)
    assert scene.call("openat2", -100, 0, 0, 24, path=b"/a", ret=3, aux=how)["flags"] == 1 << 40 | O_CLOEXEC
    assert scene.call("openat2", -100, 0, 0, 24, path=b"/a", ret=3)["flags"] is None
    assert scene.call("getpid")["flags"] is None


@pytest.mark.parametrize(
    ("name", "args", "fd"),
    [
        ("splice", (3, 0, 4, 0, 9, 0), 4), ("tee", (3, 4, 9, 0), 4), ("copy_file_range", (3, 0, 4, 0, 9, 0), 4),
        ("sendfile64", (4, 3, 0, 9), 4), ("timerfd_settime", (4, 0, 0, 0), 4), ("epoll_wait", (4, 0, 1, 0), 4),
        ("mmap", (0, 9, 1, 2, 4, 0), 4), ("mmap", (0, 9, 1, 0x22, 4, 0), None), ("read", (-1, 0, 9), None),
        ("io_uring_enter", (4, 1, 1, 0x1, 0, 0), 4), ("io_uring_enter", (4, 1, 1, 0x11, 0, 0), None),
        ("io_uring_register", (4, 20, 0, 1), 4), ("io_uring_register", (4, 1 << 31 | 20, 0, 1), None),
        ("read", (1 << 32 | 4, 0, 9), 4), ("getpid", (), None), ("pipe2", (0, 0), None),
    ],
)  # fmt: skip
def test_the_descriptor_a_call_works_on(scene: Scene, name: str, args: tuple[int, ...], fd: int | None) -> None:
    scene.open(b"/three", 3)
    scene.open(b"/four", 4)
    row = scene.call(name, *args, ret=-22)
    assert (row["fd"], row["file"]) == (fd, "/four" if fd == 4 else None)


@pytest.mark.parametrize(
    ("name", "args", "ret", "space"),
    [
        ("mmap", (0, 1, 0, 0x22, -1, 0), 1 << 40, 4096),
        ("munmap", (0, 8192), 0, 8192), ("munmap", (0, 8192), -22, None),
        ("mremap", (0, 4096, 8193, 0, 0), 1 << 40, 12288), ("mremap", (0, 9000, 1, 0, 0), 1 << 40, 12288),
        ("mprotect", (0, 4096, 0), 0, 0), ("msync", (0, 4096, 0), 0, 0), ("mlock", (0, 9), -12, None),
        ("getpid", (), 1, None),
    ],
)  # fmt: skip
def test_address_space(scene: Scene, name: str, args: tuple[int, ...], ret: int, space: int | None) -> None:
    assert scene.call(name, *args, ret=ret)["address_space_bytes"] == space


def test_brk_is_movement_within_a_process(scene: Scene) -> None:
    def move(ret: int, **more: int) -> int | None:
        moved: int | None = scene.call("brk", 0, ret=ret, **more)["address_space_bytes"]
        return moved

    assert [move(0x10000), move(0x13000), move(0x12000), move(0x12000)] == [0, 0x3000, 0x1000, 0]
    assert move(0x90000, pid=200, tid=200) == 0
    scene.fork(300)
    assert move(0x20000, pid=300, tid=300) == 0
    scene.exec()
    assert move(0x50000) == 0


# ---- names of paths ----


@pytest.mark.parametrize(
    ("text", "file"),
    [
        (b"/a", "/a"), (b"x", "/w/d/x"), (b"./x//y/./", "/w/d/x/y"), (b"../x", "/w/x"), (b"./../../../x", "/x"),
        (b"a/../x", "/w/d/a/../x"), (b"/../x", "/x"), (b"//a/./b/", "/a/b"), (b"/a/../b", "/a/../b"), (b".", "/w/d"),
        (b"..", "/w"), (b"/", "/"), (b"/..", "/"), (b"", None), (b"n\n\xff\xc3\xa9\\", "/w/d/n\n\\xffé\\"),
        (b"x" * 5000, "x" * 4095), (b"/" + b"x" * 5000, "/" + "x" * 4094),
    ],
)  # fmt: skip
def test_paths_are_made_absolute(scene: Scene, text: bytes, file: str | None) -> None:
    scene.cwd(b"/w/d")
    row = scene.call("newstat", 0, 0, path=text, ret=ENOENT)
    assert (row["file"], row["file_source"]) == (file, "arg" if file else None)


@pytest.mark.parametrize("status", [wire.PATH_ABSENT, wire.PATH_NULL, wire.PATH_UNREADABLE])
def test_a_path_that_was_never_read_is_no_file(scene: Scene, status: int) -> None:
    scene.cwd(b"/w")
    row = scene.call("newfstatat", -100, 0, 0, 0, path=Paths(b"", status1=status), ret=-14)
    assert (row["file"], row["file_source"]) == (None, None)


def test_relative_to_a_directory_descriptor(scene: Scene) -> None:
    scene.cwd(b"/w")
    scene.open(b"/d", 5)
    assert scene.call("unlinkat", 5, 0, 0, path=b"x")["file"] == "/d/x"
    assert scene.call("unlinkat", 6, 0, 0, path=b"./x/")["file"] == "./x/"
    scene.name(7, b"pipe:[1]")
    assert scene.call("unlinkat", 7, 0, 0, path=b"x")["file"] == "x"
    assert scene.call("unlinkat", 7, 0, 0, path=b"/x")["file"] == "/x"


def test_two_dots_behind_a_name_that_ends_in_two_dots_stay(scene: Scene) -> None:
    scene.call("chdir", 0, path=b"/a/link/..")
    assert scene.call("newstat", 0, 0, path=b"../x", ret=ENOENT)["file"] == "/a/link/../../x"


NULL = Paths(b"", status1=wire.PATH_NULL)
UNREAD = Paths(b"", status1=wire.PATH_UNREADABLE)


@pytest.mark.parametrize(
    ("name", "args", "path", "ret", "file"),
    [
        ("newfstatat", (5, 0, 0, 0x1000), Paths(b""), 0, "/d"), ("newfstatat", (5, 0, 0, 0x1000), NULL, 0, "/d"),
        ("newfstatat", (5, 0, 0, 0x1000), Paths(b""), ENOENT, None), ("newfstatat", (5, 0, 0, 0), Paths(b""), 0, None),
        ("newfstatat", (5, 0, 0, 0x1000), UNREAD, 0, None), ("newfstatat", (-100, 0, 0, 0x1000), Paths(b""), 0, "/w"),
        ("readlinkat", (5, 0, 0, 9), Paths(b""), 4, "/d"), ("readlinkat", (5, 0, 0, 9), NULL, 4, None),
        ("utimensat", (5, 0, 0, 0), NULL, 0, "/d"), ("utimensat", (5, 0, 0, 0), Paths(b""), 0, None),
        ("fanotify_mark", (3, 1, 0, 5, 0), NULL, 0, "/d"), ("fspick", (5, 0, 0x8), Paths(b""), 4, "/d"),
        ("open_tree", (5, 0, 0x1000), NULL, 4, "/d"),
    ],
)  # fmt: skip
def test_when_an_empty_path_means_the_directory(
    scene: Scene, *, name: str, args: tuple[int, ...], path: Paths, ret: int, file: str | None
) -> None:
    scene.cwd(b"/w")
    scene.open(b"/d", 5)
    row = scene.call(name, *args, path=path, ret=ret)
    sources = {None: None, "/w": "arg", "/d": "fd"}
    assert (row["file"], row["file_source"]) == (file, sources[file])
    if name in ("fspick", "open_tree"):
        assert scene.file(4) == "/d"


def test_which_file_a_descriptor_is(scene: Scene) -> None:
    """Device and inode are the file's that the kernel named: what was put together from paths has none."""
    ids = {"inode": 77, "device": 8 << 20 | 1}
    said = {"device": os.makedev(8, 1), "inode": 77}
    scene.feed(Name(fd=5, name=NameText(b"d\0", wire.NAME_COMPONENTS, **ids), **scene.head()))
    read, empty = scene.call("read", 5, 0, 0), scene.call("newfstatat", 5, 0, 0, 0x1000, path=Paths(b""))
    scene.call("dup", 5, ret=6)
    copied, relative = scene.call("read", 6, 0, 0), scene.call("newfstatat", 5, 0, 0, 0, path=b"x")
    for row in (read, empty, copied):
        assert {key: row[key] for key in said} == said
    assert (relative["file"], relative["device"], relative["inode"]) == ("/d/x", None, None)
    scene.open(b"/w", 7)
    assert scene.call("read", 7, 0, 0)["inode"] is None
    scene.enter("openat", -100, 0, 0, path=b"/link")
    opened = scene.exit("openat", 8, name=NameText(b"e\0", wire.NAME_COMPONENTS, inode=1 << 63, device=0xFFFFF))
    assert opened
    assert (opened["file"], opened["device"], opened["inode"]) == ("/e", os.makedev(0, 0xFFFFF), -1 << 63)


OMIT = struct.Struct("=QQQ").pack(0x3FFF_FFFE, 0x3FFF_FFFE, 1)


@pytest.mark.parametrize(
    ("args", "path", "aux", "file"),
    [
        ((5, 0, 64, 0x1000), Paths(b""), None, "/d"), ((5, 0, 64, 0x1000), Paths(b""), bytes(24), "/d"),
        ((5, 0, 64, 0x1000), Paths(b""), OMIT, None), ((5, 0, 64, 0), NULL, OMIT, None),
        ((5, 0, 64, 0), Paths(b"./x"), bytes(24), "/d/x"), ((5, 0, 64, 0), Paths(b"./x"), OMIT, "./x"),
        ((5, 0, 64, 0), Paths(b"./x"), OMIT[:16] + bytes(8), "/d/x"),
    ],
)  # fmt: skip
def test_utimensat_of_nothing_looks_at_nothing(
    scene: Scene, args: tuple[int, ...], path: Paths, aux: bytes | None, file: str | None
) -> None:
    scene.open(b"/d", 5)
    row = scene.call("utimensat", *args, path=path, aux=aux)
    source = None if file is None else "fd" if file == "/d" else "arg"
    assert (row["file"], row["file_source"]) == (file, source)


def test_rename_and_link_have_two_files(scene: Scene) -> None:
    scene.cwd(b"/w")
    scene.open(b"/d", 5)
    row = scene.call("renameat2", -100, 0, 5, 0, 1, path=Paths(b"a", b"b", 1, 1))
    assert (row["old_file"], row["file"], row["file_source"], row["flags"]) == ("/w/a", "/d/b", "arg", 1)
    row = scene.call("symlinkat", 0, 5, 0, path=Paths(b"../t/./", b"l", 1, 1))
    assert (row["old_file"], row["file"]) == ("../t/./", "/d/l")
    row = scene.call("linkat", 5, 0, -100, 0, 0x1000, path=Paths(b"", b"new", 1, 1))
    assert (row["old_file"], row["file"], row["file_source"]) == ("/d", "/w/new", "arg")


@pytest.mark.parametrize(("status1", "status2"), [(wire.PATH_NULL, wire.PATH_OK), (wire.PATH_OK, wire.PATH_NULL)])
def test_one_of_two_paths_may_be_missing(scene: Scene, status1: int, status2: int) -> None:
    old, new = (b"/x" if status == wire.PATH_OK else b"" for status in (status1, status2))
    row = scene.call("linkat", -100, 0, -100, 0, 0x1000, path=Paths(old, new, status1, status2), ret=-14)
    assert (row["old_file"], row["file"]) == (old.decode() or None, new.decode() or None)


def test_move_mount_sides_are_empty_by_their_own_flags(scene: Scene) -> None:
    scene.open(b"/from", 5)
    scene.open(b"/to", 6)
    empty = Paths(b"", b"", 1, 1)
    both = [
        (row["old_file"], row["file"])
        for row in (scene.call("move_mount", 5, 0, 6, 0, flags, path=empty) for flags in (0x4, 0x40, 0x44))
    ]
    assert both == [("/from", None), (None, "/to"), ("/from", "/to")]
    row = scene.call("move_mount", 5, 0, 6, 0, 0x40, path=empty)
    assert row["file_source"] == "fd"
    row = scene.call("move_mount", 5, 0, 6, 0, 0x4, path=Paths(b"", b"/new", 1, 1), ret=ENOENT)
    assert (row["old_file"], row["file"], row["file_source"]) == (None, "/new", "arg")


def test_a_path_that_was_not_resident_is_read_again_by_its_slot(scene: Scene) -> None:
    scene.cwd(b"/w")
    unread = Paths(b"", b"b", wire.PATH_UNREADABLE, wire.PATH_OK)
    again = Paths(b"a", b"WRONG", 1, 1)
    row = scene.call("rename", 0, 0, path=unread, exit_paths=again)
    assert (row["old_file"], row["file"]) == ("/w/a", "/w/b")
    unread = Paths(b"", status1=wire.PATH_UNREADABLE)
    assert scene.call("openat", -100, 0, 0, 0, path=unread, ret=3, exit_paths=Paths(b"c"))["file"] == "/w/c"
    assert scene.file(3) == "/w/c"


def test_the_directory_is_the_one_of_the_enter(scene: Scene) -> None:
    scene.cwd(b"/w")
    scene.enter("newstat", 0, 0, path=Paths(b"", status1=wire.PATH_UNREADABLE))
    scene.cwd(b"/elsewhere")
    row = scene.exit("newstat", 0, paths=Paths(b"x"))
    assert row and row["file"] == "/w/x"


def test_getcwd_is_named_by_what_it_returned(scene: Scene) -> None:
    row = scene.call("getcwd", 0, 64, ret=5, exit_paths=Paths(b"/w/d"))
    assert (row["file"], row["file_source"]) == ("/w/d", "kernel")
    assert scene.call("getcwd", 0, 64, ret=-34)["file"] is None
    assert scene.call("getcwd", 0, 64, ret=-34, exit_paths=Paths(b"/stale"))["file"] is None


def test_labels_are_no_files(scene: Scene) -> None:
    scene.cwd(b"/w")
    memfd = NameText(b"memfd:x", wire.NAME_PSEUDO)
    row = scene.call("memfd_create", 0, 0, path=b"x", ret=3, exit_name=memfd)
    assert (row["file"], row["file_source"], scene.file(3)) == ("/memfd:x (deleted)", "kernel", "/memfd:x (deleted)")
    assert scene.call("memfd_create", 0, 0, path=b"x", ret=-24)["file"] is None
    assert scene.call("mq_open", 0, 0, 0, 0, path=b"q", ret=-24)["file"] is None


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (NameText(b"b\0a\0", wire.NAME_COMPONENTS), "/a/b"),
        (NameText(b"", wire.NAME_COMPONENTS), "/"),
        (NameText(b"b\0a\0", wire.NAME_COMPONENTS, wire.NAME_DELETED), "/a/b (deleted)"),
        (NameText(b"b\0a\0", wire.NAME_COMPONENTS, wire.NAME_INCOMPLETE), None),
        (NameText(b"", wire.NAME_NONE), None),
        (NameText(b"net", wire.NAME_NAMESPACE, 0, 79), "net:[79]"),
        (NameText(b"/x", wire.NAME_TEXT), "/x"),
        (NameText(b"/x", wire.NAME_TEXT, wire.NAME_DELETED), "/x (deleted)"),
        (NameText(b"", wire.NAME_PIPE, 0, 77), "pipe:[77]"),
        (NameText(b"", wire.NAME_SOCKET, 0, 78), "socket:[78]"),
        (NameText(b"[eventfd]", wire.NAME_ANON), "anon_inode:[eventfd]"),
        (NameText(b"memfd:m", wire.NAME_PSEUDO), "/memfd:m (deleted)"),
        (NameText(b"memfd:m", wire.NAME_PSEUDO, wire.NAME_DELETED), "/memfd:m (deleted)"),
    ],
)
def test_what_a_name_section_says(scene: Scene, name: NameText, file: str | None) -> None:
    scene.open(b"/before", 3)
    scene.feed(Name(fd=3, name=name, **scene.head()))
    assert scene.file(3) == file


def test_sources(scene: Scene) -> None:
    kernel = scene.open(b"a", 3, exit_name=NameText(b"/k/a"))
    assert (kernel["file"], kernel["file_source"]) == ("/k/a", "kernel")
    assert scene.call("fsync", 3)["file_source"] == "kernel"
    tracked = scene.open(b"/b", 4)
    assert (tracked["file"], tracked["file_source"], tracked["fd"]) == ("/b", "arg", 4)
    assert scene.call("fsync", 4)["file_source"] == "fd"
    scene.name(5, b"/c", from_proc=True)
    assert scene.call("fsync", 5)["file_source"] == "proc"
    failed = scene.open(b"/d", ENOENT)
    assert (failed["file"], failed["file_source"], failed["fd"]) == ("/d", "arg", None)


def test_a_name_that_proc_gave_for_this_exit_is_used(scene: Scene) -> None:
    def read(ret: int, *, from_proc: bool, later_ns: int) -> str | None:
        scene.feed(TaskExit(group_dead=True, **scene.head()))
        scene.enter("read", 3, 0, 9)
        scene.name(3, b"/late", from_proc=from_proc)
        scene.now_ns += later_ns - 10
        row = scene.exit("read", ret)
        assert row and row["file_source"] in (None, "proc")
        name: str | None = row["file"]
        return name

    assert read(4, from_proc=True, later_ns=0) == "/late"
    assert read(EBADF, from_proc=True, later_ns=0) is None
    assert read(4, from_proc=True, later_ns=1) is None
    assert read(4, from_proc=False, later_ns=0) is None


def test_an_incomplete_walk_falls_back_to_the_joined_path(scene: Scene) -> None:
    half = NameText(b"a\0", wire.NAME_COMPONENTS, wire.NAME_INCOMPLETE)
    assert scene.open(b"/d/a", 3, exit_name=half)["file_source"] == "arg"
    assert scene.file(3) == "/d/a"
    scene.call("eventfd2", 0, 0, ret=3, exit_name=half)
    assert scene.file(3) is None
