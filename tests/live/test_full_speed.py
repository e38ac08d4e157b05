"""At full speed: nothing is lost, memory stays bounded, and where something had to be lost it is counted."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from conftest import Cli, Start, resident, until, until_attached, until_looked
from disks import frozen, loop_disk

COUNT = 1_000_000


def dd(count: int) -> list[str]:
    return ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={count}", "status=none"]


def dds(calls: int) -> str:
    """So many calls of dd, for a shell."""
    return " ".join(dd(calls // 2))


def losses_of(recording: Path) -> dict[str, int | None]:
    losses: dict[str, int | None] = json.loads(pq.read_metadata(recording).metadata[b"tracer.loss"])
    return losses


def own_calls(recording: Path) -> int:
    """dd's reads of /dev/zero and writes of /dev/null, of one byte each."""
    table = pq.read_table(recording, columns=["syscall", "file", "ret"])
    pairs = [("read", "/dev/zero"), ("write", "/dev/null")]
    return sum(
        int(
            pc.sum(
                pc.and_(
                    pc.and_(pc.equal(table["syscall"], syscall), pc.equal(table["file"], file)),
                    pc.equal(table["ret"], 1),
                )
            ).as_py()
            or 0
        )
        for syscall, file in pairs
    )


def test_every_call_of_dd_is_a_row(cli: Cli, work: Path) -> None:
    ended = cli("record", "-o", "a.parquet", "--", *dd(COUNT))
    assert own_calls(work / "a.parquet") == 2 * COUNT
    losses = losses_of(work / "a.parquet")
    assert losses
    assert set(losses.values()) == {0}
    assert ", nothing lost; " in ended.stderr


class TestMemory:
    """The tracer's peak of resident memory once all batches that may wait have waited, and up to 10 million calls, in
    one run. How many wait before is the processors' and the disk's affair."""

    WAITING = 700_000
    """More rows than those batches have (six that are queued, one that is written, one that is made: of 65,536), and
    fewer than there is room for in the ring besides."""

    def test_stays_as_it_is(self, start: Start, tmp_path: Path) -> None:
        parts = (dds(self.WAITING), "echo early; read x", dds(10 * COUNT - self.WAITING), "echo late; read x")
        with loop_disk(tmp_path / "image", "mkfs.ext4", "-q") as disk:
            tracer = start("record", "-o", disk / "a.parquet", "--", "sh", "-c", "; ".join(["read x", *parts]))
            until_attached(tracer)
            with frozen(disk):
                self.go_on(tracer)
                assert tracer.stdout.readline() == b"early\n"
            until_looked(tracer)
            early = resident(tracer.pid, "VmHWM")
            self.go_on(tracer)
            assert tracer.stdout.readline() == b"late\n"
            late = resident(tracer.pid, "VmHWM")
            self.go_on(tracer)
            tracer.communicate(timeout=30)
            assert tracer.returncode == 0
            assert own_calls(disk / "a.parquet") == 10 * COUNT
            assert set(losses_of(disk / "a.parquet").values()) == {0}
        assert late <= early * 1.1, f"{early} kB after {self.WAITING:,} calls, {late} kB after ten million"

    @staticmethod
    def go_on(tracer: subprocess.Popen[bytes]) -> None:
        tracer.stdin.write(b"\n")
        tracer.stdin.flush()


class TestLosses:
    def test_are_counted_when_nobody_drains(self, start: Start, work: Path) -> None:
        """A stopped tracer and a small ring: what does not fit is counted, and rows and losses add up."""
        with subprocess.Popen(
            ["sh", "-c", f"read go; exec {' '.join(dd(COUNT // 10))}"], stdin=subprocess.PIPE
        ) as process:
            tracer = start(
                "record", "-o", "a.parquet", "--buffer-size", "64K", "-e", "read,write", "-p", str(process.pid)
            )
            until_attached(tracer)
            tracer.send_signal(signal.SIGSTOP)
            until(lambda: "T (stopped)" in Path(f"/proc/{tracer.pid}/status").read_text(), "the stop")
            process.communicate(b"go\n", timeout=60)
            tracer.send_signal(signal.SIGCONT)
        _, messages = tracer.communicate(timeout=30)
        assert tracer.returncode == 0
        losses = losses_of(work / "a.parquet")
        table = pq.read_table(work / "a.parquet")
        lost = losses["ring_full"]
        assert lost is not None
        assert lost > COUNT // 10
        assert f"ring_full {lost:,}" in messages.decode()
        halves = ("enter_without_exit", "exit_without_enter", "unfinished_calls")
        kept = 2 * table.num_rows + sum(losses[cause] or 0 for cause in halves)
        assert kept < 2000, "64 KiB hold no more records"
        calls = 2 * COUNT // 10
        # two records a call, and a third one, its file's name, where that could not be told either
        records = kept + lost + 2 * (losses["mismatched"] or 0)
        assert 2 * calls <= records <= 3 * calls + 200, "a few more start and end dd"
        assert "not everything was recorded" in self.warning(tracer.args[0], work)

    @staticmethod
    def warning(tracer_cli: Path, work: Path) -> str:
        ended = subprocess.run(
            [tracer_cli, "summary", "a.parquet"], cwd=work, capture_output=True, text=True, check=True, timeout=60
        )
        return ended.stderr

    def test_recording_goes_on_after_a_stop_that_the_ring_bridges(self, start: Start, work: Path) -> None:
        with subprocess.Popen(
            ["sh", "-c", f"read go; exec {' '.join(dd(COUNT // 10))}"], stdin=subprocess.PIPE
        ) as process:
            tracer = start("record", "-o", "a.parquet", "-p", str(process.pid))
            until_attached(tracer)
            tracer.send_signal(signal.SIGSTOP)
            process.communicate(b"go\n", timeout=60)
            tracer.send_signal(signal.SIGCONT)
        tracer.communicate(timeout=30)
        assert own_calls(work / "a.parquet") == 2 * COUNT // 10
        assert set(losses_of(work / "a.parquet").values()) == {0}
