"""Coverage-guided fuzzing of the raw-stream reader and the replay behind it, with atheris (libFuzzer).

    pip install atheris
    python tests/fuzz/raw_reader.py NEW-INPUTS tests/fuzz/corpus/raw -max_total_time=3600

A crash, a traceback or a timeout is a finding; libFuzzer saves its input. Our Python is instrumented. The compiled
modules run as they are, unless `tox -e fuzz-asan -- SECONDS` has built them with the sanitizers and coverage.
"""

from __future__ import annotations

import sys

import atheris
from scratch import scratch_folder

with atheris.instrument_imports(include=["tracer.capture.raw", "tracer.session", "json"]):
    from raw_inputs import look, stream_of


def main() -> None:
    """Look at each input as the stream it stands for, and as it is."""
    path = scratch_folder() / "a.raw"

    def try_one(data: bytes) -> None:
        for content in (stream_of(data), data):
            path.write_bytes(content)
            look(path)

    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
