"""Each stage by itself. Where one can't be called alone, two that differ by it are timed: their descriptions say so."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from proc import FDS, Holder, task_exit
from pyarrow_alone import WRITER_OPTIONS, PyArrowAlone
from suite import Case, main
from workload import EVERY_CALL, Pipeline, every_call_engine, new_view

from tracer import syscalls
from tracer._fast import Columns, FdCache, Pairer
from tracer._fast.records import count_records
from tracer._fast.rowring import RowRing
from tracer._fast.trie import Trie
from tracer.batch import record_batch
from tracer.capture.generator import Block, blocks, pieces
from tracer.live.statistics import LiveStatistics
from tracer.live.view import FLAME_ORDER
from tracer.pipeline import BATCH_ROWS
from tracer.sinks.recorder import DURABLE_S, ParquetRecorder
from tracer.syscalls import ByteClass, calls_moving

CALLS = 10_000


class Feeding:
    """Blocks of records into a function: the next `pairs` calls of an endless stream each time."""

    def __init__(self, covers: str, feed: Callable[[Block], object], *, pairs: int = CALLS, **stream: Any) -> None:
        self.covers = covers
        self.pairs = pairs
        self.feed = feed
        self.stream = pieces(**{"mix": "DiverseAllTypes", "pairs": pairs, "block_bytes": 4096 + 384 * pairs} | stream)
        self.blocks: list[Block] = []

    def prepare(self) -> None:
        self.blocks = next(self.stream)

    def run(self) -> None:
        for block in self.blocks:
            self.feed(block)

    def finish(self) -> None:
        pass


class Asking(Feeding):
    """Calls of a real process, of which nothing is known when an operation begins."""

    def __init__(self, folder: Path, covers: str, **stream: Any) -> None:
        self.holder = Holder(folder)
        self.pairer = new_pairer(ask_proc=True)
        super().__init__(covers, self.pairer.feed, threads=1, names=False, pid=self.holder.pid, **stream)

    def prepare(self) -> None:
        super().prepare()
        self.pairer.feed(task_exit(self.holder.pid))


class Naming(Feeding):
    """Comm records of 10,000 threads, the same ones each time."""

    def __init__(self) -> None:
        super().__init__("Pairer.feed of records that tell a thread's name: decode, find the thread", new_pairer().feed)
        self.comms = list(blocks("ReadHeavy", 0, CALLS))

    def prepare(self) -> None:
        self.blocks = self.comms


class Filling(Feeding):
    """Into an engine, whose rows are dropped."""

    def __init__(self, covers: str, **stream: Any) -> None:
        self.engine = every_call_engine()
        super().__init__(covers, self.engine.feed, **stream)

    def finish(self) -> None:
        columns = self.engine.take()
        if columns is not None:
            columns.release()


class OnColumns(Pipeline):
    """A function over a batch of columns that is there."""

    def __init__(self, folder: Path, covers: str, use: Callable[[Columns], object], **options: Any) -> None:
        super().__init__(folder, **options)
        self.covers = covers
        self.use = use
        self.rows = self.pairs
        self.batch: Columns

    def consume(self, columns: Columns) -> None:
        self.batch = columns

    def prepare(self) -> None:
        super().prepare()
        self.feed()
        assert self.batch.rows == self.rows, "more than one batch"

    def run(self) -> None:
        self.use(self.batch)

    def finish(self) -> None:
        self.batch.release()


class Taking(Pipeline):
    """The hand-over of a batch from the engine."""

    covers = "Engine.take and Columns.release: the batch handed out, its memory given back"

    def consume(self, columns: Columns) -> None:
        columns.release()

    def prepare(self) -> None:
        super().prepare()
        for block in self.blocks:
            self.engine.feed(block)

    def run(self) -> None:
        self.hand_on()


class Snapshotting(OnColumns):
    """Each after another batch of rows, so that nothing of the one before is still right."""

    def __init__(self, folder: Path) -> None:
        self.view = new_view()
        super().__init__(
            folder, "LiveView.snapshot, of one operation, after 10,000 more rows", self.snapshot, pairs=CALLS
        )

    def snapshot(self, _: Columns) -> None:
        self.view.snapshot()

    def prepare(self) -> None:
        super().prepare()
        self.view.consume(self.batch)


class Starting:
    """A recorder's start; it is given up outside of the timer."""

    covers = (
        "ParquetRecorder made, as by record and Watch: temporary file, Arrow's writer; a thread begins with a batch"
    )
    pairs = 1

    def __init__(self, folder: Path) -> None:
        self.path = folder / "started.parquet"

    def prepare(self) -> None:
        pass

    def run(self) -> None:
        self.recorder = ParquetRecorder(self.path, force=True, durable_s=DURABLE_S)

    def finish(self) -> None:
        self.recorder.abort()


class Recording(OnColumns):
    """A recording of many batches, made safe every so often or not at all."""

    def __init__(self, folder: Path, *, batches: int, rows: int, durable_s: float | None) -> None:
        how = "at the end alone" if durable_s is None else f"every {durable_s:g} s"
        super().__init__(
            folder, f"{batches} batches of {rows} rows recorded into a file, synced {how}", self.record, pairs=rows
        )
        self.pairs = batches * rows
        self.batches = batches
        self.durable_s = durable_s

    def record(self, batch: Columns) -> None:
        recorder = ParquetRecorder(self.path, force=True, durable_s=self.durable_s)
        for _ in range(self.batches):
            recorder.write(batch.share())
        recorder.close({})


def recording(batches: int, rows: int, durable_s: float | None) -> Case:
    make = partial(Recording, batches=batches, rows=rows, durable_s=durable_s)
    return Case(make, values=1, loops=1, memory="all")


def new_pairer(*, ask_proc: bool = False) -> Pairer:
    return Pairer(syscalls.rules(platform.machine(), EVERY_CALL), FdCache(), ask_proc=ask_proc)


def pairing(covers: str, **stream: Any) -> Callable[[Path], Feeding]:
    return lambda _: Feeding(f"Pairer.feed: {covers}", new_pairer().feed, **stream)


def live(make: Callable[[], Any]) -> Case:
    """One part of the view."""
    covers = f"{make().__class__.__name__}.consume of a batch"
    return Case(lambda folder: OnColumns(folder, covers, make().consume, pairs=CALLS))


def new_statistics() -> LiveStatistics:
    return LiveStatistics(calls_moving(ByteClass.READ), calls_moving(ByteClass.WRITE))


def parquet(codec: str, level: int | None) -> Case:
    options = WRITER_OPTIONS | {"compression": codec, "compression_level": level}
    return Case(partial(PyArrowAlone, pairs=BATCH_ROWS, options=options), memory="all")


CASES = {
    "decode": Case(
        lambda _: Feeding(
            "count_records: the records' ends found and their parts, nothing done with them", count_records
        )
    ),
    "pair": Case(pairing("decode and pair calls that name no file (sync)", mix={"sync": 1})),
    "fd_cache_hit": Case(
        pairing(
            "decode and pair reads, and look their descriptor up, which is known; `pair` is the rest", mix={"read": 1}
        )
    ),
    "fd_cache_miss": Case(
        pairing("as fd_cache_hit, but the descriptor is not known, and nobody asked", mix={"read": 1}, names=False)
    ),
    "fd_cache_readlink": Case(
        lambda folder: Asking(
            folder, "as fd_cache_miss, but /proc is asked for every one (a readlink each)", mix={"read": 1}, pairs=FDS
        )
    ),
    "names": Case(pairing("decode, pair and name all calls of DiverseAllTypes: descriptors, paths, effects")),
    "comm": Case(lambda _: Naming()),
    "comm_proc": Case(
        lambda folder: Asking(
            folder,
            "Pairer.feed of one call of an unknown thread: open, read and close of its comm",
            mix={"sync": 1},
            pairs=1,
        )
    ),
    "column_fill": Case(
        lambda _: Filling("Engine.feed: as `names`, and the rows written; the difference is the filling")
    ),
    "column_fill_sync": Case(
        lambda _: Filling(
            "Engine.feed: as `pair`, and the rows written; the difference is the filling", mix={"sync": 1}
        )
    ),
    "take": Case(Taking, loops=200),
    **{
        f"batch_to_arrow/{rows}": Case(
            lambda folder, rows=rows: OnColumns(
                folder,
                "record_batch: a batch of columns as Arrow",
                record_batch,
                pairs=rows,
            ),
            loops=100 if rows == 2_000 else 4,
        )
        for rows in (2_000, BATCH_ROWS)
    },
    **{
        f"parquet/{name}": parquet(codec, level)
        for name, codec, level in (
            ("none", "none", None),
            ("snappy", "snappy", None),
            ("lz4", "lz4", None),
            ("zstd-1", "zstd", 1),
            ("zstd-3", "zstd", 3),
            ("zstd-9", "zstd", 9),
        )
    },
    **{
        f"record/{batches}x{rows}/{name}": recording(batches, rows, durable_s)
        for batches, rows in ((24, BATCH_ROWS), (400, 1_000))
        for name, durable_s in (("plain", None), ("durable-1s", 1.0), ("durable-0.1s", 0.1))
    },
    "recorder_start": Case(Starting, loops=50),
    "statistics": live(new_statistics),
    "ring": live(RowRing),
    "trie": live(lambda: Trie(FLAME_ORDER, "count")),
    "snapshot": Case(Snapshotting),
}

if __name__ == "__main__":
    main(__file__, CASES)
