"""Folders that are looked through, however deep, and those that can't be read."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_crash_safety import Scene
from test_recording import write_recording

from tracer import recording
from tracer.cli.recover import recover
from tracer.errors import UsageError
from tracer.folders import walk
from tracer.repair.recover import find

LEVELS = 1500
"""More than Python lets a function call itself; as a path no longer than the system takes, for names of one letter."""


def make_levels(top: Path, name: str, levels: int) -> None:
    """Folders in each other under `top`: too many for a path to name at once."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; what is in it is removed, which pytest can't for so many levels."""
    folder = tmp_path / "t"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def test_a_recording_that_is_deep_down(top: Path) -> None:
    make_levels(top, "d", LEVELS)
    write_recording(top / "/".join("d" * LEVELS) / "a.parquet", [{}])
    with recording.open(top) as opened:
        assert opened.rows == 1


def test_a_leftover_that_is_deep_down(top: Path) -> None:
    make_levels(top, "d", LEVELS)
    scene = Scene(top / "/".join("d" * LEVELS))
    scene.write(20, sync=True)
    assert find(top) == [scene.die()]


def test_parts_in_a_folder_that_can_not_be_read_are_not_left_out_silently(top: Path) -> None:
    write_recording(top / "a.parquet", [{}])
    make_levels(top, "n" * 255, 20)  # longer than a path may be: the superuser can't read that either
    with pytest.raises(UsageError, match=rf"^{top}/n{{255}}/.*n can't be searched: File name too long$"):
        recording.open(top)


def test_leftovers_beside_a_folder_that_can_not_be_read_are_found(top: Path) -> None:
    make_levels(top, "n" * 255, 20)
    scene = Scene(top)
    scene.write(20, sync=True)
    assert find(top) == [scene.die()]
    ended = CliRunner().invoke(recover, [str(top)])
    assert re.fullmatch(
        rf"tracer-cli: warning: {top}/n{{255}}/.*n can't be searched: File name too long\n"
        rf"tracer-cli: 20 rows over .* s recovered .*; {scene.path}\ntracer-cli: the last seconds .*\n",
        ended.output,
    )


def test_links_and_hidden_folders(top: Path) -> None:
    for name in ("a/b", ".hidden/c"):
        (top / name).mkdir(parents=True)
        (top / name / "file").touch()
    (top / "loop").symlink_to(top)
    (top / "self").symlink_to("self")
    everything = {".": ["loop", "self"], "a": [], "a/b": ["file"], ".hidden": [], ".hidden/c": ["file"]}
    assert {str(folder): sorted(files) for folder, files in walk(top)} == everything
    seen = {name: everything[name] for name in (".", "a", "a/b")}
    assert {str(folder): sorted(files) for folder, files in walk(top, hidden=False)} == seen


def test_what_is_removed_meanwhile_is_passed_over(top: Path) -> None:
    for name in ("a", "b"):
        (top / name).mkdir()
    refused: list[OSError] = []
    folders = walk(top, refused=refused.append)
    assert next(folders) == (Path(), [])
    for name in ("a", "b"):
        (top / name).rmdir()
    assert (list(folders), refused) == ([], [])


def test_an_empty_name_is_not_the_working_directory(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(top / "a.parquet", [{}])
    monkeypatch.chdir(top)
    with pytest.raises(UsageError, match="no such recording: its name is empty"):
        recording.open("")
