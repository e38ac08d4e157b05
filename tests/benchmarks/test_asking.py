"""How often the measured operations ask /proc: as often as their descriptions say, and never in steady state.

strace counts the calls themselves, so that it doesn't matter which part of the program makes them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TOP
from proc import FDS

OPERATIONS = 5
QUESTIONS = "%file"
"""All calls that take a path."""

PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bench_pipeline import CASES

def mark(name):
    os.access(f"/mark/{name}", os.F_OK)

operation = CASES[sys.argv[2]].make(Path(sys.argv[3]))
for _ in range(int(sys.argv[4])):
    operation.prepare()
    mark("begin")
    operation.run()
    mark("end")
    operation.finish()
"""


def questions(case: str, folder: Path) -> list[int]:
    """How often each of some operations, one after the other, asked /proc or followed a link, on any thread."""
    log = folder / "strace.txt"
    watch = ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={QUESTIONS}", "-o", str(log)]
    program = [sys.executable, "-P", "-c", PROGRAM, str(TOP / "benchmarks"), case, str(folder), str(OPERATIONS)]
    answer = subprocess.run([*watch, *program], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    runs = re.findall(r'"/mark/begin"(.*?)"/mark/end"', log.read_text(), flags=re.DOTALL)
    return [len(re.findall(r'^\d+ +(?:readlink(?:at)?\(|\w+\(.*"/proc/)', run, flags=re.MULTILINE)) for run in runs]


@pytest.mark.parametrize("case", ["headless_parquet_loop/2000", "tui_parquet_loop/2000", "headless_parquet_file/2000"])
def test_a_stream_with_names_asks_nothing(case: str, tmp_path: Path) -> None:
    assert questions(case, tmp_path) == [0] * OPERATIONS


def test_only_the_first_one_asks(tmp_path: Path) -> None:
    asked = questions("headless_parquet_loop_proc/2000/warm", tmp_path)
    assert 50 <= asked[0] <= FDS + 1  # a copy of a descriptor has its name without asking
    assert asked[1:] == [0] * (OPERATIONS - 1)


def test_each_one_asks_where_nothing_is_known(tmp_path: Path) -> None:
    asked = questions("headless_parquet_loop_proc/2000/cold", tmp_path)
    assert len(asked) == OPERATIONS
    assert all(50 <= count <= FDS + 1 for count in asked)


def test_a_process_that_is_gone_is_asked_once(tmp_path: Path) -> None:
    asked = questions("headless_parquet_loop_proc/2000/gone", tmp_path)
    assert 1 <= asked[0] <= 3  # what it is called, what the descriptor is, and whether there is such a process at all
    assert asked[1:] == [0] * (OPERATIONS - 1)
