"""Two saved results against each other: ./dev bench-compare A.json B.json [PYPERF OPTIONS].

The options are those of `pyperf compare_to` (`--min-speed 5`, `--group-by-speed`). First comes what the two were made
with, and which benchmarks have one name but are not the same operation; then what pyperf says of the times; then
allocations and bytes per operation, sizes of files, and of live results how much slower the traced program was and what
was lost: medians, where each run has its own.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys

import pyperf
from arguments import Parser
from ending import PRINTED, telling

MADE_WITH = ("commit", "machine", "kernel", "python", "pyarrow", "numpy", "file_system")
ALIKE = {
    "not the same operation": ("timer_covers", "pairs_per_operation", "distinct_paths_per_operation", "threads"),
    "not a load of the same length": ("paced_seconds", "dd_blocks"),
    "allocations are not counted alike": ("allocations_counted",),
}
"""What two benchmarks of one name must have in common, by what is wrong if they don't."""

FIGURES = {
    "allocations_per_operation": "allocations",
    "bytes_per_operation": "bytes",
    "file_bytes_per_row": "file bytes per row",
    "bytes_per_row": "file bytes per row",
    "slowdown": "slowdown",
    "lost": "calls lost",
}
SHOWN = 60
"""Characters of a long text from where it differs."""

Results = dict[str, pyperf.Benchmark]


def main() -> int:
    options = parse_options()
    try:
        before, after = (load(name) for name in options.files)
    except (OSError, ValueError) as error:
        print(f"compare.py: {error}; results of pyperf are meant", file=sys.stderr)
        return 2
    common = [name for name in before if name in after and name in (options.benchmarks or before)]
    if not common:
        which = f" called {' or '.join(options.benchmarks)}" if options.benchmarks else ""
        print(f"compare.py: no benchmark{which} is in both; `pyperf show FILE` tells what is in one", file=sys.stderr)
        return 2
    print_head(options.files, before, after, common)
    command = [sys.executable, "-P", "-m", "pyperf", "compare_to", "--table", *sys.argv[1:]]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        print_memory(before, after, common)
    return status


def parse_options() -> argparse.Namespace:
    """Checked here, then given to pyperf as they are."""
    parser = Parser(__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="results: those before, and those after")
    parser.add_argument("-G", "--group-by-speed", action="store_true", help="slower ones, faster ones, same ones")
    parser.add_argument("--min-speed", type=float, metavar="PERCENT", help="a smaller difference is none")
    parser.add_argument("--table-format", choices=("rest", "md"), help="of the times [rest]")
    parser.add_argument("-b", "--benchmark", dest="benchmarks", action="append", metavar="NAME", help="only this one")
    parser.add_argument("-q", "--quiet", action="store_true", help="without those that are not significant")
    parser.add_argument("-v", "--verbose", action="store_true", help="with what is not significant")
    options = parser.parse_args()
    if len(options.files) != 2:
        parser.error(f"two files are compared, A.json B.json, not {len(options.files)}")
    return options


def load(name: str) -> Results:
    """The benchmarks of a file by name. Raises OSError, or ValueError if it is none of pyperf's."""
    try:
        return {bench.get_name(): bench for bench in pyperf.BenchmarkSuite.load(name)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSON of something else
        raise ValueError(f"{name}: {error}") from error


def print_head(files: list[str], before: Results, after: Results, common: list[str]) -> None:
    """What both were made with, and a line for all benchmarks that differ in the same way."""
    for name, results in zip(files, (before, after), strict=True):
        notes = results[common[0]].get_metadata()
        print(f"{name}: {', '.join(str(notes.get(key, '?')) for key in ('commit', 'machine', 'kernel', 'python'))}")
    if made_with := differences(before[common[0]], after[common[0]], MADE_WITH):
        print(f"not made with the same {made_with}")
    for wrong, keys in ALIKE.items():
        names: dict[str, list[str]] = {}
        for name in common:
            names.setdefault(differences(before[name], after[name], keys), []).append(name)
        names.pop("", None)
        for difference, those in names.items():
            print(f"{'; '.join(those)}: {wrong} ({difference})")
    print(flush=True)


def differences(before: pyperf.Benchmark, after: pyperf.Benchmark, keys: tuple[str, ...]) -> str:
    """What both tell differently, as `key: old, new; ...`; what only one tells may be the same."""
    old, new = before.get_metadata(), after.get_metadata()
    differing = [key for key in keys if key in old and key in new and old[key] != new[key]]
    return "; ".join(f"{key}: {', '.join(apart(str(old[key]), str(new[key])))}" for key in differing)


def apart(*texts: str) -> list[str]:
    """Texts as they are, but long ones from a little before where they differ."""
    if max(map(len, texts)) <= SHOWN:
        return list(texts)
    same = sum(1 for _ in itertools.takewhile(lambda each: len(set(each)) == 1, zip(*texts, strict=False)))
    begin = max(0, same - SHOWN // 3)
    shown = [text[begin : begin + SHOWN] for text in texts]
    before = "..." if begin else ""
    return [
        f'"{before}{part}{"..." if len(text) > begin + SHOWN else ""}"' for part, text in zip(shown, texts, strict=True)
    ]


def figure(bench: pyperf.Benchmark, key: str) -> float | None:
    """What its runs say, in the median."""
    told = [run.get_metadata()[key] for run in bench.get_runs() if key in run.get_metadata()]
    return statistics.median(told) if told else None


def print_memory(before: Results, after: Results, common: list[str]) -> None:
    """One line for each figure that both have."""
    common = [name for name in common if not name.endswith(", recorder")]  # the same runs again, their CPU time
    width = max(map(len, common), default=0)
    print(f"\n{'':{width}}  {'per operation':<18}  {'before':>15}  {'after':>15}  {'ratio':>7}")
    for name in common:
        for key, title in FIGURES.items():
            old, new = (figure(results[name], key) for results in (before, after))
            if old is not None and new is not None:
                ratio = f"{new / old:.2f}" if old else "-"
                print(f"{name:{width}}  {title:<18}  {old:>15,.10g}  {new:>15,.10g}  {ratio:>7}")


if __name__ == "__main__":
    with telling(lambda: PRINTED):
        status = main()
    sys.exit(status)
