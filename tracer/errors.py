"""The one family of exceptions that `tracer` raises for what a user can mend."""

from __future__ import annotations


class TracerError(Exception):
    """Something the user can act on: one clear line, a hint, and the exit status the command line ends with.

    `str(error)` is the line without the hint.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TracerError):
    """The request itself is wrong: an unknown syscall, a missing process, a folder that is not there."""


class MachineError(TracerError):
    """The machine can't do it: no bcc, no privilege, a kernel without ring buffers."""


class DamagedFileError(TracerError):
    """A raw stream or a recording that can't be read as one."""


class OutputError(TracerError):
    """The output can't be written: no such folder, no permission, no space."""


class ViewError(TracerError):
    """What was shown of a session stopped at an error of its own, its cause; the session and its recording went on."""
