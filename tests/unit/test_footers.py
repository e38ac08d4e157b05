"""One footer of many, against the one that pyarrow makes of them."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_crash_safety import batch_of

from tracer.repair.scan import NOTHING, Scan, scan
from tracer.schema import SCHEMA
from tracer.sinks import parquet_file
from tracer.sinks.footers import END_BYTES, MAGIC, footer_of, row_groups
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.parquet_options import WRITER_OPTIONS
from tracer.sinks.segments import MOST_GROUPS
from tracer.sinks.window import Window

FOOTER = {"schema_version": "1", "loss": '{"ring_full": 0}'}


def file_of(*groups: int) -> tuple[pq.FileMetaData, bytes]:
    """A file with row groups of so many rows: as pyarrow knows it, and its footer."""
    out = io.BytesIO()
    with pq.ParquetWriter(out, SCHEMA, **WRITER_OPTIONS) as writer:
        for rows in groups:
            writer.write_table(pa.Table.from_batches([batch_of(0, rows)]), row_group_size=max(1, rows))
    file = out.getvalue()
    return writer.writer.metadata, file[-END_BYTES - int.from_bytes(file[-END_BYTES:-4], "little") : -END_BYTES]


@pytest.mark.parametrize("groups", [[], [1], [63], [64, 200], [5] * 14, [5] * 15, [9000, 1] * 100])
def test_is_what_pyarrow_makes(groups: list[int]) -> None:
    whole, empty = file_of()
    pieces = []
    for rows in groups:
        known, footer = file_of(rows, rows)
        whole.append_row_groups(known)
        found = row_groups(footer)
        assert (found.groups, found.rows) == (2, 2 * rows)
        pieces.append(footer[found.start : found.end])
    out = io.BytesIO()
    whole.write_metadata_file(out)
    assert MAGIC + b"".join(footer_of(empty, 2 * len(groups), 2 * sum(groups), pieces)) == out.getvalue()


@pytest.mark.parametrize(
    "fields",
    [
        b"\x36\x08\x00",  # no row groups
        b"\x36\x08\x1b\x00\x00",  # a map where it should be
        b"\x36\x08\x19\x2c\x15\x02\x00",  # two of them, and the end comes before the second
        b"\x36\x08\x19\x1c\x18",
        b"",
    ],
)
def test_what_is_no_footer_is_refused(fields: bytes) -> None:
    with pytest.raises((KeyError, ValueError, IndexError)):
        row_groups(fields)


def test_every_way_to_write_a_field_is_understood() -> None:
    group = b"\x15\x80\x01\x11\x12\x13\xff\x17" + bytes(8) + b"\x18\x02ab\x19\x21\x01\x02\x00"
    footer = b"\x06\x06\x08" + b"\x09\x08\x1c" + group + b"\x00"  # 3 and 4 by their numbers, not by steps
    found = row_groups(footer)
    assert (footer[found.start : found.end], found.groups, found.rows) == (group, 1, 4)


def scan_of(path: Path) -> Scan:
    with path.open("rb") as stream:
        return scan(Window(stream.fileno(), path.stat().st_size))


def resident_kib() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0])


@pytest.mark.parametrize(("durable", "groups"), [(True, 350), (False, 1000)])
def test_what_is_kept_of_row_groups_is_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, groups: int
) -> None:
    """A recording of ten minutes has 900. What pyarrow knows of these took 8 MB, and 40 where they have no segments."""
    monkeypatch.setattr(parquet_file, "SMALL_ROWS", 1)
    batch = batch_of(0, 100)
    sizes = []
    file = ParquetFile(tmp_path / "a.parquet", durable=durable)
    for _ in range(groups):
        file.write(batch, lambda: FOOTER)
        if durable:
            file.sync(lambda: FOOTER)
        sizes.append(resident_kib())
    file.close(FOOTER)
    assert resident_kib() - sizes[100] < 3072
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == groups


def test_a_long_file_that_is_not_durable_is_whole_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    file = ParquetFile(path)
    for first in range(2 * MOST_GROUPS + 1):
        file.write(batch_of(first, 1), lambda: FOOTER)
    file.file.sync()
    assert scan_of(file.file.temporary) == NOTHING
    file.finish(FOOTER)
    file.file.sync()
    (whole,) = scan_of(file.file.temporary).segments
    assert (whole.start, whole.rows) == (0, 2 * MOST_GROUPS + 1)
    file.file.commit()
    table = pq.read_table(path)
    assert table.column("seq").to_pylist() == list(range(2 * MOST_GROUPS + 1))
    assert pq.read_metadata(path).metadata[b"tracer.loss"] == FOOTER["loss"].encode()


def test_a_file_that_was_cut_meanwhile_is_not_completed(tmp_path: Path) -> None:
    file = ParquetFile(tmp_path / "a.parquet", durable=True)
    for first in range(0, 80_000, 40_000):
        file.write(batch_of(first, 40_000), lambda: FOOTER)
        file.sync(lambda: FOOTER)
    file.file.temporary.open("rb+").truncate(1000)
    with pytest.raises(OSError, match="is not in the file any more"):
        file.close(FOOTER)
    file.abort()
    assert list(tmp_path.iterdir()) == []
