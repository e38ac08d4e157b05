"""How the scripts here are called: what they can't do with is told in a line, before anything is measured."""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import NoReturn


def refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """End with one line and status 2."""
    parser.exit(2, f"{parser.prog}: {message}; --help tells more\n")


class Parser(argparse.ArgumentParser):
    """Its help begins with a script's docstring. Options are written out: some are looked for before it is asked."""

    error = refuse

    def __init__(self, description: str | None) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(description=description, formatter_class=form, allow_abbrev=False)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    try:
        found = int(text)
    except ValueError:
        found = 0
    if found < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return found


def seconds(text: str) -> float:
    """A time that is longer than none, and ends."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds above 0")
    return found


def need_folder(parser: argparse.ArgumentParser, path: Path, *, make: bool = False) -> None:
    """Refuse if no file can be made there: nobody wants to know that after an hour."""
    try:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()  # root may write everywhere, but not in /proc
    except OSError as error:
        refuse(parser, f"no file can be made in {path}: {error.strerror}")


def need_new_file(parser: argparse.ArgumentParser, path: Path | None) -> None:
    """Refuse if there is such a file, or can be none."""
    if path is not None:
        if path.exists():
            refuse(parser, f"{path} exists")
        need_folder(parser, path.absolute().parent)
