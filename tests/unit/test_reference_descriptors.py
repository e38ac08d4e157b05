"""The plain reference's descriptor tables, processes and names of threads, by example."""

from __future__ import annotations

import struct

import pytest
import wire
from scene import CLONE_FILES, PID, WORKER, Scene
from wire import Comm, NameText, Paths, TaskExit

EBADF, EINTR, EIO, EMFILE = -9, -4, -5, -24
O_CLOEXEC = 0x80000
F_DUPFD, F_SETFD, F_DUPFD_CLOEXEC, FIONCLEX, FIOCLEX = 0, 2, 1030, 0x5450, 0x5451
CLOEXEC_KNOWN = wire.NAME_CLOEXEC_KNOWN


@pytest.fixture
def scene() -> Scene:
    return Scene()


def survives_exec(scene: Scene, fd: int) -> bool:
    """Whether the number still has a name behind an exec; ends the process's other descriptors' story."""
    scene.exec()
    return scene.file(fd) is not None


# ---- whose descriptor it is ----


def test_descriptors_belong_to_a_process(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.open(b"/two", 3, pid=200, tid=200)
    assert (scene.file(3), scene.file(3, tid=WORKER), scene.file(3, pid=200, tid=200)) == ("/one", "/one", "/two")
    scene.call("close", 3, pid=200, tid=200)
    assert (scene.file(3), scene.file(3, pid=200, tid=200)) == ("/one", None)


def test_only_the_last_thread_takes_the_descriptors_along(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.cwd(b"/w")
    scene.feed(TaskExit(**scene.head(WORKER)))
    assert scene.file(3) == "/one"
    scene.feed(TaskExit(group_dead=True, **scene.head()))
    assert scene.file(3) is None
    assert scene.call("newstat", 0, 0, path=b"x")["file"] == "x"


def test_a_fork_inherits_a_copy(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.cwd(b"/w")
    scene.fork(200)
    scene.call("close", 3)
    scene.open(b"/two", 4)
    child = {"pid": 200, "tid": 200}
    assert (scene.file(3, **child), scene.file(4, **child)) == ("/one", None)
    assert scene.call("newstat", 0, 0, path=b"x", **child)["file"] == "/w/x"
    scene.call("chdir", 0, path=b"/else", **child)
    assert scene.call("newstat", 0, 0, path=b"x")["file"] == "/w/x"


@pytest.mark.parametrize("end", ["exec", "unshare", "close_range"])
def test_clone_files_shares_until_somebody_leaves(scene: Scene, end: str) -> None:
    child = {"pid": 200, "tid": 200}
    scene.call("getpid")
    scene.fork(200, flags=CLONE_FILES)
    scene.open(b"/one", 3, O_CLOEXEC)
    scene.open(b"/two", 4)
    assert (scene.file(3, **child), scene.file(4, **child)) == ("/one", "/two")
    scene.call("close", 4, **child)
    assert scene.file(4) is None
    if end == "exec":
        scene.exec()
    elif end == "unshare":
        scene.call("unshare", CLONE_FILES)
    else:
        scene.call("close_range", 100, 200, 2)
    scene.open(b"/mine", 5)
    assert (scene.file(3, **child), scene.file(5, **child), scene.file(5)) == ("/one", None, "/mine")
    assert scene.file(3) == (None if end == "exec" else "/one")


@pytest.mark.parametrize(("call", "args"), [("unshare", (CLONE_FILES,)), ("close_range", (3, 3, 2))])
def test_exec_leaves_a_table_that_is_still_shared_because_a_call_failed(
    scene: Scene, call: str, args: tuple[int, ...]
) -> None:
    child = {"pid": 200, "tid": 200}
    scene.open(b"/one", 3, O_CLOEXEC)
    scene.fork(200, flags=CLONE_FILES)
    scene.call(call, *args, ret=-12)
    scene.exec()
    assert (scene.file(3), scene.file(3, **child)) == (None, "/one")


def test_an_unknown_creator_shares_nothing(scene: Scene) -> None:
    scene.fork(200, flags=CLONE_FILES)
    scene.open(b"/one", 3)
    assert scene.file(3, pid=200, tid=200) is None


def test_a_shared_table_outlives_its_first_owner(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.fork(200, flags=CLONE_FILES)
    scene.feed(TaskExit(group_dead=True, **scene.head()))
    assert scene.file(3, pid=200, tid=200) == "/one"


def test_a_new_thread_changes_no_table(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.fork(PID, WORKER)
    assert scene.file(3, tid=WORKER) == "/one"


def test_a_fork_ends_whoever_had_the_childs_numbers(scene: Scene) -> None:
    scene.open(b"/old", 3, pid=200, tid=200)
    scene.enter("read", 3, 0, 1, pid=200, tid=200)
    scene.fork(200)
    assert scene.exit("read", 1, pid=200, tid=200) is None
    row = scene.call("fsync", 3, pid=200, tid=200)
    assert (row["file"], row["gap_ns"]) == (None, None)
    assert {cause for cause, count in scene.reference.counters.items() if count} == {"unfinished_calls"}


# ---- opening ----


def test_the_exits_name_wins_over_the_path(scene: Scene) -> None:
    scene.open(b"/link", 3, exit_name=NameText(b"/target"))
    assert scene.file(3) == "/target"


def test_a_temporary_files_directory_is_not_its_name(scene: Scene) -> None:
    assert scene.open(b"/tmp", 3, 0o20200002)["file"] == "/tmp"
    assert scene.file(3) is None
    scene.open(b"/tmp", 3, 0o20200002, exit_name=NameText(b"/tmp/#12 (deleted)"))
    assert scene.file(3) == "/tmp/#12 (deleted)"


def test_a_failed_open_keeps_its_path_and_changes_nothing(scene: Scene) -> None:
    scene.open(b"/one", 3)
    row = scene.open(b"/none", -2, exit_name=NameText(b"/ghost"))
    assert (row["file"], row["fd"], scene.file(3)) == ("/none", None, "/one")


@pytest.mark.parametrize("ret", [1 << 20, (1 << 31) - 1])
def test_numbers_no_process_can_have_touch_no_table(scene: Scene, ret: int) -> None:
    assert scene.open(b"/one", ret)["fd"] == ret
    assert scene.file(ret) is None


def test_a_new_descriptor_without_a_name_is_forgotten(scene: Scene) -> None:
    scene.open(b"/one", 3)
    row = scene.call("eventfd2", 0, 0, ret=3)
    assert (row["fd"], row["file"], scene.file(3)) == (3, None, None)


@pytest.mark.parametrize("name", ["accept4", "pidfd_getfd", "fsmount"])
def test_a_made_descriptor_is_not_named_after_the_one_it_was_made_from(scene: Scene, name: str) -> None:
    scene.name(3, b"socket:[1]")
    row = scene.call(name, 3, 0, 0, 0, ret=4)
    assert (row["fd"], row["file"], scene.file(4)) == (4, None, None)
    row = scene.call(name, 3, 0, 0, 0, ret=4, exit_name=NameText(inode=2, kind=wire.NAME_SOCKET))
    assert (row["fd"], row["file"], scene.file(4)) == (4, "socket:[2]", "socket:[2]")
    row = scene.call(name, 3, 0, 0, 0, ret=EMFILE)
    assert (row["fd"], row["file"]) == (3, "socket:[1]")


def test_open_by_handle_has_a_row_when_it_fails(scene: Scene) -> None:
    row = scene.call("open_by_handle_at", 3, 0, 0, ret=-116)
    assert (row["error"], row["file"]) == ("ESTALE", None)
    scene.call("open_by_handle_at", 3, 0, 0, ret=4, exit_name=NameText(b"/h"))
    assert scene.file(4) == "/h"


@pytest.mark.parametrize(
    ("name", "args", "makes"),
    [
        ("landlock_create_ruleset", (0, 0, 0), True), ("landlock_create_ruleset", (0, 0, 1), False),
        ("bpf", (5, 0, 0), True), ("bpf", (5 | 1 << 16, 0, 0), True), ("bpf", (1, 0, 0), False),
        ("signalfd4", (-1, 0, 8, 0), True), ("signalfd4", (3, 0, 8, 0), False),
        ("io_uring_setup", (8, 0), True),
    ],
)  # fmt: skip
def test_whether_the_result_is_a_descriptor(scene: Scene, name: str, args: tuple[int, ...], makes: bool) -> None:
    scene.open(b"/three", 3)
    scene.call(name, *args, ret=3, exit_name=NameText(b"[x]", wire.NAME_ANON))
    assert scene.file(3) == ("anon_inode:[x]" if makes else "/three")


@pytest.mark.parametrize("ret", [3, 9, 0])
def test_the_index_of_a_registered_ring_is_no_descriptor(scene: Scene, ret: int) -> None:
    """The exit has no name section, as the kernel program writes it then."""
    scene.open(b"/three", 3)
    row = scene.call("io_uring_setup", 8, 64, ret=ret)
    assert [row[key] for key in ("ret", "fd", "file", "device", "inode")] == [ret, None, None, None, None]
    assert [scene.file(fd) for fd in (0, 3, 9)] == [None, "/three", None]


def test_a_ring_whose_name_cannot_be_told_has_a_descriptor(scene: Scene) -> None:
    scene.open(b"/three", 3)
    row = scene.call("io_uring_setup", 8, 64, ret=3, exit_name=NameText(kind=wire.NAME_NONE))
    assert (row["fd"], row["file"], scene.file(3)) == (3, None, None)


def test_a_pair_is_two_new_descriptors(scene: Scene) -> None:
    scene.open(b"/three", 3)
    scene.open(b"/four", 4)
    pair = struct.pack("=ii", 3, 4)
    row = scene.call("pipe2", 64, 0, exit_aux=pair, exit_name=NameText(inode=9, kind=wire.NAME_PIPE))
    assert (row["fd"], row["file"], scene.file(3), scene.file(4)) == (3, "pipe:[9]", "pipe:[9]", None)
    assert scene.call("pipe2", 64, 0, ret=EMFILE)["fd"] is None


# ---- copying ----


def test_copies(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.open(b"/gone", 5)
    row = scene.call("dup", 3, ret=4)
    assert (row["fd"], row["ret"], row["file"]) == (3, 4, "/one")
    scene.call("dup2", 3, 5, ret=5)
    scene.call("fcntl", 5, F_DUPFD, 0, ret=6)
    scene.call("fcntl", 6, F_DUPFD_CLOEXEC, 0, ret=7)
    scene.call("close", 3)
    assert [scene.file(fd) for fd in (4, 5, 6, 7)] == ["/one"] * 4


def test_a_copy_of_what_proc_answered_is_no_fact(scene: Scene) -> None:
    scene.name(3, b"/asked", from_proc=True)
    scene.call("dup3", 3, 5, 0, ret=5)
    scene.call("fcntl", 5, F_DUPFD, 0, ret=6)
    for fd in (3, 5, 6):
        row = scene.call("fsync", fd)
        assert (row["file"], row["file_source"]) == ("/asked", "proc")
    scene.name(5, b"/told")
    assert [scene.call("fsync", fd)["file_source"] for fd in (3, 5, 6)] == ["proc", "kernel", "proc"]


def test_a_failed_copy_changes_nothing(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.open(b"/two", 4)
    for name, args in (("dup", (3,)), ("dup2", (3, 4)), ("fcntl", (3, F_DUPFD, 0)), ("pidfd_getfd", (3, 0, 0))):
        scene.call(name, *args, ret=EBADF)
        assert (scene.file(3), scene.file(4), scene.file(9)) == ("/one", "/two", None)


def test_a_copy_of_something_unknown_forgets_the_number(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.call("dup2", 9, 3, ret=3)
    assert scene.file(3) is None
    row = scene.call("dup2", 9, 3, ret=3, exit_name=NameText(b"/found"))
    assert (row["file"], scene.file(3)) == (None, "/found")


def test_dup2_onto_itself_changes_nothing(scene: Scene) -> None:
    scene.open(b"/one", 3, O_CLOEXEC)
    scene.call("dup2", 3, 3, ret=3)
    assert scene.file(3) == "/one"
    assert not survives_exec(scene, 3)


# ---- close on exec ----


@pytest.mark.parametrize(
    ("story", "survives"),
    [
        ([], True),
        ([("dup", (4,), 3)], True),
        ([("dup2", (4, 3), 3)], True),
        ([("dup3", (4, 3, O_CLOEXEC), 3)], False),
        ([("fcntl", (4, F_DUPFD, 0), 3)], True),
        ([("fcntl", (4, F_DUPFD_CLOEXEC, 0), 3)], False),
        ([("fcntl", (3, F_SETFD, 1), 0)], False),
        ([("fcntl", (3, F_SETFD, 1), EBADF)], True),
        ([("fcntl", (3, F_SETFD, 1), 0), ("fcntl", (3, F_SETFD, 0), 0)], True),
        ([("ioctl", (3, FIOCLEX, 0), 0)], False),
        ([("fcntl", (3, FIOCLEX, 0), 0)], True),
        ([("ioctl", (3, FIOCLEX, 0), 0), ("ioctl", (3, FIONCLEX, 0), 0)], True),
        ([("close_range", (3, 3, 4), 0)], False),
        ([("close_range", (4, 9, 4), 0)], True),
        ([("close_range", (0, 0xFFFF_FFFF, 4), -22)], True),
    ],
)
def test_close_on_exec_is_known(scene: Scene, story: list[tuple[str, tuple[int, ...], int]], survives: bool) -> None:
    scene.open(b"/three", 3)
    scene.open(b"/four", 4, O_CLOEXEC)
    for name, args, ret in story:
        scene.call(name, *args, ret=ret)
        assert scene.file(3) is not None
    assert survives_exec(scene, 3) is survives


@pytest.mark.parametrize(
    ("status", "survives"), [(0, False), (CLOEXEC_KNOWN, True), (CLOEXEC_KNOWN | wire.NAME_CLOEXEC, False)]
)
def test_what_may_be_closed_by_exec_is_forgotten(scene: Scene, status: int, survives: bool) -> None:
    scene.name(3, b"/one", status=status)
    scene.call("eventfd2", 0, 0, ret=4, exit_name=NameText(b"/two", status=status))
    scene.exec()
    assert [scene.file(3), scene.file(4)] == (["/one", "/two"] if survives else [None, None])


@pytest.mark.parametrize(("name", "flags", "survives"), [("openat", 0, True), ("openat", O_CLOEXEC, False)])
def test_an_open_marks_by_its_flags_unless_the_kernel_says(scene: Scene, name: str, flags: int, survives: bool) -> None:
    scene.call(name, -100, 0, flags, 0, path=b"/one", ret=3)
    scene.call(name, -100, 0, flags, 0, path=b"/two", ret=4, exit_name=NameText(b"/two", status=CLOEXEC_KNOWN))
    scene.exec()
    assert (scene.file(3) is not None, scene.file(4)) == (survives, "/two")


def test_openat2_marks_only_by_flags_that_were_read(scene: Scene) -> None:
    scene.call("openat2", -100, 0, 0, 24, path=b"/one", ret=3, aux=bytes(24))
    scene.call("openat2", -100, 0, 0, 24, path=b"/two", ret=4)
    scene.exec()
    assert (scene.file(3), scene.file(4)) == ("/one", None)


# ---- closing ----


@pytest.mark.parametrize(("ret", "kept"), [(0, False), (EINTR, False), (EIO, False), (-512, False), (EBADF, True)])
def test_close_releases_the_number_unless_it_was_not_open(scene: Scene, ret: int, kept: bool) -> None:
    scene.open(b"/one", 3)
    assert scene.call("close", 3, ret=ret)["file"] == "/one"
    assert scene.file(3) == ("/one" if kept else None)


@pytest.mark.parametrize(
    ("name", "args", "freed", "left"),
    [
        ("close", (3,), "/one", "/two"),
        ("close_range", (3, 3, 0), "/one", "/two"),
        ("close_range", (3, 9, 0), None, None),
    ],
    ids=["close", "close_range of one", "close_range"],
)
def test_a_close_that_had_its_file_takes_nothing_that_was_bound_after_it_began(
    scene: Scene, name: str, args: tuple[int, ...], freed: str | None, left: str | None
) -> None:
    """Which numbers of its range a close_range had closed by then, nobody can tell: all are told anew after it."""
    scene.open(b"/one", 3)
    scene.enter(name, *args)
    scene.open(b"/two", 3, tid=WORKER)
    row = scene.exit(name, 0)
    assert row and row["file"] == freed
    assert scene.file(3) == left


def test_a_name_bound_at_the_closes_own_time_goes_with_it(scene: Scene) -> None:
    scene.name(3, b"/one")
    scene.now_ns -= 10
    scene.call("close", 3)
    assert scene.file(3) is None


def test_close_range_is_inclusive_and_unsigned(scene: Scene) -> None:
    for fd in (3, 4, 5, 6):
        scene.open(b"/f%d" % fd, fd)
    scene.call("close_range", 4, 5, 0)
    assert [scene.file(fd) for fd in (3, 4, 5, 6)] == ["/f3", None, None, "/f6"]
    scene.call("close_range", 6, (1 << 64) - 1, 0)
    assert [scene.file(fd) for fd in (3, 6)] == ["/f3", None]
    scene.call("close_range", 0, 9, 0, ret=-22)
    assert scene.file(3) == "/f3"


def test_a_row_keeps_the_name_of_its_enter(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.enter("read", 3, 0, 9)
    scene.name(3, b"/two")
    row = scene.exit("read", 4)
    assert row and row["file"] == "/one"


def test_what_is_not_wanted_changes_names_all_the_same() -> None:
    scene = Scene({"fsync"})
    scene.open(b"/one", 3)
    scene.call("dup", 3, ret=4)
    scene.call("close", 3)
    assert (scene.file(3), scene.file(4), len(scene.rows)) == (None, "/one", 2)


# ---- directories ----


def test_the_working_directory_moves(scene: Scene) -> None:
    def here() -> str | None:
        name: str | None = scene.call("newstat", 0, 0, path=b"x", ret=-2)["file"]
        return name

    assert here() == "x"
    scene.call("chdir", 0, path=b"relative")
    assert here() == "x"
    scene.call("chdir", 0, path=b"/a")
    scene.call("chdir", 0, path=b"b")
    assert here() == "/a/b/x"
    scene.call("chdir", 0, path=b"/nowhere", ret=-2)
    assert here() == "/a/b/x"
    scene.open(b"/d", 5)
    scene.call("fchdir", 5)
    assert here() == "/d/x"
    scene.exec()
    assert here() == "/d/x"
    scene.call("chroot", 0, path=b"/jail")
    assert here() == "x"
    scene.cwd(b"/again")
    assert here() == "/again/x"
    scene.call("fchdir", 77)
    assert here() == "x"
    scene.call("chdir", 0, path=Paths(b"", status1=wire.PATH_UNREADABLE), exit_paths=Paths(b"/late"))
    assert here() == "/late/x"


# ---- exec ----


def test_execve_of_a_worker_is_one_row_under_its_own_tid(scene: Scene) -> None:
    scene.feed(Comm(comm=b"old", **scene.head(WORKER)))
    scene.call("getpid", tid=WORKER)
    scene.enter("execve", 0, 0, 0, path=b"/bin/new", tid=WORKER)
    scene.exec(old_tid=WORKER, comm=b"new")
    row = scene.exit("execve", 0)
    assert row and (row["tid"], row["pid"], row["comm"], row["file"]) == (WORKER, PID, "old", "/bin/new")
    assert row["gap_ns"] == 10
    after = scene.call("getpid")
    assert (after["tid"], after["comm"], after["gap_ns"]) == (PID, "new", 10)
    assert scene.call("getpid", tid=WORKER)["comm"] == ""
    assert not any(scene.reference.counters.values())


def test_fexecve_is_named_before_its_descriptor_goes(scene: Scene) -> None:
    scene.open(b"/bin/new", 3, O_CLOEXEC)
    scene.enter("execveat", 3, 0, 0, 0, 0x1000, path=b"")
    scene.exec()
    row = scene.exit("execveat", 0)
    assert row and (row["file"], scene.file(3)) == ("/bin/new", None)


def test_a_failed_exec_changes_nothing(scene: Scene) -> None:
    scene.feed(Comm(comm=b"old", **scene.head()))
    scene.open(b"/one", 3, O_CLOEXEC)
    scene.call("execve", 0, 0, 0, path=b"/none", ret=-2)
    row = scene.call("fsync", 3)
    assert (row["comm"], row["file"]) == ("old", "/one")


# ---- names of threads ----


def test_a_thread_that_was_unknown_at_enter_stays_so_for_that_call(scene: Scene) -> None:
    scene.enter("execve", 0, 0, 0, path=b"/bin/new")
    scene.exec(comm=b"new")
    row = scene.exit("execve", 0)
    assert row and row["comm"] == ""
    assert scene.call("getpid")["comm"] == "new"


def test_comm_is_the_one_of_the_enter(scene: Scene) -> None:
    assert scene.call("getpid")["comm"] == ""
    scene.fork(PID, WORKER, comm=b"parent")
    assert scene.call("getpid", tid=WORKER)["comm"] == "parent"
    scene.enter("prctl", 15, 0, 0, 0, 0, tid=WORKER)
    scene.feed(Comm(comm=b"w\xf6rker", **scene.head(WORKER)))
    row = scene.exit("prctl", 0, tid=WORKER)
    assert row and row["comm"] == "parent"
    assert scene.call("getpid", tid=WORKER)["comm"] == "w\\xf6rker"
    scene.feed(Comm(comm=b"", **scene.head(WORKER)))
    assert scene.call("getpid", tid=WORKER)["comm"] == ""
