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
from tracer.sinks.output_file import invoking_user, open_error


class PartNames(Protocol):
    """Names parts, which are numbered from 1."""

    def check(self, *, force: bool) -> None:
        """Raises OutputError if parts can't be made there, or would replace others."""

    def path(self, number: int, day: str, footer: Mapping[str, str]) -> Path:
        """A part's name; its folder is there."""

    def finish(self, last: int) -> None:
        """All parts are complete."""


class Numbered:
    """`x-0001.parquet`, `x-0002.parquet` for `x.parquet`. With `force`, an older recording's further parts go, too."""

    def __init__(self, path: Path) -> None:
        self._wished = path
        self._force = False

    def __str__(self) -> str:
        return str(self._name("*"))

    def check(self, *, force: bool) -> None:
        """Raises OutputError if there are parts of that name."""
        self._force = force
        there = self._there()
        if there and not force:
            raise OutputError(
                f"{there[min(there)]} exists", hint="choose another name, or overwrite such parts with --force"
            )
        if not self._wished.parent.is_dir():
            raise open_error(self._wished, FileNotFoundError(2, os.strerror(2)))

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

    def _name(self, number: str) -> Path:
        return self._wished.with_name(f"{self._wished.stem}-{number}{self._wished.suffix}")

    def _there(self) -> dict[int, Path]:
        pattern = re.compile(re.escape(self._wished.stem) + r"-(\d{4,})" + re.escape(self._wished.suffix))
        try:
            found = [(pattern.fullmatch(path.name), path) for path in self._wished.parent.iterdir()]
        except OSError:
            return {}
        return {int(match[1]): path for match, path in found if match}


class Dataset:
    """`events/host=<h>/date=<d>/<session>-<part>.parquet` in a folder, where other sessions may be, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return f"{self._folder}/"

    def check(self, *, force: bool) -> None:
        """Make the folder. Raises OutputError if that is impossible; nothing there is ever replaced."""
        try:
            if not self._folder.is_dir():
                _make(self._folder, invoking_user())
        except FileExistsError as error:
            raise OutputError(f"{self._folder} is not a folder", hint="give another place with -o") from error
        except OSError as error:
            raise open_error(self._folder, error) from error
        if not os.access(self._folder, os.W_OK):
            raise OutputError(f"{self._folder} can't be written", hint="give another place with -o")

    def path(self, number: int, day: str, footer: Mapping[str, str]) -> Path:
        """A part's name, in a folder that is made if need be."""
        folder = self._folder
        for name in ("events", f"host={quote(footer.get('host', ''), safe='')}", f"date={day}"):
            status = folder.stat()
            folder /= name
            _make(folder, (status.st_uid, status.st_gid))
            if folder.is_symlink():
                raise OutputError(
                    f"{folder} is a link", hint="give a folder with -o in which nobody else can put links"
                )
        return folder / f"{footer.get('session', 'session')}-{number:04}.parquet"

    def finish(self, last: int) -> None:
        """Nothing is left to do."""


def _make(folder: Path, owner: tuple[int, int] | None) -> None:
    """Make a folder that belongs to this user and group, if it isn't there. Raises OSError.

    What can't be given away stays ours: then nobody else can be meant to write there.
    """
    try:
        folder.mkdir(0o755)
    except FileExistsError:
        if folder.is_dir():
            return
        raise
    if owner is not None and owner != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.chown(folder, *owner, follow_symlinks=False)
