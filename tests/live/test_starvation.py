"""A recorder that does not get what it needs: processor, disk, memory. What it could not record is counted, to the
call, and it does not grow."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Cli, Counted, Start, records_of, resident, stop, until, until_attached, until_looked
from disks import frozen, loop_disk

import tracer
from tracer.capture.kernel import cgroup2_mounts
from tracer.pipeline import Filter, LiveSession, ParquetRecorder, Processes
from tracer.pipeline import record as record_session

STOP_S = 10
MEMORY_LIMIT = 256 << 20
"""docs/reliability.md tells it: with the default ring of 64 MiB."""

Recorder = subprocess.Popen[bytes]


def record(start: Start, counted: Counted, *options: str | Path) -> Recorder:
    """A recorder of all calls that the counted program makes from now on."""
    pid = str(counted.process.pid)
    recorder = start("record", "-o", "a.parquet", "-e", "getppid", *options, "-p", pid)
    until_attached(recorder)
    return recorder


def finish(recorder: Recorder, counted: Counted) -> None:
    """Let both end. One more call closes the account: one that has no end yet is counted when the next one begins."""
    until_looked(recorder, 50)
    counted.make(1)
    counted.end()
    _, messages = recorder.communicate(timeout=60)
    assert recorder.returncode == 0, messages


def lost_of(recording: Path, calls: int) -> int:
    """Records that found the ring full. Asserts that rows and losses together are all calls that were made."""
    with tracer.open(recording) as opened:
        rows, loss, table = opened.rows, opened.loss, opened.losses
    assert loss is not None
    assert records_of(rows, loss) == 2 * calls, (rows, loss)
    full = [entry["lost"] for entry in table.to_pylist() if entry["cause"] == "ring_full"]
    assert sum(full) == loss["ring_full"]
    return sum(full)


def test_stops_while_it_starts(start: Start, counted: Counted, work: Path) -> None:
    """The kernel gives up loading a program when a signal comes, and stops can't be blocked."""
    pid = str(counted.process.pid)
    recorder = start("record", "-o", "a.parquet", "-e", "getppid", "-p", pid, stderr=subprocess.DEVNULL)
    until(lambda: list(work.glob(".a.parquet.*.tmp")), "the temporary file")
    for _ in range(60):
        recorder.send_signal(signal.SIGSTOP)
        recorder.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    until_attached(recorder)
    counted.make(1000)
    finish(recorder, counted)
    assert lost_of(work / "a.parquet", 1001) == 0


def test_a_stop_of_ten_seconds(start: Start, counted: Counted, work: Path) -> None:
    recorder = record(start, counted, "--buffer-size", "1M")
    counted.make(200_000)
    until_looked(recorder)
    before = resident(recorder.pid, "VmHWM")
    stop(recorder)
    end = time.monotonic() + STOP_S
    while time.monotonic() < end:
        counted.make(20_000)
    recorder.send_signal(signal.SIGCONT)
    until_looked(recorder)
    assert resident(recorder.pid, "VmHWM") <= 1.1 * before
    finish(recorder, counted)
    assert lost_of(work / "a.parquet", counted.calls) > 0


def test_a_name_that_finds_no_room_is_lost_with_its_call(start: Start, programs: Path, work: Path) -> None:
    """Of the threads some make their first call when the ring is full, and so tell in vain what they are called."""
    threads = Counted(programs, threads=8)
    recorder = record(start, threads, "--buffer-size", "64K")
    stop(recorder)
    threads.make(5_000)
    recorder.send_signal(signal.SIGCONT)
    until_looked(recorder)
    threads.make(100)
    finish(recorder, threads)
    assert lost_of(work / "a.parquet", threads.calls) > 0
    with tracer.open(work / "a.parquet") as opened:
        assert set(opened.arrow().column("comm").to_pylist()) == {"counted"}


class TestOneProcessor:
    """The least of all priorities, on a processor that another program keeps busy."""

    @pytest.fixture
    def busy(self) -> Iterator[Callable[[int], None]]:
        spinning: list[subprocess.Popen[bytes]] = []

        def spin(cpu: int) -> None:
            command = ["taskset", "-c", str(cpu), sys.executable, "-c", "while True: pass"]
            spinning.append(subprocess.Popen(command))

        yield spin
        for process in spinning:
            process.kill()
            process.wait()

    def test_what_there_was_no_time_for_is_counted(
        self, start: Start, counted: Counted, work: Path, busy: Callable[[int], None]
    ) -> None:
        recorder = record(start, counted, "--buffer-size", "64K")
        cpu = min(os.sched_getaffinity(0))
        for task in Path(f"/proc/{recorder.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {cpu})
            os.setpriority(os.PRIO_PROCESS, int(task.name), 19)
        os.sched_setaffinity(counted.process.pid, {cpu})
        busy(cpu)
        before = resident(recorder.pid)
        for _ in range(20):
            counted.make(20_000)
        after = resident(recorder.pid)
        os.sched_setaffinity(recorder.pid, os.sched_getaffinity(0))
        finish(recorder, counted)
        assert lost_of(work / "a.parquet", counted.calls) > 0
        assert after <= before + (48 << 10), "no more than the batches that may wait"


class TestStalledDisk:
    """A file system that is frozen takes no write, as a disk that does not answer."""

    def test_the_ring_takes_the_strain_and_then_it_is_counted(
        self, start: Start, counted: Counted, tmp_path: Path
    ) -> None:
        with loop_disk(tmp_path / "image", "mkfs.ext4", "-q") as disk:
            recorder = record(start, counted, "--force", "--buffer-size", "1M", "-o", disk / "a.parquet")
            counted.make(1000)
            until_looked(recorder)
            with frozen(disk):
                # more than the nine batches of 65,536 rows that may wait, and what the ring holds
                counted.make(1_200_000)
                full = resident(recorder.pid)
                counted.make(600_000)
                assert resident(recorder.pid) <= 1.02 * full, "nothing more is kept"
            finish(recorder, counted)
            assert lost_of(disk / "a.parquet", counted.calls) > 600_000


class TestMemoryLimit:
    @pytest.fixture
    def group(self, tmp_path: Path) -> Iterator[Path]:
        """A cgroup with a limit of memory, of whichever version has memory's controller here."""
        name = f"tracer-test-{os.getpid()}"
        old = Path("/sys/fs/cgroup/memory")
        mounts = cgroup2_mounts()
        if (old / "memory.limit_in_bytes").exists():
            place, limit = old / name, "memory.limit_in_bytes"
        elif mounts and "memory" in (mounts[0] / "cgroup.controllers").read_text():
            (mounts[0] / "cgroup.subtree_control").write_text("+memory")
            place, limit = mounts[0] / name, "memory.max"
        else:
            raise AssertionError("no cgroup has memory's controller here")
        place.mkdir()
        try:
            (place / limit).write_text(str(MEMORY_LIMIT))
            yield place
        finally:
            until(lambda: not (place / "cgroup.procs").read_text(), "the end of all in the cgroup")
            place.rmdir()

    def test_a_ring_that_does_not_fit_is_refused(self, tracer_cli: Path, group: Path, work: Path) -> None:
        """Of the largest size: its number of bytes needs 32 bits without a sign."""
        enter = f"echo $$ > {group}/cgroup.procs; exec {tracer_cli} record -o a.parquet --buffer-size 2G -- touch mark"
        ended = subprocess.run(["sh", "-c", enter], cwd=work, capture_output=True, timeout=60, check=False)
        assert ended.returncode == 2
        message = b"the kernel has no memory for a ring buffer of 2097152 KiB\n  hint: a smaller --buffer-size\n"
        assert ended.stderr == b"tracer-cli: error: " + message
        assert list(work.iterdir()) == []

    def test_a_ring_that_there_is_no_address_space_for_is_refused(self, cli: Cli, work: Path) -> None:
        """As much as all else takes: 256 MiB, mapped twice in a row, are too much."""
        few = ["prlimit", f"--as={1_000_000_000}"]
        ended = cli("record", "-o", "a.parquet", "--buffer-size", "256M", "--", "touch", "mark", prefix=few, status=2)
        message = "the ring buffer's data can't be mapped\n  hint: a smaller --buffer-size; it takes twice that"
        assert ended.stderr == f"tracer-cli: error: {message} of address space\n"
        assert list(work.iterdir()) == []

    def test_a_recorder_lives_within_it(self, programs: Path, tracer_cli: Path, group: Path, work: Path) -> None:
        calls = 2_000_000
        enter = (
            f"echo $$ > {group}/cgroup.procs; exec {tracer_cli} record -o a.parquet -e getppid -- {programs}/counted"
        )
        ended = subprocess.run(
            ["sh", "-c", enter], cwd=work, input=f"{calls}\n1\n".encode(), capture_output=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr
        with tracer.open(work / "a.parquet") as opened:
            assert records_of(opened.rows, opened.loss) == 2 * (calls + 1)


class TestProcessorGone:
    """The last processor is taken away and given back, again and again, while threads make calls on all of them."""

    TURNS = 4

    @pytest.fixture
    def switch(self) -> Iterator[Path]:
        cpus = Path("/sys/devices/system/cpu")
        last = (cpus / "online").read_text().strip().rpartition("-")[2].rpartition(",")[2]
        switch = cpus / f"cpu{last}" / "online"
        assert switch.exists(), f"processor {last} can't be taken away on this machine (CONFIG_HOTPLUG_CPU)"
        try:
            yield switch
        finally:
            switch.write_text("1")

    @pytest.fixture
    def threads(self, programs: Path) -> Iterator[Counted]:
        program = Counted(programs, threads=4)
        yield program
        program.process.kill()
        program.process.communicate()

    def test_every_call_is_a_row_or_counted(self, start: Start, threads: Counted, work: Path, switch: Path) -> None:
        recorder = record(start, threads, "--buffer-size", "1M")
        for _ in range(self.TURNS):
            threads.begin(50_000)
            switch.write_text("0")
            threads.wait()
            threads.begin(50_000)
            switch.write_text("1")
            threads.wait()
        finish(recorder, threads)
        lost_of(work / "a.parquet", threads.calls)


class TestClockStep:
    @pytest.mark.parametrize("step_s", [3600, -3600])
    def test_rows_and_losses_stay_on_the_boot_clock(
        self, counted: Counted, work: Path, monkeypatch: pytest.MonkeyPatch, step_s: int
    ) -> None:
        """The machine's wall clock is stepped while it records: as if it were, to us."""
        real = time.time_ns
        actions = itertools.chain(
            [
                lambda: counted.make(100),
                lambda: monkeypatch.setattr(time, "time_ns", lambda: real() + step_s * 10**9),
                lambda: counted.make(20_000),  # on the tracing thread: more than the ring holds
                lambda: counted.make(100),
                counted.end,
            ],
            itertools.repeat(lambda: None),
        )
        with LiveSession(
            Processes([counted.process.pid]),
            frozenset({"getppid"}),
            Filter(),
            ring_bytes=64 << 10,
            should_stop=lambda: next(actions)() is not None,
        ) as session:
            record_session(session, ParquetRecorder(work / "a.parquet"))
        offset_ns = session.clock.wall_offset_ns
        with tracer.open(work / "a.parquet") as opened:
            (calls,) = opened.sql(
                "SELECT count(*) AS whole, max(epoch_us(time)) - min(epoch_us(time)) AS span_us, "
                f"count(*) FILTER (epoch_us(time) = (time_ns + {offset_ns}) // 1000) AS good FROM calls"
            ).to_pylist()
            (losses,) = opened.sql(
                "SELECT count(*) AS whole, "
                f"count(*) FILTER (epoch_us(from_time) = (from_ns + {offset_ns}) // 1000) AS good FROM losses"
            ).to_pylist()
        assert calls["good"] == calls["whole"] > 200
        assert losses["good"] == losses["whole"] > 0
        assert calls["span_us"] < 60_000_000
