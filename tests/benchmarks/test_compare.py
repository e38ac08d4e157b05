"""Two results that measure different things under one name are not held against each other without a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench_live import benchmark
from compare import apart
from conftest import TOP
from pyperf import BenchmarkSuite

NOTES = {
    "commit": "1234567",
    "machine": "one",
    "kernel": "6.1",
    "python": "3.11.2",
    "timer_covers": "events in",
    "pairs_per_operation": 2000,
}
NAMES = ("loop/a", "loop/b", "file")


def saved(path: Path, *names: str, but: tuple[str, ...] = (), **notes: Any) -> str:
    """A file of benchmarks that tell `NOTES`, and these, too, if they are not among `but`."""
    found = [benchmark(name, [1e-6], [NOTES | ({} if name in but else notes)]) for name in names]
    BenchmarkSuite(found).dump(str(path))
    return str(path)


def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOP / "benchmarks" / "compare.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def head(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What comes before pyperf's words, without the two lines that tell what the files were made with."""
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\n\n")[0].splitlines()[2:]


def test_like_is_compared_with_like(tmp_path: Path) -> None:
    assert head(compare(saved(tmp_path / "a.json", *NAMES), saved(tmp_path / "b.json", *NAMES))) == []


@pytest.mark.parametrize(
    ("notes", "line"),
    [
        ({"pairs_per_operation": 777}, "not the same operation (pairs_per_operation: 2000, 777)"),
        (
            {"pairs_per_operation": 777, "timer_covers": "nothing"},
            "not the same operation (timer_covers: events in, nothing; pairs_per_operation: 2000, 777)",
        ),
    ],
)
def test_what_is_not_the_same_operation(tmp_path: Path, notes: dict[str, Any], line: str) -> None:
    after = saved(tmp_path / "b.json", *NAMES, but=("file",), **notes)
    assert head(compare(saved(tmp_path / "a.json", *NAMES), after)) == [f"loop/a; loop/b: {line}"]


@pytest.mark.parametrize(
    ("key", "old", "new", "wrong"),
    [
        ("distinct_paths_per_operation", 10, 100, "not the same operation"),
        ("threads", 1, 4, "not the same operation"),
        ("paced_seconds", 0.2, 1.0, "not a load of the same length"),
        ("allocations_counted", "all threads", "calling thread", "allocations are not counted alike"),
    ],
)
def test_what_else_makes_a_difference(tmp_path: Path, key: str, old: object, new: object, wrong: str) -> None:
    files = saved(tmp_path / "a.json", "file", **{key: old}), saved(tmp_path / "b.json", "file", **{key: new})
    assert head(compare(*files)) == [f"file: {wrong} ({key}: {old}, {new})"]


def test_what_one_file_does_not_tell_is_no_difference(tmp_path: Path) -> None:
    assert head(compare(saved(tmp_path / "a.json", "file"), saved(tmp_path / "b.json", "file", threads=4))) == []


def test_what_they_were_made_with(tmp_path: Path) -> None:
    after = saved(tmp_path / "b.json", "file", machine="other", python="3.12.1")
    (line,) = head(compare(saved(tmp_path / "a.json", "file"), after))
    assert line == "not made with the same machine: one, other; python: 3.11.2, 3.12.1"


def test_long_texts_are_shown_where_they_differ() -> None:
    same = "raw events in: pairing, names, columns, batches queued for the recorder's thread "
    assert apart(f"{same}where 3 are", f"{same}where 6 are, and so on and on until nobody reads it") == [
        '"...rder\'s thread where 3 are"',
        '"...rder\'s thread where 6 are, and so on and on until nobody rea..."',
    ]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (1, [], "two files are compared, A.json B.json, not 1"),
        (3, [], "two files are compared, A.json B.json, not 3"),
        (2, ["--bogus"], "unrecognized arguments: --bogus"),
        (2, ["--min-speed", "x"], "invalid float value: 'x'"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(tmp_path: Path, files: int, options: list[str], said: str) -> None:
    done = compare(*[saved(tmp_path / f"{number}.json", "file") for number in range(files)], *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_only_a_benchmark_that_is_named(tmp_path: Path) -> None:
    notes = {"pairs_per_operation": 777, "lost": 1}
    files = saved(tmp_path / "a.json", *NAMES, lost=1), saved(tmp_path / "b.json", *NAMES, **notes)
    done = compare(*files, "-b", "file", "-G", "--table-format", "md")
    assert head(done) == ["file: not the same operation (pairs_per_operation: 2000, 777)"]
    assert "loop/" not in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["file", "calls", "lost", "1", "1", "1.00"]
