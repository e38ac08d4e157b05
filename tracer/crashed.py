"""What crashes have left where recordings are looked for."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from tracer.folders import walk
from tracer.temporary import Leftover, is_in_use, leftovers_in, leftovers_of


def hint_for_missing(path: Path) -> str:
    """How to come by a recording of that name."""
    return _hint_for_left(leftovers_of(path), path) or "`tracer-cli record -o FILE -- COMMAND` makes one"


def hint_for_empty(folder: Path) -> str:
    """How to come by a recording in a folder that has none."""
    return _hint_for_left(_unfinished_in(folder), folder) or "the folder holds no finished .parquet file"


def _hint_for_left(left: list[Leftover], path: Path) -> str | None:
    if any(is_in_use(one.main) for one in left):
        return "it is still being written: end the recording, which completes it"
    if left:
        return f"a crash left some of it: `tracer-cli recover {shlex.quote(str(path))}`"
    return None


def crashed_in(folder: Path) -> list[Leftover]:
    """The parts in a folder and those in it that were not completed, and that nobody is writing."""
    free = [one for one in _unfinished_in(folder) if not is_in_use(one.main)]
    # locked until it had its name, if it is gone by now; of one that we may not open nobody knows
    return [one for one in free if any(os.access(path, os.R_OK) for path in one.files)]


def _unfinished_in(folder: Path) -> list[Leftover]:
    """What would be parts of it."""
    found = (one for inner, _ in walk(folder, hidden=False) for one in leftovers_in(folder / inner))
    return [one for one in found if one.wished.name.endswith(".parquet")]
