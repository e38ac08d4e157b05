"""Column arrays that calls are written into (see tracer/schema.py for what they mean)."""

from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt

FILE_SOURCES: Final[tuple[str, ...]]
"""Texts of the column `file_source`, by code."""
EPOLL_OPS: Final[tuple[str, ...]]
"""Texts of the column `epoll_op`: the kernel's number less one."""
DTYPES: Final[dict[str, type[np.integer[Any]]]]
"""Item type of every array in `Columns.arrays`."""
NULLABLE: Final[tuple[str, ...]]
"""Columns that may lack values: the keys of `Columns.valid`."""
SAME_VALIDITY: Final[dict[str, str]]
"""Columns that are valid where another one is."""
ERRNO_NAMES: Final[dict[int, str]]
"""Names of errors by number, as the kernel spells them."""

class Columns:
    """One batch of rows in columns; views of buffers that are used again after `release`."""

    rows: int
    first_seq: int
    """Number of the first row in the recording."""
    filter_epoch: int
    arrays: dict[str, npt.NDArray[np.integer[Any]]]
    """By column, one item a row: numbers, codes of `texts`, or for `is_error` 8 rows a byte."""
    valid: dict[str, npt.NDArray[np.uint8] | None]
    """By column that may lack values, 8 rows a byte, lowest bit first, 1 where there is one; None: there is none."""
    texts: dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]]
    """By text column, the distinct texts: offsets (one more than there are texts) and all their UTF-8."""

    def __init__(
        self,
        rows: int,
        first_seq: int,
        filter_epoch: int,
        arrays: dict[str, npt.NDArray[np.integer[Any]]],
        valid: dict[str, npt.NDArray[np.uint8] | None],
        texts: dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]],
        buffers: dict[str, npt.NDArray[np.integer[Any]]],
        pool: list[dict[str, npt.NDArray[np.integer[Any]]]],
    ) -> None: ...
    def release(self) -> None:
        """Give the buffers back: nothing made from them without a copy may be used after that. Safe to call twice."""

@final
class ColumnBuilder:
    """Writes calls into column arrays and hands them out as `Columns`.

    `names[number]` is the syscall with that number (at most 512), `families` the names that a rule's family counts into
    (at most 64). A batch is full at `capacity_rows` (a multiple of 8), or earlier when its distinct texts reach 32 MiB.

    Raises ValueError for a capacity or a list that is not so.
    """

    capacity_rows: int
    rows: int
    """Rows since the last `take`."""
    first_seq: int
    """Rows that were taken so far."""

    def __new__(cls, names: list[str], families: tuple[str, ...], *, capacity_rows: int = 131072) -> Self: ...
    def take(self) -> Columns | None:
        """The rows since the last call, in order of completion; None if there are none."""
