"""Live statistics: what is counted of all calls, and by syscall, file, directory and process."""

from collections.abc import Iterable
from typing import Any, Final, Self, final

from tracer._fast.batch import Columns

_Table = tuple[list[tuple[Any, ...]], tuple[Any, ...], tuple[Any, ...], int]

BUCKET_BOUNDS_NS: Final[tuple[int, ...]]
"""What the buckets of the histograms are below; the last one has no bound."""

@final
class Statistics:
    """Counts calls, in bounded memory, from when it is made or `reset`.

    `read_calls` and `write_calls` name the syscalls whose `bytes` are read and written; one may do both. At most
    `max_keys` files, directories and processes are told apart, with `max_text` bytes of names and about `max_bins` bins
    of latencies (of 4 bytes) each: up to 32 for a key with few latencies, as many as they span for one with more. When
    one is used up, the better half of the keys stays, by latency in sum, or less where that half alone has more than
    half of the names or bins; the rest is counted in one row, so that sums are always exact (modulo 2^64).

    Raises ValueError for a bound out of range. Any thread may call any method.
    """

    def __new__(
        cls,
        read_calls: Iterable[str],
        write_calls: Iterable[str],
        *,
        max_keys: int = 8192,
        max_text: int = 4194304,
        max_bins: int = 1048576,
    ) -> Self: ...
    def consume(self, columns: Columns) -> None:
        """Count the rows of a batch.

        Raises ValueError if it was released, MemoryError if memory ran out: what there was none for is counted with
        the others then, or not in percentiles, or not at all.
        """

    def reset(self, now_ns: int | None = None) -> None:
        """Count from zero. Seconds count from `now_ns` (boot clock); without it (or with a negative one), from the end
        of the last call."""

    @property
    def memory_bytes(self) -> int:
        """The memory that all tables take."""

    def read(self, most: int) -> tuple[list[_Table], tuple[Any, ...]]:
        """Copies of what a snapshot shows: the tables (syscalls, files, directories, processes), each with the `most`
        keys that have the most latency in sum, and the totals.

        A table is its rows, the row of all other keys, the row of calls without a key, and the number of other keys;
        the totals are a row, both histograms, number and sum of the gaps, and begin and end (boot clock) or -1. A row
        is the arguments of `tracer.live.snapshot.Figures`. Raises ValueError unless `most` is 1 to 1024.
        """
