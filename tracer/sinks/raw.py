"""The raw stream sink: saves records as they came."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracer import rawformat
from tracer.errors import OutputError
from tracer.sinks.output_file import OutputFile


class RawWriter:
    """Writes a raw stream file; `close` completes it, `abort` leaves nothing behind. Raises OutputError."""

    def __init__(self, path: Path, head: Mapping[str, Any], *, force: bool = False) -> None:
        self.path = path
        self._file = OutputFile(path, force=force, option="--raw")
        versions = {"format_version": rawformat.VERSION, "abi_version": rawformat.ABI_VERSION}
        try:
            self._write(rawformat.MAGIC)
            self._part(rawformat.HEAD, json.dumps(versions | dict(head)).encode())
        except OutputError:
            self.abort()
            raise

    def write(self, records: bytes) -> None:
        """Append whole records."""
        if records:
            self._part(rawformat.BLOCK, records)

    def close(self, end: Mapping[str, Any]) -> int:
        """Complete the file; its size in bytes."""
        self._part(rawformat.END, json.dumps(dict(end)).encode())
        return self._file.commit()

    def abort(self) -> None:
        """Remove what was written. Does nothing after `close`."""
        self._file.abort()

    def _part(self, tag: bytes, payload: bytes) -> None:
        self._write(rawformat.PART.pack(tag, zlib.crc32(payload), len(payload)))
        self._write(payload)

    def _write(self, data: bytes) -> None:
        try:
            self._file.stream.write(data)
        except OSError as error:
            raise self._file.write_error(error) from error
