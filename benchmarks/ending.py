"""How the scripts here end before they are done: with a line that says what there is, or nothing at all where nobody
reads any more, and nothing left lying."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import AnyStr

INTERRUPTED, TERMINATED = 130, 143
"""The exit status of what SIGINT or SIGTERM ended, as shells have it."""

PRINTED = "what is printed is all there is"
"""What there is of a script that saves nothing."""

PATIENCE_S = 10
"""How long a script that was interrupted may take to tidy up; tox.ini gives the whole as long."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a script as Ctrl-C does."""


@contextlib.contextmanager
def telling(what_there_is: Callable[[], str]) -> Iterator[None]:
    """At Ctrl-C, or SIGTERM, say what there is and end with status 130, or 143; where nobody reads what is printed
    (`| head`), end with 1."""
    try:
        with terminable():
            yield
        sys.stdout.flush()  # here, not at the interpreter's end, where it would be a traceback
    except (KeyboardInterrupt, SystemExit) as error:
        cause = error.__context__ if isinstance(error, SystemExit) else error  # pyperf makes the one of the other
        if not isinstance(cause, KeyboardInterrupt):
            raise
        sys.stdout.flush()
        print(f"interrupted: {what_there_is()}", file=sys.stderr, flush=True)
        raise SystemExit(TERMINATED if isinstance(cause, Terminated) else INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at the end would fail once more
        raise SystemExit(1) from None


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise `Terminated`: by itself it would end us before anything is tidied up."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    raise Terminated


@contextlib.contextmanager
def ended(program: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """A program that ends before we do. If we are interrupted, so is it, and may tidy up: by the terminal, which sends
    Ctrl-C to all of us, or else by us."""
    with program:
        try:
            yield program
        except KeyboardInterrupt as error:
            for number in (signal.SIGINT, signal.SIGTERM):  # once is enough
                signal.signal(number, signal.SIG_IGN)
            if isinstance(error, Terminated):
                program.terminate()
            try:
                program.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                program.kill()
            raise


def run_to_end(command: list[str]) -> int:
    """Run another script; its exit status."""
    with terminable(), ended(subprocess.Popen(command)) as script:
        return script.wait()
