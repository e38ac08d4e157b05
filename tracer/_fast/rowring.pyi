"""The last rows of a session, kept in place: what a list of rows on a screen is made from."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self, final

import numpy as np
import numpy.typing as npt

from tracer._fast.batch import Columns

class Rows(NamedTuple):
    """Rows that were copied out of a ring, oldest first. Nothing in it can be changed."""

    rows: int
    wall_offset_ns: int
    """Wall clock minus boot clock."""
    arrays: Mapping[str, npt.NDArray[np.integer[Any]]]
    """As in `Columns`, and each row's `seq` and `filter_epoch`."""
    valid: Mapping[str, npt.NDArray[np.uint8] | None]
    """As in `Columns`."""
    texts: Mapping[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]]
    """As in `Columns`."""

@final
class RowRing:
    """The last `capacity` rows (1 to 1,048,576) of all that it was given; the oldest are overwritten.

    Numbers take 175 bytes a row, from the start on. Texts are kept once a batch, for as long as one of its rows is in
    here, and memory for them grows as they need it, up to a few times what the longest texts of twice `capacity` rows
    need. Safe to use from several threads.

    Raises ValueError for a capacity out of range.
    """

    capacity: int
    seen: int
    """Rows it was given so far."""
    held: int
    """Rows that are in it."""

    def __new__(cls, capacity: int = 10_000) -> Self: ...
    @property
    def memory_bytes(self) -> int:
        """What it takes now."""
    def consume(self, columns: Columns) -> None:
        """Add the rows of a batch. Raises ValueError if it has been released."""
    def snapshot(self, rows: int | None = None) -> Rows:
        """A copy of the last `rows` of them, or of all; fewer if there are not so many.

        Raises ValueError if it is below 0.
        """
