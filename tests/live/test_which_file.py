"""The columns that tell files and namespaces apart where names do not: device, inode, mount_namespace."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, end, go_on, until_attached

pytestmark = pytest.mark.beside_others

OWN = range(100, 103)
COLUMNS = ["tid", "pid", "syscall", "fd", "offset", "file", "device", "inode", "mount_namespace"]


def told(recording: Path) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """The rows of which the program told more, and what the three seeks behind each say."""
    rows = pq.read_table(recording, columns=COLUMNS).to_pylist()
    rows.sort(key=operator.itemgetter("tid"))  # what each thread did stays in order
    for at, row in enumerate(rows):
        seeks = [then for then in rows[at + 1 : at + 4] if (then["tid"], then["syscall"]) == (row["tid"], "lseek")]
        if row["syscall"] == "fcntl" and len(seeks) == 3 and all(seek["fd"] in OWN for seek in seeks):
            yield row, [seek["offset"] for seek in seeks]


def assert_told(recording: Path, *, least: int) -> None:
    found = list(told(recording))
    for row, said in found:
        assert [row["inode"], row["device"], row["mount_namespace"]] == said, row
        assert row["file"] is not None
    assert len(found) >= least
    assert len({row["mount_namespace"] for row, _ in found}) > 1  # four, but for numbers that the kernel gives again


def test_files_and_namespaces(programs: Path, cli: Cli, work: Path) -> None:
    cli("record", "-o", "out.parquet", "--raw", "out.raw", "-e", "fcntl,lseek", "--", programs / "which_file")
    cli("replay", "out.raw", "-o", "again.parquet")
    for name in ("out.parquet", "again.parquet"):
        assert_told(work / name, least=150)


@pytest.mark.parametrize("option", ["-p", "-a"])
def test_those_that_were_there_before_the_trace(option: str, programs: Path, run, start: Start, work: Path) -> None:
    process = run(programs / "which_file", "wait")
    assert process.stdout.readline() == b"ready\n"
    selected = ["-p", str(process.pid)] if option == "-p" else ["-a"]
    tracer = start("record", "-o", "out.parquet", "-e", "fcntl,lseek", *selected)
    until_attached(tracer)
    go_on(process)
    if option == "-a":
        end(tracer)
    else:
        assert tracer.wait(timeout=60) == 0
    assert_told(work / "out.parquet", least=100)


def test_a_descriptor_that_bpf_returns(programs: Path, cli: Cli, work: Path) -> None:
    cli("record", "-o", "out.parquet", "-e", "bpf,fcntl", "--", programs / "channels")
    rows = pq.read_table(work / "out.parquet", columns=[*COLUMNS, "ret"]).to_pylist()
    at = next(at for at, row in enumerate(rows) if row["syscall"] == "bpf")
    keys = ("fd", "file", "device", "inode")
    made, used, loaded, run, *rest = [tuple(row[key] for key in keys) for row in rows[at : at + 6]]
    assert (made, loaded) == (used, run)
    assert (made[1], loaded[1]) == ("anon_inode:bpf-map", "anon_inode:bpf-prog")
    assert rest == [(None,) * 4] * 2


def test_what_has_no_descriptor_has_none(cli: Cli, work: Path) -> None:
    """Where a path was asked for, nobody looked which file that is; the namespace is there to tell whose path it is."""
    cli("record", "-o", "out.parquet", "-e", "access,faccessat,faccessat2", "--", "test", "-r", "/etc/passwd")
    (row,) = pq.read_table(work / "out.parquet", filters=[("file", "=", "/etc/passwd")]).to_pylist()
    assert (row["device"], row["inode"]) == (None, None)
    assert f"mnt:[{row['mount_namespace']}]" == os.readlink("/proc/self/ns/mnt")
