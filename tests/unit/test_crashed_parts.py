"""A folder of recordings in which a crash has left parts that are not complete: readers say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_crash_safety import Scene
from test_recording import write_recording

from tracer import crashed, recording
from tracer.cli.compact import compact
from tracer.cli.recover import recover
from tracer.cli.summary import summary
from tracer.crashed import crashed_in
from tracer.errors import UsageError
from tracer.sinks.output_file import open_private
from tracer.temporary import temporary_name

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a recording of a session that came to its end."""
    made = tmp_path / "d r"
    write_recording(made / "events" / "date=1" / "whole.parquet", [{}, {}], loss="{}")
    return made


@pytest.fixture(params=["summary", "compact"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a verb on a folder; it ends well."""

    def run(folder: Path) -> Result:
        if request.param == "summary":
            ended = CliRunner().invoke(summary, [str(folder)], catch_exceptions=False)
        else:
            output = ["-q", "-o", str(tmp_path / "one.parquet"), "--force"]
            ended = CliRunner().invoke(compact, [str(folder), *output], catch_exceptions=False)
        assert ended.exit_code == 0
        return ended

    return run


def begun(folder: Path) -> Scene:
    folder.mkdir(parents=True, exist_ok=True)
    scene = Scene(folder)
    scene.write(20, sync=True)
    return scene


def test_the_hint_where_nothing_else_is_there(tmp_path):
    scene = begun(tmp_path / "events" / "date=1")
    with pytest.raises(UsageError, match="no recording in") as caught:
        recording.open(tmp_path)
    assert caught.value.hint == "it is still being written: end the recording, which completes it"
    scene.die()
    with pytest.raises(UsageError, match="no recording in") as caught:
        recording.open(tmp_path)
    assert caught.value.hint == f"a crash left some of it: `tracer-cli recover {tmp_path}`"
    assert CliRunner().invoke(recover, [str(tmp_path)]).exit_code == 0
    with recording.open(tmp_path) as opened:
        assert opened.rows == 20


def test_a_line_about_what_is_not_included(folder, read):
    assert read(folder).stderr == ""
    scene = begun(folder / "events" / "date=2")
    assert read(folder).stderr == "", "it is still being written"
    scene.die()
    said = f"1 part that a crash left is not included: `tracer-cli recover '{folder}'`"
    assert read(folder).stderr == f"tracer-cli: {said}\n"
    begun(folder / "events" / "date=3").die()
    assert "2 parts that crashes left are not included" in read(folder).stderr
    assert CliRunner().invoke(recover, [str(folder)]).exit_code == 0
    assert "not included" not in read(folder).stderr


def test_json_stays_as_it_is(folder):
    def document() -> str:
        return CliRunner().invoke(summary, [str(folder), "--json"]).stdout

    before = document()
    begun(folder).die()
    assert document() == before
    assert json.loads(before)["totals"]["calls"] == 2


def test_a_file_is_no_folder(folder):
    begun(folder).die()
    path = folder / "events" / "date=1" / "whole.parquet"
    assert CliRunner().invoke(summary, [str(path)]).stderr == ""


def test_what_would_be_no_part(folder):
    """A raw stream's, one in a hidden folder: neither does `recover` make anything of the first, nor are parts looked
    for in the second."""
    for path in (folder / "a.raw", folder / ".hidden" / "a.parquet"):
        path.parent.mkdir(exist_ok=True)
        (path.parent / temporary_name(path.name)).write_bytes(b"PAR1")
    assert crashed_in(folder) == []


def test_one_that_gets_its_name_while_it_is_looked_at(folder, monkeypatch):
    temporary = folder / temporary_name("b.parquet")

    def late(_: Path) -> bool:
        temporary.rename(folder / "b.parquet")
        return False

    with open_private(temporary):
        monkeypatch.setattr(crashed, "is_in_use", late)
        assert crashed_in(folder) == []
