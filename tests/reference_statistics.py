"""What statistics mean, in plain Python: exact sums and all latencies of every group, nothing ever folded."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

BOUNDS_NS = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]
QUANTILES = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "p999_ns": 0.999}
Row = dict[str, Any]


@dataclass
class Group:
    """What is counted of the rows with one key."""

    calls: int = 0
    errors: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    latencies: list[int] = field(default_factory=list)
    name: str = ""

    @property
    def rank(self) -> tuple[int, int]:
        return sum(self.latencies), self.calls

    def quantile(self, wanted: float) -> int:
        """The least latency that so many are not above."""
        return sorted(self.latencies)[max(1, math.ceil(wanted * len(self.latencies))) - 1]


def parent(file: str | None) -> str | None:
    """The directory a file is directly in; the root is in itself."""
    if file is None or "/" not in file:
        return None
    return file[: file.rindex("/")] or "/"


class Statistics:
    """Counts rows, as dicts by column."""

    def __init__(self, read_calls: Iterable[str], write_calls: Iterable[str]) -> None:
        self.read_calls, self.write_calls = set(read_calls), set(write_calls)
        self.totals = Group()
        self.tables: dict[str, dict[Hashable, Group]] = {name: defaultdict(Group) for name in KEYS}
        self.latency_buckets, self.gap_buckets = [0] * 8, [0] * 8
        self.gaps: list[int] = []
        self.led: set[int] = set()
        self.start_ns: int | None = None
        self.last_ns = -1

    def consume(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.add(self.totals, row)
            for name, key in KEYS.items():
                self.add(self.tables[name][key(row)], row)
            self.name_process(row)
            if row["latency_ns"] is not None:
                self.latency_buckets[bisect_right(BOUNDS_NS, row["latency_ns"])] += 1
            if row["gap_ns"] is not None:
                self.gap_buckets[bisect_right(BOUNDS_NS, row["gap_ns"])] += 1
                self.gaps.append(row["gap_ns"])
            self.start_ns = row["time_ns"] if self.start_ns is None else min(self.start_ns, row["time_ns"])
            self.last_ns = max(self.last_ns, row["time_ns"] + (row["latency_ns"] or 0))

    def add(self, group: Group, row: Row) -> None:
        group.calls += 1
        group.errors += row["is_error"]
        group.read_bytes += (row["bytes"] or 0) if row["syscall"] in self.read_calls else 0
        group.written_bytes += (row["bytes"] or 0) if row["syscall"] in self.write_calls else 0
        if row["latency_ns"] is not None:
            group.latencies.append(row["latency_ns"])

    def name_process(self, row: Row) -> None:
        """A process is called as its first thread is, as soon as that has made a call."""
        if row["pid"] == row["tid"]:
            self.led.add(row["pid"])
        elif row["pid"] in self.led:
            return
        self.tables["processes"][row["pid"]].name = row["comm"]


KEYS: dict[str, Callable[[Row], Hashable]] = {
    "syscalls": lambda row: row["syscall"],
    "files": lambda row: row["file"],
    "directories": lambda row: parent(row["file"]),
    "processes": lambda row: row["pid"],
}
