"""`tracer-cli record` as its user sees it: what is recorded, what stays untouched, how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, until, until_attached

from tracer import schema

pytestmark = pytest.mark.beside_others

CLOSING = re.compile(
    r"tracer-cli: (?P<rows>[\d,]+) rows? in (?P<seconds>\d+\.\d\d) s, "
    r"(?P<losses>nothing lost|(?:of at least as many calls, )?lost: .*); "
    r"(?P<path>.+), (?P<size>[\d.]+ \w+)\n"
)

STILL_RUNNING = b"tracer-cli: the command is still running; waiting for its end, or for another signal\n"

FOOTER_KEYS = {
    "version",
    "schema_version",
    "host",
    "boot_id",
    "session",
    "started_at",
    "clock",
    "command",
    "selection",
    "mode",
    "loss",
    "losses",
}

TRAPS = """
trap 'echo got >> mark; ended=5' {signal}
echo ready
while [ -z "$ended" ]; do sleep 0.02; done
sleep 0.2
exit $ended
"""
"""Says that it is ready, notes every signal that it gets, and ends with 5 a while after the first."""


def rows_of(recording: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(recording).to_pylist()
    return rows


def footer_of(recording: Path) -> dict[str, str]:
    metadata = pq.read_metadata(recording).metadata
    return {
        key.decode().removeprefix("tracer."): value.decode()
        for key, value in metadata.items()
        if key.startswith(b"tracer.")
    }


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestCommand:
    def test_its_first_execve_is_there(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "-e", "execve", "--", "true")
        (row,) = rows_of(work / "a.parquet")
        # It is not called "true" before it has succeeded.
        assert (row["syscall"], row["ret"], row["comm"]) == ("execve", 0, "tracer-cli")
        assert row["file"].endswith("/bin/true")

    def test_its_first_calls_of_every_kind_are_there(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "-e", "all", "--", "true")
        rows = rows_of(work / "a.parquet")
        assert [row["syscall"] for row in rows[:2]] == ["execve", "brk"]
        assert rows[-1]["syscall"] == "exit_group"
        assert rows[-1]["latency_ns"] is None
        assert len({row["tid"] for row in rows}) == 1

    def test_children_are_followed(self, cli: Cli, work: Path) -> None:
        for name in ("one", "two", "three"):
            (work / name).write_text(name)
        cli("record", "-o", "a.parquet", "--", "sh", "-c", "cat one; (cat two; cat three & wait)")
        reads = {
            row["file"]: row["pid"] for row in rows_of(work / "a.parquet") if row["syscall"] == "read" and row["bytes"]
        }
        assert len({reads[str(work / name)] for name in ("one", "two", "three")}) == 3

    def test_children_are_left_alone_if_asked_for(self, cli: Cli, work: Path) -> None:
        cli(
            "record",
            "-o",
            "a.parquet",
            "--no-follow-forks",
            "--",
            "sh",
            "-c",
            "cat /etc/passwd; read x < /etc/group; true",
        )
        rows = rows_of(work / "a.parquet")
        assert {row["comm"] for row in rows} == {"sh"}
        assert "/etc/group" in {row["file"] for row in rows}

    def test_streams_are_untouched(self, start: Start) -> None:
        data = b"a line\nzero \0 byte\r\n\x1b[31m\xff\n" * 5000
        tracer = start("record", "-q", "-o", "a.parquet", "--", "sh", "-c", "cat; echo trouble >&2")
        assert tracer.communicate(data, timeout=30) == (data, b"trouble\n")
        assert tracer.returncode == 0

    def test_state_is_what_it_would_be_without_the_tracer(self, cli: Cli, work: Path) -> None:
        script = (
            "grep -E 'Sig(Blk|Ign|Cgt|Pnd)|Cap|NoNewPrivs' /proc/self/status; ls /proc/self/fd; "
            "ulimit -a; pwd; umask; env | grep -v ^_="
        )
        plain = subprocess.run(["sh", "-c", script], cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert cli("record", "-o", "a.parquet", "--", "sh", "-c", script).stdout == plain.stdout

    @pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143)])
    def test_exit_status_is_the_commands(self, script: str, status: int, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--", "sh", "-c", script, status=status)
        assert rows_of(work / "a.parquet")

    def test_options_after_the_command_are_its_own(self, cli: Cli, work: Path) -> None:
        assert cli("record", "-o", "a.parquet", "echo", "-o", "b", "--force", "-e", "x").stdout == "-o b --force -e x\n"
        assert files_in(work) == ["a.parquet"]


class TestCommandThatCannotRun:
    def test_not_found(self, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", "--", "no-such-program", status=127)
        assert ended.stderr == "tracer-cli: error: no-such-program can't be run: No such file or directory\n"
        assert files_in(work) == []

    def test_path_not_found(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--", "./no/such", status=127)
        assert files_in(work) == []

    def test_name_too_long(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--", "./" + "x" * 5000, status=126)
        assert files_in(work) == []

    def test_not_executable(self, cli: Cli, work: Path) -> None:
        (work / "text").write_text("echo no")
        ended = cli("record", "-o", "a.parquet", "--", "./text", status=126)
        assert ended.stderr == "tracer-cli: error: ./text can't be run: Permission denied\n"
        cli("record", "-o", "a.parquet", "--", "/", status=126)
        assert files_in(work) == ["text"]

    def test_refused_by_execve(self, cli: Cli, work: Path) -> None:
        (work / "bytes").write_bytes(b"\x01\x02\x03\x04")
        (work / "script").write_text("#!/no/such/interpreter\n")
        for name in ("bytes", "script"):
            (work / name).chmod(0o755)
        ended = cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "./bytes", status=126)
        assert ended.stderr == "tracer-cli: error: ./bytes can't be run: Exec format error\n"
        cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "./script", status=127)
        assert files_in(work) == ["bytes", "script"]


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
    def test_command_gets_it_and_recording_is_complete(self, number: signal.Signals, start: Start, work: Path) -> None:
        script = TRAPS.format(signal=number.name.removeprefix("SIG"))
        tracer = start("record", "-o", "a.parquet", "-e", "all", "--", "sh", "-c", script)
        assert tracer.stdout.readline() == b"ready\n"
        tracer.send_signal(number)
        _, messages = tracer.communicate(timeout=30)
        assert tracer.returncode == 5
        assert (work / "mark").read_text() == "got\n"
        assert CLOSING.fullmatch(messages.decode())
        assert any(row["syscall"] == "exit_group" and row["comm"] == "sh" for row in rows_of(work / "a.parquet"))
        assert files_in(work) == ["a.parquet", "mark"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
    def test_command_that_dies_of_it_at_once(self, number: signal.Signals, start: Start, work: Path) -> None:
        """Both get it at the same time, as from a terminal: whoever is first, the status is the command's."""
        script = f"echo ready; kill -{number} $PPID; kill -{number} $$; sleep 60"
        tracer = start("record", "-o", "a.parquet", "--", "sh", "-c", script)
        _, messages = tracer.communicate(timeout=30)
        assert tracer.returncode == 128 + number
        assert CLOSING.fullmatch(messages.decode())
        assert files_in(work) == ["a.parquet"]

    def test_command_that_has_ended_when_it_comes(self, start: Start, work: Path) -> None:
        tracer = start("record", "-o", "a.parquet", "--", "sh", "-c", "kill -TERM $PPID; exit 7")
        _, messages = tracer.communicate(timeout=30)
        assert tracer.returncode in {7, 143}, "7 if the command was first, 143 if the signal reached it"
        assert CLOSING.fullmatch(messages.decode())
        assert files_in(work) == ["a.parquet"]

    def test_second_one_ends_the_recording_of_a_command_that_stays(self, start: Start, work: Path) -> None:
        script = "trap '' TERM; echo $$; while :; do read x < /etc/passwd; done"
        tracer = start("record", "-o", "a.parquet", "--", "sh", "-c", script)
        shell = int(tracer.stdout.readline())
        try:
            tracer.send_signal(signal.SIGTERM)
            until(lambda: _pending(tracer.pid) == 0, "the first signal is taken")
            tracer.send_signal(signal.SIGTERM)
            until((work / "a.parquet").exists, "the recording")
            assert CLOSING.fullmatch(tracer.stderr.readline().decode())
            assert tracer.stderr.readline() == STILL_RUNNING
        finally:
            os.kill(shell, signal.SIGKILL)
        tracer.communicate(timeout=30)
        assert tracer.returncode == 137
        assert any(row["file"] == "/etc/passwd" for row in rows_of(work / "a.parquet"))

    def test_a_command_that_is_stopped_goes_on_to_hear_of_it(self, cli: Cli, work: Path) -> None:
        script = "kill -STOP $$; read x < /etc/group"
        cli("record", "-o", "a.parquet", "-d", "500ms", "--", "sh", "-c", script, status=143)
        assert "/etc/group" not in {row["file"] for row in rows_of(work / "a.parquet")}

    def test_one_more_leaves_the_command_alone(self, start: Start, work: Path) -> None:
        tracer = start("record", "-o", "a.parquet", "-d", "100ms", "--", "sh", "-c", "trap '' TERM; echo $$; read x")
        shell = int(tracer.stdout.readline())
        assert CLOSING.fullmatch(tracer.stderr.readline().decode())
        assert tracer.stderr.readline() == STILL_RUNNING
        tracer.send_signal(signal.SIGTERM)
        assert tracer.wait(timeout=30) == -signal.SIGTERM
        assert Path(f"/proc/{shell}/comm").read_text() == "sh\n"
        os.kill(shell, signal.SIGKILL)
        assert files_in(work) == ["a.parquet"]

    def test_ctrl_c_in_a_terminal_reaches_the_command_once(self, tracer_cli: Path, work: Path) -> None:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(work)
            script = TRAPS.format(signal="INT")
            os.execv(tracer_cli, ["tracer-cli", "record", "-o", "a.parquet", "--", "sh", "-c", script])
        shown = read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        shown += read_until(terminal, None)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == 5
        assert (work / "mark").read_text() == "got\n"
        assert b"rows in" in shown
        assert files_in(work) == ["a.parquet", "mark"]
        assert rows_of(work / "a.parquet")


def test_vectors_that_no_call_takes_have_no_size(programs: Path, cli: Cli, work: Path) -> None:
    """A length has 63 bits: the sum of others would begin again at 0."""
    cli("record", "-o", "a.parquet", "-e", "writev", "--", programs / "transfers")
    sizes = [(row["error"], row["requested_bytes"]) for row in rows_of(work / "a.parquet")]
    assert sizes.count(("EINVAL", None)) == len([error for error, _ in sizes if error == "EINVAL"]) == 3
    assert (None, 3000) in sizes


def _pending(pid: int) -> int:
    """Signals that wait for a process (ShdPnd of proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)[1], 16)


def read_until(terminal: int, text: bytes | None) -> bytes:
    """What a terminal shows up to a text, or up to its end."""
    shown = b""
    while text is None or text not in shown:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: nobody is at the other end any more
            part = b""
        if not part:
            break
        shown += part
    return shown


class TestProcesses:
    def test_ends_when_the_process_does(self, start: Start, work: Path) -> None:
        with subprocess.Popen(
            ["sh", "-c", "read x; read y < /etc/passwd; cat /etc/group"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        ) as process:
            tracer = start("record", "-o", "a.parquet", "-p", str(process.pid))
            until_attached(tracer)
            process.communicate(b"go\n", timeout=30)
        _, messages = tracer.communicate(timeout=30)
        assert tracer.returncode == 0, messages
        rows = rows_of(work / "a.parquet")
        assert {row["pid"] for row in rows} == {process.pid}
        assert {"/etc/passwd"} == {row["file"] for row in rows if row["syscall"] == "openat"}
        assert [row["ret"] for row in rows if row["syscall"] == "read" and row["fd"] == 0][-1] == 1

    def test_follows_children_if_asked_for(self, start: Start, work: Path) -> None:
        with subprocess.Popen(
            ["sh", "-c", "read x; cat /etc/group; true"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            tracer = start("record", "-o", "a.parquet", "-f", "-p", str(process.pid))
            until_attached(tracer)
            process.communicate(b"go\n", timeout=30)
        tracer.communicate(timeout=30)
        opens = {row["file"]: row for row in rows_of(work / "a.parquet") if row["syscall"] == "openat"}
        assert opens["/etc/group"]["comm"] == "cat"
        assert opens["/etc/group"]["pid"] != process.pid

    def test_several(self, start: Start, work: Path) -> None:
        command = ["sh", "-c", "read x; read y < /etc/passwd"]
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE) as one,
            subprocess.Popen(command, stdin=subprocess.PIPE) as two,
        ):
            tracer = start("record", "-o", "a.parquet", "-p", str(one.pid), "-p", str(two.pid))
            until_attached(tracer)
            one.communicate(b"go\n", timeout=30)
            assert tracer.poll() is None
            two.communicate(b"go\n", timeout=30)
        tracer.communicate(timeout=30)
        assert tracer.returncode == 0
        assert {row["pid"] for row in rows_of(work / "a.parquet")} == {one.pid, two.pid}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
    def test_signal_ends_the_recording_and_not_the_process(
        self, number: signal.Signals, start: Start, work: Path
    ) -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            tracer = start("record", "-o", "a.parquet", "-p", str(process.pid))
            until_attached(tracer)
            process.stdin.write(b"hello\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"hello\n"
            tracer.send_signal(number)
            _, messages = tracer.communicate(timeout=30)
            assert tracer.returncode == 0
            assert CLOSING.fullmatch(messages.decode())
            assert process.poll() is None
        calls = [(row["syscall"], row["ret"]) for row in rows_of(work / "a.parquet")]
        assert ("write", 6) in calls

    @pytest.mark.parametrize("with_its_process", [False, True])
    def test_one_thread(self, with_its_process: bool, start: Start, work: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", TWO_THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            chosen, other = json.loads(process.stdout.readline())
            options = ["-p", str(process.pid)] if with_its_process else []
            tracer = start("record", "-o", "a.parquet", *options, "-t", str(chosen))
            until_attached(tracer)
            process.communicate("go\n", timeout=30)
        tracer.communicate(timeout=30)
        assert tracer.returncode == 0
        rows = rows_of(work / "a.parquet")
        assert {(row["pid"], row["tid"]) for row in rows} == {(process.pid, chosen)}
        assert f"/proc/{chosen}/comm" in {row["file"] for row in rows}
        assert f"/proc/{other}/comm" not in {row["file"] for row in rows}


TWO_THREADS = """
import json, sys, threading
go = threading.Event()
def work():
    tids.append(threading.get_native_id())
    born.wait()
    go.wait()
    open(f"/proc/{threading.get_native_id()}/comm").close()
tids, born = [], threading.Barrier(3)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
born.wait()
print(json.dumps(tids), flush=True)
sys.stdin.readline()
go.set()
[thread.join() for thread in threads]
"""


class TestMachine:
    def test_sees_others_and_never_itself(self, start: Start, work: Path) -> None:
        tracer = start("record", "-a", "-o", "a.parquet", "-e", "all")
        until_attached(tracer)
        with subprocess.Popen(["cat", "/etc/passwd"], stdout=subprocess.DEVNULL) as other:
            other.wait(timeout=30)
        tracer.send_signal(signal.SIGINT)
        _, messages = tracer.communicate(timeout=30)
        assert tracer.returncode == 0
        assert CLOSING.fullmatch(messages.decode())
        rows = rows_of(work / "a.parquet")
        assert ("/etc/passwd", other.pid) in {(row["file"], row["pid"]) for row in rows}
        assert tracer.pid not in {row["pid"] for row in rows}


class TestDuration:
    def test_bounds_a_command(self, cli: Cli, work: Path) -> None:
        started = time.monotonic()
        cli("record", "-o", "a.parquet", "-d", "300ms", "-e", "all", "--", "sleep", "50", status=143)
        assert time.monotonic() - started < 20
        assert "sleep" in {row["comm"] for row in rows_of(work / "a.parquet")}

    def test_bounds_the_machine(self, cli: Cli, work: Path) -> None:
        ended = cli("record", "-a", "-o", "a.parquet", "-d", "0.5")
        seconds = float(CLOSING.fullmatch(ended.stderr)["seconds"])
        assert 0.5 <= seconds < 10

    def test_is_not_waited_for(self, cli: Cli) -> None:
        started = time.monotonic()
        cli("record", "-o", "a.parquet", "-d", "1h", "--", "true")
        assert time.monotonic() - started < 30


class TestFile:
    def test_is_written_from_a_removed_working_directory(self, tracer_cli: Path, work: Path) -> None:
        recording = work / "a.parquet"
        script = f"mkdir gone && cd gone && rmdir ../gone && exec {tracer_cli} record -q -o {recording} -- ls"
        subprocess.run(["sh", "-c", script], cwd=work, check=True)
        assert any(row["file"] == f"{work}/gone (deleted)" for row in rows_of(recording))

    def test_default_name(self, cli: Cli, work: Path) -> None:
        cli("record", "--", "true")
        cli("record", "--", "true")
        names = files_in(work)
        assert len(names) == 2
        for name in names:
            assert re.fullmatch(r"tracer-true-\d{8}-\d{6}(-\d+)?\.parquet", name)
            assert rows_of(work / name)

    def test_default_name_of_an_odd_command(self, cli: Cli, work: Path) -> None:
        program = work / "bin" / "a b\n\udcff/"[:-1]
        program.parent.mkdir()
        program.symlink_to("/bin/true")
        cli("record", "--", program)
        (name,) = set(files_in(work)) - {"bin"}
        assert re.fullmatch(r"tracer-a_b__-\d{8}-\d{6}\.parquet", name)

    @pytest.mark.parametrize("option", ["-o", "--raw"])
    def test_existing_one_is_never_overwritten(self, option: str, cli: Cli, work: Path) -> None:
        (work / "old").write_text("precious")
        other = "new.raw" if option == "-o" else "new.parquet"
        arguments = [option, "old", "--raw" if option == "-o" else "-o", other]
        ended = cli("record", *arguments, "--", "touch", "mark", status=2)
        assert ended.stderr == (
            "tracer-cli: error: old exists\n  hint: choose another name, or overwrite it with --force\n"
        )
        assert files_in(work) == ["old"]
        assert (work / "old").read_text() == "precious"

    def test_force_overwrites(self, cli: Cli, work: Path) -> None:
        (work / "a.parquet").write_text("old")
        (work / "a.raw").write_text("old")
        cli("record", "--force", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
        assert rows_of(work / "a.parquet")
        assert (work / "a.raw").read_bytes().startswith(b"TRACERAW")

    def test_force_keeps_the_old_one_until_the_new_one_is_complete(self, cli: Cli, work: Path) -> None:
        (work / "a.parquet").write_text("old")
        assert cli("record", "--force", "-o", "a.parquet", "--", "cat", "a.parquet").stdout == "old"
        (work / "b.parquet").write_text("old")
        cli("record", "--force", "-o", "b.parquet", "--", "./nothing", status=127)
        assert (work / "b.parquet").read_text() == "old"

    def test_force_replaces_links_and_not_what_they_lead_to(self, cli: Cli, work: Path) -> None:
        for name in ("a.parquet", "a.raw"):
            (work / f"{name}.target").write_text("old")
            (work / name).symlink_to(f"{name}.target")
        cli("record", "--force", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
        for name in ("a.parquet", "a.raw"):
            assert (work / f"{name}.target").read_text() == "old"
            assert not (work / name).is_symlink()
            assert (work / name).stat().st_mode & 0o7777 == 0o600

    def test_belongs_to_who_called_sudo(self, cli: Cli, work: Path) -> None:
        environment = dict(os.environ, SUDO_UID="65534", SUDO_GID="65533")
        cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "true", env=environment)
        for name in ("a.parquet", "a.raw"):
            status = (work / name).stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (65534, 65533, 0o600)

    def test_belongs_to_root_without_sudo(self, cli: Cli, work: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SUDO_")}
        cli("record", "-o", "a.parquet", "--", "true", env=environment, umask=0)
        status = (work / "a.parquet").stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 0, 0o600)

    def test_is_whole_and_of_the_schema(self, cli: Cli, work: Path) -> None:
        before = time.time_ns()
        cli("record", "-o", "a.parquet", "--", "ls", "-l", "/etc")
        after = time.time_ns()
        table = pq.read_table(work / "a.parquet")
        assert table.schema.equals(schema.SCHEMA)
        assert table.column("seq").to_pylist() == list(range(table.num_rows))
        micros = table.column("time").cast("int64").to_pylist()
        assert before // 1000 <= min(micros) <= max(micros) <= after // 1000
        assert files_in(work) == ["a.parquet"]

    def test_footer(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "-e", "openat,close", "--", "cat", "/dev/null", "a b", status=1)
        footer = footer_of(work / "a.parquet")
        assert set(footer) == FOOTER_KEYS
        assert footer["host"] == os.uname().nodename
        assert footer["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert footer["command"] == "cat /dev/null 'a b'"
        assert footer["selection"] == "close,openat"
        assert (footer["mode"], footer["schema_version"]) == ("headless", "2")
        losses = json.loads(footer["loss"])
        assert {"ring_full", "path_truncated", "path_unreadable", "map_full", "program_skipped"} <= set(losses)
        assert set(losses.values()) == {0}

    def test_clock_in_the_footer_leads_from_one_column_to_the_other(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--", "true")
        clock = json.loads(footer_of(work / "a.parquet")["clock"])
        table = pq.read_table(work / "a.parquet")
        wall = table.column("time").cast("int64").to_pylist()
        boot = table.column("time_ns").to_pylist()
        assert wall == [(ns - clock["boot_ns"] + clock["wall_ns"]) // 1000 for ns in boot]


class TestMessages:
    def test_closing_line(self, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", "--", "true")
        said = CLOSING.fullmatch(ended.stderr)
        assert int(said["rows"].replace(",", "")) == pq.read_metadata(work / "a.parquet").num_rows
        assert said["losses"] == "nothing lost"
        assert said["path"] == "a.parquet"
        number, unit = said["size"].split()
        size = (work / "a.parquet").stat().st_size
        assert float(number) * {"B": 1, "KiB": 1024}[unit] == pytest.approx(size, rel=0.01)

    def test_quiet(self, cli: Cli) -> None:
        assert cli("record", "-q", "-o", "a.parquet", "--", "true").stderr == ""

    def test_summary_at_the_end_is_on_stderr(self, cli: Cli) -> None:
        ended = cli("record", "-c", "-o", "a.parquet", "--", "cat", "/dev/null")
        assert ended.stdout == ""
        assert re.search(r"^ *100\.00 .* total$", ended.stderr, re.MULTILINE)
        assert re.search(r" openat$", ended.stderr, re.MULTILINE)

    @pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
    @pytest.mark.parametrize("option", ["-q", "-c"])
    def test_where_nothing_can_be_said_the_status_is_the_commands(
        self, stderr: str, option: str, cli: Cli, work: Path
    ) -> None:
        prefix = ("sh", "-c", f'exec "$0" "$@" {stderr}')
        cli("record", option, "-o", "a.parquet", "--", "sh", "-c", "exit 7", prefix=prefix, status=7)
        assert pq.read_metadata(work / "a.parquet").num_rows > 0

    def test_progress_is_cut_to_a_narrow_terminal(self, start: Start) -> None:
        """What wraps is not taken away by the next line."""
        text = shown_on_a_terminal(start, "record", "-o", "b.parquet", "--", "sleep", "0.7", columns=20)
        _, *lines, closing = text.split("\r\x1b[K")
        assert lines
        assert {len(line) for line in lines} == {19}
        assert CLOSING.fullmatch(closing)

    def test_progress_is_for_terminals_alone(self, start: Start, cli: Cli) -> None:
        command = ["--", "sh", "-c", "read x < /etc/passwd; sleep 0.7; read x < /etc/passwd"]
        piped = cli("record", "-o", "a.parquet", *command).stderr
        assert CLOSING.fullmatch(piped)
        text = shown_on_a_terminal(start, "record", "-o", "b.parquet", *command)
        assert len(re.findall(r"\r\x1b\[K[\d,]+ rows  [\d,]+/s  0 lost  [\d.]+ \w+  \d+ s", text)) >= 2
        assert CLOSING.fullmatch(text.rpartition("\r\x1b[K")[2])


def shown_on_a_terminal(start: Start, *arguments: str, columns: int = 0) -> str:
    """What a terminal that is standard error gets until the end; without `columns` nobody has said how wide it is."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24 if columns else 0, columns))
    tracer = start(*arguments, stderr=theirs)
    os.close(theirs)
    shown: list[bytes] = []
    reader = threading.Thread(target=lambda: shown.append(read_until(ours, None)))
    reader.start()
    tracer.wait(timeout=30)
    reader.join(timeout=30)
    os.close(ours)
    return b"".join(shown).decode().replace("\r\n", "\n")
