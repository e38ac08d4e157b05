"""One output file: written under a temporary name beside its own, complete or not there at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from tracer.errors import OutputError


class OutputFile:
    """A file that appears under its name only when it is complete.

    Opens a temporary dot-name in the same folder (mode 0600, never through a symlink). Under sudo it belongs to the
    invoking user. `commit` gives it its name; without `force` an existing file is never replaced, not even one that
    appeared meanwhile. `stream` is the open binary file.

    Raises OutputError, before anything is written, if the file can't be made or would replace another one.
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = path
        self.force = force
        self._kept = False
        try:
            self._check_name()
            self._temporary = path.with_name(_temporary_name(path.name))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            # buffered, because it goes on after a write that took only a part of what it was given
            self.stream = os.fdopen(os.open(self._temporary, flags, 0o600), "wb")
        except OSError as error:
            raise open_error(path, error) from error
        self._give_to_invoking_user()

    def _check_name(self) -> None:
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

    def _give_to_invoking_user(self) -> None:
        uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
        if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal():
            os.fchown(self.stream.fileno(), int(uid), int(gid))

    def commit(self) -> int:
        """Make what was written durable and give it its name; its size in bytes. Raises OutputError."""
        try:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            size = os.fstat(self.stream.fileno()).st_size
            self.stream.close()
            self._rename()
        except OSError as error:
            raise write_error(self.path, error) from error
        return size

    def _rename(self) -> None:
        if self.force:
            self._temporary.replace(self.path)
            return
        try:
            os.link(self._temporary, self.path)
        except FileExistsError as error:
            self._kept = True
            raise OutputError(
                f"{self.path} has appeared meanwhile", hint=f"the complete recording is in {self._temporary}"
            ) from error
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
                raise
            self._temporary.rename(self.path)  # a file system without hard links
            return
        self._temporary.unlink()

    def abort(self) -> None:
        """Leave nothing behind. Safe to call at any time, also after `commit`.

        Only a complete file whose name was taken meanwhile stays, under the name that the error told.
        """
        with suppress(OSError):
            self.stream.close()
        if self._kept:
            return
        with suppress(FileNotFoundError):
            self._temporary.unlink()


def _temporary_name(name: str) -> str:
    start = os.fsdecode(os.fsencode(name)[:200])  # 255 bytes are the most that a name may have
    return f".{start}.{secrets.token_hex(8)}.tmp"


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path} exists", hint="choose another name, or overwrite it with --force")


def open_error(path: Path, error: OSError) -> OutputError:
    """Why a file can't be made, for the user."""
    folder = path.parent
    if error.errno == errno.ENOENT and not folder.is_dir():
        return OutputError(f"the folder {folder} does not exist", hint=f"mkdir -p {folder}")
    if error.errno == errno.ENOTDIR:
        return OutputError(f"{folder} is not a folder", hint="give another place with -o")
    return OutputError(f"{path} can't be written: {error.strerror}", hint="give another place with -o")


def write_error(path: Path, error: OSError) -> OutputError:
    """Why writing failed, for the user."""
    hint = "make room, or give another place with -o" if error.errno == errno.ENOSPC else None
    return OutputError(f"writing {path} failed: {error.strerror or error}", hint=hint)
