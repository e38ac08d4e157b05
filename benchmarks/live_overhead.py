"""What tracing costs, next to other tools: python benchmarks/live_overhead.py [--count N] [--runs R] [--json FILE].

As root. The traced program is `dd bs=1 count=N`, two system calls a block and nearly nothing besides: the worst case
for any tracer. All tools that are installed take turns, run after run, so that a machine that is busy for a while is
busy for all of them. The slow ones get a smaller N; it is printed. The figures:

slowdown   the time dd itself prints for its copying loop (its start and end left out), per block, over that of an
           untraced dd. Median and range of the runs.
recorder   CPU time, user and system, of the tracer's process alone with all its threads, per system call: from its
           /proc/PID/stat once it has ended but was not waited for, where the kernel keeps the time of its children
           (dd) apart. What the same tool uses to trace `dd count=0` (its start, compiling a program for the kernel and
           the like) is taken off, and printed as `start`. What runs inside dd's own calls (eBPF programs) is in the
           slowdown. Resolution: 10 ms over the whole run.
lost       calls that are missing from the output: 2 N, less what the run recorded beyond what `dd count=0` does.

For `tracer-cli record` all of it is the full way: kernel, pairing, columns, Parquet file. It is the one beside the
interpreter that runs this.
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

CALLS_PER_BLOCK = 2  # a read and a write
SLOW_DIVISOR = 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BPFTRACE_PROGRAM = "tracepoint:raw_syscalls:sys_exit /pid == cpid/ { @[args->id] = count(); }"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tracer: how it is called for an output file and a command, and how many calls its output tells of."""

    name: str
    program: str
    arguments: Callable[[Path, Sequence[str]], list[str]]
    count_calls: Callable[[Path], int]
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds dd took for its loop, CPU seconds of the tracer alone, calls in its output."""

    copying_s: float
    tracer_cpu_s: float
    calls: int


@dataclass(slots=True)
class Figures:
    """What is printed of a tool."""

    name: str
    version: str
    blocks: int
    slowdowns: list[float] = field(default_factory=list)
    recorder_ns: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    start_cpu_s: float = 0.0


def dd(blocks: int) -> list[str]:
    return [shutil.which("dd") or "dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={blocks}"]


def rows(path: Path) -> int:
    import pyarrow.parquet as pq

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
    return sum(int(count) for count in re.findall(r"^@\[\d+\]: (\d+)$", path.read_text(), flags=re.MULTILINE))


def tools() -> list[Tool]:
    """The tracers that are installed here; tracer-cli is the one beside this interpreter."""
    own = str(Path(sys.executable).with_name("tracer-cli"))
    known = (
        Tool("tracer-cli record", own, lambda out, cmd: ["record", "-q", "--force", "-o", str(out), "--", *cmd], rows),
        Tool("strace -o", "strace", lambda out, cmd: ["-o", str(out), *cmd], lines, slow=True),
        Tool("strace -c", "strace", lambda out, cmd: ["-c", "-o", str(out), *cmd], counts_of_strace, slow=True),
        Tool("perf trace", "perf", lambda out, cmd: ["trace", "-o", str(out), *cmd], lines, slow=True),
        Tool(
            "bpftrace (counts)",
            "bpftrace",
            lambda out, cmd: ["-o", str(out), "-e", BPFTRACE_PROGRAM, "-c", " ".join(cmd)],
            counts_of_bpftrace,
        ),
    )
    return [tool for tool in known if shutil.which(tool.program)]


def cpu_of_ended(pid: int) -> float:
    """CPU seconds of a process that has ended and was not waited for, without its children (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def run_command(command: list[str]) -> tuple[float, float]:
    """Seconds that dd says it took, and CPU seconds of the command's own process. Raises RuntimeError if it failed."""
    environment = {**os.environ, "LC_ALL": "C"}
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages, env=environment)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        cpu_s = cpu_of_ended(process.pid)
        status = process.wait()
        messages.seek(0)
        text = messages.read()
    copied = re.search(r"copied, ([0-9.e+-]+) s", text)
    if status != 0 or copied is None:
        raise RuntimeError(f"{' '.join(command)}: status {status}\n{text}")
    return float(copied[1]), cpu_s


def run_traced(tool: Tool, blocks: int, folder: Path) -> Run:
    output = folder / "output"
    output.unlink(missing_ok=True)
    copying_s, cpu_s = run_command([tool.program, *tool.arguments(output, dd(blocks))])
    return Run(copying_s, cpu_s, tool.count_calls(output))


def first_line(command: list[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return (answer.stdout or answer.stderr if answer.returncode == 0 else "").strip().partition("\n")[0]


def commit() -> str:
    """The commit this file belongs to, with a plus if tracked files differ from it; empty outside of a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    changed = first_line([*git, "status", "--porcelain", "-uno"])
    return first_line([*git, "rev-parse", "--short", "HEAD"]) + ("+" if changed else "")


def cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    return found[1] if found else platform.machine()


def new_figures(tool: Tool, blocks: int) -> Figures:
    version = first_line([tool.program, "--version"])
    return Figures(tool.name, version, blocks // SLOW_DIVISOR if tool.slow else blocks)


def measure(chosen: list[Tool], blocks: int, runs: int) -> tuple[list[float], list[Figures]]:
    """Nanoseconds per block untraced, one of each run, and the figures of each tool."""
    bare_ns: list[float] = []
    found = [new_figures(tool, blocks) for tool in chosen]
    traced_ns: list[list[float]] = [[] for _ in chosen]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = [run_traced(tool, 0, folder) for tool in chosen]
        for _ in range(runs):
            bare_ns.append(run_command(dd(blocks))[0] / blocks * 1e9)
            for tool, figures, nothing, times in zip(chosen, found, empty, traced_ns, strict=True):
                times.append(add_run(figures, run_traced(tool, figures.blocks, folder), nothing))
    base_ns = statistics.median(bare_ns)
    for figures, times in zip(found, traced_ns, strict=True):
        figures.slowdowns = [ns / base_ns for ns in times]
    return bare_ns, found


def add_run(figures: Figures, run: Run, nothing: Run) -> float:
    """Notes a run, given one of `dd count=0`; nanoseconds per block."""
    calls = figures.blocks * CALLS_PER_BLOCK
    figures.start_cpu_s = nothing.tracer_cpu_s
    figures.recorder_ns.append((run.tracer_cpu_s - nothing.tracer_cpu_s) / calls * 1e9)
    figures.lost.append(calls - (run.calls - nothing.calls))
    return run.copying_s / figures.blocks * 1e9


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def print_table(machine: dict[str, object], bare_ns: list[float], found: list[Figures]) -> None:
    for key, value in machine.items():
        print(f"{key + ':':9}{value}")
    print(f"untraced: {spread([ns / CALLS_PER_BLOCK for ns in bare_ns], 0)} ns per call\n")
    columns = "{:18}{:>8}  {:>24}  {:>21}  {:>8}  {:>15}"
    print(columns.format("", "blocks", "slowdown", "recorder, ns per call", "start, s", "lost, worst run"))
    for row in found:
        lost = f"{max(row.lost, key=abs)} of {row.blocks * CALLS_PER_BLOCK}"
        slowdown, recorder = spread(row.slowdowns, 2), spread(row.recorder_ns, 0)
        print(columns.format(row.name, row.blocks, slowdown, recorder, f"{row.start_cpu_s:.2f}", lost))
    print("\n" + "\n".join(sorted({f"{row.name.split(' ')[0]}: {row.version}" for row in found})))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help=f"blocks; slow tools: 1/{SLOW_DIVISOR} [1000000]")
    parser.add_argument("--runs", type=int, default=5, help="runs of every tool [5]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every run, too")
    options = parser.parse_args()
    if options.count < SLOW_DIVISOR or options.runs < 1:
        parser.error(f"--count is at least {SLOW_DIVISOR}, --runs at least 1")
    if os.geteuid() != 0:
        parser.error("tracing needs root")
    machine: dict[str, object] = {
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "commit": commit(),
        "runs": options.runs,
    }
    bare_ns, found = measure(tools(), options.count, options.runs)
    print_table(machine, bare_ns, found)
    if options.json:
        figures = {**machine, "untraced_ns_per_block": bare_ns, "tools": [asdict(row) for row in found]}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
