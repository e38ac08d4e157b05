"""A word about what crashes have left where recordings are read."""

from __future__ import annotations

import shlex
from pathlib import Path

from tracer.cli.render import count, printable, say
from tracer.crashed import crashed_in


def warn_of_crashed(path: Path) -> None:
    """One line on standard error if a folder has parts that were never completed: no row of them was read."""
    left = crashed_in(path) if path.is_dir() else []
    if left:
        parts = "1 part that a crash left is" if len(left) == 1 else f"{count(len(left))} parts that crashes left are"
        command = f"`tracer-cli recover {shlex.quote(str(path))}`"
        say(f"tracer-cli: {parts} not included: {printable(command)}\n")
