"""The ring of rows against a plain list of all rows."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import streams
import wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracer import schema, syscalls
from tracer._fast import Columns
from tracer._fast.rowring import RowRing, Rows
from tracer.batch import batch_of_rows, record_batch
from tracer.capture.generator import blocks
from tracer.pipeline import Clock, new_engine

MACHINE = "x86_64"
WALL_OFFSET_NS = 1_700_000_000_000_000_000
NUMBERS = {call.name: number for number, call in syscalls.machine_numbers(MACHINE).items()}
MAKER = streams.Maker(wire.decode_rules(syscalls.rules(MACHINE, frozenset(NUMBERS))))


def batches(parts: Iterable[Any]) -> Iterator[Columns]:
    """The rows of each block as a batch, given back once the next one is asked for."""
    made = new_engine(
        MACHINE,
        frozenset(NUMBERS),
        clock=Clock(0, WALL_OFFSET_NS),
        failed_only=False,
        keep_stream=False,
    )
    for part in parts:
        used = made.feed(part)
        while used < len(part):
            used = made.feed(part, used)
        columns = made.take()
        if columns is not None:
            yield columns
            columns.release()


def rows_of(columns: Columns | Rows) -> list[dict[str, Any]]:
    batch = record_batch(columns) if isinstance(columns, Columns) else batch_of_rows(columns)
    assert batch.schema == schema.SCHEMA
    batch.validate(full=True)
    rows: list[dict[str, Any]] = batch.set_column(1, "time", batch["time"].cast(pa.int64())).to_pylist()
    return rows


def check(parts: Iterable[Any], capacity: int, looks: Sequence[int | None] = (None,)) -> RowRing:
    """After each batch the ring has the last of all rows, whichever part of them is asked for."""
    ring, rows = RowRing(capacity), list[dict[str, Any]]()
    for columns in batches(parts):
        rows += rows_of(columns)
        ring.consume(columns)
        assert (ring.seen, ring.held) == (len(rows), min(len(rows), capacity))
        for look in looks:
            some = capacity if look is None else min(look, capacity)
            assert rows_of(ring.snapshot(look)) == (rows[-some:] if some else [])
    assert rows
    return ring


def call(path: bytes | None, comm: bytes = b"sh", ns: int = 10) -> bytes:
    """A call as records: an open of a path, or a sync, which has none."""
    head = {"tgid": 100, "tid": 100}
    number = NUMBERS["sync" if path is None else "openat"]
    paths = wire.Paths(path) if path is not None else None
    records = (
        wire.Comm(comm=comm, time_ns=1000, **head),
        wire.Enter(
            syscall=number, args=(0xFFFF_FFFF_FFFF_FF9C, 0, 0)[: 3 * bool(paths)], paths=paths, time_ns=1000, **head
        ),
        wire.Exit(syscall=number, ret=5, time_ns=1000 + ns, **head),
    )
    return b"".join(map(wire.encode, records))


# ---- the last rows ----


@pytest.mark.parametrize("mix", ["DiverseAllTypes", "ReadHeavy"])
@pytest.mark.parametrize("capacity", [1, 7, 64, 100, 333, 10_000])
def test_the_last_rows_of_a_generated_stream(mix: str, capacity: int) -> None:
    parts = blocks(mix, 900, 7, block_bytes=5003, machine=MACHINE)
    check(parts, capacity, [None, 0, 1, 9, 63, 64, 65, 5000])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_last_rows_of_a_made_up_stream(data: st.DataObject) -> None:
    """Every column, in batches of all sizes, many of them larger than the ring."""
    seeds = Random(data.draw(st.integers(0, 1 << 24))).choices(range(1 << 24), k=data.draw(st.integers(1, 150)))
    records = streams.told(MAKER, seeds)
    looks = [None, *data.draw(st.lists(st.integers(0, 200), max_size=2))]
    check(data.draw(streams.cuts(records)), data.draw(st.integers(1, 200)), looks)


@pytest.mark.parametrize("capacity", [1, 63, 64, 65, 127])
def test_single_rows(capacity: int) -> None:
    paths = [None if number % 5 == 0 else b"/%d" % (number % 7) * (number % 11) for number in range(200)]
    check(map(call, paths), capacity, [None, 3])


def test_batches_that_differ_in_size() -> None:
    random = Random(1)
    parts = []
    for size in [1, 50, 99, 100, 101, 300, 2, 100, 7, 1000, 1, 64, 128, 36]:
        parts.append(b"".join(call(random.choice([None, b"/%d" % random.randrange(40)])) for _ in range(size)))
    check(parts, 100, [None, 1, 50, 99])


def test_names_that_are_not_utf8_and_long_ones() -> None:
    odd = [b"/\xff\xfe", b"/" + b"\xff" * 4094, b"/new\nline", "/ü".encode(), b"/" + b"f" * 4094, b"/"]
    parts = [
        b"".join(call(path, comm) for path in some)
        for some in itertools.combinations(odd, 3)
        for comm in (b"\xff", b"")
    ]
    ring = check(parts, 10)
    assert ring.memory_bytes < 4 << 20


@pytest.mark.parametrize("before", range(100, 160, 5))
def test_texts_that_get_longer(before: int) -> None:
    """Memory for texts goes round, and grows wherever it is just then."""
    parts = [call(b"/%d" % number + b"x" * (1000 if number < before else 4000)) for number in range(before + 60)]
    check(parts, 40)


def test_texts_whose_length_comes_and_goes() -> None:
    random, parts = Random(1), []
    for number in range(200):
        longest = random.choice([10, 100, 4000])
        paths = [b"/%d" % number + b"x" * random.randrange(longest) for _ in range(random.randrange(1, 8))]
        parts.append(b"".join(call(path) for path in paths))
    check(parts, 30)


def test_sequence_numbers_jump_where_rows_were_left_out() -> None:
    ring, rows = RowRing(50), list[dict[str, Any]]()
    for number, columns in enumerate(batches(blocks("ReadHeavy", 400, block_bytes=2000, machine=MACHINE))):
        if number % 3 == 0:
            rows += rows_of(columns)
            ring.consume(columns)
    found = rows_of(ring.snapshot())
    assert found == rows[-50:]
    numbers = [row["seq"] for row in found]
    assert numbers == sorted(numbers)
    assert numbers[-1] - numbers[0] > 49


# ---- memory ----


def test_memory_does_not_grow_with_the_rows_seen() -> None:
    ring, sizes = RowRing(1000), list[int]()
    for columns in batches(blocks("DiverseAllTypes", 30_000, block_bytes=20_000, machine=MACHINE)):
        ring.consume(columns)
        sizes.append(ring.memory_bytes)
    assert ring.seen == 30_000
    assert sizes[-1] == sizes[len(sizes) // 4] < 1 << 20


def test_memory_for_texts_is_bounded_by_the_rows_held() -> None:
    ring = RowRing(16)
    for number in range(150):
        for columns in batches([call(b"/%d" % number + b"x" * 4000) * (1 + number % 40)]):
            ring.consume(columns)
    assert ring.memory_bytes < 1 << 20


def test_a_large_batch_leaves_only_its_last_texts() -> None:
    """Texts of a batch that is larger than the ring are not kept for rows that never were in it."""
    ring = RowRing(10)
    for columns in batches([b"".join(call(b"/%d" % number + b"x" * 2000) for number in range(1000))]):
        assert columns.rows == 1000
        ring.consume(columns)
    assert ring.memory_bytes < 1 << 19
    assert [row["file"][:4] for row in rows_of(ring.snapshot())] == [f"/{number}" for number in range(990, 1000)]


# ---- snapshots ----


def test_a_snapshot_stays_as_it_is() -> None:
    made = list[tuple[Rows, list[dict[str, Any]]]]()
    ring = RowRing(40)
    for columns in batches(blocks("DiverseAllTypes", 300, block_bytes=3000, machine=MACHINE)):
        ring.consume(columns)
        made.append((ring.snapshot(), rows_of(ring.snapshot())))
    assert all(rows_of(snapshot) == rows for snapshot, rows in made)
    snapshot: Any = made[-1][0]
    with pytest.raises(ValueError, match="read-only"):
        snapshot.arrays["pid"][0] = 1
    with pytest.raises(TypeError):
        snapshot.arrays["pid"] = np.zeros(1)
    with pytest.raises(AttributeError):
        snapshot.rows = 1


def test_a_snapshot_has_each_text_once_and_only_those_of_its_rows() -> None:
    ring = RowRing(100)
    for columns in batches([call(b"/a") + call(b"/b"), call(b"/b") + call(b"/c"), call(b"/b") + call(b"/c")]):
        ring.consume(columns)
    texts = batch_of_rows(ring.snapshot())["file"].dictionary.to_pylist()
    assert texts == ["/a", "/b", "/c"]
    assert batch_of_rows(ring.snapshot(3))["file"].dictionary.to_pylist() == ["/c", "/b"]
    assert batch_of_rows(ring.snapshot(1))["file"].dictionary.to_pylist() == ["/c"]


def test_a_column_without_values() -> None:
    ring = RowRing(4)
    for columns in batches([call(b"/a") * 4]):
        ring.consume(columns)
    assert ring.snapshot().valid["file"] is not None
    for columns in batches([call(None) * 4]):
        ring.consume(columns)
    assert ring.snapshot().valid["file"] is None
    assert ring.snapshot().valid["offset"] is None


def test_an_empty_ring() -> None:
    ring = RowRing(5)
    assert rows_of(ring.snapshot()) == []
    assert rows_of(ring.snapshot(3)) == []
    assert (ring.seen, ring.held, ring.capacity) == (0, 0, 5)


def test_a_released_batch_is_refused() -> None:
    ring = RowRing(5)
    columns = next(batches([call(b"/a")]))
    columns.release()
    with pytest.raises(ValueError, match="released"):
        ring.consume(columns)
    assert ring.seen == 0


def test_arguments_out_of_range() -> None:
    for capacity in (0, -1, (1 << 20) + 1):
        with pytest.raises(ValueError, match="capacity"):
            RowRing(capacity)
    with pytest.raises(ValueError, match="rows"):
        RowRing(5).snapshot(-1)


def test_threads_that_look_while_rows_come() -> None:
    ring, done, looks = RowRing(500), threading.Event(), list[int]()

    def look() -> None:
        while not done.is_set():
            numbers = ring.snapshot(200).arrays["seq"]
            assert list(np.diff(numbers)) == [1] * (len(numbers) - 1)
            looks.append(len(numbers))

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for columns in batches(blocks("ReadHeavy", 20_000, block_bytes=20_000, machine=MACHINE)):
        ring.consume(columns)
    done.set()
    for watcher in watchers:
        watcher.join()
    assert looks
    assert ring.seen == 20_000


def test_texts_go_with_the_last_of_their_rows() -> None:
    ring, sizes = RowRing(16), set[int]()
    parts = [b"".join(call(b"/%d-%d" % (number, row) + b"x" * 3800) for row in range(16)) for number in range(10)]
    for columns in batches(parts):
        ring.consume(columns)
        sizes.add(ring.memory_bytes)
    assert len(sizes) == 1
