"""When the recorder writes what it is handed: a small batch as late as may be, all of it in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_fanout import batches, is_released, until

from tracer import recording
from tracer._fast import Columns
from tracer.errors import OutputError
from tracer.repair.recover import find, recover
from tracer.sinks import tail
from tracer.sinks.opening import open_recorder
from tracer.sinks.parquet_options import Footer
from tracer.sinks.recorder import ParquetRecorder

FOOTER = {"schema_version": "1", "session": "s", "loss": "{}"}
NEVER_S = 600
"""No sync is due before the test is over."""

GRACE_S = 1.0
"""What a busy machine and its disk may take."""


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def one(pairs: int = 100) -> Columns:
    """A batch of about so many rows."""
    return next(batches(2, pairs))


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of the two calls was made, in order. Nothing may go into a tail."""
    made: list[str] = []

    def counted(name: str) -> Callable[[int], None]:
        real = getattr(os, name)

        def sync(descriptor: int) -> None:
            made.append(name)
            real(descriptor)

        return sync

    def refuse(*_: object) -> None:
        raise AssertionError("rows went into the tail")

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, counted(name))
    monkeypatch.setattr(tail.Tail, "append", refuse)
    return made


class TestBeforeTheFirstSync:
    @pytest.mark.parametrize("sizes", [[100], [40_000, 100]])
    def test_a_durable_recording_is_written_and_synced_as_one_that_is_not(self, sizes, tmp_path, syncs):
        for name, durable_s in (("p", None), ("d", NEVER_S)):
            recorder = ParquetRecorder(tmp_path / name, durable_s=durable_s)
            recorder.describe(lambda: FOOTER)
            for pairs in sizes:
                recorder.write(one(pairs))
            recorder.close(FOOTER)
            assert syncs == ["fsync"], name
            syncs.clear()
        assert files_in(tmp_path) == [tmp_path / "d", tmp_path / "p"]
        assert (tmp_path / "d").read_bytes() == (tmp_path / "p").read_bytes()

    @pytest.mark.parametrize("options", [{"output": "calls/"}, {"output": "a.parquet", "ring_s": 1e9}])
    def test_the_same_of_parts_and_of_a_flight_recorder(self, options, tmp_path, syncs, monkeypatch):
        monkeypatch.chdir(tmp_path)
        recorder = open_recorder(durable_s=NEVER_S, **options)
        columns = one()
        rows = columns.rows
        recorder.write(columns)
        recorder.close(FOOTER)
        assert "fdatasync" not in syncs
        (path,) = [path for path in files_in(tmp_path) if path.suffix == ".parquet"]
        assert pq.read_metadata(path).num_rows == rows
        assert is_released(columns)

    def test_a_batch_is_held_until_the_next_one_comes(self, tmp_path):
        recorder = ParquetRecorder(tmp_path / "a", durable_s=NEVER_S)
        handed = []
        for columns in batches(20):
            handed.append((columns, columns.rows))
            recorder.write(columns)
        before = sum(rows for _, rows in handed[:-1])
        until(lambda: recorder.rows == before and all(is_released(columns) for columns, _ in handed[:-1]))
        assert not is_released(handed[-1][0])
        recorder.close(FOOTER)
        assert is_released(handed[-1][0])
        assert pq.read_table(tmp_path / "a").column("seq").to_pylist() == list(range(before + handed[-1][1]))

    def test_a_large_one_is_written_at_once(self, tmp_path):
        recorder = ParquetRecorder(tmp_path / "a", durable_s=NEVER_S)
        columns = one(40_000)
        rows = columns.rows
        recorder.write(columns)
        until(lambda: recorder.rows == rows)
        recorder.abort()

    def test_what_is_held_is_given_back_when_the_recording_is_given_up(self, tmp_path):
        recorder = ParquetRecorder(tmp_path / "a", durable_s=NEVER_S)
        columns = one()
        recorder.write(columns)
        recorder.abort()
        assert is_released(columns)
        assert files_in(tmp_path) == []

    def test_what_is_held_is_kept_when_that_is_wished_for(self, tmp_path):
        recorder = ParquetRecorder(tmp_path / "a.parquet", durable_s=NEVER_S)
        recorder.describe(lambda: FOOTER)
        columns = one()
        rows = columns.rows
        recorder.write(columns)
        recorder.abort(keep=True)
        assert recover(*find(tmp_path)).rows == rows

    def test_a_snapshot_has_what_is_held(self, tmp_path):
        recorder = open_recorder(tmp_path / "a.parquet", durable_s=NEVER_S, ring_s=1e9)
        columns = one()
        rows = columns.rows
        recorder.describe(lambda: FOOTER)
        recorder.write(columns)
        recorder.snapshot(asked_ns=0)
        until((tmp_path / "a-0001.parquet").exists)
        assert pq.read_metadata(tmp_path / "a-0001.parquet").num_rows == rows
        recorder.abort()


def test_the_first_second_begins_with_the_first_batch(tmp_path, syncs):
    """A command that made no call for a while has nothing that would have to be made safe at once."""
    recorder = ParquetRecorder(tmp_path / "a", durable_s=0.5)
    time.sleep(0.6)
    columns = one()
    recorder.write(columns)
    recorder.close(FOOTER)
    assert syncs == ["fsync"]


KILLED = """
import sys, time
from itertools import islice
sys.path[:0] = {path!r}
from pathlib import Path
from test_fanout import batches
from tracer.sinks.opening import open_recorder
recorder = open_recorder(sys.argv[1], durable_s=float(sys.argv[2]))
recorder.describe(lambda: {footer!r})
rows = 0
for columns in islice(batches(1000), int(sys.argv[3])):
    rows += columns.rows
    recorder.write(columns)
    print(time.monotonic(), rows, flush=True)
    time.sleep(0.02)
time.sleep(600)
"""


class Dying:
    """A process that records batches, and says when it had handed over how many rows."""

    def __init__(self, output: str, *, durable_s: float, count: int) -> None:
        code = KILLED.format(path=[str(Path(__file__).parent), *sys.path], footer=FOOTER)
        command = [sys.executable, "-c", code, output, str(durable_s), str(count)]
        self.handed: list[tuple[float, int]] = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Dying:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.stdout.close()

    def listen(self, count: int) -> None:
        """Until so many batches have been handed over."""
        while len(self.handed) < count:
            when, rows = self._process.stdout.readline().split()
            self.handed.append((float(when), int(rows)))

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@pytest.mark.parametrize("output", ["a.parquet", "calls/"])
class TestKilled:
    def test_one_batch_of_an_idle_program_is_safe_in_time(self, output, tmp_path):
        with Dying(f"{tmp_path}/{output}", durable_s=0.3, count=1) as dying:
            dying.listen(1)
            until(lambda: any(path.suffix == ".tail" and path.stat().st_size for path in files_in(tmp_path)))
            took_s = time.monotonic() - dying.handed[0][0]
            time.sleep(0.3)  # the file is there before all of the batch is
            dying.kill()
        assert 0.2 < took_s < 0.3 + GRACE_S, "when it was due"
        assert recover(*find(tmp_path)).rows == dying.handed[0][1]

    def test_of_many_those_are_lost_that_were_not_due_yet(self, output, tmp_path):
        with Dying(f"{tmp_path}/{output}", durable_s=0.3, count=1000) as dying:
            dying.listen(100)
            killed_s = time.monotonic()
            dying.kill()
        safe = max(rows for when, rows in dying.handed if when < killed_s - 0.3 - GRACE_S)
        found = recover(*find(tmp_path))
        assert found.rows >= safe > 0
        (path,) = files_in(tmp_path)
        with recording.open(path) as opened:
            assert opened.arrow().column("seq").to_pylist() == list(range(found.rows))


class Counting:
    """An output that counts how often rows are made safe."""

    bytes_written = 0

    def __init__(self) -> None:
        self.rows = self.syncs = 0

    def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool = False) -> None:
        self.rows += batch.num_rows

    def sync(self, footer: Footer) -> None:
        self.syncs += 1

    def close(self, footer: Mapping[str, str]) -> int:
        return 0

    def abort(self, *, keep: bool = False) -> Path | None:
        return None


def test_what_is_there_is_made_safe_no_more_often_than_wished_for(tmp_path):
    output, wished_s, times = Counting(), 0.1, 4
    began_s = time.monotonic()
    recorder = ParquetRecorder(tmp_path / "a", durable_s=wished_s, output=output)
    columns = one()
    rows = columns.rows
    recorder.write(columns)
    until(lambda: output.syncs >= times)
    assert time.monotonic() - began_s >= times * wished_s
    recorder.close(FOOTER)
    assert (output.rows, is_released(columns)) == (rows, True)


def test_what_comes_without_a_pause_is_made_safe_too(tmp_path):
    """Something always waits for a writer that is slower than what comes."""

    class Slow(Counting):
        def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool = False) -> None:
            time.sleep(0.05)
            super().write(batch, footer, is_last=is_last)

    output = Slow()
    recorder = ParquetRecorder(tmp_path / "a", durable_s=0.2, output=output)
    for columns in batches(30):
        recorder.write(columns)
    assert output.syncs >= 2
    recorder.close(FOOTER)


def test_the_hint_of_a_recording_that_failed_can_be_typed(tmp_path):
    recorder = ParquetRecorder(tmp_path / "a b.parquet", durable_s=NEVER_S)
    recorder.describe(lambda: FOOTER)
    recorder.write(one())
    kept = recorder.abort(keep=True)
    assert kept is not None
    with pytest.raises(OutputError) as caught:
        recorder.close(FOOTER)
    assert caught.value.hint.endswith(f"`tracer-cli recover '{kept}'`")
