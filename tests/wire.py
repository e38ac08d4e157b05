"""The records of bpf/events.h in plain Python: dataclasses, their bytes and back. Written from the header, for tests.

Flags that a record's type has no use for (a name at an enter, paths of a fork) are ignored. An exit has paths or a
name, not both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

ENTER, EXIT, NAME, FORK, EXEC, TASK_EXIT, COMM = range(1, 8)
NARGS_MASK, HAS_AUX, HAS_PATHS, HAS_NAME, FROM_PROC, COPY_UNSURE = 0x07, 0x08, 0x10, 0x20, 0x40, 0x80
MAY_BE_REFUSED = 0x80
MEANT_UNSURE = 0x40
MAX_SYSCALLS, MAX_ARGS, AUX_BYTES, COMM_BYTES, CWD_FD, MOUNT_NAMESPACE_FD = 512, 6, 24, 16, -100, -101

PATH_ABSENT, PATH_OK, PATH_NULL, PATH_UNREADABLE, PATH_TRUNCATED = range(5)
NAME_NONE, NAME_COMPONENTS, NAME_TEXT, NAME_PIPE, NAME_SOCKET, NAME_ANON, NAME_PSEUDO, NAME_NAMESPACE = range(8)
NAME_DELETED, NAME_INCOMPLETE, NAME_CLOEXEC_KNOWN, NAME_CLOEXEC = 0x01, 0x02, 0x04, 0x08

(
    AUX_NONE,
    AUX_OPEN_HOW,
    AUX_TIMESPEC,
    AUX_TIMEVAL,
    AUX_EPOLL_EVENT,
    AUX_XATTR_ARGS,
    AUX_IOVEC,
    AUX_MSGHDR,
    AUX_UTIMES,
    AUX_FD_PAIR,
    AUX_CWD_TEXT,
) = range(11)
(
    EFFECT_NONE,
    EFFECT_OPEN,
    EFFECT_NEW_FD,
    EFFECT_DUP,
    EFFECT_DUP2,
    EFFECT_FCNTL,
    EFFECT_IOCTL,
    EFFECT_CLOSE,
    EFFECT_CLOSE_RANGE,
    EFFECT_FD_PAIR,
    EFFECT_CHDIR,
    EFFECT_FCHDIR,
    EFFECT_CHROOT,
    EFFECT_UNSHARE,
    EFFECT_EXEC,
    EFFECT_LANDLOCK,
    EFFECT_BPF,
    EFFECT_SIGNALFD,
    EFFECT_RING,
) = range(19)
SIZE_LONG, SIZE_INT, SIZE_UINT = range(3)
BYTES_NONE, BYTES_READ, BYTES_WRITE, BYTES_TRANSFER = range(4)
BYTE_RULE_RET, BYTE_RULE_PROBE, BYTE_RULE_RECV = range(3)
EMPTY_NEVER, EMPTY_AT_FLAG, EMPTY_ALWAYS, EMPTY_NULL, EMPTY_FSPICK, EMPTY_MOVE_MOUNT = range(6)
(
    QUANTITY_NONE,
    QUANTITY_MMAP,
    QUANTITY_MUNMAP,
    QUANTITY_MREMAP,
    QUANTITY_BRK,
    QUANTITY_NO_SPACE,
    QUANTITY_SLEEP,
    QUANTITY_CLOCK_SLEEP,
    QUANTITY_POLL_MS,
    QUANTITY_POLL_SPEC,
    QUANTITY_EPOLL_CTL,
) = range(11)
RULE_KNOWN, RULE_WANTED, RULE_STATE, RULE_NEVER_RETURNS = 0x01, 0x02, 0x04, 0x08
RULE_RENAMES, RULE_OLD_IS_TEXT, RULE_LABEL, RULE_UNSEEN = 0x10, 0x20, 0x40, 0x80

_HEADER = struct.Struct("=QIIHBBHH")
_PATHS = struct.Struct("=HHBBH")
_NAME = struct.Struct("=QIHBB")
_NAME_BODY = struct.Struct("=iI")
_FORK = struct.Struct("=IIQ16s")
_EXEC = struct.Struct("=II16s")
_TASK_EXIT = struct.Struct("=II")
_RULE = struct.Struct("=BB11b7BbBBB")
HEADER_BYTES = _HEADER.size
RULE_BYTES = _RULE.size


class Malformed(ValueError):
    """A record whose size does not fit its type and flags."""


class Rule(NamedTuple):
    """struct syscall_rule. Argument indexes are 0 to 5, -1 where there is none."""

    flags: int = RULE_KNOWN | RULE_WANTED
    nargs: int = MAX_ARGS
    fd_arg: int = -1
    path_arg: int = -1
    path2_arg: int = -1
    dirfd_arg: int = -1
    dirfd2_arg: int = -1
    flags_arg: int = -1
    size_arg: int = -1
    offset_arg: int = -1
    aux_arg: int = -1
    nfds_arg: int = -1
    timeout_arg: int = -1
    aux_kind: int = AUX_NONE
    effect: int = EFFECT_NONE
    byte_class: int = BYTES_NONE
    byte_rule: int = BYTE_RULE_RET
    empty_path: int = EMPTY_NEVER
    quantity: int = QUANTITY_NONE
    family: int = 0
    no_fd_arg: int = -1
    no_fd_bit: int = 0
    writes: int = 0
    size_type: int = SIZE_LONG


def encode_rules(rules: Iterable[Rule]) -> bytes:
    """The packed table, one rule after the other by number."""
    return b"".join(_RULE.pack(*rule) for rule in rules)


def decode_rules(table: bytes) -> list[Rule]:
    """The rules of a packed table by number; those not filled have flags 0."""
    return [Rule(*fields) for fields in _RULE.iter_unpack(table)]


@dataclass(frozen=True)
class Paths:
    """struct path_section and its texts."""

    text1: bytes = b""
    text2: bytes = b""
    status1: int = PATH_OK
    status2: int = PATH_ABSENT

    def encode(self) -> bytes:
        return _PATHS.pack(len(self.text1), len(self.text2), self.status1, self.status2, 0) + self.text1 + self.text2


@dataclass(frozen=True)
class NameText:
    """struct name_section and its text."""

    text: bytes = b""
    kind: int = NAME_TEXT
    status: int = 0
    inode: int = 0
    device: int = 0

    def encode(self) -> bytes:
        return _NAME.pack(self.inode, self.device, len(self.text), self.kind, self.status) + self.text


@dataclass(frozen=True, kw_only=True)
class Record:
    """What every header holds."""

    time_ns: int
    tgid: int
    tid: int


@dataclass(frozen=True, kw_only=True)
class Enter(Record):
    syscall: int
    args: tuple[int, ...] = ()
    aux: bytes | None = None
    paths: Paths | None = None

    @property
    def type_and_flags(self) -> tuple[int, int]:
        return ENTER, len(self.args) | _part_flags(self.aux, self.paths, None)

    def body(self) -> bytes:
        words = (value & 0xFFFF_FFFF_FFFF_FFFF for value in self.args)
        return struct.pack(f"={len(self.args)}Q", *words) + _parts(self.aux, self.paths, None)


@dataclass(frozen=True, kw_only=True)
class Exit(Record):
    syscall: int
    ret: int
    aux: bytes | None = None
    paths: Paths | None = None
    name: NameText | None = None
    may_be_refused: bool = False
    is_unsure: bool = False

    @property
    def type_and_flags(self) -> tuple[int, int]:
        marks = (MAY_BE_REFUSED if self.may_be_refused else 0) | (MEANT_UNSURE if self.is_unsure else 0)
        return EXIT, _part_flags(self.aux, self.paths, self.name) | marks

    def body(self) -> bytes:
        return struct.pack("=q", self.ret) + _parts(self.aux, self.paths, self.name)


@dataclass(frozen=True, kw_only=True)
class Name(Record):
    fd: int
    name: NameText
    from_proc: bool = False

    @property
    def type_and_flags(self) -> tuple[int, int]:
        return NAME, HAS_NAME | (FROM_PROC if self.from_proc else 0)

    def body(self) -> bytes:
        return _NAME_BODY.pack(self.fd, 0) + self.name.encode()


@dataclass(frozen=True, kw_only=True)
class Fork(Record):
    child_tgid: int
    child_tid: int
    clone_flags: int = 0
    comm: bytes = b""
    unsure: bool = False

    @property
    def type_and_flags(self) -> tuple[int, int]:
        return FORK, COPY_UNSURE if self.unsure else 0

    def body(self) -> bytes:
        return _FORK.pack(self.child_tgid, self.child_tid, self.clone_flags, self.comm)


@dataclass(frozen=True, kw_only=True)
class Exec(Record):
    old_tid: int
    comm: bytes = b""
    unsure: bool = False

    @property
    def type_and_flags(self) -> tuple[int, int]:
        return EXEC, COPY_UNSURE if self.unsure else 0

    def body(self) -> bytes:
        return _EXEC.pack(self.old_tid, 0, self.comm)


@dataclass(frozen=True, kw_only=True)
class TaskExit(Record):
    group_dead: bool = False

    type_and_flags = (TASK_EXIT, 0)

    def body(self) -> bytes:
        return _TASK_EXIT.pack(self.group_dead, 0)


@dataclass(frozen=True, kw_only=True)
class Comm(Record):
    comm: bytes
    from_proc: bool = False

    @property
    def type_and_flags(self) -> tuple[int, int]:
        return COMM, FROM_PROC if self.from_proc else 0

    def body(self) -> bytes:
        return struct.pack("=16s", self.comm)


AnyRecord = Enter | Exit | Name | Fork | Exec | TaskExit | Comm


def _part_flags(aux: bytes | None, paths: Paths | None, name: NameText | None) -> int:
    present = ((HAS_AUX, aux), (HAS_PATHS, paths), (HAS_NAME, name))
    return sum(flag for flag, part in present if part is not None)


def _parts(aux: bytes | None, paths: Paths | None, name: NameText | None) -> bytes:
    parts = b"" if aux is None else aux.ljust(AUX_BYTES, b"\0")
    parts += b"" if paths is None else paths.encode()
    return parts + (b"" if name is None else name.encode())


def encode(record: AnyRecord) -> bytes:
    """The record's bytes, padded with zeros to a multiple of 8."""
    body = record.body()
    kind, flags = record.type_and_flags
    size = HEADER_BYTES + len(body)
    number = record.syscall if isinstance(record, Enter | Exit) else 0
    header = _HEADER.pack(record.time_ns, record.tgid, record.tid, size, kind, flags, number, 0)
    return header + body + bytes(-size % 8)


class _Cursor:
    """Takes one part after the other; raises Malformed where there is not enough."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int) -> bytes:
        if count > len(self.data):
            raise Malformed(f"{count - len(self.data)} bytes short")
        part, self.data = self.data[:count], self.data[count:]
        return part

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def aux(self, flags: int) -> bytes | None:
        return self.take(AUX_BYTES) if flags & HAS_AUX else None

    def paths(self, flags: int) -> Paths | None:
        if not flags & HAS_PATHS:
            return None
        len1, len2, status1, status2, _ = self.unpack(_PATHS)
        return Paths(self.take(len1), self.take(len2), status1, status2)

    def name(self, flags: int) -> NameText | None:
        if not flags & HAS_NAME:
            return None
        inode, device, length, kind, status = self.unpack(_NAME)
        return NameText(self.take(length), kind, status, inode, device)

    def comm(self) -> bytes:
        return self.take(COMM_BYTES).split(b"\0")[0]


def decode(data: bytes) -> AnyRecord:
    """The record in `data` (header and all, without padding). Raises Malformed."""
    time_ns, tgid, tid, size, kind, flags, number, _ = _HEADER.unpack(data[:HEADER_BYTES])
    if size != len(data):
        raise Malformed("another size than the header says")
    head = {"time_ns": time_ns, "tgid": tgid, "tid": tid}
    cursor = _Cursor(data[HEADER_BYTES:])
    if kind == ENTER:
        record: AnyRecord = _decode_enter(cursor, flags, syscall=number, **head)
    elif kind == EXIT:
        record = _decode_exit(cursor, flags, syscall=number, **head)
    else:
        record = _decode_other(cursor, kind, flags, head)
    if cursor.data:
        raise Malformed(f"{len(cursor.data)} bytes too many")
    return record


def _decode_enter(cursor: _Cursor, flags: int, **head: int) -> Enter:
    count = flags & NARGS_MASK
    if count > MAX_ARGS:
        raise Malformed(f"{count} arguments")
    args = cursor.unpack(struct.Struct(f"={count}Q"))
    aux, paths = cursor.aux(flags), cursor.paths(flags)
    return Enter(args=args, aux=aux, paths=paths, **head)


def _decode_exit(cursor: _Cursor, flags: int, **head: int) -> Exit:
    (ret,) = cursor.unpack(struct.Struct("=q"))
    aux, paths, name = cursor.aux(flags), cursor.paths(flags), cursor.name(flags)
    if paths and name:
        raise Malformed("paths and a name")
    marks = {"may_be_refused": bool(flags & MAY_BE_REFUSED), "is_unsure": bool(flags & MEANT_UNSURE)}
    return Exit(ret=ret, aux=aux, paths=paths, name=name, **marks, **head)


def _decode_other(cursor: _Cursor, kind: int, flags: int, head: dict[str, int]) -> AnyRecord:
    from_proc, unsure = bool(flags & FROM_PROC), bool(flags & COPY_UNSURE)
    if kind == NAME:
        fd, _ = cursor.unpack(_NAME_BODY)
        name = cursor.name(flags)
        if name is None:
            raise Malformed("a name record without a name")
        return Name(fd=fd, name=name, from_proc=from_proc, **head)
    if kind == FORK:
        tgid, tid, clone_flags = cursor.unpack(struct.Struct("=IIQ"))
        comm = cursor.comm()
        return Fork(child_tgid=tgid, child_tid=tid, clone_flags=clone_flags, comm=comm, unsure=unsure, **head)
    if kind == EXEC:
        old_tid, _ = cursor.unpack(struct.Struct("=II"))
        return Exec(old_tid=old_tid, comm=cursor.comm(), unsure=unsure, **head)
    if kind == TASK_EXIT:
        group_dead, _ = cursor.unpack(_TASK_EXIT)
        return TaskExit(group_dead=bool(group_dead), **head)
    if kind == COMM:
        return Comm(comm=cursor.comm(), from_proc=from_proc, **head)
    raise Malformed(f"no record has type {kind}")


def walk(block: bytes) -> Iterator[AnyRecord | None]:
    """The records of a block, None for a malformed one; a size that leads nowhere ends the walk with a None."""
    at = 0
    while at < len(block):
        if len(block) - at < HEADER_BYTES:
            yield None
            return
        size = _HEADER.unpack_from(block, at)[3]
        if size < HEADER_BYTES or size > len(block) - at:
            yield None
            return
        try:
            yield decode(block[at : at + size])
        except Malformed:
            yield None
        at += size + -size % 8
