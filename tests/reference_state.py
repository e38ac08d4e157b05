"""What the model of `reference.py` remembers between records: threads, processes and their descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reference_columns import Known, Pending

MOST_REPLACING = 8


@dataclass(frozen=True)
class Entry:
    """What is known of one open descriptor. `cloexec` is None where unknown."""

    known: Known
    cloexec: bool | None
    bound_change: int
    given: bool = False
    """By a call that names it."""


class Table(dict[int, Entry]):
    """What is known of the descriptors, and which of them calls that are under way give to other files."""

    def __init__(self, entries: Mapping[int, Entry] | None = None) -> None:
        super().__init__(entries or {})
        self.bound_ns: dict[int, int] = dict(entries.bound_ns) if isinstance(entries, Table) else {}
        """When each number got the file that it has, or lost the one that it had."""
        self.replacing: list[int | tuple[int, int]] = []
        self.giving: list[int] = []
        """Those of them that get another file."""
        self.ranges = 0
        """Of calls that free many; and from where to where all those go that have begun since there were none."""
        self.range = range(0)
        self.range_end_ns = 0
        """Of the last of them that has ended."""
        self.contested: set[int | tuple[int, int]] = set()
        """Numbers that several calls free or give to another file, until the last of those has ended."""
        self.too_many = False
        self.last_change = 0

    def begin_replacing(self, fd: int | tuple[int, int], *, gives: bool) -> None:
        if self.is_in_ranges(fd) or fd in self.replacing:
            self.contested.add(fd)
        self.replacing.append(fd)
        self.giving += [fd] if gives and isinstance(fd, int) else []
        self.too_many |= len({*self.replacing}) > MOST_REPLACING

    def end_replacing(self, fd: int | tuple[int, int], *, gives: bool) -> bool:
        """Whether others did the same to the number."""
        contested = self.too_many or fd in self.contested
        self.replacing.remove(fd)
        if gives and isinstance(fd, int):
            self.giving.remove(fd)
        self.settle()
        return contested

    def begin_range(self, freed: range) -> None:
        self.range = range(min(freed[0], self.range[0]), max(freed[-1], self.range[-1]) + 1) if self.ranges else freed
        self.ranges += 1
        self.contested |= {fd for fd in self.replacing if self.is_in_ranges(fd)}

    def end_range(self) -> None:
        self.ranges -= 1
        self.settle()

    def settle(self) -> None:
        self.too_many &= self.is_under_way
        self.contested &= {*self.replacing}

    @property
    def is_under_way(self) -> bool:
        return bool(self.replacing or self.ranges)

    def is_in_ranges(self, fd: int | tuple[int, int]) -> bool:
        return self.ranges > 0 and isinstance(fd, int) and fd in self.range

    def is_replaced(self, fd: int | tuple[int, int]) -> bool:
        return self.too_many or self.is_in_ranges(fd) or fd in self.replacing

    def is_given(self, fd: int) -> bool:
        return fd in self.giving or (self.too_many and bool(self.giving))


@dataclass
class Process:
    table: Table = field(default_factory=Table)
    cwd: bytes | None = None
    cwd_changed_ns: int = 0
    cwd_change: int = 0
    void_name_ns: int = 0
    """When a name was read that was older than what it names."""
    brk: int | None = None
    last_used_ns: int = 0


@dataclass
class Thread:
    tgid: int
    comm: bytes = b""
    mount_namespace: int | None = None
    pending: Pending | None = None
    replacing_in: Table | None = None
    """Where the pending call gives a number to another file."""
    last_end_ns: int | None = None
    has_entered: bool = False
    last_used_ns: int = 0


def oldest_quarter(known: Mapping[int, Any]) -> list[int]:
    """Those that were not used for the longest time."""
    ages = sorted(item.last_used_ns for item in known.values())
    return [number for number, item in known.items() if item.last_used_ns <= ages[len(ages) // 4]]
