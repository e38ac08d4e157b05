"""A flight recorder: keeps the last while on disk, and makes recordings of it when asked and at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracer.clock import boot_clock_ns as now_ns
from tracer.losses import CONTINUED
from tracer.sinks.parquet_file import ParquetFile
from tracer.sinks.parquet_options import Footer
from tracer.sinks.part_names import Numbered
from tracer.sinks.parts import losses_between
from tracer.sinks.rewriting import Rewriter, ends
from tracer.sinks.window import Reader, Window

SLICES = 6
"""A file is so many a part of what is kept: with a minute there are eight at the most, the oldest of which goes as a
whole."""

LATE_NS = 2_000_000_000
"""How late a snapshot may be made that was asked for: what it is about stays for so long."""

READ_ROWS = 1 << 16


class Slice:
    """Some seconds of rows in a file that never gets a name. `earlier`: the footer when the one before it ended."""

    def __init__(self, path: Path, earlier: Mapping[str, str], *, durable: bool) -> None:
        self.file = ParquetFile(path, force=True, durable=durable)
        self.earlier = earlier
        self.began_ns = now_ns()
        self.ended_ns: int | None = None
        self._last_ns = 0

    def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool) -> None:
        """Write a batch."""
        self._last_ns = ends(batch.slice(batch.num_rows - 1))[0].as_py()
        self.file.write(batch, lambda: _since(self.earlier, footer()), is_last=is_last)

    def sync(self, footer: Footer) -> None:
        """Make all rows so far outlive a crash of the machine."""
        self.file.sync(lambda: _since(self.earlier, footer()))

    def finish(self, footer: Mapping[str, str]) -> None:
        """Take no more rows. Nobody but who recovers it reads what it says: after a crash, which took the end."""
        self.file.finish({**_since(self.earlier, footer), CONTINUED: str(self._last_ns)})
        self.ended_ns = now_ns()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows, once it is finished."""
        stream = self.file.file.stream
        there = Reader(Window(stream.fileno(), stream.tell()), stream.tell())
        # what is read ahead, all of the file, would be kept in memory
        with pq.ParquetFile(pa.PythonFile(there, mode="r"), pre_buffer=False) as opened:
            yield from opened.iter_batches(READ_ROWS)


class FlightRecorder:
    """Batches into slices, of which those stay that are younger than `ring_s`.

    A snapshot is a recording of its own, `x-0001.parquet` and so on, with the calls that ended in the last `ring_s`
    seconds before it was asked for, and since; `close` makes the last one. Its losses are those since the slice before
    the oldest one ended, which is longer ago than those seconds. Writing it takes the writer's thread: batches wait
    meanwhile.

    Raises OutputError, OSError and what Arrow raises.
    """

    def __init__(self, path: Path, ring_s: float, *, force: bool = False, durable: bool = False) -> None:
        self._path = path
        self._names = Numbered(path)
        self._names.check(force=force)
        self._force = force
        self._durable = durable
        self._ring_ns = int(ring_s * 1e9)
        self._slices: deque[Slice] = deque()
        self._earlier: Mapping[str, str] = {}
        """The footer when the last slice ended."""
        self._begun = 0
        self._made = 0
        self._made_bytes = 0

    @property
    def bytes_written(self) -> int:
        """Bytes in slices and snapshots."""
        return sum(part.file.bytes_written for part in tuple(self._slices)) + self._made_bytes

    def __str__(self) -> str:
        return f"{self._names} ({self._made} snapshot{'' if self._made == 1 else 's'})"

    def write(self, batch: pa.RecordBatch, footer: Footer, *, is_last: bool = False) -> None:
        """Write a batch, and drop what is too old."""
        if not self._slices or self._slices[-1].ended_ns is not None:
            self._begin()
        self._slices[-1].write(batch, footer, is_last=is_last)
        self._turn(footer)

    def sync(self, footer: Footer) -> None:
        """Make all rows so far outlive a crash of the machine."""
        if self._slices and self._slices[-1].ended_ns is None:
            self._slices[-1].sync(footer)
        self._turn(footer)

    def snapshot(self, footer: Footer, asked_ns: int) -> None:
        """Make a recording of what is there, as asked for at that time."""
        since_ns = asked_ns - self._ring_ns
        self._end_slice(footer)
        told = footer()
        path = self._names.path(self._made + 1, "", told)
        rewriter = Rewriter(path, force=self._force, renumber=True)
        try:
            for part in self._slices:
                for batch in part.batches():
                    rewriter.write(batch.filter(pc.greater_equal(ends(batch), since_ns)))
            earlier = self._slices[0].earlier if self._slices else self._earlier
            self._made_bytes += rewriter.close(_since(earlier, told))
        finally:
            rewriter.abort()
        self._made += 1

    def close(self, footer: Mapping[str, str]) -> int:
        """Make the last snapshot; what all take."""
        self.snapshot(lambda: footer, now_ns())
        self._names.finish(self._made)
        self.abort()
        return self._made_bytes

    def abort(self, *, keep: bool = False) -> Path | None:
        """Drop the slices, or leave what is safe: the name under which `tracer-cli recover` finds all of them."""
        kept = [part.file.abort(keep=keep) for part in self._slices]
        self._slices.clear()
        return self._path if any(path is not None for path in kept) else None

    def _begin(self) -> None:
        self._begun += 1
        path = self._path.with_name(f"{self._path.stem}-ring-{self._begun:04}{self._path.suffix}")
        self._slices.append(Slice(path, self._earlier, durable=self._durable))

    def _turn(self, footer: Footer) -> None:
        """End the slice that is long enough, and drop those that are too old."""
        now = now_ns()
        if self._slices and now - self._slices[-1].began_ns >= self._ring_ns / SLICES:
            self._end_slice(footer)
        while self._slices and now - (self._slices[0].ended_ns or now) > self._ring_ns + LATE_NS:
            self._slices.popleft().file.abort()

    def _end_slice(self, footer: Footer) -> None:
        if self._slices and self._slices[-1].ended_ns is None:
            told = footer()
            self._slices[-1].finish(told)
            self._earlier = told


def _since(earlier: Mapping[str, str], footer: Mapping[str, str]) -> Mapping[str, str]:
    """The footer, with what was lost since an earlier one."""
    return {**footer, **losses_between(earlier, footer)}
