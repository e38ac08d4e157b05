"""A recording in many files, each complete as soon as the next one begins."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from tracer.errors import UsageError
from tracer.losses import CONTINUED, dumped, entries_between, minus, parse_entries, parse_totals
from tracer.sinks.output_file import OutputFile
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.parquet_options import Footer
from tracer.sinks.part_names import PartNames
from tracer.sinks.rewriting import ends


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a part is full, and how many are kept. What is None doesn't matter."""

    size_bytes: int | None = None
    time_s: float | None = None
    rows: int | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        """Raises UsageError if this makes no sense."""
        if self.keep is not None and not self.is_wanted:
            raise UsageError(
                "--keep needs parts to choose from", hint="add --rotate-size, --rotate-time or --rotate-rows"
            )

    @property
    def is_wanted(self) -> bool:
        """Whether parts are ever full."""
        return self.size_bytes is not None or self.time_s is not None or self.rows is not None


class Part(NamedTuple):
    """A complete file."""

    path: Path
    size_bytes: int
    rows: int
    file: OutputFile


class Parts:
    """Batches into one file after the other, as `Rotation` says; a batch goes to the day on which its first call ended.

    Losses in a part's footer are those since it began: the sum over all parts is what the recording lost. One that is
    not the last says so (`tracer.losses.CONTINUED`): without it, nobody would miss what a crash took. If the last one
    was full and complete before the recording ended, an empty one ends it. `durable` as `ParquetFile` has it. Complete
    parts stay whatever happens, but for those that `keep` is over.

    Raises OutputError, OSError and what Arrow raises.
    """

    def __init__(self, names: PartNames, rotation: Rotation, *, force: bool = False, durable: bool = False) -> None:
        self.done: deque[Part] = deque()
        self.removed_parts = 0
        self.removed_rows = 0
        self._names = names
        self._rotation = rotation
        self._force = force
        self._durable = durable
        self._number = 0
        self._part: ParquetFile | None = None
        self._path = Path()
        self._day = ""
        self._rows = 0
        self._began_s = 0.0
        self._ended_ns = 0
        self._earlier: Mapping[str, str] = {}
        names.check(force=force)

    @property
    def bytes_written(self) -> int:
        """Bytes in files that are still there."""
        part = self._part
        return sum(done.size_bytes for done in self.done) + (part.bytes_written if part is not None else 0)

    def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool = False) -> None:
        """Write a batch, a part of it into the next file if this one is full."""
        while batch.num_rows:
            part = self._part_for(batch, footer)
            room = batch.num_rows if self._rotation.rows is None else self._rotation.rows - self._rows
            piece, batch = batch.slice(0, room), batch.slice(room)
            part.write(piece, lambda: self._footer(footer()), is_last=is_last)
            self._rows += piece.num_rows
            self._ended_ns = ends(piece.slice(piece.num_rows - 1))[0].as_py()

    def sync(self, footer: Footer) -> None:
        """Make all rows so far outlive a crash of the machine."""
        if self._part is None:
            return
        if self._is_full(self._part):
            self._end_full(footer())
        else:
            self._part.sync(lambda: self._footer(footer()))

    def snapshot(self, footer: Footer, asked_ns: int) -> None:
        """This is no flight recorder."""

    def close(self, footer: Mapping[str, str]) -> int:
        """Complete the last part; what all that are there take. A recording without rows has one part."""
        if self._part is None:
            self._begin(max(self._day, _day_of(time.time_ns() // 1000)), footer)
        self._end(footer)
        self._names.finish(self._number)
        return self.bytes_written

    def abort(self, *, keep: bool = False) -> Path | None:
        """Stop. Of the part that is not complete, what was made safe is left if that is wished for: its name."""
        part, self._part = self._part, None
        kept = part.abort(keep=keep) if part is not None else None
        self._names.abandon()
        return kept

    def __str__(self) -> str:
        """What there is."""
        said = f"{self._names} ({len(self.done)} part{'' if len(self.done) == 1 else 's'})"
        if not self.removed_parts:
            return said
        return f"{said}, {self.removed_parts} older with {self.removed_rows:,} rows removed by --keep"

    def _part_for(self, batch: pa.RecordBatch, footer: Footer) -> ParquetFile:
        """Where a batch's first rows go. The day never goes back, as a call that has no end would make it."""
        day = max(self._day, _day_of(_end_us(batch)))
        if self._part is not None and (day != self._day or self._is_full(self._part)):
            self._end_full(footer())
        return self._part or self._begin(day, footer())

    def _is_full(self, part: ParquetFile) -> bool:
        rotation = self._rotation
        return (
            (rotation.rows is not None and self._rows >= rotation.rows)
            or (rotation.size_bytes is not None and part.bytes_written >= rotation.size_bytes)
            or (rotation.time_s is not None and time.monotonic() - self._began_s >= rotation.time_s)
        )

    def _begin(self, day: str, footer: Mapping[str, str]) -> ParquetFile:
        self._number += 1
        self._path = self._names.path(self._number, day, footer)
        self._part = ParquetFile(self._path, force=self._force, durable=self._durable)
        self._day = day
        self._rows = 0
        self._began_s = time.monotonic()
        return self._part

    def _end_full(self, footer: Mapping[str, str]) -> None:
        """Complete a part that is not the last one."""
        self._end({**footer, CONTINUED: str(self._ended_ns)})

    def _end(self, footer: Mapping[str, str]) -> None:
        assert self._part is not None
        file = self._part.file
        size = self._part.close(self._footer(footer))
        self._part = None
        self._earlier = footer
        self.done.append(Part(self._path, size, self._rows, file))
        self._keep_few()

    def _keep_few(self) -> None:
        """Remove the oldest parts beyond those to be kept. The one without rows that ends a recording is not one."""
        if self._rotation.keep is not None:
            while sum(part.rows > 0 for part in self.done) > self._rotation.keep:
                self._remove(self.done.popleft())

    def _remove(self, part: Part) -> None:
        if not part.file.is_ours(part.path):  # the user was quicker, and may have put another there
            return
        part.path.unlink(missing_ok=True)
        self.removed_parts += 1
        self.removed_rows += part.rows

    def _footer(self, footer: Mapping[str, str]) -> Mapping[str, str]:
        return {**footer, **losses_between(self._earlier, footer)}


def losses_between(earlier: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The footer keys that tell what was lost between two looks; unknown where one of them is."""
    keys: dict[str, str] = {}
    after = parse_totals(now.get("loss"))
    if after is not None:
        before = parse_totals(earlier.get("loss")) or {}
        keys["loss"] = json.dumps({cause: minus(lost, before.get(cause, 0)) for cause, lost in after.items()})
    if "losses" in now:
        entries = entries_between(parse_entries(earlier.get("losses")), parse_entries(now["losses"]))
        keys["losses"] = json.dumps(dumped(entries), separators=(",", ":"))
    return keys


def _end_us(batch: pa.RecordBatch) -> int:
    """When the first call ended, in UTC; its begin, if it never did."""
    begin_us: int = batch.column("time")[0].value
    return begin_us + (batch.column("latency_ns")[0].as_py() or 0) // 1000


def _day_of(time_us: int) -> str:
    """The day of a time in UTC, as folders are called."""
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d}"
