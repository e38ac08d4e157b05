"""`tracer-cli record`: trace a command, processes or the machine into a Parquet recording."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Callable, Mapping, Set
from datetime import datetime
from pathlib import Path
from typing import get_args

import click

from tracer import selection
from tracer.cli.parameters import Duration, NamedPath, OutputFilePath, OutputPath, Size
from tracer.cli.progress import Progress, closing_line, terminal_that_never_waits
from tracer.cli.render import report_error, say
from tracer.cli.stopping import Stopping
from tracer.errors import OutputError, TracerError, UsageError
from tracer.losses import is_complete
from tracer.pipeline import (
    DEFAULT_RING_BYTES,
    DURABLE_S,
    FLUSH_S,
    Capability,
    Command,
    Filter,
    Identity,
    LiveSession,
    Machine,
    Outcome,
    ParquetRecorder,
    Processes,
    RawWriter,
    Rotation,
    Target,
    User,
    cgroup_key,
    check_privileges,
    drop_privileges,
    is_folder,
    needed_afterwards,
    open_recorder,
    process_of,
    ring_size,
    would_write,
)
from tracer.pipeline import record as record_session

LOSS_STATUS = 3
"""Exit status of `--fail-on-loss`."""


@click.command(
    "record",
    short_help="Trace a command, processes or the machine into a Parquet file.",
    context_settings={"allow_interspersed_args": False},
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-o",
    "--output",
    type=OutputPath(),
    help="The file; with a slash behind it, a folder of parts. [tracer-<comm>-<date>-<time>.parquet]",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option("--rotate-size", "size_bytes", type=Size(), help="Begin a new part when one is this large: 100M.")
@click.option("--rotate-time", "time_s", type=Duration(), help="Begin a new part after this time: 10m.")
@click.option("--rotate-rows", "rows", type=click.IntRange(1, 2**62), help="Begin a new part after so many rows.")
@click.option("--ring", "ring_s", type=Duration(), help="Keep the last while only: 60s. SIGUSR1 writes it.")
@click.option("--keep", type=click.IntRange(min=1), help="Keep this many parts; the oldest are removed.")
@click.option(
    "-p", "--pid", "pids", type=click.IntRange(1, 2**22), multiple=True, help="Trace this process; repeatable."
)
@click.option("-t", "--tid", type=click.IntRange(1, 2**22), help="Trace this thread alone.")
@click.option("-a", "--all", "everything", is_flag=True, help="Trace the whole machine.")
@click.option(
    "-f", "--follow-forks/--no-follow-forks", "follow", default=None, help="Trace children, too. [on for a command]"
)
@click.option("-e", "--trace", "traced", multiple=True, metavar="SET", help="Which syscalls, as strace has it. [%fs]")
@click.option("-Z", "--failed-only", is_flag=True, help="Only calls that fail, or are interrupted.")
@click.option("-u", "--user", help="Run the command as this user (name or number), with its groups.")
@click.option("--uid", metavar="USER", help="Only what this user (name or number) does.")
@click.option("--cgroup", type=NamedPath(path_type=Path), help="Only tasks in this cgroup (v2) or below it.")
@click.option("--comm", help="Only threads of this name.")
@click.option(
    "--identity",
    type=click.Choice(get_args(Identity)),
    default="auto",
    help="Compare a descriptor's file at each use: where it may change unseen, or always. [auto]",
)
@click.option("-d", "--duration", "duration_s", type=Duration(), help="Stop, and end the command, after 10s, 500ms.")
@click.option("--raw", type=OutputFilePath(), help="Save the raw stream, too, for `tracer-cli replay`.")
@click.option("--buffer-size", "ring_bytes", type=Size(), default=DEFAULT_RING_BYTES, help="The kernel's ring. [64M]")
@click.option("--fail-on-loss", is_flag=True, help="Exit status 3 if anything was lost, or that is not known.")
@click.option("-c", "--summary", "with_summary", is_flag=True, help="Print a summary on stderr at the end.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no closing line.")
def record(
    command: tuple[str, ...],
    output: str | None,
    force: bool,
    user: str | None,
    size_bytes: int | None,
    time_s: float | None,
    rows: int | None,
    keep: int | None,
    ring_s: float | None,
    raw: Path | None,
    ring_bytes: int,
    duration_s: float | None,
    fail_on_loss: bool,
    with_summary: bool,
    quiet: bool,
    **choice: object,
) -> int:
    """Trace COMMAND and its children (or -p, -a) and write one row per syscall to a Parquet file.

    Options come before the command; its input, output and exit status are its own, messages go to stderr. Without a
    selection the file system's calls are traced. The recording ends with the command: what it leaves running in the
    background is not waited for.

    \b
      tracer-cli record -- make
      tracer-cli record -o io.parquet -e %file,%desc -d 10s -p 1234
      tracer-cli record -a -o calls/ --rotate-time 10m --keep 144

    With --ring nothing is written but snapshots, FILE-0001.parquet and so on: one at each SIGUSR1, one at the end.
    A recording in parts is a folder, `-o DIR/`, or without the slash numbered files: FILE-0001.parquet and so on.
    """
    rotation = Rotation(size_bytes, time_s, rows, keep)
    ring_size(ring_bytes)
    wanted, filters = choose(command, **choice)  # type: ignore[arg-type]
    target = choose_target(command, choice["pids"], choice["tid"], filters.everything, user)  # type: ignore[arg-type]
    path = Path(output if output is not None else default_path(target.name))
    if with_summary and (rotation.is_wanted or ring_s is not None) and not is_folder(output or ""):
        raise UsageError("-c can't sum up numbered files", hint="give a folder for the parts: -o DIR/")
    if raw is not None and would_write(output or str(path), raw, in_parts=rotation.is_wanted or ring_s is not None):
        raise UsageError(f"{raw} is where the recording goes", hint="give --raw another place")
    check_privileges()
    stopping = Stopping(duration_s, target)
    recorder = open_recorder(
        path if output is None else output, force=force, durable_s=DURABLE_S, rotation=rotation, ring_s=ring_s
    )
    stopping.on_user_signal(recorder.snapshot if ring_s is not None else say_there_is_no_ring)
    try:
        kept = needed_afterwards(
            filter(None, (path / "part" if path.is_dir() else path, raw)), sends_signals=target.is_ours
        )
        outcome = run(target, wanted, filters, ring_bytes, raw_writer(raw, force), recorder, stopping, quiet, kept)
    except OutputError as error:
        report_error(error)  # at once: the command goes on, and it may take hours
        return error.exit_code
    finally:
        recorder.abort()
        stopping.finish(quiet)
    if with_summary:
        print_summary(path, outcome.session)
    return LOSS_STATUS if fail_on_loss and not is_complete(outcome.losses) else stopping.exit_status


def say_there_is_no_ring(_: int) -> None:
    """What SIGUSR1 does otherwise: by itself it would end us."""
    say("tracer-cli: SIGUSR1 writes nothing without --ring; the recording goes on\n")


def run(
    target: Target,
    wanted: frozenset[str],
    filters: Filter,
    ring_bytes: int,
    raw: Callable[[Mapping[str, object]], RawWriter] | None,
    recorder: ParquetRecorder,
    stopping: Stopping,
    quiet: bool,
    kept: Set[Capability],
) -> Outcome:
    """Trace into the recorder, showing progress and in the end what came of it; once everything is attached, only the
    `kept` capabilities stay."""
    terminal = None if quiet else terminal_that_never_waits()
    with LiveSession(
        target,
        wanted,
        filters,
        ring_bytes=ring_bytes,
        raw=raw,
        flush_s=FLUSH_S,
        should_stop=lambda: stopping.is_due() or recorder.has_failed,
        on_attached=lambda: give_up_privileges(kept),
    ) as session:
        progress = Progress(session, recorder, terminal)
        stopping.each_look = progress.show
        try:
            outcome = record_session(session, recorder)
        finally:
            progress.clear()
        if not quiet:  # here: the raw stream, which is completed now, may yet fail
            say(closing_line(recorder, outcome) + "\n")
        return outcome


def give_up_privileges(kept: Set[Capability]) -> None:
    """Keep these capabilities alone; say so if a library's thread keeps more."""
    threads = drop_privileges(kept)
    if threads:
        say(f"tracer-cli: warning: {threads} threads of libraries keep their privileges\n")


def choose(
    command: tuple[str, ...],
    *,
    pids: tuple[int, ...],
    tid: int | None,
    everything: bool,
    follow: bool | None,
    traced: tuple[str, ...],
    failed_only: bool,
    uid: str | None,
    cgroup: Path | None,
    comm: str | None,
    identity: Identity,
) -> tuple[frozenset[str], Filter]:
    """The syscalls and the filter that the options ask for. Raises UsageError."""
    given = [bool(command), bool(pids) or tid is not None, everything]
    narrowed = uid is not None or cgroup is not None or comm is not None
    if sum(given) > 1:
        raise UsageError("a command, -p or -t, and -a exclude each other", hint="give one of them")
    if not any(given) and not narrowed:
        raise UsageError("nothing to trace", hint="`tracer-cli record -- COMMAND`, or -p PID, or -a")
    if cgroup is not None:
        cgroup_key(cgroup)
    filters = Filter(
        everything=everything or not any(given),
        follow=bool(command) if follow is None else follow,
        uid=user_id(uid) if uid is not None else None,
        tid=tid,
        cgroup=cgroup,
        comm=os.fsencode(comm) if comm is not None else None,
        failed_only=failed_only,
        identity=identity,
    )
    return selection.parse(list(traced) or None), filters


def choose_target(
    command: tuple[str, ...], pids: tuple[int, ...], tid: int | None, everything: bool, user: str | None
) -> Target:
    """What is traced. Raises UsageError or CommandError."""
    if command:
        return Command(command, user=None if user is None else User.find(user))
    if user is not None:
        raise UsageError("-u is for a command, and there is none", hint="--uid USER records only what a user does")
    if everything:
        return Machine()
    return Processes([*pids, *([process_of(tid)] if tid is not None else [])])


def user_id(user: str) -> int:
    """A user's number. Raises UsageError for an unknown name."""
    try:
        return int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError) as error:  # Python refuses to read thousands of digits
        raise UsageError(f"no user {user}", hint="give a name or a number of /etc/passwd") from error


def default_path(name: str) -> Path:
    """`tracer-<comm>-<date>-<time>.parquet` in the current folder; a number behind it if that exists."""
    plain = re.sub(r"[^\w.+-]", "_", name)[:60] or "command"
    stem = f"tracer-{plain}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = [Path(f"{stem}.parquet"), *(Path(f"{stem}-{n}.parquet") for n in range(1, 1000))]
    return next((path for path in names if not path.exists()), names[0])


def raw_writer(path: Path | None, force: bool) -> Callable[[Mapping[str, object]], RawWriter] | None:
    """What makes the raw stream's writer once its head is known; None if none is wanted."""
    return None if path is None else lambda head: RawWriter(path, head, force=force)


def print_summary(path: Path, session: str) -> None:
    """The recording's summary on stderr: stdout is the command's, and so is the exit status, whatever lies beside."""
    from tracer import recording
    from tracer.cli.summary import report_table
    from tracer.reports.summary import summary

    try:
        with recording.open(path, session=session) as opened:
            say(report_table(summary(opened), opened.loss, sys.stderr))
    except TracerError as error:
        report_error(error)
