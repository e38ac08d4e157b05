"""What the model of `reference.py` remembers between records: threads, processes and their descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reference_columns import Known, Pending

FD_LIMIT = 1 << 20
MOST_REPLACING = 8


@dataclass(frozen=True)
class Entry:
    """What is known of one open descriptor. `cloexec` is None where unknown."""

    known: Known
    cloexec: bool | None
    bound_change: int


Key = int | tuple[int, int]
"""A number; or the working directory, with the process whose it is."""


@dataclass
class Group:
    """Calls that free a number or give it to another file at the same time."""

    was_made: bool
    """The file that the first of them frees is known, since a call told of it."""
    calls: int = 0
    is_contested: bool = False
    is_settled: bool = False
    """Another call got the number: it was free."""


class Table(dict[int, Entry]):
    """What is known of the descriptors, and which of them calls that are under way give to other files."""

    def __init__(self, entries: Mapping[int, Entry] | None = None) -> None:
        super().__init__(entries or {})
        self.bound_ns: dict[int, int] = dict(entries.bound_ns) if isinstance(entries, Table) else {}
        """When each number got the file that it has, or lost the one that it had."""
        self.made: set[int] = set()
        """Numbers to which a call gave a file, and told of it, whatever that is called."""
        self.doubt_ns: dict[int, int] = {}
        """When each number lost a file last that may have been another one than was known."""
        if isinstance(entries, Table):
            self.doubt_ns |= entries.doubt_ns
            self.made |= entries.made
        self.groups: dict[Key, Group] = {}
        self.under_way = self.giving = 0
        self.ranges = 0
        """Of calls that free many; and from where to where all those go that have begun since there were none."""
        self.range = self.ended_range = range(0)
        self.range_end_ns = 0
        """Of the last of them that has ended."""
        self.too_many = False
        self.last_change = 0

    def begin_replacing(self, key: Key, *, gives: bool, frees_made: bool) -> Group | None:
        self.under_way += 1
        self.giving += gives
        if key not in self.groups and len(self.groups) == MOST_REPLACING:
            self.too_many = True
            return None
        group = self.groups.setdefault(key, Group(frees_made))
        group.is_contested |= group.calls > 0 or self.is_in_ranges(key)
        group.calls += 1
        return group

    def end_replacing(self, key: Key, group: Group | None, *, gives: bool) -> bool:
        """Whether others did the same to the number, and it is not settled what became of it."""
        self.giving -= gives
        is_settled = group is not None and group.is_settled
        is_contested = not is_settled and (self.too_many or group is None or group.is_contested)
        if group and not is_settled and not self.too_many:
            group.calls -= 1
            if not group.calls:
                del self.groups[key]
        self.end_one()
        return is_contested

    def end_one(self) -> None:
        self.under_way -= 1
        if not self.under_way:
            self.groups.clear()
            self.too_many = False

    def settle(self, fd: int) -> None:
        group = self.groups.get(fd)
        if group and group.calls == 1 and group.was_made and not group.is_contested and not self.too_many:
            group.is_settled = True
            del self.groups[fd]

    def begin_range(self, freed: range) -> None:
        self.under_way += 1
        self.range = range(min(freed[0], self.range[0]), max(freed[-1], self.range[-1]) + 1) if self.ranges else freed
        self.ranges += 1
        for key, group in self.groups.items():
            group.is_contested |= self.is_in_ranges(key)

    def end_range(self) -> None:
        self.ranges -= 1
        self.end_one()

    def is_in_ranges(self, key: Key) -> bool:
        return self.ranges > 0 and isinstance(key, int) and key in self.range

    def is_replaced(self, key: Key) -> bool:
        return self.too_many or self.is_in_ranges(key) or key in self.groups

    def may_be_anothers(self, fd: int) -> bool:
        """Whether a number that a call made may have another file by now, for what is under way."""
        return fd in self.groups or self.is_in_ranges(fd) or (self.too_many and self.giving > 0)

    def was_made(self, fd: int | None, before_ns: int) -> bool:
        return fd in self.made and fd is not None and self.changed_ns(fd) <= before_ns

    def note_doubt(self, fd: int, now_ns: int) -> None:
        if 0 <= fd < FD_LIMIT:
            self.doubt_ns[fd] = max(self.doubt_ns.get(fd, 0), now_ns)

    def changed_ns(self, fd: int) -> int:
        """When the number got its file or lost one."""
        return max(self.bound_ns.get(fd, 0), self.range_end_ns if fd in self.ended_range else 0)


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
    """Where the pending call gives a number to another file, and with which others."""
    group: Group | None = None
    last_end_ns: int | None = None
    has_entered: bool = False
    last_used_ns: int = 0


def oldest_quarter(known: Mapping[int, Any]) -> list[int]:
    """Those that were not used for the longest time."""
    ages = sorted(item.last_used_ns for item in known.values())
    return [number for number, item in known.items() if item.last_used_ns <= ages[len(ages) // 4]]
