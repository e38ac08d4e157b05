"""What is traced: a command that we start, processes that run already, or the whole machine."""

from __future__ import annotations

import errno
import os
import pwd
import select
import shutil
import signal
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from tracer._fast.launch import spawn
from tracer.capture.privileges import check_other_user
from tracer.errors import TracerError, UsageError

IO_URING = "anon_inode:[io_uring]"

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what shells answer (POSIX, XCU 2.8.2)


class Watcher(Protocol):
    """The side of the kernel program that targets need."""

    def watch(self, tgid: int, *, armed: bool = False, changes_unseen: bool = False) -> None:
        """Trace a process, an armed one from its first execve on."""


class Target(Protocol):
    """What is traced, from before tracing starts to after it ended."""

    name: str
    is_ours: bool  # whether we started it, so that signals and time limits concern it

    def prepare(self, watcher: Watcher) -> None:
        """Tell the kernel program whom to watch; tracing has not started."""

    def start(self) -> None:
        """Tracing has started."""

    def is_over(self) -> bool:
        """Whether there is nothing left to trace. Never blocks."""

    def send_signal(self, number: int) -> None:
        """A signal that the tracer got and that the target should get too."""

    def finish(self) -> int:
        """Wait for what we started; the exit status to end with."""


class CommandError(TracerError):
    """The command can't be run; the exit status is the shells' (126 or 127)."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a command runs as: user, group and supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def find(cls, name: str) -> Self:
        """One of the user database, by name or number. Raises UsageError, also where there is no right to become it."""
        try:
            entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except (KeyError, OverflowError, ValueError) as error:  # Python refuses to read thousands of digits
            raise UsageError(f"no user {name}", hint="give a name or a number of /etc/passwd") from error
        check_other_user(name)
        return cls(entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


class Command:
    """A command, started in a child that waits until tracing has begun. Its streams and exit status are its own.

    With `user` it runs as that one; environment and working directory stay as they are.

    Raises CommandError if there is no such program, with the shells' exit status, and UsageError for arguments that no
    program could be given.
    """

    is_ours = True

    def __init__(self, argv: Sequence[str | bytes | os.PathLike[str]], *, user: User | None = None) -> None:
        if isinstance(argv, (str, bytes)):
            raise UsageError("a command is a list of arguments", hint=f"[{argv!r}], or shlex.split")
        self.argv = [os.fsdecode(argument) for argument in argv]
        self._user = user
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._ignores_children = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
        if not self.argv or any("\0" in argument for argument in self.argv):
            raise UsageError("no command that could be run: it needs a name, and no NUL byte")
        self.path = find_program(self.argv[0])
        self.name = Path(self.argv[0]).name
        self._pid: int | None = None
        self._cue = self._report = -1
        self._status: int | None = None

    def prepare(self, watcher: Watcher) -> None:
        """Fork the child, which waits for its cue."""
        if self._ignores_children:  # or its status would be lost
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._pid, self._cue, self._report = spawn(
            os.fsencode(self.path),
            [os.fsencode(argument) for argument in self.argv],
            self._blocked,
            self._ignores_children,
            None if self._user is None else (self._user.uid, self._user.gid, self._user.groups),
        )
        watcher.watch(self._pid, armed=True)

    def start(self) -> None:
        """Give the cue. Raises CommandError if execve fails."""
        os.write(self._cue, b"x")
        self._close_cue()
        answer = os.read(self._report, 4)
        os.close(self._report)
        self._report = -1
        if answer:
            self.finish()
            error = int.from_bytes(answer, "little")
            raise command_error(self.argv[0], error)

    def is_over(self) -> bool:
        """Whether the command has ended, or never began."""
        if self._pid is None or self._cue >= 0:
            return True
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def send_signal(self, number: int) -> None:
        """Pass a signal on, unless the command has ended. One that is stopped goes on, or it would never hear of it."""
        if self._pid is not None and not self.is_over():
            os.kill(self._pid, number)
            os.kill(self._pid, signal.SIGCONT)  # no harm if it has just ended: it is not waited for yet

    def end(self, grace_s: float) -> None:
        """End the command: SIGTERM, and SIGKILL if it has not ended after the grace time."""
        self._close_cue()
        self.send_signal(signal.SIGTERM)
        due = time.monotonic() + grace_s
        while not self.is_over() and time.monotonic() < due:
            time.sleep(0.01)
        self.send_signal(signal.SIGKILL)
        self.finish()

    def finish(self) -> int:
        """Wait for the command; its exit status, or 128+n if signal n ended it. A child without a cue just exits."""
        self._close_cue()
        if self._pid is None:
            return 0
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status if self._status >= 0 else 128 - self._status

    def _close_cue(self) -> None:
        if self._cue >= 0:
            os.close(self._cue)
            self._cue = -1


class Processes:
    """Processes that run already. Over when all of them have ended.

    Raises UsageError for a number that is no process.
    """

    is_ours = False

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = [process_of(pid) for pid in dict.fromkeys(pids)]
        self._ends = select.poll()
        self._open: set[int] = set()
        for pid in self._pids:
            try:
                handle = os.pidfd_open(pid)
            except OSError as error:
                self.finish()
                raise UsageError(f"process {pid} can't be watched: {error.strerror}") from error
            self._open.add(handle)
            self._ends.register(handle, select.POLLIN)
        self.name = read_comm(self._pids[0])

    def prepare(self, watcher: Watcher) -> None:
        """Watch them all."""
        for pid in self._pids:
            watcher.watch(pid, changes_unseen=has_io_uring(pid))

    def start(self) -> None:
        """Nothing to do: they run."""

    def is_over(self) -> bool:
        """Whether all of them have ended."""
        for handle, _ in self._ends.poll(0):
            self._ends.unregister(handle)
            os.close(handle)
            self._open.discard(handle)
        return not self._open

    def send_signal(self, number: int) -> None:
        """They are not ours: a signal to the tracer ends only the trace."""

    def finish(self) -> int:
        """Let go of them."""
        for handle in self._open:
            os.close(handle)
        self._open.clear()
        return 0


class Machine:
    """Every process but the tracer itself. Never over by itself."""

    name = "all"
    is_ours = False

    def prepare(self, watcher: Watcher) -> None:
        """Watch those that use io_uring already; of the others the filter says it."""
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and int(entry.name) != os.getpid() and has_io_uring(int(entry.name)):
                watcher.watch(int(entry.name), changes_unseen=True)

    def start(self) -> None:
        """Nothing to do."""

    def is_over(self) -> bool:
        """A machine does not end."""
        return False

    def send_signal(self, number: int) -> None:
        """Nobody to send it to."""

    def finish(self) -> int:
        """Nothing to wait for."""
        return 0


def find_program(name: str) -> str:
    """The path that execve gets. Raises CommandError as a shell would."""
    found = name if "/" in name else shutil.which(name)
    if found is None:
        raise command_error(name, errno.ENOENT)
    try:
        mode = Path(found).stat().st_mode
    except OSError as error:
        raise command_error(name, error.errno or errno.ENOENT) from error
    if stat.S_ISDIR(mode) or not os.access(found, os.X_OK):
        raise command_error(name, errno.EACCES)
    return found


def command_error(name: str, error: int) -> CommandError:
    """Why a command can't be run."""
    failure = CommandError(f"{name} can't be run: {os.strerror(error)}")
    failure.exit_code = NOT_FOUND if error == errno.ENOENT else NOT_EXECUTABLE
    return failure


def process_of(pid: int) -> int:
    """The thread group that a process or thread number belongs to. Raises UsageError if there is none."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError as error:
        raise UsageError(f"process {pid} does not exist", hint="`pgrep -a NAME` lists processes") from error
    # Its first line is the name that the process gave itself: any bytes, of which newlines alone are escaped.
    return int(next(line for line in status.split(b"\n") if line.startswith(b"Tgid:")).split()[1])


def has_io_uring(pid: int) -> bool:
    """Whether a process has a ring open, with which descriptors come and go without calls."""
    try:
        entries = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:  # it ended meanwhile
        return False
    return any(_link(entry) == IO_URING for entry in entries)


def _link(entry: os.DirEntry[str]) -> str:
    try:
        return str(Path(entry).readlink())
    except OSError:  # closed meanwhile
        return ""


def read_comm(pid: int) -> str:
    """A process's name, as far as it can be read."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return str(pid)


FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end a recording cleanly, and that the command gets too."""
