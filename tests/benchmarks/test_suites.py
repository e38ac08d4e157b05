"""Each suite runs, and writes beside its figures what they were taken with. How long anything takes is not tested."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyperf
import pytest
from conftest import TOP

ENVIRONMENT = {"machine", "kernel", "python", "pyarrow", "numpy", "commit", "file_system"}
MEMORY = {"allocations_per_operation", "bytes_per_operation", "allocations_counted"}
NO_CLOCK = ["--debug-single-value", "--quiet"]

BEGUN = ["headless_parquet_loop", "headless_parquet_file", "headless_parquet_loop_proc", "pyarrow_alone"]


def run(script: str, *arguments: str) -> str:
    answer = subprocess.run(
        [sys.executable, str(TOP / "benchmarks" / script), *arguments], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def results(path: Path) -> dict[str, pyperf.Benchmark]:
    return {bench.get_name(): bench for bench in pyperf.BenchmarkSuite.load(str(path))}


@pytest.mark.parametrize(
    ("suite", "patterns"),
    [
        ("pipeline", ["*/2000*", "*/10000/ReadHeavy"]),
        ("scaling", ["*/pairs/100", "*/threads/1000", "*/paths/10"]),
        ("stages", ["*"]),
    ],
)
def test_a_suite_runs(tmp_path: Path, suite: str, patterns: list[str]) -> None:
    saved = tmp_path / "out.json"
    only = [f"--only={pattern}" for pattern in patterns]
    printed = run(f"bench_{suite}.py", "-o", str(saved), "--no-memory", *NO_CLOCK, *only)
    found = results(saved)
    assert len(found) >= 6
    for name, bench in found.items():
        notes = bench.get_metadata()
        assert set(notes) >= ENVIRONMENT, name
        assert re.fullmatch(r"[0-9a-f]{7,}\+?|unknown", notes["commit"])
        assert notes["pairs_per_operation"] > 0
        assert bench.get_values()[0] > 0
        assert notes["timer_covers"] in printed
        assert f"\n{name} " in printed
    if suite == "pipeline":
        assert {name.partition("/")[0] for name in found} >= set(BEGUN)


def test_results_are_kept_and_compared(tmp_path: Path) -> None:
    for stamp in ("a", "b"):
        run("run.py", "headless_parquet_loop/2000", "pipeline", "-d", str(tmp_path / stamp), *NO_CLOCK)
    first, second = (next((tmp_path / stamp).glob("pipeline-????????-??????.json")) for stamp in ("a", "b"))
    notes = results(first)["headless_parquet_loop/2000"].get_metadata()
    assert set(notes) >= MEMORY
    assert notes["pairs_per_operation"] == 2000
    printed = run("compare.py", str(first), str(second))
    assert re.search(r"^headless_parquet_loop/2000 +allocations +[0-9,]+ +[0-9,]+ +[0-9.]+$", printed, re.MULTILINE)
    assert re.search(r"^headless_parquet_loop/2000 +bytes ", printed, re.MULTILINE)


def test_what_is_no_result_is_told_in_a_line(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"benchmarks": 3}')
    command = [sys.executable, str(TOP / "benchmarks" / "compare.py"), str(other), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Traceback" not in done.stderr


PIPELINES = (
    "headless_parquet_loop",
    "tui_parquet_loop",
    "tui_parquet_loop_seen",
    "headless_parquet_file",
    "tui_parquet_file",
)
MIXES = ("ReadHeavy", "WriteHeavy", "MetadataHeavy", "DiverseAllTypes")
NAMES = {
    "pipeline": {f"{name}/{pairs}" for name in PIPELINES for pairs in (2_000, 1_000_000)}
    | {f"{name}/10000/{mix}" for name in PIPELINES for mix in MIXES}
    | {f"headless_parquet_loop_proc/2000/{state}" for state in ("cold", "warm", "gone")},
    "scaling": {f"file/pairs/{10**power}" for power in range(2, 8)}
    | {f"engine/threads/{10**power}" for power in range(4)}
    | {f"engine/paths/{10**power}" for power in range(1, 7)},
    "stages": {"decode", "pair", "fd_cache_hit", "fd_cache_miss", "fd_cache_readlink", "comm", "column_fill"}
    | {
        "batch_to_arrow/2000",
        "parquet/zstd-1",
        "parquet/none",
        "statistics",
        "ring",
        "trie",
        "snapshot",
        "recorder_start",
    },
}


@pytest.mark.parametrize("suite", ["pipeline", "scaling", "stages"])
def test_what_is_promised_is_there(suite: str) -> None:
    names = run(f"bench_{suite}.py", "--list").split()
    assert len(names) == len(set(names))
    assert set(names) >= NAMES[suite]


def test_a_name_that_no_case_has_is_an_error() -> None:
    script = str(TOP / "benchmarks" / "bench_pipeline.py")
    answer = subprocess.run([sys.executable, script, "--only", "nonsense"], capture_output=True, text=True)
    assert answer.returncode != 0
    assert "no case" in answer.stderr
