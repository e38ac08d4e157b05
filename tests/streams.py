"""Hypothesis strategies that make streams of records: plausible calls of a few threads, with every fault mixed in.

An event (a call, a fork, a thread's end) is made of one number, by a `Maker` that takes all its choices from it; so a
stream is a list of numbers, long at little cost, and shrinks by leaving events out. Choices come from small pools, so
that descriptors, threads and paths meet again and again. A stream ends with calls that show all that is remembered by
then, and once more behind an exec.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import wire
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

MASK = (1 << 64) - 1
AT_FDCWD = -100
Thread = tuple[int, int]
"""A process's and a thread's number."""

THREADS = (*[(100, 100)] * 12, *[(100, 101)] * 6, *[(200, 200)] * 5, (200, 201), (300, 300))
STRAYS = ((200, 101), (300, 100), (101, 101))
"""Threads whose number belongs to another process above: it has been used again, and nobody said so."""

FDS = (*[3, 4, 5] * 6, 0, 6, -1, AT_FDCWD, 1 << 32 | 4, 0xFFFF_FFFF, (1 << 20) - 1, 1 << 20)
DIRFDS = (*[AT_FDCWD, 3, 4, 5] * 3, 0xFFFF_FF9C, -1, 1 << 32 | 5)
NEW_FDS = (*[3, 4, 5] * 6, 0, 6, (1 << 20) - 1, 1 << 20, (1 << 31) - 1)
NAMED_FDS = (3, 4, 5, wire.CWD_FD, wire.CWD_FD, wire.MOUNT_NAMESPACE_FD, 0, -1, (1 << 20) - 1, 1 << 20)
FLAGS = (0, 0x80000, 0x1000, 0x8, 0x4, 0x40, 0x44, 0x20, 0x2, 0x22, 0x410000, 1, 2, 6, 0x81000, 0xFFFF_FFFF, 1 << 32)
SIZES = (0, 1, 64, 4096, 9000, -1, 1 << 40, 1 << 32 | 64, 0xFFFF_FFFF, 1 << 31)
LENGTHS = (0, 1, 4096, 4097, 8192, 1 << 30)
MILLISECONDS = (0, 1, 250, -1, 0xFFFF_FFFF, 0x7FFF_FFFF)
ERRORS = (-9, -9, -4, -2, -11, -22, -35, -512, -513, -514, -515, -516, -41, -524, -4095, -4096)
RESULTS = (0, 0, 0, 1, 7, 64, 4096, 0x13000, 1 << 40)
STEPS_NS = (10, 10, 10, 1, 0, 0, 1000, -10, -15, -5000)
CLONE_FLAGS = (0, 0, 0x400, 0x400, 0x10000, 0x10F00, 0x20000)
COMMS = (b"sh", b"worker", b"", b"b\xffd", b"fifteen letters")
PATHS = (
    b"/a", b"/a/b", b"x", b"../x", b"../../x", b"./y//z/.", b"", b"", b"/", b"/../q", b"d/../e", b"..", b"new\nline",
    b"\xff\xfe", b"/\\xff", b"/\\x5cx80\\x2d\\xF0\\xf", b"/long enough\\x9a\\",
    b"/a/..", b"/" + b"d" * 255, b"e/" * 2040, b"/" + b"f" * 4094,
    b"g" * 4092, b"g" * 4093,
)  # fmt: skip
PIECES = (b"/", b"/", b"/", b".", b"..", b"a", b"bc", b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\\", b"\\xa9", b" (deleted)")

SECONDS = (0, 0, 1, 3, -1, 1 << 40, (1 << 63) - 1, -(1 << 63), 9_223_372_036, 9_223_372_035)
FRACTIONS = (0, 1, 854_775_807, 854_775_808, 999_999, 1_000_000, 999_999_999, 1_000_000_000, -1, -1_000_000, -(1 << 63))
SUMS = (0, 5, 64, 1 << 20, 1 << 63)
READ = (1, 1, 1, 0)
AUX_AT_ENTER: dict[int, tuple[str, tuple[Sequence[int], ...]]] = {
    wire.AUX_OPEN_HOW: ("QQQ", ((0, 0x80000, 0x410000, 1 << 40, 1 << 63), (0, 0o644), (0, 1, 0x10, 0x18))),
    wire.AUX_TIMESPEC: ("qqQ", (SECONDS, FRACTIONS, READ)),
    wire.AUX_TIMEVAL: ("qqQ", (SECONDS, FRACTIONS, READ)),
    wire.AUX_EPOLL_EVENT: ("I20x", ((0, 1, 0x8000_0001),)),
    wire.AUX_XATTR_ARGS: ("QII8x", ((0, 64), (0, 1, 64, 0xFFFF_FFFF), (0, 1))),
    wire.AUX_IOVEC: ("QQ8x", (SUMS, READ)),
    wire.AUX_MSGHDR: ("QQ8x", (SUMS, READ)),
    wire.AUX_UTIMES: ("QQQ", ((0, 0x3FFF_FFFE), (0, 0x3FFF_FFFE), READ)),
}
NAME_STATUSES = (0, 0, 4, 4, 12, 12, wire.NAME_DELETED, 5, wire.NAME_INCOMPLETE, 6, 14)
DEVICES = (0x800001, 0, 26, 0xFFFFFFFF, 0x103FFABC)
NAME_TEXTS: dict[int, tuple[bytes, ...]] = {
    wire.NAME_NONE: (b"",),
    wire.NAME_COMPONENTS: (b"", b"b\0a\0", b"x\0", b"\xffy\0a\0", b"c\0b\0a\0"),
    wire.NAME_TEXT: (b"/t", b"/t/u", b"/t/../v", b"pipe:[5]", b"/w (deleted)", b"/\xff", b"r", b"/t/.."),
    wire.NAME_PIPE: (b"",),
    wire.NAME_SOCKET: (b"",),
    wire.NAME_ANON: (b"[eventfd]", b"inotify"),
    wire.NAME_PSEUDO: (b"memfd:m",),
    wire.NAME_NAMESPACE: (b"net",),
}
NAME_KINDS = (*[wire.NAME_COMPONENTS] * 5, *[wire.NAME_TEXT] * 5, *NAME_TEXTS)

ARGUMENTS_BY_EFFECT: dict[tuple[int, int], Sequence[int]] = {
    (wire.EFFECT_DUP2, 1): FDS,
    (wire.EFFECT_FCNTL, 1): (0, 0, 1030, 1030, 2, 2, 3, 0x5451, 1 << 32),
    (wire.EFFECT_FCNTL, 2): (0, 1, 3, 2, 1 << 32),
    (wire.EFFECT_IOCTL, 1): (0x5450, 0x5451, 0x5401, 2),
    (wire.EFFECT_CLOSE_RANGE, 0): (0, 3, 4, 5, 0xFFFF_FFFF),
    (wire.EFFECT_CLOSE_RANGE, 1): (0, 3, 4, 5, 0xFFFF_FFFF, MASK),
    (wire.EFFECT_CLOSE_RANGE, 2): (0, 2, 4, 6),
    (wire.EFFECT_UNSHARE, 0): (0x400, 0x200, 0x600, 0),
    (wire.EFFECT_BPF, 0): (*range(38), 5 | 1 << 16, 1 | 1 << 16),
    (wire.EFFECT_LANDLOCK, 2): (0, 0, 1),
    (wire.EFFECT_SIGNALFD, 0): (-1, 0xFFFF_FFFF, 3, 4),
}
ARGUMENTS_BY_QUANTITY: dict[tuple[int, int], Sequence[int]] = {
    (wire.QUANTITY_EPOLL_CTL, 1): (0, 1, 2, 3, 4, 1 << 32 | 1),
    (wire.QUANTITY_EPOLL_CTL, 2): FDS,
    (wire.QUANTITY_MMAP, 1): LENGTHS,
    (wire.QUANTITY_MUNMAP, 1): LENGTHS,
    (wire.QUANTITY_MREMAP, 1): LENGTHS,
    (wire.QUANTITY_MREMAP, 2): LENGTHS,
}
OFTEN = {wire.EFFECT_OPEN: 4, wire.EFFECT_DUP2: 2, wire.EFFECT_CLOSE: 2, wire.EFFECT_CHDIR: 2, wire.EFFECT_FCNTL: 3}
"""Effects that are chosen more often than the others, and how much more."""

RETURN_FD = (
    wire.EFFECT_OPEN,
    wire.EFFECT_NEW_FD,
    wire.EFFECT_DUP,
    wire.EFFECT_FCNTL,
    wire.EFFECT_LANDLOCK,
    wire.EFFECT_BPF,
    wire.EFFECT_SIGNALFD,
    wire.EFFECT_RING,
)


@dataclass(frozen=True)
class Call:
    """Both sides of a call, without the thread and the times."""

    number: int
    args: tuple[int, ...]
    ret: int
    returns: bool = True
    aux: bytes | None = None
    paths: wire.Paths | None = None
    exit_aux: bytes | None = None
    exit_paths: wire.Paths | None = None
    exit_name: wire.NameText | None = None
    is_unsure: bool = False


@dataclass
class Teller:
    """Writes records, in order; knows the time and which call each thread is in."""

    now_ns: int = 1_000_000
    pending: dict[Thread, Call] = field(default_factory=dict)
    records: list[bytes] = field(default_factory=list)

    def tell(self, record: wire.AnyRecord) -> None:
        self.records.append(wire.encode(record))

    def head(self, thread: Thread, step_ns: int) -> Any:
        self.now_ns += step_ns
        return {"time_ns": self.now_ns, "tgid": thread[0], "tid": thread[1]}

    def enter(self, thread: Thread, step_ns: int, call: Call, *, lost: bool = False) -> None:
        head = self.head(thread, step_ns)
        self.pending[thread] = call
        if not lost:
            self.tell(wire.Enter(syscall=call.number, args=call.args, aux=call.aux, paths=call.paths, **head))

    def exit(
        self,
        thread: Thread,
        step_ns: int,
        *,
        other: int | None = None,
        lost: bool = False,
        answer: tuple[int, wire.NameText] | None = None,
    ) -> None:
        """The exit of whatever the thread is in, or of `other`; without both, nothing.

        `answer`: a descriptor and what /proc called it for this exit.
        """
        call, head = self.pending.pop(thread, None), self.head(thread, step_ns)
        number = other if other is not None else call.number if call and call.returns else None
        if number is None or lost:
            return
        call = call or Call(number, (), 0)
        aux, paths, name = call.exit_aux, call.exit_paths, call.exit_name
        if answer:
            self.tell(wire.Name(fd=answer[0], name=answer[1], from_proc=True, **head))
        marks = {
            "may_be_refused": thread[1] % 2 == 0,  # as if seccomp watched the threads with even numbers
            "is_unsure": call.is_unsure,
        }
        self.tell(wire.Exit(syscall=number, ret=call.ret, aux=aux, paths=paths, name=name, **marks, **head))

    def call(self, thread: Thread, step_ns: int, call: Call) -> None:
        self.enter(thread, step_ns, call)
        self.exit(thread, 10)


class Maker:
    """Makes events of numbers, for one table of rules."""

    def __init__(self, rules: Sequence[wire.Rule]) -> None:
        self.rules = rules
        self.known = [number for number, rule in enumerate(rules) if rule.flags & wire.RULE_KNOWN]
        self.unknown = sorted(set(range(wire.MAX_SYSCALLS + 2)) - set(self.known))
        self.kinds = self._kinds()
        by_effect: dict[int, list[int]] = {}
        for number in self.known:
            by_effect.setdefault(rules[number].effect, []).append(number)
        self.changes = [group for effect, group in by_effect.items() if effect for _ in range(OFTEN.get(effect, 1))]
        self.execs = by_effect.get(wire.EFFECT_EXEC, [])
        self.random = Random()
        # three calls that show what is remembered: a descriptor's name, the directory's, the break
        self.reader = self._first(lambda r: r.fd_arg == 0 and r.path_arg < 0 and r.byte_class == wire.BYTES_READ)
        self.seeker = self._first(lambda r: r.path_arg == 0 and r.path2_arg < 0 and not r.flags & wire.RULE_LABEL)
        self.breaker = self._first(lambda r: r.quantity == wire.QUANTITY_BRK)

    def _first(self, wanted: Callable[[wire.Rule], bool]) -> int:
        plain = (number for number in self.known if self.rules[number].effect == wire.EFFECT_NONE)
        return next(number for number in plain if wanted(self.rules[number]))

    def _kinds(self) -> list[list[int]]:
        """Numbers of syscalls that are alike, so that each kind of call is as likely as any other."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for number in self.known:
            rule = self.rules[number]
            kind = (rule.effect, rule.quantity, rule.byte_rule, rule.empty_path, rule.aux_kind)
            shape = (rule.path_arg >= 0, rule.path2_arg >= 0, rule.fd_arg >= 0, rule.flags & ~wire.RULE_STATE)
            groups.setdefault((*kind, *shape), []).append(number)
        return list(groups.values())

    def rarely(self) -> bool:
        return self.random.random() < 1 / 15

    # ---- parts of calls ----

    def text(self) -> bytes:
        if self.random.random() < 0.6:
            return self.random.choice(PATHS)
        return b"".join(self.random.choices(PIECES, k=self.random.randrange(8)))

    def path(self) -> tuple[bytes, int]:
        """A text and its status; only what was read has a text."""
        if self.random.random() < 0.8:
            return self.text(), wire.PATH_TRUNCATED if self.rarely() else wire.PATH_OK
        unread = (wire.PATH_UNREADABLE, wire.PATH_UNREADABLE, wire.PATH_NULL, wire.PATH_ABSENT)
        return b"", self.random.choice(unread)

    def paths(self, two: bool) -> wire.Paths:
        text1, status1 = self.path()
        text2, status2 = self.path() if two else (b"", wire.PATH_ABSENT)
        return wire.Paths(text1, text2, status1, status2)

    def packed(self, layout: str, pools: Sequence[Sequence[int]]) -> bytes:
        return struct.pack("=" + layout, *map(self.random.choice, pools))

    def name(self) -> wire.NameText:
        """A name section of any kind, with a text such as the kernel or /proc would write."""
        kind = self.random.choice(NAME_KINDS)
        text, status = self.random.choice(NAME_TEXTS[kind]), self.random.choice(NAME_STATUSES)
        return wire.NameText(text, kind, status, self.random.choice((0, 1, 77, MASK)), self.random.choice(DEVICES))

    def argument(self, rule: wire.Rule, index: int) -> int:
        """A value for an argument by the role that the rule gives it."""
        by_role: dict[int, Sequence[int]] = {
            rule.timeout_arg: MILLISECONDS if rule.quantity == wire.QUANTITY_POLL_MS else (0, 64, 64),
            rule.nfds_arg: (0, 1, 8, -1, 1 << 32),
            rule.size_arg: SIZES,
            rule.offset_arg: (0, 4096, -1),
            rule.flags_arg: FLAGS,
            rule.no_fd_arg: (*FLAGS, *[1 << rule.no_fd_bit] * len(FLAGS)),
            rule.dirfd_arg: DIRFDS,
            rule.dirfd2_arg: DIRFDS,
            rule.fd_arg: FDS,
        }
        pool = ARGUMENTS_BY_EFFECT.get((rule.effect, index)) or ARGUMENTS_BY_QUANTITY.get((rule.quantity, index))
        return self.random.choice(pool or by_role.get(index, (0, 1, 64))) & MASK

    def result(self, rule: wire.Rule, args: tuple[int, ...]) -> int:
        if self.random.random() < 0.2:
            return self.random.choice(ERRORS)
        if rule.effect in RETURN_FD:
            return self.random.choice((*NEW_FDS, 0))
        if rule.effect == wire.EFFECT_DUP2:
            return args[1] & 0x7FFF_FFFF if len(args) > 1 else 0
        return self.random.choice(RESULTS) if rule.effect == wire.EFFECT_NONE else 0

    def call(self, number: int) -> Call:
        """A call of one syscall, with what the kernel program sends about it."""
        rule = self.rules[number]
        args = tuple(self.argument(rule, index) for index in range(rule.nargs))
        args = args[: len(args) // 2] if self.rarely() else args
        two = rule.path2_arg >= 0
        paths = self.paths(two) if rule.path_arg >= 0 and not self.rarely() else None
        unread = paths is not None and wire.PATH_UNREADABLE in (paths.status1, paths.status2)
        again = self.rarely() != (unread or rule.aux_kind == wire.AUX_CWD_TEXT)
        aux = AUX_AT_ENTER.get(rule.aux_kind) if not self.rarely() else None
        pair = rule.effect == wire.EFFECT_FD_PAIR and not self.rarely()
        return Call(
            number,
            args,
            self.result(rule, args),
            returns=not rule.flags & wire.RULE_NEVER_RETURNS,
            aux=self.packed(*aux) if aux else None,
            paths=paths,
            exit_aux=self.packed("ii16x", ((*NEW_FDS, -1), NEW_FDS)) if pair else None,
            exit_paths=self.paths(two) if again else None,
            exit_name=self.name() if not again and self.random.random() < (0.5 if rule.effect else 0.05) else None,
            is_unsure=self.random.random() < 0.05,
        )

    def any_call(self) -> Call:
        """A call of any syscall: of one that changes tables half the time, seldom of an unknown one."""
        chance = self.random.random()
        if chance < 0.03:
            return Call(self.random.choice(self.unknown), (3,), 0)
        return self.call(self.random.choice(self.random.choice(self.changes if chance < 0.5 else self.kinds)))

    # ---- events ----

    def tell(self, seed: int, teller: Teller) -> None:
        """The event of this number, at this point of the story."""
        self.random.seed(seed)
        thread, step_ns = self.random.choice(THREADS), self.random.choice(STEPS_NS)
        if self.rarely():
            thread = self.random.choice(STRAYS)
        chance = self.random.random()
        if chance < 0.55:
            teller.call(thread, step_ns, self.any_call())
        elif chance < 0.67:
            teller.enter(thread, step_ns, self.any_call(), lost=self.rarely())
        elif chance < 0.82:
            self.tell_exit(thread, step_ns, teller)
        elif chance < 0.90:
            fd, proc = self.random.choice(NAMED_FDS), self.random.random() < 0.3
            teller.tell(wire.Name(fd=fd, name=self.name(), from_proc=proc, **teller.head(thread, step_ns)))
        else:
            self.tell_task(thread, step_ns, teller)

    def tell_exit(self, thread: Thread, step_ns: int, teller: Teller) -> None:
        """The exit of one of the calls that are on, or of one that is not."""
        if self.rarely():
            teller.exit(thread, step_ns, other=self.random.choice(self.known))
        elif teller.pending:
            thread = self.random.choice(list(teller.pending))
            number, args = teller.pending[thread].number, teller.pending[thread].args
            other, answer = None, None
            if number in self.execs and self.random.random() < 0.5:
                other = self.random.choice(self.execs)  # as after an execveat that succeeded
            if number < len(self.rules) and self.random.random() < 0.4:
                answer = self.named_descriptor(self.rules[number], args), self.name()
            teller.exit(thread, step_ns, other=other, lost=self.rarely(), answer=answer)

    def named_descriptor(self, rule: wire.Rule, args: tuple[int, ...]) -> int:
        """The descriptor that a call works on, or any."""
        fd = args[rule.fd_arg] if 0 <= rule.fd_arg < len(args) else self.random.choice(NAMED_FDS)
        return (fd & 0x7FFF_FFFF) - (fd & 0x8000_0000)

    def tell_task(self, thread: Thread, step_ns: int, teller: Teller) -> None:
        """A fork, an exec, a thread's end or its new name."""
        chance, head, comm = self.random.random(), teller.head(thread, step_ns), self.random.choice(COMMS)
        if chance < 0.4:
            tgid, tid = self.random.choice(THREADS + STRAYS)
            child = {"child_tgid": tgid, "child_tid": tid, "clone_flags": self.random.choice(CLONE_FLAGS)}
            teller.tell(wire.Fork(**child, comm=comm, unsure=self.rarely(), **head))
        elif chance < 0.6:
            leader = (thread[0], thread[0])
            if thread in teller.pending:
                teller.pending[leader] = teller.pending.pop(thread)
            old_tid = self.random.choice(THREADS)[1] if self.rarely() else thread[1]
            teller.tell(wire.Exec(old_tid=old_tid, comm=comm, unsure=self.rarely(), **{**head, "tid": leader[1]}))
        elif chance < 0.8:
            teller.pending.pop(thread, None)
            if not self.rarely():
                teller.tell(wire.TaskExit(group_dead=self.random.random() < 0.3, **head))
        else:
            teller.tell(wire.Comm(comm=comm, from_proc=self.random.random() < 0.3, **head))

    # ---- the end of a stream ----

    def tell_all(self, teller: Teller) -> None:
        """What is remembered, as rows: the names of descriptors and directory, the break; the same behind an exec."""
        teller.now_ns = max(teller.now_ns, 10_000_000)
        for tgid in sorted({tgid for tgid, _ in THREADS}):
            self.tell_process((tgid, tgid), teller)
            teller.tell(wire.Exec(old_tid=tgid, comm=b"last", **teller.head((tgid, tgid), 10)))
            self.tell_process((tgid, tgid), teller)

    def tell_process(self, thread: Thread, teller: Teller) -> None:
        for fd in (0, 3, 4, 5, 6, (1 << 20) - 1):
            teller.call(thread, 10, Call(self.reader, (fd, 0, 0), 0))
        teller.call(thread, 10, Call(self.seeker, (0, 0), -2, paths=wire.Paths(b"x")))
        teller.call(thread, 10, Call(self.breaker, (0,), 0x15000))


class Stream(list[bytes]):
    """Encoded records, each padded; shows them readably where a test fails."""

    def __repr__(self) -> str:
        return "\n".join(str(record) for record in wire.walk(b"".join(self)))


def told(maker: Maker, seeds: Iterable[int]) -> Stream:
    """The events of these numbers, and the end that shows what they left behind."""
    teller = Teller()
    for seed in seeds:
        maker.tell(seed, teller)
    maker.tell_all(teller)
    return Stream(teller.records)


def streams(rules: Sequence[wire.Rule], size: int = 10) -> SearchStrategy[Stream]:
    """Streams for a table of rules: up to `size` times 16 events, and the end.

    Lists in lists, since one list alone is seldom long; numbers of 24 bits, since wider ones are mostly small.
    """
    maker = Maker(rules)
    some = st.lists(st.integers(0, (1 << 24) - 1), min_size=4, max_size=16)
    whole = st.lists(some, min_size=1, max_size=size)
    return whole.map(lambda parts: told(maker, itertools.chain(*parts)))


def fewest(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """What is left of something that fails when all that can be left out is left out, halves first."""
    left, step = list(items), len(items)
    while step:
        for start in range(0, len(left), step):
            fewer = left[:start] + left[start + step :]
            if fails(fewer):
                left = fewer
                break
        else:
            step //= 2
    return left


@st.composite
def cuts(draw: st.DrawFn, records: Sequence[bytes]) -> list[bytes]:
    """The records as blocks, cut at any of their boundaries; some may be empty."""
    ends = sorted(draw(st.lists(st.integers(0, len(records)), max_size=5)))
    return [b"".join(records[a:b]) for a, b in itertools.pairwise([0, *ends, len(records)])]


# ---- damage ----


def _flip(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] ^= random.randrange(1, 256)


def _resize(data: bytearray, random: Random) -> None:
    """Changes the size that one of the records says it has."""
    starts, end = [], 0
    while end + wire.HEADER_BYTES <= len(data):
        starts.append(end)
        size = struct.unpack_from("=H", data, end + 16)[0]
        end += max(8, size + -size % 8)
    if starts:
        place = random.choice(starts) + 16
        size = struct.unpack_from("=H", data, place)[0] + random.choice((-64, -8, -1, 1, 7, 8, 24, 4096))
        struct.pack_into("=H", data, place, size % (1 << 16))


def _cut_off(data: bytearray, random: Random) -> None:
    del data[random.randrange(1, len(data) + 1) :]


def _repeat(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data))
    data[at:at] = data[at : at + random.choice((8, 24, 64, 200))]


def damage(block: bytes, random: Random) -> bytes:
    """The block with some bytes flipped, sizes changed, parts cut off or repeated."""
    data = bytearray(block or bytes(8))
    for _ in range(random.randrange(1, 6)):
        random.choice((_flip, _flip, _flip, _resize, _cut_off, _repeat))(data, random)
    return bytes(data)


def damaged(rules: Sequence[wire.Rule]) -> SearchStrategy[bytes]:
    """Blocks that were sound before `damage`."""
    blocks = streams(rules, size=3).map(b"".join)
    return st.builds(damage, blocks, st.integers(0, (1 << 24) - 1).map(Random))
