"""Wires sessions to what becomes of their rows: recordings, a view beside them, record batches."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tracer import schema, selection
from tracer.batch import record_batch
from tracer.capture.kernel import DEFAULT_RING_BYTES, Filter, Identity, cgroup_key, ring_size
from tracer.capture.privileges import Capability, needed_afterwards
from tracer.capture.privileges import check as check_privileges
from tracer.capture.privileges import drop as drop_privileges
from tracer.capture.target import FORWARDED, Command, Machine, Processes, Target, User, process_of
from tracer.errors import OutputError, TracerError, ViewError
from tracer.live.fanout import Fanout
from tracer.live.view import LiveView
from tracer.losses import Balance, Entry, Ledger, Losses, dumped
from tracer.session import BATCH_ROWS, BLOCK_BYTES, Clock, LiveSession, ReplaySession, Session, new_engine
from tracer.sinks.opening import is_folder, open_recorder, would_write
from tracer.sinks.parts import Rotation
from tracer.sinks.raw import RawWriter
from tracer.sinks.recorder import DURABLE_S, ParquetRecorder, recovery_hint

__all__ = [
    # what those who record need of the stages, so that they need know no stage
    "BATCH_ROWS",
    "BLOCK_BYTES",
    "DEFAULT_RING_BYTES",
    "DURABLE_S",
    "FLUSH_S",
    "FORWARDED",
    "Capability",
    "Clock",
    "Command",
    "Filter",
    "Identity",
    "LiveSession",
    "Losses",
    "Machine",
    "Outcome",
    "ParquetRecorder",
    "Processes",
    "RawWriter",
    "ReplaySession",
    "Rotation",
    "Target",
    "User",
    "Watch",
    "cgroup_key",
    "check_privileges",
    "drop_privileges",
    "is_folder",
    "needed_afterwards",
    "new_engine",
    "open_recorder",
    "process_of",
    "record",
    "ring_size",
    "trace",
    "would_write",
]

FLUSH_S = 0.5
"""How long rows of a recording may wait for their batch to be full: what has not been handed out dies with us."""

LEAVE_S = 2.0
"""How long a command whose trace was left early may take to end by itself."""


def footer(facts: Mapping[str, str], missing: Balance) -> dict[str, str]:
    """The footer keys of a recording, without their `tracer.` prefix. With a full ledger it takes milliseconds."""
    return {**facts, "schema_version": str(schema.VERSION), **loss_keys(*missing)}


def loss_keys(losses: Losses, entries: list[Entry]) -> dict[str, str]:
    """The footer keys that tell what is missing."""
    return {"loss": json.dumps(losses), "losses": json.dumps(dumped(entries), separators=(",", ":"))}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a recording came to."""

    rows: int
    size_bytes: int
    seconds: float
    losses: Losses
    session: str
    """Its parts say so in their footers."""


def record(session: Session, recorder: ParquetRecorder) -> Outcome:
    """Run a session into a recorder, up to the closed and renamed file.

    Raises OutputError, and whatever the session raises; of the recorder only what `tracer-cli recover` needs is left.
    When the recorder fails a session that saves a raw stream goes on to its end, so that the stream is complete: it has
    to end soon then.
    """
    started = time.monotonic()
    recorder.describe(lambda: footer(session.facts, session.balance()))
    try:
        rows = _write_all(session, recorder)
        size = recorder.close(footer(session.facts, session.balance()))
    except BaseException as error:
        is_told = recorder.has_failed
        kept = recorder.abort(keep=True)
        if kept is not None and isinstance(error, TracerError) and not is_told:
            error.hint = recovery_hint(kept, error.hint)
        raise
    return Outcome(rows, size, time.monotonic() - started, session.losses(), session.facts.get("session", ""))


def _write_all(session: Session, recorder: ParquetRecorder) -> int:
    """How many rows there were. Raises OutputError, if not here then when the recorder is closed."""
    rows = 0
    for columns in session.columns():
        rows += columns.rows
        try:
            recorder.write(columns)
        except OutputError:
            if not session.saves_raw:
                raise
            columns.release()
    return rows


class Watch:
    """A session that is shown while it runs, and recorded whenever that is asked for: what the dashboard drives.

    `run` belongs to the tracing thread; `start_recording` and `stop_recording` to any other.
    """

    def __init__(self, session: LiveSession, view: LiveView) -> None:
        self.session = session
        self.view = view
        self._facts = session.facts | {"mode": "tui"}
        self._fanout = Fanout(view)
        self._recorder: ParquetRecorder | None = None
        self._started_s = 0.0
        self._ledger: Ledger | None = None

    def run(self) -> None:
        """Until the session is over and the view has seen all of it.

        A recording that runs then waits for `stop_recording`, which completes it. One that fails (disk full, say) ends
        by itself; `stop_recording` tells why. Raises what the session raises; of a recording, what `tracer-cli recover`
        needs is left then. A view that fails ends nothing: `view_error` tells of it while the session runs, and
        ViewError is raised when that is over; `stop_recording` completes a recording all the same.
        """
        try:
            with self._fanout:
                for columns in self.session.columns():
                    with suppress(OutputError):
                        self._fanout.consume(columns)
        except ViewError:
            raise
        except BaseException:
            self._fanout.abort()
            raise

    @property
    def view_error(self) -> ViewError | None:
        """Why the view shows nothing new any more, to be told to who looks at it; None while it does."""
        return self._fanout.view_error

    def start_recording(self, path: Path, *, force: bool = False) -> None:
        """Record what is handled from now on; rows are numbered from 0 again. What was handed out is made safe once a
        second.

        Raises OutputError if the file can't be made, RuntimeError if a recording runs already, or one has failed and
        `stop_recording` has not told why yet.
        """
        recorder = ParquetRecorder(path, force=force, durable_s=DURABLE_S)
        self.session.at_boundary(lambda: self._begin(recorder))

    def _begin(self, recorder: ParquetRecorder) -> None:
        if self._recorder is not None:
            recorder.abort()
            raise RuntimeError("a recording runs already, or has failed and was not stopped")
        self._fanout.start(recorder)
        self._recorder = recorder
        self._started_s = time.monotonic()
        self._ledger = ledger = self.session.start_ledger()
        recorder.describe(lambda: footer(self._facts, ledger.balance()))

    def stop_recording(self) -> Outcome:
        """Complete the recording: every row that was handled since its start is in it.

        Its losses are those since then. Raises OutputError, or RuntimeError if no recording runs.
        """
        recorder, ledger = self._recorder, self._ledger
        if recorder is None or ledger is None:
            raise RuntimeError("no recording runs")
        self._recorder = None
        self.session.at_boundary(lambda: self._pause(ledger))
        missing = ledger.balance()
        size = recorder.close(footer(self._facts, missing))
        seconds = time.monotonic() - self._started_s
        return Outcome(recorder.rows, size, seconds, missing.totals, self._facts.get("session", ""))

    def _pause(self, ledger: Ledger) -> None:
        self._fanout.stop()
        self.session.stop_ledger(ledger)


def trace(
    command: Sequence[str | bytes | os.PathLike[str]],
    *,
    trace: str | Sequence[str] | None = None,
    follow: bool = True,
    failed_only: bool = False,
    identity: Identity = "auto",
    ring_bytes: int = DEFAULT_RING_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Run a command and yield what it does as record batches of `tracer.schema.SCHEMA`, ten times a second while it
    runs.

    `trace` selects syscalls as `tracer-cli record -e` does, `identity` is its option of that name. Nothing runs before
    the first batch is asked for. Leaving the loop early ends the tracing and the command: SIGTERM, and SIGKILL two
    seconds later.

    Raises UsageError at once, and CommandError for a command that is not there; MachineError, and CommandError for one
    that execve refuses, with the first batch.
    """
    ring_size(ring_bytes)
    expressions = [trace] if isinstance(trace, str) else list(trace) if trace is not None else None
    wanted = selection.parse(expressions)
    filters = Filter(follow=follow, failed_only=failed_only, identity=identity)
    return _batches(Command(command), wanted, filters, ring_bytes)


def _batches(target: Command, wanted: frozenset[str], filters: Filter, ring_bytes: int) -> Iterator[pa.RecordBatch]:
    with LiveSession(target, wanted, filters, ring_bytes=ring_bytes, flush_s=0.1) as session:
        try:
            for columns in session.columns():
                yield record_batch(columns)
        except BaseException:
            target.end(LEAVE_S)
            raise
        target.finish()
