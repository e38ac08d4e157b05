"""Recordings whose recorder is killed: nobody says goodbye, and what was recorded is there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import Cli, Counted, Start, until
from writer_log import LOGGED, WriterLog

import tracer
from tracer.losses import lacks_calls

LOOP = "while :; do read x < /etc/passwd; {pause}; done"
"""Calls without an end, fast or one each tenth of a second."""


def temporaries(work: Path, suffix: str) -> list[Path]:
    return [path for path in work.rglob(f".*{suffix}") if ".parquet." in path.name]


def boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def kill_all(tracer: subprocess.Popen[bytes]) -> int:
    """The recorder by SIGKILL, then the command that it has left alone; when that was, on the boot clock."""
    (command,) = map(int, Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split())
    now = boot_ns()
    tracer.kill()
    tracer.wait(timeout=30)
    os.kill(command, signal.SIGKILL)
    return now


def check(table: pa.Table, log: WriterLog, killed_ns: int) -> None:
    """All rows that were made safe are there, once, and none that is missing is older than it may be."""
    assert table.column("seq").equals(pa.chunked_array([range(table.num_rows)], pa.int64()))
    assert table.num_rows >= log.safe_rows() > 0
    assert killed_ns - pc.max(table.column("time_ns")).as_py() < log.allowed_ns(killed_ns)


@pytest.fixture
def killed(tracer_cli: Path, tmp_path: Path, work: Path, log: WriterLog) -> Iterator[Callable[..., int]]:
    """`killed(seconds, pause, *options)` records, and kills so long after the first sync; when that was."""
    recorders: list[subprocess.Popen[bytes]] = []

    def run(seconds: float, pause: str, *options: str) -> int:
        command = [*LOGGED, log.path, "record", "-q", *options, "--", "sh", "-c", LOOP.format(pause=pause)]
        with (tmp_path / "messages").open("wb") as messages:
            recorders.append(subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stderr=messages))
        until(log.safe_rows, "rows that are safe")
        time.sleep(seconds)  # the moment of the crash: what is tested holds for any
        return kill_all(recorders[-1])

    yield run
    for recorder in recorders:
        if recorder.poll() is None:
            kill_all(recorder)


@pytest.mark.parametrize("pause", [":", "sleep 0.1"])
def test_a_kill_costs_what_was_not_safe_yet(
    pause: str, killed: Callable[..., int], log: WriterLog, cli: Cli, work: Path
) -> None:
    killed_ns = killed(2.6, pause, "-o", "a.parquet")
    assert not (work / "a.parquet").exists()
    said = cli("recover", "a.parquet").stderr
    assert re.search(r"[\d,]+ rows over [\d.]+ s recovered", said)
    assert "the last seconds before the crash are missing" in said
    assert [path.name for path in work.iterdir()] == ["a.parquet"]
    table = pq.read_table(work / "a.parquet")
    check(table, log, killed_ns)
    assert "/etc/passwd" in table.column("file").unique().to_pylist()


def test_two_crashes_of_one_name(killed: Callable[..., int], log: WriterLog, cli: Cli, work: Path) -> None:
    """A service that was started anew with the same command: both come back, whatever may be replaced."""
    safe = {}
    for name in ("a.parquet", "a-2.parquet"):
        killed(0, "sleep 0.1", "-o", "a.parquet")
        safe[name] = log.safe_rows()
        log.path.unlink()
    said = cli("recover", "a.parquet", "--force").stderr
    assert "it was to be a.parquet, and so was another one" in said
    assert {path.name for path in work.iterdir()} == set(safe)
    assert all(pq.read_metadata(work / name).num_rows >= rows for name, rows in safe.items())
    assert len({pq.read_metadata(work / name).metadata[b"tracer.session"] for name in safe}) == 2


class TestParts:
    """A folder in which others record, too: a session that has ended, and one that goes on."""

    @pytest.fixture
    def others(self, start: Start, cli: Cli, work: Path) -> Iterator[subprocess.Popen[bytes]]:
        cli("record", "-q", "-o", "d/", "--", "true")
        running = start("record", "-q", "-o", "d/", "--", "sh", "-c", LOOP.format(pause="sleep 0.1"))
        until(lambda: temporaries(work, ".tail"), "rows of the one that goes on")
        yield running
        assert running.poll() is None
        kill_all(running)

    @pytest.mark.parametrize(("pause", "rotation"), [("sleep 0.1", []), (":", ["--rotate-rows", "30000"])])
    def test_a_kill_costs_what_was_not_safe_yet(
        self,
        pause: str,
        rotation: list[str],
        others: subprocess.Popen[bytes],
        killed: Callable[..., int],
        log: WriterLog,
        cli: Cli,
        work: Path,
    ) -> None:
        theirs = files_in(work)
        going_on = temporaries(work, ".tmp")
        killed_ns = killed(1.3, pause, "-o", "d/", *rotation)
        said = cli("recover", "d", status=2).stderr
        assert f"{going_on[0].relative_to(work)} is still being written" in said
        assert theirs.items() <= files_in(work).items()
        for path in set(temporaries(work, ".tmp")) - set(going_on):  # a part that had begun that very moment
            assert f"nothing in {path.relative_to(work)} can be recovered" in said
        mine = [path for path in work.rglob("*.parquet") if str(path) not in theirs]
        assert len({path.name.partition("-")[0] for path in mine}) == 1, "all of one session"
        check(pa.concat_tables(map(read, sorted(mine))), log, killed_ns)
        with tracer.open(work / "d") as opened:
            assert opened.rows > log.safe_rows()
            assert lacks_calls(opened.loss), "nobody knows what came after it"


def read(path: Path) -> pa.Table:
    return pq.read_table(path, partitioning=None)


def files_in(work: Path) -> dict[str, int]:
    """Complete recordings, and what they hold, as a number."""
    return {str(path): hash(path.read_bytes()) for path in work.rglob("*.parquet") if not path.name.startswith(".")}


def test_a_recording_of_the_dashboard(counted: Counted, log: WriterLog, tmp_path: Path, cli: Cli, work: Path) -> None:
    command = [*LOGGED, log.path, "watch", work / "a.parquet", str(counted.process.pid)]
    with subprocess.Popen(command) as watching:
        try:
            until(lambda: temporaries(work, ".tmp"), "the recording")
            until(lambda: counted.make(100) or log.safe_rows(), "rows that are safe")
            first = log.safe_rows()
            until(lambda: counted.make(100) or log.safe_rows() > first, "more of them, a second later")
            killed_ns = boot_ns()
        finally:
            watching.kill()
    cli("recover", "a.parquet")
    assert [path.name for path in work.iterdir()] == ["a.parquet"]
    check(pq.read_table(work / "a.parquet"), log, killed_ns)
    with tracer.open(work / "a.parquet") as opened:
        assert opened.metadata["mode"] == "tui"
        assert opened.loss["ring_full"] == 0


def test_a_recording_that_runs_is_left_alone(start: Start, cli: Cli, work: Path) -> None:
    tracer = start("record", "-q", "-o", "a.parquet", "--", "sh", "-c", "read x; read x < /etc/passwd")
    until(lambda: temporaries(work, ".tmp"), "the temporary file")
    refused = cli("recover", "a.parquet", status=2).stderr
    assert re.fullmatch(
        r"tracer-cli: error: \.a\.parquet\.\w+\.tmp is still being written\n"
        r"  hint: end that recording, which completes it\n",
        refused,
    )
    tracer.communicate(b"go\n", timeout=30)
    assert tracer.returncode == 0
    assert [path.name for path in work.iterdir()] == ["a.parquet"]


def test_the_hint_of_a_name_that_is_missing(start: Start, cli: Cli, work: Path) -> None:
    tracer = start("record", "-q", "-o", "a.parquet", "--", "sh", "-c", LOOP.format(pause="sleep 0.1"))
    until(lambda: temporaries(work, ".tail"), "rows that are safe")
    kill_all(tracer)
    assert "a crash left some of it: `tracer-cli recover a.parquet`" in cli("summary", "a.parquet", status=2).stderr


def test_garbage_is_refused_in_a_line(cli: Cli, work: Path) -> None:
    (work / ".a.parquet.0123456789abcdef.tmp").write_bytes(os.urandom(5000))
    for path in ("a.parquet", ".a.parquet.0123456789abcdef.tmp"):
        refused = cli("recover", path, status=2).stderr
        assert "can be recovered" in refused
        assert len(refused.splitlines()) == 2
    assert "nothing was left behind" in cli("recover", "b.parquet", status=2).stderr


def test_a_disk_that_is_full_in_the_end(tmp_path: Path, log: WriterLog, cli: Cli, work: Path) -> None:
    """Once some rows were made safe: a fast machine fills it in less time than that takes."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", small], check=True)
    try:
        loop = "read go; n=0; while [ $n -lt 300000 ]; do read x < /etc/passwd; n=$((n+1)); done"
        command = [*LOGGED, log.path, "record", "-q", "-o", small / "a.parquet", "--", "sh", "-c", loop]
        with subprocess.Popen(command, cwd=work, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as tracer:
            until(log.safe_rows, "rows that are safe")
            _, messages = tracer.communicate(b"go\n", timeout=50)
        assert tracer.returncode == 2
        found = re.fullmatch(
            rf"tracer-cli: error: writing {small}/a.parquet failed: No space left on device\n"
            r"  hint: make room, or give another place with -o; what was recorded before is safe: "
            r"`tracer-cli recover (\S+)`\n",
            messages.decode(),
        )
        assert found, messages.decode()
        cli("recover", found[1], "-o", "saved.parquet")
        table = pq.read_table(work / "saved.parquet")
        assert table.num_rows >= log.safe_rows()
        assert table.column("seq").to_pylist() == list(range(table.num_rows))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
