"""The engine and the view of the commit that is on the path, over calls of real programs: whether what makes generated
calls faster does so for others, too.

    tracer-cli record --raw CALLS.raw -- COMMAND
    for tree in OLD NEW OLD NEW; do PYTHONPATH=$tree python NEW/benchmarks/real_calls.py CALLS.raw; done

Each tree is a checkout with its extensions built in place. Prints where the tracer is that was measured, and ns a row
for each stream: the median of a few runs (and the least). Each run has a new engine and a new view, so that it begins
with cold tables, as a recording does. Every syscall that is in the stream makes a row, whatever was selected. Reading
the file is outside of the timers.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from arguments import Parser, refuse
from ending import PRINTED, telling
from workload import every_call_engine, new_view

import tracer
from tracer.capture.raw import RawReader
from tracer.errors import TracerError

RUNS = 7


def run_over(blocks: Sequence[bytes]) -> tuple[int, int, int]:
    """How many rows there were, and the nanoseconds that the engine and the view took for all of them."""
    engine, view = every_call_engine(), new_view()
    clock = time.perf_counter_ns
    rows = engine_ns = view_ns = 0
    for block in blocks:
        used = 0
        while used < len(block):
            begin = clock()
            used = engine.feed(block, used)
            columns = engine.take()
            taken = clock()
            engine_ns += taken - begin
            if columns is not None:
                view.consume(columns)
                view_ns += clock() - taken
                rows += columns.rows
                columns.release()
    return rows, engine_ns, view_ns


def line_about(path: Path) -> str:
    with RawReader(path) as reader:
        blocks = list(reader.blocks())
    rows, engines_ns, views_ns = zip(*(run_over(blocks) for _ in range(RUNS)), strict=True)
    engine, view = (per_row(times_ns, rows[0]) for times_ns in (engines_ns, views_ns))
    return f"{path.name} {rows[0]:,} rows   engine {engine}   view {view} ns a row"


def per_row(times_ns: Sequence[int], rows: int) -> str:
    """Median and least. Where there are no rows nothing is told apart."""
    return f"{statistics.median(times_ns) / max(rows, 1):5.1f} ({min(times_ns) / max(rows, 1):.1f})"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("streams", nargs="+", type=Path, metavar="CALLS.raw")
    streams = parser.parse_args().streams
    print(f"tracer: {Path(tracer.__file__).parent}")
    for path in streams:
        try:
            print(line_about(path), flush=True)
        except TracerError as error:
            refuse(parser, str(error))


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        main()
