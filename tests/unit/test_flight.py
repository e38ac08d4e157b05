"""The flight recorder: what it keeps, and the snapshots that it makes of it."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_recording import CALL

from tracer import recording
from tracer.errors import OutputError, UsageError
from tracer.losses import Entry, dumped, parse_entries
from tracer.repair.recover import find, recover
from tracer.schema import SCHEMA
from tracer.sinks import flight
from tracer.sinks.flight import FlightRecorder
from tracer.sinks.opening import open_recorder
from tracer.sinks.parts import Rotation
from tracer.sinks.rewriting import ends

FOOTER = {"schema_version": "1", "session": "s", "loss": "{}"}
SECOND = 1_000_000_000


def told() -> dict[str, str]:
    return FOOTER


class Clock:
    def __init__(self) -> None:
        self.s = 1000

    def __call__(self) -> int:
        return self.s * SECOND


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(flight, "now_ns", clock)
    return clock


def batch_at(second: int) -> pa.RecordBatch:
    """Two calls: one that ended then, and one that began two seconds before."""
    calls = [
        CALL | {"seq": 2 * second, "time_ns": second * SECOND - 100, "latency_ns": 100, "bytes": second},
        CALL | {"seq": 2 * second + 1, "time_ns": (second - 2) * SECOND, "latency_ns": None, "bytes": second},
    ]
    (batch,) = pa.Table.from_pylist(calls, schema=SCHEMA).combine_chunks().to_batches()
    return batch


def lost_at(*seconds: int) -> dict[str, str]:
    """What the session says when a call was lost in each of these seconds."""
    windows = [Entry("ring_full", 0, second * SECOND, second * SECOND + 1, 1) for second in seconds]
    return FOOTER | {"loss": json.dumps({"ring_full": len(seconds)}), "losses": json.dumps(dumped(windows))}


def lost_in(path: Path) -> list[int]:
    """The seconds of which a recording says that calls were lost then."""
    with recording.open(path) as opened:
        entries = parse_entries(opened.metadata["losses"])
        assert opened.loss is not None
        assert opened.loss["ring_full"] == sum(entry.lost or 0 for entry in entries if entry.cause == "ring_full")
    return [(entry.from_ns or 0) // SECOND for entry in entries if entry.cause == "ring_full"]


def seconds_in(path: Path) -> list[int]:
    table = pq.read_table(path)
    assert table.column("seq").to_pylist() == list(range(table.num_rows))
    return sorted(set(table.column("bytes").to_pylist()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_snapshots_hold_the_last_while(tmp_path, clock, durable):
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=durable)
    for second in range(1000, 1200):
        clock.s = second
        ring.write(batch_at(second), told)
        if second % 7 == 0:
            ring.sync(told)
        if second == 1100:
            ring.snapshot(told, clock())
        assert len([name for name in names(tmp_path) if name.endswith(".tmp")]) <= flight.SLICES + 2
    size = ring.close(FOOTER)
    assert names(tmp_path) == ["x-0001.parquet", "x-0002.parquet"]
    assert seconds_in(tmp_path / "x-0001.parquet") == list(range(1040, 1101))
    assert seconds_in(tmp_path / "x-0002.parquet") == list(range(1139, 1200))
    # of second 1040 and 1041 only the calls that ended then: the others began before
    assert pq.read_metadata(tmp_path / "x-0001.parquet").num_rows == 2 * 61 - 2
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert str(ring) == f"{tmp_path}/x-*.parquet (2 snapshots)"
    with recording.open(tmp_path / "x-0001.parquet") as opened:
        assert opened.metadata["session"] == "s"


def test_a_snapshot_is_about_the_while_before_it_was_asked_for(tmp_path, clock):
    ring = FlightRecorder(tmp_path / "x.parquet", 6, durable=False)
    for second in range(1000, 1100):
        clock.s = second
        ring.write(batch_at(second), told)
    ring.snapshot(told, 1097 * SECOND)
    assert seconds_in(tmp_path / "x-0001.parquet") == list(range(1091, 1100))
    ring.abort()


def test_the_old_goes_also_while_nothing_comes(tmp_path, clock):
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=True)
    ring.write(batch_at(1000), told)
    for second in range(1000, 1100):
        clock.s = second
        ring.sync(told)
    assert names(tmp_path) == []
    ring.close(FOOTER)
    assert pq.read_metadata(tmp_path / "x-0001.parquet").num_rows == 0


@pytest.mark.parametrize("durable", [True, False])
def test_the_losses_of_a_snapshot_are_those_of_its_while(tmp_path, clock, durable):
    """All of it, and of no more than the oldest slice beside it: a burst long ago says nothing about what is there."""
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=durable)
    for second in range(1000, 1201):
        clock.s = second
        so_far = partial(lost_at, *range(1000, 1010), *range(1100, second + 1))
        ring.write(batch_at(second), so_far)
        ring.sync(so_far)
        if second in {1030, 1095}:
            ring.snapshot(so_far, clock())
    ring.close(so_far())
    assert lost_in(tmp_path / "x-0001.parquet") == list(range(1000, 1010))
    assert lost_in(tmp_path / "x-0002.parquet") == []
    first, *others = lost_in(tmp_path / "x-0003.parquet")
    assert 1140 - 13 <= first <= 1140
    assert others == list(range(first + 1, 1201))


def test_the_losses_of_a_while_without_calls(tmp_path, clock):
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=True)
    ring.write(batch_at(1000), partial(lost_at, 1000))
    for second in range(1000, 1100):
        clock.s = second
        ring.sync(partial(lost_at, 1000))
    ring.close(lost_at(1000, 1099))
    assert lost_in(tmp_path / "x-0001.parquet") == [1099]


def test_after_a_crash_the_losses_of_the_slices_add_up(tmp_path, clock):
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=True)
    for second in range(1000, 1030):
        clock.s = second
        so_far = partial(lost_at, *range(1000, second + 1))
        ring.write(batch_at(second), so_far)
        ring.sync(so_far)
    kept = ring.abort(keep=True)
    assert kept is not None
    made = [recover(left).output for left in find(kept)]
    assert [second for path in sorted(made) for second in lost_in(path)] == list(range(1000, 1030))


def test_after_a_crash_between_two_slices_the_end_is_missing(tmp_path, clock):
    """All that are left are complete: each says that it is not the last."""
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=True)
    for second in range(1000, 1022):
        clock.s = second
        ring.write(batch_at(second), told)
    kept = ring.abort(keep=True)
    assert kept is not None
    assert [recover(left).is_complete for left in find(kept)] == [True, True]
    assert names(tmp_path) == ["x-ring-0001.parquet", "x-ring-0002.parquet"]
    with recording.open(tmp_path) as opened:
        assert opened.loss == {"undrained_bytes": None}
        (end,) = opened.losses.to_pylist()
        assert (end["from_ns"], end["to_ns"]) == ((1021 - 2) * SECOND, None)


def test_never_overwrites(tmp_path):
    (tmp_path / "x-0003.parquet").write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        FlightRecorder(tmp_path / "x.parquet", 60)


@pytest.mark.parametrize("stem", ["x", "x" * 230])
def test_after_a_crash_the_slices_are_recovered(tmp_path, clock, stem):
    """Each under a name of its own, also where that has to be shortened."""
    path = tmp_path / f"{stem}.parquet"
    ring = FlightRecorder(path, 60, durable=True)
    for second in range(1000, 1030):
        clock.s = second
        ring.write(batch_at(second), told)
    ring.sync(told)
    kept = ring.abort(keep=True)
    assert kept is not None
    assert sum(recover(left).rows for left in find(kept)) == 60
    assert names(tmp_path) == [f"{stem[:182]}-ring-{number:04}.parquet" for number in (1, 2, 3)]


def test_a_slice_that_somebody_cuts_while_it_is_read_is_an_error(tmp_path, clock, monkeypatch):
    """Were it mapped, it would be the end of the process."""
    ring = FlightRecorder(tmp_path / "x.parquet", 60)
    for second in range(1000, 1030):
        clock.s = second
        ring.write(batch_at(second), told)
    (oldest, *_) = sorted(tmp_path.iterdir())

    def cut(batch: pa.RecordBatch) -> pa.Array:
        os.truncate(oldest, 0)
        return ends(batch)

    monkeypatch.setattr(flight, "ends", cut)
    monkeypatch.setattr(flight, "READ_ROWS", 2)
    with pytest.raises((OSError, pa.ArrowInvalid)):
        ring.snapshot(told, 1030 * SECOND)
    ring.abort()
    assert names(tmp_path) == []


def test_abort_leaves_nothing(tmp_path):
    ring = FlightRecorder(tmp_path / "x.parquet", 60, durable=True)
    ring.write(batch_at(1000), told)
    ring.sync(told)
    ring.abort()
    assert names(tmp_path) == []


def test_makes_no_parts(tmp_path):
    for output, rotation in ((f"{tmp_path}/", Rotation()), (f"{tmp_path}/x", Rotation(rows=3))):
        with pytest.raises(UsageError, match="--ring"):
            open_recorder(output, rotation=rotation, ring_s=60)
