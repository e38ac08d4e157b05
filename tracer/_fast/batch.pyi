"""One batch of rows in columns, and the memory it lies in (see tracer/schema.py for what the columns mean)."""

from typing import Any, Final, Never, Self, final

import numpy as np
import numpy.typing as npt

DTYPES: Final[dict[str, type[np.integer[Any]]]]
"""Item type of every array in `Columns.arrays`."""
NULLABLE: Final[tuple[str, ...]]
"""Columns that may lack values: the keys of `Columns.valid`."""
SAME_VALIDITY: Final[dict[str, str]]
"""Columns that are valid where another one is."""
BITMAPS: Final[tuple[str, ...]]
"""Columns that have a bitmap of their own, in the order in which they lie in memory."""
TEXTS: Final[tuple[str, ...]]
"""The text columns: the keys of `Columns.texts`."""

@final
class Buffers:
    """Memory for `capacity_rows` rows (a multiple of 8), used again batch after batch."""

    capacity_rows: int

    def __new__(cls, capacity_rows: int) -> Self: ...

@final
class Columns:
    """One batch of rows in columns: views of memory that `release` gives back.

    Only a `ColumnBuilder` makes them. `arrays`, `valid` and `texts` raise ValueError after `release`, and nothing made
    from the first two without a copy may be used then.
    """

    rows: int
    first_seq: int
    """Number of the first row in the session."""
    filter_epoch: int
    wall_offset_ns: int
    """Wall clock minus boot clock."""

    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
    @property
    def arrays(self) -> dict[str, npt.NDArray[np.integer[Any]]]:
        """By column, one item a row: numbers, codes of `texts`, or for `is_error` 8 rows a byte."""
    @property
    def valid(self) -> dict[str, npt.NDArray[np.uint8] | None]:
        """By column that may lack values, 8 rows a byte, lowest bit first, 1 where there is one; None: none."""
    @property
    def texts(self) -> dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]]:
        """By text column, copies of the distinct texts: offsets (one more than there are texts) and all their UTF-8."""
    def share(self) -> Columns:
        """The batch for one more holder, who releases it too. Raises ValueError after the last `release`."""
    def release(self) -> None:
        """Give the memory back, once every holder has said so. What comes after that does nothing."""
