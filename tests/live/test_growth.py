"""A program that wants its recorder to grow: memory is bounded, rows are right or null, losses are counted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from conftest import SECONDS, Start

import tracer

MOST_MIB = 1024
"""docs/reliability.md tells it: with the default ring of 64 MiB."""

PATHS, PROCESSES, NAMES, DESCRIPTORS, DEPTH = 100_000, 2_000, 100_000, 100_000, 15
"""Paths of 3,000 bytes: those of the open descriptors are more than the 256 MiB that are kept."""

LOOKS = """
SELECT count(*) AS calls,
    count(file) AS known,
    count(DISTINCT comm) AS names,
    count(*) FILTER (file NOT LIKE '%/made-' || (bytes - 1)) AS wrong_files,
    count(*) FILTER (comm LIKE 'c%' AND TRY_CAST(substr(comm, 2) AS INT) % 1000 IS DISTINCT FROM bytes - 1)
        AS wrong_names
FROM calls WHERE syscall = 'pread64' AND bytes > 0 AND (file IS NULL OR file NOT LIKE '%/libc.so.6')
"""


def test_memory_is_bounded_whatever_the_program_does(start: Start, programs: Path, work: Path) -> None:
    sizes = map(str, (PATHS, PROCESSES, NAMES, DESCRIPTORS, DEPTH))
    recorder = start("record", "-o", "a.parquet", "-e", "openat,pread64,prctl", "--", programs / "growth", *sizes)
    peak_kib = 0
    while recorder.poll() is None:
        found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{recorder.pid}/status").read_text())
        peak_kib = int(found[1]) if found else peak_kib
        try:
            recorder.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    output, messages = recorder.communicate(timeout=SECONDS)
    assert recorder.returncode == 0, messages
    assert 0 < peak_kib < MOST_MIB << 10
    with tracer.open(work / "a.parquet") as opened:
        (looks,) = opened.sql(LOOKS).to_pylist()
        loss = opened.loss
    assert loss is not None
    assert loss["untracked_fds"] > 0
    assert 0 <= int(output) - looks["calls"] <= sum(number or 0 for number in loss.values()) - loss["untracked_fds"]
    assert (looks["wrong_files"], looks["wrong_names"]) == (0, 0)
    assert looks["known"] > 0.8 * looks["calls"]
    assert looks["names"] > 0.8 * NAMES / 100
