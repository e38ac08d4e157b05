"""Whether memory stays bounded while ever new paths are seen.

    .tox/bench/bin/python benchmarks/many_paths.py [PAIRS]          # `tox -e bench --notest` makes that environment

Feeds a generated stream (DiverseAllTypes, 10 threads) through one engine and a `LiveView`, and prints, now and then,
how many calls the view has counted and the resident memory of the whole process, generator included. Then the same
stream runs once more, to tell how many different paths are in it: that takes memory, when none is looked at any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from arguments import Parser, positive
from ending import PRINTED, telling
from machine import machine
from workload import every_call_engine, new_view

from tracer._fast import Columns
from tracer.batch import record_batch
from tracer.capture.generator import Block, blocks

BLOCK_BYTES = 8 << 20
LINES = 20
DEFAULT_PAIRS = 20_000_000


def stream(pairs: int) -> Iterator[Block]:
    return blocks("DiverseAllTypes", pairs, 10, block_bytes=BLOCK_BYTES)


def batches(events: Iterable[Block]) -> Iterator[Columns]:
    """What one engine makes of events; each batch is released when the next is asked for."""
    engine = every_call_engine()
    for block in events:
        used = 0
        while used < len(block):
            used = engine.feed(block, used)
            columns = engine.take()
            if columns is not None:
                yield columns
                columns.release()


def distinct_files(events: Iterable[Block]) -> int:
    """How many different files and directories the rows name, by a hash of 64 bits."""
    return np.unique(np.concatenate([hashes(columns) for columns in batches(events)])).size


def hashes(columns: Columns) -> npt.NDArray[np.int64]:
    """One for each of a batch's texts of the column `file`."""
    texts = record_batch(columns, 0).column("file").dictionary.to_pylist()
    return np.fromiter(map(hash, texts), np.int64, len(texts))


def resident_mb() -> float:
    """The process's resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("pairs", type=positive, nargs="?", default=DEFAULT_PAIRS, help=f"calls [{DEFAULT_PAIRS}]")
    pairs = parser.parse_args().pairs
    print("\n".join(f"{key}: {value}" for key, value in machine().items()))
    print(f"\n{'calls':>12}  {'counted':>12}  {'resident':>10}")
    view, rows = new_view(), 0
    for columns in batches(stream(pairs)):
        before, rows = rows, rows + columns.rows
        view.consume(columns)
        if rows * LINES // pairs > before * LINES // pairs:
            counted = view.snapshot().statistics.totals.calls
            print(f"{rows:>12,}  {counted:>12,}  {resident_mb():>7.1f} MB", flush=True)
    print(f"\n{distinct_files(stream(pairs)):,} different paths")


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        main()
