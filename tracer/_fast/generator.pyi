from collections.abc import Sequence
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

_Call: TypeAlias = tuple[int, int, tuple[int, ...], int, int, int, int, tuple[bytes, ...]]

MIN_BLOCK_BYTES: Final[int]
MAX_THREADS: Final[int]

@disjoint_base
class Generator:
    pair: int
    """Calls that were written so far."""

    def __new__(
        cls,
        calls: Sequence[_Call],
        pairs: int,
        threads: int,
        seed: int,
        *,
        distinct_paths: int | None = None,
        names: bool = True,
        first_pid: int = 1000,
        first_tid: int = 2000,
    ) -> Self: ...
    def fill(self, block: npt.NDArray[np.uint8] | bytearray | memoryview, *, pairs: int | None = None) -> int: ...
