"""The clock of the column `time_ns`: the machine's boot clock, as the kernel program reads it."""

from __future__ import annotations

import functools
import time
from pathlib import Path

OFFSETS = Path("/proc/self/timens_offsets")
NS_PER_S = 1_000_000_000


def boot_clock_ns() -> int:
    """Nanoseconds since boot, suspends included (CLOCK_BOOTTIME), wherever the process is.

    A time namespace shifts the clock for those in it (time_namespaces(7)), but not for the kernel program.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - namespace_offset_ns()


@functools.cache
def namespace_offset_ns() -> int:
    """By how much the clock is shifted for as long as the process lives; 0 where the kernel knows no such thing."""
    try:
        lines = [line.split() for line in OFFSETS.read_text().splitlines()]
    except OSError:
        return 0
    return sum(int(seconds) * NS_PER_S + int(rest) for name, seconds, rest in lines if name == "boottime")
