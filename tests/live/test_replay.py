"""A replay gives the table that the recording of the same run is, column by column."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, until_attached

pytestmark = pytest.mark.beside_others

SOURCES = Path(__file__).parent.parent / "programs"


def assert_equal(recording: Path, replayed: Path) -> pa.Table:
    """Both tables, column by column, and both footers."""
    one, other = pq.read_table(recording), pq.read_table(replayed)
    assert one.num_rows == other.num_rows > 0
    for name in one.schema.names:
        assert one.column(name).equals(other.column(name)), name
    assert one.schema.equals(other.schema)
    assert pq.read_metadata(recording).metadata.items() >= own_keys(replayed).items()
    return one


def own_keys(recording: Path) -> dict[bytes, bytes]:
    metadata = pq.read_metadata(recording).metadata
    return {key: value for key, value in metadata.items() if key.startswith(b"tracer.")}


def record_and_replay(cli: Cli, work: Path, command: list[str | Path], *options: str) -> pa.Table:
    here = work.parent
    cli("record", "-o", here / "a.parquet", "--raw", here / "a.raw", *options, "--", *command)
    cli("replay", here / "a.raw", "-o", here / "b.parquet")
    return assert_equal(here / "a.parquet", here / "b.parquet")


@pytest.mark.parametrize(
    "program", ["channels", "descriptors", "directories", "failures", "fork_storm", "odd_names", "spawn", "thread_exec"]
)
def test_program(program: str, programs: Path, cli: Cli, work: Path) -> None:
    table = record_and_replay(cli, work, [programs / program], "-e", "all")
    assert {"fd", "arg", "kernel"} & set(table.column("file_source").to_pylist())


def test_python_with_sqlite(cli: Cli, work: Path) -> None:
    table = record_and_replay(cli, work, [sys.executable, "-S", "-E", SOURCES / "files_and_sqlite.py"])
    assert table.num_rows > 1000


def test_only_failures(cli: Cli, work: Path) -> None:
    table = record_and_replay(cli, work, ["sh", "-c", "cat nothing; read x < /etc/passwd; true"], "-Z", "-e", "openat")
    assert {row["ret"] for row in table.select(["ret"]).to_pylist()} == {-2}


def test_process_that_was_there_before(start: Start, cli: Cli, work: Path) -> None:
    """Its descriptors and its name were asked of /proc, or told by the kernel: the answers are in the stream."""
    (work / "old").write_text("line\n" * 3)
    script = "exec 7< old; read go; read x <&7; rm old; read y <&7; cd /; read z < etc/passwd"
    with subprocess.Popen(["sh", "-c", script], cwd=work, stdin=subprocess.PIPE) as process:
        tracer = start("record", "-o", "a.parquet", "--raw", "a.raw", "-f", "-p", str(process.pid), "-e", "all")
        until_attached(tracer)
        process.communicate(b"go\n", timeout=30)
    tracer.communicate(timeout=30)
    assert tracer.returncode == 0
    cli("replay", "a.raw", "-o", "b.parquet")
    table = assert_equal(work / "a.parquet", work / "b.parquet")
    files = set(table.column("file").to_pylist())
    assert {f"{work}/old", "/etc/passwd"} <= files
    assert set(table.column("comm").to_pylist()) >= {"sh", "rm"}


def test_needs_no_rights_and_no_proc(cli: Cli, work: Path) -> None:
    cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "cat", "/etc/passwd")
    cli("replay", "a.raw", "-o", "b.parquet", prefix=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    assert_equal(work / "a.parquet", work / "b.parquet")


def test_closing_line_and_existing_file(cli: Cli, work: Path) -> None:
    cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
    said = cli("replay", "a.raw", "-o", "b.parquet").stderr
    rows = pq.read_metadata(work / "b.parquet").num_rows
    assert said.startswith(f"tracer-cli: {rows} rows in ")
    assert "nothing lost; b.parquet, " in said
    before = (work / "b.parquet").read_bytes()
    assert "b.parquet exists" in cli("replay", "a.raw", "-o", "b.parquet", status=2).stderr
    assert (work / "b.parquet").read_bytes() == before
    assert cli("replay", "-q", "--force", "a.raw", "-o", "b.parquet").stderr == ""


def test_a_stream_is_not_replayed_into_itself(cli: Cli, work: Path) -> None:
    cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
    before = (work / "a.raw").read_bytes()
    (work / "link.raw").symlink_to("a.raw")
    for name in ("a.raw", "link.raw"):
        assert "into itself" in cli("replay", "--force", "a.raw", "-o", name, status=2).stderr
    assert (work / "a.raw").read_bytes() == before


def test_losses_are_told_again(cli: Cli, work: Path) -> None:
    cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
    cli("replay", "a.raw", "-o", "b.parquet")
    live, again = (json.loads(own_keys(work / name)[b"tracer.loss"]) for name in ("a.parquet", "b.parquet"))
    assert live == again
