"""The way to the view and to recordings, which start and stop while batches go by."""

import _thread
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracer import syscalls
from tracer._fast import Columns
from tracer.capture import generator
from tracer.errors import OutputError, ViewError
from tracer.live.fanout import QUEUED_BATCHES, VIEW_NICENESS, Fanout
from tracer.losses import Ledger
from tracer.pipeline import Clock, Watch, new_engine
from tracer.repair.recover import recover
from tracer.sinks.recorder import ParquetRecorder
from tracer.temporary import leftovers_in

EVERYTHING = frozenset(call.name for call in syscalls.TABLE)


class Seen:
    """A view that counts rows, and knows that each batch was still held when it looked."""

    def __init__(self) -> None:
        self.rows = 0

    def consume(self, columns: Columns) -> None:
        assert len(columns.arrays["time_ns"]) == columns.rows
        self.rows += columns.rows


def batches(count: int, pairs: int = 100) -> Iterator[Columns]:
    engine = new_engine(platform.machine(), EVERYTHING, clock=Clock(0, 0), failed_only=False, keep_stream=False)
    for block in generator.blocks("DiverseAllTypes", count * pairs, block_bytes=110 * pairs):
        engine.feed(block)
        columns = engine.take()
        assert columns is not None
        yield columns


def is_released(columns: Columns) -> bool:
    try:
        return not columns.arrays
    except ValueError:
        return True


def test_without_a_recording_batches_are_seen_and_released():
    view = Seen()
    fanout = Fanout(view)
    handed = list(batches(3))
    for columns in handed:
        fanout.consume(columns)
    fanout.wait()
    assert view.rows == sum(columns.rows for columns in handed) > 0
    assert all(map(is_released, handed))


def test_leaving_waits_for_the_view():
    class Slow(Seen):
        def consume(self, columns: Columns) -> None:
            gate.wait(10)
            super().consume(columns)

    gate = threading.Event()
    view = Slow()
    handed = list(batches(3))
    with Fanout(view) as fanout:
        for columns in handed:
            fanout.consume(columns)
        assert view.rows == 0
        gate.set()
    assert view.rows == sum(columns.rows for columns in handed)


def test_the_view_yields_to_who_records():
    class Nice(Seen):
        def consume(self, columns: Columns) -> None:
            super().consume(columns)
            self.niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    view = Nice()
    with Fanout(view) as fanout:
        for columns in batches(1):
            fanout.consume(columns)
    assert view.niceness == min(19, before + VIEW_NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


class Broken:
    """A view that fails at once, and must not be asked again."""

    def __init__(self) -> None:
        self.asked = 0

    def consume(self, columns: Columns) -> None:
        self.asked += 1
        raise MemoryError("no room")


def test_what_the_view_raises_is_not_lost():
    handed = list(batches(2))
    view = Broken()
    with pytest.raises(ViewError, match="the view stopped: MemoryError: no room") as caught, Fanout(view) as fanout:
        assert fanout.view_error is None
        fanout.consume(handed[0])
        with pytest.raises(ViewError):
            fanout.wait()
        assert isinstance(fanout.view_error, ViewError)
        for columns in handed[1:]:
            fanout.consume(columns)
    assert isinstance(caught.value.__cause__, MemoryError)
    assert view.asked == 1
    assert all(map(is_released, handed))


def test_a_recording_goes_on_without_a_view_that_failed(tmp_path):
    handed = list(batches(20))
    rows = sum(columns.rows for columns in handed)
    recorder = ParquetRecorder(tmp_path / "a.parquet")
    with pytest.raises(ViewError), Fanout(Broken()) as fanout:
        fanout.start(recorder)
        for columns in handed:
            fanout.consume(columns)
            while fanout.view_error is None:
                time.sleep(0.001)
    fanout.stop()
    recorder.close({})
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows == rows


class Session:
    """As far as Watch needs one: a few batches."""

    facts: Mapping[str, str] = {}

    def __init__(self, handed: list[Columns]) -> None:
        self.handed = handed

    def columns(self) -> Iterator[Columns]:
        yield from self.handed

    def at_boundary(self, action: Callable[[], None]) -> None:
        action()

    def start_ledger(self) -> Ledger:
        return Ledger(0)

    def stop_ledger(self, ledger: Ledger) -> None:
        pass


def test_a_session_whose_view_failed_is_recorded_to_its_end_and_says_so(tmp_path):
    handed = list(batches(20))
    rows = sum(columns.rows for columns in handed)
    watch = Watch(Session(handed), Broken())
    watch.start_recording(tmp_path / "a.parquet")
    with pytest.raises(ViewError, match="MemoryError"):
        watch.run()
    assert isinstance(watch.view_error, ViewError)
    assert watch.stop_recording().rows == rows
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows == rows


def test_a_batch_is_given_back_when_the_last_holder_releases_it():
    columns = next(batches(1))
    assert columns.share() is columns
    columns.release()
    assert not is_released(columns)
    columns.release()
    assert is_released(columns)
    with pytest.raises(ValueError, match="released"):
        columns.share()


def test_recordings_hold_what_went_by_between_start_and_stop(tmp_path):
    fanout = Fanout(Seen())
    stream = batches(40)
    wanted: dict[str, list[int]] = {}
    for number in range(5):
        fanout.consume(next(stream))
        path = tmp_path / f"{number}.parquet"
        recorder = ParquetRecorder(path)
        fanout.start(recorder)
        times: list[int] = []
        for _ in range(number):
            columns = next(stream)
            times += columns.arrays["time_ns"].tolist()
            fanout.consume(columns)
        fanout.stop()
        recorder.close({})
        wanted[path.name] = times
    for name, times in wanted.items():
        table = pq.read_table(tmp_path / name)
        assert table["time_ns"].to_pylist() == times
        assert table["seq"].to_pylist() == list(range(len(times)))
    assert len(list(tmp_path.iterdir())) == 5


def test_one_recording_at_a_time(tmp_path):
    fanout = Fanout(Seen())
    first = ParquetRecorder(tmp_path / "a.parquet")
    fanout.start(first)
    with pytest.raises(RuntimeError):
        fanout.start(ParquetRecorder(tmp_path / "b.parquet"))
    for columns in batches(2):
        fanout.consume(columns)
    fanout.stop()
    first.close({})
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows > 0


def test_a_recording_that_fails_is_over_and_the_view_goes_on(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise pa.ArrowInvalid("the disk is full")

    view = Seen()
    fanout = Fanout(view)
    recorder = ParquetRecorder(tmp_path / "a.parquet")
    monkeypatch.setattr(pq.ParquetWriter, "write_batch", fail)
    fanout.start(recorder)
    failures = 0
    handed = list(batches(20))
    for columns in handed:
        try:
            fanout.consume(columns)
        except OutputError:
            failures += 1
    fanout.wait()
    assert failures == 1
    assert view.rows == sum(columns.rows for columns in handed)
    assert all(map(is_released, handed))
    with pytest.raises(OutputError, match="the disk is full"):
        recorder.close({})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pairs", [100, 40_000], ids=["small", "large"])
def test_a_recording_without_a_thread_is_over_and_the_view_goes_on(tmp_path, monkeypatch, pairs):
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    view = Seen()
    handed = list(batches(3, pairs))
    with Fanout(view) as fanout:
        fanout.start(ParquetRecorder(tmp_path / "a.parquet"))
        monkeypatch.setattr(_thread, "start_new_thread", refuse)
        with pytest.raises(OutputError, match="can't start new thread") as failed:
            fanout.consume(handed[0])
        for columns in handed[1:]:
            fanout.consume(columns)
    assert "pids.max" in (failed.value.hint or "")
    assert view.rows == sum(columns.rows for columns in handed)
    assert all(map(is_released, handed))
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_was_given_up_can_not_be_completed(tmp_path):
    recorder = ParquetRecorder(tmp_path / "a.parquet")
    for columns in batches(2):
        recorder.write(columns)
    recorder.abort()
    with pytest.raises(OutputError, match="given up"):
        recorder.close({})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_handed_on_after_the_end():
    with Fanout(Seen()) as fanout:
        pass
    columns = next(batches(1))
    with pytest.raises(RuntimeError):
        fanout.consume(columns)
    assert is_released(columns)


def test_abort_leaves_what_can_be_recovered_and_says_so(tmp_path):
    fanout = Fanout(Seen())
    recorder = ParquetRecorder(tmp_path / "a.parquet", durable_s=60)
    fanout.start(recorder)
    handed = list(batches(2))
    rows = sum(columns.rows for columns in handed)
    for columns in handed:
        fanout.consume(columns)
    fanout.abort()
    with pytest.raises(OutputError, match="was given up") as caught:
        recorder.close({})
    (left,) = leftovers_in(tmp_path)
    assert f"`tracer-cli recover {left.main}`" in caught.value.hint
    assert recover(left).rows == rows
    fanout.start(ParquetRecorder(tmp_path / "b.parquet", durable_s=60))
    fanout.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"], "of one without rows nothing is left"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Gated(Seen):
    """A view that looks at nothing before it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def consume(self, columns: Columns) -> None:
        self.gate.wait(10)
        super().consume(columns)


def test_an_error_of_who_drains_goes_before_one_of_the_view():
    with pytest.raises(KeyError), Fanout(Broken()) as fanout:
        fanout.consume(next(batches(1)))
        with pytest.raises(ViewError):
            fanout.wait()
        raise KeyError


def test_a_view_that_fails_without_a_word_is_told_by_its_kind():
    class Mute(Seen):
        def consume(self, columns: Columns) -> None:
            raise MemoryError

    with pytest.raises(ViewError, match="the view stopped: MemoryError$"), Fanout(Mute()) as fanout:
        fanout.consume(next(batches(1)))


def test_who_drains_waits_for_a_view_that_has_fallen_behind():
    view = Gated()
    handed = list(batches(QUEUED_BATCHES + 3))
    counted: list[int] = []

    def drain() -> None:
        for number, columns in enumerate(handed):
            fanout.consume(columns)
            counted.append(number)

    with Fanout(view) as fanout:
        draining = threading.Thread(target=drain)
        draining.start()
        try:
            until(lambda: len(counted) > QUEUED_BATCHES)
            draining.join(0.2)
            assert draining.is_alive()
            assert len(counted) == QUEUED_BATCHES + 1, "one is being looked at"
        finally:
            view.gate.set()
        draining.join(10)
        assert not draining.is_alive()
    assert view.rows == sum(columns.rows for columns in handed)


def test_waiting_after_the_end_is_no_waiting():
    with Fanout(Seen()) as fanout:
        fanout.consume(next(batches(1)))
    waiting = threading.Thread(target=fanout.wait, daemon=True)
    waiting.start()
    waiting.join(10)
    assert not waiting.is_alive()


class Busy:
    """A recorder that takes its time with a batch."""

    def __init__(self) -> None:
        self.entered, self.gate, self.is_done = threading.Event(), threading.Event(), False

    def write(self, columns: Columns) -> None:
        self.entered.set()
        self.gate.wait(10)
        columns.release()
        self.is_done = True

    def abort(self, *, keep: bool = False) -> None:
        pass


@pytest.mark.parametrize("end", ["stop", "abort"])
def test_who_ends_a_recording_waits_for_the_batch_that_is_being_handed_to_it(end):
    recorder, handed = Busy(), next(batches(1))
    with Fanout(Seen()) as fanout:
        fanout.start(recorder)
        draining = threading.Thread(target=fanout.consume, args=[handed])
        draining.start()
        assert recorder.entered.wait(10)
        ending = threading.Thread(target=getattr(fanout, end))
        ending.start()
        ending.join(0.2)
        is_waiting = ending.is_alive()
        recorder.gate.set()
        ending.join(10)
        draining.join(10)
    assert is_waiting
    assert is_released(handed)


def test_a_recording_begins_with_a_whole_batch():
    """Not with one that has been handed on in part."""
    view, recorder = Gated(), Busy()
    recorder.gate.set()
    handed, begun = list(batches(QUEUED_BATCHES + 2)), []

    def drain():
        for columns in handed:
            begun.append(columns)
            fanout.consume(columns)

    with Fanout(view) as fanout:
        draining = threading.Thread(target=drain)
        draining.start()
        # one is being looked at, and as many as may wait do: for this one there is no room
        until(lambda: len(begun) == QUEUED_BATCHES + 2 and fanout._lock.locked())
        starting = threading.Thread(target=fanout.start, args=[recorder])
        starting.start()
        starting.join(0.2)
        is_waiting = starting.is_alive()
        view.gate.set()
        starting.join(10)
        draining.join(10)
    assert is_waiting
    assert all(map(is_released, handed))
