"""`tracer-cli replay`: make a recording of a saved raw stream."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tracer.cli.ending import removed_if_ended
from tracer.cli.parameters import NamedPath, OutputPath
from tracer.cli.progress import closing_line
from tracer.cli.render import say
from tracer.errors import UsageError
from tracer.pipeline import ReplaySession, open_recorder
from tracer.pipeline import record as record_session


@click.command("replay", short_help="Make a Parquet recording of a raw stream.")
@click.argument("file", type=NamedPath(path_type=Path))
@click.option("-o", "--output", type=OutputPath(), required=True, help="The recording to write, or a folder.")
@click.option("--force", is_flag=True, help="Overwrite the recording if it exists.")
@click.option("-q", "--quiet", is_flag=True, help="No closing line.")
def replay(file: Path, output: str, force: bool, quiet: bool) -> None:
    """Give the rows that recording live gave, from the raw stream FILE of `record --raw`. Needs no root."""
    with removed_if_ended(), ReplaySession(file) as session:
        if os.path.exists(output) and file.samefile(output):  # noqa: PTH110 - a name too long is none
            raise UsageError("a raw stream can't be replayed into itself", hint="give another name with -o")
        recorder = open_recorder(output, force=force)
        outcome = record_session(session, recorder)
    if not quiet:
        say(closing_line(recorder, outcome) + "\n")
