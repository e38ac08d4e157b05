"""Draining the kernel's ring buffer through its mapped pages (layout: kernel/bpf/ringbuf.c)."""

from typing import Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

_Bytes: TypeAlias = Buffer | npt.NDArray[np.uint8]

@final
class Ring:
    """A BPF ring buffer map, read by this process alone.

    `map_fd` is the map, `size` its data area in bytes: a power of two. The descriptor stays the caller's.

    Raises ValueError for another size, OSError if the pages can't be mapped.
    """

    def __new__(cls, map_fd: int, size: int) -> Self: ...
    def drain(self, block: _Bytes) -> int:
        """Copy records to the block (writable), each padded to 8 bytes; the bytes copied.

        Goes on until the ring is empty or the block can't take the next one. Needs no GIL while it copies. Raises
        ValueError if the block is empty.
        """

    def pending_bytes(self) -> int:
        """Bytes in the ring that have not been drained."""
