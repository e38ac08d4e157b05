"""Values on the command line that have a unit."""

from __future__ import annotations

import re

import click

SIZE_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
TIME_UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Size(click.ParamType[int]):
    """Bytes: a number with K, M or G (powers of 1024), `64M`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes as an int."""
        found = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", str(value), re.IGNORECASE)
        if not found:
            self.fail(f"{value!r} is no size; 64M is one", param, ctx)
        return int(found[1]) * SIZE_UNITS[found[2].upper()]


class Duration(click.ParamType[float]):
    """Seconds: a number with ns, us, ms, s, m or h; seconds without one."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds as a float, above 0."""
        found = re.fullmatch(r"(\d+(?:\.\d*)?)(ns|us|ms|s|m|h|)", str(value))
        if not found or not float(found[1]):
            self.fail(f"{value!r} is no time above 0; 1.5s and 200ms are", param, ctx)
        return float(found[1]) * TIME_UNITS_S[found[2]]
