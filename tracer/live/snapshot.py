"""What was counted until one moment, as values that never change: the dashboard draws them, and keeps them apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one group of calls, or of all of them.

    Times are in nanoseconds, and None when no call was timed: a call that never returns counts, but has no latency.
    Sums, `min_ns` and `max_ns` are exact, and so is `mean_ns`, as far as the sum of all latencies is below 2^64 (585
    years); a percentile is at most 1/64 off the value of that rank.
    """

    name: str
    """Syscall, file, directory or name of the process; empty for the others, those without, and all."""
    pid: int | None
    calls: int
    errors: int
    read_bytes: int
    written_bytes: int
    timed: int
    """Calls that have a latency."""
    latency_ns: int
    """The sum of all latencies."""
    mean_ns: float | None
    min_ns: int | None
    max_ns: int | None
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    p999_ns: int | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The groups of one kind. `rows`, `other` and `none` together are all calls, exactly.

    Once groups have been folded into `other`, a row may tell less than what its group did, never more: one that came
    back began anew, and what it did before is in `other`.
    """

    rows: tuple[Figures, ...]
    """The first ones: with the most latency in sum, and the most calls where that is equal."""
    other: Figures
    """All other groups in one."""
    none: Figures
    """The calls without such a group: those on no file, those on a file in no directory."""
    other_keys: int
    """How many groups are in `other`. One that was folded, came back and was folded again counts again."""


@dataclass(frozen=True, slots=True)
class StatisticsSnapshot:
    """All that was counted in `seconds`."""

    totals: Figures
    syscalls: Ranking
    files: Ranking
    directories: Ranking
    """A file counts for the directory it is directly in."""
    processes: Ranking
    latency_buckets: tuple[int, ...]
    """Calls by latency: below 1 us, 10 us, 100 us, 1 ms, 10 ms, 100 ms, 1 s, and the rest."""
    gap_buckets: tuple[int, ...]
    """Gaps between two calls of a thread, by the same bounds."""
    gap_mean_ns: float | None
    """Of the calls that have a gap; None when none has."""
    seconds: float
    """Since the first call or the last reset."""
    calls_per_s: float | None
    """None when no time has passed, as the other rates."""
    errors_per_s: float | None
    read_bytes_per_s: float | None
    written_bytes_per_s: float | None
