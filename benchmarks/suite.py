"""A suite of benchmarks as a pyperf program: what its cases are, how they are run, and what is written beside them.

A suite is a module with `CASES`, by name, that ends in `main(__file__, CASES)`. Run it as any pyperf program
(`.tox/bench/bin/python benchmarks/bench_pipeline.py -o out.json`; `--help` tells the rest), `--only PATTERN` for some
of its cases. `tox -e bench --notest` makes that environment.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyperf
from arguments import need_folder, refuse
from ending import telling
from machine import forget_owner, machine
from workload import Operation, timed

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    """One benchmark: its operation in a folder for files, and how often it is run.

    `values` are those of each process (None: the suite's), `loops` the runs of each value (0: as many as pyperf finds
    right, which is too many where making ready takes much longer than what is timed), `once`: one value in one process,
    no warm-up. `timer` runs the operation so many times and tells how long that took. `memory`: whose allocations are
    counted, those of the calling thread or of all ("thread", "all"; None: nobody's, they would be too many); where that
    takes another operation than the one that is timed, `counted` makes it, and `memory` says in words what it leaves
    out.
    """

    make: Callable[[Path], Operation]
    values: int | None = None
    loops: int = 0
    once: bool = False
    timer: Callable[[Any, int], float] = timed
    memory: str | None = "thread"
    counted: Callable[[Path], Operation] | None = None

    @property
    def all_threads(self) -> bool:
        return self.memory != "thread"


def main(suite: str, cases: dict[str, Case]) -> None:
    """Run a suite as its command line says."""
    runner = make_runner()
    options = runner.parse_args()
    chosen = {name: case for name, case in cases.items() if matches(name, options.only)}
    if not chosen:
        runner.argparser.error("no case has such a name, --list tells them all")
    if options.list:
        print("\n".join(chosen))
        return
    if options.append:
        runner.argparser.error("results go into a file of their own: -o")
    if options.output:
        need_folder(runner.argparser, Path(options.output).absolute().parent)
    options.inherit_environ = [*(options.inherit_environ or ()), "TMPDIR"]
    found: list[pyperf.Benchmark] = []
    said = contextlib.nullcontext() if options.worker else telling(lambda: progress(len(chosen), options.output))
    with tempfile.TemporaryDirectory(prefix="tracer-bench-", ignore_cleanup_errors=True) as folder, said:
        os.environ["TMPDIR"] = folder  # of workers, which may not be left the time to tidy up
        for name, case in chosen.items():
            bench = run_case(runner, name, case, Path(folder))
            if bench is None or options.worker:
                continue
            memory = {} if options.no_memory else count_memory(suite, name, case.memory)
            bench.update_metadata(environment() | about(case, Path(folder)) | how_often(bench) | memory)
            found.append(bench)
            if options.output:  # each time, so that a later case that fails takes nothing away
                pyperf.BenchmarkSuite(found).dump(options.output, replace=True)
                forget_owner(Path(options.output))
    if not options.worker:
        print_table(found)


def progress(chosen: int, output: str | None) -> str:
    """What there is of a suite: pyperf saves a benchmark before its allocations are counted."""
    if output is None:
        return "nothing was saved"
    if not Path(output).exists():
        return f"there is no {output} yet"
    return f"{len(pyperf.BenchmarkSuite.load(output))} of {chosen} benchmarks are in {output}"


def make_runner() -> pyperf.Runner:
    """Pyperf's, with options of ours. A process can have one."""
    runner = pyperf.Runner(processes=3, values=3, warmups=1, min_time=0.02, add_cmdline_args=pass_on)
    parser = runner.argparser
    parser.error = functools.partial(refuse, parser)
    parser.add_argument("--only", action="append", metavar="PATTERN", help="only cases of that name (* stands for any)")
    parser.add_argument("--no-memory", action="store_true", help="don't count allocations")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and end")
    return runner


def matches(name: str, patterns: list[str] | None) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def pass_on(command: list[str], options: argparse.Namespace) -> None:
    """What a worker must be told besides pyperf's own."""
    for pattern in options.only or ():
        command += ["--only", pattern]


def run_case(runner: pyperf.Runner, name: str, case: Case, folder: Path) -> pyperf.Benchmark | None:
    options = runner.args
    saved = (options.processes, options.values, options.warmups, options.loops)
    if not options.worker and not options.debug_single_value:
        if case.once:
            options.processes, options.values, options.warmups, options.loops = 1, 1, 0, 1
        else:
            options.values = min(options.values, case.values or options.values)
            options.loops = options.loops or case.loops
    operation = functools.cache(lambda: case.make(folder))
    try:
        return runner.bench_time_func(name, lambda loops: case.timer(operation(), loops))
    finally:
        options.processes, options.values, options.warmups, options.loops = saved


def count_memory(suite: str, name: str, memory: str | None) -> dict[str, object]:
    """Allocations and bytes per operation, counted in a process of its own. If it fails, only they are lost."""
    if memory is None:
        return {"allocations_counted": "not counted: they are too many"}
    script = [sys.executable, str(HERE / "allocations.py"), Path(suite).stem, name]
    answer = subprocess.run(script, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        print(f"counting the allocations of {name} failed:\n{answer.stderr}", file=sys.stderr)
        return {"allocations_counted": "not counted: it failed"}
    counted = json.loads(answer.stdout)
    return {
        "allocations_per_operation": counted["allocations"],
        "bytes_per_operation": counted["bytes"],
        **({"file_bytes_per_row": round(counted["file_bytes"] / counted["pairs"], 2)} if counted["file_bytes"] else {}),
        "allocations_counted": {"all": "all threads", "thread": "calling thread"}.get(memory, memory),
    }


def about(case: Case, folder: Path) -> dict[str, object]:
    operation = case.make(folder)
    more = getattr(operation, "notes", dict)()
    return {"timer_covers": operation.covers, "pairs_per_operation": operation.pairs, **more}


def how_often(bench: pyperf.Benchmark) -> dict[str, object]:
    """How many values there are, and what each is the mean of."""
    runs = [run for run in bench.get_runs() if run.values]
    values, warmups = len(runs[0].values), len(runs[0].warmups or ())
    loops = sorted({run.get_loops() for run in runs})
    operations = f"{loops[0]} to {loops[-1]}" if len(loops) > 1 else str(loops[0])
    each = f"{values} values of {operations} operations, after {warmups} warm-ups of as many"
    return {"measured": f"in each of {len(runs)} processes {each}"}


@functools.cache
def environment() -> dict[str, object]:
    """The machine and the code, as the metadata of every benchmark has them."""
    return machine() | {"file_system": file_system(Path(tempfile.gettempdir()))}


def file_system(folder: Path) -> str:
    """What kind of file system a folder lies on: syncing to a tmpfs costs nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(place), kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(above)[1]


def print_table(benchmarks: list[pyperf.Benchmark]) -> None:
    """Medians, per operation and per pair, with allocations; then what each timer covers."""
    width = max(len(bench.get_name()) for bench in benchmarks)
    print(f"\n{'':{width}}  {'median':>12}  {'per pair':>10}  {'allocations':>11}  {'bytes':>11}")
    covers: dict[str, list[str]] = {}
    for bench in benchmarks:
        notes, seconds = bench.get_metadata(), bench.median()
        pairs = notes["pairs_per_operation"]
        memory = [f"{notes[key]:,}" if key in notes else "" for key in MEMORY_KEYS]
        per_pair = f"{seconds / pairs * 1e9:,.1f} ns"
        print(
            f"{bench.get_name():{width}}  {seconds * 1e3:>9,.3f} ms  {per_pair:>10}  {memory[0]:>11}  {memory[1]:>11}"
        )
        covers.setdefault(notes["timer_covers"], []).append(bench.get_name())
    print("\nWhat the timers cover:")
    for text, names in covers.items():
        print(f"  {', '.join(names)}:\n      {text}")


MEMORY_KEYS = ("allocations_per_operation", "bytes_per_operation")
COUNTED_ONCE = (*MEMORY_KEYS, "file_bytes_per_row", "allocations_counted")
"""What only the first of some rounds looks for."""
