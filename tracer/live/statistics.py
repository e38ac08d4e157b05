"""Live statistics: counts calls batch by batch, and tells at any time what was counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracer._fast import Columns
from tracer._fast.statistics import Statistics
from tracer.live.snapshot import Figures, Ranking, StatisticsSnapshot

_Row = tuple[Any, ...]

SHOWN = 64
"""Rows that a snapshot has of each kind."""


class LiveStatistics:
    """Counts calls from when it is made or `reset`. Any thread may call any method.

    `read_calls` and `write_calls` name the syscalls whose `bytes` count as read and written (one may do both).
    """

    def __init__(self, read_calls: Iterable[str], write_calls: Iterable[str]) -> None:
        self._statistics = Statistics(read_calls, write_calls)

    def consume(self, columns: Columns) -> None:
        """Count the rows of a batch, which is not released. Raises ValueError if it already was."""
        self._statistics.consume(columns)

    def reset(self, now_ns: int | None = None) -> None:
        """Count from zero. Seconds count from `now_ns` (boot clock), or else from the end of the last call."""
        self._statistics.reset(now_ns)

    def snapshot(self, now_ns: int | None = None, *, shown: int = SHOWN) -> StatisticsSnapshot:
        """What was counted until `now_ns` (boot clock), or else until the end of the last call.

        `shown` is how many rows there are of each kind at most (1 to 1024).
        """
        return snapshot(self._statistics, now_ns, shown=shown)


def snapshot(statistics: Statistics, now_ns: int | None = None, *, shown: int = SHOWN) -> StatisticsSnapshot:
    """See `LiveStatistics.snapshot`."""
    tables, totals = statistics.read(shown)
    row, latency_buckets, gap_buckets, gaps, gap_ns, start_ns, last_ns = totals
    figures = Figures(*row)
    end_ns = max(last_ns, -1 if now_ns is None else now_ns)
    seconds = max(0, end_ns - start_ns) / 1e9 if start_ns >= 0 else 0.0
    syscalls, files, directories, processes = (_ranking(*table) for table in tables)
    return StatisticsSnapshot(
        totals=figures,
        syscalls=syscalls,
        files=files,
        directories=directories,
        processes=processes,
        latency_buckets=latency_buckets,
        gap_buckets=gap_buckets,
        gap_mean_ns=gap_ns / gaps if gaps else None,
        seconds=seconds,
        calls_per_s=_rate(figures.calls, seconds),
        errors_per_s=_rate(figures.errors, seconds),
        read_bytes_per_s=_rate(figures.read_bytes, seconds),
        written_bytes_per_s=_rate(figures.written_bytes, seconds),
    )


def _rate(total: int, seconds: float) -> float | None:
    return total / seconds if seconds > 0 else None


def _ranking(rows: list[_Row], other: _Row, none: _Row, other_keys: int) -> Ranking:
    return Ranking(tuple(Figures(*row) for row in rows), Figures(*other), Figures(*none), other_keys)
