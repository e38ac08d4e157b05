"""`recover` on files that are cut while it reads them, or can't be read."""

from __future__ import annotations

import fcntl
import json
import os

import pytest
import test_crash_safety
from click.testing import CliRunner
from test_crash_safety import Scene, names, rows_in

from tracer.cli.recover import recover as recover_verb
from tracer.errors import DamagedFileError, UsageError
from tracer.repair import scan
from tracer.repair.recover import recover
from tracer.sinks import seal
from tracer.sinks.output_file import open_private
from tracer.temporary import Leftover, is_in_use

small_groups = test_crash_safety.small_groups


def test_marks_without_seals_are_read_once(tmp_path, monkeypatch):
    left = Leftover(tmp_path / ".a.parquet.0123456789abcdef.tmp")
    left.main.write_bytes(b"PAR1seal" * 10_000)
    read, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *what: read.append(len(found := pread(*what))) or found)
    with pytest.raises(DamagedFileError):
        recover(left)
    assert 80_000 < sum(read) < 5 * 80_000


@pytest.mark.parametrize("tail", [False, True])
def test_a_file_that_is_cut_meanwhile(tmp_path, monkeypatch, tail):
    scene = Scene(tmp_path)
    for rows in (64, 64, 5, 5):
        scene.write(rows, sync=True)
    left = scene.die()
    looked_at = scan.scan

    def cut(file):
        found = looked_at(file)
        os.truncate(left.tail if tail else left.main, 100)
        return found

    monkeypatch.setattr(scan, "scan", cut)
    found = recover(left)
    assert rows_in(scene.path) == (list(range(128)) if tail else list(range(128, 138)))
    assert found.unused_bytes > 0


@pytest.mark.parametrize("becomes", ["a.parquet", None])
def test_one_whose_recorder_gives_it_its_name_meanwhile(tmp_path, monkeypatch, becomes):
    """The recorder's lock was in the way until then; what we have got locked is no leftover any more."""
    scene = Scene(tmp_path)
    scene.write(20, sync=True)
    left = scene.die()
    flock = fcntl.flock

    def late(*what):
        flock(*what)
        if becomes and left.main.exists():
            left.main.rename(scene.path)
        left.main.unlink(missing_ok=True)
        left.tail.unlink(missing_ok=True)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UsageError, match="is not there any more"):
        recover(left)
    assert names(tmp_path) == ([becomes] if becomes else [])


def test_one_that_has_its_name_already_besides_the_other(tmp_path):
    """Its recorder was killed between the two."""
    scene = Scene(tmp_path)
    scene.write(20, sync=True)
    scene.file.finish({"schema_version": "2", "loss": "{}"})
    left = scene.die()
    os.link(left.main, scene.path)
    found = recover(left)
    assert found.is_complete
    assert found.is_cleared
    assert names(tmp_path) == [scene.path.name]
    assert rows_in(scene.path) == list(range(20))


def test_a_tail_that_is_cut_between_two_looks(tmp_path, monkeypatch):
    scene = Scene(tmp_path)
    for rows in (20, 5, 5):
        scene.write(rows, sync=True)
    left = scene.die()
    is_sealed = seal.seal_of

    def cut(piece):
        found = is_sealed(piece)
        os.truncate(left.tail, 100)
        return found

    monkeypatch.setattr(seal, "seal_of", cut)
    assert recover(left).rows == 20


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_what_can_not_be_read_is_no_damage(tmp_path, monkeypatch, number):
    scene = Scene(tmp_path)
    for rows in (20, 20, 5, 5):
        scene.write(rows, sync=True)
    left = scene.die()
    there, calls, pread = names(tmp_path), [], os.pread

    def fails(*what):
        calls.append(what)
        if len(calls) == number:
            raise OSError(5, "Input/output error")
        return pread(*what)

    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(DamagedFileError, match="can't be read: Input/output error"):
        recover(left)
    assert names(tmp_path) == there


class TestEmpty:
    """What a recorder leaves that is killed before it has written anything."""

    def left(self, folder, name="a.parquet"):
        left = Leftover(folder / f".{name}.0123456789abcdef.tmp")
        left.main.touch()
        return left

    @pytest.mark.parametrize("by", ["name", "folder", "temporary"])
    def test_is_removed_however_it_is_named(self, tmp_path, by):
        left = self.left(tmp_path)
        path = {"name": tmp_path / "a.parquet", "folder": tmp_path, "temporary": left.main}[by]
        ended = CliRunner().invoke(recover_verb, [str(path)])
        assert ended.exit_code == 0
        said = f"tracer-cli: {left.main} is empty: its recording ended before its first second was over; removed\n"
        assert ended.stderr == said
        assert names(tmp_path) == []

    def test_beside_others(self, tmp_path):
        self.left(tmp_path, "young.parquet")
        scene = Scene(tmp_path)
        scene.write(20, sync=True)
        scene.die()
        ended = CliRunner().invoke(recover_verb, [str(tmp_path), "--json"])
        assert ended.exit_code == 0
        said = json.loads(ended.stdout)
        assert [one["rows"] for one in said["recovered"]] == [20]
        assert [one["is_cleared"] for one in said["empty"]] == [True]
        assert names(tmp_path) == [scene.path.name]

    def test_stays_if_wanted(self, tmp_path):
        left = self.left(tmp_path)
        ended = CliRunner().invoke(recover_verb, [str(tmp_path), "--keep-temporary"])
        assert ended.exit_code == 0
        assert ended.stderr.endswith("; it can be removed if nobody is writing it\n")
        assert names(tmp_path) == [left.main.name]

    def test_stays_where_nobody_can_tell_who_writes(self, tmp_path, monkeypatch):
        def refused(*_):
            raise OSError(95, "Operation not supported")

        left = self.left(tmp_path)
        monkeypatch.setattr(fcntl, "flock", refused)
        assert CliRunner().invoke(recover_verb, [str(tmp_path)]).exit_code == 0
        assert names(tmp_path) == [left.main.name]

    def test_is_left_alone_while_somebody_writes_it(self, tmp_path):
        left = self.left(tmp_path)
        with open_private(tmp_path / ".b.parquet.0123456789abcdef.tmp"):
            left.main.unlink()
            ended = CliRunner().invoke(recover_verb, [str(tmp_path)])
            assert isinstance(ended.exception, UsageError)
            assert "nothing was left behind" in str(ended.exception)
            ended = CliRunner().invoke(recover_verb, [str(tmp_path / "b.parquet")])
            assert "still being written" in str(ended.exception)
        assert len(names(tmp_path)) == 1

    def test_one_that_was_removed_before_its_writer_had_the_lock_is_made_again(self, tmp_path, monkeypatch):
        path, flock, calls = tmp_path / ".a.parquet.0123456789abcdef.tmp", fcntl.flock, []

        def late(*what):
            calls.append(what)
            if len(calls) == 1:
                path.unlink()
            return flock(*what)

        monkeypatch.setattr(fcntl, "flock", late)
        with open_private(path):
            assert path.exists()
            assert is_in_use(path)

    def test_one_that_can_not_be_made_again_is_closed_once(self, tmp_path, monkeypatch):
        path, flock, close, closed = tmp_path / ".a.parquet.0123456789abcdef.tmp", fcntl.flock, os.close, []

        def late(*what):
            path.unlink()
            path.mkdir()  # in the way of the second try
            return flock(*what)

        def counted(descriptor):
            closed.append(descriptor)
            close(descriptor)

        monkeypatch.setattr(fcntl, "flock", late)
        monkeypatch.setattr(os, "close", counted)
        with pytest.raises(FileExistsError):
            open_private(path)
        assert len(closed) == 1
