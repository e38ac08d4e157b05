"""Run suites of benchmarks and keep what they find: ./dev bench [NAME ...] [-d FOLDER] [PYPERF OPTIONS].

A name is that of a suite (pipeline, scaling, stages; live as root; all of them by default) or a pattern of benchmarks'
names: `'headless_*'` runs them wherever they are, `pipeline '*/2000'` those of one suite. The live suite has no names:
it runs as a whole. Each suite leaves `<suite>-<date>-<time>.json` in the folder. With `--rounds 3` each suite but live
runs three times, and a benchmark's values are those of all rounds: where others use the machine, too, a busy minute is
one round's. Options that are not known here go to each suite but live: `--fast`, `--rigorous`, `--no-memory`.
A suite that fails is the last one, and its status that of the whole.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

import pyperf
from arguments import Parser, need_folder, positive
from ending import INTERRUPTED, TERMINATED, Terminated, run_to_end, telling
from machine import forget_owner
from suite import COUNTED_ONCE, how_often, make_runner, matches, print_table

HERE = Path(__file__).parent
NAMED_CASES = ("pipeline", "scaling", "stages")
SUITES = (*NAMED_CASES, "live")


def main() -> int:
    parser = Parser(__doc__)
    parser.usage = "run.py [NAME ...] [-d FOLDER] [--rounds N] [PYPERF OPTIONS]"
    parser.add_argument("names", nargs="*", metavar="NAME", help="suites, and patterns of benchmarks' names")
    parser.add_argument("-d", "--folder", type=Path, default=HERE.parent / "bench-profiles", help="where results go")
    parser.add_argument("--rounds", type=positive, default=1, metavar="N", help="how often each suite runs")
    options, more = parser.parse_known_args()
    suites = make_runner().argparser
    suites.error = lambda message: parser.error(f"{message} (names come before options of pyperf)")  # type: ignore
    asked = suites.parse_args(more)
    if asked.output or asked.append:
        parser.error("results go into --folder")
    try:
        patterns = plan(options.names, {suite: names_of(suite) for suite in NAMED_CASES})
    except ValueError as error:
        parser.error(f"{error}; suites are {', '.join(SUITES)}, `bench_SUITE.py --list` has the rest")
    if asked.list:
        for suite, only in patterns.items():
            print("".join(f"{name}\n" for name in listed(suite, only)), end="")
        return 0
    need_folder(parser, options.folder, make=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    quick = asked.fast or asked.debug_single_value
    for suite, only in patterns.items():
        output = options.folder / f"{suite}-{stamp}.json"
        if suite == "live":
            status = run_live(output, quick=quick, asked="live" in options.names)
        else:
            status = run_in_rounds(suite, output, [*more, *only], options.rounds)
        if status != 0:
            return status
    return 0


def names_of(suite: str) -> list[str]:
    """The names of a suite's benchmarks."""
    return list(importlib.import_module(f"bench_{suite}").CASES)


def listed(suite: str, only: list[str]) -> list[str]:
    """The names of those of a suite's benchmarks that are meant; the live suite has none."""
    names = names_of(suite) if suite in NAMED_CASES else []
    return [name for name in names if matches(name, [option.removeprefix("--only=") for option in only])]


def plan(names: list[str], cases: dict[str, list[str]]) -> dict[str, list[str]]:
    """The suites that are meant, each with the options that choose among its benchmarks. Raises ValueError."""
    patterns = [name for name in names if name not in SUITES]
    suites = [suite for suite in SUITES if suite in names]
    if not patterns:
        return {suite: [] for suite in suites or SUITES}
    searched = [suite for suite in suites or cases if suite in cases]
    for pattern in patterns:
        if not any(matches(name, [pattern]) for suite in searched for name in cases[suite]):
            raise ValueError(f"no suite and no benchmark{' of these suites' if suites else ''} is called {pattern}")
    chosen = {suite: [p for p in patterns if any(matches(name, [p]) for name in cases[suite])] for suite in searched}
    found = {suite: [f"--only={pattern}" for pattern in mine] for suite, mine in chosen.items() if mine}
    return found | ({"live": []} if "live" in suites else {})


def run_in_rounds(suite: str, output: Path, more: list[str], rounds: int) -> int:
    """Run one suite so often, and put what each round finds into one file; the exit status of the last one that ran.

    Allocations are counted in the first round alone.
    """
    status = run(suite, output, more)
    for number in range(2, rounds + 1):
        with tempfile.TemporaryDirectory(prefix="tracer-bench-") as folder:
            again = Path(folder) / output.name
            print(f"==== round {number} of {rounds}", flush=True)
            with telling(lambda done=number - 1: f"{output} has {done} of {rounds} rounds"):
                status = status or run(suite, again, [*more, "--no-memory"])
            if status == 0:
                add_values(output, again)
    if status == 0 and rounds > 1:
        print(f"==== all rounds, in {output}")
        print_table(list(pyperf.BenchmarkSuite.load(str(output))))
    return status


def add_values(output: Path, more: Path) -> None:
    """Add the values of one file's benchmarks to those of another."""
    found = pyperf.BenchmarkSuite.load(str(output))
    for bench in pyperf.BenchmarkSuite.load(str(more)):
        whole = found.get_benchmark(bench.get_name())
        told = whole.get_metadata()
        whole.add_runs(bench)
        whole.update_metadata({key: told[key] for key in COUNTED_ONCE if key in told} | how_often(whole))
    found.dump(str(output), replace=True)
    forget_owner(output)


def run(suite: str, output: Path, more: list[str]) -> int:
    print(f"==== {suite}, into {output}", flush=True)
    command = [sys.executable, str(HERE / f"bench_{suite}.py"), "-o", str(output), *more]
    return run_to_end(command)


def run_live(output: Path, *, quick: bool, asked: bool) -> int:
    """Run the live suite; its exit status, 0 if it can't be run here and nobody asked for it by name."""
    as_root = os.environ.get("AS_ROOT", "").split()
    if not as_root and os.geteuid() != 0:
        print("live: left out, tracing needs root", file=sys.stderr)
        return int(asked)
    print(f"==== live, into {output}", flush=True)
    more = ["--quick"] if quick else []
    command = [*as_root, sys.executable, str(HERE / "bench_live.py"), "-o", str(output), *more]
    return run_to_end(command)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt as error:  # the suite has said what there is
        sys.exit(TERMINATED if isinstance(error, Terminated) else INTERRUPTED)
