"""Times that were asked for, and polling, by example (docs/how-rows-are-made.md)."""

from __future__ import annotations

import struct

import pytest
from scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


TIMESPEC = struct.Struct("=qqQ")


@pytest.mark.parametrize(
    ("fields", "ns"),
    [
        ((2, 5, 1), 2_000_000_005), ((0, 0, 1), 0), ((1, 0, 0), None), ((-1, 0, 1), None),
        ((0, 1_000_000_000, 1), None), ((0, -1, 1), None), ((1 << 62, 0, 1), (1 << 63) - 1),
    ],
)  # fmt: skip
def test_sleep_asked_for(scene: Scene, fields: tuple[int, int, int], ns: int | None) -> None:
    aux = TIMESPEC.pack(*fields)
    assert scene.call("nanosleep", 64, 0, aux=aux)["requested_sleep_ns"] == ns
    assert scene.call("clock_nanosleep", 0, 0, 64, 0, aux=aux)["requested_sleep_ns"] == ns
    assert scene.call("clock_nanosleep", 0, 1, 64, 0, aux=aux)["requested_sleep_ns"] is None
    assert scene.call("ppoll", 0, 1, 64, 0, 8, aux=aux)["timeout_ns"] == ns
    assert scene.call("nanosleep", 64, 0)["requested_sleep_ns"] is None


def test_timeouts(scene: Scene) -> None:
    row = scene.call("poll", 0, 2, 5)
    assert (row["nfds"], row["timeout_ns"]) == (2, 5_000_000)
    assert scene.call("epoll_wait", 3, 0, 8, 0xFFFF_FFFF)["timeout_ns"] is None
    assert scene.call("epoll_wait", 3, 0, 8, 0)["timeout_ns"] == 0
    row = scene.call("select", 9, 0, 0, 0, 64, aux=TIMESPEC.pack(1, 5, 1))
    assert (row["nfds"], row["timeout_ns"]) == (9, 1_000_005_000)
    assert scene.call("pselect6", 9, 0, 0, 0, 0, 0, aux=TIMESPEC.pack(1, 5, 1))["timeout_ns"] is None


LEAST, LARGEST = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize(
    ("seconds", "microseconds", "ns"),
    [
        (0, 1_500_000, 1_500_000_000), (1, 1_000_000, 2_000_000_000), (0, LARGEST, LARGEST),
        (1, -1_000_000, 0), (1, -900_000, None), (0, -1, None), (0, LEAST, None),
        (-1, 1_100_000, 100_000_000), (-2, 1_100_000, None),
        (LARGEST, 999_999, LARGEST), (LARGEST, 1_000_000, None), (LEAST, -1_000_000, LARGEST),
    ],
)  # fmt: skip
def test_select_takes_more_than_a_second_of_microseconds(
    scene: Scene, seconds: int, microseconds: int, ns: int | None
) -> None:
    """Linux waits as long, or fails with EINVAL."""
    row = scene.call("select", 9, 0, 0, 0, 64, aux=TIMESPEC.pack(seconds, microseconds, 1))
    assert row["timeout_ns"] == ns


def test_epoll_ctl(scene: Scene) -> None:
    events = struct.pack("=I20x", 0x8000_0001)
    keys = ("epoll_op", "epoll_target_fd", "epoll_events", "fd")
    row = scene.call("epoll_ctl", 3, 1, 7, 64, aux=events)
    assert [row[key] for key in keys] == ["ADD", 7, 0x8000_0001, 3]
    assert scene.call("epoll_ctl", 3, 2, 7, 64, aux=events)["epoll_events"] is None
    row = scene.call("epoll_ctl", 3, 9, 7, 64)
    assert [row[key] for key in keys] == [None, 7, None, 3]
