"""Values on the command line that are more than a text or a number."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from tracer.errors import UsageError

SIZE_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
TIME_UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


LARGEST_SIZE = 2**62
LONGEST_S = 1e9
"""Some thirty years: in nanoseconds it fits 64 bits."""


class Size(click.ParamType[int]):
    """Bytes, above 0: a number with K, M or G (powers of 1024), `64M`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes as an int."""
        # no more digits than a size has: Python refuses to read thousands
        found = re.fullmatch(r"(\d{1,20})([KMG]?)(?:i?B)?", str(value), re.IGNORECASE)
        size = int(found[1]) * SIZE_UNITS[found[2].upper()] if found else 0
        if not 0 < size <= LARGEST_SIZE:
            self.fail(f"{value!r} is no size; 64M is one", param, ctx)
        return size


class Duration(click.ParamType[float]):
    """Seconds: a number with ns, us, ms, s, m or h; seconds without one."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds as a float, above 0."""
        found = re.fullmatch(r"(\d+(?:\.\d*)?)(ns|us|ms|s|m|h|)", str(value))
        seconds = float(found[1]) * TIME_UNITS_S[found[2]] if found else 0.0
        if not 0 < seconds <= LONGEST_S:
            self.fail(f"{value!r} is no time above 0 that could be waited for; 1.5s and 200ms are", param, ctx)
        return seconds


class NamedPath(click.Path):
    """A file or a folder. Not an empty name, which pathlib takes for the working directory. Whether it can be read is
    left to whoever opens it, and knows why not."""

    def __init__(self, **options: Any) -> None:
        super().__init__(readable=False, **options)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path, as `click.Path` gives it. Raises UsageError."""
        if not os.fspath(value):
            name = param.get_error_hint(ctx) if param and ctx else "a path"
            raise UsageError(f"{name} is an empty name", hint="is a variable of the shell not set?")
        return super().convert(value, param, ctx)


class OutputPath(NamedPath):
    """Where to write: a file, or a folder. Not `-`: what is written gets its name when it is complete."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path, as `click.Path` gives it. Raises UsageError."""
        if os.fspath(value) == "-":
            raise UsageError(
                "standard output can't be written to: a file is there when it is complete, and not before",
                hint="give the name of a file; ./- is one called -",
            )
        return super().convert(value, param, ctx)


class OutputFilePath(OutputPath):
    """A file to write, and never a folder of parts."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path. Raises UsageError for what a slash, or a dot behind it, makes a folder's name: pathlib drops it."""
        if os.fspath(value) and os.path.basename(value) in {"", ".", ".."}:  # noqa: PTH119
            raise UsageError(f"{os.fspath(value)} is a folder's name", hint="give the name of a file")
        return super().convert(value, param, ctx)
