"""Being ended by a signal without leaving temporary files."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from tracer.temporary import remove_unfinished

DEADLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@contextlib.contextmanager
def removed_if_ended() -> Iterator[None]:
    """Remove what is unfinished before a signal ends us. One that is ignored stays so (nohup).

    Nothing is raised, not even KeyboardInterrupt: DuckDB makes another error of it, or loses it, and we would go on.
    """

    def end(number: int, _: object) -> None:
        remove_unfinished()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = {number: signal.getsignal(number) for number in DEADLY}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
