"""`tracer-cli recover`: complete the recordings that a crash has left."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import click

from tracer.cli.ending import removed_if_ended
from tracer.cli.parameters import NamedPath, OutputFilePath
from tracer.cli.render import count, printable, report_error, say, write_out
from tracer.errors import TracerError, UsageError
from tracer.repair.naming import names_for
from tracer.repair.recover import Empty, NothingSafe, Recovered, clear_if_empty, find, is_same, session_of
from tracer.repair.recover import recover as recover_one
from tracer.temporary import Leftover


@click.command("recover", short_help="Complete a recording that a crash has left.")
@click.argument("path", type=NamedPath(path_type=Path))
@click.option("-o", "--output", type=OutputFilePath(), help="The recording to write. [the name it was to get]")
@click.option("--force", is_flag=True, help="Overwrite a recording that was there before.")
@click.option("--keep-temporary", is_flag=True, help="Leave the temporary files: each call makes a copy.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output, and no lines.")
def recover(path: Path, output: Path | None, force: bool, keep_temporary: bool, as_json: bool) -> None:
    """Make complete recordings of what a crash has left at PATH.

    PATH is a temporary file (.NAME.parquet.*.tmp), the name that the recording was to get, or a folder with such files
    in it. Of several that were to get the same name (NAME.parquet) the oldest gets it, the others NAME-2.parquet and so
    on. What is being recorded at the moment is left alone. The temporary files are removed when the new recording is
    complete, and so are empty ones; what was lost is said on standard error. One that ended before anything in it was
    made safe, in its first second, stays, and is an error only if nothing else could be recovered.
    """
    left = find(path, unsearched=warn_of_unsearched)
    if output is not None and len(left) > 1:
        each = ", ".join(str(one.main) for one in left)
        raise UsageError(f"{path} has left {len(left)} recordings", hint=f"recover each by its name: {each}")
    names = names_for(left, session_of) if output is None else dict.fromkeys(left, output)
    outcome = Outcome()
    for one in left:
        try:
            nothing = clear_if_empty(one, keep=keep_temporary)
            if nothing is None:
                with removed_if_ended():
                    replace = force and may_replace(one, names[one], output, outcome.done)
                    outcome.done.append(recover_one(one, names[one], force=replace, keep=keep_temporary))
                said = line(outcome.done[-1], keep=keep_temporary) + line_of_name(one, names[one], output)
            else:
                outcome.empty.append(nothing)
                said = line_of_empty(nothing)
            if not as_json:
                say(said + "\n")
        except NothingSafe as error:
            outcome.not_safe.append(error)
        except TracerError as error:
            outcome.failed.append(error)
    conclude(outcome, as_json=as_json)


@dataclass
class Outcome:
    """What became of all that was found."""

    done: list[Recovered] = field(default_factory=list)
    empty: list[Empty] = field(default_factory=list)
    not_safe: list[NothingSafe] = field(default_factory=list)
    failed: list[TracerError] = field(default_factory=list)


def conclude(outcome: Outcome, *, as_json: bool) -> None:
    """Say what is left, and raise the last error. What had nothing safe in it is one only if nothing else came back."""
    if as_json:
        write_out(document(outcome))
    elif outcome.done:
        for error in outcome.not_safe:
            say(f"tracer-cli: {printable(str(error))}; its first second was not over, it can be removed\n")
    failed = outcome.failed if outcome.done else [*outcome.not_safe, *outcome.failed]
    for other in failed[:-1]:
        report_error(other)
    if failed:
        raise failed[-1]


def may_replace(left: Leftover, name: Path, output: Path | None, done: list[Recovered]) -> bool:
    """Whether what has the name was meant: the one that was asked for or wished for, and not made a moment ago."""
    return name in {output, left.wished} and not any(is_same(name, other.output) for other in done)


def warn_of_unsearched(error: OSError) -> None:
    """That there may be more to recover where nobody could look."""
    say(f"tracer-cli: warning: {printable(str(error.filename))} can't be searched: {error.strerror}\n")


def line(recovered: Recovered, *, keep: bool) -> str:
    """What was recovered, what is missing, and what is still there although it should be gone."""
    said = (
        f"tracer-cli: {count(recovered.rows)} rows over {recovered.seconds:.2f} s recovered "
        f"({count(recovered.segments)} segments, {count(recovered.tail_rows)} rows of the tail); "
        f"{printable(str(recovered.output))}"
    )
    if recovered.is_complete:
        said += "\ntracer-cli: it was complete, only its name was missing"
    else:
        said += "\ntracer-cli: the last seconds before the crash are missing"
        said += ", and so are rows before that" if recovered.hole_bytes else ""
        said += f"; {count(recovered.unused_bytes)} bytes could not be used"
    if recovered.may_be_shortened:
        said += "\ntracer-cli: warning: the name that it was to get may have been longer"
    if not recovered.is_cleared and not keep:
        said += f"\ntracer-cli: warning: {printable(str(recovered.temporary))} can't be removed"
    return said


def line_of_name(left: Leftover, name: Path, output: Path | None) -> str:
    """Why it has another name than it was to get."""
    if name in {output, left.wished}:
        return ""
    return f"\ntracer-cli: it was to be {printable(str(left.wished))}, and so was another one"


def line_of_empty(empty: Empty) -> str:
    """That there was nothing to recover, and what is still there."""
    said = (
        f"tracer-cli: {printable(str(empty.temporary))} is empty: its recording ended before its first second was over"
    )
    return said + ("; removed" if empty.is_cleared else "; it can be removed if nobody is writing it")


def document(outcome: Outcome) -> str:
    """The same as JSON."""
    done = [one._asdict() | {"temporary": _text(one.temporary), "output": _text(one.output)} for one in outcome.done]
    empty = [one._asdict() | {"temporary": _text(one.temporary)} for one in outcome.empty]
    not_safe = [{"temporary": _text(one.temporary)} for one in outcome.not_safe]
    return json.dumps({"recovered": done, "empty": empty, "not_safe": not_safe}, indent=2) + "\n"


def _text(path: Path) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")
