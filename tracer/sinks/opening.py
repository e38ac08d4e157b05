"""From what the user wishes to the recorder that writes it."""

from __future__ import annotations

import os
from pathlib import Path

from tracer.sinks.part_names import Dataset, Numbered
from tracer.sinks.parts import Parts, Rotation
from tracer.sinks.recorder import ParquetRecorder


def is_folder(output: str) -> bool:
    """Whether an output means a folder of parts: it ends with a slash, or there is one of that name."""
    return output.endswith("/") or os.path.isdir(output)  # noqa: PTH112 - a name too long is none


def open_recorder(
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    durable_s: float | None = None,
    rotation: Rotation = Rotation(),  # noqa: B008 - it can't be changed
) -> ParquetRecorder:
    """A recorder into one file, numbered files, or a folder of parts. Raises OutputError or UsageError."""
    text = os.fspath(output)
    path = Path(text)
    durable = durable_s is not None
    if is_folder(text):
        parts = Parts(Dataset(path), rotation, force=force, durable=durable)
    elif rotation.is_wanted:
        parts = Parts(Numbered(path), rotation, force=force, durable=durable)
    else:
        return ParquetRecorder(path, force=force, durable_s=durable_s)
    return ParquetRecorder(path, durable_s=durable_s, output=parts)
