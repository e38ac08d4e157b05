"""The model of what a call's row is named after that made a number, where others had that to free or to replace."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from reference_state import MOST_REPLACING
from scene import WORKER, Scene, scene_of_two_files
from test_reference_replaced import begin_dup2, dup2
from wire import NameText


@pytest.fixture
def scene() -> Scene:
    return scene_of_two_files()


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


def close(scene: Scene) -> None:
    scene.call("close", 3, tid=WORKER)


def close_range(scene: Scene) -> None:
    scene.call("close_range", 3, 3, 0, tid=WORKER)


def begin_close(scene: Scene) -> None:
    scene.enter("close", 3, tid=WORKER)


def close_many(scene: Scene) -> None:
    scene.call("close_range", 0, 9, 0, tid=WORKER)


def close_twice(scene: Scene) -> None:
    scene.enter("close", 3, tid=WORKER)
    scene.call("close", 3, ret=-9, tid=WORKER + 1)
    scene.exit("close", 0, tid=WORKER)


MAKERS = pytest.mark.parametrize(
    ("name", "args", "asked"),
    [("openat", (-100, 0, 0, 0), b"/link"), ("eventfd2", (0, 0), None), ("accept4", (4, 0, 0, 0), None)],
)


@MAKERS
@pytest.mark.parametrize("end", [close, close_range, begin_close])
def test_a_number_that_others_have_just_freed(
    scene: Scene, end: Callable[[Scene], None], name: str, args: tuple[int, ...], asked: bytes | None
) -> None:
    """As threads do all day: since a call had told what they free, the number was not to be had before. An accept may
    have waited for hours."""
    scene.enter(name, *args, path=asked)
    scene.open(b"/other", 3, tid=WORKER)
    end(scene)
    row = scene.exit(name, 3, name=NameText(b"/w/b", inode=7))
    assert row and (row["file"], row["inode"]) == ("/w/b", 7)
    assert scene.file(3) == "/w/b"


@MAKERS
@pytest.mark.parametrize("end", [close, close_range, begin_close, close_many, close_twice])
def test_a_number_of_which_nobody_knows_what_others_freed(
    scene: Scene, end: Callable[[Scene], None], name: str, args: tuple[int, ...], asked: bytes | None
) -> None:
    """It may have been the new file, which is called nothing before its call has ended; or many closed it."""
    if end is close_twice:
        scene.open(b"/other", 3)
    scene.enter(name, *args, path=asked)
    end(scene)
    row = scene.exit(name, 3, name=NameText(b"/w/b", inode=7))
    assert row and (row["file"], row["inode"]) == (asked and asked.decode(), None)


def test_an_open_of_the_name_that_its_number_has_then(scene: Scene) -> None:
    """Two files can have one name, one after the other or one over the other: which of them it is, is not known."""
    scene.enter("openat", -100, 0, 0, 0, path=b"/w/b")
    close(scene)
    assert opened(scene) == ("/w/b", "arg")
    assert scene.row["inode"] is None


def test_a_file_without_a_name_has_not_that_of_its_directory(scene: Scene) -> None:
    scene.enter("openat", -100, 0, 0x410000 | 2, 0, path=b"/w")
    close(scene)
    row = scene.exit("openat", 3, name=NameText(b"/w/#7 (deleted)"))
    assert row and row["file"] is None


def test_a_close_that_takes_long(scene: Scene) -> None:
    """Who has got the number meanwhile uses it, frees it, and others get it again."""
    scene.open(b"/one", 3)
    begin_close(scene)
    scene.open(b"/two", 3, exit_name=NameText(b"/two"))
    assert scene.file(3) == "/two"
    assert scene.call("close", 3)["file"] == "/two"
    scene.open(b"/three", 3, exit_name=NameText(b"/three"))
    assert scene.file(3) == "/three"
    row = scene.exit("close", 0, tid=WORKER)
    assert row and row["file"] == "/one"
    assert scene.file(3) == "/three"


def test_a_close_that_takes_long_and_a_file_of_the_same_name(scene: Scene) -> None:
    scene.open(b"/one", 3)
    begin_close(scene)
    scene.open(b"/one", 3, exit_name=NameText(b"/one"))
    scene.exit("close", 0, tid=WORKER)
    assert scene.file(3) == "/one"


@pytest.mark.parametrize("number", [3, 5], ids=["first", "second"])
def test_a_pair_that_gets_what_others_are_closing(scene: Scene, number: int) -> None:
    scene.open(b"/one", number)
    scene.enter("close", number, tid=WORKER)
    row = scene.call("pipe2", 0, 0, exit_name=NameText(b"pipe:[7]"), exit_aux=struct.pack("=iiqq", 3, 5, 0, 0))
    assert row["file"] == "pipe:[7]"
    scene.name(5, b"pipe:[7]")
    assert (scene.file(3), scene.file(5)) == ("pipe:[7]", "pipe:[7]")
    scene.exit("close", 0, tid=WORKER)
    assert (scene.file(3), scene.file(5)) == ("pipe:[7]", "pipe:[7]")


@pytest.mark.parametrize("name", ["dup", "fcntl"])
def test_a_copy_that_gets_what_others_are_closing(scene: Scene, name: str) -> None:
    scene.open(b"/one", 3)
    begin_close(scene)
    scene.call(name, 4, 0, 0, ret=3, exit_name=NameText(b"/w/b"))
    assert scene.file(3) == "/w/b"


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


# ---- failures that are told late ----


def failed(scene: Scene, enter_ns: int) -> str | None:
    """What a read is named after that failed with EBADF, its enter being told when it had."""
    now_ns, scene.now_ns = scene.now_ns, enter_ns - 10
    scene.enter("fsync", 3)
    scene.now_ns = now_ns
    row = scene.exit("fsync", -9)
    assert row
    name: str | None = row["file"]
    return name


@pytest.mark.parametrize(("began_ns", "name"), [(-1, None), (+1, "/one")])
def test_a_number_that_was_not_open_is_not_named_after_what_was_opened_since(began_ns: int, name: str | None) -> None:
    scene = Scene(failed_only=True)
    scene.open(b"/one", 3)
    assert failed(scene, scene.now_ns + began_ns) == name


def test_a_number_of_which_no_call_has_told() -> None:
    """It may have been opened since, by a call that has not ended yet."""
    scene = Scene(failed_only=True)
    scene.name(3, b"/one")
    assert failed(scene, scene.now_ns + 100) is None
