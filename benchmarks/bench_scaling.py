"""Whether the cost of a call stays the same: from few calls to many, few threads to many, few paths to many."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from many_paths import distinct_files
from suite import Case, main
from workload import FOOTER, Pipeline, new_recorder

from tracer._fast import Columns
from tracer.capture.generator import pieces

PIECE = 1_000_000
"""Calls that are made ready at once: a longer run takes turns with the making of what comes next."""

PAIRS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
THREADS = (1, 10, 100, 1_000)
PATHS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
"""How many there may be; FIXED_PAIRS calls don't come to more than some 90,000: see `EngineAlone.notes`."""
FIXED_PAIRS = 200_000


class EngineAlone(Pipeline):
    """Rows made and dropped. `prepare` makes the next turn's calls, `run` goes through them."""

    covers = "raw events in: pairing, names, columns; the rows are dropped. Not: making the events"

    def __init__(self, folder: Path, *, pairs: int, **options: Any) -> None:
        self.turns = max(1, pairs // PIECE)
        super().__init__(folder, pairs=pairs // self.turns, **options)
        self.pairs = pairs
        self.options = options

    def notes(self) -> dict[str, object]:
        """How many of the paths that there may be are in the rows of one operation: fewer where calls are few."""
        if "distinct_paths" not in self.options:
            return {}
        first = next(pieces("DiverseAllTypes", self.pairs, **self.options))
        return {"distinct_paths_per_operation": distinct_files(first)}

    def begin(self) -> None:
        """What comes before the first turn, timed."""

    def end(self) -> None:
        """What comes after the last turn, timed."""

    def consume(self, columns: Columns) -> None:
        columns.release()


class File(EngineAlone):
    """A recording from its start to the closed file."""

    covers = (
        "recorder started, raw events in, everything written, synced to disk (fsync) and renamed. Not: making the "
        "events, which happens in turns of 1,000,000 at most; after each the recorder's queue runs empty, timed"
    )

    def __init__(self, folder: Path, *, pairs: int, **options: Any) -> None:
        super().__init__(folder, pairs=pairs, **options)
        if self.turns > 1:  # measured once only, without a warm-up: what a process does only once comes before
            timed_in_turns(File(folder, pairs=1_000), 3)

    def begin(self) -> None:
        self.recorder = new_recorder(self.path)
        self.handed = 0

    def run(self) -> None:
        self.feed()
        deadline = time.monotonic() + 60
        while self.turns > 1 and self.recorder.rows < self.handed:
            assert time.monotonic() < deadline, "the recorder doesn't write"
            time.sleep(0.0002)

    def end(self) -> None:
        self.recorder.close(FOOTER)

    def consume(self, columns: Columns) -> None:
        self.handed += columns.rows
        self.recorder.write(columns)


def timed_in_turns(operation: EngineAlone, loops: int) -> float:
    """As `timed`, for operations in turns."""
    spent = 0.0
    clock = time.perf_counter

    for _ in range(loops):
        operation.prepare()
        start = clock()
        operation.begin()
        operation.run()
        spent += clock() - start
        for _ in range(operation.turns - 1):
            operation.make_ready()
            start = clock()
            operation.run()
            spent += clock() - start
        start = clock()
        operation.end()
        spent += clock() - start
    return spent


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for scope, operation in (("engine", EngineAlone), ("file", File)):
        shapes: dict[str, dict[str, Any]] = {f"pairs/{pairs}": {"pairs": pairs} for pairs in PAIRS}
        shapes |= {f"threads/{threads}": {"pairs": FIXED_PAIRS, "threads": threads} for threads in THREADS}
        shapes |= {f"paths/{paths}": {"pairs": FIXED_PAIRS, "distinct_paths": paths} for paths in PATHS}
        for name, shape in shapes.items():
            few = 1 if shape["pairs"] == 1_000_000 else None
            found[f"{scope}/{name}"] = Case(
                partial(operation, **shape), few, once=shape["pairs"] > 1_000_000, timer=timed_in_turns
            )
    return found


CASES = cases()

if __name__ == "__main__":
    main(__file__, CASES)
