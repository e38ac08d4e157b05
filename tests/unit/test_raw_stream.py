"""Raw streams: what the writer saves the reader gives back, and no damage goes unnoticed."""

import errno
import json
import os
import platform
import tempfile
import zlib
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_disk_faults import Fault, failing_writes

from tracer import rawformat, schema
from tracer.batch import record_batch
from tracer.capture import generator
from tracer.capture.raw import RawReader
from tracer.errors import DamagedFileError, OutputError, TracerError, UsageError
from tracer.losses import Entry
from tracer.pipeline import ReplaySession
from tracer.repair.recover import find, recover
from tracer.sinks.raw import RawWriter

HEAD = {
    "machine": platform.machine(),
    "failed_only": False,
    "version": "0.1.0",
    "host": "here",
    "boot_id": "b",
    "session": "s",
    "started_at": "2024-01-01T00:00:00+00:00",
    "clock": json.dumps({"boot_ns": 1_000, "wall_ns": 1_700_000_000_000_000_000}),
    "command": "cat",
    "selection": "close,openat,read,write",
    "mode": "headless",
}
END = {"loss": {"ring_full": 3, "path_truncated": 0, "program_skipped": None}}


def write(path, blocks, head=HEAD, end=END):
    writer = RawWriter(path, head)
    for block in blocks:
        writer.write(block)
    writer.close(end)
    return path


def stream(pairs, **options):
    return [block.tobytes() for block in generator.blocks("ReadHeavy", pairs, block_bytes=4096, **options)]


def rows(path):
    with ReplaySession(path) as session:
        batches = [record_batch(columns) for columns in session.columns()]
        return pa.Table.from_batches(batches, schema.SCHEMA), session.losses()


@cache
def small():
    """A whole stream of a few records, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "a", stream(4, threads=1)).read_bytes()


def parts(content):
    """Offset and length of each part, its header included."""
    offset = len(rawformat.MAGIC)
    while offset < len(content):
        _, _, length = rawformat.PART.unpack_from(content, offset)
        yield offset, rawformat.PART.size + length
        offset += rawformat.PART.size + length


def part(tag, payload):
    return rawformat.PART.pack(tag, zlib.crc32(payload), len(payload)) + payload


def refuse(tmp_path, content):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError) as caught:
        rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


class TestRoundTrip:
    def test_blocks_and_both_ends(self, tmp_path):
        blocks = stream(500)
        assert len(blocks) > 10
        with RawReader(write(tmp_path / "a", blocks)) as reader:
            assert reader.head.items() >= HEAD.items()
            assert (reader.head["format_version"], reader.head["abi_version"]) == (1, 1)
            assert reader.end == {}
            assert list(reader.blocks()) == blocks
            assert reader.end == END

    def test_cut_elsewhere_gives_the_same_rows(self, tmp_path):
        whole = b"".join(stream(500))
        one, _ = rows(write(tmp_path / "a", [whole]))
        other, _ = rows(write(tmp_path / "b", stream(500)))
        assert one.num_rows > 300
        assert one.equals(other)

    def test_that_can_not_be_read(self):
        with pytest.raises(TracerError, match="can't be read: "), ReplaySession(Path("/proc/self/mem")) as session:
            list(session.columns())

    def test_empty(self, tmp_path):
        with ReplaySession(write(tmp_path / "a", [])) as session:
            assert list(session.columns()) == []

    def test_losses_are_those_of_the_recorder(self, tmp_path):
        _, losses = rows(write(tmp_path / "a", stream(10)))
        assert losses["ring_full"] == 3
        assert losses["path_truncated"] == 0
        assert losses["program_skipped"] is None
        assert losses["map_full"] is None, "the stream does not say: unknown is never 0"
        assert losses["enter_without_exit"] == 0

    def test_the_ledger_is_the_recorders(self, tmp_path):
        kept = {"cause": "ring_full", "cpu": 1, "from_ns": 5, "to_ns": 9, "lost": 3}
        wrong = {"cause": "mismatched", "cpu": None, "from_ns": 5, "to_ns": 9, "lost": 2}
        with ReplaySession(write(tmp_path / "a", stream(10), end=END | {"losses": [kept, wrong]})) as session:
            for columns in session.columns():
                columns.release()
            entries = session.balance().entries
        assert Entry("ring_full", 1, 5, 9, 3) in entries
        assert Entry("program_skipped", None, None, None, None) in entries, "unknown, and nobody knows when"
        assert not [entry for entry in entries if entry.cause == "mismatched"], "pairing counts none now"

    @pytest.mark.parametrize("ledger", [7, "x", [7], [{}], [{"cause": "ring_full", "lost": 1, "from_ns": 3}]])
    def test_a_ledger_that_is_none_leaves_the_totals(self, ledger, tmp_path):
        with ReplaySession(write(tmp_path / "a", stream(10), end=END | {"losses": ledger})) as session:
            for columns in session.columns():
                columns.release()
            assert Entry("ring_full", None, None, None, 3) in session.balance().entries

    def test_selection_of_the_recording_holds(self, tmp_path):
        table, _ = rows(write(tmp_path / "a", stream(200), HEAD | {"selection": "close"}))
        assert set(table.column("syscall").to_pylist()) == {"close"}


class TestWriter:
    def test_abort_leaves_nothing(self, tmp_path):
        writer = RawWriter(tmp_path / "a", HEAD)
        writer.write(bytes(64))
        writer.abort()
        assert os.listdir(tmp_path) == []

    def test_abort_after_close_changes_nothing(self, tmp_path):
        writer = RawWriter(tmp_path / "a", HEAD)
        size = writer.close({})
        writer.abort()
        assert (tmp_path / "a").stat().st_size == size

    def test_existing_file_is_kept(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(OutputError, match="a exists"):
            RawWriter(tmp_path / "a", HEAD)
        assert (tmp_path / "a").read_text() == "old"

    def test_one_whose_head_can_not_be_written_leaves_nothing(self, tmp_path, monkeypatch):
        failing_writes(False)(monkeypatch, Fault(1, errno.ENOSPC))
        with pytest.raises(OutputError, match="No space left") as failed:
            RawWriter(tmp_path / "a", HEAD | {"selection": "x" * 20_000})
        assert failed.value.hint == "make room, or give another place with --raw"
        assert os.listdir(tmp_path) == []


class TestLeftBehind:
    """What a crash leaves of one is no recording, and `recover` says so."""

    @staticmethod
    def left(folder):
        writer = RawWriter(folder / "a.raw", HEAD)
        writer.write(b"8 bytes.")
        writer._file.keep()
        writer.abort()
        (path,) = folder.iterdir()
        return path

    def test_is_called_what_it_is(self, tmp_path):
        path = self.left(tmp_path)
        with pytest.raises(DamagedFileError, match="is a raw stream, of which nothing can be recovered"):
            find(tmp_path)
        for place in (path, tmp_path / "a.raw"):
            with pytest.raises(DamagedFileError, match="is a raw stream, of which nothing can be recovered"):
                recover(*find(place))
        assert path.exists()

    def test_is_left_alone_while_it_is_written(self, tmp_path):
        writer = RawWriter(tmp_path / "a.raw", HEAD)
        writer._file.stream.flush()
        with pytest.raises(UsageError, match="nothing was left behind"):
            find(tmp_path)
        writer.abort()

    def test_does_not_hide_a_recording(self, tmp_path):
        self.left(tmp_path)
        recording = tmp_path / ".a.parquet.0123456789abcdef.tmp"
        recording.write_bytes(b"PAR1")
        assert [left.main for left in find(tmp_path)] == [recording]


class TestDamage:
    def test_whole_one_is_read(self, tmp_path):
        (tmp_path / "a").write_bytes(small())
        assert rows(tmp_path / "a")[0].num_rows > 0
        assert len(list(parts(small()))) >= 3

    @pytest.mark.parametrize("bit", [0, 7])
    def test_every_byte_flipped(self, bit, tmp_path):
        content = small()
        for position in range(len(content)):
            refuse(tmp_path, content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :])

    def test_cut_off_anywhere(self, tmp_path):
        content = small()
        for length in range(len(content)):
            refuse(tmp_path, content[:length])

    def test_something_behind_the_end(self, tmp_path):
        content = small()
        for more in (b"\0", content, part(rawformat.BLOCK, b"")):
            refuse(tmp_path, content + more)

    def test_part_left_out_twice_or_in_another_place(self, tmp_path):
        content = small()
        magic, pieces = content[: len(rawformat.MAGIC)], [content[at : at + size] for at, size in parts(content)]
        head, *blocks, end = pieces
        assert len(blocks) == 1
        orders = ([*blocks, end], [head, *blocks], [end, head], [head, head, *blocks, end], [head, end, *blocks], [])
        for order in orders:
            refuse(tmp_path, magic + b"".join(order))

    @pytest.mark.parametrize("tag", [b"BLOK", b"\0\0\0\0", rawformat.HEAD])
    def test_unknown_part(self, tag, tmp_path):
        content = small()
        head_at, head_size = next(parts(content))
        refuse(tmp_path, content[: head_at + head_size] + part(tag, bytes(8)) + part(rawformat.END, b"{}"))

    @pytest.mark.parametrize("length", [1 << 20, 1 << 32, 1 << 63, (1 << 64) - 1])
    def test_length_that_is_not_there(self, length, tmp_path):
        """Nothing is allocated for it."""
        content = small()
        head_at, head_size = next(parts(content))
        refuse(tmp_path, content[: head_at + head_size] + rawformat.PART.pack(rawformat.BLOCK, 0, length) + bytes(64))

    @given(st.binary(max_size=400))
    def test_anything_else(self, tmp_path_factory, content):
        folder = tmp_path_factory.mktemp("any")
        refuse(folder, content)
        refuse(folder, rawformat.MAGIC + content)

    def test_not_there_or_not_a_file(self, tmp_path):
        with pytest.raises(UsageError, match="nothing can't be read: No such file"):
            RawReader(tmp_path / "nothing")
        with pytest.raises(UsageError, match="can't be read: Is a directory"):
            RawReader(tmp_path)

    def test_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="pipe is not a file"):
            RawReader(tmp_path / "pipe")


class TestCraftedHead:
    """Right checksums around a wrong head: someone wrote it so, or another version did."""

    @pytest.mark.parametrize("key", sorted(HEAD))
    def test_key_is_missing(self, key, tmp_path):
        path = write(tmp_path / "a", [], {k: v for k, v in HEAD.items() if k != key})
        with pytest.raises(DamagedFileError):
            rows(path)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"machine": "pdp11"},
            {"machine": 3},
            {"machine": []},
            {"clock": "{}"},
            {"clock": "[]"},
            {"clock": 7},
            {"clock": '{"boot_ns": "1", "wall_ns": 2}'},
            {"clock": '{"boot_ns": 1, "wall_ns": 1e999}'},
            {"clock": json.dumps({"boot_ns": 1, "wall_ns": 1 << 80})},
            {"clock": "[" * 100_000},
            {"selection": "no_such_call"},
            {"selection": ""},
            {"selection": 7},
        ],
    )
    def test_value_is_wrong(self, wrong, tmp_path):
        path = write(tmp_path / "a", stream(10), HEAD | wrong)
        with pytest.raises(DamagedFileError):
            rows(path)

    @pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"{", b"7", b"[" * 100_000])
    def test_is_no_json_object(self, payload, tmp_path):
        refuse(tmp_path, rawformat.MAGIC + part(rawformat.HEAD, payload) + part(rawformat.END, b"{}"))
        content = small()
        head_at, head_size = next(parts(content))
        refuse(tmp_path, content[: head_at + head_size] + part(rawformat.END, payload))

    @pytest.mark.parametrize("end", [{"loss": 7}, {"loss": {"ring_full": "x"}}, {"loss": {"ring_full": -1}}, {}])
    def test_losses_that_are_none_are_unknown(self, end, tmp_path):
        _, losses = rows(write(tmp_path / "a", stream(10), end=end))
        assert losses["ring_full"] is None

    @pytest.mark.parametrize("versions", [{"format_version": 2}, {"abi_version": 99}, {"format_version": None}])
    def test_another_version(self, versions, tmp_path):
        with pytest.raises(DamagedFileError, match="another version"):
            rows(write(tmp_path / "a", [], HEAD | versions))

    @pytest.mark.parametrize(
        "block",
        [b"\xff" * 64, bytes(64), bytes(8), stream(4)[0][:-8], stream(4)[0][8:]],
        ids=["ones", "zeros", "one word", "cut off", "begun too late"],
    )
    def test_block_of_garbage_is_counted(self, block, tmp_path):
        _, losses = rows(write(tmp_path / "a", [block]))
        assert losses["malformed"] >= 1
