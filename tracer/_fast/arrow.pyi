"""Batches for Arrow, through its C data interface (https://arrow.apache.org/docs/format/CDataInterface.html): one call
for all columns, and nothing copied."""

from collections.abc import Sequence
from typing import Final, Self, final

from tracer._fast.batch import Columns

COMPUTED: Final[dict[str, int]]
"""Columns that no array of a batch holds, and how they are told apart."""

@final
class Exporter:
    """Hands out batches as Arrow record batches with the columns `names`, of which each is one of a batch's.

    Raises ValueError for a name that is not, or more than 64 of them.
    """

    def __new__(cls, names: Sequence[str]) -> Self: ...
    def export(self, columns: Columns, first_seq: int) -> int:
        """The address of an ArrowArray of the batch, its rows numbered from `first_seq`. Whoever imports it owns it.

        The batch's memory is not used again while the ArrowArray, or what it was moved to, has not been released.
        Raises ValueError if the batch has been released.
        """
