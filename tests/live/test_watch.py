"""A session that is shown, and recorded again and again while it runs."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Counted, until

from tracer import syscalls
from tracer.errors import OutputError
from tracer.live.view import LiveView
from tracer.pipeline import Command, Filter, LiveSession, Outcome, Processes, Watch
from tracer.syscalls import ByteClass

pytestmark = pytest.mark.beside_others

WANTED = frozenset({"openat", "read", "write", "close"})


def new_view() -> LiveView:
    return LiveView(syscalls.calls_moving(ByteClass.READ), syscalls.calls_moving(ByteClass.WRITE))


def steps(work: Path, count: int) -> list[str]:
    """A command that tries to open /step-<n>, which does not exist, when the file `go-<n>` appears."""
    wait = f"until [ -e {work}/go-$n ]; do sleep 0.01; done"
    script = f"n=0; while [ $n -lt {count} ]; do {wait}; : < /step-$n; echo > {work}/done-$n; n=$((n+1)); done"
    return ["bash", "-c", script.replace(": < /step-$n", "{ : < /step-$n; } 2>/dev/null")]


def step(work: Path, number: int) -> None:
    (work / f"go-{number}").touch()
    deadline = time.monotonic() + 30
    while not (work / f"done-{number}").exists():
        assert time.monotonic() < deadline, "the command is stuck"
        time.sleep(0.005)


def steps_in(path: Path) -> list[str]:
    files = pq.read_table(path, columns=["file"])["file"].to_pylist()
    return [file for file in files if file is not None and file.startswith("/step-")]


def test_recordings_start_and_stop_while_it_runs(tmp_path: Path, work: Path) -> None:
    outcomes: list[Outcome] = []
    with LiveSession(Command(steps(work, 6)), WANTED, Filter(), flush_s=0.05) as session:
        watch = Watch(session, new_view())
        tracing = threading.Thread(target=watch.run)
        tracing.start()
        for number in range(6):
            if number % 2:
                watch.start_recording(tmp_path / f"{number}.parquet")
            step(work, number)
            if number % 2:
                outcomes.append(watch.stop_recording())
        tracing.join(30)
        assert not tracing.is_alive()
        totals = watch.view.snapshot().statistics.totals
        rows_of_session = session.rows
    for number, outcome in zip((1, 3, 5), outcomes, strict=True):
        path = tmp_path / f"{number}.parquet"
        assert steps_in(path) == [f"/step-{number}"]
        table = pq.read_table(path)
        assert table["seq"].to_pylist() == list(range(outcome.rows))
        assert outcome.rows == table.num_rows > 0
        assert outcome.size_bytes == path.stat().st_size
        footer = table.schema.metadata or pq.read_metadata(path).metadata
        assert footer[b"tracer.mode"] == b"tui"
        assert json.loads(footer[b"tracer.loss"])["ring_full"] == 0
    assert totals.calls == rows_of_session > sum(outcome.rows for outcome in outcomes)


def test_calls_that_were_made_before_a_boundary_was_asked_for_are_handed_out_before_it(counted: Counted) -> None:
    rows: list[int] = []
    wanted = frozenset({"getppid"})
    with LiveSession(Processes([counted.process.pid]), wanted, Filter(), flush_s=0.05) as session:
        asking = threading.Thread(target=lambda: session.at_boundary(lambda: rows.append(session.rows)))
        look = session._losses.look_if_due

        def call_and_ask() -> None:
            """Right after the ring was drained."""
            session._losses.look_if_due = look
            counted.make(100)
            asking.start()
            until(lambda: session._boundary.is_asked_for, "the question")
            counted.end()

        session._losses.look_if_due = call_and_ask
        for columns in session.columns():
            columns.release()
        asking.join()
    assert rows == [100]


def test_a_recording_may_be_stopped_after_the_end(tmp_path: Path, work: Path) -> None:
    with LiveSession(Command(steps(work, 1)), WANTED, Filter(), flush_s=0.05) as session:
        watch = Watch(session, new_view())
        tracing = threading.Thread(target=watch.run)
        tracing.start()
        watch.start_recording(tmp_path / "a.parquet")
        with pytest.raises(RuntimeError):
            watch.start_recording(tmp_path / "b.parquet")
        step(work, 0)
        tracing.join(30)
        assert not tracing.is_alive()
        watch.stop_recording()
        with pytest.raises(RuntimeError):
            watch.stop_recording()
    assert steps_in(tmp_path / "a.parquet") == ["/step-0"]
    assert not (tmp_path / "b.parquet").exists()


def test_a_file_that_can_not_be_made_is_told_at_once(tmp_path: Path, work: Path) -> None:
    with LiveSession(Command(steps(work, 1)), WANTED, Filter(), flush_s=0.05) as session:
        watch = Watch(session, new_view())
        tracing = threading.Thread(target=watch.run)
        tracing.start()
        with pytest.raises(OutputError):
            watch.start_recording(tmp_path / "nowhere" / "a.parquet")
        step(work, 0)
        tracing.join(30)
    assert watch.view.snapshot().statistics.totals.calls > 0
