"""The profiler runs, as far as it needs neither root nor perf; what it can't finish it doesn't leave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import benchprof
import pyarrow.parquet as pq
import pytest
from conftest import TOP


def test_memory_is_profiled(tmp_path: Path) -> None:
    script = str(TOP / "benchmarks" / "benchprof.py")
    options = ["headless_parquet_file", "--pairs", "2000", "--only", "mem", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = next(tmp_path.glob("pipeline-*-mem.txt")).read_text()
    assert text in done.stdout
    assert "Allocated: everything that one run asks for" in text
    assert "parquet::" in text  # native frames, too
    assert {path.name.partition("-mem")[2] for path in tmp_path.iterdir()} == {".txt", "-allocated.bin", "-in-use.bin"}


def test_a_profile_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: benchprof.Job) -> Iterator[str]:
        job.file("mem-allocated.bin").write_bytes(b"half")
        # as a recorder that is killed leaves it
        (tmp_path / f".{job.file('mem.parquet').name}.0123456789abcdef.tmp").write_bytes(b"half")
        yield "the first line"
        raise SystemExit("memray ended with status 1")

    monkeypatch.setitem(benchprof.PROFILES, "mem", fail)
    monkeypatch.setattr(sys, "argv", ["benchprof.py", "--only", "mem", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match="status 1"):
        benchprof.main()
    assert list(tmp_path.iterdir()) == []


MAIN, RECORDER, VIEW = "run (threading.py:1)", "ParquetRecorder._run (tracer/sinks/recorder.py:1)", "take (queue.py:1)"


@pytest.mark.parametrize(
    ("line", "stack"),
    [
        (
            f"thread (1): MainThread;{MAIN};watched_run (profiled.py:1)",
            f"MainThread;{MAIN};watched_run (profiled.py:1)",
        ),
        (f"thread (1): MainThread;{MAIN};prepare (workload.py:1)", None),
        (f"thread (2): tracer-view;{VIEW}", f"tracer-view;{VIEW}"),
        (f"thread (3);clone (libc.so.6);{RECORDER};write", f"the recorder's;clone (libc.so.6);{RECORDER};write"),
        ("thread (1);<module> (profiled.py:27);_find_and_load", None),  # what happens before Python names its threads
    ],
)
def test_stacks_of_every_thread_are_kept_if_they_are_of_a_run(line: str, stack: str | None) -> None:
    found = benchprof.with_thread(line)
    assert (found if benchprof.in_run(found) else None) == stack


WAITING = """
import queue, sys, threading, time
from pathlib import Path
from profiled import Intervals

intervals = Intervals()
work = queue.Queue()

def look():
    while True:
        work.get()
        time.sleep(0.05)
        work.task_done()

threading.Thread(target=look, name="looks", daemon=True).start()
work.put(1)
work.join()
time.sleep(0.05)
intervals.save(Path(sys.argv[1]))
"""


def test_waits_have_names_while_they_last(tmp_path: Path) -> None:
    """A thread that waits for work when all is over goes on waiting for it."""
    found = tmp_path / "intervals.parquet"
    environment = {**os.environ, "PYTHONPATH": str(TOP / "benchmarks")}
    subprocess.run([sys.executable, "-c", WAITING, str(found)], env=environment, check=True, cwd=tmp_path)
    rows = pq.read_table(found).to_pylist()
    (looks,) = (row for row in rows if row["kind"] == "thread" and row["what"] == "looks")
    *_, idle = (row for row in rows if row["tid"] == looks["tid"] and row["what"] == "work: idle")
    assert looks["end_ns"] is idle["end_ns"] is None
    (join,) = (row for row in rows if row["what"] == "all in a queue to be done")
    assert join["end_ns"] - join["begin_ns"] > 40_000_000


def test_a_profile_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchprof.py", "--only", "mem,mem", "--folder", str(tmp_path)])
    assert benchprof.parse_options()[1] == ["mem"]
