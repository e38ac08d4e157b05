"""What Arrow's Parquet writer is told, by whoever writes rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tracer import schema

ZSTD_LEVEL = 1

TEXT_COLUMNS = [column.name for column in schema.COLUMNS if column.type == schema.TEXT]

REPEATED_COLUMNS = ["device", "mount_namespace", "flags", "ret", "bytes", "requested_bytes", "latency_ns"]
"""Numbers that come again and again, times of calls among them: as a dictionary's they are written in half to four
fifths of the time, and take 8 to 56 % less room (in a recording of sockets, results took more)."""

DELTA_COLUMNS = dict.fromkeys(("seq", "time", "time_ns", "gap_ns", "fd", "inode"), "DELTA_BINARY_PACKED")
"""Columns that only grow, and numbers that are often near to the one before: differences take a fifth to a half less
room, and are cheaper to compress. Those of gaps take half the time, and up to a third more room."""

COMPARED_COLUMNS = ["seq", "time", "time_ns", "pid", "tid", "latency_ns"]
"""Columns with least and greatest values, which let readers pass over row groups: of other numbers (and of texts) those
of one group are hardly ever those of another, and finding them took 2 to 6 % of all writing."""

WRITER_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": ZSTD_LEVEL,
    "use_dictionary": TEXT_COLUMNS + REPEATED_COLUMNS,
    "column_encoding": DELTA_COLUMNS,
    "store_schema": True,
    "write_statistics": COMPARED_COLUMNS,
}
"""What Arrow's writer is told of codec and encodings, compared on recordings of `dd`, of builds and searches, of
sockets and maps, and on generated calls (bench-profiles/wins-20261130.txt)."""

GROUP_ROWS = 1 << 17
"""Rows of a full row group, which small batches are merged into. (A recorder's batch of a quarter of that and more is
one by itself.)"""

GROUP_BYTES = 32 << 20
"""Memory of one: rows with long names of their own make one earlier."""

Footer = Callable[[], Mapping[str, str]]
"""What tells the footer keys, without that prefix, as they are now. It may take milliseconds: it is asked only when
something is made safe or completed, on the writer's thread."""


def footer_keys(footer: Mapping[str, str]) -> dict[str, str]:
    """The keys as they stand in a file."""
    return {schema.FOOTER_PREFIX + key: value for key, value in footer.items()}
