"""The model of what a call's row is named after that made a number, where others had that to free or to replace."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from reference_state import MOST_REPLACING
from scene import TID, WORKER, Scene
from test_reference_replaced import begin_dup2, dup2
from wire import NameText


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.name(3, b"/w/a")
    scene.name(4, b"/w/b")
    scene.cwd(b"/w")
    return scene


def opened(scene: Scene) -> tuple[str | None, str | None]:
    """What the row of an open is named after whose number has another file by its exit."""
    row = scene.exit("openat", 3, name=NameText(b"/w/b", inode=7))
    assert row
    return row["file"], row["file_source"]


def test_an_open_whose_number_is_being_given_another_file(scene: Scene) -> None:
    scene.call("close", 3)
    scene.enter("openat", -100, 0, 0, 0, path=b"/link")
    begin_dup2(scene)
    assert opened(scene) == ("/link", "arg")
    assert scene.row["inode"] is None


def test_an_open_whose_number_was_given_another_file_that_is_being_closed(scene: Scene) -> None:
    """The number may have been free in between, and may not."""
    scene.call("close", 3)
    scene.enter("openat", -100, 0, 0, 0, path=b"/link")
    dup2(scene)
    scene.enter("close", 3, tid=WORKER)
    assert opened(scene) == ("/link", "arg")


def others_close(scene: Scene) -> None:
    scene.call("close", 3, tid=WORKER)


def others_are_closing(scene: Scene) -> None:
    scene.open(b"/other", 3, tid=WORKER)
    scene.enter("close", 3, tid=WORKER)


def others_close_many(scene: Scene) -> None:
    scene.call("close_range", 0, 9, 0, tid=WORKER)


CLOSES = pytest.mark.parametrize("close", [others_close, others_are_closing, others_close_many])


@CLOSES
def test_an_open_whose_number_others_closed_since_it_began(scene: Scene, close: Callable[[Scene], None]) -> None:
    """Before it was the open's, most likely; else it may be yet another's by now, who has not told of it yet."""
    scene.enter("openat", -100, 0, 0, 0, path=b"/link")
    close(scene)
    assert opened(scene) == ("/link", "arg")


@CLOSES
def test_an_open_of_the_name_that_its_number_has_then(scene: Scene, close: Callable[[Scene], None]) -> None:
    scene.enter("openat", -100, 0, 0, 0, path=b"/w/b")
    close(scene)
    assert opened(scene) == ("/w/b", "kernel")
    assert scene.row["inode"] == 7


@CLOSES
@pytest.mark.parametrize(("name", "args"), [("eventfd2", (0, 0)), ("accept4", (4, 0, 0, 0))])
def test_an_accept_that_gets_what_others_closed(
    scene: Scene, close: Callable[[Scene], None], name: str, args: tuple[int, ...]
) -> None:
    """As threads do all day: it may have waited for hours."""
    scene.enter(name, *args)
    close(scene)
    row = scene.exit(name, 3, name=NameText(b"socket:[7]"))
    assert row and row["file"] == "socket:[7]"


@pytest.mark.parametrize("path", [b"/link", None])
def test_a_name_that_was_read_after_others_closed_the_number(scene: Scene, path: bytes | None) -> None:
    """The thread did not run between the end of its call and the reading of the name."""
    name, args = ("openat", (-100, 0, 0, 0)) if path else ("eventfd2", (0, 0))
    scene.enter(name, *args, path=path)
    scene.now_ns += 50
    others_close(scene)
    scene.now_ns -= 60
    row = scene.exit(name, 3, name=NameText(b"/w/b", inode=7))
    assert row and (row["file"], row["inode"]) == (path and path.decode(), None)


def test_an_open_that_began_after_the_number_was_given_and_closed(scene: Scene) -> None:
    dup2(scene)
    scene.call("close", 3, tid=WORKER)
    scene.enter("openat", -100, 0, 0, 0, path=b"/link")
    assert opened(scene) == ("/w/b", "kernel")


@pytest.mark.parametrize(("name", "args"), [("eventfd2", (0, 0)), ("memfd_create", (0, 0)), ("accept4", (4, 0, 0, 0))])
def test_what_has_no_path_has_no_name_then(scene: Scene, name: str, args: tuple[int, ...]) -> None:
    scene.call("close", 3)
    scene.enter(name, *args)
    begin_dup2(scene)
    row = scene.exit(name, 3, name=NameText(b"/w/b", inode=7))
    assert row and (row["file"], row["inode"], row["fd"]) == (None, None, 3)


def test_a_pair_whose_first_number_is_being_given_another_file(scene: Scene) -> None:
    scene.call("close", 3)
    scene.enter("pipe2", 0, 0)
    begin_dup2(scene)
    row = scene.exit("pipe2", 0, name=NameText(b"/w/b", inode=7), aux=struct.pack("=iiqq", 3, 5, 0, 0))
    assert row and (row["file"], row["fd"]) == (None, 3)


def test_many_that_replace_others_put_no_made_number_in_doubt_unless_one_gives(scene: Scene) -> None:
    for fd in range(20, 20 + MOST_REPLACING + 1):
        scene.enter("close", fd, tid=WORKER + fd)
    assert scene.call("eventfd2", 0, 0, ret=9, exit_name=NameText(b"/w/b"))["file"] == "/w/b"
    scene.enter("dup2", 4, 19, tid=WORKER)
    assert scene.call("eventfd2", 0, 0, ret=9, exit_name=NameText(b"/w/b"))["file"] is None


# ---- files that a supervisor puts somewhere ----

ADDFD = 0x40182103


def put(scene: Scene) -> None:
    scene.call("ioctl", 9, ADDFD, ret=3, tid=900, pid=900)


def begin_put(scene: Scene) -> None:
    scene.enter("ioctl", 9, ADDFD, tid=900, pid=900)


PUTS = pytest.mark.parametrize("change", [begin_put, put], ids=["begun", "done"])


@PUTS
def test_a_number_that_a_supervisor_may_have_given_another_file(scene: Scene, change: Callable[[Scene], None]) -> None:
    """Whose table it was it does not say."""
    for name in ("fsync", "close"):
        scene.enter(name, 3)
        change(scene)
        row = scene.exit(name, -5, tid=TID)
        assert row and row["file"] is None
        scene.exit("ioctl", 3, tid=900, pid=900)
        scene.name(3, b"/w/a")


@PUTS
def test_a_number_that_an_open_made_meanwhile(scene: Scene, change: Callable[[Scene], None]) -> None:
    scene.call("close", 3)
    scene.enter("openat", -100, 0, 0, 0, path=b"/link")
    change(scene)
    assert opened(scene) == ("/link", "arg")


def test_a_directory_is_none_of_what_it_puts(scene: Scene) -> None:
    scene.enter("access", 0, path=b"x")
    put(scene)
    row = scene.exit("access", 0)
    assert row and row["file"] == "/w/x"


def test_calls_after_it_are_named_as_ever(scene: Scene) -> None:
    put(scene)
    assert scene.file(3) == "/w/a"


def test_an_ioctl_of_another_kind_puts_nothing(scene: Scene) -> None:
    scene.enter("fsync", 3)
    scene.call("ioctl", 9, 0x5401, tid=900, pid=900)
    row = scene.exit("fsync", 0)
    assert row and row["file"] == "/w/a"
