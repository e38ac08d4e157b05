"""One output file: written under a temporary name beside its own, complete or not there at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path

from tracer.errors import OutputError
from tracer.temporary import forget_unfinished, note_unfinished, temporary_name, wished_name

LARGEST_ID = 2**32 - 2
"""Of a user or group: one more means none (include/linux/uidgid.h)."""


class OutputFile:
    """A file that appears under its name only when it is complete.

    Opens a temporary dot-name in the same folder (mode 0600, never through a symlink). Under sudo it belongs to the
    invoking user. `commit` gives it its name; without `force` an existing file is never replaced, not even one that
    appeared meanwhile. `stream` is the open binary file; it is locked (flock), so that others can tell a file that is
    being written from one that was left behind: until it has its name. Hints name the `option` that it comes from.

    Raises OutputError, before anything is written, if the file can't be made or would replace another one.
    """

    def __init__(self, path: Path, *, force: bool = False, option: str = "-o") -> None:
        self.path = path
        self.force = force
        self.option = option
        self._kept = False
        self._is_complete = False
        try:
            self._check_name()
            self.temporary = path.with_name(temporary_name(path.name))
            self.stream = open_private(self.temporary)
            note_unfinished(str(self.temporary))
            self._identity = os.fstat(self.stream.fileno())
        except OSError as error:
            raise open_error(path, error, option) from error

    def _check_name(self) -> None:
        if wished_name(self.path.name) is not None:
            raise OutputError(
                f"{self.path.name} is what a recording is called that is being written", hint="choose another name"
            )
        try:
            mode = self.path.stat().st_mode
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ELOOP}:
                raise
            if not self.force and os.path.lexists(self.path):
                raise _exists(self.path) from None  # a link to nothing
            return
        if stat.S_ISDIR(mode):
            raise OutputError(f"{self.path} is a folder", hint="give the name of a file")
        if not self.force:
            raise _exists(self.path)
        if not stat.S_ISREG(mode):
            raise OutputError(f"{self.path} is not a file that could be replaced", hint="give another name")

    def check(self) -> None:
        """Raises FileNotFoundError if somebody has removed the file: what is written can't get a name any more."""
        if not self.is_there:
            raise FileNotFoundError(errno.ENOENT, f"{self.temporary.name} was removed meanwhile")

    def sync(self) -> None:
        """Make what was written so far outlive a crash of the machine. Raises OSError."""
        self.stream.flush()
        os.fdatasync(self.stream.fileno())

    def keep(self) -> None:
        """Let `abort` leave what was written under its temporary name."""
        self._kept = True

    @property
    def is_there(self) -> bool:
        """Whether the temporary name still leads to this file."""
        return self.is_ours(self.temporary)

    def is_ours(self, path: Path) -> bool:
        """Whether a name leads to this file."""
        try:
            return os.path.samestat(os.lstat(path), self._identity)
        except OSError:
            return False

    def complete(self) -> None:
        """Make all of the file outlive a crash of the machine: nothing more is written. Raises OutputError."""
        try:
            self.check()
            self.stream.flush()
            os.fsync(self.stream.fileno())
        except OSError as error:
            raise self.write_error(error) from error
        self._is_complete = True

    def commit(self) -> int:
        """Complete the file, unless that was done, and give it its name; its size in bytes. Raises OutputError."""
        if not self._is_complete:
            self.complete()
        try:
            size = self.stream.tell()
            self._rename()
            self.stream.close()
        except OSError as error:
            raise self.write_error(error) from error
        forget_unfinished(str(self.temporary))
        return size

    def write_error(self, error: OSError) -> OutputError:
        """Why writing it failed, for the user."""
        return write_error(self.path, error, self.option)

    def _rename(self) -> None:
        if self.force:
            os.replace(self.temporary, self.path)  # noqa: PTH105 - the method makes a path of its own to return
            return
        try:
            os.link(self.temporary, self.path)
        except FileExistsError as error:
            self._kept = True
            raise OutputError(
                f"{self.path} has appeared meanwhile", hint=f"what was written is complete, and in {self.temporary}"
            ) from error
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
                raise
            self.temporary.rename(self.path)  # a file system without hard links
            return
        self.temporary.unlink()

    def abort(self) -> None:
        """Leave nothing behind. Safe to call at any time, also after `commit`.

        Only a complete file whose name was taken meanwhile stays, under the name that the error told.
        """
        with suppress(OSError):
            self.stream.close()
        if not self._kept:
            with suppress(OSError):
                self.temporary.unlink()
        forget_unfinished(str(self.temporary))


def open_private(path: Path) -> BufferedWriter:
    """Make a file that its owner alone may read, and lock it. Under sudo it belongs to the invoking user.

    `recover` removes an empty file whose lock it gets; one that it has removed before we got the lock is made again.

    Raises OSError, also if there is anything of that name already.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # others hold it for a look at an empty file
        is_removed = not os.fstat(descriptor).st_nlink
        undo_umask(descriptor, 0o600)
        owner = invoking_user()
        if owner is not None:
            os.fchown(descriptor, *owner)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise
    if is_removed:
        os.close(descriptor)
        return open_private(path)
    # buffered, because it goes on after a write that took only a part of what it was given
    return os.fdopen(descriptor, "wb")


def undo_umask(descriptor: int, mode: int) -> None:
    """Give what was made with this mode back what the umask took. Raises OSError."""
    if mode & ~os.fstat(descriptor).st_mode:  # not without need: a file system without modes may refuse
        os.fchmod(descriptor, mode)


def invoking_user() -> tuple[int, int] | None:
    """User and group of who called sudo, if we are root for somebody."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and _is_id(uid) and _is_id(gid):
        return int(uid), int(gid)
    return None


def _is_id(text: str) -> bool:
    """Whether this is a user's or group's number. Python refuses to read thousands of digits."""
    return text.isdecimal() and len(text) <= len(str(LARGEST_ID)) and int(text) <= LARGEST_ID


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path} exists", hint="choose another name, or overwrite it with --force")


def open_error(path: Path, error: OSError, option: str = "-o") -> OutputError:
    """Why a file can't be made, for the user."""
    folder = path.parent
    if error.errno == errno.ENOENT and not folder.is_dir():
        # mkdir -p does not make what comes before one
        hint = "give the place without '..'" if ".." in folder.parts else f"mkdir -p {folder}"
        return OutputError(f"the folder {folder} does not exist", hint=hint)
    if error.errno == errno.ENOTDIR:
        return OutputError(f"{folder} is not a folder", hint=f"give another place with {option}")
    return OutputError(f"{path} can't be written: {error.strerror}", hint=f"give another place with {option}")


def write_error(path: Path, error: Exception, option: str = "-o") -> OutputError:
    """Why writing failed, for the user."""
    if not isinstance(error, OSError):
        return OutputError(f"writing {path} failed: {str(error).partition(chr(10))[0]}")
    hint = f"make room, or give another place with {option}" if error.errno in {errno.ENOSPC, errno.EDQUOT} else None
    return OutputError(f"writing {path} failed: {error.strerror or error}", hint=hint)
