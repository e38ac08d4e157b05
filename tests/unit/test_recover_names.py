"""What recordings are called that several crashes have left: all of them are there afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from test_crash_safety import FOOTER, batch_of, names, rows_in

from tracer.cli.recover import recover as verb
from tracer.errors import OutputError
from tracer.sinks.output_file import open_private
from tracer.sinks.parquet_file import ParquetFile
from tracer.temporary import Leftover, temporary_name


def crashed(path: Path, rows: int, *, session: str, age_s: int) -> Leftover:
    """What a recorder that was killed so long ago has left of a recording of that name."""
    file = ParquetFile(path, force=True, durable=True)
    file.write(batch_of(0, rows), lambda: FOOTER | {"session": session})
    file.sync(lambda: FOOTER | {"session": session})
    kept = file.abort(keep=True)
    assert kept is not None
    os.utime(kept, (10_000 - age_s, 10_000 - age_s))
    return Leftover(kept)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verb, [str(argument) for argument in arguments])


def session_in(path: Path) -> str:
    found: bytes = pq.read_metadata(path).metadata[b"tracer.session"]
    return found.decode()


@pytest.fixture(params=["name", "folder"])
def by(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """How the leftovers are named."""
    return lambda name: tmp_path if request.param == "folder" else tmp_path / name


@pytest.fixture(params=[[], ["--force"]], ids=["", "force"])
def force(request: pytest.FixtureRequest) -> list[str]:
    options: list[str] = request.param
    return options


class TestOfOneName:
    def test_each_gets_a_name_of_its_own(self, tmp_path, by, force):
        for age_s, rows in ((10, 30), (20, 20), (5, 40)):
            crashed(tmp_path / "a.parquet", rows, session=f"s{age_s}", age_s=age_s)
        ended = run(by("a.parquet"), *force)
        assert ended.exit_code == 0, ended.output
        assert names(tmp_path) == ["a-2.parquet", "a-3.parquet", "a.parquet"]
        assert [len(rows_in(tmp_path / name)) for name in names(tmp_path)] == [30, 40, 20], "the oldest first"
        said = [line for line in ended.stderr.splitlines() if "and so was another one" in line]
        assert said == [f"tracer-cli: it was to be {tmp_path}/a.parquet, and so was another one"] * 2

    def test_as_json(self, tmp_path):
        for age_s in (20, 10):
            crashed(tmp_path / "a.parquet", age_s, session=str(age_s), age_s=age_s)
        said = json.loads(run(tmp_path / "a.parquet", "--json", "--force").stdout)["recovered"]
        assert [(one["output"], one["rows"]) for one in said] == [
            (f"{tmp_path}/a.parquet", 20),
            (f"{tmp_path}/a-2.parquet", 10),
        ]

    def test_force_replaces_what_was_there_before_and_nothing_else(self, tmp_path, by):
        for name in ("a.parquet", "a-2.parquet"):
            (tmp_path / name).write_text("precious")
        for age_s in (20, 10):
            crashed(tmp_path / "a.parquet", age_s, session=str(age_s), age_s=age_s)
        assert run(by("a.parquet"), "--force").exit_code == 0
        assert names(tmp_path) == ["a-2.parquet", "a-3.parquet", "a.parquet"]
        assert (tmp_path / "a-2.parquet").read_text() == "precious"
        assert [len(rows_in(tmp_path / name)) for name in ("a.parquet", "a-3.parquet")] == [20, 10]

    def test_a_name_that_another_one_wished_for_is_left_to_it(self, tmp_path, force):
        for name, age_s in (("a.parquet", 30), ("a.parquet", 20), ("a-2.parquet", 10)):
            crashed(tmp_path / name, age_s, session=str(age_s), age_s=age_s)
        assert run(tmp_path, *force).exit_code == 0
        found = {name: len(rows_in(tmp_path / name)) for name in names(tmp_path)}
        assert found == {"a.parquet": 30, "a-3.parquet": 20, "a-2.parquet": 10}

    def test_those_of_which_nothing_comes_take_no_name(self, tmp_path):
        """One empty, one without anything whole, one that is being written: all older."""
        empty, hollow, held = (Leftover(tmp_path / temporary_name("a.parquet")) for _ in range(3))
        empty.main.touch()
        hollow.main.write_bytes(b"PAR1" + bytes(100))
        with open_private(held.main) as stream:
            stream.write(b"PAR1")
            stream.flush()
            for left in (empty, hollow, held):
                os.utime(left.main, (1, 1))
            crashed(tmp_path / "a.parquet", 20, session="s", age_s=10)
            run(tmp_path, "--force")
        assert rows_in(tmp_path / "a.parquet") == list(range(20))
        assert names(tmp_path) == sorted([hollow.main.name, held.main.name, "a.parquet"])

    def test_one_that_is_let_go_meanwhile_replaces_nothing(self, tmp_path, monkeypatch):
        """Nothing was to come of it, so it has no name of its own. The hint is not to replace the other."""
        for age_s in (20, 10):
            crashed(tmp_path / "a.parquet", age_s, session=str(age_s), age_s=age_s)
        monkeypatch.setattr("tracer.cli.recover.session_of", lambda _: None)
        ended = run(tmp_path / "a.parquet", "--force")
        assert isinstance(ended.exception, OutputError)
        (left,) = tmp_path.glob(".*.tmp")
        assert str(ended.exception) == f"{tmp_path}/a.parquet exists"
        assert ended.exception.hint == f"give it another name: `tracer-cli recover {left} -o OTHER`"
        assert rows_in(tmp_path / "a.parquet") == list(range(20))
        assert run(left, "-o", tmp_path / "OTHER").exit_code == 0
        assert rows_in(tmp_path / "OTHER") == list(range(10))

    def test_a_name_that_was_taken_before(self, tmp_path):
        """By what was recovered, perhaps: the hint is to give another name, for each."""
        (tmp_path / "a.parquet").write_text("precious")
        left = crashed(tmp_path / "a.parquet", 20, session="s", age_s=0)
        ended = run(tmp_path)
        assert isinstance(ended.exception, OutputError)
        assert ended.exception.hint == f"give it another name: `tracer-cli recover {left.main} -o OTHER`"
        assert (tmp_path / "a.parquet").read_text() == "precious"


class TestPartsAndSlices:
    @pytest.mark.parametrize("pattern", ["x-{:04}.parquet", "x-ring-{:04}.parquet"])
    def test_those_of_a_session_stay_together(self, tmp_path, by, force, pattern):
        """Only some of their names are alike; what was asked for in their place would be x-2.parquet."""
        for number in range(3, 6):
            crashed(tmp_path / pattern.format(number), number, session="old", age_s=100 - number)
        for number in range(1, 4):
            crashed(tmp_path / pattern.format(number), number, session="new", age_s=50 - number)
        assert run(by("x.parquet"), *force).exit_code == 0
        old = [pattern.format(number) for number in range(3, 6)]
        new = [pattern.format(number).replace("x-", "x-2-") for number in range(1, 4)]
        assert names(tmp_path) == sorted(old + new)
        assert {session_in(tmp_path / name) for name in old} == {"old"}
        assert {session_in(tmp_path / name) for name in new} == {"new"}
        assert [len(rows_in(tmp_path / name)) for name in new] == [1, 2, 3]

    def test_whose_names_are_not_alike_keep_them(self, tmp_path):
        for number, session in ((3, "old"), (1, "new")):
            crashed(tmp_path / f"x-000{number}.parquet", 5, session=session, age_s=number)
        assert run(tmp_path).exit_code == 0
        assert names(tmp_path) == ["x-0001.parquet", "x-0003.parquet"]

    def test_two_of_one_session_and_name(self, tmp_path, by, force):
        """A recording of the dashboard that failed, and the next one."""
        for age_s in (20, 10):
            crashed(tmp_path / "a.parquet", age_s, session="same", age_s=age_s)
        assert run(by("a.parquet"), *force).exit_code == 0
        assert [len(rows_in(tmp_path / name)) for name in ("a.parquet", "a-2.parquet")] == [20, 10]

    def test_that_do_not_tell_their_session(self, tmp_path, force):
        for age_s in (20, 10):
            crashed(tmp_path / "x-0001.parquet", age_s, session="", age_s=age_s)
        assert run(tmp_path, *force).exit_code == 0
        assert [len(rows_in(tmp_path / name)) for name in ("x-0001.parquet", "x-2-0001.parquet")] == [20, 10]

    def test_in_several_folders(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            crashed(tmp_path / name / "x.parquet", 5, session=name, age_s=1)
        assert run(tmp_path).exit_code == 0
        assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.parquet")) == [
            "a/x.parquet",
            "b/x.parquet",
        ]
