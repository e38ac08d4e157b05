"""What of a tree is shown: a snapshot of its heavier nodes as frames of a flame graph."""

from typing import Final, NamedTuple

OTHER: Final[str]
"""The name of the frame for what is not told apart."""

class Frame(NamedTuple):
    """A node of a flame graph: what it and all below it weigh, and the children shown, by name.

    The root has no name. The children may weigh less than the node.
    """

    name: str
    value: int
    children: tuple[Frame, ...]
