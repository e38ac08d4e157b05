"""Calls that were under way as the trace began, by example: their exits are all that the stream tells of them."""

from __future__ import annotations

import struct

import pytest
import wire
from scene import WORKER, Scene
from wire import NameText


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_call_that_was_under_way_as_the_trace_began_names_what_it_made(scene: Scene) -> None:
    scene.exit("openat", 7, name=NameText(b"/fifo"))
    scene.exit("pipe2", 0, aux=struct.pack("=ii16x", 8, 9), name=NameText(kind=wire.NAME_PIPE, inode=5))
    assert [scene.file(fd) for fd in (7, 8, 9)] == ["/fifo", "pipe:[5]", None]


def test_what_a_call_made_that_was_under_way_is_another_file_since(scene: Scene) -> None:
    scene.name(7, b"/old")
    scene.enter("fsync", 7, tid=WORKER)
    scene.exit("dup2", 7, name=NameText(b"/new"))
    row = scene.exit("fsync", 0, tid=WORKER)
    assert row and row["file"] is None
    assert scene.file(7) == "/new"


def test_a_refused_call_makes_nothing(scene: Scene) -> None:
    scene.exit("openat", 7, name=NameText(b"/made-up"), may_be_refused=True)
    assert scene.file(7) is None
