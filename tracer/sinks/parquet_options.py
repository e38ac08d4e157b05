"""What Arrow's Parquet writer is told, by whoever writes rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tracer import schema

ZSTD_LEVEL = 1

TEXT_COLUMNS = [column.name for column in schema.COLUMNS if column.type == schema.TEXT]

REPEATED_COLUMNS = ["device", "inode", "mount_namespace"]
"""Numbers of which there are few: as a dictionary's they take 0.03 bytes a row of `dd` where they took 0.79, and half
the time."""

DELTA_COLUMNS = {"seq": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED", "time_ns": "DELTA_BINARY_PACKED"}
"""Columns that only grow: deltas are a tenth of the size before compression, and cheaper to compress."""

WRITER_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": ZSTD_LEVEL,
    "use_dictionary": TEXT_COLUMNS + REPEATED_COLUMNS,
    "column_encoding": DELTA_COLUMNS,
    "store_schema": True,
    "write_statistics": [column.name for column in schema.COLUMNS if column.type != schema.TEXT],
}
"""What Arrow's writer is told of codec and encodings. Least and greatest values let readers pass over row groups; those
of texts hardly ever would, and finding them took a fifth of all writing."""

GROUP_ROWS = 1 << 17
"""Rows of a full row group."""

GROUP_BYTES = 32 << 20
"""Memory of one: rows with long names of their own make one earlier."""

FOOTER_PREFIX = "tracer."

Footer = Callable[[], Mapping[str, str]]
"""What tells the footer keys, without that prefix, as they are now. It may take milliseconds: it is asked only when
something is made safe or completed, on the writer's thread."""


def footer_keys(footer: Mapping[str, str]) -> dict[str, str]:
    """The keys as they stand in a file."""
    return {FOOTER_PREFIX + key: value for key, value in footer.items()}
