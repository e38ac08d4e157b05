"""How results look on a terminal and in a pipe. What a recording holds is never trusted: see `printable`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

import click
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

from tracer.errors import OutputError, TracerError

Cells = Sequence[str]

NOTHING = "-"
"""Stands for a number that there is not."""

SURROGATES = range(0xDC80, 0xDD00)
"""How Python writes a byte of a file name that is not UTF-8 (PEP 383): 0xDC00 and the byte."""


def printable(text: str) -> str:
    r"""The text with everything escaped that could do more than be seen.

    Control characters and ESC (they move the cursor, set titles, answer as if typed), line and paragraph separators,
    and format characters, among them those that turn the direction of text, become `\n`, `\x1b`, `\u202e` and so on. A
    backslash stays as it is: recordings write bytes that aren't UTF-8 as `\xHH`. Square brackets stay, too: give it
    to rich with markup off.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code in SURROGATES:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def duration(ns: float | None) -> str:
    """Nanoseconds with three digits and a unit: `999 ns`, `1.50 us`, `12.3 ms`, `1,234 s`."""
    if ns is None:
        return NOTHING
    return _scaled(ns, 1000, ("ns", "us", "ms", "s"))


def size(bytes_: int | None) -> str:
    """Bytes with three digits and a unit: `512 B`, `1.50 KiB`."""
    if bytes_ is None:
        return NOTHING
    return _scaled(bytes_, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def count(n: int | None) -> str:
    """A number with its thousands apart: `1,234,567`."""
    return NOTHING if n is None else f"{n:,}"


def percent(share: float) -> str:
    """A share of 100: `12.34`."""
    return f"{share:.2f}"


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    value, unit = float(number), 0
    # half below: what would be rounded to 1000 belongs to the next unit
    while value >= step - 0.5 and unit < len(units) - 1:
        value, unit = value / step, unit + 1
    places = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{places}f} {units[unit]}"


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's title and the side its cells lean to."""

    title: str
    left: bool = False


def table(headings: Sequence[Heading], rows: Iterable[Cells], footer: Cells, stream: TextIO | None) -> str:
    """Lay out cells in columns that fit the widest of them; nothing is cut off and no line is folded.

    The last column comes unpadded, so that long names in it cost other lines nothing. Cells must be printable. rich
    measures the cells and knows whether and how the stream shows styles; its own Table takes half a millisecond a row,
    so that 5000 files would take longer to show than ten million calls to count.
    """
    lines = [[heading.title for heading in headings], *rows, footer]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    title, *body, totals = (_line(cells, headings, widths) for cells in lines)
    return "\n".join([_bold(title, stream), *body, _bold(totals, stream), ""])


def _bold(line: str, stream: TextIO | None) -> str:
    """The line as it stands out on the stream: plain in a pipe, on a dumb terminal and with NO_COLOR (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or Console(file=stream).color_system is None
    return line if plain else Style(bold=True).render(line)


def _line(cells: Cells, headings: Sequence[Heading], widths: Sequence[int]) -> str:
    *fixed, last = (_padded(*column) for column in zip(cells, headings, widths, strict=True))
    return "  ".join([*fixed, cells[-1] if headings[-1].left else last])


def _padded(cell: str, heading: Heading, width: int) -> str:
    padding = " " * (width - cell_len(cell))
    return cell + padding if heading.left else padding + cell


def write_out(text: str) -> None:
    """Write to standard output what it can show, the rest escaped.

    A reader that has seen enough (`| head`) is no error. Raises OutputError if the output can't be written.
    """
    stream: TextIO | None = sys.stdout
    if stream is None:  # started with it closed
        raise OutputError("can't write to standard output: it is closed")
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
    except OSError as error:
        _discard(stream)
        raise OutputError(f"can't write to standard output: {error.strerror}") from error


def say(text: str) -> None:
    """Write to standard error. What can't be said there (it is full, or closed) is left unsaid: no status tells it."""
    try:
        click.echo(text, err=True, nl=False)
    except OSError:
        _discard(sys.stderr)


def report_error(error: TracerError) -> None:
    """What went wrong, on standard error."""
    report(str(error), error.hint)


def report(message: str, hint: str | None) -> None:
    """One error line on standard error, and a hint."""
    say(f"tracer-cli: error: {printable(message)}\n" + (f"  hint: {printable(hint)}\n" if hint else ""))


def _discard(stream: TextIO) -> None:
    """Let what is still buffered go nowhere, or Python would complain about it at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
