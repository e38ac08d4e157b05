"""Two saved results against each other: ./dev bench-compare A.json B.json [PYPERF OPTIONS].

The options come last, and are those of `pyperf compare_to` (`--min-speed 5`, `--group-by-speed`). First comes what that
says of the times, then allocations and bytes per operation, sizes of files, and of live results how much slower the
traced program was and what was lost: medians, where each run has its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

import pyperf

FIGURES = {
    "allocations_per_operation": "allocations",
    "bytes_per_operation": "bytes",
    "file_bytes_per_row": "file bytes per row",
    "bytes_per_row": "file bytes per row",
    "slowdown": "slowdown",
    "lost": "calls lost",
}


def main() -> int:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    files = sys.argv[1:3]
    if len(files) != 2 or any(name.startswith("-") for name in files):
        print((__doc__ or "").partition("\n")[0], file=sys.stderr)
        return 2
    try:
        before, after = (load(name) for name in files)
    except (OSError, ValueError) as error:
        print(f"{error}; results of pyperf are meant", file=sys.stderr)
        return 2
    common = [name for name in before if name in after]
    if not common:
        print("no benchmark is in both", file=sys.stderr)
        return 2
    for name, results in zip(files, (before, after), strict=True):
        notes = results[common[0]].get_metadata()
        print(f"{name}: {', '.join(str(notes.get(key, '?')) for key in ('commit', 'machine', 'kernel', 'python'))}")
    print(flush=True)
    command = [sys.executable, "-m", "pyperf", "compare_to", "--table", *sys.argv[1:]]
    status = subprocess.run(command, check=False).returncode
    print_memory(before, after, common)
    return status


def load(name: str) -> dict[str, pyperf.Benchmark]:
    """The benchmarks of a file by name. Raises OSError, or ValueError if it is none of pyperf's."""
    try:
        return {bench.get_name(): bench for bench in pyperf.BenchmarkSuite.load(name)}
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def figure(bench: pyperf.Benchmark, key: str) -> float | None:
    """What its runs say, in the median."""
    told = [run.get_metadata()[key] for run in bench.get_runs() if key in run.get_metadata()]
    return statistics.median(told) if told else None


def print_memory(before: dict[str, pyperf.Benchmark], after: dict[str, pyperf.Benchmark], common: list[str]) -> None:
    """One line for each figure that both have."""
    common = [name for name in common if not name.endswith(", recorder")]  # the same runs again, their CPU time
    width = max(map(len, common))
    print(f"\n{'':{width}}  {'per operation':<18}  {'before':>15}  {'after':>15}  {'ratio':>7}")
    for name in common:
        for key, title in FIGURES.items():
            old, new = (figure(results[name], key) for results in (before, after))
            if old is not None and new is not None:
                ratio = f"{new / old:.2f}" if old else "-"
                print(f"{name:{width}}  {title:<18}  {old:>15,.10g}  {new:>15,.10g}  {ratio:>7}")


if __name__ == "__main__":
    sys.exit(main())
