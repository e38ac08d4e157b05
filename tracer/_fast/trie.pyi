"""A bounded tree of frames that rows add their weight to: the data of a flame graph."""

from collections.abc import Iterable
from typing import Final, Self, final

from tracer._fast.batch import Columns
from tracer._fast.frames import OTHER as OTHER
from tracer._fast.frames import Frame as Frame

LEVELS: Final[tuple[str, ...]]
"""What frames can be made of."""
METRICS: Final[tuple[str, ...]]
"""What a row can weigh."""

@final
class Trie:
    """A tree of frames with the weights of the rows below them.

    `order` is what frames are made of, from the root on: some of `LEVELS`, each once; "path" is a frame for each
    component, of `/a` the same as of `a`. Names are as the rows have them: who writes lines of them has to escape `;`
    and line ends. `metric` is what a row weighs: "count" 1, "latency" its nanoseconds, "bytes" the bytes it moved. Rows
    that weigh nothing are left out, and so are frames without a name.

    `max_nodes` (256 to 65,536) bounds the tree, `max_name_bytes` (64 KiB to 1 GiB) its names; an eighth of the one and
    a quarter of the other is allowed besides to what has not got into the tree yet. Once more than half of the
    nodes or all room for names is taken, the lightest parts are folded into frames called `OTHER` in what holds them;
    the sums stay exact. Paths are told apart up to 128 components, and names up to an eighth of `max_name_bytes`. Sums
    above 2^64 - 1 begin at 0 again. Safe to use from several threads.

    Raises ValueError for an order, a metric or a limit that is not so.
    """

    order: tuple[str, ...]
    metric: str
    max_nodes: int
    max_name_bytes: int
    count: int
    """Nodes in the tree."""
    compactions: int
    """How often the tree has been full since it was empty."""

    def __new__(
        cls, order: Iterable[str], metric: str, *, max_nodes: int = 65536, max_name_bytes: int = 4 << 20
    ) -> Self: ...
    @property
    def memory_bytes(self) -> int:
        """The most memory that it takes; it is allotted once and never grows."""
    def consume(self, columns: Columns) -> None:
        """Add the rows of a batch. Raises ValueError if it has been released."""
    def reset(self) -> None:
        """Forget all rows."""
    def snapshot(self, min_share: float = 0.001) -> Frame:
        """The tree as it is, without what weighs less than `min_share` (0 to 1) of the whole.

        Where that would hide all children of the root, or of a shown child of it, the 8 heaviest stay. Without new rows
        it is the same object again.
        """
