"""The Cython engine against the plain reference: same records in, same rows and counters out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import streams
import wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import Reference
from reference_columns import signed

from tracer import schema, syscalls
from tracer._fast import Engine
from tracer.batch import record_batch

EVERYTHING = frozenset(call.name for call in syscalls.TABLE)
WALL_OFFSET_NS = 1_700_000_000_000_000_123
SCALE = float(os.environ.get("TRACER_TEST_SCALE", "1"))
"""How many times the usual number of streams are tried; more for a long night."""


def examples(count: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    many = max(1, round(count * SCALE))
    return settings(max_examples=many, deadline=None, derandomize="CI" in os.environ, suppress_health_check=slow)


class Setup(NamedTuple):
    """What an engine and a reference are made with."""

    rules: bytes
    names: list[str]
    failed_only: bool = False

    def engine(self, capacity: int = 1 << 12) -> Engine:
        rules, names, failed_only = self
        families = syscalls.FAMILIES
        return Engine(
            rules,
            names,
            families,
            capacity_rows=capacity,
            wall_offset_ns=WALL_OFFSET_NS,
            failed_only=failed_only,
            ahead_bytes=0,
        )

    def reference(self, block: bytes) -> Reference:
        reference = Reference(*self[:2], syscalls.FAMILIES, failed_only=self.failed_only)
        reference.feed(block)
        return reference


def on(machine: str, wanted: frozenset[str] = EVERYTHING, *, failed_only: bool = False) -> Setup:
    return Setup(syscalls.rules(machine, wanted), syscalls.names(machine), failed_only)


X86 = on("x86_64")
TABLE = wire.decode_rules(X86.rules)
MAKER = streams.Maker(TABLE)


def engine_rows(engine: Engine, blocks: Sequence[bytes], *, capacity: int) -> list[dict[str, Any]]:
    """All that the engine makes of the blocks; a batch is taken whenever it stops early."""
    rows = []
    for block in blocks:
        at = engine.feed(block)
        while at < len(block):
            full = take(engine)
            assert len(full) == capacity, f"stopped at {at} of {len(block)} with {len(full)} rows"
            rows += full
            at = engine.feed(block, at)
    return rows + take(engine)


def take(engine: Engine) -> list[dict[str, Any]]:
    columns = engine.take()
    if columns is None:
        return []
    batch = record_batch(columns)
    assert batch.schema == schema.SCHEMA
    batch.validate(full=True)
    rows: list[dict[str, Any]] = batch.set_column(1, "time", batch["time"].cast(pa.int64())).to_pylist()
    columns.release()
    return rows


def difference(setup: Setup, blocks: Sequence[bytes], *, capacity: int = 1 << 12) -> dict[str, Any]:
    """Where the engine and the reference differ: by number of the row and column, and the counters."""
    engine = setup.engine(capacity)
    rows = engine_rows(engine, blocks, capacity=capacity)
    reference = setup.reference(b"".join(blocks))
    for number, expected in enumerate(reference.rows):
        expected |= {"seq": number, "time": signed(expected["time_ns"] + WALL_OFFSET_NS, 64) // 1000}
    found: dict[str, Any] = {
        f"row {number} {name} (engine, reference)": (row[name], expected[name])
        for number, (row, expected) in enumerate(zip(rows, reference.rows, strict=False))
        for name in row.keys() | expected.keys()
        if row[name] != expected[name]
    }
    if len(rows) != len(reference.rows):
        found["rows (engine, reference)"] = (len(rows), len(reference.rows))
    counters = engine.counters()
    for name, count in reference.counters.items():
        if counters[name] != count:
            found[f"{name} (engine, reference)"] = (counters[name], count)
    return found


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize("failed_only", [False, True])
def test_long_streams_give_the_references_rows(machine: str, failed_only: bool) -> None:
    setup = on(machine, failed_only=failed_only)
    maker = streams.Maker(wire.decode_rules(setup.rules))

    def differs(records: list[bytes]) -> bool:
        return bool(difference(setup, [b"".join(records)]))

    for number in range(round(100 * SCALE)):
        seeds = Random(number).choices(range(1 << 32), k=400)
        if differs(streams.told(maker, seeds)):
            seeds = streams.fewest(seeds, lambda some: differs(streams.told(maker, some)))
            least = streams.Stream(streams.fewest(streams.told(maker, seeds), differs))
            pytest.fail(f"{difference(setup, [b''.join(least)])}\nstream {number}, cut down:\n{least!r}")


def check(setup: Setup, blocks: Sequence[bytes], *, capacity: int = 1 << 12) -> None:
    found = difference(setup, blocks, capacity=capacity)
    assert not found, f"{found}\n{streams.Stream(blocks)!r}"


@examples(300)
@given(st.data(), streams.streams(TABLE), st.booleans())
def test_where_blocks_are_cut_changes_nothing(data: st.DataObject, records: streams.Stream, failed: bool) -> None:
    check(on("x86_64", failed_only=failed), data.draw(streams.cuts(records)))


@examples(100)
@given(streams.streams(TABLE), st.sampled_from((8, 16, 64)))
def test_a_small_batch_changes_nothing(records: streams.Stream, capacity: int) -> None:
    check(X86, [b"".join(records)], capacity=capacity)


@examples(100)
@given(streams.streams(TABLE), st.frozensets(st.sampled_from(sorted(EVERYTHING)), max_size=60))
def test_any_selection_gives_the_references_rows(records: streams.Stream, wanted: frozenset[str]) -> None:
    check(on("x86_64", wanted), [b"".join(records)])


@examples(300)
@given(streams.damaged(TABLE))
def test_damaged_blocks_give_the_references_rows(block: bytes) -> None:
    check(X86, [block])


def test_many_damaged_blocks_give_the_references_rows() -> None:
    for number in range(round(300 * SCALE)):
        random = Random(number)
        sound = streams.told(MAKER, random.choices(range(1 << 32), k=60))
        check(X86, [streams.damage(b"".join(sound), random)])
