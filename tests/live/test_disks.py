"""Disks that fail for real while something is recorded: it is said in one line, and what was safe comes back."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Cli, Counted, Start, until, until_attached
from disks import fill, loop_disk, mounted
from test_crash import temporaries
from writer_log import LOGGED, WriterLog

Fails = Callable[[Path, Callable[[], None]], str]
"""`fails(folder, fault)` records into a folder, and lets the fault happen when rows are safe; all that is said."""


@pytest.fixture
def fails(counted: Counted, log: WriterLog) -> Iterator[Fails]:
    recorders: list[subprocess.Popen[bytes]] = []

    def run(folder: Path, fault: Callable[[], None]) -> str:
        options = ["-q", "-e", "getppid", "-o", folder / "a.parquet", "-p", str(counted.process.pid)]
        recorder = subprocess.Popen([*LOGGED, log.path, "record", *options], stderr=subprocess.PIPE)
        recorders.append(recorder)
        until_attached(recorder)
        until(lambda: counted.make(100) or log.safe_rows(), "rows that are safe")
        fault()
        until(lambda: counted.make(100) or recorder.poll() is not None, "the end of the recording")
        _, messages = recorder.communicate()
        assert recorder.returncode == 2, messages
        return messages.decode()

    yield run
    for recorder in recorders:
        recorder.kill()
        recorder.wait()
        recorder.stderr.close()


def check_that_all_is_told(said: str, why: str, log: WriterLog, cli: Cli, work: Path) -> str:
    """One line, and a hint that leads to all rows that were safe; what `recover` says."""
    found = re.fullmatch(
        rf"tracer-cli: error: writing \S+/a\.parquet failed: (?:{why})\n"
        r"  hint: .*what was recorded before is safe: `tracer-cli recover (\S+)`\n",
        said,
    )
    assert found, said
    recovered = cli("recover", found[1], "-o", "saved.parquet").stderr
    rows = pq.read_table(work / "saved.parquet").column("seq").to_pylist()
    assert rows == list(range(len(rows)))
    assert len(rows) >= log.safe_rows()
    return recovered


class TestFileSystem:
    @pytest.fixture
    def ext4(self, tmp_path: Path) -> Iterator[Path]:
        with loop_disk(tmp_path / "image", "mkfs.ext4", "-q", options="loop,errors=remount-ro") as place:
            yield place

    def test_becomes_read_only(self, ext4: Path, fails: Fails, log: WriterLog, cli: Cli, work: Path) -> None:
        """As the kernel makes it when it has found damage; a plain remount is refused while a file is open."""
        said = fails(ext4, lambda: subprocess.run(["mount", "-o", "remount,abort", ext4], check=True) and None)
        recovered = check_that_all_is_told(said, "Read-only file system", log, cli, work)
        assert re.search(rf"tracer-cli: warning: {ext4}/\S+ can't be removed\n", recovered)
        assert temporaries(ext4, ".tail"), "there they stay"


class TestDevice:
    """A loop device whose file can't grow: its blocks can't be written.

    Which of three errors is told depends on what the kernel writes first: a block of the recording fails with what the
    device was told, a block of the journal makes fsync fail with EIO, and after that the file system is read-only.
    """

    ERRORS = "Input/output error|Read-only file system|No space left on device"

    @pytest.fixture
    def thin(self, tmp_path: Path) -> Iterator[Path]:
        (tmp_path / "thin").mkdir()
        with mounted("-t", "tmpfs", "-o", "size=16m", "tmpfs", tmp_path / "thin") as place:
            yield place

    def test_has_an_error(self, thin: Path, fails: Fails, log: WriterLog, cli: Cli, work: Path) -> None:
        with loop_disk(thin / "image", "mkfs.ext4", "-q", "-E", "lazy_itable_init=1") as place:
            said = fails(place, lambda: fill(thin))
            check_that_all_is_told(said, self.ERRORS, log, cli, work)


class TestQuota:
    @pytest.fixture
    def limited(self, tmp_path: Path) -> Iterator[Path]:
        """A subvolume of 4 MiB: btrfs has its own quota, in every kernel that has btrfs."""
        with loop_disk(tmp_path / "image", "mkfs.btrfs", "-q") as place:
            for command in (["quota", "enable", place], ["subvolume", "create", place / "s"]):
                subprocess.run(["btrfs", *command], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["btrfs", "qgroup", "limit", "4M", place / "s"], check=True)
            yield place / "s"

    def test_is_used_up(self, limited: Path, fails: Fails, log: WriterLog, cli: Cli, work: Path) -> None:
        said = fails(limited, lambda: fill(limited))
        assert "  hint: make room, or give another place with -o; what" in said
        (limited / "filler").unlink()
        check_that_all_is_told(said, "Disk quota exceeded", log, cli, work)
        assert list(limited.iterdir()) == []


class TestRemoved:
    def test_file_without_a_name(self, fails: Fails, work: Path) -> None:
        """Nobody can give it one again, and it is no use to go on."""

        def remove() -> None:
            for path in work.iterdir():
                path.unlink()

        said = fails(work, remove)
        assert re.fullmatch(
            r"tracer-cli: error: writing \S+/a\.parquet failed: \.a\.parquet\.\w+\.tmp was removed meanwhile\n", said
        )
        assert list(work.iterdir()) == []

    def test_is_said_while_the_command_goes_on(self, start: Start, programs: Path, work: Path) -> None:
        options = ["-q", "-e", "getppid", "-o", "a.parquet"]
        tracer = start("record", *options, "--", programs / "counted", bufsize=0)
        tracer.stdin.write(b"100\n")
        assert tracer.stdout.readline() == b"done\n"
        until(lambda: temporaries(work, ".tmp"), "the temporary file")
        for path in work.iterdir():
            path.unlink()
        assert b"was removed meanwhile" in tracer.stderr.readline()
        tracer.stdin.write(b"100\n")
        assert tracer.stdout.readline() == b"done\n", "it has not ended"
        tracer.stdin.close()
        assert tracer.wait(50) == 2
