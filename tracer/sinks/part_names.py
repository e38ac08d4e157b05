"""What the files of a recording in parts are called."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from tracer.errors import OutputError
from tracer.sinks.output_file import invoking_user, open_error, undo_umask
from tracer.temporary import NUMBER_DIGITS

OURS_ONLY = 0o700

NAME_MAX = 255
"""Bytes of a file's name (include/uapi/linux/limits.h)."""

FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder in a dataset is opened: never through a link."""


class PartNames(Protocol):
    """Names parts, which are numbered from 1."""

    def check(self, *, force: bool) -> None:
        """Raises OutputError if parts can't be made there, or would replace others."""

    def path(self, number: int, day: str, footer: Mapping[str, str]) -> Path:
        """A part's name; its folder is there."""

    def finish(self, last: int) -> None:
        """All parts are complete."""

    def abandon(self) -> None:
        """The recording is given up: what is empty may go."""


class Numbered:
    """`x-0001.parquet`, `x-0002.parquet` for `x.parquet`. With `force`, an older recording's further parts go, too."""

    def __init__(self, path: Path) -> None:
        self._wished = path
        self._force = False

    def __str__(self) -> str:
        return str(self._name("*"))

    def check(self, *, force: bool) -> None:
        """Raises OutputError if there are parts of that name, or it leaves them no room for a number."""
        self._force = force
        self._check_room()
        there = self._there()
        if there and not force:
            raise OutputError(
                f"{there[min(there)]} exists", hint="choose another name, or overwrite such parts with --force"
            )
        if not self._wished.parent.is_dir():
            raise open_error(self._wished, FileNotFoundError(2, os.strerror(2)))

    def _check_room(self) -> None:
        over = len(os.fsencode(self._name("9" * NUMBER_DIGITS).name)) - NAME_MAX
        if over > 0:
            raise OutputError(
                f"{self._wished.name} is too long for a recording in parts, which have a number in their names",
                hint=f"shorten it by {over} bytes",
            )

    def path(self, number: int, day: str, footer: Mapping[str, str]) -> Path:
        """A part's name."""
        return self._name(f"{number:04}")

    def finish(self, last: int) -> None:
        """Remove what an older recording had more."""
        if self._force:
            for number, path in self._there().items():
                if number > last:
                    with suppress(OSError):
                        path.unlink()

    def abandon(self) -> None:
        """Nothing of it is empty."""

    def has(self, path: Path) -> bool:
        """Whether that is the name of one of its parts."""
        return path.parent == self._wished.parent and self._pattern.fullmatch(path.name) is not None

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self._wished.stem) + r"-(\d{4,})" + re.escape(self._wished.suffix))

    def _name(self, number: str) -> Path:
        return self._wished.with_name(f"{self._wished.stem}-{number}{self._wished.suffix}")

    def _there(self) -> dict[int, Path]:
        pattern = self._pattern
        try:
            found = [(pattern.fullmatch(path.name), path) for path in self._wished.parent.iterdir()]
        except OSError:
            return {}
        return {int(match[1]): path for match, path in found if match}


class Dataset:
    """`events/host=<h>/date=<d>/<session>-<part>.parquet` in a folder, where other sessions may be, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_made = False

    def __str__(self) -> str:
        return f"{self._folder}/"

    def check(self, *, force: bool) -> None:
        """Make the folder. Raises OutputError if that is impossible; nothing there is ever replaced."""
        try:
            if not self._folder.is_dir():
                _make(self._folder, invoking_user())
                self._is_made = True
        except FileExistsError as error:
            raise OutputError(f"{self._folder} is not a folder", hint="give another place with -o") from error
        except OSError as error:
            raise open_error(self._folder, error) from error
        if not os.access(self._folder, os.W_OK):
            raise OutputError(f"{self._folder} can't be written", hint="give another place with -o")

    def path(self, number: int, day: str, footer: Mapping[str, str]) -> Path:
        """A part's name, in a folder that is made if need be."""
        names = ("events", f"host={quote(footer.get('host', ''), safe='')}", f"date={day}")
        return _make_below(self._folder, names) / f"{_as_name(footer.get('session', 'session'))}-{number:04}.parquet"

    def finish(self, last: int) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Remove the folder again, if it was not there before and there is nothing in it."""
        if self._is_made:
            with suppress(OSError):
                self._folder.rmdir()


def _as_name(session: str) -> str:
    """What a raw stream calls its session may be anything: the beginning of a name that leads nowhere and shows."""
    quoted = quote(session, safe="")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def _make_below(folder: Path, names: tuple[str, ...]) -> Path:
    """Make folders in each other where they are missing; the last one's path. Raises OutputError, OSError.

    Each belongs to the owner of the one that it is in. That may be somebody else than who we are, so each is opened
    inside that one, by its own name: no link is followed that was put there, however late.
    """
    outer = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            folder /= name
            inner = _entered(outer, folder)
            os.close(outer)
            outer = inner
    finally:
        os.close(outer)
    return folder


def _entered(outer: int, folder: Path) -> int:
    """A folder, opened by its name in the one that it is in; it is made if need be."""
    status = os.fstat(outer)
    with suppress(FileExistsError):
        _make(Path(folder.name), (status.st_uid, status.st_gid), outer)
    try:
        return os.open(folder.name, FOLDER | os.O_PATH, dir_fd=outer)
    except NotADirectoryError as error:
        raise OutputError(
            f"{folder} is a link, or no folder", hint="give a folder with -o in which nobody else can put links"
        ) from error


def _make(folder: Path, owner: tuple[int, int] | None, outer: int | None = None) -> None:
    """Make a folder that belongs to this user and group, in an open one if its name counts from there. Raises OSError.

    What can't be given away stays ours: then nobody else can be meant to write there.
    """
    os.mkdir(folder, OURS_ONLY, dir_fd=outer)
    descriptor = os.open(folder, FOLDER | os.O_RDONLY, dir_fd=outer)
    try:
        undo_umask(descriptor, OURS_ONLY)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)
