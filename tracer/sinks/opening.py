"""From what the user wishes to the recorder that writes it."""

from __future__ import annotations

import os
from pathlib import Path

from tracer.errors import UsageError
from tracer.sinks.flight import FlightRecorder
from tracer.sinks.part_names import Dataset, Numbered
from tracer.sinks.parts import Parts, Rotation
from tracer.sinks.recorder import ParquetRecorder


def is_folder(output: str) -> bool:
    """Whether an output means a folder of parts: it ends with a slash, or there is one of that name."""
    return output.endswith("/") or os.path.isdir(output)  # noqa: PTH112 - a name too long is none


def would_write(output: str, path: Path, *, in_parts: bool) -> bool:
    """Whether a recording into `output` may write or remove a file of that name: its own, a part's, in its folder."""
    try:  # Path.resolve would raise where links make a loop
        wished, other = Path(os.path.realpath(output)), Path(os.path.realpath(path))
    except OSError:  # the working directory was removed: nothing will be written
        return False
    if is_folder(output):
        return other.is_relative_to(wished)
    return other == wished or (in_parts and Numbered(wished).has(other))


def open_recorder(
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    durable_s: float | None = None,
    rotation: Rotation = Rotation(),  # noqa: B008 - it can't be changed
    ring_s: float | None = None,
) -> ParquetRecorder:
    """A recorder into one file, numbered files, or a folder of parts; with `ring_s` a flight recorder.

    Raises OutputError or UsageError.
    """
    text = os.fspath(output)
    path = Path(text)
    durable = durable_s is not None
    if ring_s is not None:
        if rotation.is_wanted or is_folder(text):
            raise UsageError("--ring makes snapshots, not parts", hint="give it a file, and no --rotate options")
        flight = FlightRecorder(path, ring_s, force=force, durable=durable)
        return ParquetRecorder(path, durable_s=durable_s, output=flight)
    if is_folder(text):
        parts = Parts(Dataset(path), rotation, force=force, durable=durable)
    elif rotation.is_wanted:
        parts = Parts(Numbered(path), rotation, force=force, durable=durable)
    else:
        return ParquetRecorder(path, force=force, durable_s=durable_s)
    return ParquetRecorder(path, durable_s=durable_s, output=parts)
