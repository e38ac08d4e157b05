"""How `recover` ends: what had nothing safe in it is no failure beside what came back, and damage always is one."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
import test_crash_safety
from click.testing import CliRunner, Result
from test_crash_safety import Scene, names, rows_in

from tracer.cli.recover import recover as verb
from tracer.errors import DamagedFileError
from tracer.repair.recover import NothingSafe
from tracer.temporary import Leftover

small_groups = test_crash_safety.small_groups


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verb, [str(argument) for argument in arguments])


def left_in(folder: Path, *batches: int, sync: bool = True) -> Leftover:
    folder.mkdir(exist_ok=True)
    scene = Scene(folder)
    for rows in batches:
        scene.write(rows, sync=sync)
    return scene.die()


def young(folder: Path) -> Leftover:
    """What was killed with a row group in its file, before it was made safe."""
    left = left_in(folder, 20, sync=False)
    assert left.main.stat().st_size > 1000
    return left


def cut_in_its_tail(folder: Path) -> Leftover:
    """What was killed as its first few rows were written."""
    left = left_in(folder, 5)
    os.truncate(left.tail, left.tail.stat().st_size - 1)
    return left


@pytest.mark.parametrize("make", [young, cut_in_its_tail])
class TestNothingSafe:
    def test_beside_others_is_said_in_a_line(self, tmp_path, make):
        left = make(tmp_path / "z")
        there = left.main.read_bytes()
        left_in(tmp_path / "a", 20)
        ended = run(tmp_path)
        assert ended.exit_code == 0
        assert ended.stderr.splitlines()[-1] == (
            f"tracer-cli: nothing in {left.main} can be recovered: it holds no complete segment; its first second was "
            f"not over, it can be removed"
        )
        assert rows_in(tmp_path / "a" / "a.parquet") == list(range(20))
        assert left.main.read_bytes() == there

    def test_as_json(self, tmp_path, make):
        left = make(tmp_path / "z")
        left_in(tmp_path / "a", 20)
        ended = run(tmp_path, "--json")
        assert (ended.exit_code, ended.stderr) == (0, "")
        said = json.loads(ended.stdout)
        assert [one["rows"] for one in said["recovered"]] == [20]
        assert said["not_safe"] == [{"temporary": str(left.main)}]

    def test_alone_is_an_error(self, tmp_path, make):
        left = make(tmp_path / "z")
        there = names(tmp_path / "z")
        ended = run(tmp_path)
        assert isinstance(ended.exception, NothingSafe)
        assert ended.exception.exit_code == 2
        assert str(ended.exception).startswith(f"nothing in {left.main} can be recovered")
        assert names(tmp_path / "z") == there

    def test_where_nobody_can_tell_who_writes_is_an_error(self, tmp_path, monkeypatch, make):
        def refused(*_):
            raise OSError(95, "Operation not supported")

        make(tmp_path / "z")
        left_in(tmp_path / "a", 20)
        monkeypatch.setattr(fcntl, "flock", refused)
        ended = run(tmp_path)
        assert isinstance(ended.exception, DamagedFileError)
        assert rows_in(tmp_path / "a" / "a.parquet") == list(range(20))


@pytest.mark.parametrize("rows", [20, 5], ids=["segment", "tail"])
def test_damage_of_all_that_was_safe_is_an_error(tmp_path, rows):
    left = left_in(tmp_path / "z", rows)
    path = left.tail if rows < 16 else left.main
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    left_in(tmp_path / "a", 20)
    ended = run(tmp_path)
    assert isinstance(ended.exception, DamagedFileError)
    assert str(ended.exception) == (
        f"nothing in {left.main} can be recovered: what is in it is damaged, or no recording"
    )
    assert path.exists()
    assert rows_in(tmp_path / "a" / "a.parquet") == list(range(20))


def test_another_failure_stays_one(tmp_path):
    young(tmp_path / "z")
    left_in(tmp_path / "a", 20)
    left_in(tmp_path / "b", 20)
    (tmp_path / "b" / "a.parquet").write_text("precious")
    ended = run(tmp_path)
    assert ended.exit_code != 0
    assert "exists" in str(ended.exception)
    assert "it can be removed" in ended.stderr
