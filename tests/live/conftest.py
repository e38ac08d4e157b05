"""What the live tests share: the programs, built once, and the command line, run as a user would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from writer_log import WriterLog

SOURCES = Path(__file__).parent.parent / "programs"
SECONDS = 60
"""No run takes nearly that long; one that hangs must fail."""

Record = Callable[..., Path]
"""`record(command, *options)` runs a command under `tracer-cli record`, in `work`, and gives the recording's path."""

Cli = Callable[..., subprocess.CompletedProcess[str]]
"""`cli(*arguments, status=0)` runs `tracer-cli` in `work` to its end."""

Start = Callable[..., subprocess.Popen[bytes]]
"""`start(*arguments)` starts `tracer-cli` in `work`; it is killed at the end of the test if it still runs."""


def pytest_configure() -> None:
    # What a shell starts in the background ignores SIGINT, and so would all that these tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Those that `-k` asks for may all be among the tests that run beside others, or all among the rest."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("keyword"):
        session.exitstatus = pytest.ExitCode.OK


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


@pytest.fixture
def cli(tracer_cli: Path, work: Path) -> Cli:
    def run(*arguments: str | Path, status: int = 0, prefix: Sequence[str] = (), **options: Any) -> Any:
        options = {"cwd": work, "stdin": subprocess.DEVNULL} | options
        if "input" in options:
            del options["stdin"]
        ended = subprocess.run(
            [*prefix, tracer_cli, *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=SECONDS,
            check=False,
            **options,
        )
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    return run


@pytest.fixture
def run(work: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program in `work` that waits for a line; ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str | Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield begin  # type: ignore[misc]
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def start(tracer_cli: Path, work: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen([tracer_cli, *arguments], **({"cwd": work} | pipes | options))
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def log(tmp_path: Path) -> WriterLog:
    """Of the recorder that is started as `LOGGED`, with this path."""
    return WriterLog(tmp_path / "log")


def until(holds: Callable[[], object], what: str) -> None:
    """Waits for something that must come, and fails if it does not."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.005)


def until_attached(tracer: subprocess.Popen[bytes]) -> None:
    """Waits until a tracer traces: the tracepoint that it attaches last is there."""
    until(lambda: _traces(tracer), "the tracepoints")


def _traces(tracer: subprocess.Popen[bytes]) -> bool:
    assert tracer.poll() is None, f"it ended with {tracer.returncode}: {tracer.stderr and tracer.stderr.read()!r}"
    return any("tp_name:\tsys_enter" in _text(info) for info in Path(f"/proc/{tracer.pid}/fdinfo").iterdir())


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # a descriptor that was closed meanwhile
        return ""


class Counted:
    """The program that makes exactly as many getppid calls as it is told; with threads, each of them does."""

    def __init__(self, programs: Path, threads: int = 0) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([programs / "counted", str(threads)], stdin=pipe, stdout=pipe)
        self.threads = threads
        self.calls = 0

    def make(self, calls: int) -> None:
        """Make so many calls, and wait until they have been made."""
        self.begin(calls)
        self.wait()

    def begin(self, calls: int) -> None:
        """Have it make so many calls."""
        self.calls += calls * max(1, self.threads)
        self.process.stdin.write(f"{calls}\n".encode())
        self.process.stdin.flush()

    def wait(self) -> None:
        """Until it has made what it was told."""
        assert self.process.stdout.readline() == b"done\n"

    def end(self) -> None:
        """Let it end."""
        self.process.communicate(timeout=SECONDS)


@pytest.fixture
def counted(programs: Path) -> Iterator[Counted]:
    program = Counted(programs)
    yield program
    program.process.kill()
    program.process.communicate()


def records_of(rows: int, losses: dict[str, int | None]) -> int:
    """Records the kernel side made or tried to make of calls that are two each and of which no name is sent."""
    halves = sum(losses[cause] for cause in ("enter_without_exit", "exit_without_enter", "unfinished_calls"))
    return 2 * rows + losses["ring_full"] + halves + 2 * losses["mismatched"]


def resident(pid: int, field: str = "VmRSS") -> int:
    """Resident memory in kB; VmHWM: its peak so far."""
    found = re.search(rf"{field}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def end(tracer: subprocess.Popen[bytes]) -> None:
    tracer.send_signal(signal.SIGINT)
    _, messages = tracer.communicate(timeout=60)
    assert tracer.returncode == 0, messages


def go_on(process: subprocess.Popen[bytes]) -> None:
    """Gives the program its line and waits for its end."""
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 0


def stop(tracer: subprocess.Popen[bytes]) -> None:
    """SIGSTOP, and wait until it has stopped."""
    tracer.send_signal(signal.SIGSTOP)
    until(lambda: "T (stopped)" in Path(f"/proc/{tracer.pid}/status").read_text(), "the stop")


def until_looked(tracer: subprocess.Popen[bytes], looks: int = 500) -> None:
    """Waits until a tracer has looked at its ring so often: a look is followed by a sleep of a millisecond."""
    begin = _sleeps(tracer)
    until(lambda: _sleeps(tracer) >= begin + looks, "the looks")


def _sleeps(tracer: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{tracer.pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)[1])
