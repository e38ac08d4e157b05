"""What the dashboard looks at: its parts see the same rows, and change only what they are told to."""

from __future__ import annotations

import pytest
from test_statistics import READS, WRITES, access, batches, call, comm
from test_trie import shown

from tracer.live.view import LiveView


def view_of(stream: list[bytes]) -> LiveView:
    view = LiveView(READS, WRITES)
    for columns in batches(stream):
        view.consume(columns)
    return view


STREAM = [
    comm(b"sh", at=1) + access(b"/a/x", 5, at=10**9),
    call("read", 7, at=2 * 10**9, ret=3),
    call("write", 0, at=3 * 10**9, ret=4),
]


def test_a_snapshot_has_all_three_parts() -> None:
    shot = view_of(STREAM).snapshot()
    totals = shot.statistics.totals
    assert (totals.calls, totals.read_bytes, totals.written_bytes) == (3, 3, 4)
    assert shot.rows.arrays["time_ns"].tolist() == [10**9, 2 * 10**9, 3 * 10**9]
    assert shown(shot.flame) == {
        (): 3,
        ("sh",): 3,
        ("sh", "a"): 1,
        ("sh", "a", "x"): 1,
        ("sh", "a", "x", "access"): 1,
        ("sh", "read"): 1,
        ("sh", "write"): 1,
    }


def test_as_many_rows_are_shown_as_are_asked_for() -> None:
    view = view_of([call(at=1000 * n) for n in range(300)])
    assert view.snapshot().rows.rows == 200
    assert view.snapshot(rows=2).rows.arrays["time_ns"].tolist() == [298_000, 299_000]


def test_rates_are_until_the_moment_that_is_asked_for() -> None:
    assert view_of(STREAM).snapshot(now_ns=4 * 10**9).statistics.calls_per_s == 1.0


def test_a_reset_leaves_the_last_rows_alone() -> None:
    view = view_of(STREAM)
    view.reset(5 * 10**9)
    shot = view.snapshot(now_ns=7 * 10**9)
    assert (shot.statistics.totals.calls, shot.statistics.seconds, shot.flame.value, shot.rows.rows) == (0, 2.0, 0, 3)


def test_regrouped_flame_data_begins_anew() -> None:
    view = view_of(STREAM)
    view.regroup(["syscall"], "bytes")
    assert shown(view.snapshot().flame) == {(): 0}
    for columns in batches(STREAM):
        view.consume(columns)
    assert shown(view.snapshot().flame) == {(): 7, ("read",): 3, ("write",): 4}
    with pytest.raises(ValueError, match="order"):
        view.regroup(["file"], "count")
    assert view.snapshot().flame.value == 7
