"""All that the dashboard shows of a session, kept up to date batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracer._fast import Columns
from tracer._fast.rowring import RowRing, Rows
from tracer._fast.trie import Frame, Trie
from tracer.live.snapshot import StatisticsSnapshot
from tracer.live.statistics import LiveStatistics

RING_ROWS = 10_000
"""Rows that are kept for the list of rows."""

FLAME_ORDER = ("comm", "path", "syscall")
"""What the levels of the flame graph are, from the root on, unless another order is asked for."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is to see. It never changes. Each part is of one moment, but rows that come meanwhile can be in
    some of the parts and not in others."""

    statistics: StatisticsSnapshot
    rows: Rows
    """The last rows, oldest first."""
    flame: Frame


class LiveView:
    """Statistics, the last rows and flame data of a session, in bounded memory.

    `read_calls` and `write_calls` name the syscalls whose bytes count as read and as written. Any thread may call any
    method.
    """

    def __init__(self, read_calls: Iterable[str], write_calls: Iterable[str]) -> None:
        self._statistics = LiveStatistics(read_calls, write_calls)
        self._ring = RowRing(RING_ROWS)
        self._flame = Trie(FLAME_ORDER, "count")

    def consume(self, columns: Columns) -> None:
        """Take a batch's rows into account. It is not released. Raises ValueError if it already was."""
        self._statistics.consume(columns)
        self._ring.consume(columns)
        self._flame.consume(columns)

    def regroup(self, order: Sequence[str], metric: str) -> None:
        """Begin the flame data anew with other levels or another weight (see `tracer._fast.trie.Trie`)."""
        self._flame = Trie(order, metric)

    def reset(self, now_ns: int | None = None) -> None:
        """Count from zero, at `now_ns` of the boot clock. The last rows stay."""
        self._statistics.reset(now_ns)
        self._flame.reset()

    def snapshot(self, *, rows: int = 200, now_ns: int | None = None) -> Snapshot:
        """What there is to see: the last `rows` rows at most, and rates until `now_ns` (boot clock)."""
        return Snapshot(
            statistics=self._statistics.snapshot(now_ns),
            rows=self._ring.snapshot(rows),
            flame=self._flame.snapshot(),
        )
