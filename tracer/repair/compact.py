"""One well-formed recording of many small files or row groups."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from tracer import recording, schema
from tracer.errors import UsageError
from tracer.losses import CONTINUED, MOST_WINDOWS, dumped, parse_entries
from tracer.recording import Part, Recording
from tracer.sinks.output_file import write_error
from tracer.sinks.rewriting import Rewriter

BATCH_ROWS = 1 << 16

OWN_KEYS = {"schema_version", "loss", "losses", "sources", CONTINUED}
"""Footer keys that are not passed on as they are."""

MOST_SOURCES = 10_000
"""No footer tells of more sources."""


class Compacted(NamedTuple):
    """What came of it."""

    rows: int
    size_bytes: int
    parts: int


def compact(path: Path, output: Path, *, force: bool = False) -> Compacted:
    """Write all rows of a recording into one file, in the order of its parts; they are numbered from 0 again.

    The recording stays. Raises UsageError, DamagedFileError or OutputError.
    """
    with recording.open(path) as opened:
        if _is_in(output, path):
            raise UsageError("a recording can't be compacted into itself", hint="give another place with -o")
        rewriter = Rewriter(output, force=force, renumber=True)
        try:
            for batch in opened.batches(BATCH_ROWS):
                rewriter.write(batch)
            size = rewriter.close(footer(opened))
        except (OSError, pa.ArrowException) as error:
            raise write_error(output, error) from error
        finally:
            rewriter.abort()
        return Compacted(rewriter.rows, size, len(opened.parts))


def _is_in(output: Path, path: Path) -> bool:
    """Whether a file is the recording, or would be a part of it."""
    if path.is_dir():
        return Path(os.path.realpath(output)).is_relative_to(os.path.realpath(path))
    # Path.exists raises for a name that is too long, or where nobody may look
    return os.path.exists(output) and output.samefile(path)  # noqa: PTH110


def footer(opened: Recording) -> dict[str, str]:
    """What all parts say alike, the sum of their losses, and in `sources` what each says differently."""
    alike = {key: value for key, value in opened.metadata.items() if key not in OWN_KEYS}
    kept = alike | {"schema_version": str(schema.VERSION)}
    if opened.loss is not None:
        kept["loss"] = json.dumps(opened.loss)
    continued = [part.metadata.get(CONTINUED) for part in opened.parts]
    if None not in continued:  # nor is one who puts the file beside other parts to take it for their end
        kept[CONTINUED] = str(continued[-1])
    entries = [entry for part in opened.parts for entry in parse_entries(part.metadata.get("losses"))]
    entries += opened.missing_ends
    if "clock" in alike and 0 < len(entries) <= MOST_WINDOWS:  # windows are told on one boot's clock
        kept["losses"] = json.dumps(dumped(entries), separators=(",", ":"))
    sources = [source for part in opened.parts for source in _sources(part, alike)]
    different = [dict(facts) for facts in dict.fromkeys(tuple(sorted(source.items())) for source in sources) if facts]
    if different:
        kept["sources"] = json.dumps(different[:MOST_SOURCES])
    return kept


def _sources(part: Part, alike: dict[str, str]) -> list[dict[str, str]]:
    """What a part says of itself and not all others do; of one that was compacted before, what its sources said."""
    own = {key: value for key, value in part.metadata.items() if key not in OWN_KEYS and key not in alike}
    try:
        earlier = json.loads(part.metadata.get("sources", "[]"))
    except (ValueError, RecursionError):
        earlier = []
    before = [source for source in earlier if isinstance(source, dict)] if isinstance(earlier, list) else []
    texts = [{str(key): str(value) for key, value in source.items()} for source in before]
    return [own | source for source in texts] or [own]
