"""The load of the live suite makes as many calls as it is asked for, whatever number that is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import TOP

SECONDS = 0.3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("load") / "paced_load"
    source = TOP / "benchmarks" / "paced_load.c"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-pthread", "-o", made, source], check=True)
    return made


@pytest.mark.parametrize(
    ("kind", "rate", "threads"),
    [("rw", 700, 1), ("rw", 1500, 3), ("rw", 10_000, 3), ("rw", 30_000, 1), ("rw", 100_000, 1), ("files", 7_000, 2)],
)
def test_a_rate(program: Path, tmp_path: Path, kind: str, rate: int, threads: int) -> None:
    """Steps, of 2 or 3 calls, whose time is no multiple or part of a millisecond among them. One that begins late is
    behind for a while; more than is due nobody makes."""
    (tmp_path / "f0").touch()
    report = tmp_path / "report.json"
    numbers = [kind, rate, SECONDS, threads, tmp_path, 1, report]
    subprocess.run([program, *map(str, numbers)], check=True)
    calls = json.loads(report.read_text())["calls"]
    assert 0 < calls <= rate * SECONDS + 3 * threads


def test_no_rate(program: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    subprocess.run([program, "rw", "0", "0.05", "1", str(tmp_path), "0", str(report)], check=True)
    told = json.loads(report.read_text())
    assert told["calls"] % 512 == 0 < told["calls"], "256 steps at a time"
    assert 0 < told["busy_ns"] <= told["wall_ns"]
