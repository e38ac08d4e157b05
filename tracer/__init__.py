"""A syscall and file-I/O tracer: eBPF in the kernel, Cython in the middle, Parquet at the end.

    for batch in tracer.trace(["make"], trace="%file"):      # pyarrow.RecordBatch
    with tracer.open("run.parquet") as recording: ...        # Ibis, SQL or Arrow

What is not used is not imported: `import tracer._fast` needs numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracer.errors import TracerError
    from tracer.pipeline import trace
    from tracer.recording import Recording, open

__all__ = ["Recording", "TracerError", "open", "trace"]

_HOMES = {
    "Recording": "tracer.recording",
    "TracerError": "tracer.errors",
    "open": "tracer.recording",
    "trace": "tracer.pipeline",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'tracer' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
