"""The model of what is left of a name while another thread gives its number to another file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import wire
from reference_state import MOST_REPLACING
from scene import CLONE_FILES, NUMBERS, PID, TID, WORKER, Scene, scene_of_two_files
from wire import Name, NameText, TaskExit


@pytest.fixture
def scene() -> Scene:
    return scene_of_two_files()


def dup2(scene: Scene) -> None:
    scene.call("dup2", 4, 3, ret=3, tid=WORKER)


def begin_dup2(scene: Scene) -> None:
    scene.enter("dup2", 4, 3, tid=WORKER)


CHANGES = {"begun": begin_dup2, "done": dup2}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_number_that_is_replaced_during_a_call(scene: Scene, change: Callable[[Scene], None]) -> None:
    scene.enter("fsync", 3)
    change(scene)
    row = scene.exit("fsync", 0)
    assert row and (row["file"], row["file_source"]) == (None, None)


def test_a_number_that_was_being_replaced_as_the_call_began(scene: Scene) -> None:
    begin_dup2(scene)
    scene.enter("fsync", 3)
    scene.exit("dup2", 3, tid=WORKER)
    row = scene.exit("fsync", 0)
    assert row and row["file"] is None
    assert scene.file(3) == "/w/b"


def test_a_replacement_that_fails_ends_the_doubt(scene: Scene) -> None:
    begin_dup2(scene)
    scene.exit("dup2", -9, tid=WORKER)
    assert scene.file(3) == "/w/a"


def test_other_numbers_keep_their_names(scene: Scene) -> None:
    scene.enter("fsync", 4)
    begin_dup2(scene)
    row = scene.exit("fsync", 0)
    assert row and row["file"] == "/w/b"


def test_a_number_onto_itself_is_not_replaced(scene: Scene) -> None:
    scene.enter("fsync", 3)
    scene.call("dup2", 3, 3, ret=3, tid=WORKER)
    row = scene.exit("fsync", 0)
    assert row and row["file"] == "/w/a"


@pytest.mark.parametrize(
    ("change", "more"),
    [("chdir", {"path": b"/v"}), ("fchdir", {}), ("chroot", {"path": b"/v"})],
    ids=str,
)
def test_a_directory_that_is_left_during_a_call(scene: Scene, change: str, more: dict[str, bytes]) -> None:
    scene.enter("newstat", 0, 0, path=b"x")
    scene.enter("newstat", 0, 0, path=b"/x", tid=TID + 50)
    scene.call(change, 4, tid=WORKER, **more)
    relative, absolute = scene.exit("newstat", 0), scene.exit("newstat", 0, tid=TID + 50)
    assert relative and absolute
    assert (relative["file"], absolute["file"]) == (None, "/x")


def test_each_of_two_paths_has_its_own_directory(scene: Scene) -> None:
    scene.enter("renameat", 3, 0, 4, 0, path=wire.Paths(b"x", b"y", status2=wire.PATH_OK))
    begin_dup2(scene)
    row = scene.exit("renameat", 0)
    assert row and (row["old_file"], row["file"]) == (None, "/w/b/y")


def test_more_than_can_be_told_apart_put_all_in_doubt(scene: Scene) -> None:
    scene.enter("fsync", 4)
    for number in range(MOST_REPLACING + 1):
        scene.enter("dup2", 3, 100 + number, tid=WORKER + number)
    row = scene.exit("fsync", 0)
    assert row and row["file"] is None
    for number in range(MOST_REPLACING + 1):
        scene.exit("dup2", 100 + number, tid=WORKER + number)
    assert scene.file(4) == "/w/b"


def test_a_thread_that_dies_ends_its_replacement(scene: Scene) -> None:
    begin_dup2(scene)
    scene.feed(TaskExit(**scene.head(WORKER)))
    assert scene.file(3) == "/w/a"


def test_a_lost_exit_ends_its_replacement(scene: Scene) -> None:
    begin_dup2(scene)
    scene.enter("getpid", tid=WORKER)
    assert scene.file(3) == "/w/a"


@pytest.mark.parametrize("fd", [3, wire.CWD_FD])
def test_a_name_that_was_read_before_the_change_is_none(scene: Scene, fd: int) -> None:
    """Between reading a name and sending it, the reader's thread can be stopped for any time."""
    read = scene.head()
    dup2(scene)
    scene.call("fchdir", 4, tid=WORKER)
    scene.feed(Name(fd=fd, name=NameText(b"/stale"), **read))
    assert scene.file(3) == "/w/b"
    assert scene.call("newstat", 0, 0, path=b"x")["file"] == "/w/b/x"


def test_a_copied_table_is_nobody_elses_replacement(scene: Scene) -> None:
    begin_dup2(scene)
    scene.fork(PID + 1)
    assert scene.file(3, pid=PID + 1, tid=PID + 1) == "/w/a"


@pytest.mark.parametrize("is_open", [True, False])
def test_a_number_that_is_closed_and_taken_again_during_a_call(scene: Scene, is_open: bool) -> None:
    scene.enter("fsync", 3)
    scene.call("close", 3, tid=WORKER)
    if is_open:
        scene.open(b"/new", 3, tid=WORKER)
    row = scene.exit("fsync", 0)
    assert row and row["file"] is None


def test_a_number_that_another_one_takes_before_its_close_ends(scene: Scene) -> None:
    scene.enter("close", 3)
    scene.open(b"/new", 3, tid=WORKER)
    row = scene.exit("close", 0)
    assert row and row["file"] == "/w/a"
    assert scene.file(3) == "/new"


def test_a_name_record_during_a_call_is_no_change(scene: Scene) -> None:
    scene.enter("fsync", 3)
    scene.name(3, b"/w/renamed")
    scene.open(b"/new", 5, tid=WORKER)
    row = scene.exit("fsync", 0)
    assert row and row["file"] == "/w/a"


def close(scene: Scene) -> None:
    scene.call("close", 3, tid=WORKER)


def make_unnamed(scene: Scene) -> None:
    scene.call("socket", ret=3, tid=WORKER)


LOSSES = {"closed": close, "made": make_unnamed}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("known_before", [True, False])
def test_a_name_that_was_read_before_the_file_was_lost_is_none(
    scene: Scene, loss: Callable[[Scene], None], known_before: bool
) -> None:
    if not known_before:
        scene.call("close", 3)
    read = scene.head()
    loss(scene)
    scene.feed(Name(fd=3, name=NameText(b"/stale"), **read))
    assert scene.file(3) is None
    scene.name(3, b"/new")
    assert scene.file(3) == "/new"


@pytest.mark.parametrize("others", [0, MOST_REPLACING])
def test_a_replacement_ends_in_the_table_that_it_began_in(scene: Scene, others: int) -> None:
    """A process leaves the table that it shares while one of its threads gives a number in it to another file."""
    child, child_worker = PID + 1, PID + 2
    scene.fork(child, flags=CLONE_FILES)
    for number in range(1 + others):
        scene.enter("dup2", 4, 3, pid=child, tid=child_worker + number)
    scene.call("unshare", CLONE_FILES, pid=child, tid=child)
    scene.enter("dup2", 4, 5, pid=child, tid=child)
    assert (scene.file(3), scene.file(3, pid=child, tid=child_worker + 50)) == (None, "/w/a")
    for number in range(1 + others):
        scene.exit("dup2", -9, pid=child, tid=child_worker + number)
    assert scene.file(3) == "/w/a"
    assert scene.file(4, pid=child, tid=child_worker + 50) == "/w/b"
    scene.name(5, b"/w/c", pid=child)
    assert scene.file(5, pid=child, tid=child_worker + 50) is None


def test_a_number_that_is_being_closed(scene: Scene) -> None:
    scene.enter("fsync", 3)
    scene.enter("close", 3, tid=WORKER)
    row = scene.exit("fsync", 0)
    assert row and row["file"] is None
    closed = scene.exit("close", 0, tid=WORKER)
    assert closed and closed["file"] == "/w/a"


def test_several_that_close_a_number_have_closed_nobody_knows_what(scene: Scene) -> None:
    scene.enter("close", 3)
    scene.enter("close", 3, tid=WORKER)
    scene.open(b"/new", 3, tid=WORKER + 1)
    rows = scene.exit("close", 0), scene.exit("close", 0, tid=WORKER)
    assert [row and row["file"] for row in rows] == [None, None]
    assert scene.file(3) is None


@pytest.mark.parametrize("name", [None, b"/new"])
def test_a_close_that_had_no_file_when_it_began_has_closed_the_newer_one(scene: Scene, name: bytes | None) -> None:
    """The open had taken the number by then, but not told yet; the name that the close was sent is that one's."""
    scene.call("close", 3)
    scene.enter("openat", -100, 0, 0, 0, path=b"/new", tid=WORKER)
    if name:
        scene.name(3, name)
    scene.enter("close", 3)
    scene.exit("openat", 3, tid=WORKER)
    scene.exit("close", 0)
    assert scene.file(3) is None


def test_a_dup2_that_others_closed_meanwhile_is_one_of_nobody_knows_what(scene: Scene) -> None:
    begin_dup2(scene)
    scene.call("close", 3)
    scene.exit("dup2", 3, tid=WORKER)
    assert scene.file(3) is None


def takes(scene: Scene) -> None:
    scene.open(b"/new", 7, tid=WORKER)


def takes_and_closes(scene: Scene) -> None:
    takes(scene)
    scene.call("close", 7, tid=WORKER)


def takes_and_is_closing(scene: Scene) -> None:
    takes(scene)
    scene.enter("close", 7, tid=WORKER)


@pytest.mark.parametrize(
    ("others", "left"),
    [(takes, None), (takes_and_closes, "/mine"), (takes_and_is_closing, "/mine")],
    ids=["taken", "closed", "closing"],
)
@pytest.mark.parametrize("call", ["openat", "fcntl"])
def test_a_number_that_two_took_and_nobody_closed(
    scene: Scene, call: str, others: Callable[[Scene], None], left: str | None
) -> None:
    """One of them tells late: somebody has closed it without our seeing that, and which one it was nobody knows."""
    if call == "openat":
        scene.enter("openat", -100, 0, 0, 0, path=b"/mine")
    else:
        scene.name(4, b"/mine")
        scene.enter("fcntl", 4, 0, 7)
    others(scene)
    row = scene.exit(call, 7)
    assert row and row["file"] == "/mine"
    if others is not takes_and_is_closing:
        assert scene.file(7) == left
        return
    scene.exit("close", 0, tid=WORKER)
    assert scene.file(7) == left


def test_a_number_that_is_not_open_any_more_as_its_open_ends(scene: Scene) -> None:
    row = scene.call("openat", -100, 0, 0, 0, path=b"/mine", ret=7, exit_name=NameText(kind=wire.NAME_NONE))
    assert row["file"] == "/mine"
    assert scene.file(7) is None


@pytest.mark.parametrize(
    ("call", "args", "path", "left"),
    [
        ("read", (3, 0, 0), None, None),
        ("close", (3,), None, None),
        ("openat", (3, 0, 0, 0), b"x", None),
        ("openat", (-100, 0, 0, 0), b"x", None),
        ("openat", (3, 0, 0, 0), b"/x", "/x"),
    ],
)
def test_what_another_process_may_have_changed_has_no_name(
    scene: Scene, call: str, args: tuple[int, ...], path: bytes | None, left: str | None
) -> None:
    """The kernel program says so. A path that needs no directory keeps its name."""
    scene.name(3, b"/three")
    scene.name(-100, b"/cwd")
    sure = scene.call("fsync" if path is None else call, *args, path=path, ret=-1)
    assert str(sure["file"]).startswith("/")
    row = scene.call(call, *args, path=path, ret=-1, exit_is_unsure=True)
    assert row["file"] == left


def test_an_exec_through_a_directory_that_another_thread_changed(scene: Scene) -> None:
    """The table's changes end with the old program's threads; what they did to its own path does not."""
    scene.cwd(b"/one")
    scene.enter("execve", 0, 0, 0, path=b"program")
    scene.call("chdir", 0, path=b"/two", tid=WORKER)
    scene.exec()
    row = scene.exit("execve", 0)
    assert row and row["file"] is None
    row = scene.call("execve", 0, 0, 0, path=b"program", ret=-2)
    assert row["file"] == "/two/program"


@pytest.mark.parametrize(("told", "name"), [(True, None), (False, "/two/x")])
def test_a_name_from_before_another_thread_changed_the_directory(scene: Scene, told: bool, name: str | None) -> None:
    """A name that goes with its enter is the caller's own, which may have a directory of its own: the changed one is
    another thread's, then. Without one the place in the ring tells which came later."""
    scene.cwd(b"/one")
    began = scene.head()["time_ns"]
    scene.call("chdir", 0, path=b"/two", tid=WORKER)
    enter = scene.head() | {"time_ns": began}
    if told:
        scene.feed(wire.Name(fd=wire.CWD_FD, name=wire.NameText(b"one\0", wire.NAME_COMPONENTS), **enter))
    scene.feed(wire.Enter(syscall=NUMBERS["access"], args=(0, 0), paths=wire.Paths(b"x"), **enter))
    row = scene.exit("access", -2)
    assert row and row["file"] == name
    row = scene.call("access", 0, 0, path=b"x", ret=-2)
    assert row["file"] == "/two/x"


def test_a_name_from_while_another_thread_closed_the_number(scene: Scene) -> None:
    """It may be the file's that was closed, and comes behind the end of that, when the number may be another one's."""
    scene.enter("close", 3, tid=WORKER)
    enter = scene.head()
    scene.exit("close", 0, tid=WORKER)
    scene.feed(wire.Name(fd=3, name=wire.NameText(b"a\0w\0", wire.NAME_COMPONENTS), **enter))
    scene.feed(wire.Enter(syscall=NUMBERS["read"], args=(3, 0, 0), **enter))
    row = scene.exit("read", 0)
    assert row and row["file"] is None


def test_a_name_that_two_threads_were_told_of_at_once(scene: Scene) -> None:
    """The first one's comes behind the second one's: it is the same, and no change was in between."""
    enter = scene.head()
    for head in (scene.head(tid=WORKER), enter):
        scene.feed(wire.Name(fd=9, name=wire.NameText(b"n\0", wire.NAME_COMPONENTS), **head))
    scene.feed(wire.Enter(syscall=NUMBERS["read"], args=(9, 0, 0), **enter))
    row = scene.exit("read", 0)
    assert row and row["file"] == "/n"


@pytest.mark.parametrize("call", ["close", "read"])
def test_a_name_from_before_another_thread_gave_the_number_to_another_file(scene: Scene, call: str) -> None:
    scene.name(3, b"/one")
    scene.name(4, b"/two")
    began = scene.head()["time_ns"]
    scene.call("dup2", 4, 3, ret=3, tid=WORKER)
    enter = scene.head() | {"time_ns": began}
    scene.feed(wire.Name(fd=3, name=wire.NameText(b"one\0", wire.NAME_COMPONENTS), **enter))
    scene.feed(wire.Enter(syscall=NUMBERS[call], args=(3, 0, 0)[: 1 if call == "close" else 3], **enter))
    row = scene.exit(call, 0)
    assert row and row["file"] is None


def test_a_directory_of_another_process_with_the_same_table(scene: Scene) -> None:
    """What is under way is the other one's change of its own directory."""
    scene.cwd(b"/one")
    scene.fork(200, flags=CLONE_FILES)
    scene.cwd(b"/child", pid=200)
    scene.enter("chdir", 0, path=b"/two")
    row = scene.call("access", 0, 0, path=b"x", ret=-2, tid=200, pid=200)
    assert row["file"] == "/child/x"
    scene.exit("chdir", 0)


# ---- numbers that are freed many at a time ----


@pytest.mark.parametrize(
    ("first", "last", "name"), [(0, 0xFFFF_FFFF, None), (3, 4, None), (4, 9, "/w/a"), (3, 2, "/w/a")]
)
def test_a_number_in_a_range_that_is_being_closed(scene: Scene, first: int, last: int, name: str | None) -> None:
    scene.enter("close_range", first, last, 0, tid=WORKER)
    scene.enter("fsync", 3)
    row = scene.exit("fsync", 0)
    assert row and row["file"] == name


def test_a_range_that_is_only_marked_puts_nothing_in_doubt(scene: Scene) -> None:
    scene.enter("close_range", 0, 9, 4, tid=WORKER)
    assert scene.file(3) == "/w/a"


def test_ranges_end_as_they_began(scene: Scene) -> None:
    """Until the last one has ended all from the lowest to the highest number is in doubt, and nothing after that."""
    scene.enter("close_range", 90, 99, 0, tid=WORKER)
    scene.enter("close_range", 1, 2, 0, tid=WORKER + 1)
    scene.exit("close_range", 0, tid=WORKER + 1)
    assert scene.file(3) is None
    scene.exit("close_range", 0, tid=WORKER)
    assert scene.file(3) == "/w/a"
    scene.enter("close_range", 90, 99, 0, tid=WORKER)
    assert scene.file(3) == "/w/a"


@pytest.mark.parametrize("args", [(3, 3, 0), (3, 9, 0)], ids=["one", "many"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_range_whose_first_number_gets_another_file(
    scene: Scene, change: Callable[[Scene], None], args: tuple[int, ...]
) -> None:
    """Its row is named after that, and nobody can tell which of the files it closed."""
    scene.enter("close_range", *args)
    change(scene)
    row = scene.exit("close_range", 0)
    assert row and row["file"] is None


@pytest.mark.parametrize("args", [(3, 3, 0), (0, 9, 0)], ids=["one", "many"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_close_that_meets_a_range_has_closed_nobody_knows_what(
    scene: Scene, args: tuple[int, ...], is_first: bool
) -> None:
    calls = [("close", (3,), TID), ("close_range", args, WORKER)]
    for name, of, tid in calls if is_first else calls[::-1]:
        scene.enter(name, *of, tid=tid)
    row = scene.exit("close", 0)
    assert row and row["file"] is None
