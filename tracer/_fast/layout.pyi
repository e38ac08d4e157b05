"""What gcc made of bpf/events.h: sizes and offsets, so that a test can hold C, Cython and Python against each other."""

from typing import Final

ABI_VERSION: Final[int]
"""TRACER_ABI_VERSION."""
MAX_SYSCALLS: Final[int]
"""TRACER_MAX_SYSCALLS."""

def sizes() -> dict[str, int]:
    """Size in bytes of every structure that records and rules are made of."""

def offsets() -> dict[str, int]:
    """Offset in bytes of every field that is not reserved, as `structure.field`."""
