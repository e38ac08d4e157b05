"""The line that a recording shows while it runs, and the one it closes with."""

from __future__ import annotations

import time

from tracer.cli.render import count, printable, say, size
from tracer.losses import Losses, lacks_calls, lost_of
from tracer.pipeline import LiveSession, Outcome, ParquetRecorder

EVERY_S = 0.5


class Progress:
    """One line on stderr, rewritten twice a second: rows, rate, losses, size."""

    def __init__(self, session: LiveSession, recorder: ParquetRecorder, *, enabled: bool) -> None:
        self._session = session
        self._recorder = recorder
        self._enabled = enabled
        self._shown = False
        self._due = self._started = time.monotonic()
        self._last = (self._started, 0)

    def show(self) -> None:
        """Write the line if it is time."""
        now = time.monotonic()
        if not self._enabled or now < self._due:
            return
        self._due = now + EVERY_S
        rows = self._session.rows
        then, before = self._last
        rate = int((rows - before) / (now - then)) if now > then else 0
        self._last = (now, rows)
        lost = total_lost(self._session.losses())
        text = (
            f"{count(rows)} rows  {count(rate)}/s  {count(lost) if lost is not None else 'unknown'} lost  "
            f"{size(self._recorder.bytes_written)}  {now - self._started:.0f} s"
        )
        say(f"\r\x1b[K{text}")
        self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            say("\r\x1b[K")


def total_lost(losses: Losses) -> int | None:
    """All losses together; None if one is unknown."""
    known = [lost for lost in lost_of(losses).values() if lost is not None]
    return sum(known) if len(known) == len(lost_of(losses)) else None


def closing_line(written: object, outcome: Outcome) -> str:
    """What a recording came to: rows, losses by cause, seconds, what was written and its size."""
    return (
        f"tracer-cli: {count(outcome.rows)} rows in {outcome.seconds:.2f} s, {_lost(outcome.losses)}; "
        f"{printable(str(written))}, {size(outcome.size_bytes)}"
    )


def _lost(losses: Losses) -> str:
    shown = {cause: "unknown" if lost is None else count(lost) for cause, lost in lost_of(losses).items() if lost != 0}
    causes = [f"{cause} {lost}" for cause, lost in shown.items()]
    if not causes:
        return "nothing lost"
    return f"{'of at least as many calls, ' if lacks_calls(losses) else ''}lost: {', '.join(causes)}"
