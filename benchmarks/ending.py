"""How the scripts here end before they are done: with a line that says what there is, or nothing at all where nobody
reads any more, and nothing left lying."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

INTERRUPTED = 130
"""The exit status of what SIGINT ended, as shells have it."""

PRINTED = "what is printed is all there is"
"""What there is of a script that saves nothing."""

PATIENCE_S = 10
"""How long a script that was interrupted may take to tidy up; tox.ini gives the whole as long."""


@contextlib.contextmanager
def telling(what_there_is: Callable[[], str]) -> Iterator[None]:
    """At Ctrl-C say what there is and end with status 130; where nobody reads what is printed (`| head`), with 1."""
    try:
        yield
        sys.stdout.flush()  # here, not at the interpreter's end, where it would be a traceback
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
            raise  # pyperf makes the one of the other
        sys.stdout.flush()
        print(f"interrupted: {what_there_is()}", file=sys.stderr, flush=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at the end would fail once more
        raise SystemExit(1) from None


def run_to_end(command: list[str]) -> int:
    """Run another script; its exit status. At Ctrl-C, which a terminal sends to it, too, it may tidy up first."""
    with subprocess.Popen(command) as script:
        try:
            return script.wait()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                script.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                script.kill()
            raise
