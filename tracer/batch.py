"""From column buffers to Arrow: record batches of `tracer.schema.SCHEMA`, without copying the numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracer import schema
from tracer._fast import Columns
from tracer._fast.arrow import Exporter
from tracer._fast.rowring import Rows

_EXPORTER = Exporter([column.name for column in schema.COLUMNS])


def record_batch(columns: Columns, first_seq: int | None = None) -> pa.RecordBatch:
    """The rows as an Arrow batch that shares the columns' memory, which is not used again before the batch is gone.

    Rows are numbered from `first_seq`, or as in their session. Raises ValueError if the columns have been released.
    """
    first_seq = columns.first_seq if first_seq is None else first_seq
    # Arrow's public way in, __arrow_c_array__, would import the schema anew for each batch.
    return pa.RecordBatch._import_from_c(_EXPORTER.export(columns, first_seq), schema.SCHEMA)


def batch_of_rows(rows: Rows) -> pa.RecordBatch:
    """Rows of a ring as an Arrow batch that shares their memory; they are numbered as in their session."""
    return pa.RecordBatch.from_arrays([_array(rows, column) for column in schema.COLUMNS], schema=schema.SCHEMA)


def _array(rows: Rows, column: schema.Column) -> pa.Array:
    name, count = column.name, rows.rows
    if name == "time":
        return _fixed(column.type, count, None, (rows.arrays["time_ns"] + rows.wall_offset_ns) // 1000)
    if name == "restarts":
        return pa.array(np.zeros(count, np.int32))
    valid = rows.valid.get(name)
    if column.nullable and valid is None:
        return pa.nulls(count, column.type)
    if column.type != schema.TEXT:
        return _fixed(column.type, count, valid, rows.arrays[name])
    offsets, data = rows.texts[name]
    texts = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    return pa.DictionaryArray.from_arrays(_fixed(pa.int32(), count, valid, rows.arrays[name]), texts, safe=False)


def _fixed(
    kind: pa.DataType, rows: int, valid: npt.NDArray[np.uint8] | None, data: npt.NDArray[np.generic]
) -> pa.Array:
    validity = None if valid is None else pa.py_buffer(valid)
    return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(data)])
