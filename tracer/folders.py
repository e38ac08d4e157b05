"""Looking through folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(
    top: Path, *, hidden: bool = True, refused: Callable[[OSError], object] = lambda _: None
) -> Iterator[tuple[Path, list[str]]]:
    """Every folder from `top` down, relative to it, itself first, with the names in it that are no folders'.

    Links are names, wherever they lead to, and `hidden` folders can be left out. `refused` is called for a folder that
    can't be read, which is left out. However deep: os.walk calls itself, and raises RecursionError a thousand down.
    """
    waiting = [Path()]
    while waiting:
        folder = waiting.pop()
        files = []
        try:
            with os.scandir(top / folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        files.append(entry.name)
                    elif hidden or not entry.name.startswith("."):
                        waiting.append(folder / entry.name)
        except FileNotFoundError:
            continue  # it has been removed meanwhile
        except OSError as error:
            refused(error)
            continue
        yield folder, files
