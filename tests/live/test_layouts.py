"""Recordings in parts, as `tracer-cli record` makes them."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
from conftest import Cli

from tracer import recording

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
