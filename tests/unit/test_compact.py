"""Many small files into one: the same rows, the same facts, little memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from test_recording import calls_table, write_recording

from tracer import recording
from tracer.cli.compact import compact as verb
from tracer.errors import DamagedFileError, OutputError, UsageError
from tracer.repair.compact import compact
from tracer.schema import SCHEMA
from tracer.sinks import rewriting


def test_rows_facts_and_losses_are_those_of_the_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(rewriting, "GROUP_ROWS", 10)
    for number in range(8):
        calls = [{"file": f"/{number}/{row}", "bytes": row} for row in range(4)]
        loss = json.dumps({"ring_full": number, "unsure": None})
        write_recording(
            tmp_path / "d" / f"{number}.parquet", calls, session="s", started_at=f"t{number % 2}", loss=loss
        )
    done = compact(tmp_path / "d", tmp_path / "one.parquet")
    assert (done.rows, done.parts, done.size_bytes) == (32, 8, (tmp_path / "one.parquet").stat().st_size)
    footer = pq.read_metadata(tmp_path / "one.parquet")
    assert [footer.row_group(n).num_rows for n in range(footer.num_row_groups)] == [10, 10, 10, 2]
    with recording.open(tmp_path / "d") as parts, recording.open(tmp_path / "one.parquet") as one:
        before, after = parts.arrow(), one.arrow()
        assert after.schema.equals(SCHEMA)
        assert after.drop_columns(["seq"]).to_pylist() == before.drop_columns(["seq"]).to_pylist()
        assert after.column("seq").to_pylist() == list(range(32))
        assert one.loss == {"ring_full": 28, "unsure": None}
        assert one.metadata["session"] == "s"
        assert json.loads(one.metadata["sources"]) == [{"started_at": "t0"}, {"started_at": "t1"}]
    compact(tmp_path / "one.parquet", tmp_path / "two.parquet")
    with recording.open(tmp_path / "two.parquet") as two:
        assert json.loads(two.metadata["sources"]) == [{"started_at": "t0"}, {"started_at": "t1"}]


def test_long_names_make_a_group_earlier(tmp_path, monkeypatch):
    calls = [{"file": "/" + f"{number}" * 1000} for number in range(40)]
    path = write_recording(tmp_path / "a.parquet", calls)
    monkeypatch.setattr("tracer.repair.compact.BATCH_ROWS", 4)
    monkeypatch.setattr(rewriting, "GROUP_BYTES", 20_000)
    compact(path, tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "b.parquet").equals(pq.read_table(path))
    footer = pq.read_metadata(tmp_path / "b.parquet")
    assert 2 <= footer.num_row_groups <= 10


def test_a_file_that_another_tool_rewrote(tmp_path):
    import duckdb

    path = write_recording(tmp_path / "a.parquet", [{"file": "/a"}, {"file": None}])
    keys = "KV_METADATA {'tracer.schema_version': '1'}"
    duckdb.sql(f"COPY '{path}' TO '{tmp_path}/b.parquet' (FORMAT parquet, {keys})")
    compact(tmp_path / "b.parquet", tmp_path / "c.parquet")
    assert pq.read_table(tmp_path / "c.parquet").equals(calls_table([{"file": "/a"}, {"file": None}]))


def test_refusals(tmp_path):
    path = write_recording(tmp_path / "a.parquet", [{}])
    (tmp_path / "bad").mkdir()
    data = path.read_bytes()
    (tmp_path / "bad" / "x.parquet").write_bytes(data[:40] + bytes(300) + data[340:])
    with pytest.raises(UsageError, match="into itself"):
        compact(path, path, force=True)
    for place in ("new.parquet", "../bad/new.parquet", "x.parquet", "deeper/new.parquet"):
        with pytest.raises(UsageError, match="into itself"):
            compact(tmp_path / "bad", tmp_path / "bad" / place, force=True)
    (tmp_path / "bad" / "x.parquet").write_bytes(data)
    compact(tmp_path / "bad", tmp_path / "bad-too.parquet")
    (tmp_path / "bad-too.parquet").unlink()
    (tmp_path / "bad" / "x.parquet").write_bytes(data[:40] + bytes(300) + data[340:])
    with pytest.raises(OutputError, match="exists"):
        compact(path, write_recording(tmp_path / "b.parquet", [{}]))
    with pytest.raises(DamagedFileError, match="can't read"):
        compact(tmp_path / "bad", tmp_path / "c.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "bad"]


def test_a_name_that_is_too_long_is_told(tmp_path):
    path = write_recording(tmp_path / "a.parquet", [{}])
    with pytest.raises(OutputError, match="can't be written: File name too long"):
        compact(path, tmp_path / ("x" * 300))


def test_verb(tmp_path):
    path = write_recording(tmp_path / "a.parquet", [{}, {}])
    ended = CliRunner().invoke(verb, [str(path), "-o", str(tmp_path / "b.parquet")])
    assert ended.exit_code == 0
    assert ended.stderr.startswith(f"tracer-cli: 2 rows of 1 part; {tmp_path}/b.parquet, ")
    assert ended.stdout == ""


MEASURED = """
import resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from tracer.repair.compact import compact
compact(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    for folder, parts in (("small", 2), ("large", 40)):
        first = write_recording(tmp_path / folder / "0.parquet", [{"file": f"/{n}"} for n in range(20_000)])
        for number in range(1, parts):
            (tmp_path / folder / f"{number}.parquet").write_bytes(first.read_bytes())
    code = MEASURED.format(path=sys.path)
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", code, tmp_path / name, tmp_path / f"{name}.parquet"]))
        for name in ("small", "large")
    ]
    assert peaks[1] < peaks[0] + 150
