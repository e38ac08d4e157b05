"""Recordings in parts, as `tracer-cli record` makes them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, until, until_attached

from tracer import recording

pytestmark = pytest.mark.beside_others

READS = ["--", "sh", "-c", "n=0; while [ $n -lt 200 ]; do read x < /etc/passwd; n=$((n+1)); done"]


def parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_a_folder_of_parts(cli: Cli, work: Path) -> None:
    said = cli("record", "-c", "-o", "calls/", "--rotate-rows", "300", *READS).stderr
    assert re.search(r"rows in .*; calls/ \(\d+ parts\), ", said)
    assert " openat\n" in said
    files = parquet_files(work / "calls")
    pattern = r"calls/events/host=[^/]+/date=\d{4}-\d\d-\d\d/[0-9a-f]{32}-\d{4}\.parquet"
    assert all(re.fullmatch(pattern, str(path.relative_to(work))) for path in files)
    counts = [pq.read_metadata(path).num_rows for path in files]
    assert set(counts[:-1]) == {300}
    assert len(counts) > 2
    with recording.open(work / "calls") as opened:
        assert opened.arrow().column("seq").to_pylist() == list(range(sum(counts)))
        assert set((opened.loss or {}).values()) == {0}
        assert opened.metadata["command"].startswith("sh -c ")
    cli("record", "-q", "-o", "calls", "--", "true")  # there is a folder of that name: a second session in it
    with recording.open(work / "calls") as opened:
        assert opened.rows > sum(counts)


def test_a_summary_is_of_this_session_whatever_lies_beside(cli: Cli, work: Path) -> None:
    cli("record", "-q", "-o", "calls/", *READS)
    said = cli("record", "-c", "-o", "calls/", "-e", "chdir", "--", "sh", "-c", "cd /; exit 5", status=5).stderr
    assert " chdir\n" in said
    assert " openat\n" not in said
    (work / "calls" / "other.parquet").write_bytes(b"no recording")
    said = cli("record", "-c", "-o", "calls/", "-e", "chdir", "--", "sh", "-c", "cd /; exit 5", status=5).stderr
    assert "other.parquet is not a recording" in said


def test_numbered_files_of_which_the_last_are_kept(cli: Cli, work: Path) -> None:
    said = cli("record", "-o", "x.parquet", "--rotate-rows", "200", "--keep", "2", *READS).stderr
    assert re.search(r"x-\*\.parquet \(2 parts\), \d+ older with [\d,]+ rows removed by --keep", said)
    names = [path.name for path in work.iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch(r"x-\d{4}\.parquet", name) for name in names)
    refused = cli("record", "-o", "x.parquet", "--rotate-rows", "200", "--", "touch", "mark", status=2).stderr
    assert "exists" in refused
    assert not (work / "mark").exists()


def test_options_that_make_no_sense(cli: Cli, work: Path) -> None:
    assert "--keep needs parts" in cli("record", "--keep", "2", "--", "true", status=2).stderr
    refused = cli("record", "-c", "-o", "x.parquet", "--rotate-rows", "9", "--", "true", status=2).stderr
    assert "-c can't sum up numbered files" in refused
    assert not list(work.iterdir())


def test_a_flight_recorder(start: Start, work: Path) -> None:
    script = "echo $$; while read x; do cat $x; done"
    tracer = start("record", "-o", "x.parquet", "--ring", "4s", "--", "sh", "-c", script)
    tracer.stdout.readline()

    def read_file(name: str) -> None:
        (work / name).write_text(f"{name}\n")
        tracer.stdin.write(f"{name}\n".encode())
        tracer.stdin.flush()
        assert tracer.stdout.readline() == f"{name}\n".encode()

    read_file("early")
    time.sleep(5)  # until it is too old for the second snapshot
    read_file("middle")
    tracer.send_signal(signal.SIGUSR1)
    until((work / "x-0001.parquet").exists, "the snapshot")
    read_file("late")
    _, messages = tracer.communicate(timeout=30)
    assert tracer.returncode == 0
    assert re.search(rb"x-\*\.parquet \(2 snapshots\)", messages)
    assert sorted(path.name for path in work.glob("*.parquet")) == ["x-0001.parquet", "x-0002.parquet"]
    assert list(work.glob(".*")) == []
    first, second = (read_in(work / f"x-000{number}.parquet") for number in (1, 2))
    assert "middle" in first
    assert "early" not in first
    assert "late" not in first
    assert "late" in second


def has_taken(tracer: subprocess.Popen[bytes], number: int) -> bool:
    """Whether a signal would not end the process any more, or not yet."""
    fields = dict(line.split(":") for line in Path(f"/proc/{tracer.pid}/status").read_text().splitlines())
    return any(int(fields[field], 16) >> (number - 1) & 1 for field in ("SigBlk", "SigCgt"))


@pytest.mark.parametrize("moment", ["import", "load"])
def test_a_snapshot_that_is_asked_for_before_there_is_anything(moment: str, start: Start, work: Path) -> None:
    tracer = start("record", "-o", "x.parquet", "--ring", "60s", "--", "cat")
    until(lambda: has_taken(tracer, signal.SIGUSR1), "the first look at signals")
    if moment == "load":
        until(lambda: list(work.glob(".*.tmp")), "the first slice")
    tracer.send_signal(signal.SIGUSR1)
    until((work / "x-0001.parquet").exists, "the snapshot")
    tracer.communicate(timeout=30)
    assert tracer.returncode == 0
    assert sorted(path.name for path in work.iterdir()) == ["x-0001.parquet", "x-0002.parquet"]
    assert read_in(work / "x-0001.parquet")


@pytest.mark.parametrize("moment", ["import", "trace"])
def test_without_a_ring_the_signal_is_told_of_and_nothing_more(moment: str, start: Start, work: Path) -> None:
    tracer = start("record", "-o", "x.parquet", "--", "cat")
    until(lambda: has_taken(tracer, signal.SIGUSR1), "the first look at signals")
    if moment == "trace":
        until_attached(tracer)
    tracer.send_signal(signal.SIGUSR1)
    assert tracer.stderr.readline() == b"tracer-cli: SIGUSR1 writes nothing without --ring; the recording goes on\n"
    tracer.communicate(timeout=30)
    assert tracer.returncode == 0
    assert [path.name for path in work.iterdir()] == ["x.parquet"]
    assert read_in(work / "x.parquet")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("options", [(), ("--ring", "60s"), ("--raw", "x.raw")])
def test_a_recording_that_is_ended_before_it_traces(
    number: int, options: tuple[str, ...], start: Start, work: Path
) -> None:
    tracer = start("record", "-o", "x.parquet", *options, "-p", str(os.getpid()))
    until(lambda: list(work.glob(".*.tmp")), "the output")
    tracer.send_signal(number)
    tracer.communicate(timeout=30)
    assert tracer.returncode == 0
    assert list(work.glob(".*")) == []


def read_in(path: Path) -> set[str]:
    return {Path(name).name for name in pq.read_table(path).column("file").to_pylist() if name}
