"""What a crash leaves of a recording, at every byte, and what is made of it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recording import CALL

from tracer import recording
from tracer.cli.recover import recover as recover_verb
from tracer.errors import DamagedFileError, OutputError, UsageError
from tracer.losses import Entry, parse_entries
from tracer.pipeline import loss_keys
from tracer.repair import scan
from tracer.repair.recover import find, recover
from tracer.schema import SCHEMA, VERSION
from tracer.sinks import parquet_file
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.seal import seal_of
from tracer.temporary import Leftover, leftovers_in

FOOTER = {"schema_version": str(VERSION), "session": "abc", "host": "h", "loss": '{"ring_full": 0}'}


def told() -> dict[str, str]:
    return FOOTER


def batch_of(first: int, rows: int) -> pa.RecordBatch:
    """Rows that tell their number."""
    calls = [
        CALL | {"seq": n, "time_ns": n * 1_000_000, "file": f"/f{n}", "bytes": n} for n in range(first, first + rows)
    ]
    (batch,) = pa.Table.from_pylist(calls, schema=SCHEMA).combine_chunks().to_batches()
    return batch


class Asked:
    """A footer that counts how often it is asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, str]:
        self.times += 1
        return FOOTER


class Scene:
    """A durable file that gets rows, and knows how many are safe at which sizes of its files."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.parquet"
        self.file = ParquetFile(self.path, durable=True)
        self.rows = 0

    @property
    def left(self) -> Leftover:
        return Leftover(self.file.file.temporary)

    def write(self, rows: int, *, sync: bool = False) -> None:
        footer = FOOTER | loss_keys({"ring_full": self.rows}, [Entry("ring_full", 0, 1, 9, self.rows)])
        self.file.write(batch_of(self.rows, rows), lambda: footer)
        self.rows += rows
        if sync:
            self.file.sync(lambda: footer)

    def die(self) -> Leftover:
        """As kill -9 does: what has reached the kernel stays, nothing else comes after."""
        self.file.file.keep()
        self.file.safe_rows = self.rows
        left = self.left
        self.file.abort(keep=True)
        return left


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of 64 rows and small batches of less than 16, so that a test sees them all."""
    monkeypatch.setattr(parquet_file, "GROUP_ROWS", 64)
    monkeypatch.setattr(parquet_file, "SMALL_ROWS", 16)


def rows_in(path: Path) -> list[int]:
    table = pq.read_table(path)
    numbers: list[int] = table.column("seq").to_pylist()
    assert table.column("file").to_pylist() == [f"/f{n}" for n in numbers]
    assert table.column("bytes").to_pylist() == numbers
    assert table.column("time_ns").to_pylist() == [1_000_000 * n for n in numbers]
    return numbers


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def groups_in(path: Path) -> list[int]:
    footer = pq.read_metadata(path)
    return [footer.row_group(n).num_rows for n in range(footer.num_row_groups)]


class TestWhole:
    def test_segments_make_one_file_for_every_reader(self, tmp_path):
        scene = Scene(tmp_path)
        for _ in range(5):
            scene.write(20, sync=True)
        size = scene.file.close(FOOTER)
        assert names(tmp_path) == ["a.parquet"]
        assert (tmp_path / "a.parquet").stat().st_size == size
        assert rows_in(scene.path) == list(range(100))
        assert groups_in(scene.path) == [20] * 5
        footer = pq.read_metadata(scene.path)
        assert {k: v for k, v in footer.metadata.items() if k.startswith(b"tracer.")} == {
            f"tracer.{k}".encode(): v.encode() for k, v in FOOTER.items()
        }
        for group in range(5):
            statistics = footer.row_group(group).column(0).statistics
            assert (statistics.min, statistics.max) == (group * 20, group * 20 + 19)
        query = f"SELECT count(*), sum(bytes), min(seq), max(seq), count(DISTINCT file) FROM '{scene.path}'"
        assert duckdb.sql(query).fetchall() == [(100, 4950, 0, 99, 100)]
        assert duckdb.sql(f"SELECT file FROM '{scene.path}' WHERE seq = 77").fetchall() == [("/f77",)]
        with recording.open(scene.path) as opened:
            assert opened.rows == 100
            assert opened.loss == {"ring_full": 0}
            assert opened.arrow().column("seq").to_pylist() == list(range(100))

    def test_without_a_sync_it_is_written_as_any_other(self, tmp_path):
        durable, plain = ParquetFile(tmp_path / "d", durable=True), ParquetFile(tmp_path / "p")
        for file in (durable, plain):
            file.write(batch_of(0, 30), told)
            file.write(batch_of(30, 30), told)
            file.close(FOOTER)
        assert (tmp_path / "d").read_bytes() == (tmp_path / "p").read_bytes()

    def test_empty(self, tmp_path):
        scene = Scene(tmp_path)
        scene.file.sync(told)
        scene.file.close(FOOTER)
        assert rows_in(scene.path) == []

    @given(steps=st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=12))
    @settings(max_examples=30, deadline=None)
    def test_any_sizes_in_any_order(self, tmp_path_factory, steps):
        scene = Scene(tmp_path_factory.mktemp("any"))
        for rows, sync in steps:
            scene.write(rows, sync=sync)
        scene.file.close(FOOTER)
        assert rows_in(scene.path) == list(range(scene.rows))
        assert names(scene.path.parent) == ["a.parquet"]
        assert all(rows >= 16 for rows in groups_in(scene.path)[:-1])


class TestFooter:
    """Telling what is missing takes milliseconds once much is: it is asked for when it is written, and only then."""

    def test_is_not_asked_for_by_a_batch_that_is_a_row_group(self, tmp_path):
        file, asked = ParquetFile(tmp_path / "a", durable=True), Asked()
        for first in range(0, 300, 30):
            file.write(batch_of(first, 30), asked)
        assert asked.times == 0
        file.sync(asked)
        file.sync(asked)
        assert asked.times == 1
        file.abort()

    def test_is_kept_with_few_rows_when_there_are_news(self, tmp_path):
        losses = json.dumps([gone._asdict() for gone in [Entry("ring_full", 0, 1, 9, 5)] * 1000])
        scene = Scene(tmp_path)
        sizes = []
        for told_losses in (losses, losses, losses, losses[:-1] + " ]"):
            scene.file.write(batch_of(scene.rows, 1), partial(dict, FOOTER, losses=told_losses))
            scene.rows += 1
            sizes.append(scene.left.tail.stat().st_size)
        assert sizes[0] > len(losses) > sizes[2] - sizes[0]
        assert sizes[3] - sizes[2] > len(losses)
        recover(scene.die())
        with recording.open(scene.path) as opened:
            assert parse_entries(opened.metadata["losses"])[:-1] == [Entry("ring_full", 0, 1, 9, 5)] * 1000


class TestTail:
    def test_few_rows_at_a_time_make_large_groups(self, tmp_path):
        scene = Scene(tmp_path)
        for _ in range(100):
            scene.write(3, sync=True)
            assert names(tmp_path) == sorted([scene.left.main.name, scene.left.tail.name])
        scene.file.close(FOOTER)
        assert rows_in(scene.path) == list(range(300))
        assert groups_in(scene.path) == [66, 66, 66, 66, 36]
        assert names(tmp_path) == ["a.parquet"]

    def test_is_written_anew_before_it_is_much_larger_than_its_rows(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tracer.sinks.tail.SPARSE_BYTES", 50_000)
        monkeypatch.setattr(parquet_file, "GROUP_ROWS", 1000)
        scene = Scene(tmp_path)
        for _ in range(200):
            scene.write(1, sync=True)
            assert scene.left.tail.stat().st_size < 2 * 20_000 + 60_000
        left = scene.die()
        assert recover(left).rows == 200
        assert rows_in(scene.path) == list(range(200))

    def test_long_names_make_a_group_earlier(self, tmp_path, monkeypatch):
        monkeypatch.setattr(parquet_file, "GROUP_ROWS", 1000)
        row = batch_of(0, 10).nbytes / 10
        monkeypatch.setattr(parquet_file, "GROUP_BYTES", 50 * row)
        scene = Scene(tmp_path)
        for _ in range(20):
            scene.write(10)
            assert scene.file._tail.memory_bytes < 50 * row
        scene.file.close(FOOTER)
        assert rows_in(scene.path) == list(range(200))
        assert len(groups_in(scene.path)) >= 4

    def test_is_private(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(1)
        assert scene.left.tail.stat().st_mode & 0o777 == 0o600
        scene.file.abort()
        assert names(tmp_path) == []


def lengths(path: Path) -> list[int]:
    """Every byte would be too many; around each magic, and many between."""
    data = path.read_bytes()
    ends = [n + 4 for n in range(len(data)) if data.startswith(b"PAR1", n)]
    near = {end + off for end in ends for off in (-9, -8, -5, -4, -1, 0, 1, 2) if 0 <= end + off <= len(data)}
    return sorted(near | set(range(0, len(data), 997)) | {len(data)})


class TestPowerLoss:
    def test_at_many_bytes_every_whole_segment_comes_back(self, tmp_path):
        work = tmp_path / "work"
        work.mkdir()
        scene = Scene(work)
        safe = {}
        for _ in range(4):
            scene.write(20, sync=True)
            safe[scene.left.main.stat().st_size] = scene.rows
        main = scene.left.main.name
        scene.die()
        data = (work / main).read_bytes()
        for number, length in enumerate(lengths(work / main)):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / main).write_bytes(data[:length])
            want = max((rows for size, rows in safe.items() if size <= length), default=0)
            left = Leftover(folder / main)
            if want == 0:
                with pytest.raises(DamagedFileError, match="can be recovered"):
                    recover(left)
                assert names(folder) == [main]
                continue
            found = recover(left)
            assert (found.rows, found.segments) == (want, want // 20)
            assert found.unused_bytes == length - max(size for size in safe if size <= length)
            assert names(folder) == ["a.parquet"]
            assert rows_in(folder / "a.parquet") == list(range(want))

    @given(length=st.integers(0, 60_000), rows=st.lists(st.integers(1, 15), min_size=1, max_size=8))
    @settings(max_examples=40, deadline=None)
    def test_of_a_cut_tail_the_first_batches_come_back(self, tmp_path_factory, length, rows):
        folder = tmp_path_factory.mktemp("cut")
        scene = Scene(folder)
        scene.write(20, sync=True)
        ends = {0: 20}
        for count in rows:
            scene.write(count, sync=True)
            if not scene.left.tail.exists() or scene.left.tail.stat().st_size == 0:
                ends = {0: scene.rows}
            else:
                ends[scene.left.tail.stat().st_size] = scene.rows
        left = scene.die()
        if left.tail.exists():
            os.truncate(left.tail, min(length, left.tail.stat().st_size))
        want = max(rows for size, rows in ends.items() if size <= length)
        assert recover(left).rows == want
        assert rows_in(folder / "a.parquet") == list(range(want))
        assert names(folder) == ["a.parquet"]

    def test_pages_that_never_reached_the_disk(self, tmp_path):
        """The footer did, what it tells of did not."""
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        first = scene.left.main.stat().st_size
        scene.write(20, sync=True)
        left = scene.die()
        with left.main.open("r+b") as file:
            file.seek(first)
            file.write(bytes(600))
        found = recover(left)
        assert (found.rows, found.segments) == (20, 1)
        assert found.unused_bytes > 600

    def test_between_the_group_and_the_end_of_its_tail_no_row_comes_twice(self, tmp_path, monkeypatch):
        scene = Scene(tmp_path)
        monkeypatch.setattr("tracer.sinks.tail.Tail.clear", lambda _: None)
        scene.write(10, sync=True)
        scene.write(30, sync=True)
        left = scene.die()
        assert left.tail.stat().st_size > 0
        assert recover(left).rows == 40
        assert rows_in(scene.path) == list(range(40))
        with recording.open(scene.path) as opened:
            assert opened.loss["ring_full"] == 10, "as the newer footer says, not as the tail did"


class TestRecover:
    def test_restores_the_facts_and_the_losses_so_far(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        scene.write(20, sync=True)
        recover(scene.die())
        with recording.open(scene.path) as opened:
            facts = dict(opened.metadata)
            assert json.loads(facts.pop("recovered")) == {"segments": 2, "unused_bytes": 0}
            entries = [Entry("ring_full", 0, 1, 9, 20), Entry("undrained_bytes", None, 39_000_100, None, None)]
            assert facts == FOOTER | loss_keys({"ring_full": 20, "undrained_bytes": None}, entries)

    def test_of_a_tail_alone(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(3, sync=True)
        scene.write(3, sync=True)
        found = recover(scene.die())
        assert (found.rows, found.segments, found.tail_rows) == (6, 0, 6)
        with recording.open(scene.path) as opened:
            assert opened.metadata["session"] == "abc"
            assert opened.loss == {"ring_full": 3, "undrained_bytes": None}
            known = [row for row in opened.losses.to_pylist() if row["lost"] is not None]
            assert [(row["from_ns"], row["to_ns"], row["lost"]) for row in known] == [(1, 9, 3)], (
                "the ledger goes with the totals, or its windows would be unknown"
            )

    def test_that_lacks_only_its_name(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        scene.write(20, sync=True)
        scene.path.write_text("taken meanwhile")
        with pytest.raises(OutputError, match="has appeared meanwhile"):
            scene.file.close(FOOTER)
        left = scene.die()
        found = recover(left, tmp_path / "b.parquet")
        assert found.is_complete
        assert found.rows == 40
        with recording.open(tmp_path / "b.parquet") as opened:
            assert opened.metadata == FOOTER

    def test_leaves_a_recording_alone_that_is_being_written(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        with pytest.raises(UsageError, match="is still being written"):
            recover(scene.left)
        assert names(tmp_path) == [scene.left.main.name]
        scene.file.close(FOOTER)
        assert rows_in(scene.path) == list(range(20))

    def test_never_overwrites_unasked(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        left = scene.die()
        scene.path.write_text("precious")
        with pytest.raises(OutputError, match="exists"):
            recover(left)
        assert scene.path.read_text() == "precious"
        assert left.main.exists()
        assert recover(left, force=True).rows == 20

    def test_keeps_what_was_there_until_the_new_one_is_complete(self, tmp_path, monkeypatch):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        left = scene.die()

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch, pytest.raises(OutputError, match="No space left"):
            patch.setattr(os, "fsync", fail)
            recover(left)
        assert names(tmp_path) == [left.main.name]
        assert recover(left, keep=True).rows == 20
        assert names(tmp_path) == sorted([left.main.name, "a.parquet"])

    def test_finds_by_file_name_and_folder(self, tmp_path):
        folder = tmp_path / "below" / "this"
        folder.mkdir(parents=True)
        scene = Scene(folder)
        scene.write(20, sync=True)
        scene.write(2, sync=True)
        left = scene.die()
        assert left.tail.exists()
        assert all(find(path) == [left] for path in (left.main, left.tail, scene.path, folder, tmp_path))
        for name in ("other.parquet", "q" * 300):
            with pytest.raises(UsageError, match="nothing was left behind"):
                find(tmp_path / name)

    @pytest.mark.parametrize("name", ["x-0001.parquet", "x-12345.parquet", "x-ring-0003.parquet"])
    def test_finds_parts_and_slices_by_the_name_that_was_given(self, name, tmp_path):
        left = Leftover(tmp_path / f".{name}.0123456789abcdef.tmp")
        for other in (left.main, tmp_path / ".x-1.parquet.0123456789abcdef.tmp"):
            other.touch()
        assert find(tmp_path / "x.parquet") == [left]

    def test_a_folder_of_such_a_name(self, tmp_path):
        (tmp_path / ".x.parquet.0123456789abcdef.tmp").mkdir()
        with pytest.raises(UsageError, match="is no file"):
            recover(*find(tmp_path / "x.parquet"))

    def test_a_long_name(self, tmp_path):
        file = ParquetFile(tmp_path / ("x" * 250), durable=True)
        file.write(batch_of(0, 20), told)
        file.sync(told)
        file.abort(keep=True)
        (left,) = find(tmp_path / ("x" * 250))
        assert recover(left, tmp_path / "out").rows == 20

    def test_a_name_that_may_have_been_longer_is_said(self, tmp_path):
        file = ParquetFile(tmp_path / ("x" * 230 + ".parquet"), durable=True)
        file.write(batch_of(0, 20), told)
        file.sync(told)
        file.abort(keep=True)
        ended = CliRunner().invoke(recover_verb, [str(tmp_path)])
        assert ended.stderr.splitlines()[2:] == [
            "tracer-cli: warning: the name that it was to get may have been longer"
        ]
        assert names(tmp_path) == ["x" * 192 + ".parquet"]

    @given(data=st.binary(max_size=300), tail=st.binary(max_size=300), magics=st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_garbage(self, tmp_path_factory, data, tail, magics):
        folder = tmp_path_factory.mktemp("garbage")
        left = Leftover(folder / ".a.parquet.0123456789abcdef.tmp")
        left.main.write_bytes(b"PAR1" + data + (b"\x00\x00\x00PAR1" if magics else b""))
        left.tail.write_bytes(tail)
        with pytest.raises(DamagedFileError):
            recover(left)
        assert left.main.exists()

    def test_a_tail_of_other_columns_is_damage(self, tmp_path):
        scene = Scene(tmp_path)
        for rows in (20, 5):
            scene.write(rows, sync=True)
        left = scene.die()
        assert b"flags" in left.tail.read_bytes()
        left.tail.write_bytes(left.tail.read_bytes().replace(b"flags", b"flagz"))
        assert recover(left).rows == 20

    @given(
        places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20), tail=st.booleans()
    )
    @settings(max_examples=60, deadline=None)
    def test_damage_gives_right_rows_or_none(self, tmp_path_factory, places, tail):
        scene = Scene(tmp_path_factory.mktemp("damage"))
        for rows in (20, 20, 5, 5):
            scene.write(rows, sync=True)
        left = scene.die()
        path = left.tail if tail else left.main
        data = bytearray(path.read_bytes())
        for place, value in places:
            data[int(place * (len(data) - 1))] = value
        path.write_bytes(data)
        try:
            found = recover(left)
        except DamagedFileError:
            return
        numbers = rows_in(scene.path)
        assert len(numbers) == found.rows
        assert numbers == sorted(set(numbers) & set(range(50)))

    @pytest.mark.parametrize("place", range(0, 100, 6))
    @pytest.mark.parametrize("tail", [False, True])
    def test_one_changed_byte_costs_the_piece_that_it_is_in(self, tmp_path, place, tail):
        scene = Scene(tmp_path)
        ends = {(False, 0): 0}
        for rows in (20, 20, 5, 5, 5):
            scene.write(rows, sync=True)
            part = scene.left.tail if rows < 16 else scene.left.main
            ends[rows < 16, part.stat().st_size] = scene.rows
        left = scene.die()
        path = left.tail if tail else left.main
        data = bytearray(path.read_bytes())
        at = place * len(data) // 100
        data[at] ^= 0x10
        path.write_bytes(data)
        recover(left)
        before = max([rows for (where, end), rows in ends.items() if where == tail and end <= at], default=40)
        after = min(rows for (where, end), rows in ends.items() if where == tail and end > at)
        lost = range(before, 55 if tail else after)
        assert rows_in(scene.path) == [number for number in range(55) if number not in lost]

    def test_pieces_that_claim_each_others_bytes_are_read_a_few_times(self, tmp_path, monkeypatch):
        data = b"PAR1"
        for _ in range(500):
            data += b"PAR1" + seal_of([data, b"PAR1"])
        left = Leftover(tmp_path / ".a.parquet.0123456789abcdef.tmp")
        left.main.write_bytes(data)
        read = []

        def counting(parts):
            read.append(len(piece := b"".join(parts)))
            return seal_of([piece])

        monkeypatch.setattr(scan, "seal_of", counting)
        with pytest.raises(DamagedFileError):
            recover(left)
        assert len(data) < sum(read) <= 4 * len(data)


class TestVerb:
    def test_says_what_it_did(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        scene.write(4, sync=True)
        left = scene.die()
        with left.main.open("ab") as file:
            file.write(bytes(100))
        ended = CliRunner().invoke(recover_verb, [str(scene.path)])
        assert ended.exit_code == 0
        assert ended.stdout == ""
        assert ended.stderr.splitlines() == [
            f"tracer-cli: 24 rows over 0.02 s recovered (1 segments, 4 rows of the tail); {scene.path}",
            "tracer-cli: the last seconds before the crash are missing; 100 bytes could not be used",
        ]

    def test_json(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        left = scene.die()
        ended = CliRunner().invoke(recover_verb, [str(tmp_path), "--json", "--keep-temporary"])
        (said,) = json.loads(ended.stdout)["recovered"]
        assert said == {
            "temporary": str(left.main),
            "output": str(scene.path),
            "rows": 20,
            "seconds": 0.019,
            "segments": 1,
            "tail_rows": 0,
            **{"unused_bytes": 0, "hole_bytes": 0},
            "is_complete": False,
            "is_cleared": False,
            "may_be_shortened": False,
        }
        assert left.main.exists()

    def test_the_hint_of_other_verbs(self, tmp_path):
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        with pytest.raises(UsageError, match="no such recording") as caught:
            recording.open(scene.path)
        assert "still being written" in caught.value.hint
        scene.die()
        with pytest.raises(UsageError, match="no such recording") as caught:
            recording.open(scene.path)
        assert caught.value.hint == f"a crash left some of it: `tracer-cli recover {scene.path}`"


KILLED = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from test_fanout import batches
from tracer.sinks.recorder import ParquetRecorder
recorder = ParquetRecorder(Path(sys.argv[1]), durable_s=0.05)
recorder.describe(lambda: {footer!r})
for columns in batches(10_000, pairs=int(sys.argv[2])):
    recorder.write(columns)
    print(recorder.rows, flush=True)
    time.sleep(0.01)
"""


@pytest.mark.parametrize("pairs", [100, 30_000])
def test_a_killed_process_loses_nothing_that_was_written(tmp_path, pairs):
    code = KILLED.format(path=[str(Path(__file__).parent), *sys.path], footer=FOOTER)
    command = [sys.executable, "-c", code, str(tmp_path / "a.parquet"), str(pairs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        written = 0
        while written < 20 * pairs:
            written = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    (left,) = leftovers_in(tmp_path)
    found = recover(left)
    assert found.rows >= written, (
        "these batches are small: what was written is in the tail, or in a group that was synced"
    )
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column("seq").to_pylist() == list(range(found.rows))
    assert names(tmp_path) == ["a.parquet"]
