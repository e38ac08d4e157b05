"""A report that is ended by a signal while it is at work leaves nothing, and says by its status what ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_recording import write_recording

CODE = """
import tracer.cli.summary as verb
from tracer.cli import main

def work(opened, *_):
    print("begun", flush=True)
    opened.sql("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")

verb.summarize = work
main()
"""
SECONDS = 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "summary", write_recording(tmp_path / "a.parquet", [{}])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(spill)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert len(list(spill.iterdir())) == 1
        process.send_signal(number)
        assert process.communicate(timeout=SECONDS) == (b"", b"")
        assert process.returncode == -number
    finally:
        process.kill()
        process.communicate()
    assert list(spill.iterdir()) == []
