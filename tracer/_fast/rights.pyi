"""Giving up capabilities, thread by thread: the kernel keeps them for each one (capabilities(7))."""

def give_up(kept: int, number: int) -> None:
    """Reduce the calling thread's capabilities to those of the mask `kept`, and set no_new_privs; threads that it
    starts later inherit both. From then on signal `number` makes any other thread that gets it do the same.

    Raises OSError.
    """

def tell(tid: int, number: int) -> None:
    """Send a signal to one thread of this process; one that has ended is none."""
