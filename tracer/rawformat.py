"""The file format of raw streams: what `record --raw` writes and `replay` reads.

A file is MAGIC, then parts. A part is PART (tag, CRC-32 of the payload, length of the payload), then the payload. The
first part is the head (JSON), the last one the end (JSON); those between are blocks of records as bpf/events.h
describes them, each record padded to 8 bytes.
"""

from __future__ import annotations

import struct

MAGIC = b"TRACERAW"
VERSION = 1
ABI_VERSION = 1
"""Version of the records (TRACER_ABI_VERSION in bpf/events.h)."""

PART = struct.Struct("<4sIQ")
HEAD, BLOCK, END = b"HEAD", b"BLCK", b"END."
MAX_PART_BYTES = 256 << 20
"""A longer part is taken for damage: writers cut far earlier."""
