"""The syscall table: what every call is named and numbered, and which of its arguments means what.

The table is data (`data/syscalls.tsv`, one row a syscall); this module reads it, and packs it for the kernel program
and the Cython modules as `struct syscall_rule` of `bpf/events.h`, whose enums are mirrored here. To add a syscall, add
a row.

Columns of the file, in order; `-` is "none":

* `name`: as the kernel's tracepoints spell it (`newstat`, `sendfile64`, `umount`).
* `x86_64`, `aarch64`: its number there.
* `family`: one of `FAMILIES`. `nargs`: arguments of the kernel's function.
* `fd` ... `offset`, `aux_arg` ... `timeout`: which argument (0 to 5) plays that role; see `struct syscall_rule`.
  `offset` may be `ret`, the return value. `size` is `2:int` or `2:uint` where the kernel takes 32 bits of argument 2.
* `writes`: the arguments (`2,3`) that point at where the call writes, of one that has a path.
* `no_fd`: `3:5` where bit 5 of argument 3, if it is set, says that the number in `fd` is no descriptor.
* `aux`, `effect`, `bytes`, `byte_rule`, `empty_path`, `quantity`: a member of the enum below, in lower case.
* `rule`: any of `never_returns`, `renames`, `old_is_text`, `label`.
* `classes`: the sets of strace's `-e trace=%NAME` the call belongs to, as strace 6.1 has them. In `%%stat`, the second
  `%` is part of the name.
* `note`: what the columns can't say.
"""

from __future__ import annotations

import hashlib
import pkgutil
import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache
from typing import Final, TypeVar

MAX_SYSCALLS: Final = 512
"""TRACER_MAX_SYSCALLS: records in the table of rules."""

NONE: Final = -1
"""The argument index of a role that no argument plays."""

OFFSET_IS_RESULT: Final = -2
"""`offset_arg` of a call whose offset is what it returns (lseek)."""

FAMILIES: Final = (
    "FS",
    "Network",
    "Polling",
    "IPC",
    "Memory",
    "Process",
    "Sched",
    "Signals",
    "Time",
    "AIO",
    "Security",
    "Misc",
)
"""The families; `syscall_rule.family` is an index into this."""

MACHINES: Final = ("x86_64", "aarch64")
"""Machines whose numbers are known, by the name `uname -m` gives them."""

STRACE_NAMES: Final = {
    "newfstat": "fstat",
    "newlstat": "lstat",
    "newstat": "stat",
    "newuname": "uname",
    "sendfile64": "sendfile",
    "umount": "umount2",
}
"""Where strace on x86_64 spells a call otherwise than the kernel's tracepoints."""

RULE_FORMAT: Final = struct.Struct("=BB11b7BbBBB")
"""`struct syscall_rule`: flags, nargs, eleven argument indices, seven codes, `no_fd` in two, `writes`,
`size_type`."""


class Aux(IntEnum):
    """enum tracer_aux."""

    NONE = 0
    OPEN_HOW = 1
    TIMESPEC = 2
    TIMEVAL = 3
    EPOLL_EVENT = 4
    XATTR_ARGS = 5
    IOVEC = 6
    MSGHDR = 7
    UTIMES = 8
    FD_PAIR = 9
    CWD_TEXT = 10


class Effect(IntEnum):
    """enum tracer_effect."""

    NONE = 0
    OPEN = 1
    NEW_FD = 2
    DUP = 3
    DUP2 = 4
    FCNTL = 5
    IOCTL = 6
    CLOSE = 7
    CLOSE_RANGE = 8
    FD_PAIR = 9
    CHDIR = 10
    FCHDIR = 11
    CHROOT = 12
    UNSHARE = 13
    EXEC = 14
    LANDLOCK = 15
    BPF = 16
    SIGNALFD = 17
    RING = 18


class SizeType(IntEnum):
    """enum tracer_size_type."""

    LONG = 0
    INT = 1
    UINT = 2


class ByteClass(IntEnum):
    """enum tracer_bytes."""

    NONE = 0
    READ = 1
    WRITE = 2
    TRANSFER = 3


def calls_moving(way: ByteClass) -> frozenset[str]:
    """Names of the calls whose bytes are read (READ) or written (WRITE); a transfer does both."""
    return frozenset(call.name for call in TABLE if call.byte_class in {way, ByteClass.TRANSFER})


class ByteRule(IntEnum):
    """enum tracer_byte_rule."""

    RET = 0
    PROBE = 1
    RECV = 2


class EmptyPath(IntEnum):
    """enum tracer_empty_path."""

    NEVER = 0
    AT_FLAG = 1
    ALWAYS = 2
    NULL = 3
    FSPICK = 4
    MOVE_MOUNT = 5


class Quantity(IntEnum):
    """enum tracer_quantity."""

    NONE = 0
    MMAP = 1
    MUNMAP = 2
    MREMAP = 3
    BRK = 4
    NO_SPACE = 5
    SLEEP = 6
    CLOCK_SLEEP = 7
    POLL_MS = 8
    POLL_SPEC = 9
    EPOLL_CTL = 10


class Rule(IntFlag):
    """TRACER_RULE_*: the flags of a rule."""

    KNOWN = 0x01
    WANTED = 0x02
    STATE = 0x04
    NEVER_RETURNS = 0x08
    RENAMES = 0x10
    OLD_IS_TEXT = 0x20
    LABEL = 0x40
    UNSEEN = 0x80


@dataclass(frozen=True, slots=True)
class Syscall:
    """One row of the table. A role that no argument plays has the index -1 (`NONE`)."""

    name: str
    x86_64: int | None
    aarch64: int | None
    family: str
    nargs: int
    fd_arg: int
    path_arg: int
    path2_arg: int
    dirfd_arg: int
    dirfd2_arg: int
    flags_arg: int
    size_arg: int
    offset_arg: int
    aux_arg: int
    nfds_arg: int
    timeout_arg: int
    aux_kind: Aux
    effect: Effect
    byte_class: ByteClass
    byte_rule: ByteRule
    empty_path: EmptyPath
    quantity: Quantity
    no_fd_arg: int
    no_fd_bit: int
    writes: int
    """A bit for each argument."""
    size_type: SizeType
    flags: Rule
    classes: frozenset[str]
    note: str

    @property
    def family_index(self) -> int:
        """The family as the wire has it."""
        return FAMILIES.index(self.family)

    @property
    def uses_names(self) -> bool:
        """Whether a row of this call is named after a descriptor, a directory or a path it was given."""
        return max(self.fd_arg, self.path_arg, self.path2_arg, self.dirfd_arg) >= 0

    def number(self, machine: str) -> int | None:
        """Its number on a machine, None if it has none there. Raises ValueError if the machine is not in `MACHINES`."""
        if machine not in MACHINES:
            raise ValueError(f"no syscall numbers for machine {machine!r}")
        return self.x86_64 if machine == "x86_64" else self.aarch64


_Word = TypeVar("_Word", bound=IntEnum)

_INDICES: Final = {"-": NONE, "ret": OFFSET_IS_RESULT} | {str(index): index for index in range(6)}


def _vocabulary(kind: type[_Word]) -> dict[str, _Word]:
    """The words of a column: an enum's members in lower case, and `-` for its zero."""
    return {member.name.lower(): member for member in kind} | {"-": kind(0)}


_AUX: Final = _vocabulary(Aux)
_EFFECTS: Final = _vocabulary(Effect)
_SIZE_TYPES: Final = {member.name.lower(): member for member in SizeType if member} | {"": SizeType.LONG}
_BYTE_CLASSES: Final = _vocabulary(ByteClass)
_BYTE_RULES: Final = _vocabulary(ByteRule)
_EMPTY_PATHS: Final = _vocabulary(EmptyPath)
_QUANTITIES: Final = _vocabulary(Quantity)


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)


def _words(text: str) -> list[str]:
    return [] if text == "-" else text.split(",")


@cache
def _rule_flags(text: str) -> Rule:
    flags = Rule.KNOWN
    for word in _words(text):
        flags |= Rule[word.upper()]
    return flags


def _bit(text: str) -> tuple[int, int]:
    """An argument and a bit of it, as `3:5`; none is `NONE` and 0."""
    argument, _, bit = text.partition(":")
    return _INDICES[argument], int(bit or 0)


def _size(text: str) -> tuple[int, SizeType]:
    """An argument and what the kernel takes it for, as `2:int`."""
    argument, _, size_type = text.partition(":")
    return _INDICES[argument], _SIZE_TYPES[size_type]


def _row(cells: dict[str, str]) -> Syscall:
    no_fd_arg, no_fd_bit = _bit(cells["no_fd"])
    size_arg, size_type = _size(cells["size"])
    return Syscall(
        name=cells["name"],
        x86_64=_number(cells["x86_64"]),
        aarch64=_number(cells["aarch64"]),
        family=cells["family"],
        nargs=int(cells["nargs"]),
        fd_arg=_INDICES[cells["fd"]],
        path_arg=_INDICES[cells["path"]],
        path2_arg=_INDICES[cells["path2"]],
        dirfd_arg=_INDICES[cells["dirfd"]],
        dirfd2_arg=_INDICES[cells["dirfd2"]],
        flags_arg=_INDICES[cells["flags"]],
        size_arg=size_arg,
        offset_arg=_INDICES[cells["offset"]],
        aux_arg=_INDICES[cells["aux_arg"]],
        nfds_arg=_INDICES[cells["nfds"]],
        timeout_arg=_INDICES[cells["timeout"]],
        aux_kind=_AUX[cells["aux"]],
        effect=_EFFECTS[cells["effect"]],
        byte_class=_BYTE_CLASSES[cells["bytes"]],
        byte_rule=_BYTE_RULES[cells["byte_rule"]],
        empty_path=_EMPTY_PATHS[cells["empty_path"]],
        quantity=_QUANTITIES[cells["quantity"]],
        no_fd_arg=no_fd_arg,
        no_fd_bit=no_fd_bit,
        writes=sum(1 << int(index) for index in _words(cells["writes"])),
        size_type=size_type,
        flags=_rule_flags(cells["rule"]),
        classes=frozenset(_words(cells["classes"])),
        note="" if cells["note"] == "-" else cells["note"],
    )


def parse(text: str) -> tuple[Syscall, ...]:
    """The rows of a table in the format above, in the file's order.

    Raises ValueError or KeyError if a cell holds a word or a number it can't.
    """
    header, *lines = text.splitlines()
    columns = header.split("\t")
    return tuple(_row(dict(zip(columns, line.split("\t"), strict=True))) for line in lines)


def _data() -> bytes:
    # pkgutil reads from a wheel or a zip as importlib.resources does, but imports in a tenth of its 9 ms.
    data = pkgutil.get_data("tracer.data", "syscalls.tsv")
    assert data is not None, "the loader of tracer.data can't read files"
    return data


def table_version(data: bytes) -> str:
    """Twelve hexadecimal digits that change whenever the file does."""
    return hashlib.sha256(data).hexdigest()[:12]


_DATA: Final = _data()

TABLE_VERSION: Final = table_version(_DATA)
"""The version of `TABLE`; a raw stream says which table its recorder had."""

TABLE: Final = parse(_DATA.decode())
"""Every syscall, by name."""

_BY_NAME: Final = {call.name: call for call in TABLE}


def by_name(name: str) -> Syscall:
    """The syscall of that kernel name. Raises KeyError if there is none."""
    return _BY_NAME[name]


def strace_name(name: str) -> str:
    """How strace on x86_64 spells a syscall of the table."""
    return STRACE_NAMES.get(name, name)


@cache
def _numbered(machine: str) -> dict[int, Syscall]:
    numbers = ((call.number(machine), call) for call in TABLE)
    return {number: call for number, call in numbers if number is not None}


def machine_numbers(machine: str) -> dict[int, Syscall]:
    """The syscalls of a machine by number. Raises ValueError if the machine is not in `MACHINES`."""
    return dict(_numbered(machine))


def names(machine: str) -> list[str]:
    """`MAX_SYSCALLS` names, by number; an unknown number's is empty. Raises ValueError as `machine_numbers` does."""
    table = _numbered(machine)
    return [table[number].name if number in table else "" for number in range(MAX_SYSCALLS)]


def rules(machine: str, wanted: AbstractSet[str]) -> bytes:
    """The table as `MAX_SYSCALLS` packed `struct syscall_rule`, by number; an unknown number's is all zero.

    `wanted` are the names whose calls become rows. What changes descriptors and directories is captured besides, but
    only if some wanted call's row needs their names; execve always, since it moves a call to another thread.
    Raises KeyError for a name that is not in the table, ValueError as `machine_numbers` does.
    """
    names_matter = any(by_name(name).uses_names for name in wanted)
    packed = bytearray(MAX_SYSCALLS * RULE_FORMAT.size)
    for number, call in _numbered(machine).items():
        flags = call.flags
        if call.name in wanted:
            flags |= Rule.WANTED
        if call.effect is Effect.EXEC or (names_matter and call.effect is not Effect.NONE):
            flags |= Rule.STATE
        _pack(packed, number, call, flags)
    return bytes(packed)


def _pack(packed: bytearray, number: int, call: Syscall, flags: Rule) -> None:
    RULE_FORMAT.pack_into(
        packed,
        number * RULE_FORMAT.size,
        flags,
        call.nargs,
        call.fd_arg,
        call.path_arg,
        call.path2_arg,
        call.dirfd_arg,
        call.dirfd2_arg,
        call.flags_arg,
        call.size_arg,
        call.offset_arg,
        call.aux_arg,
        call.nfds_arg,
        call.timeout_arg,
        call.aux_kind,
        call.effect,
        call.byte_class,
        call.byte_rule,
        call.empty_path,
        call.quantity,
        call.family_index,
        call.no_fd_arg,
        call.no_fd_bit,
        call.writes,
        call.size_type,
    )
