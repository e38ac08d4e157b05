"""What the live tests share: the programs, built once, and the command line, run as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "programs"
SECONDS = 60
"""No run takes nearly that long; one that hangs must fail."""

Record = Callable[..., Path]
"""`record(command, *options)` runs a command under `tracer-cli record`, in `work`, and gives the recording's path."""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs of tests/programs, compiled."""
    folder = tmp_path_factory.mktemp("programs")
    for source in SOURCES.glob("*.c"):
        target = folder / source.stem
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-pthread", "-o", target, source], check=True)
    return folder


@pytest.fixture(scope="session")
def tracer_cli() -> Path:
    """The installed command, beside the interpreter that runs the tests."""
    command = Path(sys.executable).with_name("tracer-cli")
    assert command.exists(), f"{command} is not installed"
    return command


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty folder in which the traced program runs."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def record(tracer_cli: Path, tmp_path: Path, work: Path) -> Record:
    def run(command: Sequence[str | Path], *options: str, stdout: Path | None = None) -> Path:
        recording = tmp_path / "recording.parquet"
        output = (stdout or tmp_path / "stdout").open("wb")
        with output, (tmp_path / "stderr").open("wb") as messages:
            ended = subprocess.run(
                [tracer_cli, "record", "-o", recording, *options, "--", *command],
                cwd=work,
                env=dict(os.environ, HOME=str(work), LC_ALL="C.UTF-8"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=messages,
                timeout=SECONDS,
                check=False,
            )
        assert ended.returncode == 0, (tmp_path / "stderr").read_text(errors="replace")
        return recording

    return run
