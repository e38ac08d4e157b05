"""What one call is: its arguments, its names and the columns of its row; the stateless half of `reference.py`.

docs/how-rows-are-made.md in plain Python, for clarity and not for speed.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import wire

RESTARTS = (-512, -513, -514, -516)
PATH_BYTES = 4095
PAGE_BYTES = 4096
INT64_MAX = (1 << 63) - 1
MASK = (1 << 64) - 1

F_DUPFD, F_DUPFD_CLOEXEC = 0, 1030
CLOSE_RANGE_CLOEXEC = 4
O_TMPFILE_BIT = 0x400000
MSG_PEEK, MSG_TRUNC = 0x2, 0x20
TIMER_ABSTIME = 1
BPF_COMMON_ATTRS = 1 << 16
BPF_COMMANDS_THAT_RETURN_FD = (0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33, 36)
UTIME_OMIT = 0x3FFF_FFFE
EPOLL_OPS = {1: "ADD", 2: "DEL", 3: "MOD"}

# As Python has them, but for what it lacks (133 until 3.14; the kernel's own, which only its mistakes let out) and the
# names that the kernel's errno.h makes aliases of others.
ERRNO_NAMES = {
    **errno.errorcode,
    11: "EAGAIN",
    35: "EDEADLK",
    95: "EOPNOTSUPP",
    133: "EHWPOISON",
    515: "ENOIOCTLCMD",
    517: "EPROBE_DEFER",
    524: "ENOTSUPP",
}

Row = dict[str, Any]


class Known(NamedTuple):
    """A file's name and how it is known."""

    text: bytes
    source: str
    identity: tuple[int, int] | None = None
    """Device and inode of a descriptor's file."""


@dataclass(frozen=True)
class PathArgument:
    """A path as the enter gave it, with all that is needed to make a name of it once it is read."""

    status: int
    text: bytes
    directory: Known | None
    empty_means_directory: bool
    null_means_directory: bool
    is_text: bool = False
    is_looked_at: bool = True
    needs_directory: bool = False
    """By what was read of it at enter."""
    is_doubtful: bool = False
    """That directory may have been another one."""
    is_in_root: bool = False
    """That directory is the path's root."""

    @property
    def was_read(self) -> bool:
        return self.status in (wire.PATH_OK, wire.PATH_TRUNCATED)

    @property
    def joined(self) -> Known | None:
        """The name that the text itself gives, if there is a text."""
        if self.is_doubtful:
            return None
        if self.was_read and self.text and self.is_text:
            return Known(self.text[:PATH_BYTES], "arg")
        if self.was_read and self.text and not self.is_looked_at:
            return Known(self.text[:PATH_BYTES], "arg")
        if self.is_in_root and (self.text.startswith(b"/") or b".." in self.text.split(b"/")):
            return None
        return Known(join(self.text, self.directory), "arg") if self.was_read and self.text else None

    def file(self, succeeded: bool) -> Known | None:
        if not self.is_looked_at or self.is_doubtful:
            return self.joined
        empty = self.was_read and not self.text and self.empty_means_directory
        null = self.status == wire.PATH_NULL and self.null_means_directory
        return self.directory if succeeded and (empty or null) else self.joined


@dataclass(frozen=True)
class Pending:
    """A call between enter and exit, its names resolved."""

    enter: wire.Enter
    rule: wire.Rule
    comm: bytes
    path1: PathArgument | None = None
    path2: PathArgument | None = None
    descriptor: Known | None = None
    mount_namespace: int | None = None
    changes: int = 0
    """How many there had been when it began."""
    contested: bool = False
    """Others freed the same number, or gave it to another file, too."""
    is_unsure: bool = False
    """Others may have changed what its descriptors meant: a name told with its enter was void, or its exit says so."""
    is_settled: bool = False
    """Others got the number that it freed before it had ended."""
    frees_made: bool = False
    """It frees a file of which another call told."""
    contradicted: bool = False
    """Another call gave the number that it made a file, and none is known to have freed it."""
    is_anothers: bool = False
    """The number that it made may have had another file by the time at which its name was read."""

    def arg(self, index: int) -> int:
        return self.enter.args[index] if index < len(self.enter.args) else 0

    def arg_s32(self, index: int) -> int:
        return signed(self.arg(index), 32)

    def arg_u32(self, index: int) -> int:
        return self.arg(index) & 0xFFFF_FFFF

    def aux(self, layout: str) -> tuple[int, ...] | None:
        return None if self.enter.aux is None else struct.unpack_from("=" + layout, self.enter.aux)

    @property
    def flags(self) -> int | None:
        """The flags argument, unsigned; None where there is none or it could not be read."""
        if self.rule.aux_kind == wire.AUX_OPEN_HOW:
            how = self.aux("Q")
            return how[0] if how else None
        return self.arg_u32(self.rule.flags_arg) if self.rule.flags_arg >= 0 else None

    def has_flag(self, bit: int) -> bool:
        return bool((self.flags or 0) & bit)

    def with_paths(self, again: wire.Paths | None) -> Pending:
        """What could not be read at enter, taken from the exit."""
        if again is None:
            return self
        path1 = _read_again(self.path1, again.status1, again.text1)
        path2 = _read_again(self.path2, again.status2, again.text2)
        return replace(self, path1=path1, path2=path2)


def _read_again(path: PathArgument | None, status: int, text: bytes) -> PathArgument | None:
    if path is None or path.status != wire.PATH_UNREADABLE:
        return path
    return replace(path, status=status, text=text)


# ---- values ----


def signed(value: int, bits: int) -> int:
    """The value's lowest bits as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def clamped(end_ns: int, start_ns: int) -> int:
    return signed(max(0, end_ns - start_ns), 64)


def text_of(raw: bytes) -> str:
    """What is not UTF-8 as a backslash, x and two digits; so a backslash, where that is what it would look like."""
    return re.sub(rb"\\(?=x(?:[89a-f][0-9a-f]|5c))", rb"\\x5c", raw).decode("utf-8", "backslashreplace")


def device_number(device: int) -> int:
    """As stat(2) has it, from the kernel's own."""
    return os.makedev(device >> 20, device & 0xFFFFF)


def pages(length: int) -> int:
    return signed(-(-length // PAGE_BYTES) * PAGE_BYTES, 64)


def error_name(ret: int) -> str | None:
    if not -4095 <= ret <= -1 or ret in RESTARTS:
        return None
    return ERRNO_NAMES.get(-ret, str(-ret))


# ---- names ----


def _components(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def join(text: bytes, directory: Known | None) -> bytes:
    """The text, absolute if that can be known."""
    if text.startswith(b"/"):
        base = b""
    elif directory is None or not directory.text.startswith(b"/") or len(directory.text) > PATH_BYTES:
        return text[:PATH_BYTES]
    else:
        base = directory.text if directory.text != b"/" else b""
    rest = _components(text)
    # a `..` at the directory's end was itself left alone: nothing before it may be taken away
    while rest and rest[0] == b".." and not base.endswith(b"/.."):
        del rest[0]
        base = base.rpartition(b"/")[0]
    whole = b"/".join([base, *rest]) or b"/"
    return whole if len(whole) <= PATH_BYTES else text[:PATH_BYTES]


def needs_directory(status: int, text: bytes) -> bool:
    """Whether a path may be put behind a directory's name, as far as its enter tells."""
    return status not in (wire.PATH_OK, wire.PATH_TRUNCATED) or not text.startswith(b"/")


def section_text(name: wire.NameText) -> bytes | None:
    """The text that a name section gives, None for none."""
    deleted = b" (deleted)" if name.status & wire.NAME_DELETED else b""
    if name.status & wire.NAME_INCOMPLETE or (name.kind == wire.NAME_TEXT and not name.text):
        return None
    text = name.text[:PATH_BYTES]
    components = text.removesuffix(b"\0").split(b"\0")
    texts = {
        wire.NAME_COMPONENTS: b"/" + b"/".join(reversed(components)) + deleted,
        wire.NAME_TEXT: text + deleted,
        wire.NAME_PIPE: b"pipe:[%d]" % name.inode + deleted,
        wire.NAME_SOCKET: b"socket:[%d]" % name.inode + deleted,
        wire.NAME_ANON: b"anon_inode:" + text + deleted,
        wire.NAME_PSEUDO: b"/" + text + b" (deleted)",
        wire.NAME_NAMESPACE: b"%s:[%d]" % (text, name.inode) + deleted,
    }
    return texts.get(name.kind)


def is_closed(name: wire.NameText | None) -> bool:
    """Whether the kernel says that the number is not open any more."""
    return name is not None and name.kind == wire.NAME_NONE


def section_cloexec(name: wire.NameText | None) -> bool | None:
    if name is None or not name.status & wire.NAME_CLOEXEC_KNOWN:
        return None
    return bool(name.status & wire.NAME_CLOEXEC)


def known_by_section(name: wire.NameText | None, source: str = "kernel") -> Known | None:
    text = None if name is None else section_text(name)
    return None if text is None else Known(text, source, (name.device, name.inode) if name and name.inode else None)


# ---- what a call is ----


def makes_descriptor(call: Pending, done: wire.Exit) -> bool:
    """Whether its result, if not an error, is a new descriptor that no argument names."""
    effect = call.rule.effect
    if effect == wire.EFFECT_LANDLOCK:
        return call.flags == 0
    if effect == wire.EFFECT_BPF:
        return call.arg_u32(0) & ~BPF_COMMON_ATTRS in BPF_COMMANDS_THAT_RETURN_FD
    if effect == wire.EFFECT_SIGNALFD:
        return call.arg_s32(0) == -1
    if effect == wire.EFFECT_RING:
        return done.name is not None
    return effect in (wire.EFFECT_OPEN, wire.EFFECT_NEW_FD)


def copies_descriptor(call: Pending) -> bool:
    if call.rule.effect == wire.EFFECT_FCNTL:
        return call.arg_u32(1) in (F_DUPFD, F_DUPFD_CLOEXEC)
    return call.rule.effect in (wire.EFFECT_DUP, wire.EFFECT_DUP2)


def freed_range(call: Pending) -> range:
    """The numbers that a close_range frees."""
    frees = call.rule.effect == wire.EFFECT_CLOSE_RANGE and not call.arg(2) & CLOSE_RANGE_CLOEXEC
    return range(call.arg_u32(0), call.arg_u32(1) + 1) if frees else range(0)


def frees_one(call: Pending) -> bool:
    return call.rule.effect == wire.EFFECT_CLOSE or len(freed_range(call)) == 1


def is_temporary(call: Pending) -> bool:
    """Whether it opens a file without a name, in the directory that the path tells (O_TMPFILE)."""
    return call.rule.effect == wire.EFFECT_OPEN and call.has_flag(O_TMPFILE_BIT)


def replaced_by(call: Pending) -> int | tuple[int, int] | None:
    """The number that the call frees or gives to another file; wire.CWD_FD with the process whose directory it is."""
    if frees_one(call) and call.arg_s32(0) >= 0:
        return call.arg_s32(0)
    if call.rule.effect in (wire.EFFECT_CHDIR, wire.EFFECT_FCHDIR, wire.EFFECT_CHROOT):
        return wire.CWD_FD, call.enter.tgid
    if call.rule.effect != wire.EFFECT_DUP2 or call.arg_s32(1) == call.arg_s32(0) or call.arg_s32(1) < 0:
        return None
    return call.arg_s32(1)


def number_made(call: Pending, done: wire.Exit) -> int | None:
    """The number that the call gave a file, and that it returned or was told."""
    pair = descriptor_pair(call, done)
    if pair:
        return pair[0]
    if done.ret < 0:
        return None
    if call.rule.effect == wire.EFFECT_DUP2:
        return call.arg_s32(1)
    return done.ret if makes_descriptor(call, done) or copies_descriptor(call) else None


def numbers_got(call: Pending, done: wire.Exit) -> list[int]:
    """Free ones, which the kernel chose for the call."""
    pair = descriptor_pair(call, done)
    if pair:
        return [*pair]
    is_lost = is_closed(done.name) or call.contradicted
    chosen = makes_descriptor(call, done) or (copies_descriptor(call) and not is_lost)
    return [done.ret] if chosen and done.ret >= 0 else []


def is_no_descriptor(call: Pending) -> bool:
    """Whether what is in the descriptor's place is another number, or none is meant."""
    return call.rule.no_fd_arg >= 0 and bool(call.arg(call.rule.no_fd_arg) >> call.rule.no_fd_bit & 1)


def stays_as_it_is(call: Pending) -> bool:
    """Whether it is a utimensat that changes neither time, and so looks at no file."""
    return call.rule.aux_kind == wire.AUX_UTIMES and call.aux("QQQ") == (UTIME_OMIT, UTIME_OMIT, 1)


def fd_argument(call: Pending) -> int | None:
    if call.rule.fd_arg < 0 or is_no_descriptor(call):
        return None
    fd = call.arg_s32(call.rule.fd_arg)
    return fd if fd >= 0 else None


def descriptor_pair(call: Pending, done: wire.Exit | None) -> tuple[int, int] | None:
    """The numbers that a pipe or socketpair wrote, if it did and they are known."""
    if call.rule.effect != wire.EFFECT_FD_PAIR or done is None or done.ret != 0 or done.aux is None:
        return None
    first, second = struct.unpack_from("=ii", done.aux)
    return first, second


# ---- columns ----


def fd_column(call: Pending, done: wire.Exit | None) -> int | None:
    pair = descriptor_pair(call, done)
    if pair:
        return pair[0] if pair[0] >= 0 else None
    return done.ret if done and 0 <= done.ret < 1 << 31 and makes_descriptor(call, done) else fd_argument(call)


def file_column(call: Pending, done: wire.Exit | None) -> Known | None:
    succeeded = done is not None and done.ret >= 0
    if done and succeeded:
        made = makes_descriptor(call, done)
        named = known_by_section(done.name) if made or descriptor_pair(call, done) else None
        if named and not call.contradicted and not call.is_anothers:
            return named
        if made and (call.path1 is None or (call.is_anothers and is_temporary(call))):
            return None  # what the arguments tell is another file than the new one
        if call.rule.aux_kind == wire.AUX_CWD_TEXT and done.paths and done.paths.text1:
            read = done.paths.status1 in (wire.PATH_OK, wire.PATH_TRUNCATED)
            return Known(done.paths.text1[:PATH_BYTES], "kernel") if read else None
    if call.path2:
        return call.path2.file(succeeded)
    if call.path1:
        return call.path1.file(succeeded)
    return call.descriptor


def size_argument(call: Pending) -> int:
    """As the kernel takes it, but what is unsigned and has 64 bits."""
    index, size_type = call.rule.size_arg, call.rule.size_type
    if size_type == wire.SIZE_UINT:
        return call.arg_u32(index)
    return call.arg_s32(index) if size_type == wire.SIZE_INT else signed(call.arg(index), 64)


def requested_column(call: Pending) -> int | None:
    rule = call.rule
    value: int | None = None
    if rule.aux_kind in (wire.AUX_IOVEC, wire.AUX_MSGHDR):
        total, complete = call.aux("QQ") or (0, 0)
        value = signed(total, 64) if complete == 1 else None
    elif rule.aux_kind == wire.AUX_XATTR_ARGS:
        xattr = call.aux("QI")
        value = xattr[1] if xattr else None
    elif rule.size_arg >= 0:
        value = size_argument(call)
    return None if value is None or value < 0 else value


def bytes_column(call: Pending, done: wire.Exit | None) -> int | None:
    if call.rule.byte_class == wire.BYTES_NONE or done is None:
        return None
    moved, requested = max(0, done.ret), requested_column(call)
    if call.rule.byte_rule == wire.BYTE_RULE_PROBE and requested == 0:
        return 0
    if call.rule.byte_rule == wire.BYTE_RULE_RECV:
        if call.has_flag(MSG_PEEK):
            return 0
        if call.has_flag(MSG_TRUNC) and moved:
            return received_of(moved, requested, call.rule)
    return moved


def received_of(length: int, requested: int | None, rule: wire.Rule) -> int | None:
    """Of a message of this length. A size argument that is negative is more than any; of a vector it may be less."""
    if requested is None:
        return length if rule.size_arg >= 0 else None
    return min(length, requested)


def offset_column(call: Pending, done: wire.Exit | None) -> int | None:
    if call.rule.offset_arg == -2:
        return done.ret if done and done.ret >= 0 else None
    # of the vector calls, those with flags take -1 for the current position
    if call.rule.aux_kind == wire.AUX_IOVEC and call.rule.flags_arg >= 0 and call.arg(call.rule.offset_arg) == MASK:
        return None
    return signed(call.arg(call.rule.offset_arg), 64) if call.rule.offset_arg >= 0 else None


def space_column(call: Pending, done: wire.Exit | None, last_brk: int | None) -> int | None:
    if done is None or done.ret < 0:
        return None
    quantity = call.rule.quantity
    if quantity in (wire.QUANTITY_MMAP, wire.QUANTITY_MUNMAP):
        return pages(call.arg(1))
    if quantity == wire.QUANTITY_MREMAP:
        return pages(max(call.arg(1), call.arg(2)))
    if quantity == wire.QUANTITY_BRK:
        return 0 if last_brk is None else abs(done.ret - last_brk)
    return 0 if quantity == wire.QUANTITY_NO_SPACE else None


def time_in_aux(call: Pending) -> int | None:
    """The timespec or timeval that was read, ns; None if it was not or is invalid."""
    seconds, fraction, was_read = call.aux("qqQ") or (0, 0, 0)
    if call.rule.aux_kind == wire.AUX_TIMEVAL:
        seconds, fraction = timespec_of(seconds, fraction)
    if was_read != 1 or seconds < 0 or not 0 <= fraction < 1_000_000_000:
        return None
    return min(seconds * 1_000_000_000 + fraction, INT64_MAX)


def timespec_of(seconds: int, microseconds: int) -> tuple[int, int]:
    """As select does it, in C: whole seconds go over, towards zero; a sum of 64 bits may begin again at the least."""
    over = abs(microseconds) // 1_000_000 * (1 if microseconds >= 0 else -1)
    return signed(seconds + over, 64), (microseconds - over * 1_000_000) * 1000


def sleep_column(call: Pending) -> int | None:
    if call.rule.quantity == wire.QUANTITY_SLEEP:
        return time_in_aux(call)
    relative = call.rule.quantity == wire.QUANTITY_CLOCK_SLEEP and not call.has_flag(TIMER_ABSTIME)
    return time_in_aux(call) if relative else None


def timeout_column(call: Pending) -> int | None:
    if call.rule.quantity == wire.QUANTITY_POLL_MS:
        milliseconds = call.arg_s32(call.rule.timeout_arg)
        return milliseconds * 1_000_000 if milliseconds >= 0 else None
    if call.rule.quantity == wire.QUANTITY_POLL_SPEC and call.arg(call.rule.timeout_arg):
        return time_in_aux(call)
    return None


def polling_columns(call: Pending) -> Row:
    polls = call.rule.quantity in (wire.QUANTITY_POLL_MS, wire.QUANTITY_POLL_SPEC)
    row: Row = {
        "nfds": call.arg_s32(call.rule.nfds_arg) if polls else None,
        "timeout_ns": timeout_column(call),
        "epoll_op": None,
        "epoll_target_fd": None,
        "epoll_events": None,
    }
    if call.rule.quantity == wire.QUANTITY_EPOLL_CTL:
        events = call.aux("I")
        row["epoll_op"] = EPOLL_OPS.get(call.arg_s32(1))
        row["epoll_target_fd"] = call.arg_s32(2)
        row["epoll_events"] = events[0] if events and row["epoll_op"] != "DEL" else None
    return row


def row_of(call: Pending, done: wire.Exit | None, last_end_ns: int | None, last_brk: int | None) -> Row:
    """The columns that the call itself and its thread's last row tell, `syscall` and `family` being left out."""
    enter, flags = call.enter, call.flags
    file = file_column(call, done)
    old_file = call.path1.file(done is not None and done.ret >= 0) if call.path1 and call.path2 else None
    error = None if done is None else error_name(done.ret)
    row: Row = {
        "time_ns": signed(enter.time_ns, 64),
        "gap_ns": None if last_end_ns is None else clamped(enter.time_ns, last_end_ns),
        "latency_ns": clamped(done.time_ns, enter.time_ns) if done else None,
        "comm": text_of(call.comm),
        "pid": signed(enter.tgid, 32),
        "tid": signed(enter.tid, 32),
        "fd": fd_column(call, done),
        "ret": done.ret if done else None,
        "error": error,
        "is_error": error is not None,
        "bytes": bytes_column(call, done),
        "requested_bytes": requested_column(call),
        "offset": offset_column(call, done),
        "flags": None if flags is None else signed(flags, 64),
        "file": text_of(file.text) if file else None,
        "file_source": file.source if file else None,
        "device": device_number(file.identity[0]) if file and file.identity else None,
        "mount_namespace": call.mount_namespace,
        "inode": signed(file.identity[1], 64) if file and file.identity else None,
        "old_file": text_of(old_file.text) if old_file else None,
        "address_space_bytes": space_column(call, done, last_brk),
        "requested_sleep_ns": sleep_column(call),
        "restarts": 0,
        "filter_epoch": 0,
    }
    return row | polling_columns(call)
