"""A verb that is ended by a signal while it is at work leaves nothing, and says by its status what ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from test_crash_safety import Scene
from test_raw_stream import stream as calls
from test_raw_stream import write as write_stream
from test_recording import write_recording

from tracer.pipeline import ReplaySession, record
from tracer.sinks.recorder import ParquetRecorder

QUERYING = """
import tracer.cli.summary as verb
from tracer.cli import main

def work(opened, *_):
    print("begun", flush=True)
    opened.sql("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")

verb.summarize = work
main()
"""

WRITING = """
import time
from tracer.cli import main
from tracer.sinks.output_file import OutputFile

def work(_):
    print("begun", flush=True)
    while True:  # a signal that comes just before a sleep is heard after it only
        time.sleep(0.01)

OutputFile.complete = work
main()
"""
SECONDS = 30

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])


def end(code: str, arguments: Sequence[str | Path], number: signal.Signals, *, folder: Path) -> None:
    """Begin a verb in an empty folder for what is temporary, and end it when it says that it has begun."""
    process = subprocess.Popen(
        ["env", "--default-signal", sys.executable, "-c", code, *arguments],  # whatever this process ignores
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert list(folder.iterdir()) != []
        process.send_signal(number)
        assert process.communicate(timeout=SECONDS) == (b"", b"")
        assert process.returncode == -number
    finally:
        process.kill()
        process.communicate()
    assert list(folder.iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    made = tmp_path / "empty"
    made.mkdir()
    return made


@SIGNALS
def test_a_report(number: signal.Signals, tmp_path: Path, folder: Path) -> None:
    end(QUERYING, ["summary", write_recording(tmp_path / "a.parquet", [{}])], number, folder=folder)


@SIGNALS
def test_a_recording_that_is_compacted(number: signal.Signals, tmp_path: Path, folder: Path) -> None:
    there = write_recording(tmp_path / "a.parquet", [{}])
    end(WRITING, ["compact", there, "-o", folder / "b.parquet"], number, folder=folder)


@SIGNALS
def test_a_stream_that_is_replayed(number: signal.Signals, tmp_path: Path, folder: Path) -> None:
    stream = tmp_path / "a.raw"
    write_stream(stream, calls(100))
    end(WRITING, ["replay", stream, "-o", folder / "b.parquet"], number, folder=folder)


@SIGNALS
def test_what_is_recovered(number: signal.Signals, tmp_path: Path, folder: Path) -> None:
    scene = Scene(tmp_path)
    scene.write(20, sync=True)
    left = scene.die()
    end(WRITING, ["recover", left.main, "-o", folder / "b.parquet"], number, folder=folder)
    assert left.main.exists()


STARTING = """
import os, signal, sys
from tracer.__main__ import main

class Interrupted:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupted())
main()
"""


def test_ctrl_c_while_it_starts_says_nothing() -> None:
    command = ["env", "--default-signal", sys.executable, "-c", STARTING, "--help"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_replay_that_fails_leaves_nothing(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recorder makes safe would be left for `recover`: not here, where the stream is still there."""
    write_stream(tmp_path / "a.raw", calls(100))
    columns = ReplaySession.columns

    def interrupted(session: ReplaySession) -> Iterator[object]:
        yield from columns(session)
        raise KeyboardInterrupt

    monkeypatch.setattr(ReplaySession, "columns", interrupted)
    with ReplaySession(tmp_path / "a.raw") as session, pytest.raises(KeyboardInterrupt):
        record(session, ParquetRecorder(folder / "b.parquet"))
    assert list(folder.iterdir()) == []
