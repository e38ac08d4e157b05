"""Which files a call means: its paths and descriptors by the names they have. For Cython only."""

from typing import final

@final
class Names:
    """Finds the names of a call's files. It has no methods for Python."""
