"""What the fuzzer of raw streams mutates, and what is looked at of each input.

An input is a raw stream's parts without their checksums, which are put in here: else nearly every mutation would end
at the first one.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

from tracer import rawformat
from tracer.capture.raw import RawReader
from tracer.errors import DamagedFileError
from tracer.pipeline import ReplaySession

SHORT = struct.Struct("<BH")
"""A part of an input: its tag's number and its length."""

TAGS = (rawformat.HEAD, rawformat.BLOCK, rawformat.END, b"????")


def stream_of(data: bytes) -> bytes:
    """The raw stream that an input stands for; what is left over follows its last part as it is."""
    stream, at = rawformat.MAGIC, 0
    while at + SHORT.size <= len(data):
        kind, length = SHORT.unpack_from(data, at)
        payload = data[at + SHORT.size : at + SHORT.size + length]
        at += SHORT.size + length
        stream += rawformat.PART.pack(TAGS[kind % len(TAGS)], zlib.crc32(payload), len(payload)) + payload
    return stream + data[at:]


def input_of(stream: bytes) -> bytes:
    """The input that stands for a raw stream."""
    data, at = b"", len(rawformat.MAGIC)
    while at < len(stream):
        tag, _, length = rawformat.PART.unpack_from(stream, at)
        at += rawformat.PART.size
        data += SHORT.pack(TAGS.index(tag), length) + stream[at : at + length]
        at += length
    return data


def look(path: Path) -> None:
    """Read a file alone, and replay it; only the error that is meant for users may come."""
    with contextlib.suppress(DamagedFileError), RawReader(path) as reader:
        for _ in reader.blocks():
            pass
    with contextlib.suppress(DamagedFileError), ReplaySession(path) as session:
        for columns in session.columns():
            columns.release()
        session.losses()
