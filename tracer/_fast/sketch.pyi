"""Latency sketches: how many values fell into each of a row of bins (see sketch.pxd)."""

from typing import final

@final
class LatencySketch:
    """One sketch by itself: what statistics have one of for each group."""

    def add(self, value: int, count: int = 1) -> None:
        """Count a value (0 to 2^64 - 1) so many times."""

    def merge(self, other: LatencySketch) -> None:
        """Count all values of another sketch too."""

    def quantile(self, wanted: float) -> int:
        """The value that this part of all (0 to 1) are not above, at most 1/64 off; 0 without values."""

    def bins_by_value(self) -> dict[int, int]:
        """How many values each bin holds, by the value that the bin stands for."""
