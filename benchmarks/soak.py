"""A long recording at a steady rate: rows and losses are all calls that were made, and memory stays as it is.

    tox -e soak                                                   # ten minutes at 200,000 calls a second
    tox -e soak -- --seconds 60 --rate 50000 -o soak.json

The load is `paced_load.c`, which counts its calls; `tracer-cli` is the one beside this interpreter. Memory is looked at
once a second: the median of the ten looks after the first minute (of a shorter run: its middle) against that of
the last ten. Prints what it found, saves it as JSON with `-o`, and ends with status 1 if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arguments import Parser, need_new_file, positive, seconds
from ending import telling
from machine import machine

import tracer

HERE = Path(__file__).parent
SETTLED_S = 60
LOOKS = 10
MOST_GROWTH = 0.10

OWN_CALLS = """
SELECT count(*) AS n FROM calls
WHERE syscall IN ('read', 'write') AND ret = 1 AND (file IS NULL OR file IN ('/dev/zero', '/dev/null'))
"""
"""The load's: a byte each. A row whose name was lost is one of them, too."""

Found = dict[str, Any]


def soak(folder: Path, seconds: float, rate: int, threads: int) -> Found:
    """Record the load; what it made, what is in the recording, and the recorder's memory."""
    load, report, recording = folder / "paced_load", folder / "report.json", folder / "soak.parquet"
    subprocess.run(["gcc", "-O2", "-pthread", "-o", load, HERE / "paced_load.c"], check=True)
    (folder / "files").mkdir()
    cli = Path(sys.executable).with_name("tracer-cli")
    command = [load, "rw", rate, seconds, threads, folder / "files", 0, report]
    options = ["-q", "-e", "read,write", "-o", recording, "--"]
    with subprocess.Popen([str(part) for part in (cli, "record", *options, *command)]) as recorder:
        try:
            sizes = watch_memory(recorder.pid, lambda: recorder.poll() is not None or report.exists())
            recorder.wait()
        finally:
            recorder.terminate()  # if we are interrupted: it would go on without us
    if recorder.returncode != 0:
        raise SystemExit(f"the recorder, or the load that it ran, ended with status {recorder.returncode}")
    calls = json.loads(report.read_text())
    with tracer.open(recording) as opened:
        (own,) = opened.sql(OWN_CALLS).to_pylist()
        lost = opened.loss or {}
        windows = opened.losses.num_rows
    return {
        "calls": calls["calls"],
        "rate_reached": round(calls["calls"] / calls["wall_ns"] * 1e9),
        "rows": own["n"],
        "lost": {cause: number for cause, number in lost.items() if number != 0},
        "loss_windows": windows,
        "bytes": recording.stat().st_size,
        **memory(sizes, seconds),
    }


def watch_memory(pid: int, is_over: Callable[[], bool]) -> list[int]:
    """Resident memory of a process in kB, once a second until it is over."""
    sizes: list[int] = []
    while not is_over():
        time.sleep(1)
        found = re.search(r"^VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        sizes += [int(found[1])] if found else []
    return sizes


def memory(sizes: list[int], seconds: float) -> Found:
    """What the looks at the memory come to."""
    settled = min(SETTLED_S, max(0, int(seconds / 2) - LOOKS // 2))
    early, late = sizes[settled : settled + LOOKS], sizes[-LOOKS:]
    return {
        "rss_early_kb": round(statistics.median(early)),
        "rss_late_kb": round(statistics.median(late)),
        "rss_peak_kb": max(sizes),
    }


def faults(found: Found) -> list[str]:
    """What is not as it must be."""
    missing = found["calls"] - found["rows"]
    unknown = [cause for cause, number in found["lost"].items() if number is None]
    # a call that is missing has lost at least one of its records, so more calls than losses can't be missing
    most = sum(number or 0 for number in found["lost"].values())
    said = []
    if unknown:
        said.append(f"it is not known how much was lost: {', '.join(unknown)}")
    if not 0 <= missing <= most:
        said.append(f"{missing} calls are missing, {most} losses were counted")
    if found["rss_late_kb"] > (1 + MOST_GROWTH) * found["rss_early_kb"]:
        said.append(f"memory grew from {found['rss_early_kb']} to {found['rss_late_kb']} kB")
    return said


def parse_options() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--seconds", type=seconds, default=600, help="how long the load runs, at least 20 [600]")
    parser.add_argument("--rate", type=positive, default=200_000, help="calls per second [200000]")
    parser.add_argument("--threads", type=int, default=1, choices=range(1, 65), metavar="N", help="of the load [1]")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="save what was found, as JSON")
    options = parser.parse_args()
    if options.seconds < 2 * LOOKS:
        parser.error(f"--seconds is at least {2 * LOOKS}")
    need_new_file(parser, options.output)
    if os.geteuid() != 0:
        parser.error("tracing needs root")
    return options


def main() -> None:
    """Soak, print, save."""
    options = parse_options()
    asked = {"seconds": options.seconds, "rate": options.rate, "threads": options.threads}
    with telling(lambda: "nothing was saved"), tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = soak(Path(folder), **asked)
    said = faults(found)
    result = {**machine(), "day": f"{datetime.now(UTC):%Y-%m-%d}", **asked, **found, "faults": said}
    print("\n".join(f"{key}: {value}" for key, value in result.items()))
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
