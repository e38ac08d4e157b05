"""Profiles of one operation of workload.py: processor time, memory and waiting, saved with a text of the top of each.

    ./dev benchprof [OPERATION] [--pairs N] [--seconds S] [--only cpu,mem,block] [--folder FOLDER]

As root: perf sees the kernel then, and tracer-cli traces. Every profile is made in a process of its own, by
profiled.py, which warms the operation up and marks its runs; making the events is in a profile only where it says so.
docs/profiling.md tells what each profile is and how to open it.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from arguments import Parser, need_folder, positive, seconds
from ending import ended, telling
from machine import first_line, machine
from workload import PIPELINES

import tracer

HERE = Path(__file__).parent
TOP = 25
PERF_HZ = 997
PY_SPY_HZ = 200

MAY_WAIT = (
    "futex,read,write,pread64,pwrite64,writev,fsync,fdatasync,sync,ftruncate,poll,ppoll,select,pselect6,epoll_wait,"
    "nanosleep,clock_nanosleep,wait4,flock,rename,unlink,sched_yield"
)
"""Calls that may wait for something."""

BETWEEN = re.compile(
    r"<unknown>|default_|_?Py[A-Z]|array_|operator new|std::|__gnu_cxx|__Pyx_|\.LTHUNK"
    r"|arrow::(BaseMemoryPoolImpl|PoolBuffer|ResizableBuffer|(Typed)?BufferBuilder|Allocate|MemoryPool)"
)
"""Frames that only stand between an allocator and who wanted memory."""

OF_INTEREST = re.compile(r"\((tracer|pyarrow|workload)[/.\w]*\.(py|pyx|pxd|pxi):\d+\)$")
"""Frames that a table of stacks shows."""

RECORDER = "the recorder's"
"""Its thread, which Python's `threading` doesn't know."""

Text = Iterator[str]


@dataclass(frozen=True, slots=True)
class Job:
    """What is profiled, and where it goes: `file("cpu.txt")` is `<folder>/pipeline-<date>-<time>-cpu.txt`."""

    operation: str
    pairs: int
    memory_pairs: int
    seconds: float
    prefix: Path

    def file(self, ending: str) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}-{ending}")

    def command(self, *marks: str | Path, pairs: int = 0) -> list[str]:
        """The command that runs the operation."""
        numbers = ["--pairs", str(pairs or self.pairs), "--seconds", str(self.seconds)]
        return [sys.executable, str(HERE / "profiled.py"), self.operation, *numbers, *map(str, marks)]


# --- processor time


def profile_cpu(job: Job) -> Text:
    """Perf for where the time goes, py-spy for who called it."""
    yield f"Processor time of a run, all threads: {job.pairs:,} pairs a run, cpu-clock at {PERF_HZ} Hz."
    yield from perf_tables(record_with_perf(job))
    yield f"\nIn which functions each thread is, with what they call: py-spy at {PY_SPY_HZ} Hz, of threads that run."
    yield "It stops the process for every look, so these are rough beside perf's."
    yield from stack_table(record_with_py_spy(job))
    yield from opening(
        (
            f"perf report -i {job.file('cpu.perf.data').name}",
            "on the machine where it was made: perf looks for the code",
        ),
        (f"https://www.speedscope.app, {job.file('cpu.folded.gz').name}", "flame graph, Python and native frames"),
    )


def record_with_perf(job: Job) -> Path:
    data = job.file("cpu.perf.data")
    with tempfile.TemporaryDirectory() as folder:
        control, acknowledged = Path(folder, "control"), Path(folder, "ack")
        os.mkfifo(control)
        os.mkfifo(acknowledged)
        switch = ["--delay=-1", f"--control=fifo:{control},{acknowledged}"]
        perf = ["perf", "record", "-q", "-F", str(PERF_HZ), "-e", "cpu-clock", *switch, "-o", str(data)]
        run([*perf, "--", *job.command("--perf", control, acknowledged)], job)
    return data


def perf_tables(data: Path) -> Text:
    """Samples by file of code and by function."""
    report = ["perf", "report", "-i", str(data), "-q", "--stdio", "-F", "sample,dso,symbol", "-t", "\t"]
    found = [line.split("\t") for line in first_output(report).splitlines() if line.count("\t") >= 2]
    samples = [(int(count), dso.strip(), plain_name(symbol.strip()[4:])) for count, dso, symbol, *_ in found]
    total = sum(count for count, *_ in samples)
    if not total:
        fail("perf has no samples", "more --seconds, or more --pairs")
    yield f"{total} samples\n"
    yield from table(
        ("share", "code"), shares(summed((short_dso(dso), n) for n, dso, _ in samples).most_common(12), total)
    )
    yield ""
    functions = summed((f"{name}  ({short_dso(dso)})", n) for n, dso, name in samples).most_common(TOP)
    yield from table(("share", "function"), shares(functions, total))


def short_dso(dso: str) -> str:
    """`pairer.cpython-311-x86_64-linux-gnu.so` as pairer, `libarrow.so.2600` as libarrow."""
    return re.sub(r"\.(cpython|so|kallsyms).*", "", dso).strip("[]")


def record_with_py_spy(job: Job) -> Path:
    """Stacks in a run, `a;b;c count` a line, threads by name."""
    folded = job.file("cpu.folded.gz")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        spy = [beside("py-spy"), "record", "--native", "--threads", "-r", str(PY_SPY_HZ), "-f", "raw", "-o", str(raw)]
        run([*spy, "--", *job.command()], job)
        lines = [with_thread(line) for line in raw.read_text().splitlines()]
    stacks = summed((stack, int(n)) for stack, _, n in (line.rpartition(" ") for line in lines) if in_run(stack))
    with gzip.open(folded, "wt") as file:
        file.writelines(f"{stack} {count}\n" for stack, count in sorted(stacks.items()))
    return folded


def with_thread(line: str) -> str:
    """A stack that begins with its thread's name, or with none. py-spy has none for the recorder's."""
    stack = re.sub(r"^thread \(\d+\):? ?", "", line)
    return RECORDER + stack if stack.startswith(";") and ";ParquetRecorder._run (" in stack else stack


def in_run(stack: str) -> bool:
    """Whether a stack is of a run: the main thread's if the marking frame is in it, others' if they have a name."""
    return "watched_run (" in stack or not stack.startswith(("MainThread", ";"))


def stack_table(folded: Path) -> Text:
    """Share of a thread's stacks that a function is in, of those whose lines are known: Python's and Cython's."""
    threads: Counter[str] = Counter()
    functions: Counter[tuple[str, str]] = Counter()
    with gzip.open(folded, "rt") as file:
        for line in file:
            stack, _, count = line.rpartition(" ")
            thread, *frames = stack.split(";")
            threads[thread] += int(count)
            for name in {re.sub(r":\d+\)$", ")", frame) for frame in frames if OF_INTEREST.search(frame)}:
                functions[thread, name] += int(count)
    rows = [(thread, f"{n / threads[thread]:.1%}", name) for (thread, name), n in functions.most_common(TOP)]
    yield "samples: " + ", ".join(f"{thread} {count}" for thread, count in threads.most_common())
    for thread in threads:
        yield f"\n{thread}"
        yield from table(("share", "function"), [row[1:] for row in rows if row[0] == thread])


# --- memory


def profile_memory(job: Job) -> Text:
    """Memray, with native frames and Python's own allocators."""
    allocated, in_use = job.file("mem-allocated.bin"), job.file("mem-in-use.bin")
    run(job.command("--memory", allocated, in_use, pairs=job.memory_pairs), job, ARROW_DEFAULT_MEMORY_POOL="system")
    yield f"Memory: {job.memory_pairs:,} pairs a run; memray with native frames, Python's and Arrow's allocators seen."
    yield "\nAllocated: everything that one run asks for, however briefly it has it."
    records = list(allocation_sites(allocated, every=True))
    yield from memory_table(records, by_count=False)
    yield "\nThe same by the number of allocations."
    yield from memory_table(records, by_count=True)
    yield "\nIn use at the peak, from the making of the engine on; the events that runs are fed with included."
    yield from memory_table(list(allocation_sites(in_use, every=False)), by_count=False)
    yield from opening(
        (f"memray stats {allocated.name}", "sizes, and the largest"),
        (
            f"memray flamegraph --temporary-allocation-threshold=1000000000 {allocated.name}",
            "all of them, as HTML; native frames on the machine where it was made: memray looks for the code",
        ),
        (f"memray flamegraph {in_use.name}", "the peak, as HTML, in the same way"),
    )


Site = tuple[str, int, int]
"""Who wanted memory; bytes; allocations."""


def allocation_sites(path: Path, *, every: bool) -> Iterator[Site]:
    """The allocations of a file, summed up by stack; `every`: all, else those that are in use at the peak."""
    import memray

    frees = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
    with memray.FileReader(path) as reader:
        records = reader.get_allocation_records() if every else reader.get_high_watermark_allocation_records()
        sizes: Counter[tuple[int, int]] = Counter()
        counts: Counter[tuple[int, int]] = Counter()
        examples = {}
        for record in records:
            if record.allocator not in frees:
                stack = record.stack_id, record.native_stack_id
                sizes[stack] += record.size
                counts[stack] += record.n_allocations
                examples[stack] = record
        for stack, record in examples.items():
            yield who_wanted(record.hybrid_stack_trace()), sizes[stack], counts[stack]


def who_wanted(stack: list[tuple[str, str, int]]) -> str:
    """The innermost function that is no allocator, and the next Cython or Python function of ours around it."""
    wanted = next((frame_name(*frame) for frame in stack if not BETWEEN.match(frame[0])), "?")
    ours = (frame_name(*frame) for frame in stack if "_6tracer_" in frame[0] or re.search(r"/tracer/.*\.py$", frame[1]))
    around = next((name for name in ours if name != wanted), "")
    return wanted + (f"  <  {around}" if around else "")


def frame_name(name: str, file: str, _: int) -> str:
    """A function's name, behind its module's if it is Python's."""
    return f"{Path(file).stem}.{name}" if file.endswith(".py") else plain_name(name)


def memory_table(sites: list[Site], *, by_count: bool) -> Text:
    sizes, counts = summed((who, size) for who, size, _ in sites), summed((who, count) for who, _, count in sites)
    yield f"{sum(sizes.values()):,} bytes in {sum(counts.values()):,} allocations\n"
    top = (counts if by_count else sizes).most_common(TOP)
    yield from table(
        ("bytes", "allocations", "who, and for which of our functions"),
        [(f"{sizes[who]:,}", f"{counts[who]:,}", who) for who, _ in top],
    )


# --- waiting

WAITS = """
WITH intervals AS (SELECT * REPLACE (coalesce(end_ns, 9223372036854775807) AS end_ns) FROM '{intervals}'),
runs AS (SELECT * FROM intervals WHERE kind = 'run'),
threads AS (SELECT * FROM intervals WHERE kind = 'thread'),
waits AS (SELECT * FROM intervals WHERE kind = 'wait'),
done AS (SELECT *, time_ns + latency_ns AS end_ns FROM calls WHERE latency_ns IS NOT NULL),
within_runs AS (
    SELECT done.*, least(done.end_ns, runs.end_ns) - greatest(time_ns, begin_ns) AS waited_ns
    FROM done JOIN runs ON time_ns < runs.end_ns AND done.end_ns > begin_ns
),
named AS (
    SELECT c.*, coalesce(threads.what, c.comm || ' (no Python thread)') AS thread,
        CASE
            WHEN syscall <> 'futex' THEN regexp_replace(coalesce(file, '-'), '^.*/profiled-[^/]*/', '')
            WHEN waits.what IS NOT NULL THEN waits.what
            WHEN threads.what IS NULL THEN 'not known; most often work: idle'
            ELSE 'a lock; most often the GIL' END AS waits_for
    FROM within_runs c
    LEFT JOIN threads ON threads.tid = c.tid AND c.time_ns BETWEEN threads.begin_ns AND threads.end_ns
    LEFT JOIN waits ON waits.tid = c.tid AND c.time_ns >= waits.begin_ns AND c.end_ns <= waits.end_ns
)
SELECT thread, syscall, regexp_replace(waits_for, '[0-9a-f]{{8,}}|[0-9]+', 'N', 'g') AS waits_for,
    count(DISTINCT seq)::BIGINT AS calls, sum(waited_ns)::DOUBLE AS total_ns,
    quantile_disc(latency_ns, 0.99) AS p99_ns, max(latency_ns) AS max_ns
FROM named GROUP BY ALL ORDER BY total_ns DESC LIMIT {top}
"""


Row = dict[str, Any]


def profile_waiting(job: Job) -> Text:
    """The operation recorded with tracer itself: the calls that may wait, while in a run."""
    recording, intervals = job.file("block.parquet"), job.file("block-intervals.parquet")
    traced = [beside("tracer-cli"), "record", "-q", "-e", MAY_WAIT, "-o", str(recording)]
    run([*traced, "--", *job.command("--intervals", intervals)], job)
    file = str(intervals).replace("'", "''")
    with tracer.open(recording) as opened:
        runs = opened.sql(f"SELECT count(*) n, sum(end_ns - begin_ns)::DOUBLE s FROM '{file}' WHERE kind = 'run'")
        waits = opened.sql(WAITS.format(intervals=file, top=TOP)).to_pylist()
        lost = sum(count or 0 for count in (opened.loss or {}).values())
    count, total_ns = runs["n"][0].as_py(), runs["s"][0].as_py()
    yield f"Waiting: {count} runs of {job.pairs:,} pairs, {total_ns / 1e6:,.0f} ms in all; {lost} calls lost."
    yield "Calls that may wait, as tracer-cli recorded them, as far as they lie in a run. Shares are of the runs' time,"
    yield "each thread for itself. Copying is a part of read and write. Futex calls that wake others are in the counts,"
    yield "but take next to no time. p99 and longest are of whole calls. Waiting for a CPU is no call, and not here.\n"
    yield from wait_table([row for row in waits if not is_idle(row)], total_ns)
    yield "\nThreads without work: nothing to gain here.\n"
    yield from wait_table([row for row in waits if is_idle(row)], total_ns)
    yield from opening(
        (f"tracer-cli summary --by thread {recording.name}", "the whole process, its start included"),
        (f"duckdb -c \"FROM '{recording.name}' ORDER BY latency_ns DESC LIMIT 20\"", "the longest calls"),
        (f"duckdb -c \"FROM '{intervals.name}'\"", "runs, threads and Python's waits, by the clock of `time_ns`"),
    )


def is_idle(row: Row) -> bool:
    return str(row["waits_for"]).endswith("idle")


def wait_table(waits: list[Row], total_ns: float) -> Text:
    head = ("total ms", "share", "calls", "p99 us", "longest us", "thread", "call", "what it waits for")
    rows = [
        (
            f"{row['total_ns'] / 1e6:,.1f}",
            f"{row['total_ns'] / total_ns:.1%}",
            f"{row['calls']:,}",
            f"{row['p99_ns'] / 1e3:,.0f}",
            f"{row['max_ns'] / 1e3:,.0f}",
            row["thread"],
            row["syscall"],
            row["waits_for"],
        )
        for row in waits
    ]
    yield from table(head, rows, numbers=5)


# --- names


def plain_name(symbol: str) -> str:
    """A function's name without Cython's mangling, C++'s types and compilers' marks."""
    plain = re.sub(
        r" \[clone [^]]*\]|\(anonymous namespace\)::|\.(lto_priv|constprop|isra|part|localalias)[.\d]*", "", symbol
    )
    if plain.startswith("__pyx_"):
        return cython_name(plain.partition("(")[0])
    plain = re.sub(r"\{lambda\(.*?\)#\d+\}(::operator\(\))?", "lambda", plain).replace("operator()", "operator")
    while (shorter := re.sub(r"<[^<>]*>", "", plain)) != plain:
        plain = shorter
    return plain.partition("(")[0].rpartition(" ")[2] or symbol


def cython_name(symbol: str) -> str:
    """`__pyx_pf_6tracer_5_fast_6engine_6Engine_4feed` as tracer._fast.engine.Engine.feed."""
    rest, parts = re.sub(r"^__pyx_[a-z_]+?_(?=\d)", "", symbol), []
    while match := re.match(r"(\d+)(.+)", rest):
        part, after = match[2][: int(match[1])], match[2][int(match[1]) :]
        if not after.startswith("_") or not part.strip("_"):
            break  # the number is a method's
        parts.append(part)
        rest = after[1:]
    return ".".join([*parts, re.sub(r"^\d+", "", rest)])


# --- text


def summed(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    counter: Counter[str] = Counter()
    for key, count in pairs:
        counter[key] += count
    return counter


def shares(counts: Iterable[tuple[str, int]], total: int) -> list[tuple[str, str]]:
    return [(f"{count / total:.1%}", name.rstrip()) for name, count in counts]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int | None = None) -> Text:
    """Columns: the first ones, of numbers, to the right; the others, of text, to the left. By default one is text."""
    numbers = len(head) - 1 if numbers is None else numbers
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [f"{c:>{w}}" if i < numbers else f"{c:{w}}" for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        yield "  ".join(cells).rstrip()


def opening(*commands: tuple[str, str]) -> Text:
    yield "\nThe whole of it, in this folder (memray is in .tox/benchprof/bin, duckdb from `pip install duckdb-cli`):"
    for command, what in commands:
        yield f"    {command}    # {what}"


# --- running


def fail(problem: str, hint: str) -> NoReturn:
    raise SystemExit(f"benchprof: {problem}\nhint: {hint}")


def run(command: Sequence[str], job: Job, **variables: str) -> None:
    """Run a profiler with what it profiles, with time enough for slow ones. The files of what is profiled go however
    that ends: perf, interrupted, leaves it no time to see to them."""
    program, patience_s = Path(command[0]).name, 120 + 10 * job.seconds
    with tempfile.TemporaryDirectory(prefix="benchprof-", ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder, **variables}
        pipe = subprocess.PIPE
        with ended(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)) as profiler:
            try:
                output, errors = profiler.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                profiler.kill()
                fail(f"{program} did not end in time", "fewer --pairs")
    if profiler.returncode != 0:
        said = (errors.strip() or output.strip() or "nothing").splitlines()[-1]
        fail(
            f"{program} ended with status {profiler.returncode}: {said}",
            f"does it run by itself? {' '.join(job.command())}",
        )


def first_output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def beside(program: str) -> str:
    """A program of this interpreter's environment, else of PATH."""
    return shutil.which(Path(sys.executable).with_name(program)) or shutil.which(program) or program


PROFILES: dict[str, Callable[[Job], Text]] = {"cpu": profile_cpu, "mem": profile_memory, "block": profile_waiting}
PROFILERS = {"cpu": ("perf", "py-spy"), "mem": ("memray",), "block": ("tracer-cli",)}
HINTS = {"perf": "Debian: apt-get install linux-perf; or leave it out: --only mem,block"}


def require(kinds: list[str]) -> None:
    """End with one line and a hint if something is missing."""
    if os.geteuid() != 0 and kinds != ["mem"]:
        fail("perf and tracer-cli need root here", "sudo, or `./dev benchprof`; or `--only mem`, which does without")
    for program in (program for kind in kinds for program in PROFILERS[kind]):
        if shutil.which(beside(program)) is None:
            fail(f"{program} is missing", HINTS.get(program, "`./dev benchprof` brings it"))


def parse_options() -> tuple[Job, list[str]]:
    parser = Parser(__doc__)
    parser.add_argument(
        "operation", nargs="?", choices=PIPELINES, default="tui_parquet_file", help="[tui_parquet_file]"
    )
    parser.add_argument("--pairs", type=positive, default=1_000_000, help="calls in a run [1000000]")
    parser.add_argument("--memory-pairs", type=positive, default=100_000, help="at most so many under memray [100000]")
    parser.add_argument("--seconds", type=seconds, default=10, help="how long each profiler looks [10]")
    parser.add_argument("--only", default=",".join(PROFILES), help="which profiles [cpu,mem,block]")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "bench-profiles", help="[bench-profiles]")
    options = parser.parse_args()
    kinds = list(dict.fromkeys(options.only.split(",")))
    if not set(kinds) <= PROFILES.keys():
        parser.error(f"--only knows {', '.join(PROFILES)}")
    need_folder(parser, options.folder, make=True)
    prefix = options.folder.resolve() / f"pipeline-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    memory_pairs = min(options.pairs, options.memory_pairs)
    return Job(options.operation, options.pairs, memory_pairs, options.seconds, prefix), kinds


def version_of(program: str) -> str:
    """What a profiler says it is: some say only their number."""
    told = first_line((beside(program), "--version"))
    return told if program in told else f"{program} {told}"


def main() -> None:
    """Make the profiles, print and save the text of each."""
    job, kinds = parse_options()
    require(kinds)
    about = [f"operation: {job.operation}", *(f"{key}: {value}" for key, value in machine().items())]
    for kind in kinds:
        versions = "; ".join(map(version_of, PROFILERS[kind]))
        with telling(lambda kind=kind: f"there is no profile of {kind}"):
            try:
                text = "\n".join([*about, f"made with: {versions}", "", *PROFILES[kind](job)])
            except BaseException:
                for begin in ("", "."):  # half a profile would be taken for one
                    for partial in job.prefix.parent.glob(f"{begin}{job.prefix.name}-{kind}*"):
                        partial.unlink()
                raise
        job.file(f"{kind}.txt").write_text(text + "\n")
        print(f"{text}\n\nsaved beside: {job.file(f'{kind}.txt')}\n", flush=True)


if __name__ == "__main__":
    main()
