"""Files of the pipeline over what they are compared with, in turns.

Every round runs each operation once, one right after the other, so that a machine that is busy for a while is busy for
all of them; each begins with another one, so that none is always the first. A ratio is that of one round. Prints the
median of the rounds' ratios, their quartiles, and the medians of the times. What the timers cover: see workload.py and
pyarrow_alone.py.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from arguments import Parser, positive
from bench_pipeline import CASES, SIZES
from ending import PRINTED, telling
from machine import machine
from workload import timed

WARM_UP_ROUNDS = 3
RATIOS = (
    ("headless_parquet_file", "pyarrow_alone"),
    ("headless_parquet_file", "pyarrow_alone_fsync"),
    ("headless_parquet_file", "pyarrow_alone_plain_zstd"),
    ("headless_parquet_file", "headless_parquet_file_plain"),
    ("tui_parquet_file", "headless_parquet_file"),
)
NAMES = sorted({name for ratio in RATIOS for name in ratio})


def rounds(pairs: int, count: int, folder: Path) -> list[dict[str, float]]:
    """Seconds of each operation, by round."""
    operations = {}
    for name in NAMES:
        own = folder / name
        own.mkdir()
        operations[name] = CASES[f"{name}/{pairs}"].make(own)
    orders = [NAMES[first:] + NAMES[:first] for first in range(len(NAMES))]
    found = [
        {name: timed(operations[name], 1) for name in orders[number % len(orders)]}
        for number in range(WARM_UP_ROUNDS + count)
    ]
    return found[WARM_UP_ROUNDS:]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("pairs", type=int, nargs="?", choices=SIZES, default=SIZES[0])
    parser.add_argument("rounds", type=positive, nargs="?", default=101, metavar="ROUNDS", help="2 or more (101)")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("quartiles want 2 rounds or more")
    pairs, count = options.pairs, options.rounds
    print("\n".join(f"{key}: {value}" for key, value in machine().items()))
    with tempfile.TemporaryDirectory(prefix="tracer-bench-", ignore_cleanup_errors=True) as folder:
        found = rounds(pairs, count, Path(folder))
    print(f"\n{pairs:,} pairs, {count} rounds")
    for above, below in RATIOS:
        low, median, high = statistics.quantiles([times[above] / times[below] for times in found], n=4)
        print(f"{above} / {below}: {median:.2f} (half of the rounds: {low:.2f} to {high:.2f})")
    for name in NAMES:
        print(f"{name}: {statistics.median(times[name] for times in found) * 1e3:.3f} ms")


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        main()
