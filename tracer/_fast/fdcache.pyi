"""Descriptor tables and working directories of processes (see docs/how-rows-are-made.md)."""

from typing import Self, final

@final
class FdCache:
    """What every descriptor of every process is called, and where each process works.

    The tables are changed by a `Pairer`; from Python they can be filled and looked up, for tests and benchmarks. Beyond
    32768 processes the longest unused quarter is dropped, beyond 192 MiB of tables, or 256 MiB of names, numbers are no
    longer tracked.
    """

    untracked: int
    """Names that were not kept for want of room, each time that one was to be."""
    forgotten: int
    """Processes that were dropped because there were too many, or no memory for a table of their own."""

    def __new__(cls) -> Self: ...
    def bind_name(self, tgid: int, fd: int, name: bytes) -> None:
        """Say what a descriptor is called, as a name record would; at most 4095 bytes of it are kept."""

    def name(self, tgid: int, fd: int) -> bytes | None:
        """What a descriptor is called; None if that is not known."""

    def cwd(self, tgid: int) -> bytes | None:
        """The working directory of a process; None if it is not known."""

    def __len__(self) -> int:
        """Number of processes that are known."""
