"""Which Linux this is."""

from __future__ import annotations

import platform
import re


def kernel_version() -> tuple[int, int]:
    """The running kernel's version and patch level, (0, 0) if it doesn't tell: whoever builds one puts what they like
    behind them (`6.18-rc1`, `5.15+`, `4.18.0-553.el8`)."""
    numbers = re.match(r"(\d+)\.(\d+)", platform.release())
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
