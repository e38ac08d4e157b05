"""A program that wants its recorder to grow: memory is bounded, rows are right or null, losses are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import SECONDS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "growth.py"
PATHS, PROCESSES, NAMES, DESCRIPTORS, DEPTH = 100_000, 2_000, 100_000, 150_000, 15
"""Paths of 3,000 bytes: those of the open descriptors are more than the 256 MiB that are kept."""


def test_memory_is_bounded_whatever_the_program_does(tmp_path: Path) -> None:
    saved = tmp_path / "growth.json"
    # the script imports what lies beside it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    sizes = [f"--paths={PATHS}", f"--processes={PROCESSES}", f"--names={NAMES}", f"--descriptors={DESCRIPTORS}"]
    command = [sys.executable, str(SCRIPT), *sizes, f"--depth={DEPTH}", "-o", str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=2 * SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(saved.read_text())
    assert found["faults"] == []
    assert found["lost"]["untracked_fds"] > DESCRIPTORS / 3
    assert found["named"] > 0.5 * found["rows"]
    assert found["comms"] > 0.8 * NAMES / 100
