"""`tracer-cli compact`: one recording of many small files or row groups."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.cli.crashed import warn_of_crashed
from tracer.cli.ending import removed_if_ended
from tracer.cli.parameters import NamedPath, OutputFilePath
from tracer.cli.render import count, printable, say, size
from tracer.repair.compact import compact as compact_recording


@click.command("compact", short_help="Make one file of a recording in many parts.")
@click.argument("path", type=NamedPath(path_type=Path))
@click.option("-o", "--output", type=OutputFilePath(), required=True, help="The file to write.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option("-q", "--quiet", is_flag=True, help="No closing line.")
def compact(path: Path, output: Path, force: bool, quiet: bool) -> None:
    """Write all rows of the recording PATH, a file or a folder, into one file with row groups of full size.

    Rows keep their order and are numbered from 0 again. What the parts say of themselves is kept, and the sum of their
    losses. What was there stays.
    """
    with removed_if_ended():
        done = compact_recording(path, output, force=force)
    warn_of_crashed(path)
    if not quiet:
        say(
            f"tracer-cli: {count(done.rows)} rows of {count(done.parts)} part{'' if done.parts == 1 else 's'}; "
            f"{printable(str(output))}, {size(done.size_bytes)}\n"
        )
