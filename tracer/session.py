"""Sessions: a source of events, kernel or raw stream, with the engine that makes rows of them."""

from __future__ import annotations

import json
import os
import platform
import shlex
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from tracer import syscalls
from tracer._fast import Columns, Engine
from tracer._fast.ring import Ring
from tracer.capture.kernel import DEFAULT_RING_BYTES, LOSS_CAUSES, Filter, KernelSource
from tracer.capture.privileges import check as check_privileges
from tracer.capture.raw import RawReader
from tracer.capture.target import Command, Target
from tracer.clock import boot_clock_ns
from tracer.errors import DamagedFileError, MachineError, OutputError, TracerError
from tracer.losses import (
    MOST_WINDOWS,
    UNDRAINED,
    Balance,
    Ledger,
    Losses,
    LossWatch,
    dumped,
    entries_for,
    known,
    read_entries,
)
from tracer.sinks.raw import RawWriter

BATCH_ROWS = 1 << 16
"""Of a full batch, which becomes a row group. Texts of twice as many don't fit into a core's cache: pairing took 10 %
more a call, for no smaller files."""

BLOCK_BYTES = 8 << 20

POLL_S = 0.001
"""How long the ring may fill between two looks. Looking sooner costs the traced program more than it saves us:
reading what another core has just written slows that core's next record (dd bs=1: 1.8 s without the pause, 1.55 s
with it)."""

BUSY_BYTES = 1 << 20
"""A look that found more than this is followed by the next one at once."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Boot clock and wall clock, read together: what turns `time_ns` into `time`."""

    boot_ns: int
    wall_ns: int

    @classmethod
    def now(cls) -> Self:
        """The closest of a few pairs of readings."""
        readings = []
        for _ in range(5):
            before = boot_clock_ns()
            wall = time.time_ns()
            after = boot_clock_ns()
            readings.append((after - before, (before + after) // 2, wall))
        _, boot_ns, wall_ns = min(readings)
        return cls(boot_ns, wall_ns)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pair that a raw stream's head holds. Raises ValueError, KeyError or TypeError if it holds none."""
        pair = json.loads(text)
        clock = cls(pair["boot_ns"], pair["wall_ns"])
        if not all(type(reading) is int and 0 <= reading < 1 << 63 for reading in (clock.boot_ns, clock.wall_ns)):
            raise ValueError("no clock")
        return clock

    @property
    def wall_offset_ns(self) -> int:
        """Wall clock minus boot clock."""
        return self.wall_ns - self.boot_ns


class Session(Protocol):
    """A source of column batches, live or replayed."""

    clock: Clock
    facts: dict[str, str]
    saves_raw: bool
    """Whether its events go into a raw stream."""

    def columns(self) -> Iterator[Columns]:
        """Batches until the end. The taker calls `release` on each when it is done with it."""

    def losses(self) -> Losses:
        """What is missing so far, by cause."""

    def balance(self) -> Balance:
        """The same with its detail: by processor and time. For any thread."""


def new_engine(
    machine: str,
    wanted: frozenset[str],
    *,
    clock: Clock,
    failed_only: bool,
    keep_stream: bool,
) -> Engine:
    """An engine for a machine's syscall numbers."""
    return Engine(
        syscalls.rules(machine, wanted),
        syscalls.names(machine),
        syscalls.FAMILIES,
        capacity_rows=BATCH_ROWS,
        wall_offset_ns=clock.wall_offset_ns,
        failed_only=failed_only,
        keep_stream=keep_stream,
    )


class Boundary:
    """Where other threads get something done between two batches of a session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[tuple[Callable[[], None], Future[None]]] = []
        self._is_closed = False

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody waits."""
        return bool(self._asked)

    def ask(self, action: Callable[[], None]) -> None:
        """Wait until `action` has run. Raises what it raises."""
        done: Future[None] = Future()
        with self._lock:
            self._asked.append((action, done))
            if self._is_closed:
                self._run_all()
        done.result()

    def reach(self) -> None:
        """Run what was asked for."""
        with self._lock:
            self._run_all()

    def close(self) -> None:
        """Run what was asked for; from now on everything runs at once."""
        with self._lock:
            self._is_closed = True
            self._run_all()

    def _run_all(self) -> None:
        asked, self._asked = self._asked, []
        for action, done in asked:
            try:
                action()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)


def mapped_ring(source: KernelSource) -> Ring:
    """The source's ring in our memory. Raises MachineError if there is no room for it (ulimit -v): twice its size."""
    try:
        return Ring(source.ring_fd, source.ring_bytes)
    except OSError as error:
        raise MachineError(str(error), hint="a smaller --buffer-size; it takes twice that of address space") from error


class LiveSession:
    """Traces a target from entering to leaving the context.

    `wanted` names the syscalls that become rows. `raw` gets the stream as it came. `flush_s`: a batch is handed out
    after that time even if it is not full (None: only full ones, and the last). `should_stop` is asked once a
    millisecond. `on_attached` runs when nothing more has to be attached, right before the target starts: the place to
    give up privileges.

    Raises MachineError if the kernel can't be traced, CommandError if the command can't be run.
    """

    def __init__(
        self,
        target: Target,
        wanted: frozenset[str],
        filters: Filter,
        *,
        ring_bytes: int = DEFAULT_RING_BYTES,
        raw: Callable[[Mapping[str, object]], RawWriter] | None = None,
        flush_s: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        on_attached: Callable[[], None] = lambda: None,
    ) -> None:
        check_privileges()
        machine = platform.machine()
        self.target = target
        self.clock = Clock.now()
        self._should_stop = should_stop
        self._on_attached = on_attached
        self._flush_s = flush_s
        self._has_all = False
        self._raw_failure: OutputError | None = None
        self._engine = new_engine(
            machine,
            wanted,
            clock=self.clock,
            failed_only=filters.failed_only,
            keep_stream=raw is not None,
        )
        self._source = KernelSource(syscalls.rules(machine, wanted), filters, ring_bytes)
        self._boundary = Boundary()
        self.saves_raw = raw is not None
        head = {"machine": machine, "table_version": syscalls.TABLE_VERSION, "failed_only": filters.failed_only}
        try:
            self._ring = mapped_ring(self._source)
            counters = self._source.counters, self._engine.counters
            self._losses = LossWatch(*counters, self.clock.boot_ns, most=MOST_WINDOWS)
            self.facts = session_facts(self.clock, target, wanted)
            self.raw = raw(head | self.facts) if raw is not None else None
        except BaseException:
            self._source.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, *__: object) -> None:
        """End it; the raw stream of one that came to its end is complete then. What became of it is in the hint of
        `error`; raises OutputError if it could not be written, and nothing else has failed."""
        self._source.close()
        if self.raw is None:
            return
        try:
            # not before the rows were all handed out and written: if this fails, they are in their recording
            self._end_raw(self.raw)
            told = f"{self.raw.path} has what was traced until then" if self._has_all else None
        except OutputError as failure:
            if error is None:
                raise
            told = ": ".join(filter(None, (str(failure), failure.hint)))
        if isinstance(error, TracerError):
            error.hint = "; ".join(filter(None, (error.hint, told))) or None

    def _end_raw(self, raw: RawWriter) -> None:
        try:
            if self._raw_failure is not None:
                raise self._raw_failure
            if self._has_all:
                totals, entries = self.balance()
                raw.close({"loss": totals, "losses": dumped(entries)})
        finally:
            raw.abort()

    def columns(self) -> Iterator[Columns]:
        """Start the target, and hand out batches until it is over."""
        try:
            yield from self._trace()
        finally:
            self._losses.end()
            self._boundary.close()

    def _trace(self) -> Iterator[Columns]:
        self.target.prepare(self._source)
        self._source.attach()
        self._on_attached()
        self.target.start()
        block = np.empty(BLOCK_BYTES, np.uint8)
        flushed = time.monotonic()
        tracing = True
        patience = 100
        while True:
            is_asked = self._boundary.is_asked_for  # before the ring is drained of what came until then
            drained = self._ring.drain(block)
            full_before = self._engine.builder.first_seq
            yield from self._handle(block[:drained])
            if self._engine.builder.first_seq != full_before:
                flushed = time.monotonic()  # a full batch was handed out
            self._losses.look_if_due()
            if is_asked:
                yield from self._take()
                self._boundary.reach()
            if not tracing and drained == 0:
                # a record may be in the making on another core
                if self._ring.pending_bytes() == 0 or patience == 0:
                    break
                patience -= 1
                time.sleep(POLL_S)
            if self._flush_s is not None and time.monotonic() - flushed > self._flush_s:
                flushed = time.monotonic()
                yield from self._take()
            if drained < BUSY_BYTES and tracing:
                time.sleep(POLL_S)
            if tracing and (self.target.is_over() or self._should_stop() or self._raw_failure is not None):
                self._source.detach()
                tracing = False
        yield from self._take()
        self._losses.look(self._ring.pending_bytes())
        self._has_all = True

    def _handle(self, records: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Iterator[Columns]:
        used = 0
        if len(records):
            self._losses.handled(int(records[:8].view(np.uint64)[0]))  # a record begins with its time
        while used < len(records):
            used = self._engine.feed(records, used)
            if used < len(records):
                yield from self._take()
        if self.raw is not None:
            self._save(self.raw, self._engine.take_stream())

    def _save(self, raw: RawWriter, records: bytes) -> None:
        """If that fails, tracing ends, and the session as any does: its rows are complete up to then. What there is of
        the stream is removed at once: the recording may need its room."""
        if self._raw_failure is None:
            try:
                raw.write(records)
            except OutputError as error:
                self._raw_failure = error
                raw.abort()

    def _take(self) -> Iterator[Columns]:
        columns = self._engine.take()
        if columns is not None:
            yield columns

    def at_boundary(self, action: Callable[[], None]) -> None:
        """Run `action` on the tracing thread when the ring has been drained once more and all rows so far have been
        handed out, and wait for it. Raises what it raises. After the session's end it runs at once, here."""
        self._boundary.ask(action)

    @property
    def rows(self) -> int:
        """Rows so far, those that have not been handed out included."""
        return self._engine.builder.first_seq + self._engine.builder.rows

    def losses(self) -> Losses:
        """What is missing so far, by cause: as looked at a tenth of a second ago, or at the end."""
        return self._losses.losses

    def balance(self) -> Balance:
        """The same with its detail: by processor and time. For any thread."""
        return self._losses.ledger.balance()

    def start_ledger(self) -> Ledger:
        """Keep apart what is lost from now on. On the tracing thread, or after the end."""
        return self._losses.start()

    def stop_ledger(self, ledger: Ledger) -> None:
        """Up to now. On the tracing thread, or after the end."""
        self._losses.stop(ledger)


class ReplaySession:
    """The rows of a saved raw stream. Never asks /proc. Use as a context manager.

    Raises UsageError or DamagedFileError.
    """

    saves_raw = False

    def __init__(self, path: Path) -> None:
        self._reader = RawReader(path)
        try:
            head = self._reader.head
            self.clock = Clock.parse(head["clock"])
            self.facts = {key: str(head[key]) for key in FACTS}
            self._engine = new_engine(
                head["machine"],
                frozenset(syscalls.by_name(name).name for name in self.facts["selection"].split(",")),
                clock=self.clock,
                failed_only=bool(head["failed_only"]),
                keep_stream=False,
            )
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            self._reader.__exit__()
            what = f"{path} is damaged: its head lacks something, or tells something else than a recorder does"
            raise DamagedFileError(what, hint="`tracer-cli record --raw FILE` writes a raw stream") from error
        except BaseException:
            self._reader.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    def columns(self) -> Iterator[Columns]:
        """Batches until the end of the stream."""
        for block in self._reader.blocks():
            records = np.frombuffer(block, np.uint8)
            used = 0
            while used < len(records):
                used = self._engine.feed(records, used)
                columns = self._engine.take() if used < len(records) else None
                if columns is not None:
                    yield columns
        columns = self._engine.take()
        if columns is not None:
            yield columns

    def losses(self) -> Losses:
        """What the recorder counted in the kernel, and what pairing counts now."""
        saved = self._reader.end.get("loss")
        saved = saved if isinstance(saved, dict) else {}
        causes = (*LOSS_CAUSES, "program_skipped", UNDRAINED)
        kernel: Losses = {cause: known(saved.get(cause)) for cause in causes}
        return kernel | self._engine.counters()

    def balance(self) -> Balance:
        """With the windows that the recorder kept; without one what it did not keep."""
        totals = self.losses()
        return Balance(totals, entries_for(totals, read_entries(self._reader.end.get("losses"))))


FACTS = ("version", "host", "boot_id", "session", "started_at", "clock", "command", "selection", "mode")
"""Footer keys that are known when a session starts; see docs/schema.md."""


def session_facts(clock: Clock, target: Target, wanted: frozenset[str]) -> dict[str, str]:
    """What a recording says about itself, apart from its rows and losses."""
    command = shlex.join(target.argv) if isinstance(target, Command) else target.name
    return {
        "version": metadata.version("tracer-toolkit"),
        "host": socket.gethostname(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "session": uuid.uuid4().hex,
        "started_at": datetime.fromtimestamp(clock.wall_ns / 1e9, UTC).isoformat(),
        "clock": json.dumps({"boot_ns": clock.boot_ns, "wall_ns": clock.wall_ns}),
        "command": os.fsencode(command).decode(errors="backslashreplace"),
        "selection": ",".join(sorted(wanted)),
        "mode": "headless",
    }
