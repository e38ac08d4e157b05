from collections.abc import Buffer
from typing import Final, TypeAlias, final

Call: TypeAlias = tuple[int, int, tuple[int, ...], int, int, int, int, tuple[bytes, ...]]

MIN_BLOCK_BYTES: Final[int]
MAX_THREADS: Final[int]

@final
class Generator:
    def __init__(
        self,
        calls: list[Call],
        pairs: int,
        threads: int,
        seed: int,
        *,
        distinct_paths: int | None = None,
        names: bool = True,
    ) -> None: ...
    def fill(self, block: Buffer) -> int: ...
