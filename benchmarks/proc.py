"""The event loop where the stream doesn't tell names: a real process is asked for them through /proc.

The process has its descriptors 64 to 163 open, each on a file of its own. The mix is DiverseAllTypes; all calls are of
that process's one thread. What it opens and closes is always another descriptor: see `pieces` in
tracer/capture/generator.py.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from suite import Case
from workload import HeadlessLoop

FIRST_FD, FDS = 64, 100

CHILD = f"""
import os, sys
for fd in range({FIRST_FD}, {FIRST_FD + FDS}):
    opened = os.open(f"{{sys.argv[1]}}/held-{{fd}}", os.O_CREAT | os.O_RDWR)
    os.dup2(opened, fd)
    os.close(opened)
print(flush=True)
sys.stdin.read()  # until whoever started this is done, or has ended
"""

TASK_EXIT = 6


def task_exit(pid: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The record of a process's end (bpf/events.h): all that is known of it is forgotten."""
    return np.frombuffer(struct.pack("=QIIHBBHHII", 1, pid, pid, 32, TASK_EXIT, 0, 0, 0, 1, 0), np.uint8)


class Holder:
    """A process that holds descriptors open."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", CHILD, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.process.stdout.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> None:
        self.process.communicate()


class HeadlessLoopProc(HeadlessLoop):
    """`cold`: nothing is known of the process when an operation begins. `gone`: it has ended before the first one."""

    def __init__(self, folder: Path, *, cold: bool = False, gone: bool = False, pairs: int = 2_000) -> None:
        self.holder = Holder(folder)
        pid = self.holder.pid
        super().__init__(folder, pairs=pairs, ask_proc=True, threads=1, names=False, pid=pid)
        self.cold = cold
        if gone:
            self.holder.end()
        self.covers = f"{super().covers}. The stream has no names: /proc is asked, {self.asking(cold, gone)}"

    @staticmethod
    def asking(cold: bool, gone: bool) -> str:
        if gone:
            return "once, and as the process is gone, not again"
        return "for each descriptor and the thread" if cold else "but not for what it has told before"

    def prepare(self) -> None:
        super().prepare()
        if self.cold:
            end = task_exit(self.holder.pid)
            self.engine.feed(end)

    def close(self) -> None:
        self.holder.end()


PROC_CASES = {
    "headless_parquet_loop_proc/2000/cold": Case(partial(HeadlessLoopProc, cold=True)),
    "headless_parquet_loop_proc/2000/warm": Case(HeadlessLoopProc),
    "headless_parquet_loop_proc/2000/gone": Case(partial(HeadlessLoopProc, gone=True)),
}
