"""The loop from a block of records to rows in columns."""

from typing import Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from tracer._fast.batch import Columns
from tracer._fast.columns import ColumnBuilder
from tracer._fast.pairer import Pairer

_Bytes: TypeAlias = Buffer | npt.NDArray[np.uint8]

@final
class Engine:
    """Pairs, resolves and writes columns in one pass without the GIL. For one thread at a time.

    `rules`, `names` and `families` are what `tracer.syscalls` gives. `ask_proc`: names that the stream does not tell
    are looked up in /proc (a recorder's stream tells all that can be known). `failed_only`: only calls that failed or
    were interrupted become rows. `keep_stream`: what was handled, with /proc's answers in their places, is kept for
    `take_stream`.
    `wall_offset_ns` (wall clock minus boot clock) goes with every batch. `ahead_bytes`: from so much memory of tables
    and names on, what the next records need of it is fetched into the cache before they are handled.

    Raises ValueError if `rules`, `names`, `families` or `capacity_rows` has the wrong size.
    """

    pairer: Pairer
    builder: ColumnBuilder
    events: int
    """Records that were handled."""

    def __new__(
        cls,
        rules: _Bytes,
        names: list[str],
        families: tuple[str, ...],
        *,
        capacity_rows: int = 65536,
        wall_offset_ns: int = 0,
        ask_proc: bool = False,
        failed_only: bool = False,
        keep_stream: bool = False,
        ahead_bytes: int = 131072,
    ) -> Self: ...
    def feed(self, block: _Bytes, start: int = 0) -> int:
        """Handle a block of whole records from byte `start` on; the byte where it stopped.

        That is the block's end, or earlier because the batch is full: `take` it and go on from there. What can't be a
        record ends the block, counted as malformed. Raises ValueError if the block is not aligned to 8 bytes, or
        `start` lies outside of it.
        """

    def take_stream(self) -> bytes:
        """The records since the last call; empty unless `keep_stream` is set."""

    def take(self) -> Columns | None:
        """The rows so far, or None."""

    def counters(self) -> dict[str, int]:
        """What did not become a row, by cause."""
