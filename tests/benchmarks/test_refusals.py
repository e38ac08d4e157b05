"""What the benchmarks can't do with is told in one line, with status 2, before anything is measured."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import bench_live
import benchprof
import pytest
import run
from bench_live import Figures, Load, Run, Tool, benchmarks
from conftest import TOP

NO_NUMBER = "is no whole number from 1 on"
NO_TIME = "is no number of seconds above 0"


def call(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script that is to end soon; one that measures instead is ended."""
    command = [sys.executable, str(TOP / "benchmarks" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def assert_refused(script: str, *arguments: str, said: str) -> None:
    done = call(script, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"{script}: ")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("script", "required"),
    [
        ("across.py", []),
        ("allocations.py", ["bench_stages", "take"]),
        ("bench_live.py", []),
        ("bench_pipeline.py", []),
        ("bench_summary.py", []),
        ("benchprof.py", []),
        ("compare.py", ["a.json", "b.json"]),
        ("engine_only.py", []),
        ("growth.py", []),
        ("in_turns.py", []),
        ("many_paths.py", []),
        ("profiled.py", ["tui_parquet_file"]),
        ("real_calls.py", ["x.raw"]),
        ("run.py", []),
        ("soak.py", []),
        ("starts.py", []),
    ],
)
def test_an_option_that_there_is_not(script: str, required: list[str]) -> None:
    assert_refused(script, *required, "--fasst", said="unrecognized arguments: --fasst")


def test_tox_lets_every_script_find_what_lies_beside_it() -> None:
    """Elsewhere it keeps Python from looking there."""
    tox = ConfigParser(interpolation=None)
    tox.read(TOP / "tox.ini")
    runs = {name: env for name, env in tox.items() if "benchmarks/" in env.get("commands", "").replace("tests/", "")}
    assert {"testenv:bench", "testenv:bench-compare", "testenv:benchprof", "testenv:soak"} <= runs.keys()
    for name, env in runs.items():
        found = env.get("set_env") == "{[testenv:benchmarks]set_env}" or "env -u PYTHONSAFEPATH" in env["commands"]
        assert found, name


@pytest.mark.parametrize("script", ["across.py", "engine_only.py", "many_paths.py", "real_calls.py", "starts.py"])
def test_scripts_tell_what_they_are(script: str) -> None:
    done = call(script, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    assert f"benchmarks/{script}" in done.stdout  # from its docstring


@pytest.mark.parametrize(
    ("script", "argument", "said"),
    [
        ("bench_live.py", "--rates=0", NO_NUMBER),
        ("bench_live.py", "--rates=1k,-5", NO_NUMBER),
        ("bench_live.py", "--rates=", NO_NUMBER),
        ("bench_live.py", "--runs=0", NO_NUMBER),
        ("bench_live.py", "--seconds=nan", NO_TIME),
        ("benchprof.py", "--pairs=0", NO_NUMBER),
        ("benchprof.py", "--seconds=0", NO_TIME),
        ("benchprof.py", "--seconds=-3", NO_TIME),
        ("many_paths.py", "0", NO_NUMBER),
        ("run.py", "--rounds=0", NO_NUMBER),
    ],
)
def test_a_number_that_is_too_small(script: str, argument: str, said: str) -> None:
    assert_refused(script, argument, said=said)


def test_what_is_no_raw_stream() -> None:
    done = call("real_calls.py", str(Path(__file__)))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not a raw stream; --help tells more" in done.stderr


@pytest.mark.parametrize("script", ["bench_live.py", "bench_stages.py", "growth.py", "soak.py"])
def test_a_file_that_cannot_be_made(tmp_path: Path, script: str) -> None:
    assert_refused(script, "-o", str(tmp_path / "none" / "x.json"), said=f"no file can be made in {tmp_path}/none: No")


@pytest.mark.parametrize("folder", ["/proc", "/proc/nope"])
@pytest.mark.parametrize(("script", "option"), [("run.py", "-d"), ("benchprof.py", "--folder")])
def test_a_folder_that_cannot_be_made(script: str, option: str, folder: str) -> None:
    """In /proc even root can make none."""
    assert_refused(script, option, folder, said=f"no file can be made in {folder}: No such file")


def test_results_of_many_suites_are_not_put_into_one_file(tmp_path: Path) -> None:
    assert_refused("run.py", f"--output={tmp_path / 'x.json'}", said="results go into --folder")


def test_results_are_not_put_behind_others(tmp_path: Path) -> None:
    """They would not say of which commit they are."""
    assert_refused("bench_stages.py", f"--append={tmp_path / 'x.json'}", said="results go into a file of their own")


@pytest.mark.parametrize("arguments", [["--values", "2", "stages"], ["stages", "--fast", "pair"]])
def test_names_behind_options_of_pyperf(arguments: list[str]) -> None:
    """Which of the two a word belongs to, only pyperf knows."""
    assert_refused("run.py", *arguments, said="(names come before options of pyperf)")


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("allocations.py", ["nosuch", "take"], "no case take in a suite nosuch"),
        ("allocations.py", ["bench_live", "dd"], "no case dd in a suite bench_live"),
        ("allocations.py", ["bench_stages", "nosuch"], "no case nosuch in a suite bench_stages"),
        ("bench_stages.py", ["--only=nosuch"], "no case has such a name"),
    ],
)
def test_a_case_that_there_is_not(script: str, arguments: list[str], said: str) -> None:
    assert_refused(script, *arguments, said=said)


def test_a_suite_that_fails_is_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def failing(suite: str, *_: object) -> int:
        begun.append(suite)
        return 3

    monkeypatch.setattr(run, "run", failing)
    monkeypatch.setattr(run, "make_runner", lambda: SimpleNamespace(argparser=PYPERF_PARSER))
    monkeypatch.setattr(sys, "argv", ["run.py", "pipeline", "stages", "-d", str(tmp_path)])
    assert run.main() == 3
    assert begun == ["pipeline"]


PYPERF_PARSER = SimpleNamespace(
    parse_args=lambda _: SimpleNamespace(output=None, append=None, list=False, fast=False, debug_single_value=False)
)


@pytest.mark.parametrize(
    ("given", "names", "seconds"),
    [
        ([], ["rw 10k", "rw max"], 0.2),
        (["--rates=1k,2M"], ["rw 1k", "rw 2M"], 0.2),
        (["--seconds=3", "--rates", "7"], ["rw 7"], 3),
    ],
)
def test_what_is_given_holds_in_a_quick_live_run(
    given: list[str], names: list[str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_live.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bench_live.shutil, "which", lambda program: program)
    monkeypatch.setattr(sys, "argv", ["bench_live.py", "--quick", *given])
    options = bench_live.parse_options()
    assert [load.name for load in options.rates] == names
    assert (options.runs, options.seconds) == (1, seconds)


def test_rates_have_units() -> None:
    assert [load.rate for load in bench_live.parse_rates("7, 1k,2M,max")] == [7, 1_000, 2_000_000, 0]


@pytest.mark.parametrize(("cpu_s", "saved"), [(0.002, True), (0.0005, False)])
def test_a_live_figure_that_is_not_saved_is_told(cpu_s: float, saved: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorder can seem to have used less than no CPU: that of a load of no calls is taken off."""
    tool = Tool("it", sys.executable, lambda _: [], lambda _: 0)
    load = Load("rw 1k", "rw", 1_000)
    base = Figures(load, None, [Run(1_000, 1.0, 1.0, typical_s=1.0)])
    runs = [Run(1_000, 1.0, 1.0, typical_s=1.0, cpu_s=cpu_s, counted=1_000)]
    traced = Figures(load, tool, runs, [Run(0, 0.0, 1.0, cpu_s=0.001)])
    names = [bench.get_name() for bench in benchmarks([base, traced], {})]
    told = "live rw 1k, it, recorder: not saved, -500 ns/call is the noise of a short run\n"
    assert names == ["live rw 1k, untraced", "live rw 1k, it", *(["live rw 1k, it, recorder"] if saved else [])]
    assert capsys.readouterr().out == ("" if saved else told)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'not for this kernel' >&2; exit 2", "status 2 not for this kernel"),
        ("exit 0", "it ended without having run the load"),
    ],
)
def test_a_tracer_that_does_not_work_here_is_left_out(
    script: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "other"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    bench = bench_live.Bench(tmp_path, seconds=0.1, threads=1, blocks=20)
    assert not bench_live.usable(bench, Tool("it", str(program), lambda _: [], lambda _: 0))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("left out: it: ")
    assert said in line


def test_a_profile_of_a_wanted_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchprof.py", "--pairs", "7", "--seconds", "0.5", "--folder", str(tmp_path)])
    job, _ = benchprof.parse_options()
    assert (job.pairs, job.memory_pairs, job.seconds, job.prefix.parent) == (7, 7, 0.5, tmp_path)
