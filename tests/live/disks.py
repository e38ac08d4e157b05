"""File systems of their own on loop devices, for tests in which a disk fails."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def loop_disk(image: Path, *mkfs: str, options: str = "loop") -> Iterator[Path]:
    """A sparse image of 256 MiB, made a file system by `mkfs` and mounted beside it."""
    place = image.with_suffix(".mounted")
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run([*mkfs, image], check=True)
    with mounted("-o", options, image, place):
        yield place


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[Path]:
    """What mount(8) mounts, the last of its arguments."""
    subprocess.run(["mount", *arguments], check=True)
    place = Path(arguments[-1])
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def frozen(place: Path) -> Iterator[None]:
    """A file system that takes no write meanwhile, as a disk that does not answer."""
    subprocess.run(["fsfreeze", "-f", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", place], check=True)


def fill(folder: Path) -> None:
    """Take all room that there is."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:  # no room for so much
                continue
