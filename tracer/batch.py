"""From column buffers to Arrow: record batches of `tracer.schema.SCHEMA`, without copying the numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracer import schema
from tracer._fast import Columns
from tracer._fast.rowring import Rows


def record_batch(columns: Columns | Rows, first_seq: int | None = None) -> pa.RecordBatch:
    """The rows as an Arrow batch that shares the columns' memory.

    Rows are numbered from `first_seq`, or as in their session. The batch must not be used after `columns.release()`;
    one of `Rows` always may.
    """
    numbers = _numbers(columns) if first_seq is None else np.arange(first_seq, first_seq + columns.rows)
    arrays = [pa.array(numbers), *(_array(columns, column) for column in schema.COLUMNS[1:])]
    return pa.RecordBatch.from_arrays(arrays, schema=schema.SCHEMA)


def _numbers(columns: Columns | Rows) -> npt.NDArray[np.int64]:
    if isinstance(columns, Columns):
        return np.arange(columns.first_seq, columns.first_seq + columns.rows)
    return columns.arrays["seq"].view(np.int64)


def _array(columns: Columns | Rows, column: schema.Column) -> pa.Array:
    name, rows = column.name, columns.rows
    if name == "time":
        micros = (columns.arrays["time_ns"] + columns.wall_offset_ns) // 1000
        return _fixed(column.type, rows, None, micros)
    if name == "restarts":
        return pa.array(np.zeros(rows, np.int32))
    if name == "filter_epoch" and isinstance(columns, Columns):
        return pa.array(np.full(rows, columns.filter_epoch, np.int32))
    valid = columns.valid.get(name)
    if column.nullable and valid is None:
        return pa.nulls(rows, column.type)
    if column.type != schema.TEXT:
        return _fixed(column.type, rows, valid, columns.arrays[name])
    offsets, data = columns.texts[name]
    texts = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    codes = _fixed(pa.int32(), rows, valid, columns.arrays[name])
    return pa.DictionaryArray.from_arrays(codes, texts, safe=False)


def _fixed(
    kind: pa.DataType, rows: int, valid: npt.NDArray[np.uint8] | None, data: npt.NDArray[np.generic]
) -> pa.Array:
    validity = None if valid is None else pa.py_buffer(valid)
    return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(data)])
