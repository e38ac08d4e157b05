"""Each suite runs, and writes beside its figures what they were taken with. How long anything takes is not tested."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import allocations
import pyperf
import pytest
from allocations import Count, LogError, Nothing, run_and_count
from bench_live import benchmark
from conftest import TOP
from machine import OWNERS as OWNER_KEYS
from machine import is_measured
from run import NAMED_CASES, SUITES, add_values, plan

import tracer
from tracer.capture.generator import blocks
from tracer.sinks.raw import RawWriter

ENVIRONMENT = {"machine", "kernel", "python", "pyarrow", "numpy", "commit", "file_system"}
MEMORY = {"allocations_per_operation", "bytes_per_operation", "allocations_counted"}
OWNERS = set(OWNER_KEYS)
NO_CLOCK = ["--debug-single-value", "--quiet"]

EMPTY_BENCHMARK = '{"version": "1.0", "benchmarks": [{}], "metadata": {}}'

BEGUN = ["headless_parquet_loop", "headless_parquet_file", "headless_parquet_loop_proc", "pyarrow_alone"]


def run_script(script: str, *arguments: str) -> str:
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
        (
            "pipeline",
            ["*/2000*", "*/10000/ReadHeavy", "headless_parquet_file/1000000", "tui_parquet_loop_seen/1000000"],
        ),
        ("scaling", ["*/pairs/100", "*/threads/1000", "*/paths/10", "engine/paths/1000000"]),
        ("stages", ["*"]),
    ],
)
def test_a_suite_runs(tmp_path: Path, suite: str, patterns: list[str]) -> None:
    """Each case once, by the code that is timed. Not all sizes: they differ in numbers alone, and a value of the
    largest takes many seconds. 1,000,000 pairs are several batches. Not in all of pyperf's processes: that only repeats
    it, and `test_pyperf_times_a_case` sees that its workers find theirs."""
    saved = tmp_path / "out.json"
    only = [f"--only={pattern}" for pattern in patterns]
    printed = run_script(f"bench_{suite}.py", "-o", str(saved), "--no-memory", *NO_CLOCK, *only)
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
        if "/paths/" in name:
            assert notes["distinct_paths_per_operation"] == int(name.rpartition("/")[2])
    if suite == "pipeline":
        assert {name.partition("/")[0] for name in found} >= set(BEGUN)


def test_pyperf_times_a_case(tmp_path: Path) -> None:
    saved = tmp_path / "out.json"
    run_script("bench_stages.py", "--fast", "-o", str(saved), "--no-memory", "--only=take")
    (bench,) = results(saved).values()
    assert bench.get_nvalue() > 1
    assert re.fullmatch(
        r"in each of [0-9]+ processes [0-9]+ values of 200 operations, after 1 warm-ups of as many",
        bench.get_metadata()["measured"],
    )


SUITE = f"""
from pathlib import Path
import sys
sys.path.insert(0, {str(TOP / "benchmarks")!r})
from suite import Case, main

class Operation:
    covers = "nothing"
    pairs = 1
    def prepare(self): pass
    run = finish = prepare

def broken(folder: Path):
    raise ValueError("of its own")

if __name__ == "__main__":
    main(__file__, {{"good": Case(lambda _: Operation()), "broken": Case(broken)}})
"""


def test_a_case_that_fails_takes_no_other_results_away(tmp_path: Path) -> None:
    """Nor does a count of allocations that fails: that of a suite which is not beside allocations.py."""
    (tmp_path / "elsewhere.py").write_text(SUITE)
    saved = tmp_path / "out.json"
    command = [sys.executable, str(tmp_path / "elsewhere.py"), "-o", str(saved), *NO_CLOCK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "of its own" in done.stderr
    (bench,) = results(saved).values()
    assert bench.get_name() == "good"
    assert bench.get_metadata()["allocations_counted"] == "not counted: it failed"
    assert "counting the allocations of good failed" in done.stderr


@pytest.mark.parametrize("failures", [1, 2])
def test_a_run_that_the_log_has_no_beginning_of_is_run_again(
    failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is called here in the place of memray has none."""
    answers: list[Count | None] = [None] * failures + [Count(3, 4)]

    def traced(*_: object, **__: object) -> Count:
        answer = answers.pop(0)
        if answer is None:
            raise LogError("no beginning")
        return answer

    monkeypatch.setattr(allocations, "_traced", traced)
    if failures == 1:
        assert run_and_count(Nothing(), tmp_path, all_threads=True) == Count(3, 4)
    else:
        with pytest.raises(LogError):
            run_and_count(Nothing(), tmp_path, all_threads=True)


def test_allocations_are_counted_for_all_cases_but_the_largest() -> None:
    """Of the part that is timed; by which threads the case says."""
    uncounted = [
        name
        for suite in NAMED_CASES
        for name, case in importlib.import_module(f"bench_{suite}").CASES.items()
        if case.memory is None
    ]
    assert uncounted == ["engine/pairs/10000000", "file/pairs/10000000"]


def test_results_are_kept_and_compared(tmp_path: Path) -> None:
    for stamp in ("a", "b"):
        run_script("run.py", "headless_parquet_loop/2000", "pipeline", "-d", str(tmp_path / stamp), *NO_CLOCK)
    first, second = (next((tmp_path / stamp).glob("pipeline-????????-??????.json")) for stamp in ("a", "b"))
    notes = results(first)["headless_parquet_loop/2000"].get_metadata()
    assert set(notes) >= MEMORY
    assert notes["pairs_per_operation"] == 2000
    assert "file_bytes_per_row" not in notes, "what is counted writes nothing"
    printed = run_script("compare.py", str(first), str(second), "--min-speed", "5")
    assert re.search(r"^headless_parquet_loop/2000 +allocations +[0-9,]+ +[0-9,]+ +[0-9.]+$", printed, re.MULTILINE)
    assert re.search(r"^headless_parquet_loop/2000 +bytes ", printed, re.MULTILINE)
    assert not OWNERS & set(notes)


def test_rounds_are_put_together(tmp_path: Path) -> None:
    run_script("run.py", "headless_parquet_loop/2000", "pipeline", "-d", str(tmp_path), "--rounds", "3", *NO_CLOCK)
    (saved,) = tmp_path.iterdir()
    bench = results(saved)["headless_parquet_loop/2000"]
    assert [len(run.values) for run in bench.get_runs()] == [1, 1, 1]
    notes = bench.get_metadata()
    assert set(notes) >= MEMORY
    assert notes["measured"].startswith("in each of 3 processes ")
    assert not OWNERS & keys_in(saved)


def test_each_round_says_how_often_it_ran(tmp_path: Path) -> None:
    """As often as pyperf finds right, which may differ; only what is counted once is that of the first for all."""
    for name, loops, load, more in (("a", 8, 0.5, {"allocations_per_operation": 27}), ("b", 2, 3.5, {})):
        notes = {"name": "pair", "loops": loops, "load_avg_1min": load, **more}
        runs = [pyperf.Run([1e-6] * 3, warmups=[(loops, 1e-6)], metadata=notes, collect_metadata=False)] * 2
        pyperf.BenchmarkSuite([pyperf.Benchmark(runs)]).dump(str(tmp_path / name))
    add_values(tmp_path / "a", tmp_path / "b")
    (bench,) = pyperf.BenchmarkSuite.load(str(tmp_path / "a"))
    assert [run.get_loops() for run in bench.get_runs()] == [8, 8, 2, 2]
    assert [run.get_metadata()["load_avg_1min"] for run in bench.get_runs()] == [0.5, 0.5, 3.5, 3.5]
    notes = bench.get_metadata()
    assert notes["measured"] == "in each of 4 processes 3 values of 2 to 8 operations, after 1 warm-ups of as many"
    assert notes["allocations_per_operation"] == 27


COMMITTED = sorted(path for suite in SUITES for path in (TOP / "bench-profiles").glob(f"{suite}-????????-??????.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_results_say_how_often_each_process_ran(path: Path) -> None:
    for bench in pyperf.BenchmarkSuite.load(str(path)):
        for run in bench.get_runs():
            if run.values:  # else pyperf looked how often is right
                assert {loops for loops, _ in run.warmups or ()} <= {run.get_loops()}, bench.get_name()


def test_a_tracer_that_is_not_of_the_commit_is_told(tmp_path: Path) -> None:
    assert is_measured()
    (tmp_path / "tracer").mkdir()
    (tmp_path / "tracer" / "__init__.py").write_text("another = True\n")
    code = "import machine; print(machine.commit())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(TOP / "benchmarks")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.endswith(", and a tracer that is not of it\n"), done.stderr


def test_live_results_are_compared_by_what_their_runs_say(tmp_path: Path) -> None:
    def saved(name: str, slowdowns: list[float]) -> str:
        runs = [{"slowdown": slowdown, "lost": 0, "bytes_per_row": 2.5} for slowdown in slowdowns]
        figures = [benchmark(f"live dd, tracer{more}", [1e-6] * len(runs), runs) for more in ("", ", recorder")]
        pyperf.BenchmarkSuite(figures).dump(str(tmp_path / name))
        return str(tmp_path / name)

    printed = run_script("compare.py", saved("a.json", [2.0, 9.0, 2.5]), saved("b.json", [5.0, 5.0, 1.0]))
    lines = [line.split() for line in printed.splitlines() if line.startswith("live dd")]
    assert [line[3:] for line in lines] == [
        ["file", "bytes", "per", "row", "2.5", "2.5", "1.00"],
        ["slowdown", "2.5", "5", "2.00"],
        ["calls", "lost", "0", "0", "-"],
    ]


def test_committed_results_do_not_tell_whose_machine_it_was() -> None:
    told = [path.name for path in sorted((TOP / "bench-profiles").glob("*.json")) if OWNERS & keys_in(path)]
    assert not told


def keys_in(path: Path) -> set[str]:
    """All of a JSON file's."""
    found: set[str] = set()
    json.loads(path.read_text(), object_hook=found.update)
    return found


@pytest.mark.parametrize("names", [["nonsense"], ["pipelin"], ["pipeline", "ring"], ["live", "rw*"], ["ring", "no-*"]])
def test_a_name_that_nothing_has_runs_nothing(tmp_path: Path, names: list[str]) -> None:
    command = [sys.executable, str(TOP / "benchmarks" / "run.py"), "-d", str(tmp_path / "out"), *NO_CLOCK, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "no benchmark" in done.stderr
    assert not (tmp_path / "out").exists()


CASES = {"pipeline": ["loop/1", "loop/2", "file/1"], "stages": ["ring", "loop/1"]}


@pytest.mark.parametrize(
    ("names", "planned"),
    [
        ([], {suite: [] for suite in SUITES}),
        (["live", "pipeline"], {"pipeline": [], "live": []}),
        (["ring"], {"stages": ["--only=ring"]}),
        (["loop/*", "file/*"], {"pipeline": ["--only=loop/*", "--only=file/*"], "stages": ["--only=loop/*"]}),
        (["loop/1", "pipeline", "live"], {"pipeline": ["--only=loop/1"], "live": []}),
    ],
)
def test_names_choose_suites(names: list[str], planned: dict[str, list[str]]) -> None:
    assert plan(names, CASES) == planned


def test_the_live_suite_is_not_run_without_what_it_measures(tmp_path: Path) -> None:
    """tracer-cli lies beside an interpreter; beside another one it is missing."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    command = [str(python), str(TOP / "benchmarks" / "bench_live.py"), "--quick"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "tracer-cli is missing" in done.stderr.splitlines()[-1]


def test_the_live_suite_leaves_out_no_tool_that_it_does_not_know() -> None:
    command = [sys.executable, str(TOP / "benchmarks" / "bench_live.py"), "--quick", "--tools", "tracer-cli record,x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--tools knows tracer-cli record" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("text", ['{"benchmarks": 3}', "[]", "3", '{"version": "1.0"}', "{", EMPTY_BENCHMARK])
def test_what_is_no_result_is_told_in_a_line(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(text)
    command = [sys.executable, str(TOP / "benchmarks" / "compare.py"), str(other), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Traceback" not in done.stderr
    assert str(other) in done.stderr


def test_files_are_compared_in_turns() -> None:
    printed = run_script("in_turns.py", "2000", "3")
    assert re.search(r"^headless_parquet_file / pyarrow_alone: [0-9.]+ \(", printed, re.MULTILINE)
    assert re.search(r"^headless_parquet_file / headless_parquet_file_plain: [0-9.]+ \(", printed, re.MULTILINE)
    assert re.search(r"^tui_parquet_file / headless_parquet_file: [0-9.]+ \(", printed, re.MULTILINE)


def test_commits_are_counted_against_each_other() -> None:
    assert re.fullmatch(r"loop [0-9]+ allocations of its thread\n", run_script("across.py", "--allocations"))


def test_calls_of_real_programs_are_timed(tmp_path: Path) -> None:
    """All of them: the rows that are told are the calls that the stream has."""
    saved = RawWriter(tmp_path / "some.raw", {})
    for block in blocks("ReadHeavy", 3_000, block_bytes=65_536):
        saved.write(block.tobytes())
    saved.close({})
    printed = run_script("real_calls.py", str(saved.path))
    where, line = printed.splitlines()
    assert where == f"tracer: {Path(tracer.__file__).parent}"
    assert re.fullmatch(r"some\.raw 3,000 rows   engine +[0-9.() ]+ view +[0-9.() ]+ ns a row", line)


def test_memory_is_looked_at_while_paths_come() -> None:
    printed = run_script("many_paths.py", "20000")
    assert re.search(r"^ +20,000 +20,000 +[0-9.]+ MB$", printed, re.MULTILINE)
    paths = re.search(r"^([0-9,]+) different paths$", printed, re.MULTILINE)
    assert paths is not None
    assert 8_000 < int(paths[1].replace(",", "")) <= 20_000


def test_compare_tells_how_it_is_called() -> None:
    assert "A.json B.json" in run_script("compare.py", "--help")


PIPELINES = (
    "headless_parquet_loop",
    "tui_parquet_loop",
    "tui_parquet_loop_seen",
    "headless_parquet_file",
    "headless_parquet_file_plain",
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
    names = run_script(f"bench_{suite}.py", "--list").split()
    assert len(names) == len(set(names))
    assert set(names) >= NAMES[suite]


def test_a_name_that_no_case_has_is_an_error() -> None:
    script = str(TOP / "benchmarks" / "bench_pipeline.py")
    answer = subprocess.run([sys.executable, script, "--only", "nonsense"], capture_output=True, text=True)
    assert answer.returncode != 0
    assert "no case" in answer.stderr
