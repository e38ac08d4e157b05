"""Checksums of what is made safe while a recording is written.

Of a crash, any byte may be wrong. Neither a Parquet footer nor an Arrow stream would show it: a number in it would be
another one. So each piece has a seal, its checksum and its length.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from tracer.sinks.window import Window

MARK = b"seal"
SEAL = struct.Struct("<4sIQ")
"""The mark, the piece's CRC-32, its length."""


def seal_of(piece: Iterable[bytes]) -> bytes:
    """The seal of these bytes, which come one after the other."""
    checksum = length = 0
    for part in piece:
        checksum = zlib.crc32(part, checksum)
        length += len(part)
    return SEAL.pack(MARK, checksum, length)


def sealed_length(seal: bytes) -> int | None:
    """How long the piece is that a seal belongs to; None if it is no seal."""
    if len(seal) != SEAL.size or not seal.startswith(MARK):
        return None
    length: int = SEAL.unpack(seal)[2]
    return length


def begins_sealed(file: Window) -> bool:
    """Whether there was a piece, all of it, whether it is intact or not."""
    length = sealed_length(file.at(0, SEAL.size))
    return length is not None and length <= file.size - SEAL.size


class Unsealed:
    """The pieces of a file, each behind its seal, as one stream; it ends where one is not intact."""

    closed = False

    def __init__(self, file: Window) -> None:
        self._file = file
        self._position = 0
        self.used_bytes = 0
        """Bytes of the file up to the end of the piece that was last begun."""

    def read(self, size: int) -> bytes:
        """So many bytes, or what is left."""
        parts = []
        while size > 0 and (self._position < self.used_bytes or self._next()):
            part = self._file.at(self._position, min(self._position + size, self.used_bytes))
            if not part:  # it was cut off since it was found intact
                break
            parts.append(part)
            self._position += len(part)
            size -= len(part)
        return b"".join(parts)

    def _next(self) -> bool:
        """Go on to the next piece, if it is there and intact."""
        start = self.used_bytes + SEAL.size
        seal = self._file.at(self.used_bytes, start)
        length = sealed_length(seal)
        if not length or length > self._file.size - start:
            return False
        if seal_of(self._file.chunks(start, start + length)) != seal:
            return False
        self._position = start
        self.used_bytes = start + length
        return True
