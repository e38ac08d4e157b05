"""The line that a recording shows while it runs, and the one it closes with."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from tracer.cli.render import count, printable, size
from tracer.losses import Losses, lacks_calls, lost_of
from tracer.pipeline import LiveSession, Outcome, ParquetRecorder

EVERY_S = 0.5


def terminal_that_never_waits() -> int | None:
    """Standard error, opened once more; None if it is no terminal, or can't be had.

    Whoever shows a recording's progress drains the ring, too, and must not wait for a terminal that is stopped (Ctrl-S)
    or at the other end of a line that hangs. To wait or not belongs to what was opened: what is said to standard error
    itself still waits, and gets there. Open it before privileges are given up: the terminal may be another user's.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{sys.stderr.fileno()}", flags)
    return None


class Progress:
    """One line on a terminal, rewritten twice a second: rows, rate, losses, size. What can't be said at once is not."""

    def __init__(self, session: LiveSession, recorder: ParquetRecorder, terminal: int | None) -> None:
        self._session = session
        self._recorder = recorder
        self._terminal = terminal
        self._shown = False
        self._due = self._started = time.monotonic()
        self._last = (self._started, 0)

    def show(self) -> None:
        """Write the line if it is time."""
        now = time.monotonic()
        if self._terminal is None or now < self._due:
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
        self._write(self._terminal, text)
        self._shown = True

    def clear(self) -> None:
        """Take the line away; no other comes."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            if self._shown:
                self._write(terminal, "")
            os.close(terminal)

    @staticmethod
    def _write(terminal: int, text: str) -> None:
        with suppress(OSError):
            columns = os.get_terminal_size(terminal).columns or len(text) + 1  # 0: nobody has said
            os.write(terminal, f"\r\x1b[K{text[: columns - 1]}".encode())  # of a line that wraps a part would stay


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
