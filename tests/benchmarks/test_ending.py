"""Ctrl-C, or SIGTERM, in the middle of a benchmark: a line says what there is, nothing is left lying. And `| head`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyperf
import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
SECONDS = 60


def interrupted(
    command: Sequence[str | Path], folder: Path, is_time: Callable[[], object], by: signal.Signals = signal.SIGINT
) -> str:
    """What a script says that is interrupted as by a terminal, together with all that it has started, or terminated,
    alone. All of it is over then: who goes on keeps the pipe open."""
    temporary = folder / "temporary"
    temporary.mkdir()
    # what a shell starts in the background ignores SIGINT, and so would all that a test starts
    restore = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    script = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        **restore,
    )
    end = time.monotonic() + SECONDS
    while not is_time():
        assert script.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    if by == signal.SIGINT:
        os.killpg(script.pid, by)
    else:
        script.send_signal(by)
    said, _ = script.communicate(timeout=SECONDS)
    assert script.returncode == 128 + by, said
    assert list(temporary.iterdir()) == []
    return said.splitlines()[-1]


EITHER = pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])


@EITHER
def test_of_a_suite(tmp_path: Path, by: signal.Signals) -> None:
    results = tmp_path / "results"
    command = [SCRIPTS / "run.py", "pipeline", "headless_*/2000", "-d", results, "--fast", "--no-memory"]
    said = interrupted(command, tmp_path, lambda: list(results.glob("*.json")), by)
    (saved,) = results.iterdir()
    done = len(pyperf.BenchmarkSuite.load(str(saved)))
    assert re.fullmatch(rf"interrupted: {done} of [2-9] benchmarks are in {re.escape(str(saved))}", said)


def test_of_a_later_round(tmp_path: Path) -> None:
    results = tmp_path / "results"
    options = ["--rounds", "2", "--debug-single-value", "--no-memory"]
    command = [SCRIPTS / "run.py", "pipeline", "headless_*/2000", "-d", results, *options]
    # that of the rounds, and in it that of the suite
    said = interrupted(command, tmp_path, lambda: len(list((tmp_path / "temporary").iterdir())) == 2)
    (saved,) = results.iterdir()
    assert said == f"interrupted: {saved} has 1 of 2 rounds"


@EITHER
def test_of_a_profile(tmp_path: Path, by: signal.Signals) -> None:
    """Of memory: the others take root."""
    results = tmp_path / "results"
    options = ["--only", "mem", "--pairs", "2000", "--seconds", "30", "--folder", results]
    command = [SCRIPTS / "benchprof.py", *options]
    said = interrupted(command, tmp_path, lambda: results.exists() and any(results.iterdir()), by)
    assert said == "interrupted: there is no profile of mem"
    assert list(results.iterdir()) == []


@EITHER
def test_of_what_saves_nothing(tmp_path: Path, by: signal.Signals) -> None:
    said = interrupted([SCRIPTS / "bench_summary.py"], tmp_path, lambda: any((tmp_path / "temporary").iterdir()), by)
    assert said == "interrupted: what is printed is all there is"


def test_of_what_is_profiled(tmp_path: Path) -> None:
    """It is killed outright: perf, for one, leaves it no time when it is interrupted."""
    temporary, results = tmp_path / "temporary", tmp_path / "results"
    temporary.mkdir()
    options = ["--only", "mem", "--pairs", "2000", "--seconds", "30", "--folder", results]
    script = subprocess.Popen(
        [sys.executable, SCRIPTS / "benchprof.py", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    children = Path(f"/proc/{script.pid}/task/{script.pid}/children")
    end = time.monotonic() + SECONDS
    while not list(temporary.glob("*/profiled-*")):
        assert script.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(int(children.read_text()), signal.SIGKILL)
    _, said = script.communicate(timeout=SECONDS)
    assert script.returncode == 1
    assert " ended with status -9: " in said
    assert list(temporary.iterdir()) == list(results.iterdir()) == []


def test_whose_reader_has_gone() -> None:
    script = subprocess.Popen(
        [sys.executable, SCRIPTS / "in_turns.py", "2000", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    script.stdout.close()
    said = script.stderr.read()
    script.stderr.close()
    assert (script.wait(SECONDS), said) == (1, b"")
