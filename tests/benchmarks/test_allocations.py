"""What an operation allocates, once it has been run a few times: a number that a busy machine doesn't change."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import TOP


def counted(name: str, suite: str = "bench_pipeline") -> tuple[int, int]:
    """Allocations and bytes of an operation, counted in a process of its own."""
    command = [sys.executable, str(TOP / "benchmarks" / "allocations.py"), suite, name]
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
def test_the_loop_allocates_little(name: str, allocations: int, size: int) -> None:
    found = counted(name)
    assert found[0] <= allocations
    assert found[1] <= size


def test_the_views_thread_allocates_little() -> None:
    """Beside what the loop's thread does: a batch of 10,000 rows into each of its parts."""
    loop = counted("tui_parquet_loop/2000")
    parts = [counted(name, "bench_stages") for name in ("statistics", "ring", "trie")]
    assert loop[0] + sum(allocations for allocations, _ in parts) <= 120
    assert loop[1] + sum(size for _, size in parts) <= 128_000


@pytest.mark.parametrize("name", ["headless_parquet_file/2000", "tui_parquet_file/2000"])
def test_a_file_takes_few_allocations_beyond_pyarrows_own(name: str) -> None:
    assert counted(name)[0] <= 1.10 * counted("pyarrow_alone/2000")[0]
