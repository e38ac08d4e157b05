"""Threads that end while they are in a call, by example: no row, no loss, and no later call is completed by it."""

from __future__ import annotations

import pytest
from scene import WORKER, Scene
from wire import Comm, TaskExit


@pytest.fixture
def scene() -> Scene:
    return Scene()


def counted(scene: Scene) -> dict[str, int]:
    """What was not made a row, by cause."""
    return {cause: count for cause, count in scene.reference.counters.items() if count}


@pytest.mark.parametrize("group_dead", [False, True])
def test_a_killed_threads_enter_is_not_paired_with_the_next_owner_of_its_tid(scene: Scene, group_dead: bool) -> None:
    scene.call("getpid")
    scene.feed(Comm(comm=b"old", **scene.head()))
    scene.enter("read", 3, 0, 1)
    scene.feed(TaskExit(group_dead=group_dead, **scene.head()))
    assert scene.exit("read", 1) is None
    row = scene.call("getpid")
    assert (row["gap_ns"], row["comm"]) == (None, "")
    assert counted(scene) == {"unfinished_calls": 1}


def test_only_calls_that_would_have_a_row_are_unfinished() -> None:
    scene = Scene({"read"})
    for name in ("read", "close"):
        scene.enter(name, 3, 0, 1)
        scene.feed(TaskExit(**scene.head()))
    assert counted(scene) == {"unfinished_calls": 1}
    failed = Scene(failed_only=True)
    failed.enter("read", 3, 0, 1)
    failed.feed(TaskExit(**failed.head()))
    assert counted(failed) == {}


def test_what_is_on_at_the_end_is_not_counted(scene: Scene) -> None:
    scene.enter("read", 3, 0, 1)
    assert (scene.rows, counted(scene)) == ([], {})


def test_a_tid_seen_in_another_process_starts_afresh(scene: Scene) -> None:
    scene.call("getpid")
    scene.feed(Comm(comm=b"old", **scene.head()))
    scene.enter("read", 3, 0, 1)
    row = scene.call("getpid", pid=200)
    assert (row["pid"], row["gap_ns"], row["comm"]) == (200, None, "")
    assert counted(scene) == {"unfinished_calls": 1}


def test_an_exit_is_not_paired_with_the_enter_of_another_process(scene: Scene) -> None:
    scene.enter("read", 3, 0, 1)
    assert scene.exit("read", 1, pid=200) is None
    assert counted(scene) == {"unfinished_calls": 1}


@pytest.mark.parametrize("leader_told", [False, True])
def test_execve_of_a_worker_ends_what_the_leader_was_in(scene: Scene, leader_told: bool) -> None:
    """The record of the leader's end comes first, or was lost: the call is counted once, and never completed."""
    scene.call("getpid")
    scene.enter("read", 3, 0, 1)
    scene.enter("execve", 0, 0, 0, path=b"/bin/new", tid=WORKER)
    if leader_told:
        scene.feed(TaskExit(**scene.head()))
    scene.exec(old_tid=WORKER)
    row = scene.exit("execve", 0)
    assert row and (row["syscall"], row["tid"], row["gap_ns"]) == ("execve", WORKER, None)
    assert counted(scene) == {"unfinished_calls": 1}


def test_exec_by_an_unknown_thread_moves_nothing(scene: Scene) -> None:
    scene.enter("read", 3, 0, 1)
    scene.call("getpid", tid=WORKER, pid=200)
    scene.exec(old_tid=WORKER)
    assert scene.exit("execve", 0) is None, "the leader's read died with it"
    assert counted(scene) == {"unfinished_calls": 1}
    assert scene.call("getpid")["gap_ns"] is None
    assert scene.call("getpid", tid=WORKER, pid=200)["gap_ns"] is not None
