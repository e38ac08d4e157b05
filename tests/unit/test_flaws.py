"""Recordings with rows that can't be: all that read them say the same, and nothing is made of them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_recording import calls_table, write_recording

from tracer import recording
from tracer.errors import DamagedFileError
from tracer.repair import scan
from tracer.repair.compact import compact
from tracer.reports.summary import GROUPS, summary
from tracer.schema import COLUMNS, SCHEMA

REQUIRED = [column.name for column in COLUMNS if not column.nullable]
CALLS = [{"latency_ns": 5, "bytes": 1}, {"latency_ns": 7}, {}]


def with_last(name: str, value: object, path: Path) -> Path:
    """A recording whose last row has this value; the file lets any value miss."""
    table = calls_table(CALLS)
    values = [*table[name].to_pylist()[:-1], value]
    schema = pa.schema([field.with_nullable(True) for field in SCHEMA], {"tracer.schema_version": "1"})
    columns = [pa.array(values, field.type) if field.name == name else table[field.name] for field in SCHEMA]
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


def refusals(path: Path) -> set[str]:
    """What each reader says. Nothing is left of what it was to write."""
    said = []
    for by in GROUPS:
        with recording.open(path) as opened, pytest.raises(DamagedFileError) as caught:
            summary(opened, by, limit=1)
        said.append(caught.value)
    with recording.open(path) as opened, pytest.raises(DamagedFileError) as caught:
        opened.arrow()
    said.append(caught.value)
    with pytest.raises(DamagedFileError) as caught:
        compact(path, path.with_name("out.parquet"))
    said.append(caught.value)
    assert list(path.parent.iterdir()) == [path]
    return {str(error).removeprefix(f"can't read {path}: ") for error in said}


@pytest.mark.parametrize("value", [-1, -(2**63)])
@pytest.mark.parametrize("name", ["latency_ns", "bytes"])
def test_a_negative_sum_is_no_sum(name: str, value: int, tmp_path: Path) -> None:
    assert refusals(with_last(name, value, tmp_path / "a.parquet")) == {f"{name} is negative in some rows"}


@pytest.mark.parametrize("name", REQUIRED)
def test_what_must_not_miss(name: str, tmp_path: Path) -> None:
    assert refusals(with_last(name, None, tmp_path / "a.parquet")) == {f"{name} is missing in some rows"}


@pytest.mark.parametrize(("name", "value", "flaw"), [("bytes", -1, "negative"), ("pid", None, "missing")])
def test_recover_makes_no_recording_that_others_refuse(name: str, value: int | None, flaw: str) -> None:
    (batch,) = calls_table([{}, {name: value}]).to_batches()
    with pytest.raises(ValueError, match=f"{name} is {flaw} in some rows"):
        scan.checked(batch)


@pytest.mark.parametrize("name", [column.name for column in COLUMNS if column.nullable])
def test_what_may_miss_in_all_rows(name: str, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.parquet", [{name: None}] * 3)
    with recording.open(path) as opened:
        totals = summary(opened).totals
        assert (totals.calls, opened.arrow().num_rows) == (3, 3)
    assert totals.total_ns == (0 if name == "latency_ns" else 300)
    assert compact(path, tmp_path / "out.parquet").rows == 3


def test_a_part_among_sound_ones(tmp_path: Path) -> None:
    write_recording(tmp_path / "d" / "a.parquet", CALLS)
    with_last("pid", None, tmp_path / "d" / "b.parquet")
    with recording.open(tmp_path / "d") as opened, pytest.raises(DamagedFileError, match="pid is missing"):
        summary(opened)
    with pytest.raises(DamagedFileError, match=r"b\.parquet: pid is missing"):
        compact(tmp_path / "d", tmp_path / "out.parquet")


def test_what_other_tools_wrote_anew_is_read_as_before(tmp_path: Path) -> None:
    """They make all columns such that may miss."""
    path, again = write_recording(tmp_path / "a.parquet", CALLS), tmp_path / "b.parquet"
    duckdb.sql(
        f"COPY (SELECT * FROM '{path}') TO '{again}' (FORMAT parquet, KV_METADATA {{'tracer.schema_version': '1'}})"
    )
    with recording.open(path) as first, recording.open(again) as second:
        assert first.flaws.keys() < second.flaws.keys()
        assert summary(first) == summary(second)
