"""When something was lost: the ledger of real recordings whose ring was too small for a while."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Counted, Start, go_on, records_of, stop, until, until_attached, until_looked
from test_watch import new_view

import tracer
from tracer._fast.ring import Ring
from tracer.capture.kernel import LOSS_CAUSES
from tracer.cli.progress import closing_line
from tracer.pipeline import Command, Filter, LiveSession, ParquetRecorder, Processes, RawWriter, Watch
from tracer.pipeline import record as record_session

AROUND = 100
"""Calls of a burst that fits in the smallest ring."""
TOO_MANY = 20_000

LEAVING_OUT = """
SELECT count(*) AS calls FROM calls WHERE NOT EXISTS (
    SELECT 1 FROM losses
    WHERE coalesce(from_ns, time_ns) <= time_ns + coalesce(latency_ns, 0) AND coalesce(to_ns, time_ns) >= time_ns
    AND cause NOT IN ('refused_calls', 'unfinished_calls')
)
"""
"""Calls in no window in which something was lost: the example of docs/schema.md."""


def boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class TestLedger:
    """A recorder that is stopped while more is done than its ring can hold, with complete bursts before and after."""

    @pytest.fixture
    def gap(self, counted: Counted, start: Start, work: Path) -> tuple[int, int]:
        """Records it all, with the raw stream; two moments, on the boot clock, between which something was lost."""
        pid = str(counted.process.pid)
        recorder = start(
            "record", "-o", "a.parquet", "--raw", "a.raw", "--buffer-size", "64K", "-e", "getppid", "-p", pid
        )
        until_attached(recorder)
        counted.make(AROUND)
        began = boot_ns()
        until_looked(recorder)
        stop(recorder)
        counted.make(TOO_MANY)
        recorder.send_signal(signal.SIGCONT)
        until_looked(recorder)
        ended = boot_ns()
        counted.make(AROUND)
        counted.end()
        _, messages = recorder.communicate(timeout=30)
        assert recorder.returncode == 0, messages
        return began, ended

    def test_windows_are_where_it_was_lost(self, gap: tuple[int, int], work: Path, counted: Counted) -> None:
        began, ended = gap
        with tracer.open(work / "a.parquet") as opened:
            losses: list[dict[str, Any]] = opened.losses.to_pylist()
            loss = opened.loss
            rows = opened.rows
            complete = opened.sql(LEAVING_OUT).to_pylist()
            (times,) = opened.sql("SELECT min(time) AS first, max(time) AS last FROM calls").to_pylist()
        assert records_of(rows, loss) == 2 * counted.calls
        full = [entry for entry in losses if entry["cause"] == "ring_full"]
        assert sum(entry["lost"] for entry in full) == loss["ring_full"] > TOO_MANY
        assert len({entry["cpu"] for entry in full}) == len(full), "one window a processor"
        for entry in losses:
            assert began <= entry["from_ns"] < entry["to_ns"] <= ended
            assert times["first"] < entry["from_time"] < entry["to_time"] < times["last"]
        assert complete == [{"calls": 2 * AROUND}], "bursts around it are whole, and nothing else is outside"

    def test_a_replay_tells_the_same(self, gap: tuple[int, int], work: Path, cli: Cli) -> None:
        cli("replay", "a.raw", "-o", "b.parquet")
        with tracer.open(work / "a.parquet") as live, tracer.open(work / "b.parquet") as again:
            assert live.losses.num_rows > 0
            assert again.losses.equals(live.losses)
            assert again.loss == live.loss


def test_what_is_left_around_lost_records_is_right(programs: Path, cli: Cli, work: Path) -> None:
    """Names are lost with the calls that they were sent for, and no call is completed by another one's end."""
    options = ("--buffer-size", "64K", "-e", "faccessat,faccessat2,pread64,dup2,close")
    cli("record", "-o", "a.parquet", *options, "--", programs / "lost_names")
    with tracer.open(work / "a.parquet") as opened:
        assert opened.loss["ring_full"] > 1000
        calls = opened.sql("SELECT DISTINCT syscall, fd, ret, file FROM calls").to_pylist()
    found = {(call["ret"], call["file"]) for call in calls if call["fd"] == 40 and call["syscall"] == "pread64"}
    assert found == {(10, f"{work}/10"), (20, f"{work}/20"), (-9, None)}
    found = {(call["ret"], call["file"]) for call in calls if call["syscall"].startswith("faccessat")}
    with_p, without_p = ("/".join([str(work), *[letter * 199] * 10, "p"]) for letter in "ab")
    assert found == {(0, with_p), (-2, without_p)}


def test_a_thread_that_another_one_renames_while_there_is_no_room(
    programs: Path, run, start: Start, work: Path
) -> None:
    """The new name is told when there is room again."""
    process = run(programs / "misnamed")
    assert process.stdout.readline() == b"ready\n"
    recorder = start("record", "-o", "out.parquet", "--buffer-size", "64K", "-e", "getppid", "-p", str(process.pid))
    until_attached(recorder)
    for said in (b"called\n", b"renamed\n"):
        os.write(process.stdin.fileno(), b"\n")
        assert process.stdout.readline() == said
        stop(recorder)  # so that the second time nobody empties the ring
    recorder.send_signal(signal.SIGCONT)
    until_looked(recorder, 50)
    go_on(process)
    assert recorder.wait(timeout=60) == 0
    with tracer.open(work / "out.parquet") as opened:
        assert opened.loss["ring_full"] > 1000
        names = opened.sql("SELECT comm FROM calls WHERE comm IN ('before', 'after') ORDER BY seq")["comm"].to_pylist()
    assert names == ["before"] + ["after"] * 500


def test_a_recording_of_a_part_has_the_losses_of_that_part(counted: Counted, work: Path) -> None:
    def too_much() -> None:
        counted.make(TOO_MANY)

    target = Processes([counted.process.pid])
    with LiveSession(target, frozenset({"getppid"}), Filter(), ring_bytes=64 << 10, flush_s=0.05) as session:
        watch = Watch(session, new_view())
        tracing = threading.Thread(target=watch.run)
        tracing.start()
        session.at_boundary(lambda: None)  # it traces
        session.at_boundary(too_much)  # on the tracing thread: nobody drains meanwhile
        until(lambda: session.losses()["ring_full"], "the loss")
        watch.start_recording(work / "whole.parquet")
        counted.make(AROUND)
        whole = watch.stop_recording()
        began = boot_ns()
        watch.start_recording(work / "lossy.parquet")
        session.at_boundary(too_much)
        lossy = watch.stop_recording()
        ended = boot_ns()
        counted.end()
        tracing.join(30)
        assert not tracing.is_alive()
        totals, entries = session.balance()
    assert (whole.rows, whole.losses["ring_full"]) == (AROUND, 0)
    assert lossy.losses["ring_full"] > TOO_MANY
    assert totals["ring_full"] > lossy.losses["ring_full"]
    assert sum(entry.lost or 0 for entry in entries if entry.cause == "ring_full") == totals["ring_full"]
    with tracer.open(work / "whole.parquet") as opened:
        assert "ring_full" not in opened.losses.column("cause").to_pylist()
    with tracer.open(work / "lossy.parquet") as opened:
        assert opened.loss == lossy.losses
        windows = [entry for entry in opened.losses.to_pylist() if entry["cause"] == "ring_full"]
    assert sum(entry["lost"] for entry in windows) == lossy.losses["ring_full"]
    assert all(began <= entry["from_ns"] < entry["to_ns"] <= ended for entry in windows)


class TestFailOnLoss:
    def record(self, start: Start, counted: Counted, *options: str) -> tuple[int, str]:
        """Record more calls than the ring holds; the status, and what is said."""
        pid = str(counted.process.pid)
        recorder = start("record", "-o", "a.parquet", "--buffer-size", "64K", "-e", "getppid", *options, "-p", pid)
        until_attached(recorder)
        stop(recorder)
        counted.make(TOO_MANY)
        recorder.send_signal(signal.SIGCONT)
        counted.end()
        _, messages = recorder.communicate(timeout=30)
        return recorder.returncode, messages.decode()

    def test_status_is_3_and_the_loss_is_named(self, start: Start, counted: Counted, cli: Cli, work: Path) -> None:
        status, said = self.record(start, counted, "--fail-on-loss", "-c")
        assert status == 3
        with tracer.open(work / "a.parquet") as opened:
            rows, loss = opened.rows, opened.loss
        lost = f"{loss['ring_full']:,}"
        assert f"tracer-cli: {rows:,} rows in " in said
        assert f" s, of at least as many calls, lost: ring_full {lost}" in said
        assert "  calls (at least)  " in said
        shown = cli("summary", "a.parquet")
        assert f"not everything was recorded, sums are at least: {lost} ring full" in shown.stderr
        assert "  calls (at least)  " in shown.stdout
        document = json.loads(cli("summary", "a.parquet", "--json").stdout)
        assert document["at_least"] is True
        assert document["loss"]["ring_full"] == loss["ring_full"]

    def test_status_is_0_without_the_option(self, start: Start, counted: Counted) -> None:
        status, said = self.record(start, counted, "-q")
        assert (status, said) == (0, "")

    @pytest.mark.parametrize("status", [0, 7])
    def test_status_is_the_commands_if_nothing_was_lost(self, cli: Cli, status: int) -> None:
        cli("record", "--fail-on-loss", "-o", "a.parquet", "--", "sh", "-c", f"exit {status}", status=status)


def test_a_counter_that_can_not_be_read_is_unknown(work: Path) -> None:
    with LiveSession(Command(["true"]), frozenset({"execve"}), Filter()) as session:
        with Path("/dev/null").open("rb") as no_map:  # as if the kernel refused to read it
            os.dup2(no_map.fileno(), session._source._loaded.maps["losses"], inheritable=False)
        outcome = record_session(session, ParquetRecorder(work / "a.parquet"))
    unread = {cause for cause, lost in outcome.losses.items() if lost is None}
    assert unread == set(LOSS_CAUSES)
    assert " s, of at least as many calls, lost: ring_full unknown, " in closing_line(work / "a.parquet", outcome)
    with tracer.open(work / "a.parquet") as opened:
        assert opened.loss == outcome.losses
        entries = opened.losses.to_pylist()
    assert {entry["cause"] for entry in entries} == unread
    assert all(entry["lost"] is None and entry["from_ns"] < entry["to_ns"] for entry in entries)


class Stuck:
    """A ring of which nothing can be read, as behind a record that is never completed."""

    def __init__(self, ring: Ring) -> None:
        self.pending_bytes = ring.pending_bytes

    def drain(self, block: object) -> int:
        return 0


def test_what_is_left_in_the_ring_is_counted(work: Path) -> None:
    with LiveSession(Command(["true"]), frozenset({"execve"}), Filter()) as session:
        session._ring = Stuck(session._ring)  # type: ignore[assignment]
        outcome = record_session(session, ParquetRecorder(work / "a.parquet"))
        left = session._ring.pending_bytes()
    assert outcome.rows == 0
    assert left >= 24, "an enter and an exit at least"
    lost = {cause: count for cause, count in outcome.losses.items() if count != 0}
    assert lost == {"undrained_bytes": left}
    assert f", of at least as many calls, lost: undrained_bytes {left:,}; " in closing_line(work / "a.parquet", outcome)
    with tracer.open(work / "a.parquet") as opened:
        assert opened.loss == outcome.losses


def test_nothing_lost_is_an_empty_ledger(cli: Cli, work: Path) -> None:
    cli("record", "-o", "a.parquet", "--", "true")
    assert json.loads(pq.read_metadata(work / "a.parquet").metadata[b"tracer.losses"]) == []
    with tracer.open(work / "a.parquet") as opened:
        assert opened.losses.num_rows == 0


def test_a_refused_call_has_no_row_among_failed_ones(programs: Path, cli: Cli, work: Path) -> None:
    """Its end is not that of the call before, which never returned."""
    cli("record", "--fail-on-loss", "-Z", "-o", "out.parquet", "-e", "all", "--", programs / "refused")
    with tracer.open(work / "out.parquet") as opened:
        rows = opened.sql("SELECT syscall FROM calls WHERE error IN ('EPERM', 'EXDEV')").to_pylist()
    assert rows == []


def test_a_refused_call_is_no_loss(programs: Path, cli: Cli, work: Path) -> None:
    """The kernel shows the end of a call that seccomp refuses, and nothing else."""
    calls = "write,pread64,openat,close"
    ended = cli("record", "--fail-on-loss", "-o", "out.parquet", "-e", calls, "--", programs / "refused")
    assert "nothing lost" in ended.stderr
    with tracer.open(work / "out.parquet") as opened:
        loss = opened.loss
        (rows,) = opened.sql("SELECT count(*) AS calls FROM calls WHERE error IN ('EPERM', 'EXDEV')").to_pylist()
    assert rows["calls"] == 0
    assert loss["refused_calls"] == 120
    assert {lost for cause, lost in loss.items() if cause != "refused_calls"} == {0}


class SlowLinks(list[int]):
    """Links to tracepoints of which each takes a while to be taken away."""

    def pop(self, index: Any = -1) -> int:
        time.sleep(0.01)
        return super().pop(index)


@pytest.mark.parametrize("calls", [{"lseek"}, {"access"}, {"lseek", "access", "clone", "exit_group", "wait4"}])
def test_what_comes_after_the_end_is_not_lost(programs: Path, cli: Cli, work: Path, calls: set[str]) -> None:
    """A program goes on while the tracepoints are taken away one after the other."""
    busy = subprocess.Popen([programs / "busy"])
    with LiveSession(
        Processes([busy.pid]),
        frozenset(calls),
        Filter(),
        raw=lambda head: RawWriter(work / "a.raw", head),
        should_stop=lambda: session.rows > 100,
    ) as session:
        session._source._links = SlowLinks()
        outcome = record_session(session, ParquetRecorder(work / "a.parquet"))
    busy.kill()
    busy.wait()
    assert outcome.rows > 100
    assert {cause: lost for cause, lost in outcome.losses.items() if lost != 0} == {}
    cli("replay", "a.raw", "-o", "b.parquet")
    assert pq.read_table(work / "b.parquet").equals(pq.read_table(work / "a.parquet"))
    with tracer.open(work / "b.parquet") as opened:
        assert opened.loss == outcome.losses
