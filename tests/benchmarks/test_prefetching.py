"""What is fetched ahead is in the machine code: a compiler may drop it, and nothing but the time would tell."""

from __future__ import annotations

import importlib
import re
import subprocess

import pytest
from conftest import TOP

ASKED = re.compile(r"\bprefetch(?:_to_write)?\(")
FOUND = re.compile(r"\t(?:prefetch|prfm)\w*\s")
"""On x86-64 and aarch64."""

SOURCES = {path.stem: path.read_text() for path in sorted((TOP / "tracer" / "_fast").glob("*.pyx"))}


def test_that_something_is_fetched() -> None:
    assert {name for name, source in SOURCES.items() if ASKED.search(source)} >= {"ahead", "columns", "engine"}


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if ASKED.search(source)])
def test_that_the_compiler_keeps_it(name: str) -> None:
    library = importlib.import_module(f"tracer._fast.{name}").__file__
    assert library is not None
    code = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", library], capture_output=True, text=True, check=True
    ).stdout
    assert len(FOUND.findall(code)) >= len(ASKED.findall(SOURCES[name]))
