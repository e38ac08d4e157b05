"""Habits of this code base that no linter knows. Each test names every offender."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "bpf", "tests", "tracer")
SUFFIXES = {".c", ".h", ".ini", ".pxd", ".py", ".pyi", ".pyx", ".sh", ".toml"}
MOST_LINES = 600

DIRECTIVE = re.compile(r"^\s*#\s*(?:cython|distutils)\s*:")
PUT_OFF = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
SKIP = re.compile(r"(?:[.@]|\bimport )(?:skip|skipif|skipIf|skipUnless|skipTest|importorskip|xfail)\b")
"""Ways for a test to pass without having run. What a test needs is brought by `dev`."""

MAKES_ITS_ROWS_ONLY = "tests/unit/test_disk_faults.py"
"""Tests the sinks, hundreds of times over: compiled code makes the rows."""


def sources() -> Iterator[Path]:
    """Every hand-written source file; Cython's C beside its source is an older build's."""
    yield TOP / "dev"
    yield TOP / ".ci" / "run"
    yield from (path for path in TOP.iterdir() if path.suffix in SUFFIXES)
    for folder in FOLDERS:
        for path in (TOP / folder).rglob("*"):
            generated = path.suffix == ".c" and path.with_suffix(".pyx").is_file()
            if path.suffix in SUFFIXES and not generated:
                yield path


SOURCES = sorted(sources())
CYTHON = [path for path in SOURCES if path.suffix in {".pyx", ".pxd"}]
MODULES = [path for path in SOURCES if path.suffix == ".pyx"]
TESTS = [path for path in SOURCES if path.is_relative_to(TOP / "tests") and path != Path(__file__).resolve()]


def name_of(path: Path) -> str:
    return str(path.relative_to(TOP))


def lines_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {line}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_walk_sees_the_sources() -> None:
    assert {"setup.py", "bpf/events.h", "bpf/tracer.bpf.c", "tracer/schema.py"} <= {name_of(path) for path in SOURCES}
    assert MODULES
    assert TESTS


def test_directives_are_set_in_setup_py_alone() -> None:
    assert lines_with(DIRECTIVE, CYTHON) == []


def test_a_compiled_module_has_its_types_beside_it() -> None:
    assert [name_of(path) for path in MODULES if not path.with_suffix(".pyi").is_file()] == []


def test_nothing_is_put_off() -> None:
    assert lines_with(PUT_OFF, SOURCES) == []


def test_a_file_can_be_read_in_one_sitting() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_test_is_skipped() -> None:
    assert lines_with(SKIP, TESTS) == []


def test_all_tests_of_compiled_code_run_under_the_sanitizers() -> None:
    held = (TOP / "tox.ini").read_text().partition("\ncompiled =")[2].partition("\n\n")[0].split()
    using = [path for path in TESTS if path.name.startswith("test_") and "from tracer._fast" in path.read_text()]
    names = [name_of(path) for path in using if path.is_relative_to(TOP / "tests" / "unit")]
    assert names, "some are"
    assert [name for name in names if name not in held] == [MAKES_ITS_ROWS_ONLY]
