"""What the dashboard looks at: its parts see the same rows, and change only what they are told to."""

from __future__ import annotations

from tracer._fast import Columns
from tracer.capture.generator import blocks
from tracer.live.view import LiveView
from tracer.pipeline import Clock, new_engine
from tracer.syscalls import TABLE


def batches(count: int) -> list[Columns]:
    everything = frozenset(call.name for call in TABLE)
    engine = new_engine("x86_64", everything, clock=Clock(0, 0), failed_only=False, keep_stream=False)
    found = []
    for block in blocks("DiverseAllTypes", count * 500, block_bytes=60_000):
        engine.feed(block)
        found.append(engine.take())
    assert len(found) >= count
    return found


def test_all_parts_see_all_rows():
    view, handed = LiveView(["read"], ["write"]), batches(2)
    for columns in handed:
        view.consume(columns)
    rows, seen = sum(columns.rows for columns in handed), view.snapshot(rows=10)
    assert seen.statistics.totals.calls == seen.flame.value == rows
    assert seen.rows.arrays["seq"].tolist() == list(range(rows - 10, rows))


def test_regrouping_begins_the_flame_data_anew_and_nothing_else():
    view, (first, second, *_) = LiveView(["read"], ["write"]), batches(2)
    view.consume(first)
    before = view.snapshot()
    view.regroup(("syscall",), "count")
    assert view.snapshot().flame.value == 0
    view.consume(second)
    after = view.snapshot()
    assert after.flame.value == second.rows
    assert {frame.name for frame in after.flame.children} == {row.name for row in after.statistics.syscalls.rows}
    assert after.statistics.totals.calls == first.rows + second.rows
    assert before.flame.value == before.statistics.totals.calls == first.rows


def test_a_reset_keeps_the_last_rows():
    view, (first, second, *_) = LiveView(["read"], ["write"]), batches(2)
    view.consume(first)
    view.reset()
    view.consume(second)
    seen = view.snapshot(rows=first.rows + second.rows)
    assert seen.statistics.totals.calls == seen.flame.value == second.rows
    assert seen.rows.rows == first.rows + second.rows
