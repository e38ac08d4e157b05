"""Recordings in parts: when one ends, what it is called, which stay."""

from __future__ import annotations

import json
import os
import stat
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_recording import CALL

from tracer import recording
from tracer.errors import OutputError, UsageError
from tracer.losses import CONTINUED, Entry, dumped, lacks_calls, missing_end
from tracer.repair.compact import compact
from tracer.repair.recover import find, recover
from tracer.schema import SCHEMA
from tracer.sinks import parts as parts_module
from tracer.sinks.opening import open_recorder
from tracer.sinks.part_names import Dataset, Numbered
from tracer.sinks.parts import Parts, Rotation

DAY_US = 86_400_000_000
FOOTER = {"schema_version": "1", "session": "abc", "host": "a/b=c", "loss": '{"ring_full": 0}'}


def batch_of(first: int, rows: int, *, day: int = 0, **more: object) -> pa.RecordBatch:
    calls = [CALL | more | {"seq": n, "time": CALL["time"] + day * DAY_US} for n in range(first, first + rows)]
    (batch,) = pa.Table.from_pylist(calls, schema=SCHEMA).combine_chunks().to_batches()
    return batch


def told() -> dict[str, str]:
    return FOOTER


def footer(lost: int | None) -> dict[str, str]:
    return FOOTER | {"loss": json.dumps({"ring_full": lost})}


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def seqs(path: Path) -> list[int]:
    numbers: list[int] = pq.read_table(path, partitioning=None).column("seq").to_pylist()
    return numbers


class TestRows:
    def test_are_cut_to_the_row(self, tmp_path):
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=30))
        for first in range(0, 100, 25):
            parts.write(batch_of(first, 25), told)
        size = parts.close(FOOTER)
        assert files_in(tmp_path) == [f"x-000{n}.parquet" for n in (1, 2, 3, 4)]
        assert [len(seqs(tmp_path / name)) for name in files_in(tmp_path)] == [30, 30, 30, 10]
        assert [n for name in files_in(tmp_path) for n in seqs(tmp_path / name)] == list(range(100))
        assert size == sum(path.stat().st_size for path in tmp_path.iterdir())

    def test_losses_of_the_parts_add_up(self, tmp_path):
        parts = Parts(Dataset(tmp_path / "d"), Rotation(rows=10))
        for number, lost in enumerate([3, 3, 10]):
            parts.write(batch_of(number * 10, 10), partial(footer, lost))
        parts.write(batch_of(30, 1), partial(footer, 11))
        parts.close(footer(12))
        with recording.open(tmp_path / "d") as opened:
            assert opened.loss == {"ring_full": 12}
            assert opened.rows == 31
            assert opened.metadata["session"] == "abc"

    def test_what_is_unknown_stays_so(self):
        earlier, now = {"loss": '{"a": null, "b": 1}'}, {"loss": '{"a": 3, "b": null, "c": 2}'}
        assert json.loads(parts_module.losses_between(earlier, now)["loss"]) == {"a": None, "b": None, "c": 2}

    def test_each_part_has_the_windows_of_its_own_losses(self, tmp_path):
        def ledger(*windows: tuple[int, int, int]) -> dict[str, str]:
            entries = [Entry("ring_full", 0, start, end, lost) for start, end, lost in windows]
            return footer(sum(lost for *_, lost in windows)) | {"losses": json.dumps(dumped(entries))}

        parts = Parts(Dataset(tmp_path), Rotation(rows=10))
        parts.write(batch_of(0, 11), partial(ledger, (100, 200, 5)))
        parts.write(batch_of(11, 9), partial(ledger, (100, 250, 7), (300, 400, 1)))
        parts.close(ledger((100, 250, 7), (300, 400, 1)))
        with recording.open(tmp_path) as opened:
            found = opened.losses.select(["from_ns", "to_ns", "lost"]).to_pylist()
        assert [tuple(window.values()) for window in found] == [(100, 200, 5), (100, 250, 2), (300, 400, 1)]

    def test_without_any_there_is_one_part(self, tmp_path):
        parts = Parts(Dataset(tmp_path), Rotation())
        parts.close(FOOTER)
        with recording.open(tmp_path) as opened:
            assert opened.rows == 0


class TestSizeAndTime:
    def test_size(self, tmp_path):
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(size_bytes=20_000))
        for first in range(0, 3000, 50):
            parts.write(batch_of(first, 50), told)
        parts.close(FOOTER)
        sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
        assert len(sizes) > 2
        assert all(20_000 <= size < 80_000 for size in sizes[:-1])

    def test_time_also_while_nothing_comes(self, tmp_path, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(parts_module.time, "monotonic", lambda: now[0])
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(time_s=60), durable=True)
        parts.write(batch_of(0, 5), told)
        now[0] += 59
        parts.sync(told)
        assert "x-0001.parquet" not in files_in(tmp_path)
        now[0] += 1
        parts.sync(told)
        assert files_in(tmp_path) == ["x-0001.parquet"]
        parts.sync(told)
        parts.write(batch_of(5, 5), told)
        parts.close(FOOTER)
        assert [seqs(tmp_path / name) for name in files_in(tmp_path)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


class TestKeep:
    def test_the_oldest_go_and_it_is_said(self, tmp_path):
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=10, keep=2))
        for first in range(0, 55, 5):
            parts.write(batch_of(first, 5), told)
            assert len(files_in(tmp_path)) <= 3
        parts.close(FOOTER)
        assert files_in(tmp_path) == ["x-0005.parquet", "x-0006.parquet"]
        assert str(parts) == f"{tmp_path}/x-*.parquet (2 parts), 4 older with 40 rows removed by --keep"

    def test_alone_makes_no_sense(self):
        with pytest.raises(UsageError, match="--keep") as caught:
            Rotation(keep=3)
        assert "--rotate-size" in caught.value.hint

    def test_another_file_of_a_parts_name_stays(self, tmp_path):
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=10, keep=1))
        parts.write(batch_of(0, 15), told)
        (tmp_path / "x-0001.parquet").rename(tmp_path / "mine.parquet")
        (tmp_path / "x-0001.parquet").write_text("precious")
        parts.write(batch_of(15, 15), told)
        parts.close(FOOTER)
        assert files_in(tmp_path) == ["mine.parquet", "x-0001.parquet", "x-0003.parquet"]
        assert str(parts) == f"{tmp_path}/x-*.parquet (1 part), 1 older with 10 rows removed by --keep"

    def test_the_empty_part_that_ends_a_recording_takes_no_place(self, tmp_path):
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=10, keep=1), durable=True)
        parts.write(batch_of(0, 20), told)
        parts.sync(told)
        parts.close(FOOTER)
        assert [seqs(tmp_path / name) for name in files_in(tmp_path)] == [list(range(10, 20)), []]


class TestEnds:
    """What says that parts are missing at the end, or that none are."""

    def test_a_crash_between_two_parts(self, tmp_path):
        told = FOOTER | {"clock": '{"boot_ns": 0, "wall_ns": 0}'}
        parts = Parts(Dataset(tmp_path / "d"), Rotation(rows=10), durable=True)
        parts.write(batch_of(0, 20), lambda: told)
        parts.sync(lambda: told)  # the second part is full: complete
        parts.abort(keep=True)
        since = {"cause": "undrained_bytes", "from_ns": CALL["time_ns"] + CALL["latency_ns"], "to_ns": None}
        with recording.open(tmp_path / "d") as opened:
            assert opened.rows == 20
            assert lacks_calls(opened.loss)
            (window,) = opened.losses.to_pylist()
            assert window.items() >= since.items()
            assert window["lost"] is None
            part = opened.parts[-1].name
        with recording.open(tmp_path / "d" / part) as opened:
            assert opened.loss == {"ring_full": 0}, "of itself this part is complete"
        compact(tmp_path / "d", tmp_path / "c.parquet")
        with recording.open(tmp_path / "c.parquet") as opened:
            assert lacks_calls(opened.loss)
            assert opened.losses.to_pylist()[0].items() >= since.items()
        (tmp_path / "c.parquet").rename((tmp_path / "d" / part).with_name("c.parquet"))
        with recording.open(tmp_path / "d") as opened:
            assert lacks_calls(opened.loss), "a part of it doesn't make it whole"

    @pytest.mark.parametrize("rows", [5, 10, 15, 20])
    @pytest.mark.parametrize("has_time_to_end", [False, True])
    def test_one_that_came_to_its_end(self, tmp_path, rows, has_time_to_end):
        parts = Parts(Dataset(tmp_path), Rotation(rows=10), durable=True)
        parts.write(batch_of(0, rows), told)
        if has_time_to_end:
            parts.sync(told)
        parts.close(footer(3))
        with recording.open(tmp_path) as opened:
            assert opened.rows == rows
            assert opened.loss == {"ring_full": 3}, "what was lost after the last row, too"

    def test_of_several_sessions_each_has_its_own(self, tmp_path):
        for session in ("one", "two"):
            parts = Parts(Dataset(tmp_path), Rotation(rows=10), durable=True)
            parts.write(batch_of(0, 20), lambda session=session: FOOTER | {"session": session})
            if session == "one":
                parts.close(FOOTER | {"session": session})
        with recording.open(tmp_path) as opened:
            assert len(opened.missing_ends) == 1

    @pytest.mark.parametrize("text", ["", "x", "-1", "[", "1e400", str(1 << 63), "9" * 5000])
    def test_a_mark_that_is_no_time_says_nothing_of_when(self, text):
        (entry,) = [missing_end([{CONTINUED: text}, {CONTINUED: "5"}])]
        assert entry == Entry("undrained_bytes", None, None, None, None)


class TestDataset:
    def test_layout(self, tmp_path):
        parts = Parts(Dataset(tmp_path / "d"), Rotation(rows=10))
        parts.write(batch_of(0, 15), told)
        parts.write(batch_of(15, 5, day=1), told)
        parts.close(FOOTER)
        host = "d/events/host=a%2Fb%3Dc"
        assert files_in(tmp_path) == [
            f"{host}/date=2025-11-24/abc-0001.parquet",
            f"{host}/date=2025-11-24/abc-0002.parquet",
            f"{host}/date=2025-11-25/abc-0003.parquet",
        ]
        with recording.open(tmp_path / "d") as opened:
            counted = opened.sql("SELECT host, date, count(*) AS n FROM calls GROUP BY ALL ORDER BY date")
            assert counted.to_pylist() == [
                {"host": "a/b=c", "date": "2025-11-24", "n": 15},
                {"host": "a/b=c", "date": "2025-11-25", "n": 5},
            ]
            assert opened.arrow().column("seq").to_pylist() == list(range(20))

    @pytest.mark.parametrize("session", [".", "..", ".hidden", "../../../x", "/x", "a\0b", ""])
    def test_a_session_of_any_name_is_a_part_in_its_folder(self, tmp_path, session):
        told = FOOTER | {"session": session}
        parts = Parts(Dataset(tmp_path / "d"), Rotation())
        parts.write(batch_of(0, 3), lambda: told)
        parts.close(told)
        (name,) = files_in(tmp_path)
        assert Path(name).parts[:4] == ("d", "events", "host=a%2Fb%3Dc", "date=2025-11-24")
        with recording.open(tmp_path / "d") as opened:
            assert opened.rows == 3

    def test_another_sessions_parts_stay(self, tmp_path):
        for session in ("one", "two"):
            parts = Parts(Dataset(tmp_path), Rotation(), force=True)
            parts.write(batch_of(0, 3), partial(dict, FOOTER, session=session))
            parts.close(FOOTER | {"session": session})
        with recording.open(tmp_path) as opened:
            assert opened.rows == 6

    def test_belongs_to_who_called_sudo_and_what_is_in_it_to_its_owner(self, tmp_path, monkeypatch):
        seen = []
        monkeypatch.setenv("SUDO_UID", "1000")
        monkeypatch.setenv("SUDO_GID", "1001")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "getegid", lambda: 4242)
        monkeypatch.setattr(
            os, "fchown", lambda fd, uid, gid: seen.append((Path(f"/proc/self/fd/{fd}").readlink(), uid, gid))
        )
        parts = Parts(Dataset(tmp_path / "d"), Rotation())
        parts.close(FOOTER)
        there = (tmp_path / "d").stat()
        owners = [("d", 1000, 1001), *((name, there.st_uid, there.st_gid) for name in ("events", "host", "date"))]
        folders = [(path.name.partition("=")[0], uid, gid) for path, uid, gid in seen if path.is_dir()]
        assert folders == owners

    def test_folders_that_can_not_be(self, tmp_path):
        (tmp_path / "f").touch()
        with pytest.raises(OutputError, match="the folder .*no does not exist"):
            Dataset(tmp_path / "no" / "d").check(force=False)
        with pytest.raises(OutputError, match="f is not a folder"):
            Dataset(tmp_path / "f").check(force=False)

    def test_a_day_never_comes_back(self, tmp_path):
        """Calls that began before midnight and never ended, or ended after it, come among those of the next day."""
        parts = Parts(Dataset(tmp_path / "d"), Rotation(rows=10))
        parts.write(batch_of(0, 3), told)
        parts.write(batch_of(3, 2, latency_ns=DAY_US * 1000), told)
        parts.write(batch_of(5, 3, latency_ns=None), told)
        parts.write(batch_of(8, 2, day=1), told)
        parts.close(FOOTER)
        host = tmp_path / "d/events/host=a%2Fb%3Dc"
        assert seqs(host / "date=2025-11-24/abc-0001.parquet") == [0, 1, 2]
        assert seqs(host / "date=2025-11-25/abc-0002.parquet") == [3, 4, 5, 6, 7, 8, 9]

    def test_given_up_without_a_part_it_leaves_no_folder_of_its_own(self, tmp_path):
        (tmp_path / "there").mkdir()
        for name in ("made", "there"):
            Parts(Dataset(tmp_path / name), Rotation()).abort()
        assert [path.name for path in tmp_path.iterdir()] == ["there"]

    def test_given_up_later_it_leaves_the_parts(self, tmp_path):
        parts = Parts(Dataset(tmp_path / "d"), Rotation(rows=10))
        parts.write(batch_of(0, 15), told)
        parts.abort()
        assert len(files_in(tmp_path)) == 1

    @pytest.mark.parametrize("name", ["events", "events/host=a%2Fb%3Dc", "events/host=a%2Fb%3Dc/date=1970-01-01"])
    def test_links_in_it_are_not_followed(self, name, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        link = tmp_path / "d" / name
        link.parent.mkdir(parents=True)
        link.symlink_to(elsewhere)
        names = Dataset(tmp_path / "d")
        with pytest.raises(OutputError, match="is a link"):
            names.path(1, "1970-01-01", FOOTER)
        assert list(elsewhere.iterdir()) == []

    @pytest.mark.parametrize("name", ["host=a%2Fb%3Dc", "date=1970-01-01"])
    def test_what_becomes_a_link_right_before_a_folder_is_made_in_it_is_not_followed(self, name, tmp_path, monkeypatch):
        (elsewhere := tmp_path / "elsewhere").mkdir()
        mkdir = os.mkdir

        def swap_and_make(path, *args, **options):
            if Path(path).name == name:
                outer = max((tmp_path / "d").rglob("*"))
                outer.rename(tmp_path / "aside")
                outer.symlink_to(elsewhere)
            mkdir(path, *args, **options)

        (tmp_path / "d").mkdir()
        monkeypatch.setattr(os, "mkdir", swap_and_make)
        Dataset(tmp_path / "d").path(1, "1970-01-01", FOOTER)
        assert list(elsewhere.iterdir()) == []

    @pytest.mark.parametrize("umask", [0, 0o777])
    def test_is_private_whatever_the_umask(self, umask, tmp_path):
        old = os.umask(umask)
        try:
            Parts(Dataset(tmp_path / "d"), Rotation()).close(FOOTER)
        finally:
            os.umask(old)
        folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
        assert len(folders) == 4
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}

    def test_after_a_crash_the_part_that_ran_is_recovered(self, tmp_path):
        parts = Parts(Dataset(tmp_path), Rotation(rows=20), durable=True)
        parts.write(batch_of(0, 20), partial(footer, 1))
        parts.write(batch_of(20, 5), partial(footer, 3))
        parts.sync(partial(footer, 3))
        parts.abort(keep=True)
        (left,) = find(tmp_path)
        assert recover(left).rows == 5
        with recording.open(tmp_path) as opened:
            assert opened.arrow().column("seq").to_pylist() == list(range(25))
            assert opened.loss == {"ring_full": 3, "undrained_bytes": None}
        assert all(name.endswith(".parquet") for name in files_in(tmp_path))


class TestNumbered:
    def test_after_a_crash_the_part_that_ran_is_found_by_the_name_they_are_made_of(self, tmp_path):
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=20), durable=True)
        for first in (0, 20):
            parts.write(batch_of(first, 20 - first // 2), told)
        parts.sync(told)
        parts.abort(keep=True)
        (left,) = find(tmp_path / "x.parquet")
        assert recover(left).output == tmp_path / "x-0002.parquet"

    @pytest.mark.parametrize("suffix", [".parquet", "." + "s" * 30, ""])
    def test_of_a_name_that_has_to_be_shortened_the_number_stays(self, suffix, tmp_path):
        path = tmp_path / ("x" * (244 - len(suffix)) + suffix)
        others = tmp_path / f".{'x' * 200}.0123456789abcdef.tmp"
        others.touch()
        parts = Parts(Numbered(path), Rotation(rows=20), durable=True)
        for first in (0, 20):
            parts.write(batch_of(first, 20 - first // 2), told)
        parts.sync(told)
        parts.abort(keep=True)
        (left,) = [left for left in find(path) if left.main != others]
        kept = suffix if len(suffix) < 20 else ""
        assert recover(left).output.name == "x" * (195 - len(kept)) + "-0002" + kept

    @pytest.mark.parametrize("ring_s", [None, 60.0])
    def test_a_name_without_room_for_a_number_is_refused_at_the_start(self, ring_s, tmp_path):
        rotation = Rotation() if ring_s else Rotation(rows=1)
        with pytest.raises(OutputError, match=r"too long for a recording in parts") as caught:
            open_recorder(tmp_path / ("x" * 240 + ".parquet"), rotation=rotation, ring_s=ring_s)
        assert caught.value.hint == "shorten it by 4 bytes"
        assert files_in(tmp_path) == []

    def test_parts_of_another_recording_are_refused(self, tmp_path):
        (tmp_path / "x-0007.parquet").write_text("precious")
        with pytest.raises(OutputError, match=r"x-0007\.parquet exists"):
            Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=1))

    def test_force_replaces_them_all(self, tmp_path):
        for name in ("x-0001.parquet", "x-0007.parquet", "x-1.parquet", "y-0001.parquet"):
            (tmp_path / name).write_text("old")
        parts = Parts(Numbered(tmp_path / "x.parquet"), Rotation(rows=10), force=True)
        parts.write(batch_of(0, 15), told)
        parts.close(FOOTER)
        assert files_in(tmp_path) == ["x-0001.parquet", "x-0002.parquet", "x-1.parquet", "y-0001.parquet"]
        assert seqs(tmp_path / "x-0002.parquet") == list(range(10, 15))


class TestOpening:
    def test_what_an_output_means(self, tmp_path):
        (tmp_path / "there").mkdir()
        for output, rotation, name in [
            (f"{tmp_path}/x.parquet", Rotation(), f"{tmp_path}/x.parquet"),
            (f"{tmp_path}/x.parquet", Rotation(rows=5), f"{tmp_path}/x-*.parquet (0 parts)"),
            (f"{tmp_path}/new/", Rotation(), f"{tmp_path}/new/ (0 parts)"),
            (f"{tmp_path}/there", Rotation(), f"{tmp_path}/there/ (0 parts)"),
        ]:
            recorder = open_recorder(output, rotation=rotation)
            assert str(recorder) == name
            recorder.abort()
        assert files_in(tmp_path) == []
