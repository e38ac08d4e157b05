"""The bytes of a file that somebody else may cut while it is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator

CHUNK_BYTES = 1 << 20


class Window:
    """The first `size` bytes behind a descriptor, which stays open meanwhile.

    They are read, never mapped: a look at a mapped page that was cut off, or can't be read, kills the process. What was
    cut off is missing. Raises OSError.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor

    def at(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`; those that there are."""
        parts = []
        start, end = max(0, start), min(end, self.size)
        while start < end and (part := self.read(end - start, start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """The same, piece by piece."""
        for position in range(start, end, CHUNK_BYTES):
            yield self.at(position, min(position + CHUNK_BYTES, end))

    def places(self, what: bytes) -> Iterator[int]:
        """Where these bytes are, in order. The file is read once, however often that is."""
        for start in range(0, self.size, CHUNK_BYTES):
            chunk = self.at(start, start + CHUNK_BYTES + len(what) - 1)
            found = -1
            while (found := chunk.find(what, found + 1)) >= 0:
                yield start + found

    def read(self, size: int, start: int) -> bytes:
        """At most so many bytes, at once."""
        return os.pread(self._descriptor, size, start)


class Reader:
    """What a window shows up to some byte, as a file to read."""

    closed = False

    def __init__(self, window: Window, end: int) -> None:
        self._window = window
        self._end = end
        self._position = 0

    def read(self, size: int) -> bytes:
        """So many bytes, or what is left; no more memory is taken, whatever size is asked for."""
        found = self._window.at(self._position, min(self._position + size, self._end))
        self._position += len(found)
        return found

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = max(0, base + offset)
        return self._position
