"""What pyarrow takes to write the same rows, without us: what our file is measured against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from workload import Pipeline

from tracer import schema
from tracer._fast import Columns
from tracer.batch import record_batch
from tracer.sinks.parquet_options import WRITER_OPTIONS, footer_keys

PLAIN_ZSTD: dict[str, Any] = {"compression": "zstd"}
"""What one tells pyarrow who has not looked for the best encodings."""


class PyArrowAlone(Pipeline):
    """Writes batches that are there to a file: the same rows, schema, row groups and footer keys as ours; the same
    codec and encodings too, unless `options` says otherwise."""

    def __init__(self, folder: Path, *, sync: bool = False, options: dict[str, Any] | None = None, **more: Any) -> None:
        super().__init__(folder, **more)
        self.sync = sync
        self.options = WRITER_OPTIONS if options is None else options
        self.keys = footer_keys(self.footer())
        self.held: list[Columns] = []
        self.batches: list[pa.RecordBatch] = []
        self.covers = (
            "pyarrow's ParquetWriter made, batches and footer keys that are there written, file closed"
            + ("" if options is None else f", with {options} and pyarrow's defaults")
            + (", and synced to disk (fsync)" if sync else "")
            + ". Not: making the events, the batches and the keys"
        )

    def prepare(self) -> None:
        super().prepare()
        self.feed()

    def consume(self, columns: Columns) -> None:
        self.batches.append(record_batch(columns))
        self.held.append(columns)

    def run(self) -> None:
        # given a name, not a file of Python's, through which Arrow allocates more
        with pq.ParquetWriter(str(self.path), schema.SCHEMA, **self.options) as writer:
            for batch in self.batches:
                writer.write_batch(batch, row_group_size=batch.num_rows)
            writer.add_key_value_metadata(self.keys)
        if self.sync:
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    def finish(self) -> None:
        self.batches.clear()
        for columns in self.held:
            columns.release()
        self.held.clear()
