"""Checksums of what is made safe while a recording is written.

Of a crash, any byte may be wrong. Neither a Parquet footer nor an Arrow stream would show it: a number in it would be
another one. So each piece has a seal, its checksum and its length.
"""

from __future__ import annotations

import struct
import zlib
from mmap import mmap

Bytes = bytes | memoryview | mmap

MARK = b"seal"
SEAL = struct.Struct("<4sIQ")
"""The mark, the piece's CRC-32, its length."""


def seal_of(piece: Bytes) -> bytes:
    """The seal of these bytes."""
    with memoryview(piece) as there:
        return SEAL.pack(MARK, zlib.crc32(there), there.nbytes)


def sealed_length(seal: bytes) -> int | None:
    """How long the piece is that a seal belongs to; None if it is no seal."""
    if len(seal) != SEAL.size or not seal.startswith(MARK):
        return None
    length: int = SEAL.unpack(seal)[2]
    return length


class Unsealed:
    """The pieces of a file, each behind its seal, as one stream; it ends where one is not intact."""

    closed = False

    def __init__(self, file: Bytes) -> None:
        self._file = memoryview(file)
        self._piece = self._file[:0]
        self.used_bytes = 0
        """Bytes of the file up to the end of the piece that was last begun."""

    def read(self, size: int) -> bytes:
        """So many bytes, or what is left."""
        parts = []
        while size > 0 and (self._piece or self._next()):
            parts.append(bytes(self._piece[:size]))
            self._piece = self._piece[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def _next(self) -> bool:
        """Go on to the next piece, if it is there and intact."""
        start = self.used_bytes + SEAL.size
        seal = bytes(self._file[self.used_bytes : start])
        length = sealed_length(seal)
        if not length or length > len(self._file) - start:
            return False
        piece = self._file[start : start + length]
        if seal_of(piece) != seal:
            return False
        self._piece = piece
        self.used_bytes = start + length
        return True
