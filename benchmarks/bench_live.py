"""What tracing costs while it happens, and how that changes with the rate of events, next to other tools.

    .tox/bench/bin/python benchmarks/bench_live.py [-o FILE] [--quick] [--runs N] [--rates 1k,100k,max] ...

As root. Needs gcc: the load is a C program beside this file. All tools that are installed, and work, take turns, run
after run, so that a machine that is busy for a while is busy for all of them. Every tool is told to trace the calls
that the loads are made of, no others. The loads:

dd        `dd bs=1 count=N`: a read and a write per block and nearly nothing besides, the worst case for any tracer.
          Slow tools get a smaller N.
rw RATE   the same two calls at so many a second, in bursts every millisecond; `max`: without a pause.
files MAX open, stat and close of many files in turn, without a pause.

The figures, medians of the runs:

ns per call  time of the load's calls: what dd prints for its loop, or the time of the bursts, without the sleeping
             between them. Of one thread: with --threads, of all threads together.
slowdown     that, over the same of the untraced load at the same rate. Whatever else runs on the machine is in it, the
             recorder on a machine with few CPUs, too.
typical      the same from the median burst instead of all of them, weighted by calls: hardly disturbed by others that
             want the CPU, and blind to what happens rarely. `-` for dd, which doesn't tell.
reached      calls a second that the load came to; under a slow tool it falls behind.
recorder     CPU time, user and system, of the tracer's process alone with all its threads, per call; `of a CPU`: the
             same while the load runs, as a share of one CPU. From the process's CPU clock, read by the load before its
             first call (what came before is the `start`) and by this program when the tracer has ended, not yet waited
             for. What the tool uses for a load of no calls (closing files, unloading programs) is taken off; where
             calls are few, the noise of that is all one sees. `of a CPU` has no more than what was done before the
             load's last call: rows that are written after it, all of them where calls are few, are in `recorder` only.
             What runs inside the load's own calls (eBPF programs) is in the slowdown.
B per row    size of the tool's output over its rows, everything included; `-` for tools that only count.
lost         calls that the load made and the output doesn't have. What a load of no calls leaves there is taken off.

For `tracer-cli record` all of it is the full way: kernel, pairing, columns, Parquet file. It is the one beside the
interpreter that runs this. -o saves pyperf JSON: for each load and tool the seconds per call of the load, and under the
name with `recorder` behind it those of the tracer's CPU; the other figures of each run are its metadata.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.parquet as pq
import pyperf
from arguments import Parser, need_new_file, positive, seconds
from ending import ended, telling
from machine import Metadata, first_line, forget_owner, machine

from tracer import syscalls

SYSCALLS = ("read", "write", "openat", "newfstatat", "close")
NAMES = ",".join(SYSCALLS)
FILES = 10_000
SLOW_DIVISOR = 20
RATES = "1k,10k,100k,500k,1M,max"
QUICK = {"runs": 1, "seconds": 0.2, "count": 20_000, "rates": "10k,max"}
OWN = str(Path(sys.executable).with_name("tracer-cli"))
BPFTRACE_PROGRAM = "tracepoint:raw_syscalls:sys_exit /pid == cpid/ { @[args->id] = count(); }"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tracer: how it is called for an output file and a command, and how many calls its output tells of."""

    name: str
    program: str
    arguments: Callable[[Path], list[str]]
    count_calls: Callable[[Path], int]
    slow: bool = False
    only_counts: bool = False

    @property
    def version(self) -> str:
        """What the program says of itself."""
        return first_line((self.program, "--version"))

    def command(self, output: Path, traced: Sequence[str]) -> list[str]:
        """The command line that traces a command; bpftrace wants that as one text."""
        return [self.program, *self.arguments(output), *([" ".join(traced)] if self.program == "bpftrace" else traced)]


@dataclass(frozen=True, slots=True)
class Load:
    """What is traced: `rate` is in calls per second, 0 for no pauses; None for dd, which has no paced twin."""

    name: str
    kind: str
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a load: what it did, and what the tracer around it used and wrote (zeros if untraced)."""

    calls: int
    busy_s: float
    wall_s: float
    typical_s: float = 0.0
    start_s: float = 0.0
    cpu_s: float = 0.0
    cpu_during_s: float = 0.0
    counted: int = 0
    output_bytes: int = 0

    @property
    def call_s(self) -> float:
        """Seconds per call of the load."""
        return self.busy_s / self.calls


@dataclass(slots=True)
class Figures:
    """The runs of one load under one tool; `tool` is None for the untraced load, `nothing` is a load of no calls."""

    load: Load
    tool: Tool | None
    runs: list[Run] = field(default_factory=list)
    nothing: list[Run] = field(default_factory=list)

    @property
    def call_s(self) -> list[float]:
        return [run.call_s for run in self.runs]

    def slowdown(self, base: Figures) -> list[float]:
        """Time per call over the untraced load's median."""
        base_s = statistics.median(base.call_s)
        return [call_s / base_s for call_s in self.call_s]

    def typical_slowdown(self, base: Figures) -> list[float]:
        """The same of the median bursts."""
        base_s = statistics.median(run.typical_s for run in base.runs)
        return [run.typical_s / base_s for run in self.runs]

    @property
    def reached(self) -> list[float]:
        return [run.calls / run.wall_s for run in self.runs]

    @property
    def recorder_s(self) -> list[float]:
        """Seconds of the tracer's CPU per call, less what a load of no calls costs it."""
        fixed_s = statistics.median(run.cpu_s for run in self.nothing)
        return [(run.cpu_s - fixed_s) / run.calls for run in self.runs]

    @property
    def cpu_share(self) -> list[float] | None:
        """Share of one CPU while the load ran; None for dd, which reads no clock at its end."""
        return None if self.load.rate is None else [run.cpu_during_s / run.wall_s for run in self.runs]

    @property
    def start_s(self) -> float:
        """CPU seconds of the tracer before the load began."""
        return statistics.median(run.start_s for run in self.runs)

    @property
    def lost(self) -> list[int]:
        besides = round(statistics.median(run.counted for run in self.nothing))
        return [run.calls + besides - run.counted for run in self.runs]

    @property
    def bytes_per_row(self) -> list[float] | None:
        if self.tool is None or self.tool.only_counts:
            return None
        return [run.output_bytes / max(1, run.counted) for run in self.runs]


def rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def lines(path: Path) -> int:
    """Lines that tell of a call; perf says in lines of its own what it lost, strace how the program ended."""
    with path.open(errors="replace") as text:
        return sum("(" in line and "LOST" not in line for line in text)


def counts_of_strace(path: Path) -> int:
    """Sum of the column `calls`: the fourth of every row between the two rules."""
    body = re.split(r"^-[- ]+$", path.read_text(), flags=re.MULTILINE)[1]
    return sum(int(line.split()[3]) for line in body.splitlines() if line.strip())


def counts_of_bpftrace(path: Path) -> int:
    """Calls of the kinds that the loads are made of; bpftrace counts every kind."""
    numbers = {number for number, call in syscalls.machine_numbers(platform.machine()).items() if call.name in SYSCALLS}
    found = re.findall(r"^@\[(\d+)\]: (\d+)$", path.read_text(), flags=re.MULTILINE)
    return sum(int(count) for number, count in found if int(number) in numbers)


def tools() -> list[Tool]:
    """The tracers that are installed here; tracer-cli, the one beside this interpreter, always is."""
    known = (
        Tool(
            "tracer-cli record", OWN, lambda out: ["record", "-q", "--force", "-e", NAMES, "-o", str(out), "--"], rows
        ),
        Tool("strace -o", "strace", lambda out: ["-f", "-e", f"trace={NAMES}", "-o", str(out)], lines, slow=True),
        Tool(
            "strace -c",
            "strace",
            lambda out: ["-f", "-c", "-e", f"trace={NAMES}", "-o", str(out)],
            counts_of_strace,
            slow=True,
            only_counts=True,
        ),
        Tool("perf trace", "perf", lambda out: ["trace", "-e", NAMES, "-o", str(out)], lines, slow=True),
        Tool(
            "bpftrace (counts)",
            "bpftrace",
            lambda out: ["-o", str(out), "-e", BPFTRACE_PROGRAM, "-c"],
            counts_of_bpftrace,
            only_counts=True,
        ),
    )
    return [tool for tool in known if shutil.which(tool.program)]


class Bench:
    """Runs loads, traced and not, in a folder that holds the load program, its files and the tools' output."""

    def __init__(self, folder: Path, seconds: float, threads: int, blocks: int) -> None:
        self.seconds = seconds
        self.threads = threads
        self.blocks = blocks
        self._program = folder / "paced_load"
        self._visited = folder / "files"
        self._report = folder / "report.json"
        self._output = folder / "output"
        source = Path(__file__).with_name("paced_load.c")
        subprocess.run(["gcc", "-O2", "-pthread", "-o", self._program, source], check=True)
        self._visited.mkdir()
        for number in range(FILES):
            (self._visited / f"f{number}").touch()

    def run(self, load: Load, tool: Tool | None, *, empty: bool = False) -> Run:
        """Run a load once; `empty`: with no calls to make."""
        for old in (self._output, self._report):
            old.unlink(missing_ok=True)
        run = self._run_dd(tool, empty) if load.rate is None else self._run_paced(load, tool, empty)
        if tool is None:
            return run
        return replace(run, counted=tool.count_calls(self._output), output_bytes=self._output.stat().st_size)

    def _run_dd(self, tool: Tool | None, empty: bool) -> Run:
        blocks = 0 if empty else self.blocks // (SLOW_DIVISOR if tool is not None and tool.slow else 1)
        dd = [shutil.which("dd") or "dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={blocks}"]
        told, cpu_s, messages = self._run_program(tool, ["exec", str(self._report), *dd])
        copied = re.search(r"copied, ([0-9.e+-]+) s", messages)
        if copied is None:
            raise SystemExit(f"dd did not say how long it took:\n{messages}")
        begin_s = told["cpu_begin_ns"] / 1e9
        return Run(2 * blocks, float(copied[1]), float(copied[1]), start_s=begin_s, cpu_s=cpu_s - begin_s)

    def _run_paced(self, load: Load, tool: Tool | None, empty: bool) -> Run:
        numbers = [load.rate, 0 if empty else self.seconds, self.threads]
        arguments = [load.kind, *numbers, self._visited, FILES, self._report]
        told, cpu_s, _ = self._run_program(tool, [str(argument) for argument in arguments])
        begin_s, end_s = told["cpu_begin_ns"] / 1e9, told["cpu_end_ns"] / 1e9
        return Run(
            told["calls"],
            told["busy_ns"] / 1e9,
            told["wall_ns"] / 1e9,
            typical_s=told["typical_ns"] / 1e9,
            start_s=begin_s,
            cpu_s=cpu_s - begin_s,
            cpu_during_s=end_s - begin_s,
        )

    def _run_program(self, tool: Tool | None, arguments: list[str]) -> tuple[dict[str, int], float, str]:
        """The load's report, the CPU seconds of the process that traced it, and what was printed on stderr."""
        command = [str(self._program), *arguments]
        pid, cpu_s, messages = run_command(command if tool is None else tool.command(self._output, command))
        if not self._report.exists():
            raise SystemExit(f"{tool.name if tool else 'the load'} ended without having run the load\n{messages}")
        told = json.loads(self._report.read_text())
        if tool is not None and told["tracer"] != pid:
            raise SystemExit(f"{tool.name} did not start the load itself: whose CPU time the load read is unknown")
        return told, cpu_s, messages


def run_command(command: list[str]) -> tuple[int, float, str]:
    """The number of a command's process, the CPU seconds it used without its children, and its messages.

    Its CPU clock is read when it has ended and was not waited for: by then all its threads are counted.
    """
    with tempfile.TemporaryFile("w+") as messages:
        environment = {**os.environ, "LC_ALL": "C"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": messages, "env": environment}
        with ended(subprocess.Popen(command, **quiet)) as process:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            cpu_s = time.clock_gettime((~process.pid << 3) | 2)  # as clock_getcpuclockid(3) makes it
            status = process.wait()
        messages.seek(0)
        text = messages.read()
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: status {status}\n{text}")
    return process.pid, cpu_s, text


def usable(bench: Bench, tool: Tool) -> bool:
    """Whether another tracer works here: perf, for one, may be there and not for this kernel."""
    if tool.program == OWN:
        return True  # or there is nothing to measure, and that is told
    try:
        bench.run(Load("dd", "dd"), tool, empty=True)
    except SystemExit as failure:
        print(f"left out: {tool.name}: {' '.join(str(failure).split())}", flush=True)
        return False
    return True


def measure(bench: Bench, loads: list[Load], chosen: list[Tool], runs: int) -> Iterator[list[Figures]]:
    """The figures of each load when it is done: the untraced ones first, then those of each tool."""
    # what a tool does around a load of no calls is the same for all paced ones: they set up alike
    nothing: dict[tuple[str, bool], list[Run]] = {}
    for load in loads:
        found = [Figures(load, tool) for tool in (None, *chosen)]
        for tool in chosen:
            key = tool.name, load.rate is None
            if key not in nothing:
                nothing[key] = [bench.run(load, tool, empty=True) for _ in range(min(runs, 3))]
        for _ in range(runs):
            for figures in found:
                figures.runs.append(bench.run(load, figures.tool))
        for figures in found[1:]:
            assert figures.tool is not None
            figures.nothing = nothing[figures.tool.name, load.rate is None]
        yield found


COLUMNS = "{:10}{:18}{:>10} {:>8} {:>25} {:>8} {:>23} {:>8} {:>9}  {}"
HEAD = ("load", "tool", "reached/s", "ns/call", "slowdown", "typical", "recorder, ns/call", "of a CPU", "B per row")


def print_figures(found: list[Figures]) -> None:
    """The lines of one load."""
    base = found[0]
    for row in found:
        reached, call_ns = f"{statistics.median(row.reached):,.0f}", f"{statistics.median(row.call_s) * 1e9:.0f}"
        if row.tool is None:
            print(COLUMNS.format(row.load.name, "untraced", reached, call_ns, *[""] * 6).rstrip())
            continue
        slowdown = spread(row.slowdown(base), 2)
        typical = "-" if row.load.rate is None else f"{statistics.median(row.typical_slowdown(base)):.2f}"
        recorder = spread([cpu_s * 1e9 for cpu_s in row.recorder_s], 0)
        share = "-" if row.cpu_share is None else f"{statistics.median(row.cpu_share):.1%}"
        size = "-" if row.bytes_per_row is None else f"{statistics.median(row.bytes_per_row):.1f}"
        lost = f"{max(row.lost, key=abs)} of {max(run.calls for run in row.runs)}"
        figures = (reached, call_ns, slowdown, typical, recorder, share, size, lost)
        print(COLUMNS.format("", row.tool.name, *figures), flush=True)


def closing_lines(found: list[Figures]) -> Iterator[str]:
    """What the tools are, and what they use before a load begins."""
    for row in found:
        if row.tool is not None:
            yield f"{row.tool.name}: start {row.start_s:.2f} s of CPU; {row.tool.version}"


def spread(values: list[float], digits: int) -> str:
    """Median and range; never a negative zero."""
    median, low, high = (round(v, digits) + 0.0 for v in (statistics.median(values), min(values), max(values)))
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def benchmarks(found: list[Figures], common: Metadata) -> Iterator[pyperf.Benchmark]:
    """What is saved of one load: seconds per call of the load and of the tracer's CPU, by tool."""
    for row in found:
        name = f"live {row.load.name}, {row.tool.name if row.tool else 'untraced'}"
        metadata = [common | extra for extra in run_metadata(row, found[0])]
        yield benchmark(name, row.call_s, metadata)
        if row.tool is None:
            continue
        if min(row.recorder_s) > 0:  # pyperf knows no others
            yield benchmark(f"{name}, recorder", row.recorder_s, metadata)
        else:
            least_ns = round(min(row.recorder_s) * 1e9)
            print(f"{name}, recorder: not saved, {least_ns} ns/call is the noise of a short run", flush=True)


def benchmark(name: str, values: list[float], metadata: list[Metadata]) -> pyperf.Benchmark:
    runs = zip(values, metadata, strict=True)
    return pyperf.Benchmark(
        [pyperf.Run([value], metadata={"name": name, **extra}, collect_metadata=False) for value, extra in runs]
    )


def run_metadata(row: Figures, base: Figures) -> Iterator[Metadata]:
    """The figures of each run that are no times per call."""
    for number, run in enumerate(row.runs):
        told: Metadata = {
            "load": row.load.name,
            "tool": row.tool.name if row.tool else "none",
            "rate": row.load.rate or "unthrottled",
            "rate_reached": round(row.reached[number]),
            "calls": run.calls,
            "pairs_per_operation": 1,
            "timer_covers": "the load's calls, one after the other, by its own clock: see benchmarks/bench_live.py",
            "allocations_counted": "not counted: what is timed is another program",
        }
        if row.load.rate is not None:
            told["typical_ns_per_call"] = round(run.typical_s * 1e9)
        if row.tool is not None:
            told["tool_version"] = row.tool.version
            told["start_cpu_s"] = round(run.start_s, 3)
            told["slowdown"] = round(row.slowdown(base)[number], 4)
            told["lost"] = row.lost[number]
            told["recorder_ns_per_call"] = round(row.recorder_s[number] * 1e9, 1)
            if row.load.rate is not None:
                told["typical_slowdown"] = round(row.typical_slowdown(base)[number], 4)
            if row.cpu_share is not None:
                told["recorder_cpu_share"] = round(row.cpu_share[number], 5)
            if row.bytes_per_row is not None:
                told["bytes_per_row"] = round(row.bytes_per_row[number], 3)
        yield told


def parse_rates(text: str) -> list[Load]:
    """`1k,2M,max` as loads."""
    return [Load(f"rw {name}", "rw", parse_rate(name)) for name in map(str.strip, text.split(","))]


def parse_rate(text: str) -> int:
    """Calls a second, 0 for `max`."""
    if text == "max":
        return 0
    number, unit = (text[:-1], text[-1]) if text.endswith(("k", "M")) else (text, "")
    return positive(number) * {"": 1, "k": 1_000, "M": 1_000_000}[unit]


def parse_options() -> argparse.Namespace:
    names = [tool.name for tool in tools()]
    parser = Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="save the figures of every run, too")
    parser.add_argument("--quick", action="store_true", help="one short run of few loads, but for what else is given")
    parser.add_argument("--runs", type=positive, default=5, help="runs of every load and tool [5]")
    parser.add_argument("--seconds", type=seconds, default=1.0, help="how long a paced load runs [1]")
    parser.add_argument("--rates", type=parse_rates, default=RATES, help=f"calls per second [{RATES}]")
    parser.add_argument("--threads", type=int, default=1, choices=range(1, 65), metavar="N", help="of a paced load [1]")
    parser.add_argument(
        "--count", type=positive, default=1_000_000, help=f"dd's blocks; slow tools 1/{SLOW_DIVISOR} [1000000]"
    )
    parser.add_argument("--tools", help=f"which of those that are installed, by name [{','.join(names)}]")
    options = parser.parse_args()
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args()
    options.asked = options.tools is not None
    wanted = options.tools.split(",") if options.asked else names
    if not set(wanted) <= set(names):
        parser.error(f"--tools knows {', '.join(names)} here")
    options.tools = [tool for tool in tools() if tool.name in wanted]
    if options.count < SLOW_DIVISOR:
        parser.error(f"--count is at least {SLOW_DIVISOR}")
    need_new_file(parser, options.output)
    if shutil.which(OWN) is None:
        parser.error(f"{OWN} is missing: run this by the interpreter that tracer is installed for, as ./dev bench does")
    if os.geteuid() != 0:
        parser.error("tracing needs root: sudo, or ./dev bench")
    if shutil.which("gcc") is None:
        parser.error("gcc is missing: the load is a C program")
    return options


def main() -> None:
    """Measure, print load after load, and save."""
    options = parse_options()
    loads = [Load("dd", "dd"), *options.rates, Load("files max", "files", 0)]
    common = machine() | {"threads": options.threads, "paced_seconds": options.seconds, "dd_blocks": options.count}
    print("\n".join(f"{key}: {value}" for key, value in common.items()), f"\nruns: {options.runs}\n")
    saved: list[pyperf.Benchmark] = []
    there = telling(
        lambda: f"{len(saved)} benchmarks are in {options.output}" if saved and options.output else "nothing was saved"
    )
    with tempfile.TemporaryDirectory(prefix="bench-live-", ignore_cleanup_errors=True) as name, there:
        bench = Bench(Path(name), options.seconds, options.threads, options.count)
        chosen = options.tools if options.asked else [tool for tool in options.tools if usable(bench, tool)]
        print(COLUMNS.format(*HEAD, "lost, worst"))
        for found in measure(bench, loads, chosen, options.runs):
            print_figures(found)
            saved.extend(benchmarks(found, common))
            if options.output is not None:  # each time, so that a later load that fails takes nothing away
                pyperf.BenchmarkSuite(saved).dump(str(options.output), replace=True)
                forget_owner(options.output)
    print("\n" + "\n".join(closing_lines(found)))


if __name__ == "__main__":
    main()
