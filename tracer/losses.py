"""What is missing from a recording: by cause and processor, and when it was lost.

Counters only grow; they are looked at several times a second, and a `Ledger` keeps in which window each of them grew.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tracer.clock import boot_clock_ns

Losses = dict[str, int | None]
"""What is missing, by cause; None: unknown."""

Key = tuple[str, int | None]
"""A counter: its cause, and its processor if there is one for each."""

Counters = Mapping[Key, int | None]
"""Counts so far; None: can't be read."""

NAMES_ONLY = frozenset({"path_truncated", "path_unreadable", "untracked_fds", "forgotten_processes"})
"""Causes that cost a name, or its end, and no call. A thread that is forgotten may have been in a call."""

NOT_LOST = frozenset({"refused_calls", "unfinished_calls"})
"""What is counted beside the losses: calls that seccomp refused, or whose thread died in them, have no row."""

UNDRAINED = "undrained_bytes"

CONTINUED = "continued_ns"
"""The footer key of a part that is not its recording's last: when its last call ended, on the boot clock."""

UNKNOWN_CAUSE = "unknown"
"""Stands in a table of losses for all that a recording does not tell."""

MOST_WINDOWS = 2048
"""Of a ledger: some 200 KB of a footer. More of them are merged into coarser ones."""

LOOK_S = 0.1
"""Between two looks at the counters. A look takes some 55 us (2 processors)."""


class Entry(NamedTuple):
    """So much was lost for a cause between two moments of the boot clock; without the second one, for all that is known
    since the first, and without both at any time."""

    cause: str
    cpu: int | None
    from_ns: int | None
    to_ns: int | None
    lost: int | None


def minus(now: int | None, before: int | None) -> int | None:
    """What came to a count; unknown where one of the two is."""
    return None if now is None or before is None else max(0, now - before)


def entries_between(earlier: list[Entry], now: list[Entry]) -> list[Entry]:
    """What a ledger's entries have gained over those that it had before: windows that are new, or that grew.

    Windows touch and become one, and the closest are merged when there are too many: one that is there now may hold
    some of those before. When in it the rest was lost isn't known, so the window stays as long as it is.
    """
    windows: dict[Key, list[Entry]] = {}
    for entry in now:
        windows.setdefault((entry.cause, entry.cpu), []).append(entry)
    gained = {id(entry): entry.lost for entry in now}
    for before in earlier:
        mine = windows.get((before.cause, before.cpu), [])
        place = bisect_right(mine, _begin(before), key=_begin)
        if place:
            holder = id(mine[place - 1])
            gained[holder] = minus(gained[holder], before.lost)
    return [entry._replace(lost=gained[id(entry)]) for entry in now if gained[id(entry)] != 0]


def _begin(entry: Entry) -> int:
    return -1 if entry.from_ns is None else entry.from_ns


class Balance(NamedTuple):
    """What is missing at one moment: the sum of each cause, and the entries that add up to it."""

    totals: Losses
    entries: list[Entry]


def lost_of(losses: Losses) -> Losses:
    """The losses alone, without what is only counted beside them."""
    return {cause: lost for cause, lost in losses.items() if cause not in NOT_LOST}


def lacks_calls(losses: Losses | None) -> bool:
    """Whether calls may be missing, so that a count of them is a least one."""
    return losses is None or any(lost != 0 for cause, lost in lost_of(losses).items() if cause not in NAMES_ONLY)


def is_complete(losses: Losses | None) -> bool:
    """Whether it is known that nothing is missing, not even a name."""
    return losses is not None and all(lost == 0 for lost in lost_of(losses).values())


class _Window(NamedTuple):
    from_ns: int
    to_ns: int
    lost: int


@dataclass(slots=True)
class _Account:
    """One counter, as far as it has been looked at."""

    counted: int
    looked_ns: int
    is_unknown: bool = False
    begins_unknown: bool = False
    lost: int = 0
    windows: list[_Window] = field(default_factory=list)

    @property
    def total(self) -> int | None:
        return None if self.is_unknown or self.begins_unknown else self.lost


class Ledger:
    """In which windows counters grew since `start_ns`, when they stood at `base` (0 where it says nothing).

    Windows of a counter that touch are one. Of more than `most` windows those closest to each other are merged, so that
    there are never more (but one for each counter, if those are more); the sums stay exact. One thread looks, any may
    ask what was found.
    """

    def __init__(self, start_ns: int, base: Counters | None = None, *, most: int = MOST_WINDOWS) -> None:
        self._start_ns = self._end_ns = start_ns
        self._base = base or {}
        self._most = most
        self._windows = 0
        self._lock = threading.Lock()
        self._accounts: dict[Key, _Account] = {}
        self.look(self._base, start_ns, start_ns)

    def look(self, counters: Counters, before_ns: int, after_ns: int, oldest_ns: int | None = None) -> None:
        """Take counters into account that were read between two moments.

        A counter that can't be read is unknown until it can be read again; what was lost meanwhile is found then.
        `oldest_ns`: when what they count may have begun, if that is before the look before.
        """
        with self._lock:
            self._end_ns = max(self._end_ns, after_ns)
            for key, count in counters.items():
                self._take(self._accounts.get(key) or self._open(key), count, before_ns, after_ns, oldest_ns)

    def _take(self, account: _Account, count: int | None, before_ns: int, after_ns: int, oldest_ns: int | None) -> None:
        account.is_unknown = count is None
        if count is None:
            return
        if account.begins_unknown:
            account.counted = max(account.counted, count)
        if count > account.counted:
            from_ns = account.looked_ns if oldest_ns is None else min(account.looked_ns, oldest_ns)
            self._add(account, _Window(from_ns, after_ns, count - account.counted))
        account.counted, account.looked_ns = count, before_ns

    def _open(self, key: Key) -> _Account:
        count = self._base.get(key, 0)
        account = _Account(count or 0, self._start_ns, begins_unknown=count is None)
        self._accounts[key] = account
        return account

    def _add(self, account: _Account, window: _Window) -> None:
        account.lost += window.lost
        while account.windows and window.from_ns <= account.windows[-1].to_ns:
            window = _merge(window, account.windows.pop())
            self._windows -= 1
        account.windows.append(window)
        self._windows += 1
        if self._windows > self._most:
            self._coarsen()

    def _coarsen(self) -> None:
        """Merge the closer half of all neighbours."""
        gaps = sorted(gap for account in self._accounts.values() for gap in _gaps(account.windows))
        if not gaps:
            return
        widest = gaps[len(gaps) // 2]
        for account in self._accounts.values():
            account.windows = _merged(account.windows, widest)
        self._windows = sum(len(account.windows) for account in self._accounts.values())

    def totals(self) -> Losses:
        """The sum of each cause over all processors; unknown if one of them is."""
        with self._lock:
            return self._totals()

    def entries(self) -> list[Entry]:
        """All windows by time, and one for each counter that is unknown now: since it was."""
        return self.balance().entries

    def balance(self) -> Balance:
        """Both, of the same moment. Who looks is held up for as long as it takes to copy lists."""
        with self._lock:
            totals = self._totals()
            accounts = [
                (key, [*account.windows, *self._unknown(account)])
                for key, account in self._accounts.items()
                if account.windows or account.total is None
            ]
        return Balance(totals, _sorted(Entry(*key, *window) for key, windows in accounts for window in windows))

    def _totals(self) -> Losses:
        found: Losses = {}
        for (cause, _), account in self._accounts.items():
            found[cause] = _plus(found.get(cause, 0), account.total)
        return found

    def _unknown(self, account: _Account) -> Iterator[tuple[int, int, None]]:
        if account.total is None:
            since_ns = self._start_ns if account.begins_unknown else account.looked_ns
            yield since_ns, max(since_ns, self._end_ns), None


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _merge(window: _Window, other: _Window) -> _Window:
    return _Window(min(window.from_ns, other.from_ns), max(window.to_ns, other.to_ns), window.lost + other.lost)


def _gaps(windows: list[_Window]) -> list[int]:
    return [later.from_ns - earlier.to_ns for earlier, later in pairwise(windows)]


def _merged(windows: list[_Window], widest_gap_ns: int) -> list[_Window]:
    kept = windows[:1]
    for window in windows[1:]:
        if window.from_ns - kept[-1].to_ns <= widest_gap_ns:
            kept[-1] = _merge(kept[-1], window)
        else:
            kept.append(window)
    return kept


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    """By time, those without one first."""
    return sorted(entries, key=lambda entry: [-1 if value is None else value for value in entry[2:4]])


class LossWatch:
    """Looks at the counters of a session that runs, and keeps its ledger, and those of parts of it.

    `kernel` reads the counters of the kernel's side, `engine` those of pairing. For one thread at a time, but for
    `losses` and what ledgers tell.
    """

    def __init__(
        self, kernel: Callable[[], Counters], engine: Callable[[], Mapping[str, int]], start_ns: int, *, most: int
    ) -> None:
        self._kernel = kernel
        self._engine = engine
        self._most = most
        self._counters: dict[Key, int | None] = {}
        self._oldest_ns: int | None = None
        self._due_s = 0.0
        self._is_over = False
        self.ledger = Ledger(start_ns, most=most)
        self._ledgers = [self.ledger]
        self.losses: Losses = {}
        """What is missing by the last look."""
        self.look(undrained=0)

    def handled(self, oldest_ns: int) -> None:
        """Records have come, the first of which is so old: what pairing counts may have happened since then."""
        if self._oldest_ns is None:
            self._oldest_ns = oldest_ns

    def look_if_due(self) -> None:
        """Look, if the last time is long enough ago."""
        if time.monotonic() >= self._due_s:
            self.look()

    def look(self, undrained: int | None = None) -> None:
        """Read all counters. `undrained`: what is left in the ring at the end."""
        if self._is_over:
            return
        before_ns = boot_clock_ns()
        kernel = dict(self._kernel())
        if undrained is not None:
            kernel[UNDRAINED, None] = undrained
        paired: Counters = {(cause, None): count for cause, count in self._engine().items()}
        after_ns = boot_clock_ns()
        for ledger in self._ledgers:
            ledger.look(kernel, before_ns, after_ns)
            ledger.look(paired, before_ns, after_ns, self._oldest_ns)
        self._counters |= kernel | dict(paired)
        self._oldest_ns = None
        self._due_s = time.monotonic() + LOOK_S
        self.losses = self.ledger.totals()

    def start(self) -> Ledger:
        """A ledger of what is lost from now on."""
        self.look()
        now_ns = boot_clock_ns()
        ledger = Ledger(now_ns, self._counters, most=self._most)
        self._ledgers.append(ledger)
        return ledger

    def stop(self, ledger: Ledger) -> None:
        """Up to now; it does not change any more."""
        self.look()
        self._ledgers.remove(ledger)

    def end(self) -> None:
        """Look no more: the counters are about to go."""
        self._is_over = True


# ---- as JSON ----


def dumped(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """Entries as JSON has them."""
    return [entry._asdict() for entry in entries]


def known(lost: object) -> int | None:
    """A loss as a file tells it; what is not a number is unknown, never 0."""
    return lost if type(lost) is int and 0 <= lost < 1 << 63 else None


def parse_totals(text: str | None) -> Losses | None:
    """Losses by cause as a footer has them; None if it says nothing."""
    causes = _json(text)
    return {cause: known(lost) for cause, lost in causes.items()} if isinstance(causes, dict) else None


def parse_entries(text: str | None) -> list[Entry]:
    """The ledger as a footer has it: nothing if any of it is wrong."""
    return read_entries(_json(text))


def read_entries(value: object) -> list[Entry]:
    """The same, of what JSON was."""
    if not isinstance(value, list):
        return []
    entries = [_entry(item) for item in value]
    return [entry for entry in entries if entry is not None] if None not in entries else []


def _json(text: str | None) -> object:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None


def _entry(item: object) -> Entry | None:
    if not isinstance(item, dict) or not isinstance(item.get("cause"), str):
        return None
    numbers = [item.get(name) for name in Entry._fields[1:]]
    if any(number is not None and known(number) is None for number in numbers):
        return None
    entry = Entry(item["cause"], *numbers)
    if entry.cpu is not None and entry.cpu >= 1 << 31:
        return None
    if entry.to_ns is not None and (entry.from_ns is None or entry.from_ns > entry.to_ns):
        return None
    return entry


def unknown_since(ended_ns: int | None) -> Entry:
    """What is missing from a recording whose end is, when its last call ended at that time."""
    return Entry(UNDRAINED, None, ended_ns, None, None)


def missing_end(footers: Iterable[Mapping[str, str]]) -> Entry | None:
    """That the last part of a recording is missing, if all that are there say that another one follows."""
    said = [footer.get(CONTINUED) for footer in footers]
    if None in said:
        return None
    times = [known(_json(text)) for text in said]
    return unknown_since(None if None in times else max(time or 0 for time in times))


def wall_offset_ns(text: str | None) -> int | None:
    """Wall clock minus boot clock, as a footer's `clock` tells it; None if it does not."""
    clock = _json(text)
    readings = [known(clock.get(name)) for name in ("wall_ns", "boot_ns")] if isinstance(clock, dict) else [None]
    return None if None in readings else (readings[0] or 0) - (readings[1] or 0)


def entries_for(totals: Losses | None, entries: Iterable[Entry]) -> list[Entry]:
    """The entries of each cause that add up to its total; for another cause the total, in an unknown window."""
    if totals is None:
        return [Entry(UNKNOWN_CAUSE, None, None, None, None)]
    by_cause: dict[str, list[Entry]] = {}
    for entry in entries:
        by_cause.setdefault(entry.cause, []).append(entry)
    found = []
    for cause, total in totals.items():
        mine = by_cause.get(cause, [])
        if total == _sum(mine) and (mine or total is not None):
            found += mine
        elif total != 0:
            found.append(Entry(cause, None, None, None, total))
    return _sorted(found)


def _sum(entries: list[Entry]) -> int | None:
    counts = [entry.lost for entry in entries]
    return None if None in counts else sum(count or 0 for count in counts)
