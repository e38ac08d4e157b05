"""What an operation allocates, once it has been run a few times: a number that a busy machine doesn't change."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import TOP


def counted(name: str) -> tuple[int, int]:
    """Allocations and bytes of an operation, counted in a process of its own."""
    command = [sys.executable, str(TOP / "benchmarks" / "allocations.py"), "bench_pipeline", name]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    return found["allocations"], found["bytes"]


@pytest.mark.parametrize(
    ("name", "allocations", "size"),
    [
        ("headless_parquet_loop/2000", 60, 64_000),
        ("tui_parquet_loop/2000", 120, 128_000),
    ],
)
def test_the_loop_allocates_little_on_all_its_threads(name: str, allocations: int, size: int) -> None:
    """The recorder's thread but for the writing, and the view's until it is up to date, are among them."""
    found = counted(name)
    assert found[0] <= allocations
    assert found[1] <= size


@pytest.mark.parametrize("name", ["headless_parquet_file/2000", "tui_parquet_file/2000"])
def test_a_file_takes_few_allocations_beyond_pyarrows_own(name: str) -> None:
    """With the recorder of `tracer-cli record` and the dashboard, and its thread."""
    assert counted(name)[0] <= 1.10 * counted("pyarrow_alone/2000")[0]
