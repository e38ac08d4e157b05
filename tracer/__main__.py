"""`tracer-cli`, and `python -m tracer`."""

from __future__ import annotations

import signal
import threading


def main() -> None:
    """Run the command line. While that is being imported Ctrl-C ends us as it does other programs: there is nothing to
    tidy up yet, and Python would print where it was."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    by_default = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if by_default:  # not where it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from tracer.cli import main as run
    finally:
        if by_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
