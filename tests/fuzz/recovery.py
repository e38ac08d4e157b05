"""Coverage-guided fuzzing of `recover`, with atheris (libFuzzer).

    pip install atheris
    python tests/fuzz/recovery.py NEW-INPUTS tests/fuzz/corpus/recover -max_total_time=3600

A traceback, a wrong row, a timeout or too much memory is a finding; libFuzzer saves its input. Our Python is
instrumented; Arrow, which decodes the pages, is not.
"""

from __future__ import annotations

import os
import sys

import atheris
from scratch import scratch_folder

with atheris.instrument_imports(
    include=["tracer.repair", "tracer.sinks", "tracer.recording", "tracer.losses", "tracer.temporary"]
):
    from recover_inputs import leftovers, look


def main() -> None:
    """Recover each input. Nothing is synced: the disk is not what is looked at."""
    os.fsync = os.fdatasync = lambda _: None
    folder = scratch_folder()
    whole = leftovers(folder)
    atheris.Setup(sys.argv, lambda data: look(data, folder, whole))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
