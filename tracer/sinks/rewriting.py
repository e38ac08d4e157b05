"""Rows that are there already, into one well-formed recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tracer import schema
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.parquet_options import GROUP_BYTES, GROUP_ROWS
from tracer.sinks.tail import one_batch


class Rewriter:
    """Batches of the schema, small or large, into row groups of full size, with little memory.

    `renumber` gives rows new numbers, from 0. `seen` counts those taken, `rows` those written.

    Raises OutputError, OSError and what Arrow raises.
    """

    def __init__(self, path: Path, *, force: bool = False, renumber: bool = False) -> None:
        self.rows = 0
        self.seen = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.ended_ns: int | None = None
        """When the last call ended; one that never did counts from its beginning."""
        self.next_seq = 0
        """The number after the last row's."""
        self._renumber = renumber
        self._file = ParquetFile(path, force=force)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    @property
    def seconds(self) -> float:
        """From the first row's beginning to the last one's."""
        return 0.0 if self.first_ns is None or self.last_ns is None else (self.last_ns - self.first_ns) / 1e9

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows."""
        if not batch.num_rows:
            return
        self._see(batch)
        self.seen += batch.num_rows
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        while self._waiting_rows >= GROUP_ROWS:
            self._write_group(GROUP_ROWS)
        if self._waiting_rows and self._waiting_bytes >= GROUP_BYTES:
            self._write_group(self._waiting_rows)

    def close(self, footer: Mapping[str, str]) -> int:
        """Complete the recording; its size."""
        if self._waiting_rows:
            self._write_group(self._waiting_rows)
        return self._file.close(footer)

    def abort(self) -> None:
        """Leave nothing behind. Safe to call twice, and after `close`."""
        self._file.abort()

    def _see(self, batch: pa.RecordBatch) -> None:
        times = pc.min_max(batch.column("time_ns")).as_py()
        self.first_ns = times["min"] if self.first_ns is None else min(self.first_ns, times["min"])
        self.last_ns = times["max"] if self.last_ns is None else max(self.last_ns, times["max"])
        ended_ns = pc.max(ends(batch)).as_py()
        self.ended_ns = ended_ns if self.ended_ns is None else max(self.ended_ns, ended_ns)
        self.next_seq = max(self.next_seq, pc.max(batch.column("seq")).as_py() + 1)

    def _write_group(self, rows: int) -> None:
        table = one_batch(self._waiting)
        rest = table.slice(rows)
        self._waiting, self._waiting_rows = rest.to_batches(), rest.num_rows
        self._waiting_bytes = rest.nbytes if rest.num_rows else 0
        (batch,) = table.slice(0, rows).to_batches()
        if self._renumber:
            numbers = pa.array(range(self.rows, self.rows + rows), pa.int64())
            batch = batch.set_column(0, schema.SCHEMA.field(0), numbers)
        self._file.write(batch, dict)
        self.rows += rows


def ends(batch: pa.RecordBatch) -> pa.Int64Array:
    """When each call ended, on the clock of `time_ns`; one that never did counts from its beginning."""
    return pc.add(batch.column("time_ns"), pc.fill_null(batch.column("latency_ns"), 0))
