"""What files are called while they are written; those that this process has, and those that a crash has left."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAIN, TAIL, NEXT_TAIL = ".tmp", ".tail", ".tail2"
"""The file itself, rows that are not in it yet, and their next version."""

PATTERN = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.(?:tmp|tail2?)", re.DOTALL)

NO_NAMES = {".", ".."}
"""What no file is called."""

NAME_BYTES = 200
"""What of the wished name a temporary one holds: 255 bytes are the most that a name may have."""

SUFFIX_BYTES = 20
"""A suffix longer than this is a part of the name."""

NUMBER_DIGITS = 10
"""The most that the number of a part has."""

NUMBER = re.compile(rf"-(?:ring-)?\d{{4,{NUMBER_DIGITS}}}\Z")
"""How a part, or a slice of a flight recorder, is told apart: behind the stem of the name that was given."""

CHARACTER_BYTES = 4
"""Of the longest UTF-8 character."""

_unfinished: set[str] = set()
"""What this process has and a signal that ends it would leave."""


def note_unfinished(path: str) -> None:
    """This file or folder is ours, and nothing worth keeping."""
    _unfinished.add(path)


def forget_unfinished(path: str) -> None:
    """It is complete, gone, or worth keeping."""
    _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove what there is: we are about to be ended, and no `finally` will."""
    for path in tuple(_unfinished):
        try:
            os.unlink(path)  # noqa: PTH108 - in a signal's handler: nothing that needs no doing
        except OSError:
            shutil.rmtree(path, ignore_errors=True)


def temporary_name(name: str) -> str:
    """Under which a file of that name is written: a dot, the name (of one that is long the start, a part's number, and
    the suffix), something unguessable.
    """
    return f".{_start(name)}.{secrets.token_hex(8)}{MAIN}"


def wished_name(temporary: str) -> str | None:
    """The name that a temporary file would have got; None if it is no temporary file."""
    found = PATTERN.fullmatch(temporary)
    return found["name"] if found and found["name"] not in NO_NAMES else None


class Leftover(NamedTuple):
    """A recording that was not completed: its file, and the tail beside it; one of them may be missing."""

    main: Path

    @property
    def tail(self) -> Path:
        """Rows that are not in the file yet."""
        return self.main.with_suffix(TAIL)

    @property
    def wished(self) -> Path:
        """The name that it would have got."""
        return self.main.with_name(wished_name(self.main.name) or self.main.name)

    @property
    def may_be_shortened(self) -> bool:
        """Whether the name that it would have got may have been longer than a temporary one can hold."""
        return len(os.fsencode(self.wished.name)) > NAME_BYTES - CHARACTER_BYTES

    @property
    def files(self) -> tuple[Path, ...]:
        """All that may be there."""
        return self.main, self.tail, self.main.with_suffix(NEXT_TAIL)


def leftover(path: Path) -> Leftover | None:
    """What a temporary file is part of; None if its name is not that of one."""
    return Leftover(path.with_suffix(MAIN)) if wished_name(path.name) is not None else None


def leftovers_of(path: Path) -> list[Leftover]:
    """What was left of the recordings that wished for this name, in parts or slices or not, oldest first."""
    found = (candidate for candidate in leftovers_in(path.parent) if _is_of(candidate.wished.name, path))
    return sorted(found, key=modified)


def leftovers_in(folder: Path) -> list[Leftover]:
    """What was left in a folder. Nothing if it can't be read."""
    return sorted(set(_in(folder)))


def modified(candidate: Leftover) -> float:
    """When it was last written, on the wall clock; 0 if that can't be seen."""
    try:
        return candidate.main.lstat().st_mtime
    except OSError:
        return 0.0


def is_in_use(path: Path) -> bool:
    """Whether somebody is still writing a file: who writes holds its lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _in(folder: Path) -> Iterator[Leftover]:
    try:
        paths = list(folder.iterdir())
    except OSError:
        return
    for path in paths:
        found = leftover(path)
        if found is not None:
            yield found


def _is_of(wished: str, path: Path) -> bool:
    """Whether a leftover's name is that of this recording, or of a part or slice of it, shortened or not."""
    numbers = (_number(Path(wished).stem), _number(wished))  # the last thing where a long suffix was cut off
    names = (path.name, *(f"{path.stem}{number}{path.suffix}" for number in numbers if number))
    return any(wished == _start(name) for name in names)


def _number(stem: str) -> str:
    found = NUMBER.search(stem)
    return found[0] if found else ""


def _start(name: str) -> str:
    """The name, or of a long one its beginning, up to the end of a character, a part's number, and its suffix.

    Bytes that are no UTF-8 stay as they are.
    """
    whole = os.fsencode(name)
    if len(whole) <= NAME_BYTES:
        return name
    end = os.fsencode(_number(Path(name).stem))
    suffix = os.fsencode(Path(name).suffix)
    if len(suffix) <= SUFFIX_BYTES:
        end += suffix
    room = NAME_BYTES - len(end)
    cuts = (cut for cut in range(room, room - CHARACTER_BYTES, -1) if not _is_inside(whole[cut]))
    return os.fsdecode(whole[: next(cuts, room)] + end)


def _is_inside(byte: int) -> bool:
    """Whether a byte is within a UTF-8 character, not its first."""
    return byte & 0xC0 == 0x80
