"""A program that wants its recorder to grow: how large it becomes, whether its rows are right, and what was lost.

    tox -e growth                             # 1,000,000 paths, 100,000 processes, 1,000,000 names, 500,000 descriptors
    tox -e growth -- --paths 100000 --processes 2000 --names 100000 --descriptors 100000 -o growth.json

The program is `tests/programs/growth.c`: each of its reads tells whether its row is right. Descriptors are held open by
as many processes as the limit of open files takes. Memory is looked at once a second, its peak is the kernel's own
count. Prints what it found, saves it as JSON with `-o`, and ends with status 1 if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from arguments import Parser, need_new_file, positive
from ending import ended, telling
from machine import machine
from soak import Found, watch_memory

import tracer

PROGRAM = Path(__file__).parents[1] / "tests" / "programs" / "growth.c"
SIZES = {"paths": 1_000_000, "processes": 100_000, "names": 1_000_000, "descriptors": 500_000, "depth": 15}
MOST_MIB = 1024
"""docs/reliability.md tells it: with the default ring of 64 MiB."""

LOOKS = """
SELECT count(*) AS rows,
    count(file) AS named,
    count(DISTINCT comm) AS comms,
    count(*) FILTER (file NOT LIKE '%/made-' || (bytes - 1)) AS wrong_files,
    count(*) FILTER (comm LIKE 'c%' AND TRY_CAST(substr(comm, 2) AS INT) % 1000 IS DISTINCT FROM bytes - 1)
        AS wrong_comms
FROM calls WHERE syscall = 'pread64' AND bytes > 0 AND (file IS NULL OR file NOT LIKE '%/libc.so.6')
"""
"""The program's reads; the loader's are others."""


def grow(folder: Path, sizes: dict[str, int]) -> Found:
    """Record the program; what it read, what is in the recording, and the recorder's memory."""
    program, recording, work = folder / "growth", folder / "growth.parquet", folder / "work"
    subprocess.run(["gcc", "-O2", "-o", program, PROGRAM], check=True)
    work.mkdir()
    cli = Path(sys.executable).with_name("tracer-cli")
    options = ["-q", "-e", "openat,pread64,prctl", "-o", recording, "--"]
    command = [str(part) for part in (cli, "record", *options, program, *sizes.values())]
    with ended(subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, text=True)) as recorder:
        looks = watch_memory(recorder.pid, lambda: has_ended(recorder.pid))
        _, status, usage = os.wait4(recorder.pid, 0)
        recorder.returncode = os.waitstatus_to_exitcode(status)
        reads = recorder.communicate()[0]
    if recorder.returncode != 0:
        raise SystemExit(f"the recorder ended with status {recorder.returncode}")
    with tracer.open(recording) as opened:
        (read,) = opened.sql(LOOKS).to_pylist()
        lost = opened.loss or {}
    return {
        "reads": int(reads),
        **read,
        "lost": {cause: number for cause, number in lost.items() if number != 0},
        "bytes": recording.stat().st_size,
        "rss_peak_mib": usage.ru_maxrss >> 10,
        "rss_mib": [size >> 10 for size in looks],
    }


def has_ended(pid: int) -> bool:
    """Whether a child has, which is left to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def faults(found: Found) -> list[str]:
    """What is not as it must be."""
    missing = found["reads"] - found["rows"]
    unknown = [cause for cause, number in found["lost"].items() if number is None]
    # a descriptor that is not tracked costs names, no rows
    most = sum(number or 0 for cause, number in found["lost"].items() if cause != "untracked_fds")
    said = []
    if unknown:
        said.append(f"it is not known how much was lost: {', '.join(unknown)}")
    if not 0 <= missing <= most:
        said.append(f"{missing} reads are missing, {most} losses were counted")
    if found["wrong_files"] or found["wrong_comms"]:
        said.append(f"{found['wrong_files']} rows have another file's name, {found['wrong_comms']} another thread's")
    if found["rss_peak_mib"] > MOST_MIB:
        said.append(f"the recorder took {found['rss_peak_mib']} MiB")
    return said


def parse_options() -> argparse.Namespace:
    parser = Parser(__doc__)
    for name, size in SIZES.items():
        said = "folders of 200 bytes in each path" if name == "depth" else f"{name} that there are"
        parser.add_argument(f"--{name}", type=positive, default=size, metavar="N", help=f"{said} [{size}]")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="save what was found, as JSON")
    options = parser.parse_args()
    need_new_file(parser, options.output)
    if os.geteuid() != 0:
        parser.error("tracing needs root")
    return options


def main() -> None:
    """Grow, print, save."""
    options = parse_options()
    sizes = {name: getattr(options, name) for name in SIZES}
    with telling(lambda: "nothing was saved"), tempfile.TemporaryDirectory(prefix="growth-") as folder:
        found = grow(Path(folder), sizes)
    said = faults(found)
    result = {**machine(), "day": f"{datetime.now(UTC):%Y-%m-%d}", **sizes, **found, "faults": said}
    print("\n".join(f"{key}: {value}" for key, value in result.items()))
    if options.output is not None:
        options.output.write_text(json.dumps(result) + "\n")
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
