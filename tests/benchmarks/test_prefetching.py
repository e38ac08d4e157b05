"""What is fetched ahead is in the machine code: a compiler may drop it, and nothing but the time would tell."""

from __future__ import annotations

import importlib
import re
import subprocess

import pytest
from conftest import TOP

ASKED = re.compile(r"\bprefetch(?:_to_write|_both_ends)?\(")
FOUND = re.compile(r"\t(?:prefetch|prfm)\w*\s")
"""On x86-64 and aarch64."""

SOURCES = {path.stem: path.read_text() for path in sorted((TOP / "tracer" / "_fast").glob("*.pyx"))}


def asked(source: str) -> int:
    """How many instructions the calls in a source mean."""
    return sum(2 if "both_ends" in call else 1 for call in ASKED.findall(source))


def test_that_something_is_fetched() -> None:
    assert {name for name, source in SOURCES.items() if asked(source)} >= {"ahead", "columns", "dictionary", "engine"}


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if asked(source)])
def test_that_the_compiler_keeps_it(name: str) -> None:
    library = importlib.import_module(f"tracer._fast.{name}").__file__
    assert library is not None
    code = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", library], capture_output=True, text=True, check=True
    ).stdout
    assert len(FOUND.findall(code)) >= asked(SOURCES[name])
