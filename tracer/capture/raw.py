"""Raw events from a saved stream (see tracer/rawformat.py)."""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from tracer import rawformat
from tracer.errors import DamagedFileError, TracerError, UsageError

HINT = "`tracer-cli record --raw FILE` writes a raw stream"


class RawReader:
    """A raw stream file: its head, then its blocks. Use as a context manager.

    `head` is what the recorder wrote at its start, `end` (empty until the blocks have been read) what it wrote last.

    Raises UsageError if there is no such file, DamagedFileError for one that is not a whole raw stream.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # O_NONBLOCK: a pipe must be refused, not waited for
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error.strerror}", hint=HINT) from error
        self.end: dict[str, Any] = {}
        try:
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path} is not a file", hint="a raw stream is read from where it was saved")
            self._left = status.st_size
            self.head = self._read_head()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[bytes]:
        """The blocks of records in order; each is checked before it is handed out."""
        while True:
            tag, payload = self._part()
            if tag == rawformat.END:
                self.end = self._json(payload)
                if self._left:
                    raise self._damaged("something follows its end")
                return
            if tag != rawformat.BLOCK or len(payload) % 8:
                raise self._damaged("a part is unknown")
            yield payload

    def _read_head(self) -> dict[str, Any]:
        if self._read(len(rawformat.MAGIC)) != rawformat.MAGIC:
            raise DamagedFileError(f"{self.path} is not a raw stream", hint=HINT)
        tag, payload = self._part()
        if tag != rawformat.HEAD:
            raise self._damaged("it has no head")
        head = self._json(payload)
        if (head.get("format_version"), head.get("abi_version")) != (rawformat.VERSION, rawformat.ABI_VERSION):
            raise DamagedFileError(
                f"{self.path} was written by another version of tracer",
                hint=f"its format is {head.get('format_version')}, this version reads {rawformat.VERSION}",
            )
        return head

    def _part(self) -> tuple[bytes, bytes]:
        tag, checksum, length = rawformat.PART.unpack(self._read(rawformat.PART.size))
        if length > min(self._left, rawformat.MAX_PART_BYTES):
            raise self._damaged("it ends too early")
        payload = self._read(length)
        if zlib.crc32(payload) != checksum:
            raise self._damaged("a checksum is wrong")
        return tag, payload

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise TracerError(f"{self.path} can't be read: {error.strerror}") from error
        if len(data) != size:
            raise self._damaged("it ends too early")
        self._left -= size
        return data

    def _json(self, payload: bytes) -> dict[str, Any]:
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise self._damaged("its head or end can't be read") from error
        if not isinstance(value, dict):
            raise self._damaged("its head or end can't be read")
        return value

    def _damaged(self, how: str) -> DamagedFileError:
        hint = "a recording that was killed leaves no whole stream"
        return DamagedFileError(f"{self.path} is damaged: {how}", hint=hint)
