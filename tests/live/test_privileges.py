"""What the recorder may do once it traces, what the command may, and as whom it runs."""

from __future__ import annotations

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Start, until, until_attached
from test_errors import is_one_line_with_a_hint, refused

from tracer.capture.privileges import Capability

pytestmark = pytest.mark.beside_others

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = dict(os.environ, SUDO_UID=str(NOBODY.pw_uid), SUDO_GID=str(NOBODY.pw_gid))
WITHOUT_SUDO = {key: value for key, value in os.environ.items() if not key.startswith("SUDO_")}
READ_PROC = {"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}


def rows_of(recording: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(recording).to_pylist()
    return rows


def losses_of(recording: Path) -> dict[str, int | None]:
    losses: dict[str, int | None] = json.loads(pq.read_metadata(recording).metadata[b"tracer.loss"])
    return losses


def statuses(pid: int) -> list[dict[str, str]]:
    """/proc/PID/task/TID/status of every thread; some may end meanwhile."""
    texts = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            texts.append((task / "status").read_text())
    return [{key: value.strip() for key, _, value in (line.partition(":") for line in t.splitlines())} for t in texts]


def has_given_up(pid: int) -> bool:
    return all(status["NoNewPrivs"] == "1" for status in statuses(pid))


def runs(pid: int, comm: str) -> bool:
    """Whether a process has a child that is called so."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(Path(f"/proc/{child}/comm").read_text() == f"{comm}\n" for child in children)


def capabilities(pid: int) -> set[str]:
    """Names of all that any thread of a process may use; a number for one that we do not know."""
    names = {int(bit): bit.name for bit in Capability}
    masks = [int(status[kind], 16) for status in statuses(pid) for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb")]
    return {names.get(bit, str(bit)) for mask in masks for bit in range(64) if mask >> bit & 1}


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of another user."""
    with subprocess.Popen(["sleep", "100"], user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[]) as process:
        yield process
        process.kill()


class TestRecorder:
    def test_keeps_what_reading_proc_needs(self, start: Start, sleeper: subprocess.Popen[bytes], work: Path) -> None:
        tracer = start("record", "-o", "a.parquet", "-p", str(sleeper.pid), env=WITHOUT_SUDO)
        until(lambda: tracer.poll() is not None or has_given_up(tracer.pid), "no_new_privs")
        until_attached(tracer)
        assert capabilities(tracer.pid) == READ_PROC
        assert not Path(f"/proc/{tracer.pid}/environ").read_bytes().count(b"JE_ARROW")
        sleeper.kill()
        assert tracer.wait(timeout=30) == 0
        assert None not in losses_of(work / "a.parquet").values()

    @pytest.mark.parametrize(
        ("environment", "more"),
        [(WITHOUT_SUDO, set()), (AS_NOBODY, {"CAP_CHOWN", "CAP_FOWNER"})],
        ids=["root", "sudo"],
    )
    def test_of_a_command_may_send_signals(
        self, environment: dict[str, str], more: set[str], start: Start, work: Path
    ) -> None:
        tracer = start("record", "-o", "a.parquet", "-u", "nobody", "--", "sleep", "100", env=environment)
        until(lambda: tracer.poll() is not None or has_given_up(tracer.pid), "no_new_privs")
        assert capabilities(tracer.pid) == READ_PROC | {"CAP_KILL"} | more
        until(lambda: runs(tracer.pid, "sleep"), "the command")
        tracer.send_signal(signal.SIGTERM)
        assert tracer.wait(timeout=30) == 128 + signal.SIGTERM
        assert {row["comm"] for row in rows_of(work / "a.parquet")} >= {"sleep"}

    @pytest.mark.parametrize("force", [[], ["--force"]])
    def test_names_its_files_in_a_folder_of_who_called_sudo(self, force: list[str], cli: Cli, work: Path) -> None:
        os.chown(work, NOBODY.pw_uid, NOBODY.pw_gid)
        work.chmod(0o755)
        cli("record", *force, "-o", "a.parquet", "--raw", "a.raw", "--", "true", env=AS_NOBODY)
        owners = {path.name: path.stat().st_uid for path in work.iterdir()}
        assert owners == {"a.parquet": NOBODY.pw_uid, "a.raw": NOBODY.pw_uid}

    @pytest.mark.parametrize("environment", [AS_NOBODY, WITHOUT_SUDO], ids=["sudo", "root"])
    def test_replaces_a_file_in_a_sticky_folder_of_another_user(
        self, environment: dict[str, str], cli: Cli, work: Path
    ) -> None:
        (work / "a.parquet").touch()
        for path in (work, work / "a.parquet"):
            os.chown(path, 1, 1)
        work.chmod(stat.S_ISVTX | 0o777)
        cli("record", "--force", "-o", "a.parquet", "--", "true", env=environment)
        assert rows_of(work / "a.parquet")
        assert [path.name for path in work.iterdir()] == ["a.parquet"]

    def test_still_names_what_another_user_has(self, start: Start, work: Path) -> None:
        """The thread's name, and a file that was opened before the recording, of another user's process."""
        script = (
            "import sys; f = open('/etc/passwd'); print(flush=True); sys.stdin.readline(); f.read(); print(flush=True);"
            "sys.stdin.readline()"
        )
        with subprocess.Popen(
            ["/usr/bin/python3", "-c", script],
            user=NOBODY.pw_uid,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            tracer = start("record", "-o", "a.parquet", "-p", str(process.pid), "-e", "read")
            until_attached(tracer)
            until(lambda: has_given_up(tracer.pid), "no_new_privs")
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            tracer.send_signal(signal.SIGINT)  # what is in the ring is handled while the process still lives
            assert tracer.wait(timeout=30) == 0
            process.communicate(timeout=30)
        read = [row for row in rows_of(work / "a.parquet") if row["file"] == "/etc/passwd"]
        assert {row["comm"] for row in read} == {"python3"}

    def test_of_a_python_program_leaves_its_host_alone(self) -> None:
        script = (
            "import tracer; status = open('/proc/self/status').read;"
            "privileges = lambda: [l for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNew'))];"
            "before = privileges(); rows = [b.num_rows for b in tracer.trace(['true'])];"
            "assert sum(rows) > 0; assert privileges() == before, privileges()"
        )
        subprocess.run([sys.executable, "-P", "-c", script], check=True, timeout=60)


class TestThreads:
    SCRIPT = """
import signal, sys, threading
from tracer.capture.privileges import Capability, drop
def work(blocked):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG) if blocked else ())
    started.release()
    done.wait()
started, done = threading.Semaphore(0), threading.Event()
threads = [threading.Thread(target=work, args=(kind == "deaf",)) for kind in sys.argv[1:]]
[thread.start() for thread in threads]
[started.acquire() for _ in threads]
print(drop({Capability.CAP_KILL}))
for thread in [threading.current_thread(), *threads]:
    status = dict(line.split(":") for line in open(f"/proc/self/task/{thread.native_id}/status"))
    print(int(status["CapPrm"], 16) == 1 << Capability.CAP_KILL, int(status["NoNewPrivs"]))
done.set()
"""

    @pytest.mark.parametrize(
        ("kinds", "said"),
        [
            (["plain", "plain"], "0\nTrue 1\nTrue 1\nTrue 1\n"),
            (["plain", "deaf"], "1\nTrue 1\nTrue 1\nFalse 0\n"),
        ],
    )
    def test_each_gives_up_and_those_that_can_not_be_told_are_counted(self, kinds: list[str], said: str) -> None:
        command = [sys.executable, "-P", "-c", self.SCRIPT, *kinds]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        assert ended.stdout == said


class TestUser:
    COMMAND = ("--", "sh", "-c", "id -u; id -g; id -G; echo $HOME; pwd; grep -E '^(Cap|NoNew)' /proc/self/status")

    @pytest.mark.parametrize("name", ["nobody", str(NOBODY.pw_uid)])
    def test_is_what_strace_makes_it(self, name: str, cli: Cli, work: Path) -> None:
        """User, groups, no capabilities; environment and working directory are the caller's."""
        work.chmod(0o755)
        under_strace = subprocess.run(
            ["strace", "-u", "nobody", "-o", "/dev/null", *self.COMMAND[1:]], cwd=work, capture_output=True, text=True
        )
        ended = cli("record", "-o", "a.parquet", "-u", name, *self.COMMAND)
        assert ended.stdout == under_strace.stdout
        assert ended.stdout.startswith(f"{NOBODY.pw_uid}\n{NOBODY.pw_gid}\n{NOBODY.pw_gid}\n")

    def test_has_supplementary_groups(self, cli: Cli, tmp_path: Path) -> None:
        """`daemon` with another group, in a user database of its own."""
        group = tmp_path / "group"
        group.write_text(Path("/etc/group").read_text() + "tracer-test:x:54321:daemon\n")
        prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {group} /etc/group && exec "$@"', "sh"]
        assert "54321" in cli("record", "-o", "a.parquet", "-u", "daemon", "--", "id", "-G", prefix=prefix).stdout

    def test_may_not_run_what_only_root_may(self, cli: Cli, work: Path) -> None:
        program = work / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
        ended = cli("record", "-o", "a.parquet", "-u", "nobody", "--", "./program", status=126)
        assert ended.stderr == refused("./program can't be run: Permission denied")
        assert [path.name for path in work.iterdir()] == ["program"]

    @pytest.mark.parametrize("target", [["-a"], ["-p", "1"], ["-t", "1"]])
    def test_is_for_commands_alone(self, target: list[str], cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", "-u", "nobody", *target, status=2)
        hint = "--uid USER records only what a user does"
        assert ended.stderr == refused("-u is for a command, and there is none", hint)
        assert not list(work.iterdir())

    @pytest.mark.parametrize("name", ["no-such-user", "", "-1", "99999999999999999999"])
    def test_must_be_one(self, name: str, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", "-u", name, "--", "true", status=2)
        assert is_one_line_with_a_hint(ended.stderr)
        assert not list(work.iterdir())

    def test_needs_the_right_to_become_it(self, cli: Cli, work: Path) -> None:
        prefix = ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"]
        ended = cli("record", "-o", "a.parquet", "-u", "nobody", "--", "true", status=2, prefix=prefix)
        assert ended.stderr == refused("no command can be run as nobody: CAP_SETUID missing", "run it with sudo")
        assert not list(work.iterdir())
