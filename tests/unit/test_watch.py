"""Recordings that begin and end while a session is watched; the session is a list of batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pyarrow.parquet as pq
import pytest
from test_fanout import Seen, Session, batches, is_released

from tracer._fast import Columns
from tracer.errors import OutputError
from tracer.losses import Ledger
from tracer.pipeline import Watch
from tracer.repair.recover import recover
from tracer.sinks.parquet_file import ParquetFile
from tracer.temporary import leftovers_in


class Staged(Session):
    """A session that does something before each batch, and knows which ledgers are kept."""

    def __init__(self, handed: list[Columns], before: dict[int, Callable[[], None]]) -> None:
        super().__init__(handed)
        self.facts = {"session": "s", "mode": "cli"}
        self.before = before
        self.ledgers: list[Ledger] = []
        self.is_at_boundary = False

    def columns(self) -> Iterator[Columns]:
        for number, columns in enumerate(self.handed):
            self.before.get(number, lambda: None)()
            yield columns

    def at_boundary(self, action: Callable[[], None]) -> None:
        self.is_at_boundary = True
        action()
        self.is_at_boundary = False

    def start_ledger(self) -> Ledger:
        assert self.is_at_boundary
        self.ledgers.append(Ledger(0))
        return self.ledgers[-1]

    def stop_ledger(self, ledger: Ledger) -> None:
        assert self.is_at_boundary
        self.ledgers.remove(ledger)


def lost(ledger: Ledger, count: int) -> None:
    ledger.look({("ring_full", 0): count}, 0, 1)


def test_recordings_have_the_rows_between_their_start_and_stop_and_what_was_lost_then(tmp_path):
    handed = list(batches(6))
    rows = [columns.rows for columns in handed]
    outcomes = []

    def lose_and_stop() -> None:
        lost(session.ledgers[0], 3)
        outcomes.append(watch.stop_recording())
        assert session.ledgers == []

    session = Staged(handed, {1: lambda: watch.start_recording(tmp_path / "a"), 3: lose_and_stop})
    watch = Watch(session, Seen())
    watch.run()
    (outcome,) = outcomes
    assert outcome.rows == rows[1] + rows[2]
    assert 0 <= outcome.seconds < 60
    assert outcome.losses["ring_full"] == 3
    assert watch.view.rows == sum(rows)
    assert all(map(is_released, handed))
    footer = pq.read_metadata(tmp_path / "a").metadata
    assert footer[b"tracer.mode"] == b"tui"
    assert json.loads(footer[b"tracer.loss"])["ring_full"] == 3
    with pytest.raises(RuntimeError, match="no recording"):
        watch.stop_recording()


def test_a_recording_overwrites_if_that_is_wished_for(tmp_path):
    (tmp_path / "a").touch()
    watch = Watch(Staged([], {}), Seen())
    with pytest.raises(OutputError):
        watch.start_recording(tmp_path / "a")
    watch.start_recording(tmp_path / "a", force=True)
    watch.stop_recording()
    assert pq.read_metadata(tmp_path / "a").num_rows == 0


def test_what_was_recorded_before_the_session_failed_is_kept_with_its_losses(tmp_path):
    def fail() -> None:
        lost(session.ledgers[0], 3)
        raise KeyError

    handed = list(batches(4))
    rows = [columns.rows for columns in handed]
    session = Staged(handed, {2: fail})
    watch = Watch(session, Seen())
    watch.start_recording(tmp_path / "a.parquet")
    with pytest.raises(KeyError):
        watch.run()
    with pytest.raises(OutputError, match="was given up"):
        watch.stop_recording()
    (left,) = leftovers_in(tmp_path)
    assert recover(left).rows == rows[0] + rows[1]
    footer = pq.read_metadata(tmp_path / "a.parquet").metadata
    assert (footer[b"tracer.mode"], json.loads(footer[b"tracer.loss"])["ring_full"]) == (b"tui", 3)


def test_a_recording_that_failed_leaves_the_session_going_and_says_so_when_stopped(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    handed = list(batches(20))
    rows = sum(columns.rows for columns in handed)
    monkeypatch.setattr(ParquetFile, "write", fail)
    session = Staged(handed, {})
    watch = Watch(session, Seen())
    watch.start_recording(tmp_path / "a.parquet")
    watch.run()
    assert watch.view.rows == rows
    with pytest.raises(RuntimeError, match="was not stopped"):
        watch.start_recording(tmp_path / "b.parquet")
    assert len(session.ledgers) == 1
    with pytest.raises(OutputError, match="No space left"):
        watch.stop_recording()
    assert session.ledgers == []
    assert all(map(is_released, handed))
    assert list(tmp_path.iterdir()) == []
