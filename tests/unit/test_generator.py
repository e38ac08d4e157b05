"""Generated streams: what they are made of, that they can be made again, and what the engine makes of them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import wire
from hypothesis import given, settings
from hypothesis import strategies as st

from tracer import syscalls
from tracer._fast import Engine
from tracer._fast.generator import MAX_THREADS, MIN_BLOCK_BYTES, Generator
from tracer._fast.records import count_records
from tracer.batch import record_batch
from tracer.capture.generator import MIXES, Block, blocks, pieces, stream

MACHINE = "x86_64"
NAMES = syscalls.names(MACHINE)
DESCRIPTOR_CALLS = {"read", "write", "close", "fsync", "fcntl", "dup3"}
RETURNS_DESCRIPTOR = {"openat", "dup3", "open_by_handle_at"}
SIZES = {"read": 128, "write": 256}
PATH_PREFIXES = {
    "openat": ("open",),
    "newfstatat": ("stat",),
    "faccessat": ("access",),
    "mkdirat": ("mkdir",),
    "unlinkat": ("unlink",),
    "renameat2": ("rename", "renamed"),
    "linkat": ("link", "linked"),
}
mixes = pytest.mark.parametrize("mix", MIXES)


def join(parts: Iterable[Block]) -> bytes:
    return b"".join(part.tobytes() for part in parts)


def records(block: bytes) -> list[wire.AnyRecord]:
    """All the records, none of them malformed."""
    found = list(wire.walk(block))
    assert None not in found
    return [record for record in found if record is not None]


def calls(block: bytes) -> list[tuple[wire.Enter, wire.Exit]]:
    """Each enter with the exit that follows it at once."""
    halves = [record for record in records(block) if isinstance(record, wire.Enter | wire.Exit)]
    pairs = list(zip(halves[::2], halves[1::2], strict=True))
    for enter, leave in pairs:
        assert isinstance(enter, wire.Enter)
        assert isinstance(leave, wire.Exit)
        assert (enter.tid, enter.tgid, enter.syscall) == (leave.tid, leave.tgid, leave.syscall)
        assert enter.time_ns < leave.time_ns
    return pairs  # type: ignore[return-value]


def new_engine(machine: str = MACHINE, capacity: int = 1 << 14) -> Engine:
    everything = frozenset(call.name for call in syscalls.TABLE)
    return Engine(
        syscalls.rules(machine, everything), syscalls.names(machine), syscalls.FAMILIES, capacity_rows=capacity
    )


def rows_of(block: bytes, machine: str = MACHINE) -> list[dict[str, Any]]:
    """What the engine makes of a stream, in one batch, nothing lost."""
    engine = new_engine(machine)
    assert engine.feed(block) == len(block)
    assert not any(engine.counters().values())
    columns = engine.take()
    if columns is None:
        return []
    batch = record_batch(columns)
    rows: list[dict[str, Any]] = batch.set_column(1, "time", batch["time"].cast(pa.int64())).to_pylist()
    columns.release()
    return rows


def texts_of(block: bytes) -> set[bytes]:
    """All the paths of a stream and all the names of descriptors, as texts."""
    found = set()
    for record in records(block):
        paths = getattr(record, "paths", None)
        name = getattr(record, "name", None)
        if paths is not None:
            found |= {text for text in (paths.text1, paths.text2) if text}
        if name is not None:
            assert name.kind == wire.NAME_COMPONENTS
            found.add(b"/" + b"/".join(reversed(name.text.split(b"\0")[:-1])))
    return found


class TestTheSameAgain:
    @settings(max_examples=60, deadline=None)
    @given(
        arguments=st.fixed_dictionaries(
            {
                "mix": st.sampled_from(sorted(MIXES)),
                "pairs": st.integers(0, 300),
                "threads": st.integers(1, 40),
                "seed": st.integers(0, 2**64 - 1),
                "names": st.booleans(),
                "distinct_paths": st.none() | st.integers(1, 50),
            }
        ),
        block_bytes=st.integers(MIN_BLOCK_BYTES, 5000),
    )
    def test_whatever_the_size_of_the_blocks(self, arguments: dict[str, Any], block_bytes: int) -> None:
        whole = stream(**arguments, machine=MACHINE)
        parts = list(blocks(**arguments, machine=MACHINE, block_bytes=block_bytes))
        assert join(parts) == whole
        assert all(0 < len(part) <= block_bytes and len(part) % 8 == 0 for part in parts)
        assert [record for part in parts for record in records(part.tobytes())] == records(whole)
        assert len(calls(whole)) == len(rows_of(whole)) == arguments["pairs"]

    @mixes
    def test_another_seed_gives_another_stream(self, mix: str) -> None:
        made = {stream(mix, 200, seed=seed) for seed in (0, 1, 2, 2**64 - 1)}
        assert len(made) == 4

    def test_a_longer_stream_begins_as_a_shorter_one(self) -> None:
        short, long = (stream("DiverseAllTypes", pairs, 7) for pairs in (100, 300))
        assert long.startswith(short)
        assert len(long) > len(short)

    def test_the_first_bytes_are_those_of_every_build(self) -> None:
        """A recording of the numbers of splitmix64(1): the first is 0x910A2DEC89025CC1."""
        (enter, leave), *_ = calls(stream("DiverseAllTypes", 1, machine=MACHINE))
        chance = 0x910A_2DEC_8902_5CC1
        picked = ((chance & 0xFFFF_FFFF) * 9) >> 32
        assert NAMES[enter.syscall] == list(MIXES["DiverseAllTypes"])[picked]
        assert enter.time_ns == 1_000_000_000 + 100 + (chance >> 48 & 0x3FF)
        assert leave.time_ns == enter.time_ns + 200 + (chance >> 32 & 0xFFF)


class TestPieces:
    @settings(max_examples=40, deadline=None)
    @given(
        mix=st.sampled_from(sorted(MIXES)),
        pairs=st.integers(1, 70),
        threads=st.integers(1, 40),
        block_bytes=st.integers(MIN_BLOCK_BYTES, 5000),
    )
    def test_are_the_stream_in_parts_of_so_many_calls(
        self, mix: str, pairs: int, threads: int, block_bytes: int
    ) -> None:
        cut = pieces(mix, pairs, threads, block_bytes=block_bytes, machine=MACHINE)
        parts = [join(next(cut)) for _ in range(4)]
        assert [len(calls(part)) for part in parts] == [pairs] * 4
        assert b"".join(parts) == stream(mix, 4 * pairs, threads, machine=MACHINE)

    def test_use_their_memory_again(self) -> None:
        cut = pieces("ReadHeavy", 1000, block_bytes=16_384)
        first, second = next(cut), next(cut)
        assert all(np.shares_memory(one, other) for one, other in zip(first, second, strict=False))

    def test_a_mix_may_be_weights(self) -> None:
        cut = pieces({"sync": 1}, 20, machine=MACHINE)
        assert {NAMES[enter.syscall] for enter, _ in calls(join(next(cut)))} == {"sync"}
        assert join(next(pieces(MIXES["ReadHeavy"], 50))) == stream("ReadHeavy", 50)

    def test_of_a_process_keep_its_descriptors_open(self) -> None:
        cut = pieces("DiverseAllTypes", 3000, 1, pid=777, names=False, machine=MACHINE)
        found = calls(join(next(cut)))
        assert {(enter.tgid, enter.tid) for enter, _ in found} == {(777, 777)}
        for enter, leave in found:
            name = NAMES[enter.syscall]
            if name == "close":
                assert enter.args[0] == 164
            elif name in {"openat", "open_by_handle_at"}:
                assert leave.ret == 164
            elif name in DESCRIPTOR_CALLS:
                assert 64 <= enter.args[0] < 164

    @pytest.mark.parametrize(
        "changed", [{"pairs": 0}, {"block_bytes": MIN_BLOCK_BYTES - 1}, {"pid": 5}, {"pid": 0, "threads": 1}]
    )
    def test_refused_before_the_first(self, changed: dict[str, Any]) -> None:
        arguments: dict[str, Any] = {"mix": "ReadHeavy", "pairs": 1} | changed
        with pytest.raises(ValueError, match="meant"):
            pieces(**arguments)

    def test_a_block_with_a_limit(self) -> None:
        generator = Generator([(1, 162, (), -1, 0, 0, 0, ())], 5, 1, 1)
        block = np.zeros(4096, np.uint8)
        made = [len(calls(block[: generator.fill(block, pairs=pairs)].tobytes())) for pairs in (0, 2, 1, 9, 9)]
        assert made == [0, 2, 1, 2, 0]
        assert generator.pair == 5
        with pytest.raises(ValueError, match="pairs"):
            generator.fill(block, pairs=-1)


class TestRecords:
    @mixes
    def test_calls_come_as_often_as_their_weights_say(self, mix: str) -> None:
        pairs = 20_000
        counts = Counter(NAMES[enter.syscall] for enter, _ in calls(stream(mix, pairs, machine=MACHINE)))
        assert counts.total() == pairs
        assert set(counts) == set(MIXES[mix])
        for name, weight in MIXES[mix].items():
            share = weight / sum(MIXES[mix].values())
            five_sigma = 5 * sqrt(pairs * share * (1 - share))
            assert abs(counts[name] - pairs * share) < five_sigma, name

    @pytest.mark.parametrize("machine", syscalls.MACHINES)
    @mixes
    def test_numbers_and_arguments_are_the_machines(self, mix: str, machine: str) -> None:
        table = syscalls.machine_numbers(machine)
        pairs = calls(stream(mix, 2000, machine=machine))
        assert {table[enter.syscall].name for enter, _ in pairs} == set(MIXES[mix])
        for enter, _ in pairs:
            call = table[enter.syscall]
            assert len(enter.args) == call.nargs
            assert (enter.paths is not None) == (call.path_arg >= 0)
            assert enter.aux is None
        assert {row["syscall"] for row in rows_of(stream(mix, 2000, machine=machine), machine)} == set(MIXES[mix])

    @pytest.mark.parametrize("threads", [1, 3, 10, 1000])
    def test_threads_take_turns(self, threads: int) -> None:
        block = stream("ReadHeavy", 2 * threads + 1, threads)
        tasks = [(enter.tgid, enter.tid) for enter, _ in calls(block)]
        turn = [(1000 + thread, 2000 + thread) for thread in range(threads)]
        assert tasks == [*turn, *turn, turn[0]]

    @pytest.mark.parametrize("pairs", [0, 1, 50])
    def test_each_thread_is_named_at_the_start(self, pairs: int) -> None:
        first = records(stream("ReadHeavy", pairs, 12))[:12]
        assert [(record.tid, getattr(record, "comm", None)) for record in first] == [
            (2000 + thread, b"worker-%d" % thread) for thread in range(12)
        ]

    def test_the_most_threads_there_can_be(self) -> None:
        thread = MAX_THREADS - 1
        pairs = calls(stream("WriteHeavy", 2 * MAX_THREADS, MAX_THREADS, machine=MACHINE))
        assert [enter.tid for enter, _ in pairs[thread::MAX_THREADS]] == [2000 + thread] * 2
        written = [enter.args[0] for enter, _ in pairs if NAMES[enter.syscall] == "write"]
        assert 64 + (MAX_THREADS - 10) * 100 < max(written) < 1 << 20

    def test_time_never_goes_back(self) -> None:
        times = [record.time_ns for record in records(stream("MetadataHeavy", 3000))]
        assert times == sorted(times)

    @mixes
    def test_all_of_them_can_be_taken_apart(self, mix: str) -> None:
        whole = stream(mix, 300)
        assert count_records(whole) == len(records(whole))
        assert count_records(whole[:-8]) == len(records(whole)) - 1
        assert count_records(b"") == 0

    @mixes
    def test_padding_is_zero(self, mix: str) -> None:
        whole = stream(mix, 500)
        assert b"".join(map(wire.encode, records(whole))) == whole

    def test_padding_is_zero_whatever_the_block_held(self) -> None:
        generator = Generator([(1, 3, (0,), 0, syscalls.Effect.CLOSE, 0, 0, ())], 3, 1, 1)
        block = np.full(4096, 0xFF, np.uint8)
        filled = block[: generator.fill(block)].tobytes()
        assert b"".join(map(wire.encode, records(filled))) == filled


class TestNames:
    @mixes
    def test_a_descriptor_is_named_before_its_first_use_and_after_a_close(self, mix: str) -> None:
        named: set[tuple[int, int]] = set()
        sent = 0
        for before, record in itertools.pairwise(records(stream(mix, 5000, 3, machine=MACHINE))):
            if isinstance(record, wire.Enter) and NAMES[record.syscall] in DESCRIPTOR_CALLS:
                descriptor = record.tgid, record.args[0]
                told = isinstance(before, wire.Name)
                assert told == (descriptor not in named)
                if isinstance(before, wire.Name):
                    sent += 1
                    assert (before.tgid, before.fd, before.tid) == (*descriptor, record.tid)
                named.add(descriptor)
                if NAMES[record.syscall] == "close":
                    named.remove(descriptor)
            if isinstance(record, wire.Exit) and NAMES[record.syscall] in RETURNS_DESCRIPTOR:
                assert record.name is not None
                named.add((record.tgid, record.ret))
        assert sent > 100

    @mixes
    def test_without_names_the_calls_are_the_same(self, mix: str) -> None:
        with_names, without = (stream(mix, 1000, names=names) for names in (True, False))
        assert not any(isinstance(record, wire.Name) for record in records(without))
        assert not any(leave.name for _, leave in calls(without))
        assert [enter for enter, _ in calls(with_names)] == [enter for enter, _ in calls(without)]
        assert [leave.ret for _, leave in calls(with_names)] == [leave.ret for _, leave in calls(without)]

    def test_an_open_says_what_it_opened(self) -> None:
        opened = [
            (enter, leave)
            for enter, leave in calls(stream("MetadataHeavy", 2000, machine=MACHINE))
            if NAMES[enter.syscall] == "openat"
        ]
        for enter, leave in opened:
            assert enter.paths is not None
            assert leave.name is not None
            leaf = enter.paths.text1.removeprefix(b"/tmp/")
            assert leave.name.text == leaf + b"\0tmp\0"
            assert leave.name.status == wire.NAME_CLOEXEC_KNOWN | wire.NAME_CLOEXEC
            assert leave.name.inode > 0
        assert len(opened) > 100


class TestPaths:
    @mixes
    def test_each_path_is_there_once(self, mix: str) -> None:
        texts = []
        for turn, (enter, _) in enumerate(calls(stream(mix, 3000, 10, machine=MACHINE))):
            if enter.paths is None:
                continue
            expected = [
                b"/tmp/%s-%d-%d" % (prefix.encode(), enter.tid, turn // 10)
                for prefix in PATH_PREFIXES[NAMES[enter.syscall]]
            ]
            found = [enter.paths.text1, enter.paths.text2][: len(expected)]
            assert found == expected
            assert enter.paths.status1 == wire.PATH_OK
            assert enter.paths.status2 == (wire.PATH_OK if len(expected) == 2 else wire.PATH_ABSENT)
            texts += found
        assert len(texts) == len(set(texts))

    @pytest.mark.parametrize("distinct", [1, 2, 7, 100])
    @mixes
    def test_there_are_no_more_than_asked_for(self, mix: str, distinct: int) -> None:
        assert len(texts_of(stream(mix, 5000, distinct_paths=distinct))) == distinct

    def test_without_a_limit_they_grow_with_the_stream(self) -> None:
        few, many = (len(texts_of(stream("MetadataHeavy", pairs))) for pairs in (500, 1000))
        assert 1.9 * few < many < 2.1 * few


class Model:
    """What the rows of a stream must hold, told from the order of its calls alone."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.files: dict[tuple[int, int], str] = {}

    def descriptor(self, thread: int, turn: int) -> int:
        return 64 + thread * 100 + turn % 100

    def row(self, pair: int, name: str) -> dict[str, Any]:
        turn, thread = divmod(pair, self.threads)
        tid, fd = 2000 + thread, self.descriptor(thread, turn)
        row: dict[str, Any] = {"pid": 1000 + thread, "tid": tid, "comm": f"worker-{thread}", "syscall": name}
        row |= {"ret": SIZES.get(name, 0), "fd": None, "bytes": SIZES.get(name), "file": None, "old_file": None}
        if name in PATH_PREFIXES:
            *old, new = (f"/tmp/{prefix}-{tid}-{turn}" for prefix in PATH_PREFIXES[name])
            row |= {"file": new, "old_file": old[0] if old else None}
        if name in DESCRIPTOR_CALLS:
            row |= {"fd": fd, "file": self.files.setdefault((thread, fd), f"/tmp/file-{tid}-{turn}")}
        if name == "close":
            del self.files[thread, fd]
        if name == "openat":
            row |= {"fd": fd, "ret": fd}
            self.files[thread, fd] = row["file"]
        if name == "open_by_handle_at":
            row |= {"fd": fd, "ret": fd, "file": f"/tmp/handle-{tid}-{turn}"}
            self.files[thread, fd] = row["file"]
        if name == "dup3":
            copy = self.descriptor(thread, turn + 1)
            self.files[thread, copy] = row["file"]
            row |= {"ret": copy}
        return row


class TestRows:
    @pytest.mark.parametrize("threads", [1, 3, 10, 300])
    @mixes
    def test_hold_what_the_calls_did(self, mix: str, threads: int) -> None:
        block = stream(mix, 6000, threads, machine=MACHINE)
        model = Model(threads)
        rows = rows_of(block)
        assert len(rows) == 6000
        for pair, row in enumerate(rows):
            expected = model.row(pair, row["syscall"])
            assert {column: row[column] for column in expected} == expected, pair
            assert row["error"] is None

    def test_times_are_those_of_the_records(self) -> None:
        block = stream("ReadHeavy", 1000)
        rows = rows_of(block)
        assert [(row["time_ns"], row["latency_ns"]) for row in rows] == [
            (enter.time_ns, leave.time_ns - enter.time_ns) for enter, leave in calls(block)
        ]
        assert all(row["latency_ns"] >= 200 for row in rows)

    def test_without_names_the_file_of_an_open_is_its_argument(self) -> None:
        rows = rows_of(stream("ReadHeavy", 3000, names=False))
        sources = {(row["syscall"], row["file_source"]) for row in rows if row["file"]}
        assert sources == {("openat", "arg"), ("newfstatat", "arg"), ("read", "fd"), ("write", "fd"), ("close", "fd")}


class TestRefused:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"mix": "NoSuch"}, "ReadHeavy, WriteHeavy, MetadataHeavy, DiverseAllTypes"),
            ({"pairs": -1}, "pairs"),
            ({"threads": 0}, "threads"),
            ({"threads": MAX_THREADS + 1}, "threads"),
            ({"seed": -1}, "seed"),
            ({"seed": 1 << 64}, "seed"),
            ({"distinct_paths": 0}, "distinct_paths"),
            ({"machine": "pdp11"}, "pdp11"),
            ({"block_bytes": MIN_BLOCK_BYTES - 1}, "block_bytes"),
        ],
    )
    def test_before_the_first_block_is_asked_for(self, changed: dict[str, Any], message: str) -> None:
        arguments: dict[str, Any] = {"mix": "ReadHeavy", "pairs": 1} | changed
        with pytest.raises(ValueError, match=message):
            blocks(**arguments)

    @pytest.mark.parametrize("start", [0, 1])
    def test_a_block_that_cannot_hold_a_call(self, start: int) -> None:
        generator = Generator([(1, 162, (), -1, 0, 0, 0, ())], 1, 1, 1)
        block = np.zeros(MIN_BLOCK_BYTES + start, np.uint8)
        with pytest.raises(ValueError, match="block"):
            generator.fill(block[start:] if start else block[:-1])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ((0, 1, (), -1, 0, 0, 0, ()), "weights"),
            ((1 << 17, 1, (), -1, 0, 0, 0, ()), "weights"),
            ((1, 1 << 16, (), -1, 0, 0, 0, ()), "number"),
            ((1, 1, (0,) * 7, -1, 0, 0, 0, ()), "arguments"),
            ((1, 1, (0,), 1, 0, 0, 0, ()), "arguments"),
            ((1, 1, (0,), 0, syscalls.Effect.DUP2, 0, 0, ()), "copies"),
            ((1, 1, (), -1, syscalls.Effect.NEW_FD, 0, 0, ()), "opens a file"),
            ((1, 1, (), -1, 0, 1, 0, ()), "two paths"),
            ((1, 1, (), -1, 0, 3, 0, (b"a", b"b", b"c")), "two paths"),
            ((1, 1, (), -1, 0, 1, 0, (b"",)), "16 bytes"),
            ((1, 1, (), -1, 0, 1, 0, (b"p" * 17,)), "16 bytes"),
        ],
    )
    def test_a_call_that_does_not_fit(self, call: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Generator([call], 1, 1, 1)

    def test_no_calls_at_all(self) -> None:
        with pytest.raises(ValueError, match="calls"):
            Generator([], 1, 1, 1)

    def test_nothing_comes_after_the_end(self) -> None:
        generator = Generator([(1, 162, (), -1, 0, 0, 0, ())], 1, 1, 1)
        block = np.zeros(MIN_BLOCK_BYTES * 2, np.uint8)
        assert generator.fill(block) > 0
        assert [generator.fill(block) for _ in range(3)] == [0, 0, 0]
