"""From events to calls: pairing by thread (see docs/how-rows-are-made.md)."""

from typing import Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from tracer._fast.fdcache import FdCache

_Bytes: TypeAlias = Buffer | npt.NDArray[np.uint8]

@final
class Pairer:
    """Pairs enters with exits, thread by thread, and keeps the names that calls refer to.

    `rules` is the packed table of `tracer.syscalls.rules`. With `ask_proc`, names that the stream does not tell are
    looked up in /proc: only right while the traced programs run. At most 65536 threads are known; beyond that the
    quarter that has not been heard of for the longest time is dropped.

    Raises ValueError if `rules` has the wrong size.
    """

    fd_cache: FdCache
    enter_without_exit: int
    """Calls that were dropped because their thread entered another one."""
    exit_without_enter: int
    """Exits of threads that had entered before, but not this call."""
    refused: int
    """Those of them that seccomp may have let nobody enter: no loss."""
    unfinished: int
    """Calls that never return, since their thread is gone: no loss, and no row."""
    mismatched: int
    """Exits of another syscall than was entered."""
    malformed: int
    """Records whose size does not fit their type and flags."""
    forgotten: int
    """Threads that were dropped because there were too many."""

    def __new__(
        cls,
        rules: _Bytes,
        fd_cache: FdCache,
        *,
        failed_only: bool = False,
        ask_proc: bool = False,
    ) -> Self: ...
    def feed(self, block: _Bytes) -> int:
        """Handle a block of records and drop the calls; their number.

        What can't be a record ends the block, counted as malformed. Raises ValueError if the block is not aligned to 8
        bytes.
        """

    @property
    def proc_asks(self) -> int:
        """How often /proc was asked for a name: a descriptor's or a working directory's (a readlink each), a thread's
        (open, read, close).
        """

    def __len__(self) -> int:
        """Number of threads that are known."""
