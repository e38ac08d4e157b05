"""Writing calls into columns (see tracer/schema.py for what they mean)."""

from typing import Final, Self, final

from tracer._fast.batch import Columns

FILE_SOURCES: Final[tuple[str, ...]]
"""Texts of the column `file_source`, by code."""
EPOLL_OPS: Final[tuple[str, ...]]
"""Texts of the column `epoll_op`: the kernel's number less one."""
ERRNO_NAMES: Final[dict[int, str]]
"""Names of errors by number, as the kernel spells them."""

@final
class ColumnBuilder:
    """Writes calls into column arrays and hands them out as `Columns`.

    `names[number]` is the syscall with that number (at most 512), `families` the names that a rule's family counts into
    (at most 64). A batch is full at `capacity_rows` (a multiple of 8), or earlier when its distinct texts reach about
    8 MiB. `wall_offset_ns`, wall clock minus boot clock, goes with every batch.

    Raises ValueError for a capacity or a list that is not so.
    """

    capacity_rows: int
    rows: int
    """Rows since the last `take`."""
    first_seq: int
    """Rows that were taken so far."""

    def __new__(
        cls, names: list[str], families: tuple[str, ...], *, capacity_rows: int = 65536, wall_offset_ns: int = 0
    ) -> Self: ...
    def take(self) -> Columns | None:
        """The rows since the last call, in order of completion; None if there are none."""
