"""Known bugs of syscall tracers that no other example covers, and that each entry of the list in README.md is held by
a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from scene import PID, Scene
from wire import NAME_DELETED, PATH_OK, Paths, TaskExit

TESTS = Path(__file__).resolve().parents[1]
ENTRY = re.compile(r"^\| (B\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)`")
REASON = "does not apply: "
ENTRIES = 146
O_CLOEXEC = 0x80000


@pytest.fixture
def scene() -> Scene:
    return Scene()


def entries() -> list[tuple[str, str, str]]:
    return ENTRY.findall((TESTS / "README.md").read_text())


def names_of_tests(path: Path) -> set[str]:
    """The tests of a file, those of a class with its name before them."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return {name for name in names if name.rpartition("::")[2].startswith("test_")}


def test_each_entry_is_there_once_and_says_what_it_is() -> None:
    assert [name for name, _, _ in entries()] == [f"B{n}" for n in range(1, ENTRIES + 1)]
    assert [name for name, what, held in entries() if not what.strip() or not held.strip()] == []


def test_an_entry_names_tests_that_exist_or_a_reason() -> None:
    known = {path.relative_to(TESTS).as_posix(): names_of_tests(path) for path in TESTS.rglob("test_*.py")}
    missing = [
        (name, file, test)
        for name, _, held in entries()
        for file, test in NAMED.findall(held)
        if test not in known.get(file, set())
    ]
    assert missing == []
    assert [name for name, _, held in entries() if not NAMED.search(held) and not held.startswith(REASON)] == []


@pytest.mark.parametrize("name", ["seccomp", "init_module", "delete_module"])
def test_a_call_shows_what_it_returned(scene: Scene, name: str) -> None:
    row = scene.call(name, 1, 0, 0, ret=-22)
    assert (row["ret"], row["error"]) == (-22, "EINVAL")
    assert scene.call(name, 1, 0, 0, ret=7)["ret"] == 7


def test_a_process_that_ends_twice_has_ended(scene: Scene) -> None:
    scene.open(b"/one", 3)
    scene.feed(TaskExit(group_dead=True, **scene.head()))
    scene.feed(TaskExit(group_dead=True, **scene.head()))
    assert scene.file(3) is None
    assert not any(scene.reference.counters.values())


@pytest.mark.parametrize(("flags", "survives"), [(1, True), (O_CLOEXEC | 1, False)])
def test_open_trees_flags_are_its_own(scene: Scene, flags: int, survives: bool) -> None:
    """Bit 0 asks for a clone; to open it would mean writing alone."""
    row = scene.call("open_tree", -100, 0, flags, path=b"/tree", ret=3)
    assert (row["flags"], row["fd"]) == (flags, 3)
    scene.exec()
    assert (scene.file(3) is not None) is survives


def test_kcmps_numbers_are_no_descriptors_of_the_caller(scene: Scene) -> None:
    scene.open(b"/three", 3)
    row = scene.call("kcmp", PID, 200, 0, 3, 3)
    assert (row["fd"], row["file"]) == (None, None)


def test_a_cut_in_a_character_keeps_its_bytes(scene: Scene) -> None:
    """4,095 bytes are kept: a slash, 4,093 letters and the first of the two bytes of an e with an accent."""
    row = scene.call("newstat", 0, 0, path=b"/" + b"x" * 4093 + "é".encode())
    assert row["file"] == "/" + "x" * 4093 + "\\xc3"


def test_a_path_that_is_too_long_behind_its_directory_stays_as_it_is(scene: Scene) -> None:
    """Cut it would be the name of a directory on the way, and the same for all that is in there."""
    scene.cwd(b"/" + b"d" * 4000)
    fits = scene.call("newstat", 0, 0, path=b"x" * 93)
    assert fits["file"] == "/" + "d" * 4000 + "/" + "x" * 93
    too_long = scene.call("rename", 0, 0, path=Paths(b"x" * 94, b"./y" * 40, PATH_OK, PATH_OK))
    assert (too_long["old_file"], too_long["file"]) == ("x" * 94, "./y" * 40)
    assert scene.call("newstat", 0, 0, path=b"../" + b"x" * 94)["file"] == "/" + "x" * 94
    scene.cwd(b"/" + b"d" * 4090, status=NAME_DELETED)
    assert scene.call("newstat", 0, 0, path=b"../x")["file"] == "../x"


def test_a_name_that_spells_a_byte_is_told_from_that_byte(scene: Scene) -> None:
    """Every name has a text of its own: escapes that are in names anyway (systemd's) stay as they are."""
    names = [b"/\xff", b"/\\xff", b"/\\x5cxff", b"/a\\x2db", b"/\\xFF", b"/\\xf"]
    files = [scene.call("newstat", 0, 0, path=name)["file"] for name in names]
    assert files == ["/\\xff", "/\\x5cxff", "/\\x5cx5cxff", "/a\\x2db", "/\\xFF", "/\\xf"]
