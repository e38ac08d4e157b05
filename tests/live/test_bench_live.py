"""The benchmarks that trace work: every load is run under tracer-cli, counted, weighed and saved. No time is tested."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyperf
from conftest import SECONDS

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
LOADS = ("dd", "rw 10k", "rw max", "files max")


def run_script(name: str, *arguments: str) -> str:
    """What one that must succeed prints. It imports what lies beside it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=2 * SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_starts_of_recordings_are_timed() -> None:
    found = re.findall(
        r"^(.+): [0-9.]+ ms \([0-9.]+ to [0-9.]+, 3 starts\)$", run_script("starts.py", "3"), re.MULTILINE
    )
    assert found == ["idle", "beside dd bs=1"]


def test_the_live_benchmark_runs(tmp_path: Path) -> None:
    saved = tmp_path / "live.json"
    run_script("bench_live.py", "--quick", "--tools", "tracer-cli record", "-o", str(saved))
    found = {bench.get_name(): bench.get_metadata() for bench in pyperf.BenchmarkSuite.load(str(saved))}
    for load in LOADS:
        assert f"live {load}, untraced" in found
        run = found[f"live {load}, tracer-cli record"]
        assert run["calls"] > 0
        assert 0 <= run["lost"] < run["calls"]
        assert run["slowdown"] > 0
        assert run["bytes_per_row"] > 0
        assert (run["paced_seconds"], run["dd_blocks"]) == (0.2, 20_000)
