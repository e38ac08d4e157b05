"""Whether the cost of a call stays the same: from few calls to many, few threads to many, few paths to many."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from many_paths import distinct_files
from suite import Case, main
from workload import Pipeline, new_recorder

from tracer._fast import Columns
from tracer.capture.generator import pieces
from tracer.sinks.parquet_file import is_small

PIECE = 1_000_000
"""Calls that are made ready at once: a longer run takes turns with the making of what comes next."""

PAIRS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
THREADS = (1, 10, 100, 1_000)
PATHS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
PATH_MIX = {"newfstatat": 2, "faccessat": 1, "unlinkat": 1}
"""Every call names a path, so that as many calls as there are paths name each once."""
PATH_PAIRS = max(PATHS)
THREAD_PAIRS = 200_000


class EngineAlone(Pipeline):
    """Rows made and dropped. `prepare` makes the next turn's calls, `turn` goes through them."""

    covers = "raw events in: pairing, names, columns; the rows are dropped. Not: making the events"

    def __init__(self, folder: Path, *, pairs: int, **options: Any) -> None:
        self.turns = max(1, pairs // PIECE)
        super().__init__(folder, pairs=pairs // self.turns, **options)
        self.pairs = pairs
        self.options = options

    def notes(self) -> dict[str, object]:
        """How many different paths are in the rows of one operation, where that is the axis."""
        if "distinct_paths" not in self.options:
            return {}
        first = next(pieces(pairs=self.pairs, **self.options))
        return {"distinct_paths_per_operation": distinct_files(first)}

    def run(self) -> None:
        """All of an operation in one turn."""
        self.begin()
        self.turn()
        self.end()

    def turn(self) -> None:
        self.feed()

    def begin(self) -> None:
        """What comes before the first turn, timed."""

    def end(self) -> None:
        """What comes after the last turn, timed."""

    def consume(self, columns: Columns) -> None:
        columns.release()


class File(EngineAlone):
    """A recording from its start to the closed file."""

    covers = (
        "recorder started, raw events in, everything written with its footer, synced to disk (fsync) and renamed. Not: "
        "making the events, which happens in turns of 1,000,000 at most; after each the queue runs empty, timed (but "
        "for a small batch, which the recorder holds until more comes)"
    )

    def __init__(self, folder: Path, *, pairs: int, **options: Any) -> None:
        super().__init__(folder, pairs=pairs, **options)
        if self.turns > 1:  # measured once only, without a warm-up: what a process does only once comes before
            timed_in_turns(File(folder, pairs=1_000), 3)

    def begin(self) -> None:
        self.recorder = new_recorder(self.path)
        self.recorder.describe(self.footer)
        self.handed = self.held = 0

    def turn(self) -> None:
        self.feed()
        deadline = time.monotonic() + 60
        while self.turns > 1 and self.recorder.rows < self.handed - self.held:
            assert time.monotonic() < deadline, "the recorder doesn't write"
            time.sleep(0.0002)

    def end(self) -> None:
        self.recorder.close(self.footer())

    def consume(self, columns: Columns) -> None:
        self.handed += columns.rows
        self.held = columns.rows if is_small(columns.rows) else 0
        self.recorder.write(columns)


def timed_in_turns(operation: EngineAlone, loops: int) -> float:
    """As `timed`, for operations in turns."""
    spent = 0.0
    clock = time.perf_counter

    for _ in range(loops):
        operation.prepare()
        start = clock()
        operation.begin()
        operation.turn()
        spent += clock() - start
        for _ in range(operation.turns - 1):
            operation.make_ready()
            start = clock()
            operation.turn()
            spent += clock() - start
        start = clock()
        operation.end()
        spent += clock() - start
    return spent


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for scope, operation, memory in (("engine", EngineAlone, "thread"), ("file", File, "all")):
        shapes: dict[str, dict[str, Any]] = {f"pairs/{pairs}": {"pairs": pairs} for pairs in PAIRS}
        shapes |= {f"threads/{threads}": {"pairs": THREAD_PAIRS, "threads": threads} for threads in THREADS}
        shapes |= {f"paths/{paths}": {"pairs": PATH_PAIRS, "mix": PATH_MIX, "distinct_paths": paths} for paths in PATHS}
        for name, shape in shapes.items():
            few = 1 if shape["pairs"] == PIECE else None
            in_turns = shape["pairs"] > PIECE
            found[f"{scope}/{name}"] = Case(
                partial(operation, **shape),
                few,
                once=in_turns,
                timer=timed_in_turns,
                memory=None if in_turns else memory,
            )
    return found


CASES = cases()

if __name__ == "__main__":
    main(__file__, CASES)
