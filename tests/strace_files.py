"""Which files the calls in strace's output meant, from nothing but that output and the directory where the run began.

Names of syscalls are the kernel's, not strace's. A claim is what a row must say; where strace's output leaves it open,
there is none.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from strace_log import Call, Descriptor, Text, parse_descriptor, parse_flags

KERNEL_NAMES = {
    "stat": "newstat",
    "fstat": "newfstat",
    "lstat": "newlstat",
    "uname": "newuname",
    "sendfile": "sendfile64",
    "umount2": "umount",
}
"""strace's name -> the kernel's, where they differ on a 64-bit machine."""


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILE = names(
    """
    access acct chdir chmod chown chroot creat execve execveat faccessat faccessat2 fanotify_mark fchmodat fchmodat2
    fchownat fsconfig fspick futimesat getcwd getxattr inotify_add_watch lchown lgetxattr link linkat listxattr
    llistxattr lremovexattr lsetxattr mkdir mkdirat mknod mknodat mount mount_setattr move_mount name_to_handle_at
    newfstatat newlstat newstat open open_tree openat openat2 pivot_root quotactl readlink readlinkat removexattr
    rename renameat renameat2 rmdir setxattr statfs statx swapoff swapon symlink symlinkat truncate umount unlink
    unlinkat utime utimensat utimes
    """
)
"""strace's `%file`, as `strace -e trace=%file` shows it for a program that tries every number."""

DESC = names(
    """
    bpf cachestat close copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait
    epoll_pwait2 epoll_wait eventfd eventfd2 execveat faccessat faccessat2 fadvise64 fallocate fanotify_init
    fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr finit_module flistxattr
    flock fremovexattr fsconfig fsetxattr fsmount fsopen fspick fstatfs fsync ftruncate futimesat getdents getdents64
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_uring_enter io_uring_register io_uring_setup
    ioctl kexec_file_load landlock_add_rule landlock_create_ruleset landlock_restrict_self linkat lseek memfd_create
    memfd_secret mkdirat mknodat mmap mount_setattr move_mount mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedsend name_to_handle_at newfstat newfstatat open open_by_handle_at open_tree openat openat2 perf_event_open
    pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 poll ppoll pread64 preadv preadv2 process_madvise
    process_mrelease pselect6 pwrite64 pwritev pwritev2 quotactl_fd read readahead readlinkat readv renameat renameat2
    select sendfile64 setns signalfd signalfd4 splice statx symlinkat sync_file_range syncfs tee timerfd_create
    timerfd_gettime timerfd_settime unlinkat userfaultfd utimensat vmsplice write writev
    """
)
"""strace's `%desc`, found the same way."""

DEFAULT = (FILE | DESC) - names(
    """
    acct bpf epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat
    fanotify_init fanotify_mark finit_module inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
    io_uring_enter io_uring_register io_uring_setup kexec_file_load landlock_add_rule landlock_create_ruleset
    landlock_restrict_self memfd_create memfd_secret mmap mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend
    perf_event_open pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 pivot_root poll ppoll process_madvise
    process_mrelease pselect6 select sendfile64 setns signalfd signalfd4 splice tee timerfd_create timerfd_gettime
    timerfd_settime userfaultfd vmsplice
    """
)
"""What a recording without a selection holds of them: the file family, without exec, memory, polling, IPC, network."""

AT_FDCWD = -100
CLONE_FS = 0x200
MAP_ANONYMOUS = 0x20
IORING_ENTER_REGISTERED_RING, IORING_REGISTER_USE_REGISTERED_RING = 1 << 4, 1 << 31
NAME_BYTES = 4095
"""A name in a recording is at most this long (PATH_MAX without the NUL)."""


class PathRole(NamedTuple):
    """Which argument is a path, and which one the directory it is relative to (None: the working directory)."""

    path: int
    dirfd: int | None = None


class Claim(NamedTuple):
    """What a column must hold: `name`, or null. `cut`: only as far as both reach, because the text was cut."""

    name: str | None
    cut: bool = False


NOTHING = Claim(None)

PATHS: dict[str, PathRole] = {
    **dict.fromkeys(
        names(
            """
            access acct chdir chmod chown chroot creat execve getxattr lchown lgetxattr listxattr llistxattr
            lremovexattr lsetxattr mkdir mknod newlstat newstat open pivot_root readlink removexattr rmdir setxattr
            statfs swapoff swapon truncate umount unlink utime utimes
            """
        ),
        PathRole(0),
    ),
    **dict.fromkeys(
        names(
            """
            execveat faccessat faccessat2 fchmodat fchmodat2 fchownat fspick futimesat mkdirat mknodat mount_setattr
            name_to_handle_at newfstatat open_tree openat openat2 readlinkat statx unlinkat utimensat
            """
        ),
        PathRole(1, 0),
    ),
    "inotify_add_watch": PathRole(1),
    "fanotify_mark": PathRole(4, 3),
    "mount": PathRole(1),
}

TWO_PATHS: dict[str, tuple[PathRole, PathRole]] = {
    "rename": (PathRole(0), PathRole(1)),
    "renameat": (PathRole(1, 0), PathRole(3, 2)),
    "renameat2": (PathRole(1, 0), PathRole(3, 2)),
    "link": (PathRole(0), PathRole(1)),
    "linkat": (PathRole(1, 0), PathRole(3, 2)),
    "move_mount": (PathRole(1, 0), PathRole(3, 2)),
}
"""The old side and the new one."""

SYMLINKS = {"symlink": PathRole(1), "symlinkat": PathRole(2, 1)}
"""The new side; argument 0 is the target, a text that names nothing yet."""

DESCRIPTORS: dict[str, int] = {
    **dict.fromkeys(
        names(
            """
            accept accept4 bind cachestat close connect dup dup2 dup3 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait
            fadvise64 fallocate fchdir fchmod fchown fcntl fdatasync fgetxattr finit_module flistxattr flock
            fremovexattr fsconfig fsetxattr fstatfs fsync ftruncate getdents getdents64 getpeername getsockname
            getsockopt inotify_rm_watch ioctl listen lseek newfstat pidfd_send_signal pread64 preadv preadv2 pwrite64
            pwritev pwritev2 read readahead readv recvfrom recvmmsg recvmsg sendfile64 sendmmsg sendmsg sendto setns
            setsockopt shutdown signalfd signalfd4 sync_file_range syncfs timerfd_gettime timerfd_settime vmsplice
            io_uring_enter io_uring_register write writev
            """
        ),
        0,
    ),
    "tee": 1,
    "copy_file_range": 2,
    "splice": 2,
    "mmap": 4,
}
"""The argument that is the descriptor; of a transfer's two the one that is written to."""

NAMELESS = names("poll ppoll select pselect6 memfd_create epoll_create epoll_create1 eventfd eventfd2")
"""Calls without a file of their own; those that return a descriptor have one when they succeed."""

PAIRS = {"pipe": 0, "pipe2": 0, "socketpair": 3}
"""Calls that write two descriptors: the argument that shows them."""


def kernel_name(call: Call) -> str:
    return KERNEL_NAMES.get(call.name, call.name)


def to_text(raw: bytes) -> str:
    """Bytes as a recording holds them: what is not UTF-8 as a backslash, x and two small digits, and so a backslash
    that would look like the begin of that."""
    return re.sub(rb"\\(?=x(?:[89a-f][0-9a-f]|5c))", rb"\\x5c", raw).decode("utf-8", "backslashreplace")


def normal(name: str) -> str:
    """A path without `//`, `.` and `..`; anything else as it is. To Linux two leading slashes are one."""
    return os.path.normpath("/" + name.lstrip("/")) if name.startswith("/") else name and os.path.normpath(name)


def claim(raw: bytes, *, cut: bool = False) -> Claim:
    return Claim(normal(to_text(raw)), cut or len(raw) > NAME_BYTES)


class Cwd:
    """A working directory: as joined until strace shows the kernel's name for it."""

    def __init__(self, path: bytes | None, *, exact: bool) -> None:
        self.path = path
        self.exact = exact


class _Holder:
    """What threads with CLONE_FS share: the directory they are in."""

    def __init__(self, cwd: Cwd) -> None:
        self.cwd = cwd

    def learn(self, path: bytes) -> None:
        """strace showed the kernel's name. One that differs from an earlier one is a directory renamed in between."""
        if not self.cwd.exact:
            self.cwd.path, self.cwd.exact = path, True
        elif self.cwd.path != path:
            self.cwd = Cwd(path, exact=True)


class _Directories:
    """Follows the working directory of every thread through the log."""

    def __init__(self, cwd: bytes) -> None:
        self._start = cwd
        self._holders: dict[int, _Holder] = {}

    def enter(self, call: Call) -> Cwd:
        """The directory in which a call's relative paths are looked up; its name may become known only later."""
        holder = self._holders.setdefault(call.tid, _Holder(Cwd(self._start, exact=True)))
        for arg in range(len(call.args)):
            shown = call.descriptor(arg)
            if shown and shown.number == AT_FDCWD and shown.name is not None:
                holder.learn(shown.name)
        cwd = holder.cwd
        if call.ret is not None and call.ret >= 0:
            self._apply(call, holder)
        return cwd

    def _apply(self, call: Call, holder: _Holder) -> None:
        if call.name == "chdir" and (text := call.text(0)):
            holder.cwd = Cwd(join(holder.cwd.path, text), exact=False)
        elif call.name == "fchdir" and (directory := call.descriptor(0)):
            holder.cwd = Cwd(directory.name, exact=directory.name is not None)
        elif call.name == "getcwd" and (text := call.text(0)):
            holder.learn(text.raw)
        elif call.name == "unshare" and call.flags(0) & CLONE_FS:
            self._holders[call.tid] = _Holder(holder.cwd)
        elif call.name in ("clone", "clone3", "fork", "vfork") and call.ret:
            self._holders[call.ret] = holder if _clone_flags(call) & CLONE_FS else _Holder(holder.cwd)


def _clone_flags(call: Call) -> int:
    """The flags of a clone: `clone(child_stack=NULL, flags=0x11, ...)` or `clone3({flags=0x3d0f00, ...}, 88)`."""
    _, found, rest = ", ".join(call.args).partition("flags=")
    return parse_flags(rest.partition(",")[0].rstrip("}")) if found else 0


def join(directory: bytes | None, text: Text) -> bytes | None:
    """A path behind its directory; a text relative to what has no path stays as it is. None: not known."""
    if text.raw.startswith(b"/"):
        return text.raw
    if directory is None:
        return None
    return directory + b"/" + text.raw if directory.startswith(b"/") else text.raw


def working_directories(calls: Sequence[Call], cwd: bytes) -> list[Cwd]:
    """The working directory of each call. A run begins in `cwd`."""
    directories = _Directories(cwd)
    return [directories.enter(call) for call in calls]


def _directory(call: Call, role: PathRole, cwd: Cwd) -> bytes | None:
    """The name of the directory that a path is relative to; empty if it has none, None where strace could not tell."""
    if role.dirfd is None:
        return cwd.path
    shown = call.descriptor(role.dirfd)
    if shown is None or (shown.name is None and call.ret == -errno.EBADF):
        return b""
    return shown.name


def _path(call: Call, role: PathRole, cwd: Cwd) -> Claim | None:
    text = call.text(role.path)
    succeeded = call.ret is not None and call.ret >= 0
    if text is None and not (succeeded and call.is_null(role.path)):
        return NOTHING
    if text is None or not text.raw:
        # No path, yet it worked: the call was about the descriptor itself. If it failed, it named nothing.
        return _descriptor(call, role.dirfd) if succeeded and role.dirfd is not None else NOTHING
    joined = join(_directory(call, role, cwd), text)
    if joined is not None and len(os.path.normpath(joined)) > NAME_BYTES:
        joined = text.raw  # as it was given
    return None if joined is None else claim(joined, cut=text.cut)


def _descriptor(call: Call, index: int) -> Claim | None:
    return _shown(call, call.descriptor(index))


def _shown(call: Call, shown: Descriptor | None) -> Claim | None:
    if shown is not None and shown.name is not None:
        return claim(shown.name)
    # A number that was open but that strace could not name (its path is too long for readlink) is no claim.
    nothing = shown is None or shown.number < 0 or call.ret == -errno.EBADF
    return NOTHING if nothing else None


def _unless(index: int, bit: int) -> Callable[[Call], Claim | None]:
    """The descriptor, if a bit of another argument does not say that the number is none."""
    return lambda call: NOTHING if call.flags(index) & bit else _descriptor(call, DESCRIPTORS[call.name])


def _first_of_pair(call: Call) -> Claim | None:
    index = PAIRS[call.name]
    if call.ret != 0:
        return NOTHING
    return _shown(call, parse_descriptor(call.args[index].lstrip("[")))


def _getcwd(call: Call) -> Claim | None:
    text = call.text(0) if call.ret is not None and call.ret > 0 else None
    return claim(text.raw) if text else NOTHING


_OTHERS: dict[str, Callable[[Call], Claim | None]] = {
    **dict.fromkeys(PAIRS, _first_of_pair),
    **dict.fromkeys(NAMELESS, lambda call: NOTHING),
    "mmap": _unless(3, MAP_ANONYMOUS),
    "io_uring_enter": _unless(3, IORING_ENTER_REGISTERED_RING),
    "io_uring_register": _unless(1, IORING_REGISTER_USE_REGISTERED_RING),
    "getcwd": _getcwd,
}


def file_claim(call: Call, cwd: Cwd) -> Claim | None:
    """What `file` must say about a call; None where strace's output does not tell."""
    name = kernel_name(call)
    returned = call.returned
    if returned is not None and returned.name is not None:
        return claim(returned.name)
    if name in _OTHERS:
        return _OTHERS[name](call)
    role = TWO_PATHS[name][1] if name in TWO_PATHS else SYMLINKS.get(name) or PATHS.get(name)
    if role is not None:
        return _path(call, role, cwd)
    return _descriptor(call, DESCRIPTORS[name]) if name in DESCRIPTORS else None


def old_file_claim(call: Call, cwd: Cwd) -> Claim | None:
    """What `old_file` must say: null unless the call renames or links."""
    name = kernel_name(call)
    if name in TWO_PATHS:
        return _path(call, TWO_PATHS[name][0], cwd)
    if name in SYMLINKS:
        text = call.text(0)
        return claim(text.raw, cut=text.cut) if text and text.raw else NOTHING
    return NOTHING
