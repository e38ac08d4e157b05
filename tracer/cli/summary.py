"""`tracer-cli summary`: a recording counted by syscall, file, process or another column."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

import click

from tracer import recording
from tracer.cli.crashed import warn_of_crashed
from tracer.cli.ending import removed_if_ended
from tracer.cli.parameters import NamedPath
from tracer.cli.render import Heading, count, duration, percent, printable, say, size, table, write_out
from tracer.losses import is_complete, lacks_calls, lost_of
from tracer.recording import Loss
from tracer.reports.summary import GROUPS, ORDERS, SummaryResult, SummaryRow
from tracer.reports.summary import summary as summarize

NUMBERS = ("% time", "total", "mean", "p50", "p99", "calls", "errors", "bytes")
SUMS = frozenset({"total", "calls", "errors", "bytes"})
"""Numbers that are too low where calls are missing."""


@click.command("summary", short_help="Count a recording's calls by syscall, file, process or error.")
@click.argument("file", type=NamedPath(path_type=Path))
@click.option("--by", type=click.Choice(list(GROUPS)), default="syscall", show_default=True, help="What makes a row.")
@click.option(
    "--sort",
    type=click.Choice(list(ORDERS)),
    default="total",
    show_default=True,
    help="Largest first, names from a to z.",
)
@click.option("-n", "--top", type=click.IntRange(min=1), metavar="N", help="Show only the first N rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; times in nanoseconds.")
def summary(file: Path, by: str, sort: str, top: int | None, as_json: bool) -> None:
    """Show calls, errors, times and bytes of the recording FILE: one Parquet file or a folder of them.

    Times are those from entering the kernel to leaving it. Calls that never return have none; means and percentiles
    leave them out. p50 and p99 are exact. Sums are marked `at least` if not everything was recorded.
    """
    with removed_if_ended(), recording.open(file) as opened:
        result = summarize(opened, by, sort, top)
        loss = opened.loss
    write_out(_json(file, result, loss) if as_json else report_table(result, loss, sys.stdout))
    _warn(loss, is_least(result, loss))
    warn_of_crashed(file)


def is_least(result: SummaryResult, loss: Loss | None) -> bool:
    """Whether the sums of rows may be too low: calls are missing, or the names by which they are counted."""
    return not is_complete(loss) if result.by == "file" else lacks_calls(loss)


def report_table(result: SummaryResult, loss: Loss | None, stream: TextIO | None) -> str:
    """The summary as lines of text, styled if the stream shows styles."""
    *fixed, name = result.columns
    least = SUMS if is_least(result, loss) else ()
    numbers = [Heading(f"{title} (at least)" if title in least else title) for title in NUMBERS]
    headings = [*numbers, *(Heading(column) for column in fixed), Heading(name, left=True)]
    rows = [[*_numbers(row), *map(_label, result.columns, row.key)] for row in result.rows]
    totals = [*_numbers(result.totals), *("" for _ in fixed), _total_label(result)]
    return table(headings, rows, totals, stream)


def _numbers(row: SummaryRow) -> list[str]:
    times = (row.total_ns, row.mean_ns, row.p50_ns, row.p99_ns)
    return [percent(row.percent), *map(duration, times), count(row.calls), count(row.errors), size(row.bytes)]


def _label(column: str, value: str | int | None) -> str:
    if value is None:
        return f"(no {column})"
    return printable(str(value)) or '""'


def _total_label(result: SummaryResult) -> str:
    shown = len(result.rows)
    return "total" if shown == result.groups else f"total, with {count(result.groups - shown)} rows not shown"


def _json(file: Path, result: SummaryResult, loss: Loss | None) -> str:
    rows = [{**dict(zip(result.columns, row.key, strict=True)), **row.numbers()} for row in result.rows]
    document = {
        "file": os.fsencode(file).decode(errors="backslashreplace"),
        "by": result.by,
        "at_least": is_least(result, loss),
        "rows": rows,
        "totals": result.totals.numbers() | {"groups": result.groups, "at_least": lacks_calls(loss)},
        "loss": loss,
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _warn(loss: Loss | None, is_least: bool) -> None:
    """One line on standard error if the recording is not known to be complete."""
    least = ", sums are at least" if is_least else ""
    if loss is None:
        say(f"tracer-cli: the recording doesn't say what was lost{least}\n")
        return
    lost = lost_of(loss)
    parts = [f"{count(number)} {_cause(cause)}" for cause, number in lost.items() if number]
    parts += [f"{_cause(cause)} unknown" for cause, number in lost.items() if number is None]
    if parts:
        say(f"tracer-cli: not everything was recorded{least}: {', '.join(parts)}\n")


def _cause(cause: str) -> str:
    return printable(cause.replace("_", " "))
