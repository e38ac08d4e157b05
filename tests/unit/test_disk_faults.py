"""Every write, sync, open and rename of a recording fails once: one clear error, and nothing that was safe is lost."""

from __future__ import annotations

import errno
import io
import os
import platform
import time
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_fanout import EVERYTHING

from tracer._fast import Columns
from tracer.capture import generator
from tracer.errors import OutputError
from tracer.pipeline import Clock, new_engine
from tracer.repair.recover import recover
from tracer.sinks import output_file, parquet_file
from tracer.sinks.recorder import ParquetRecorder
from tracer.temporary import leftovers_in

FOOTER = {"schema_version": "1", "loss": "{}"}
ALWAYS_S = 1e-9
"""Everything is made safe after every batch."""

NEVER_S = 600
"""Nothing is, before the end."""


class Fault:
    """Fails the n-th call of a kind."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(self.code, os.strerror(self.code))

    @property
    def has_struck(self) -> bool:
        return self.left <= 0


class Disk(io.FileIO):
    """A file whose writes fail, some after a part of them is on the disk."""

    fault: Fault
    half: bool

    def write(self, data: bytes) -> int:
        if self.half and self.fault.left == 1:
            super().write(bytes(data)[: len(data) // 2])
        self.fault()
        return super().write(data)


def failing_writes(half: bool) -> Callable[[pytest.MonkeyPatch, Fault], None]:
    def patch(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
        def fdopen(descriptor: int, mode: str) -> io.BufferedWriter:
            disk = Disk(descriptor, mode)
            disk.fault, disk.half = fault, half
            return io.BufferedWriter(disk)

        monkeypatch.setattr(output_file.os, "fdopen", fdopen)

    return patch


def failing(name: str) -> Callable[[pytest.MonkeyPatch, Fault], None]:
    def patch(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
        real = getattr(os, name)

        def fails(*arguments: object, **options: object) -> object:
            if name != "open" or arguments[1] & os.O_CREAT:
                fault()
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, fails)

    return patch


def batches(count: int, pairs: int) -> Iterator[Columns]:
    """Of about so many rows."""
    engine = new_engine(platform.machine(), EVERYTHING, clock=Clock(0, 0), failed_only=False, keep_stream=False)
    for block in generator.blocks("DiverseAllTypes", count * pairs, block_bytes=110 * pairs):
        engine.feed(block)
        columns = engine.take()
        if columns is not None:
            yield columns


def batches_of_all_sizes() -> Iterator[Columns]:
    """Small ones for the tail, some that make row groups, and small ones again."""
    return chain(batches(5, 10), batches(1, 40), batches(3, 10))


def run(path: Path, durable_s: float, made: Callable[[], Iterator[Columns]]) -> tuple[int, OutputError | None]:
    """Record; how many rows were safe, and the error."""
    try:
        recorder = ParquetRecorder(path, durable_s=durable_s)
    except OutputError as error:
        return 0, error
    recorder.describe(lambda: FOOTER)
    failure = None
    try:
        for columns in made():
            recorder.write(columns)
        recorder.close(FOOTER)
    except OutputError as error:
        failure = error
    recorder.abort(keep=True)
    return recorder._output.safe_rows, failure


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "GROUP_ROWS", 64)
    monkeypatch.setattr(parquet_file, "SMALL_ROWS", 32)
    monkeypatch.setattr("tracer.sinks.tail.SPARSE_BYTES", 2_000)


FAULTS = [
    pytest.param(failing_writes(half=False), errno.ENOSPC, 10, id="write-full"),
    pytest.param(failing_writes(half=True), errno.ENOSPC, 10, id="write-half"),
    pytest.param(failing_writes(half=False), errno.EDQUOT, 10, id="write-quota"),
    pytest.param(failing("fdatasync"), errno.EIO, 5, id="fdatasync"),
    pytest.param(failing("fsync"), errno.EIO, 1, id="fsync"),
    pytest.param(failing("link"), errno.EIO, 1, id="link"),
    pytest.param(failing("replace"), errno.EIO, 1, id="replace"),
    pytest.param(failing("open"), errno.ENOSPC, 2, id="open"),
]
HELD = [
    pytest.param(failing_writes(half=False), errno.ENOSPC, 1, id="write-full"),
    pytest.param(failing_writes(half=True), errno.ENOSPC, 1, id="write-half"),
    pytest.param(failing("fsync"), errno.EIO, 1, id="fsync"),
    pytest.param(failing("link"), errno.EIO, 1, id="link"),
    pytest.param(failing("open"), errno.ENOSPC, 1, id="open"),
]


@pytest.mark.parametrize(("patch", "code", "at_least"), FAULTS)
def test_each_fails_until_all_pass(patch, code, at_least, tmp_path, monkeypatch, capfd):
    check_each(patch, code, at_least, ALWAYS_S, batches_of_all_sizes, tmp_path, monkeypatch)
    assert capfd.readouterr().err == ""  # where Arrow says what fails as it is thrown away


@pytest.mark.parametrize(("patch", "code", "at_least"), HELD)
@pytest.mark.parametrize("made", [lambda: batches(1, 10), batches_of_all_sizes], ids=["one", "all sizes"])
def test_the_same_where_nothing_was_due_before_the_end(patch, code, at_least, made, tmp_path, monkeypatch):
    check_each(patch, code, at_least, NEVER_S, made, tmp_path, monkeypatch)


def check_each(
    patch: Callable[[pytest.MonkeyPatch, Fault], None],
    code: int,
    at_least: int,
    durable_s: float,
    made: Callable[[], Iterator[Columns]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        fault = Fault(number, code)
        with monkeypatch.context() as patched:
            patch(patched, fault)
            safe, failure = run(folder / "a.parquet", durable_s, made)
        if not fault.has_struck:
            assert failure is None
            break
        assert failure is not None, f"number {number} failed, and nobody said so"
        assert os.strerror(code) in str(failure)
        assert "\n" not in str(failure)
        check_what_is_left(folder, safe, failure)
    assert number > at_least
    assert [path.name for path in folder.iterdir()] == ["a.parquet"]
    rows = pq.read_table(folder / "a.parquet").column("seq").to_pylist()
    assert rows == list(range(sum(columns.rows for columns in made())))


def check_what_is_left(folder: Path, safe: int, failure: OutputError) -> None:
    """What was safe is there, and the message says how to get it; if nothing was, there is nothing."""
    if safe == 0:
        assert list(folder.iterdir()) == []
        return
    (left,) = leftovers_in(folder)
    assert f"`tracer-cli recover {left.main}`" in (failure.hint or "")
    found = recover(left)
    assert found.rows >= safe
    rows = pq.read_table(folder / "a.parquet").column("seq").to_pylist()
    assert rows == list(range(found.rows))
    assert [path.name for path in folder.iterdir()] == ["a.parquet"]


def test_a_folder_that_was_removed_under_us(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    recorder = ParquetRecorder(folder / "a.parquet", durable_s=ALWAYS_S)
    recorder.describe(lambda: FOOTER)
    rows = 0
    for columns in batches(3, 40):
        rows += columns.rows
        recorder.write(columns)
    deadline = time.monotonic() + 30
    while recorder.rows < rows:  # or it would make and rename files while they are removed
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match="was removed meanwhile") as caught:
        recorder.close(FOOTER)
    assert "recover" not in (caught.value.hint or "")  # there is nothing to recover, and nobody is told so
    recorder.abort()
    assert list(tmp_path.iterdir()) == []
