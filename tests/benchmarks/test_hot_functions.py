"""What runs for every event compiles to C that never calls Python: Cython's own annotation says so, line by line.

Functions that are inline in a .pxd have no annotation of their own; they are `noexcept nogil`, which lets Cython refuse
whatever would need Python, but for what takes the GIL by itself: that is looked for.
"""

from __future__ import annotations

import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from conftest import TOP
from Cython.Build import cythonize
from setuptools import Extension

SOURCES = sorted((TOP / "tracer" / "_fast").glob("*.pyx"))
HEADERS = sorted((TOP / "tracer" / "_fast").glob("*.pxd"))
HOT = {
    "ring": {"copy_records"},
    "ahead": {"fetch_ahead", "entry_of", "used_descriptor"},
    "engine": {"run"},
    "records": {"take_other"},
    "pairer": {"on_enter", "on_exit", "end_call", "get_thread", "process_of"},
    "names": {"bind", "name_files", "name_late", "name_paths", "set_path", "meant_file"},
    "effects": {"apply_effect"},
    "fdcache": {"find_process", "look_up", "bind"},
    "replacing": {"begin_replacing", "end_replacing", "drop_doubtful_names", "is_in_doubt"},
    "columns": {"append", "fetch_lines", "fill_result", "fill_file", "fill_numbers"},
    "dictionary": {"add_text", "fetch_ends", "grow_data", "grow_table"},
    "utf8": {"keep_utf8", "write_utf8"},
    "arrow": {"compute", "describe_column"},
    "paths": {"fold", "fold_path", "spell_special"},
    "procfs": {"ask_name", "ask_comm", "is_gone", "fill_header", "add_record"},
    "statistics": {"add_rows", "add_chunk", "add_gap", "add_time", "find_syscall", "find_directory", "find_place"},
    "groups": {"keep_best_half", "fold", "index_keys", "move_window", "compact"},
    "sketch": {"widen", "add_slowly", "add_sparsely", "add_listed", "list_bins", "merge"},
    "rowring": {"add", "copy_rows"},
    "trie": {"add_rows", "step", "make_step", "go", "named_child", "add", "add_to_directory", "add_to_tree", "walk"},
    "tree": {"compact", "keep_heavy", "sum_up"},
}
"""By module, functions that must be among those that are looked at."""

INLINE = {
    "batch": {"bit", "bit_place", "mark"},
    "calls": {"argument", "descriptor_argument", "is_errno"},
    "columns": {"fill_text", "is_full"},
    "dictionary": {"hash_bytes", "encode", "keep_text"},
    "fdcache": {"get_process", "entry"},
    "groups": {"add_call", "add_counts", "add_key", "find_key", "group_of"},
    "intmap": {"find", "insert", "take"},
    "names": {"may_be_named_late"},
    "pairer": {"step"},
    "paths": {"cut_path", "is_folded", "join_path", "spell_components", "spell_name"},
    "records": {"take_apart", "take_sections", "take_paths", "take_name"},
    "sketch": {"bin_of", "add_to_bin"},
    "text": {"new_text", "replace", "drop"},
    "tree": {"child", "new_node", "place"},
    "values": {"requested_bytes", "moved_bytes", "file_offset", "duration_ns"},
}
"""The same of headers."""

TAKES_THE_GIL = re.compile(r"\bwith\s+gil\b|\braise\b|\bassert\b")

LINE = re.compile(r'<pre class="cython line score-(\d+)"[^>]*>\+?<span class="">(\d+)</span>')


def directives() -> dict[str, object]:
    """The compiler's directives, as setup.py has them for a release."""
    before = Path.cwd()
    os.chdir(TOP)
    try:
        with mock.patch("setuptools.setup"), mock.patch("Cython.Build.cythonize"):
            found: dict[str, object] = runpy.run_path("setup.py")["DIRECTIVES"]
    finally:
        os.chdir(before)
    return found


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, int]]:
    """By module and line: how much Python Cython sees in it. 0: none."""
    folder = tmp_path_factory.mktemp("annotated")
    modules = [Extension(f"tracer._fast.{path.stem}", [str(path)], include_dirs=[str(TOP / "bpf")]) for path in SOURCES]
    before = Path.cwd()
    os.chdir(TOP)
    try:
        cythonize(
            modules, annotate=True, force=True, quiet=True, build_dir=str(folder), compiler_directives=directives(),
            include_path=[str(TOP)],
        )  # fmt: skip
    finally:
        os.chdir(before)
    pages = {path.stem: path.read_text() for path in folder.rglob("*.html")}
    return {name: {int(line): int(score) for score, line in LINE.findall(page)} for name, page in pages.items()}


def functions(source: str) -> Iterator[tuple[str, range]]:
    """The functions without the GIL: name, and the lines of the body."""
    lines = source.splitlines()
    at = 0
    while at < len(lines):
        start, head = at, lines[at]
        at += 1
        found = re.match(r"( *)cdef (?:inline )?[^=]*?(\w+)\(", head)
        if found is None:
            continue
        while not head.rstrip().endswith(":") and at < len(lines) and head.count("(") > head.count(")"):
            head += lines[at]
            at += 1
        if not re.search(r"\bnogil\s*:", head):
            continue
        indent = len(found[1])
        end = at
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
            end += 1
        yield found[2], range(at + 1, end + 1)
        assert end > start
        at = end


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_functions_without_the_gil_are_plain_c(path: Path, scores: dict[str, dict[int, int]]) -> None:
    source = path.read_text()
    found = dict(functions(source))
    assert set(found) >= HOT.get(path.stem, set())
    lines = source.splitlines()
    with_python = [
        f"{path.name}:{line}: score {scores[path.stem][line]}: {lines[line - 1].strip()}"
        for body in found.values()
        for line in body
        if scores[path.stem].get(line, 0) > 0
    ]
    assert with_python == []


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.stem)
def test_inline_functions_are_plain_c(path: Path) -> None:
    assert problems(path.read_text()) == []
    assert {name for name, _ in functions(path.read_text())} >= INLINE.get(path.stem, set())


def problems(header: str) -> list[str]:
    """What in a header's inline functions is not, or may not be, plain C."""
    lines = [line.partition("#")[0] for line in header.splitlines()]
    inline = sum("inline" in line.split() for line in lines)
    plain = len(re.findall(r"\bnoexcept\s+nogil\s*:", "\n".join(lines)))
    uncertain = [] if inline == plain else [f"{inline} inline, {plain} noexcept nogil"]
    return uncertain + [line.strip() for line in lines if TAKES_THE_GIL.search(line)]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("cdef inline int f() noexcept nogil:", "    with gil: object()"),
        ("cdef inline int f() noexcept nogil:", "    with  gil:\n        object()"),
        ("cdef inline int f() noexcept nogil:", "    raise ValueError"),
        ("cdef inline int f() noexcept nogil: assert 1", ""),
        ("cdef inline int f() nogil:", "    return 1"),
        ("cdef inline int f() except -1 nogil:", "    return 1"),
        ("cdef inline int f(int a,\n                  int b) noexcept:", "    return 1"),
    ],
)
def test_inline_functions_that_may_need_python_are_noticed(head: str, body: str) -> None:
    good = "cdef inline int g(int a) noexcept nogil:\n    return a  # with gil\n\n\n"
    assert problems(good) == []
    assert problems(f"{good}{head}\n{body}\n") != []


def test_scores_are_read(scores: dict[str, dict[int, int]]) -> None:
    assert set(scores) == {path.stem for path in SOURCES}
    assert all(max(lines.values()) > 0 for lines in scores.values())  # every module has lines with Python
    assert all(len(lines) > 5 for lines in scores.values())


FUNCTIONS = """\
cdef int f(int a) noexcept nogil:
    return a

cdef g(b):
    return b

cdef class C:
    cdef void h(self,
                int a) noexcept nogil:
        pass

        pass
    def x(self):
        pass
"""


def test_functions_are_found() -> None:
    assert dict(functions(FUNCTIONS)) == {"f": range(2, 4), "h": range(10, 13)}
