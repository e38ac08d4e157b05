"""The rooms of the package and who may use whom: data flows one way, and nothing upstream imports downstream."""

import ast
import re
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "tracer"

MAY_IMPORT: dict[str, set[str]] = {
    "tracer": {"errors", "pipeline", "recording", "schema"},
    "__main__": {"cli"},
    "syscalls": {"data"},
    "data": set(),
    "errors": set(),
    "selection": {"syscalls", "errors"},
    "_fast": set(),
    "rawformat": set(),
    "clock": set(),
    "losses": {"clock"},
    "temporary": set(),
    "folders": set(),
    "crashed": {"folders", "temporary"},
    "capture": {"syscalls", "errors", "_fast", "rawformat"},
    "schema": set(),
    "batch": {"schema", "_fast"},
    "sinks": {"schema", "errors", "rawformat", "temporary", "losses", "clock", "batch", "_fast"},
    "live": {"schema", "errors", "_fast"},
    "session": {"syscalls", "errors", "_fast", "capture", "clock", "losses", "sinks"},
    "pipeline": {"session", "errors", "selection", "capture", "batch", "schema", "sinks", "live", "losses"},
    "diagnosis": {"syscalls", "errors", "capture"},
    "recording": {"schema", "errors", "crashed", "folders", "losses", "temporary"},
    "repair": {"rawformat", "recording", "sinks", "schema", "errors", "folders", "losses", "temporary"},
    "reports": {"recording", "schema", "errors", "losses"},
    "tui": {"live", "reports", "schema"},
    "cli": {
        "errors",
        "selection",
        "pipeline",
        "reports",
        "tui",
        "recording",
        "crashed",
        "repair",
        "diagnosis",
        "losses",
        "clock",
        "temporary",
    },
}
"""Room -> the rooms it may import. A room is a module or a folder right under `tracer/`; itself goes without saying.

The table is the design's, but for what has grown since: `errors` for whoever answers to a user's words, `losses`
(what is missing, and how files tell it), `session` (where rows come from, which was part of the pipeline), `batch`
(columns to Arrow), sinks that take columns and make Arrow of them where they write, `temporary` (what files are called
while they are written), `folders` (looking through them), `crashed` (what is said of those that crashes have left),
`clock` (what `time_ns` counts) and `repair` (recordings that were not completed, or in too many pieces).
"""

STDLIB_ONLY = {"syscalls", "data", "errors", "selection", "clock", "losses", "temporary", "folders", "crashed"}
"""Rooms that stand on nothing but the standard library."""

CYTHON_IMPORT = re.compile(r"^[ \t]*(?:from|import|cimport)[ \t]+([\w.]+)(?:[ \t]+c?import[ \t]+(\w+))?", re.MULTILINE)


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """The room that a source file belongs to; `tracer` is the package's own front."""
    first = path.relative_to(package).parts[0].removesuffix(path.suffix)
    return "tracer" if first == "__init__" else first


def imported_modules(path: Path, package: Path = PACKAGE) -> set[str]:
    """Full names of all that a file imports anywhere in it, functions and `TYPE_CHECKING` blocks included."""
    if path.suffix in {".pyx", ".pxd"}:
        return {".".join(filter(None, found)) for found in CYTHON_IMPORT.findall(path.read_text())}
    parents = ["tracer", *path.relative_to(package).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) + 1 - node.level] if node.level else []
            names |= {".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return names


def imported_rooms(path: Path, package: Path = PACKAGE) -> set[str]:
    """The rooms of this package that a file imports."""
    found: set[str] = set()
    for name in imported_modules(path, package):
        top, _, rest = name.partition(".")
        if top == "tracer":
            room = rest.partition(".")[0]
            is_room = room and ((package / room).is_dir() or (package / f"{room}.py").is_file())
            found.add(room if is_room else "tracer")
    return found


SOURCES = sorted(path for suffix in ("py", "pyi", "pyx", "pxd") for path in PACKAGE.rglob(f"*.{suffix}"))


def test_the_walk_sees_every_kind_of_import(tmp_path: Path) -> None:
    for room in ("cli", "live", "errors", "schema", "capture"):
        (tmp_path / room).mkdir()
    python = tmp_path / "cli" / "verb.py"
    python.write_text("import numpy, tracer.errors\ndef f():\n    from ..live import x\nfrom tracer import schema\n")
    assert imported_rooms(python, tmp_path) == {"live", "errors", "schema"}
    assert "numpy" in imported_modules(python, tmp_path)
    cython = tmp_path / "live" / "hot.pyx"
    cython.write_text("cimport tracer.schema\nfrom tracer cimport errors\nfrom tracer.capture.x cimport (\n    y,\n)\n")
    assert imported_rooms(cython, tmp_path) == {"schema", "errors", "capture"}


def test_the_walk_sees_the_package() -> None:
    assert {"schema", "errors", "capture", "cli", "_fast"} <= {room_of(path) for path in SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(TOP)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} is a new room: give it its line in MAY_IMPORT"
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(TOP)))
def test_the_plain_rooms_need_only_the_standard_library(path: Path) -> None:
    if room_of(path) in STDLIB_ONLY:
        roots = {name.partition(".")[0] for name in imported_modules(path)}
        assert roots <= sys.stdlib_module_names | {"tracer"}


def test_no_two_rooms_import_each_other() -> None:
    def reachable(room: str, seen: set[str]) -> set[str]:
        for target in MAY_IMPORT[room] - seen:
            seen.add(target)
            reachable(target, seen)
        return seen

    assert [room for room in MAY_IMPORT if room in reachable(room, set())] == []
