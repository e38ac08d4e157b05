"""Batches for Arrow: the same rows whoever holds them, for as long as anybody does."""

import gc
import platform
import threading

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tracer import schema, syscalls
from tracer._fast import Engine
from tracer._fast.arrow import Exporter
from tracer.batch import record_batch
from tracer.capture import generator
from tracer.pipeline import Clock, new_engine

EVERYTHING = frozenset(call.name for call in syscalls.TABLE)
STREAM = list(generator.blocks("DiverseAllTypes", 600, block_bytes=16_384))


def fresh() -> Engine:
    return new_engine(platform.machine(), EVERYTHING, clock=Clock(5, 1_000), failed_only=False, keep_stream=False)


def test_a_batch_is_whole_and_of_the_schema():
    engine = fresh()
    engine.feed(STREAM[0])
    columns = engine.take()
    batch = record_batch(columns)
    batch.validate(full=True)
    assert batch.schema.equals(schema.SCHEMA)
    assert batch.num_rows == columns.rows > 50
    assert batch["seq"].to_pylist() == list(range(columns.rows))
    assert record_batch(columns, 7)["seq"].to_pylist() == list(range(7, 7 + columns.rows))


def test_it_stays_good_when_the_memory_has_been_given_back_and_others_follow():
    engine = fresh()
    kept = []
    for block in STREAM:
        engine.feed(block)
        columns = engine.take()
        batch = record_batch(columns)
        kept.append((batch, batch.to_pylist()))
        columns.release()
    gc.collect()
    assert len(kept) > 3
    for batch, rows in kept:
        assert batch.to_pylist() == rows
    numbers = [row["seq"] for _, rows in kept for row in rows]
    assert numbers == list(range(len(numbers)))


def test_it_outlives_the_engine():
    engine = fresh()
    engine.feed(STREAM[0])
    batch = record_batch(engine.take())
    rows = batch.to_pylist()
    column = batch["file"]
    del engine, batch
    gc.collect()
    assert column.to_pylist() == [row["file"] for row in rows]


def test_memory_is_used_again_once_arrow_has_let_go():
    engine = fresh()
    places = set()
    for block in STREAM:
        engine.feed(block)
        columns = engine.take()
        places.add(columns.arrays["time_ns"].ctypes.data)
        batch = record_batch(columns)
        del batch
        columns.release()
    assert len(places) == 1


def test_two_batches_of_the_same_columns():
    engine = fresh()
    engine.feed(STREAM[0])
    columns = engine.take()
    first, second = record_batch(columns, 0), record_batch(columns, 1_000)
    del first
    columns.release()
    engine.feed(STREAM[1])
    assert second["seq"][0].as_py() == 1_000
    second.validate(full=True)


def test_released_columns_are_refused():
    engine = fresh()
    engine.feed(STREAM[0])
    columns = engine.take()
    columns.release()
    with pytest.raises(ValueError, match="released"):
        record_batch(columns)


def test_columns_that_no_batch_has_are_refused():
    with pytest.raises(ValueError, match="nonsense"):
        Exporter(["seq", "nonsense"])
    with pytest.raises(ValueError, match="too many"):
        Exporter(["seq"] * 65)


def test_time_before_1970_is_rounded_down():
    engine = new_engine(
        platform.machine(),
        EVERYTHING,
        clock=Clock(3_000_000_000_000, 0),
        failed_only=False,
        keep_stream=False,
    )
    engine.feed(STREAM[0])
    batch = record_batch(engine.take())
    wall_us = [(time_ns - 3_000_000_000_000) // 1000 for time_ns in batch["time_ns"].to_pylist()]
    assert batch["time"].cast(pa.int64()).to_pylist() == wall_us
    assert pc.min(batch["time"].cast(pa.int64())).as_py() < 0


def test_arrow_may_let_go_on_another_thread():
    engine = fresh()
    held = []
    for block in STREAM:
        engine.feed(block)
        columns = engine.take()
        held.append(record_batch(columns))
        columns.release()
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    engine.feed(STREAM[0])
    assert engine.take().rows > 0
