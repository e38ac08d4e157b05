"""The fuzzers' folder goes with them, whatever ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FUZZER = """
import os, signal, sys, time
from scratch import scratch_folder
signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell has in the background ignores it
folder = scratch_folder()
(folder / "a.raw").write_bytes(b"x")
print(folder, flush=True)
if sys.argv[1] == "exit":
    os._exit(0)
while True:  # a signal that comes just before `signal.pause` would not end it
    time.sleep(0.01)
"""
SECONDS = 20


@pytest.mark.parametrize("way", ["exit", "SIGINT", "SIGTERM", "SIGKILL"])
def test_is_gone_afterwards(way: str, tmp_path: Path) -> None:
    paths = os.pathsep.join(sys.path)
    fuzzer = subprocess.Popen(
        [sys.executable, "-c", FUZZER, way],
        env=os.environ | {"PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert fuzzer.stdout is not None
    folder = Path(os.fsdecode(fuzzer.stdout.readline().strip()))
    assert folder.parent == tmp_path
    if way != "exit":
        assert folder.is_dir()
        os.killpg(fuzzer.pid, getattr(signal, way))
    assert fuzzer.stdout.read() == b"", "nobody holds it any more"
    fuzzer.wait(SECONDS)
    until = time.monotonic() + SECONDS
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []
