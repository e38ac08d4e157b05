"""The recorder where it is not at home: in namespaces of its own, and with a terminal that goes away."""

from __future__ import annotations

import os
import pty
import signal
import termios
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, until, until_attached

pytestmark = pytest.mark.beside_others

ELSEWHEN = ["unshare", "--time", "--boottime", "1000000", "--fork"]
ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc"]


def test_times_in_a_time_namespace(cli: Cli, work: Path) -> None:
    """The kernel program's clock is not shifted."""
    began = datetime.now(UTC)
    cli("record", "-o", "a.parquet", "--", "cat", "/etc/passwd", prefix=ELSEWHEN)
    ended = datetime.now(UTC)
    times = pq.read_table(work / "a.parquet")["time"].to_pylist()
    assert times
    assert began - timedelta(seconds=1) < min(times) <= max(times) < ended + timedelta(seconds=1)


def test_a_flight_recorder_in_a_time_namespace(cli: Cli, work: Path) -> None:
    cli("record", "--ring", "60s", "-o", "a.parquet", "--", "cat", "/etc/passwd", prefix=ELSEWHEN)
    assert "/etc/passwd" in pq.read_table(work / "a-0001.parquet")["file"].to_pylist()


@pytest.mark.parametrize("target", [["--", "cat", "/etc/passwd"], ["-p", "1"], ["-a", "-d", "1s"]])
def test_a_pid_namespace_is_refused(target: list[str], cli: Cli, work: Path) -> None:
    """Numbers of processes are others there than those that the kernel program sees."""
    said = cli("record", "-o", "a.parquet", *target, prefix=ELSEWHERE, status=2).stderr
    assert said.startswith("tracer-cli: error: can't trace from inside a PID namespace")
    assert "hint: " in said
    assert list(work.iterdir()) == []


def test_a_user_namespace_is_refused(cli: Cli, work: Path) -> None:
    """Its root has all capabilities, and none that counts."""
    prefix = ["unshare", "--user", "--map-root-user"]
    assert "not of a user namespace" in cli("record", "-o", "a.parquet", "--", "true", prefix=prefix, status=2).stderr
    assert "BAD  privileges" in cli("doctor", prefix=prefix, status=2).stdout


def test_a_doctor_in_a_pid_namespace(cli: Cli) -> None:
    lines = cli("doctor", prefix=ELSEWHERE, status=2).stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("BAD")] == ["processes", "tracing"]


def test_without_proc(cli: Cli, tracer_cli: Path, work: Path) -> None:
    hidden = ["unshare", "--mount", "sh", "-c", 'umount --lazy /proc && exec "$@"', "sh"]
    assert "/proc can't be read" in cli("record", "-o", "a.parquet", "--", "true", prefix=hidden, status=2).stderr
    assert "BAD  processes" in cli("doctor", prefix=hidden, status=2).stdout


def test_a_terminal_that_goes_away(tracer_cli: Path, work: Path) -> None:
    """It sends SIGHUP to the recorder alone, which hands it on; what is said then nobody hears."""
    script = "trap 'exit 5' HUP; echo ready; while :; do read x < /etc/passwd; sleep 0.01; done"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(work)
        os.execv(tracer_cli, ["tracer-cli", "record", "-o", "a.parquet", "--", "sh", "-c", script])
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 5
    assert [path.name for path in work.iterdir()] == ["a.parquet"]
    assert "/etc/passwd" in pq.read_table(work / "a.parquet")["file"].to_pylist()


def test_a_terminal_that_is_stopped(start: Start, work: Path) -> None:
    """By Ctrl-S. More is traced meanwhile than the ring holds, and the recording is completed; the last line waits."""
    ours, theirs = pty.openpty()
    command = ["sh", "-c", "read x; exec dd if=/dev/zero of=/dev/null bs=1 count=1000000 status=none"]
    tracer = start("record", "--fail-on-loss", "-o", "a.parquet", "--", *command, stderr=theirs)
    shown = b""
    while b" rows " not in shown:
        shown += os.read(ours, 65536)
    termios.tcflow(theirs, termios.TCOOFF)
    tracer.stdin.write(b"\n")
    tracer.stdin.close()
    until((work / "a.parquet").exists, "the recording")
    termios.tcflow(theirs, termios.TCOON)
    while b"lost; a.parquet" not in shown:
        shown += os.read(ours, 65536)
    assert tracer.wait(timeout=30) == 0
    for terminal in (ours, theirs):
        os.close(terminal)
    assert b" s, nothing lost; a.parquet" in shown
    assert pq.read_metadata(work / "a.parquet").num_rows > 2_000_000


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_what_is_ignored_stays_so(number: int, start: Start, work: Path) -> None:
    """SIGHUP as by nohup, SIGQUIT as by a shell that starts something in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        tracer = start("record", "-o", "a.parquet", "--", "cat")
    finally:
        signal.signal(number, before)
    until_attached(tracer)
    over = time.monotonic() + 0.2
    while time.monotonic() < over:  # a second one that was taken would end the recording at once
        tracer.send_signal(number)
        tracer.stdin.write(b"on\n")
        tracer.stdin.flush()
        assert tracer.stdout.readline() == b"on\n"
    tracer.stdin.write(b"at last\n")
    tracer.stdin.flush()
    assert tracer.stdout.readline() == b"at last\n"
    tracer.communicate(timeout=30)
    assert tracer.returncode == 0
    assert pq.read_table(work / "a.parquet", filters=[("syscall", "=", "write"), ("bytes", "=", 8)]).num_rows == 1


def test_a_snapshot_has_the_while_before_it_was_asked_for(start: Start, work: Path) -> None:
    """All of it, although it is written a second later."""
    tracer = start("record", "--ring", "3s", "-o", "a.parquet", "-e", "access,faccessat,faccessat2", "--", "sh")
    tracer.stdin.write(b"while :; do test -r /etc/passwd; sleep 0.01; done &\nread x\nkill $!\n")
    tracer.stdin.flush()
    until_attached(tracer)
    time.sleep(4)
    asked_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    tracer.send_signal(signal.SIGUSR1)
    until((work / "a-0001.parquet").exists, "the snapshot")
    tracer.communicate(b"\n", timeout=30)
    times = pq.read_table(work / "a-0001.parquet")["time_ns"].to_pylist()
    assert min(times) < asked_ns - 2_900_000_000
    assert max(times) > asked_ns - 100_000_000
