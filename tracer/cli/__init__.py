"""The command line: one file a verb; this one turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module, metadata

import click
from click.exceptions import NoArgsIsHelpError

from tracer.errors import TracerError

VERBS = ("record", "replay", "summary", "compact", "recover", "doctor")
"""A verb's command is the attribute of the same name in `tracer.cli.<verb>`."""


class Verbs(click.Group):
    """Imports a verb only when it is used: `summary` needs DuckDB, `record` does not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of their use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None.

        Importing a verb starts threads of libraries, which inherit the signals that are blocked now: none but the main
        thread may ever get those that end a recording, or ask a flight recorder for what it has.
        """
        if cmd_name not in VERBS:
            return None
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            with no_deaf_thread():
                command: click.Command = getattr(import_module(f"tracer.cli.{cmd_name}"), cmd_name)
            if cmd_name == "record":
                from tracer.cli.stopping import Early

                Early.begin()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return command


OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)

HELD = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}

ALLOCATOR = "JE_ARROW_MALLOC_CONF"
"""Where pyarrow's jemalloc looks for options (jemalloc(3))."""


@contextlib.contextmanager
def no_deaf_thread() -> Iterator[None]:
    """Keep a library from starting a thread that blocks all signals, and so can't be told to give up privileges.

    jemalloc does, in pyarrow, whose memory comes from another allocator. For a moment only: the environment is the
    traced command's, too.
    """
    if ALLOCATOR in os.environ:  # the user's own choice
        yield
        return
    os.environ[ALLOCATOR] = "background_thread:false"
    try:
        yield
    finally:
        del os.environ[ALLOCATOR]


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(metadata.version("tracer-toolkit"), "-V", "--version", prog_name="tracer-cli")
def cli() -> None:
    """Trace syscalls and file I/O with eBPF into Parquet recordings, and look at them."""


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        status = cli.main(prog_name="tracer-cli", standalone_mode=False) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.exit(status)
    except TracerError as error:
        from tracer.cli.render import report_error  # not before: signals that come early are not held back yet

        report_error(error)
        sys.exit(error.exit_code)
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        from tracer.cli.render import report

        report(error.format_message(), "see `tracer-cli --help`, or `tracer-cli VERB --help`")
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except MemoryError:
        from tracer.cli.render import report

        report("not enough memory", "see what `ulimit -v` and the cgroup's memory.max allow")
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in OUTPUT_ERRORS:
            raise
        from tracer.cli.render import report

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        report(f"can't write to standard output: {error.strerror}", None)
        sys.exit(2)
