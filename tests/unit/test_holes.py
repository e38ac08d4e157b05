"""What a crash left of a recording some of whose first bytes never reached the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from test_crash_safety import Scene, names, rows_in, small_groups  # noqa: F401 - a fixture

from tracer.cli.recover import recover as verb
from tracer.errors import UsageError
from tracer.repair.recover import find, recover
from tracer.temporary import Leftover


def left_in(folder: Path, *, first_bytes: int) -> Leftover:
    """Three segments of 20 rows, whose file begins with so many zeros."""
    scene = Scene(folder)
    for _ in range(3):
        scene.write(20, sync=True)
    left = scene.die()
    with left.main.open("r+b") as file:
        file.write(bytes(first_bytes))
    return left


@pytest.mark.parametrize("first_bytes", [4, 4096])
def test_is_found_in_its_folder(tmp_path: Path, first_bytes: int) -> None:
    left = left_in(tmp_path, first_bytes=first_bytes)
    assert find(tmp_path) == [left]
    found = recover(left)
    assert rows_in(tmp_path / "a.parquet") == list(range(20, 60))
    assert found.hole_bytes == found.unused_bytes >= first_bytes


def test_it_is_said_that_earlier_rows_are_missing(tmp_path: Path) -> None:
    left_in(tmp_path, first_bytes=4)
    ended = CliRunner().invoke(verb, [str(tmp_path)])
    assert ended.exit_code == 0
    assert "the last seconds before the crash are missing, and so are rows before that; " in ended.stderr
    assert names(tmp_path) == ["a.parquet"]


def test_what_is_missing_at_the_end_is_no_hole(tmp_path: Path) -> None:
    left = left_in(tmp_path, first_bytes=0)
    with left.main.open("ab") as file:
        file.write(bytes(1000))
    found = recover(left)
    assert (found.rows, found.unused_bytes, found.hole_bytes) == (60, 1000, 0)


def test_a_file_of_such_a_name_without_segments_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / ".other.0123456789abcdef.tmp").write_bytes(bytes(5000))
    with pytest.raises(UsageError, match="nothing was left behind"):
        find(tmp_path)
