"""What is measured, as operations: the next N calls of an endless stream made ready, then one timed run over them.

The stream is made outside of the timer; each operation gets the calls that follow those of the one before, so that
paths go on being new, as in a real recording. One engine lives on through all operations. What an operation's timer
covers is its `covers`.

    with tempfile.TemporaryDirectory() as folder:
        operation = HeadlessLoop(Path(folder), pairs=2_000)
        seconds = timed(operation, 100) / 100
"""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tracer import syscalls
from tracer._fast import Columns, Engine
from tracer.capture.generator import Block, pieces
from tracer.capture.kernel import LOSS_CAUSES
from tracer.capture.target import Machine
from tracer.live.fanout import Fanout
from tracer.live.view import LiveView
from tracer.losses import MOST_WINDOWS, Counters, LossWatch
from tracer.pipeline import BATCH_ROWS, BLOCK_BYTES, footer
from tracer.session import Clock, session_facts
from tracer.sinks.recorder import DURABLE_S, ParquetRecorder
from tracer.syscalls import ByteClass, calls_moving

EVERY_CALL = frozenset(rule.name for rule in syscalls.TABLE)
MIXES = ("ReadHeavy", "WriteHeavy", "MetadataHeavy", "DiverseAllTypes")


class Operation(Protocol):
    """One thing that is measured: `prepare` and `finish` are not timed, `run` is."""

    covers: str
    """What the timer covers, in words."""
    pairs: int

    def prepare(self) -> None: ...
    def run(self) -> None: ...
    def finish(self) -> None: ...


def timed(operation: Operation, loops: int) -> float:
    """Seconds that `loops` runs took, what is untimed left out. As pyperf's bench_time_func wants it."""
    total = 0.0
    clock = time.perf_counter
    for _ in range(loops):
        operation.prepare()
        start = clock()
        operation.run()
        total += clock() - start
        operation.finish()
    return total


def every_call_engine(*, ask_proc: bool = False, capacity_rows: int = BATCH_ROWS) -> Engine:
    """An engine as a session makes it, with a row for every syscall."""
    machine = platform.machine()
    rules, names = syscalls.rules(machine, EVERY_CALL), syscalls.names(machine)
    return Engine(rules, names, syscalls.FAMILIES, capacity_rows=capacity_rows, ask_proc=ask_proc)


def kernel_counters() -> Counters:
    """Those of a kernel that has lost nothing."""
    processors = range(os.cpu_count() or 1)
    return {(cause, cpu): 0 for cause in LOSS_CAUSES for cpu in processors} | {("program_skipped", None): 0}


class Pipeline:
    """Raw events through one engine; those that derive say where the rows go.

    `stream` is what `tracer.capture.generator.pieces` takes: mix, threads, distinct_paths, names, pid.
    """

    covers = ""

    def __init__(self, folder: Path, *, pairs: int = 2_000, ask_proc: bool = False, **stream: Any) -> None:
        self.pairs = pairs
        self.path = folder / "out.parquet"
        self.engine = every_call_engine(ask_proc=ask_proc)
        clock = Clock.now()
        self.facts = session_facts(clock, Machine(), EVERY_CALL)
        self.losses = LossWatch(kernel_counters, self.engine.counters, clock.boot_ns, most=MOST_WINDOWS)
        block_bytes = min(BLOCK_BYTES, 4096 + 384 * pairs)
        self.stream: Iterator[list[Block]] = pieces(
            **{"mix": "DiverseAllTypes", "pairs": pairs, "block_bytes": block_bytes} | stream
        )
        self.blocks: list[Block] = []
        self.first_engine = every_call_engine(capacity_rows=256)
        self.first_calls = pieces("ReadHeavy", 100, block_bytes=65_536)

    def footer(self) -> dict[str, str]:
        """What a recording tells of its session, made when it is asked for, as there."""
        return footer(self.facts, self.losses.ledger.balance())

    def prepare(self) -> None:
        self.make_ready()
        self.path.unlink(missing_ok=True)

    def make_ready(self) -> None:
        """Make the next calls."""
        self.blocks = next(self.stream)

    def finish(self) -> None:
        pass

    def run(self) -> None:
        self.feed()

    def feed(self) -> None:
        """The event loop, as a session has it: events in, rows handed on."""
        engine = self.engine
        for block in self.blocks:
            used, size = 0, len(block)
            while used < size:
                used = engine.feed(block, used)
                if used < size:
                    self.hand_on()
        self.hand_on()

    def hand_on(self) -> None:
        columns = self.engine.take()
        if columns is not None:
            self.consume(columns)

    def consume(self, columns: Columns) -> None:
        raise NotImplementedError


def new_recorder(path: Path) -> ParquetRecorder:
    """A started recorder as `tracer-cli record` and the dashboard have it, who make rows safe every second."""
    return ParquetRecorder(path, force=True, durable_s=DURABLE_S)


def plain_recorder(path: Path) -> ParquetRecorder:
    """A started recorder as `tracer-cli replay` has it: nothing is safe before the end."""
    return ParquetRecorder(path, force=True)


class HeadlessLoop(Pipeline):
    covers = (
        "raw events in: pairing, names, columns, batches queued for the recorder's thread (waiting for it where 6 are "
        "queued, from 1,000,000 pairs on). Not: making the events, the recorder's start, its last writes, and its "
        "close (which is why it is the plain one: what the other does at these two leaves the caches cold)"
    )
    recorder: ParquetRecorder
    make_recorder = staticmethod(plain_recorder)

    def prepare(self) -> None:
        super().prepare()
        self.start()
        self.get_going()

    def start(self) -> None:
        self.recorder = self.make_recorder(self.path)
        self.recorder.describe(self.footer)
        self.consume = self.recorder.write  # type: ignore[method-assign]

    def get_going(self) -> None:
        """Two small batches before, so that the recorder's thread is there, has written one, holds the other and waits
        for work, as in a long session."""
        written = self.recorder.rows
        for blocks in itertools.islice(self.first_calls, 2):
            for block in blocks:
                self.first_engine.feed(block)
            self.consume(self.first_engine.take())
        deadline = time.monotonic() + 10
        while self.recorder.rows == written:
            assert time.monotonic() < deadline, "the recorder doesn't write"
            time.sleep(0.0002)

    def finish(self) -> None:
        self.recorder.close(self.footer())


class HeadlessFile(HeadlessLoop):
    covers = (
        "recorder started, raw events in, everything written with the footer of a session, synced to disk (fsync) "
        "and renamed. Not: making the events"
    )
    make_recorder = staticmethod(new_recorder)

    def prepare(self) -> None:
        Pipeline.prepare(self)

    def run(self) -> None:
        self.start()
        self.feed()
        self.recorder.close(self.footer())

    def finish(self) -> None:
        pass


class HeadlessFilePlain(HeadlessFile):
    covers = HeadlessFile.covers + ". The recorder makes nothing safe before the end, as that of replay"
    make_recorder = staticmethod(plain_recorder)


def new_view() -> LiveView:
    """What the dashboard looks at, empty."""
    return LiveView(calls_moving(ByteClass.READ), calls_moving(ByteClass.WRITE))


class TuiLoop(HeadlessLoop):
    covers = (
        "raw events in: pairing, names, columns, batches queued for the view's thread and for the recorder's (waiting "
        "for them where 6 are queued, from 1,000,000 pairs on). Not: making the events, the view's work on what is "
        "queued at the end (see tui_parquet_loop_seen), the recorder's start, last writes and close"
    )
    make_view = staticmethod(new_view)

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.fanout = Fanout(self.make_view())
        self.consume = self.fanout.consume  # type: ignore[method-assign]

    def prepare(self) -> None:
        Pipeline.prepare(self)
        self.start()
        self.get_going()

    def start(self) -> None:
        self.recorder = self.make_recorder(self.path)
        self.recorder.describe(self.footer)
        self.fanout.start(self.recorder)

    def finish(self) -> None:
        self.fanout.wait()
        self.fanout.stop()
        self.recorder.close(self.footer())


class TuiLoopSeen(TuiLoop):
    covers = "as tui_parquet_loop, and the view is up to date: statistics, stream ring and trie updated on its thread"

    def run(self) -> None:
        self.feed()
        self.fanout.wait()


class TuiFile(TuiLoop):
    covers = (
        "recorder started at a running fan-out, raw events in, statistics, stream ring and trie updated, everything "
        "written with the footer that a session has, synced to disk (fsync) and renamed. Not: making the events"
    )
    make_recorder = staticmethod(new_recorder)

    def prepare(self) -> None:
        Pipeline.prepare(self)

    def run(self) -> None:
        self.start()
        self.feed()
        self.fanout.stop()
        self.recorder.close(self.footer())
        self.fanout.wait()

    def finish(self) -> None:
        pass


PIPELINES: dict[str, type[Pipeline]] = {
    "headless_parquet_loop": HeadlessLoop,
    "tui_parquet_loop": TuiLoop,
    "tui_parquet_loop_seen": TuiLoopSeen,
    "headless_parquet_file": HeadlessFile,
    "headless_parquet_file_plain": HeadlessFilePlain,
    "tui_parquet_file": TuiFile,
}
"""By name: `PIPELINES[name](folder, pairs=2_000, mix="ReadHeavy", threads=10)`."""
