"""`tracer-cli`, and `python -m tracer`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. While that is being imported Ctrl-C ends us as it does other programs: there is nothing to
    tidy up yet, and Python would print where it was."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # not one that is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tracer.cli import main as run

    signal.signal(signal.SIGINT, handler)
    run()


if __name__ == "__main__":
    main()
