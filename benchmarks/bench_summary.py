"""How long `summary` takes over a large recording.

    .tox/bench/bin/python benchmarks/bench_summary.py [--rows N] [--limit-s S]

`tox -e bench --notest` makes that environment.

Makes a synthetic recording once, in a temporary folder, then runs the command as a process of its own for each --by, in
turn, several times over. The figures:

wall    from before the process is started until it has ended: interpreter, imports, reading, counting, and writing the
        whole table to a pipe that is read. The file is in the page cache, since it has just been written.
cpu     user and system time of that process, all threads. Less at the mercy of a busy machine than wall.
rss     the most memory it had.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from arguments import Parser, positive, seconds
from ending import PRINTED, telling

from tracer.schema import SCHEMA, VERSION

ROW_GROUP_ROWS = 131_072
GROUPS = ("syscall", "file", "process", "error")
COMMAND = [sys.executable, "-c", "from tracer.cli.summary import summary; summary()"]

SYSCALLS = pa.array([f"syscall_{i:03}" for i in range(400)])
FAMILIES = pa.array([f"Family{i}" for i in range(12)])
FILES = pa.array([f"/srv/project/module-{i % 70}/a-file-of-some-length-{i}.data" for i in range(5_000)])
COMMS = pa.array([f"worker-{i}" for i in range(64)])
ERRORS = pa.array(["ENOENT", "EAGAIN", "EACCES", "EBADF", "EEXIST", "EINTR"])
PROCESSES = 200

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Run(NamedTuple):
    """One run of the command."""

    wall_s: float
    cpu_s: float
    rss_bytes: int
    lines: int


class Calls:
    """Makes batches of calls: some syscalls and files are much more frequent than others, latencies are lognormal."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._log_latency = self._random.normal(7.5, 1.2, len(SYSCALLS))
        self._clock_ns = 10**12

    def batch(self, start: int, rows: int) -> pa.RecordBatch:
        """The calls number `start` to `start + rows`, in the schema of a recording."""
        random = self._random
        syscall = self._skewed(len(SYSCALLS), 1.1, rows)
        process = random.integers(0, PROCESSES, rows)
        failed = random.random(rows) < 0.08
        no_file = random.random(rows) < 0.25
        moved = np.exp(random.normal(7, 2, rows)).astype(np.int64)
        gap_ns = np.exp(random.normal(7, 1.5, rows)).astype(np.int64)
        time_ns = self._clock_ns + np.cumsum(gap_ns)
        self._clock_ns = int(time_ns[-1])
        latency_ns = np.exp(random.normal(self._log_latency[syscall], 0.9)).astype(np.int64)
        pid = pa.array(1_000 + process, pa.int32())
        zeros = pa.array(np.zeros(rows), pa.int32())
        columns: dict[str, pa.Array[Any]] = {
            "seq": pa.array(np.arange(start, start + rows)),
            "time": pa.array(1_764_000_000_000_000 + time_ns // 1_000).cast(pa.timestamp("us", tz="UTC")),
            "time_ns": pa.array(time_ns),
            "gap_ns": pa.array(gap_ns),
            "latency_ns": pa.array(latency_ns, mask=random.random(rows) < 0.001),
            "comm": _coded(process % len(COMMS), COMMS),
            "pid": pid,
            "tid": pid,
            "syscall": _coded(syscall, SYSCALLS),
            "family": _coded(syscall % len(FAMILIES), FAMILIES),
            "fd": pa.array(random.integers(3, 40, rows), pa.int32(), mask=no_file),
            "ret": pa.array(np.where(failed, -2, moved)),
            "error": _coded(random.integers(0, len(ERRORS), rows), ERRORS, ~failed),
            "is_error": pa.array(failed),
            "bytes": pa.array(np.where(failed, 0, moved), mask=syscall % 3 != 0),
            "requested_bytes": pa.array(moved, mask=syscall % 3 != 0),
            "file": _coded(self._skewed(len(FILES), 1.05, rows), FILES, no_file),
            "file_source": _coded(np.zeros(rows, np.int64), pa.array(["kernel"]), no_file),
            "restarts": zeros,
            "filter_epoch": zeros,
        }
        arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in SCHEMA]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)

    def _skewed(self, choices: int, power: float, rows: int) -> Ints:
        weights = 1 / np.arange(1, choices + 1) ** power
        return self._random.choice(choices, rows, p=weights / weights.sum())


def _coded(codes: Ints, values: pa.Array[Any], mask: Mask | None = None) -> pa.Array[Any]:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=mask), values)


def write_recording(path: Path, rows: int) -> None:
    """Write a recording as the recorder does: zstd, dictionaries, row groups of ROW_GROUP_ROWS."""
    calls = Calls(seed=1)
    schema = SCHEMA.with_metadata({"tracer.schema_version": str(VERSION), "tracer.loss": "{}"})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, ROW_GROUP_ROWS):
            batch = calls.batch(start, min(ROW_GROUP_ROWS, rows - start))
            writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)


def run_summary(path: Path, by: str) -> Run:
    """Run the command once and read all that it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    start = time.perf_counter()
    process = subprocess.Popen([*COMMAND, str(path), "--by", by], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    with process.stdout as output:
        lines = output.read().count(b"\n")
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"summary --by {by} ended with {process.returncode}")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, lines)


def main() -> None:
    """Measure, print, and fail if a median is above the limit."""
    parser = Parser(__doc__)
    parser.add_argument("--rows", type=positive, default=10_000_000)
    parser.add_argument("--runs", type=positive, default=3)
    parser.add_argument("--limit-s", type=seconds, help="end with status 1 if a median wall time is above this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-summary-") as folder:
        path = Path(folder) / "synthetic.parquet"
        write_recording(path, options.rows)
        size_mb = path.stat().st_size / 1e6
        print(f"{options.rows:,} rows, {size_mb:.0f} MB, {os.cpu_count()} CPUs, {options.runs} runs each")
        print("wall: process start to end, table read from a pipe; cpu: user + system; file in the page cache\n")
        runs = [{by: run_summary(path, by) for by in GROUPS} for _ in range(options.runs)]
    print(f"{'--by':8}  {'wall median':>11}  {'min':>6}  {'max':>6}  {'cpu median':>10}  {'rss':>7}  lines")
    medians = [_print_line(by, [round_[by] for round_ in runs]) for by in GROUPS]
    if options.limit_s is not None and max(medians) > options.limit_s:
        raise SystemExit(f"slower than {options.limit_s} s")


def _print_line(by: str, runs: list[Run]) -> float:
    walls = [run.wall_s for run in runs]
    median = statistics.median(walls)
    cpu = statistics.median(run.cpu_s for run in runs)
    rss_mb = max(run.rss_bytes for run in runs) / 1e6
    print(
        f"{by:8}  {median:>9.2f} s  {min(walls):>4.2f} s  {max(walls):>4.2f} s  {cpu:>8.2f} s  {rss_mb:>4.0f} MB"
        f"  {runs[0].lines}"
    )
    return median


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        main()
