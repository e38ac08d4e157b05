"""What a timer covers is what is written beside it: where the clock runs while what is done. What it shows is not
tested."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import bench_scaling
import pytest
import workload
from bench_scaling import File, timed_in_turns
from workload import PIPELINES, Operation, timed

from tracer._fast import Columns
from tracer.live.fanout import Fanout
from tracer.live.view import LiveView
from tracer.sinks.recorder import ParquetRecorder

PAIRS = 2_000
MARKS = {"begin of run", "end of run"}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What recorders and views are told, in order."""
    told: list[str] = []
    for kind, method, name in (
        (ParquetRecorder, "__init__", "recorder starts"),
        (ParquetRecorder, "write", "rows to the recorder"),
        (ParquetRecorder, "close", "recorder closes"),
    ):
        monkeypatch.setattr(kind, method, noting(told, name, getattr(kind, method)))
    return told


def noting(told: list[str], name: str, method):
    def noted(*args, **options):
        told.append(name)
        return method(*args, **options)

    return noted


class Watched:
    """An operation that notes when its timed part begins and ends."""

    def __init__(self, operation: Operation, told: list[str]) -> None:
        self.operation, self.told = operation, told
        self.prepare = operation.prepare
        self.finish = operation.finish

    def run(self) -> None:
        self.told.append("begin of run")
        self.operation.run()
        self.told.append("end of run")


def timed_part(told: list[str]) -> list[str]:
    return told[told.index("begin of run") + 1 : told.index("end of run")]


FILES = [name for name in PIPELINES if "_file" in name]
LOOPS = [name for name in PIPELINES if "_loop" in name]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_timed_from_its_start_to_its_end(name: str, tmp_path: Path, seen: list[str]) -> None:
    operation = PIPELINES[name](tmp_path, pairs=PAIRS)
    timed(Watched(operation, seen), 1)
    assert timed_part(seen) == ["recorder starts", "rows to the recorder", "recorder closes"]
    assert not set(seen) - MARKS - set(timed_part(seen))


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_timed_between_them(name: str, tmp_path: Path, seen: list[str]) -> None:
    operation = PIPELINES[name](tmp_path, pairs=PAIRS)
    timed(Watched(operation, seen), 1)
    assert timed_part(seen) == ["rows to the recorder"]
    assert seen[0] == "recorder starts"
    assert seen[-1] == "recorder closes"


@pytest.mark.parametrize("name", PIPELINES)
def test_every_call_is_a_row_within_the_time(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []

    def count(recorder: ParquetRecorder, columns: Columns) -> None:
        rows.append(columns.rows)
        write(recorder, columns)

    write = ParquetRecorder.write
    monkeypatch.setattr(ParquetRecorder, "write", count)
    operation = PIPELINES[name](tmp_path, pairs=PAIRS)
    operation.prepare()
    rows.clear()
    operation.run()
    assert sum(rows) == PAIRS
    operation.finish()


@pytest.mark.parametrize("name", ["tui_parquet_loop_seen", "tui_parquet_file"])
def test_the_view_is_up_to_date_when_the_time_is_over(name: str, tmp_path: Path, monkeypatch) -> None:
    """Of a view that looks at nothing before it is waited for: one that is quick would not show that nobody waits."""
    waited_for = threading.Event()
    monkeypatch.setattr(LiveView, "consume", after(waited_for.wait, LiveView.consume))
    monkeypatch.setattr(Fanout, "wait", after(waited_for.set, Fanout.wait))
    view = workload.new_view()
    monkeypatch.setattr(PIPELINES[name], "make_view", staticmethod(lambda: view))
    operation = PIPELINES[name](tmp_path, pairs=PAIRS)
    operation.prepare()
    operation.run()
    assert view.snapshot().statistics.totals.calls >= PAIRS
    operation.finish()


def after(first: Callable[[], object], method: Callable[..., None]) -> Callable[..., None]:
    def both(*args: object) -> None:
        first()
        method(*args)

    return both


class Clock:
    """Goes on by what is done, in the place of time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in (workload, bench_scaling):
            monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def takes(self, seconds: float):
        def step() -> None:
            self.now += seconds

        return step


def test_what_comes_before_and_after_a_run_is_not_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    operation = SimpleNamespace(prepare=clock.takes(1_000), run=clock.takes(1), finish=clock.takes(1_000_000))
    assert timed(operation, 3) == 3


def test_all_turns_are_in_the_time_and_not_the_making_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    operation = SimpleNamespace(
        turns=4,
        prepare=clock.takes(10_000),
        make_ready=clock.takes(10_000),
        begin=clock.takes(1),
        turn=clock.takes(10),
        end=clock.takes(100),
    )
    assert timed_in_turns(operation, 2) == 2 * (1 + 4 * 10 + 100)


def test_turns_are_as_many_calls_as_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_scaling, "PIECE", 1_000)
    operation = File(tmp_path, pairs=3_000)
    assert operation.turns == 3
    timed_in_turns(operation, 1)
    assert operation.handed == operation.recorder.rows == 3_000
