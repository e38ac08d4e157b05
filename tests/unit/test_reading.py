"""Recordings of any size are read in little memory: none is ever there as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from test_recording import CALL

from tracer import recording
from tracer.repair import scan
from tracer.schema import SCHEMA
from tracer.sinks.flight import Slice
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.window import Window

ROWS = 1 << 16
BATCHES = 24
RANDOM = ("gap_ns", "latency_ns", "ret", "bytes", "offset", "inode")
"""Columns that no codec shrinks: three megabytes a batch."""


def telling() -> dict[str, str]:
    return {"schema_version": "2", "loss": "{}"}


def write(file: ParquetFile, batches: int = BATCHES) -> int:
    """Row groups into a file; their size."""
    random = np.random.default_rng(0)
    (call,) = pa.Table.from_pylist([CALL | {"seq": 0, "time_ns": 0}], schema=SCHEMA).to_batches()
    batch = call.take(pa.array(np.zeros(ROWS, np.int32)))
    for _ in range(batches):
        for name in RANDOM:
            numbers = pa.array(random.integers(0, 1 << 62, ROWS))
            batch = batch.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), numbers)
        file.write(batch, telling)
    return file.bytes_written


def rows_of_a_recording(path: Path) -> Iterator[pa.RecordBatch]:
    with recording.open(path) as opened:
        yield from opened.batches(ROWS)


def rows_of_segments(path: Path) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        window = Window(file.fileno(), path.stat().st_size)
        for segment in scan.scan(window).segments:
            yield from scan.batches(window, segment)


def kept_mib(field: str) -> float:
    """VmRSS or VmHWM, what this process has in memory or had at the most (proc(5))."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 1024


def grown_mib(batches: Iterator[pa.RecordBatch]) -> float:
    """How much more there is in memory at the most, while all are looked at."""
    before = kept_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    assert sum(batch.num_rows for batch in batches) == ROWS * BATCHES
    return kept_mib("VmHWM") - before


@pytest.mark.parametrize("read", [rows_of_a_recording, rows_of_segments])
def test_a_file(read: Callable[[Path], Iterator[pa.RecordBatch]], tmp_path: Path) -> None:
    first = ParquetFile(tmp_path / "first.parquet")
    write(first, 2)
    first.close(telling())
    assert sum(batch.num_rows for batch in read(tmp_path / "first.parquet")) == 2 * ROWS  # what the first one takes
    file = ParquetFile(tmp_path / "x.parquet")
    size_mib = write(file) / 2**20
    file.close(telling())
    assert grown_mib(read(tmp_path / "x.parquet")) < size_mib / 2


def test_a_slice_of_a_flight_recorder(tmp_path: Path) -> None:
    part = Slice(tmp_path / "x.parquet", {}, durable=False)
    size_mib = write(part.file) / 2**20
    part.finish(telling())
    assert grown_mib(part.batches()) < size_mib / 2
