"""Live statistics where they are reset, where their memory is used up, and where a stream is damaged."""

from __future__ import annotations

import pytest
import reference_statistics as reference
from test_statistics import (
    LEAST,
    PID,
    QUANTILES,
    READS,
    WRITES,
    Group,
    access,
    batches,
    call,
    check_figures,
    check_sums,
    chunks,
    comm,
    counted,
    new_engine,
    rows_of,
)

from tracer._fast.statistics import Statistics
from tracer.live.statistics import LiveStatistics, snapshot


@pytest.mark.parametrize("latencies", [[993], [1007], [1007, 1 << 40], [1, 993]])
def test_percentiles_lie_between_the_least_and_the_most(latencies: list[int]) -> None:
    """Though the middle of their bin, 1000, does not."""
    shot = counted([call(latency=latency, at=n << 41) for n, latency in enumerate(latencies)])
    for figures in (shot.totals, *shot.syscalls.rows, *shot.processes.rows, shot.files.none):
        for name in QUANTILES:
            assert min(latencies) <= getattr(figures, name) <= max(latencies), name


def test_a_reset_forgets_histograms_and_gaps() -> None:
    statistics = LiveStatistics(READS, WRITES)
    for columns in batches([call(latency=0, at=1000), call(latency=0, at=6000)]):
        statistics.consume(columns)
    shot = statistics.snapshot()
    assert (shot.latency_buckets[0], shot.gap_buckets[1], shot.gap_mean_ns) == (2, 1, 5000)
    statistics.reset()
    shot = statistics.snapshot()
    assert (shot.latency_buckets, shot.gap_buckets, shot.gap_mean_ns) == ((0,) * 8, (0,) * 8, None)


def test_a_call_that_was_under_way_at_a_reset_begins_no_earlier_than_the_last_one_ended() -> None:
    statistics = LiveStatistics(READS, WRITES)
    for columns in batches([call(at=10**9, latency=10**9)]):
        statistics.consume(columns)
    statistics.reset()
    for columns in batches([call(at=10**9 + 1, latency=2 * 10**9 - 1)]):
        statistics.consume(columns)
    assert statistics.snapshot().seconds == 1.0


def test_every_rate_is_of_its_own_sum() -> None:
    statistics = LiveStatistics(READS, WRITES)
    stream = [
        call("read", at=0, latency=0, ret=50),
        call("write", at=10**9, latency=0, ret=7),
        call("read", at=10**9 + 1, latency=0, ret=-2),
        call("getpid", at=2 * 10**9, latency=0),
    ]
    for columns in batches(stream):
        statistics.consume(columns)
    shot = statistics.snapshot()
    assert shot.seconds == 2.0
    assert (shot.calls_per_s, shot.errors_per_s) == (2.0, 0.5)
    assert (shot.read_bytes_per_s, shot.written_bytes_per_s) == (25.0, 3.5)


def test_no_time_has_passed_before_the_reset() -> None:
    statistics = LiveStatistics(READS, WRITES)
    statistics.reset(5 * 10**9)
    shot = statistics.snapshot(4 * 10**9)
    assert (shot.seconds, shot.calls_per_s) == (0.0, None)


def test_a_snapshot_shows_64_rows_of_each_kind() -> None:
    statistics = LiveStatistics(READS, WRITES)
    for columns in batches([b"".join(access(b"/%d" % n, at=1000 * n) for n in range(70))]):
        statistics.consume(columns)
    files = statistics.snapshot().files
    assert (len(files.rows), files.other_keys) == (64, 6)


@pytest.mark.parametrize("shown", [-1, 0, 1025, 2**40])
def test_a_snapshot_of_no_or_too_many_rows_is_refused(shown: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024 rows are meant"):
        snapshot(Statistics([], []), shown=shown)


def test_every_process_keeps_its_name_when_others_are_folded() -> None:
    """Of one batch: their table is compacted in the middle of it."""
    parts = [
        comm(b"p%d" % n, at=n << 12, pid=n, tid=n) + call(latency=n, at=(n << 12) + 1, pid=n, tid=n)
        for n in range(1, 60)
    ]
    for count in range(1, 60):
        statistics = Statistics(READS, WRITES, **LEAST)
        for columns in batches([b"".join(parts[:count])]):
            statistics.consume(columns)
        rows = snapshot(statistics).processes.rows
        assert [row.name for row in rows] == [f"p{row.pid}" for row in rows]


def test_times_of_a_damaged_stream_count_as_none() -> None:
    shot = counted([call(latency=(1 << 63) + 5, at=5)])
    assert (shot.totals.timed, shot.totals.latency_ns, shot.latency_buckets) == (1, 0, (1, 0, 0, 0, 0, 0, 0, 0))
    assert counted([call(latency=10**9, at=10**9), call(latency=0, at=1 << 63, tid=PID + 1)]).seconds == 1.0


def test_a_large_batch_takes_no_more_memory_for_sketches_than_small_ones() -> None:
    def used(size: int) -> int:
        statistics = Statistics(READS, WRITES, max_keys=1000, max_bins=1 << 15)
        for columns in batches(chunks(stream, size), new_engine(1 << 16)):
            statistics.consume(columns)
        return statistics.memory_bytes

    stream = [
        access(b"/%d" % (n % 600), 1 << n // 600, at=n << 41, pid=n % 600 + 1, tid=n % 600 + 1) for n in range(600 * 40)
    ]
    assert used(len(stream)) < 1.5 * used(1000)


def test_a_reset_gives_the_room_for_names_back() -> None:
    def consume(statistics: Statistics, files: int) -> None:
        stream = [access(b"/%d/" % n + b"x" * 600, n + 1, at=n << 12) for n in range(files)]
        for columns in batches([b"".join(stream)]):
            statistics.consume(columns)

    bounds = {**LEAST, "max_keys": 1000}
    fresh, used = Statistics(READS, WRITES, **bounds), Statistics(READS, WRITES, **bounds)
    consume(used, 50)
    used.reset(0)
    for statistics in (fresh, used):
        consume(statistics, 150)
    assert 20 < len(snapshot(fresh, shown=1024).files.rows) < 150
    assert snapshot(used, shown=1024).files == snapshot(fresh, shown=1024).files


def test_sketches_alone_can_use_memory_up() -> None:
    """Few keys, each with latencies all over: their windows are too much for the bins there may be."""
    statistics = Statistics(READS, WRITES, max_keys=1000, max_bins=1 << 15)
    model = reference.Statistics(READS, WRITES)
    stream, without = [], []
    for n in range(600 * 40):
        stream.append(access(b"/%d" % (n % 600), 1 << n // 600, at=n << 42))
        if n % 100 == 0:
            without.append((n * 7919) % (1 << 30))
            stream.append(call(latency=without[-1], at=(n << 42) + (1 << 41)))
    for columns in batches(chunks(stream, 500)):
        statistics.consume(columns)
        model.consume(rows_of(columns))
    shot = snapshot(statistics, shown=1024)
    assert shot.files.other_keys > 100, "all would be shown"
    assert statistics.memory_bytes < 3 << 20
    check_sums(shot)
    check_figures(shot.totals, model.totals)
    check_figures(shot.files.none, Group(calls=len(without), latencies=without))


def test_processes_whose_numbers_look_alike_are_told_apart() -> None:
    """In one batch, too: their lowest bits are the same."""
    pids = [PID + 256 * n for n in range(4)] * 3
    stream = [call(at=1000 * n, pid=pid, tid=pid) for n, pid in enumerate(pids)]
    shot = counted([b"".join(stream)])
    assert {row.pid: row.calls for row in shot.processes.rows} == dict.fromkeys(pids, 3)


def test_after_a_reset_percentiles_are_those_of_new_statistics() -> None:
    def consume(statistics: Statistics, files: int) -> None:
        stream = [
            access(b"/%d" % (n % files), (n * 7919) % 1000 << n // files % 20, at=n << 31) for n in range(files * 30)
        ]
        for columns in batches(chunks(stream, 500)):
            statistics.consume(columns)

    fresh, used = Statistics(READS, WRITES), Statistics(READS, WRITES)
    consume(used, 150)
    used.reset()
    for statistics in (fresh, used):
        consume(statistics, 100)
    assert snapshot(used, shown=1024).files == snapshot(fresh, shown=1024).files
