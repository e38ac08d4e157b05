"""Latency sketches: how far off a quantile may be, that they merge without loss, and that no bin is ever full."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer._fast.sketch import LatencySketch

VALUES = st.one_of(st.integers(0, 300), st.integers(0, 1 << 40), st.integers(0, (1 << 64) - 1))


def sketch_of(values: list[int]) -> LatencySketch:
    sketch = LatencySketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(st.lists(VALUES, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_at_most_a_64th_off(values: list[int], wanted: float) -> None:
    exact = sorted(values)[max(1, math.ceil(wanted * len(values))) - 1]
    assert abs(sketch_of(values).quantile(wanted) - exact) <= exact / 64


@given(st.lists(VALUES, max_size=100), st.lists(VALUES, max_size=100))
def test_merged_sketches_are_the_sketch_of_all_values(left: list[int], right: list[int]) -> None:
    merged = sketch_of(left)
    merged.merge(sketch_of(right))
    assert merged.bins_by_value() == sketch_of(left + right).bins_by_value()


@given(st.lists(VALUES, max_size=50), st.integers(1, 300))
def test_a_sketch_that_is_merged_with_itself_has_all_values_twice(values: list[int], times: int) -> None:
    sketch = LatencySketch()
    for value in values:
        sketch.add(value, times)
    before = sketch.bins_by_value()
    sketch.merge(sketch)
    assert sketch.bins_by_value() == {value: 2 * count for value, count in before.items()}


@given(st.lists(VALUES, max_size=200))
def test_every_value_is_in_the_bin_that_stands_for_it(values: list[int]) -> None:
    alone = Counter(next(iter(sketch_of([value]).bins_by_value())) for value in values)
    assert sketch_of(values).bins_by_value() == alone


def test_a_window_grows_both_ways_from_anywhere() -> None:
    for first in range(0, 64, 3):
        for second in range(0, 64, 3):
            values = [1 << first, 1 << second, 0, (1 << 64) - 1, 1]
            assert sum(sketch_of(values).bins_by_value().values()) == 5


@given(st.permutations(range(0, 60)), st.integers(1, 60), st.integers(1, 300))
def test_values_few_and_far_apart_are_counted_in_any_order(octaves: list[int], few: int, times: int) -> None:
    sketch = sketch_of([1 << octave for octave in octaves[:few]])
    sketch.add(1 << octaves[0], times)
    assert sketch.bins_by_value() == {
        next(iter(sketch_of([1 << octave]).bins_by_value())): 1 + times * (octave == octaves[0])
        for octave in octaves[:few]
    }
    assert list(sketch.bins_by_value()) == sorted(sketch.bins_by_value())


def test_small_values_have_a_bin_each() -> None:
    assert sketch_of(list(range(64))).bins_by_value() == dict.fromkeys(range(64), 1)


def test_without_values_a_quantile_is_zero() -> None:
    assert LatencySketch().quantile(0.5) == 0


MANY = st.one_of(st.integers(1, 3), st.integers(250, 260), st.integers((1 << 32) - 3, (1 << 32) - 1))


@given(st.lists(st.tuples(VALUES, MANY), max_size=30), st.lists(st.tuples(VALUES, MANY), max_size=30))
def test_all_values_weigh_the_same_however_many_there_are(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    wanted: Counter[int] = Counter()
    sketches = [LatencySketch(), LatencySketch()]
    for sketch, counts in zip(sketches, (left, right), strict=True):
        for value, count in counts:
            sketch.add(value, count)
            wanted[next(iter(sketch_of([value]).bins_by_value()))] += count
    sketches[0].merge(sketches[1])
    assert sketches[0].bins_by_value() == wanted


def test_quantiles_are_right_beyond_32_bits() -> None:
    sketch, other = LatencySketch(), LatencySketch()
    sketch.add(10, (1 << 32) - 1)
    sketch.add(10, 1)
    sketch.add(60, 2_500_000_000)
    assert (sketch.quantile(0.5), sketch.quantile(0.7)) == (10, 60)
    other.add(60, 1_500_000_000)
    other.add(60, 300_000_000)
    sketch.merge(other)
    assert sketch.bins_by_value() == {10: 1 << 32, 60: 4_300_000_000}
    assert sketch.quantile(0.5) == 60


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_only_values_of_64_bits_are_taken(value: int) -> None:
    with pytest.raises(OverflowError):
        LatencySketch().add(value)
