"""Live statistics: against the plain reference, within bounded memory, and what a snapshot says of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import pyarrow as pa
import pytest
import reference_statistics as reference
import wire
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_statistics import QUANTILES, Group

from tracer import syscalls
from tracer._fast import Columns, Engine
from tracer._fast.statistics import BUCKET_BOUNDS_NS, Statistics
from tracer.batch import record_batch
from tracer.capture.generator import MIXES, blocks
from tracer.live.snapshot import Figures, Ranking, StatisticsSnapshot
from tracer.live.statistics import LiveStatistics, snapshot

NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
READS, WRITES = ("read", "pread64", "sendfile64"), ("write", "sendfile64")
KINDS = ("syscalls", "files", "directories", "processes")
SUMS = ("calls", "errors", "read_bytes", "written_bytes", "timed", "latency_ns")
LEAST = {"max_keys": 16, "max_text": 1 << 16, "max_bins": 1 << 15}
PID = 100


def new_engine(capacity: int = 1 << 14, names: Sequence[str] = syscalls.names("x86_64")) -> Engine:
    everything = frozenset(call.name for call in syscalls.TABLE)
    return Engine(
        syscalls.rules("x86_64", everything),
        names,
        syscalls.FAMILIES,
        capacity_rows=capacity,
    )


def batches(parts: Iterable[Any], engine: Engine | None = None) -> Iterator[Columns]:
    """What an engine makes of a stream; each batch is released when the next one is asked for."""
    engine = engine or new_engine()
    for part in parts:
        used = 0
        while used < len(part):
            used = engine.feed(part, used)
            columns = engine.take()
            if columns is not None:
                yield columns
                columns.release()


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    batch = record_batch(columns)
    names = ["time_ns", "gap_ns", "latency_ns", "comm", "pid", "tid", "syscall", "is_error", "bytes", "file"]
    return pa.Table.from_batches([batch.select(names)]).to_pylist()


def call(  # a row of one's own making
    name: str = "read",
    latency: int | None = 100,
    *,
    at: int,
    path: bytes | None = None,
    ret: int = 0,
    pid: int = PID,
    tid: int = PID,
) -> bytes:
    """The records of one call; without a latency, of one that never returns."""
    head = {"tgid": pid, "tid": tid}
    paths = wire.Paths(path) if path is not None else None
    if latency is None:
        return wire.encode(wire.Enter(syscall=NUMBERS["exit_group"], args=(0,), time_ns=at, **head))
    return wire.encode(
        wire.Enter(syscall=NUMBERS[name], args=(3, 0, 9, 0, 0, 0), paths=paths, time_ns=at, **head)
    ) + wire.encode(wire.Exit(syscall=NUMBERS[name], ret=ret, time_ns=at + latency, **head))


def comm(name: bytes, *, at: int, pid: int = PID, tid: int = PID) -> bytes:
    return wire.encode(wire.Comm(comm=name, time_ns=at, tgid=pid, tid=tid))


def access(path: bytes, latency: int = 100, *, at: int, **more: Any) -> bytes:
    return call("access", latency, at=at, path=path, **more)


def counted(stream: Sequence[bytes], **bounds: int) -> StatisticsSnapshot:
    """The snapshot after a stream, with batches of one record."""
    statistics = Statistics(READS, WRITES, **bounds)
    for columns in batches(stream):
        statistics.consume(columns)
    return snapshot(statistics)


def chunks(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    left = iter(parts)
    while chunk := b"".join(itertools.islice(left, size)):
        yield chunk


def check_sums(shot: StatisticsSnapshot) -> None:
    """The parts of each kind are all there is."""
    for kind in KINDS:
        ranking: Ranking = getattr(shot, kind)
        parts = [*ranking.rows, ranking.other, ranking.none]
        for name in SUMS:
            assert sum(getattr(part, name) for part in parts) == getattr(shot.totals, name), (kind, name)
        timed = [part for part in parts if part.timed]
        if timed:
            assert min(part.min_ns for part in timed if part.min_ns is not None) == shot.totals.min_ns
            assert max(part.max_ns for part in timed if part.max_ns is not None) == shot.totals.max_ns
    assert sum(shot.latency_buckets) == shot.totals.timed


def check_figures(figures: Figures, group: Group) -> None:
    """Sums, mean and extremes as they are, percentiles within their error."""
    for name in ("calls", "errors", "read_bytes", "written_bytes"):
        assert getattr(figures, name) == getattr(group, name), name
    assert (figures.timed, figures.latency_ns) == (len(group.latencies), sum(group.latencies))
    if not group.latencies:
        assert {getattr(figures, name) for name in ("mean_ns", "min_ns", "max_ns", *QUANTILES)} == {None}
        return
    assert figures.mean_ns == pytest.approx(sum(group.latencies) / len(group.latencies))
    assert (figures.min_ns, figures.max_ns) == (min(group.latencies), max(group.latencies))
    for name, wanted in QUANTILES.items():
        exact = group.quantile(wanted)
        assert abs(getattr(figures, name) - exact) <= exact / 64, name


def check_against(shot: StatisticsSnapshot, model: reference.Statistics) -> None:
    """A snapshot that shows all groups says what the reference does."""
    check_figures(shot.totals, model.totals)
    for kind in KINDS:
        ranking: Ranking = getattr(shot, kind)
        groups = dict(model.tables[kind])
        check_figures(ranking.none, groups.pop(None, Group()))
        check_figures(ranking.other, Group())
        assert ranking.other_keys == 0
        shown = {row.name if row.pid is None else row.pid: row for row in ranking.rows}
        assert shown.keys() == groups.keys()
        for key, group in groups.items():
            check_figures(shown[key], group)
        ranks = [(row.latency_ns, row.calls) for row in ranking.rows]
        assert ranks == sorted((group.rank for group in groups.values()), reverse=True)
    assert {row.pid: row.name for row in shot.processes.rows} == {
        pid: group.name for pid, group in model.tables["processes"].items()
    }
    assert (list(shot.latency_buckets), list(shot.gap_buckets)) == (model.latency_buckets, model.gap_buckets)
    gaps = model.gaps
    assert shot.gap_mean_ns == (pytest.approx(sum(gaps) / len(gaps)) if gaps else None)
    assert shot.seconds == pytest.approx((model.last_ns - (model.start_ns or 0)) / 1e9)


# ---- against the reference ----


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("threads", [1, 10])
def test_a_generated_stream_gives_the_references_figures(mix: str, threads: int) -> None:
    statistics, model = Statistics(READS, WRITES), reference.Statistics(READS, WRITES)
    stream = blocks(mix, 3000, threads, machine="x86_64", distinct_paths=100, block_bytes=1 << 16)
    for columns in batches(stream):
        statistics.consume(columns)
        model.consume(rows_of(columns))
    assert model.totals.calls == 3000
    check_against(snapshot(statistics, shown=1024), model)


LATENCIES = st.one_of(st.integers(0, 200), st.integers(0, 1 << 40), st.sampled_from([*BUCKET_BOUNDS_NS, 999, 1 << 58]))
PATHS = st.sampled_from([b"/", b"/a", b"/a/b", b"/a/c", b"/a/b/c", b"/\xff/x", "/é/x".encode(), b"bare", b"../up"])
NAMES = st.sampled_from(["read", "pread64", "write", "sendfile64", "access", "openat", "getpid"])


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Calls of a few threads, and new names for them, in parts."""
    parts, at = [], 1000
    for _ in range(draw(st.integers(1, 40))):
        pid = draw(st.integers(PID, PID + 2))
        tid = draw(st.sampled_from([pid, pid + 1000, pid + 2000]))
        latency = draw(st.one_of(st.none(), LATENCIES, LATENCIES, LATENCIES))
        ret = draw(st.sampled_from([0, 1, 7, 1 << 40, -2, -512]))
        if draw(st.booleans()):
            parts.append(comm(draw(st.sampled_from([b"one", b"two", b"\xffthree"])), at=at, pid=pid, tid=tid))
        parts.append(call(draw(NAMES), latency, at=at, path=draw(PATHS), ret=ret, pid=pid, tid=tid))
        at += (latency or 0) + draw(st.one_of(st.integers(1, 100), st.sampled_from([10**4, 10**9])))
    ends = sorted(draw(st.lists(st.integers(0, len(parts)), max_size=4)))
    return [b"".join(parts[a:b]) for a, b in itertools.pairwise([0, *ends, len(parts)])]


@settings(deadline=None, max_examples=150)
@given(streams())
def test_any_rows_give_the_references_figures(stream: list[bytes]) -> None:
    statistics, model = Statistics(READS, WRITES), reference.Statistics(READS, WRITES)
    for columns in batches(stream):
        statistics.consume(columns)
        model.consume(rows_of(columns))
    shot = snapshot(statistics)
    check_against(shot, model)
    check_sums(shot)


# ---- what they mean ----


def test_a_call_that_never_returns_counts_and_has_no_latency() -> None:
    shot = counted([call(latency=None, at=5)])
    assert (shot.totals.calls, shot.totals.timed, shot.totals.mean_ns, shot.totals.p50_ns) == (1, 0, None, None)
    assert sum(shot.latency_buckets) == 0


def test_bytes_count_as_the_syscall_moves_them() -> None:
    shot = counted([call("read", at=0, ret=5), call("write", at=200, ret=7), call("sendfile64", at=400, ret=100)])
    assert (shot.totals.read_bytes, shot.totals.written_bytes) == (105, 107)
    shown = {row.name: (row.read_bytes, row.written_bytes) for row in shot.syscalls.rows}
    assert shown == {"read": (5, 0), "write": (0, 7), "sendfile64": (100, 100)}


def test_a_directory_has_its_direct_children_only() -> None:
    shot = counted([access(path, at=200 * n) for n, path in enumerate([b"/a/x", b"/a/y", b"/a/b/x", b"/x"])])
    assert {row.name: row.calls for row in shot.directories.rows} == {"/a": 2, "/a/b": 1, "/": 1}


def test_files_with_few_latencies_each_don_t_use_the_bins_up() -> None:
    """As most files of a real recording: not called often, and with other latencies each time but a few."""
    statistics = Statistics(READS, WRITES, max_keys=1000, max_bins=1 << 16)
    stream = [
        access(b"/%d" % (n % 1000), 500 + (n * 7919) % 400 << n // 1000 % 30 // 2, at=n << 26) for n in range(1000 * 30)
    ]
    for columns in batches(chunks(stream, 500)):
        statistics.consume(columns)
    files = snapshot(statistics, shown=1024).files
    assert files.other_keys == 0
    assert {row.calls for row in files.rows} == {30}
    assert len(files.rows) == 1000


@pytest.mark.parametrize("few", [1, 3, 30, 300])
def test_percentiles_are_right_of_what_stays_and_of_what_was_folded(few: int) -> None:
    """Whatever their sketches are. A row tells the last calls of its file; all others are in `other`."""
    random = Random(few)
    statistics = Statistics(READS, WRITES, max_keys=100, max_text=1 << 16, max_bins=1 << 15)
    pool = [random.randrange(1 << random.randrange(1, 41)) for _ in range(few)]
    calls = [(int(150 * random.random() ** 3), random.choice(pool)) for _ in range(6000)]
    stream = [access(b"/%d" % file, latency, at=n << 41) for n, (file, latency) in enumerate(calls)]
    for columns in batches(chunks(stream, 200)):
        statistics.consume(columns)
    files = snapshot(statistics, shown=1024).files
    left = {f"/{file}": [latency for each, latency in calls if each == file] for file, _ in calls}
    for row in files.rows:
        last = left[row.name][-row.calls :]
        del left[row.name][-row.calls :]
        check_figures(row, Group(calls=len(last), latencies=last))
    others = [latency for latencies in left.values() for latency in latencies]
    assert files.other_keys > 50
    check_figures(files.other, Group(calls=len(others), latencies=others))


def test_directories_are_ranked_by_themselves() -> None:
    busy = [access(b"/busy/%d" % n, 10, at=1000 * n) for n in range(500)]
    slow = [access(b"/slow%d/x" % n, 900, at=10**7 + 1000 * n) for n in range(70)]
    shot = counted([b"".join(busy + slow)])
    assert not any(row.name.startswith("/busy") for row in shot.files.rows)
    assert shot.directories.rows[0] == next(row for row in shot.directories.rows if row.name == "/busy")
    check_sums(shot)


def test_a_process_keeps_its_counts_when_it_changes_its_name() -> None:
    shot = counted([comm(b"old", at=1), call(at=2), comm(b"new", at=200), call(at=300)])
    assert [(row.pid, row.name, row.calls) for row in shot.processes.rows] == [(PID, "new", 2)]


def test_a_process_is_called_as_its_first_thread_once_that_is_known() -> None:
    thread = [comm(b"worker", at=1, tid=101), call(at=2, tid=101)]
    assert counted(thread).processes.rows[0].name == "worker"
    leader = [comm(b"main", at=300), call(at=301)]
    again = [call(at=500, tid=101)]
    assert counted(thread + leader + again).processes.rows[0].name == "main"


def test_latencies_are_in_the_bucket_below_their_bound() -> None:
    latencies = [999, 1000, 9999, 10_000, 999_999_999, 1_000_000_000, 1 << 50]
    shot = counted([call(latency=latency, at=n << 52) for n, latency in enumerate(latencies)])
    assert shot.latency_buckets == (1, 2, 1, 0, 0, 0, 1, 2)


def overtaken() -> list[bytes]:
    """A call from 1 s to 11 s, and one that begins and ends meanwhile."""
    begin = wire.encode(wire.Enter(syscall=NUMBERS["read"], args=(3, 0, 9, 0, 0, 0), time_ns=10**9, tgid=1, tid=1))
    end = wire.encode(wire.Exit(syscall=NUMBERS["read"], ret=0, time_ns=11 * 10**9, tgid=1, tid=1))
    return [begin, call(at=6 * 10**9, tid=2, pid=2), end]


def test_seconds_count_from_the_first_begin_whatever_ends_first() -> None:
    statistics = LiveStatistics(READS, WRITES)
    for columns in batches(overtaken()):
        statistics.consume(columns)
    assert statistics.snapshot().seconds == 10.0
    statistics.reset(20 * 10**9)
    for columns in batches([call(at=19 * 10**9, latency=2 * 10**9)]):
        statistics.consume(columns)
    assert statistics.snapshot().seconds == 1.0, "a call that was under way at the reset begins no earlier"
    statistics.reset()
    statistics.reset()
    assert statistics.snapshot(24 * 10**9).seconds == 3.0, "since the last call, however often that is asked for"


def test_a_reset_before_the_first_call_changes_nothing() -> None:
    statistics = LiveStatistics(READS, WRITES)
    statistics.reset()
    for columns in batches(overtaken()):
        statistics.consume(columns)
    assert statistics.snapshot().seconds == 10.0


def test_rates_are_over_the_seconds_since_the_reset() -> None:
    statistics = LiveStatistics(READS, WRITES)
    for columns in batches([call(at=10**9, latency=0, ret=50), call(at=2 * 10**9, latency=10**9, ret=150)]):
        statistics.consume(columns)
    shot = statistics.snapshot()
    assert (shot.seconds, shot.calls_per_s, shot.read_bytes_per_s) == (2.0, 1.0, 100.0)
    assert statistics.snapshot(11 * 10**9).calls_per_s == 0.2
    assert statistics.snapshot(10**9).seconds == 2.0  # a clock that is behind what was seen
    statistics.reset(5 * 10**9)
    assert statistics.snapshot(7 * 10**9).seconds == 2.0
    for columns in batches([call(at=6 * 10**9, latency=0)]):
        statistics.consume(columns)
    assert statistics.snapshot().calls_per_s == 1.0


def test_without_rows_nothing_is_known() -> None:
    empty = Figures("", None, 0, 0, 0, 0, 0, 0, None, None, None, None, None, None, None)
    shot = LiveStatistics(READS, WRITES).snapshot(123)
    nothing = Ranking((), empty, empty, 0)
    assert shot == StatisticsSnapshot(
        empty, nothing, nothing, nothing, nothing, (0,) * 8, (0,) * 8, None, 0.0, None, None, None, None
    )


def test_a_reset_forgets_everything() -> None:
    statistics = Statistics(READS, WRITES, **LEAST)
    stream = [access(b"/%d/x" % n, n, at=1000 * n, pid=n + 1, tid=n + 1) for n in range(100)]
    for _ in range(2):
        for columns in batches(stream):
            statistics.consume(columns)
        shot = snapshot(statistics)
        assert (shot.totals.calls, shot.totals.max_ns, shot.gap_mean_ns) == (100, 99, None)
        assert shot.files.other_keys > 0
        statistics.reset(0)
        assert snapshot(statistics).totals.calls == 0
        assert snapshot(statistics).files.other_keys == 0


def test_released_batches_are_refused() -> None:
    statistics = Statistics(READS, WRITES)
    columns = next(batches([call(at=1)]))
    columns.release()
    with pytest.raises(ValueError, match="released"):
        statistics.consume(columns)
    assert snapshot(statistics).totals.calls == 0


def test_snapshots_never_change() -> None:
    shot = counted([call(at=1)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        shot.totals.calls = 3  # type: ignore[misc]
    assert hash(shot) == hash(counted([call(at=1)]))


@pytest.mark.parametrize("bounds", [{"max_keys": 1}, {"max_keys": 1 << 16}, {"max_text": 99}, {"max_bins": 99}])
def test_bounds_out_of_range_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Statistics(READS, WRITES, **bounds)


@pytest.mark.parametrize("most", [0, 1025])
def test_rows_out_of_range_are_refused(most: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024"):
        Statistics(READS, WRITES).read(most)


# ---- bounded memory ----


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 1 << 20)), min_size=1, max_size=300), st.integers(2, 20))
def test_sums_are_exact_however_often_keys_are_folded(calls: list[tuple[int, int]], most: int) -> None:
    stream = [
        access(b"/%d/%d" % (key % 40, key), latency, at=n << 22, pid=key + 1, tid=key + 1)
        for n, (key, latency) in enumerate(calls)
    ]
    shot = counted([b"".join(stream)], **{**LEAST, "max_keys": most})
    model = reference.Statistics(READS, WRITES)
    for columns in batches([b"".join(stream)]):
        model.consume(rows_of(columns))
    check_sums(shot)
    check_figures(shot.totals, model.totals)
    for ranking in (shot.files, shot.directories, shot.processes):
        assert len(ranking.rows) <= most
        assert (ranking.other_keys > 0) == (ranking.other.calls > 0)


def test_the_rest_of_the_table_counts_as_others() -> None:
    stream = [access(b"/%d" % n, n + 1, at=1000 * n) for n in range(100)]
    statistics = Statistics(READS, WRITES)
    for columns in batches([b"".join(stream)]):
        statistics.consume(columns)
    shot = snapshot(statistics, shown=10)
    assert [row.name for row in shot.files.rows] == [f"/{n}" for n in range(99, 89, -1)]
    others = Group(calls=90, latencies=list(range(1, 91)))
    check_figures(shot.files.other, others)
    assert shot.files.other_keys == 90


def test_folded_sketches_are_those_of_all_their_latencies() -> None:
    latencies = [(n * 7919) % 100_003 for n in range(5000)]
    stream = [access(b"/%d" % n, latency, at=n << 20) for n, latency in enumerate(latencies)]
    shot = counted([b"".join(stream)], **LEAST)
    kept = [row.latency_ns for row in shot.files.rows]
    rest = sorted(latencies)
    for latency in kept:
        rest.remove(latency)
    assert shot.files.other_keys == len(rest)
    check_figures(shot.files.other, Group(calls=len(rest), latencies=rest))


def test_what_takes_the_most_time_is_never_folded() -> None:
    heavy = [f"/heavy/{n}" for n in range(5)]
    parts = [access(b"/light/%d" % n, 10, at=n << 12, pid=n + 1, tid=n + 1) for n in range(20_000)]
    for n in range(0, 20_000, 100):
        parts[n] = access(heavy[n // 100 % 5].encode(), 1000 + n // 100 % 5, at=n << 12, pid=n // 100 % 5 + 1)
    shot = counted([b"".join(parts[i : i + 3000]) for i in range(0, 20_000, 3000)], **LEAST)
    assert [row.name for row in shot.files.rows[:5]] == heavy[::-1]
    assert [row.calls for row in shot.files.rows[:5]] == [40] * 5
    assert [(row.name, row.calls) for row in shot.directories.rows] == [("/heavy", 200), ("/light", 19_800)]
    check_sums(shot)


@pytest.mark.parametrize("length", [9_000, 70_000])
def test_syscalls_whose_names_there_is_no_room_for_are_counted_as_others(length: int) -> None:
    names = [name and name.ljust(length, "_") for name in syscalls.names("x86_64")]
    statistics = Statistics(READS, WRITES)
    rows = 0
    for columns in batches(blocks("DiverseAllTypes", 1000), new_engine(names=names)):
        statistics.consume(columns)
        rows += columns.rows
    shot = snapshot(statistics)
    assert shot.totals.calls == rows > 0
    assert shot.syscalls.other.calls > 0
    assert sum(row.calls for row in shot.syscalls.rows) + shot.syscalls.other.calls == rows


def test_memory_is_bounded_whatever_comes() -> None:
    statistics = Statistics(READS, WRITES, max_keys=256, max_text=1 << 16, max_bins=1 << 15)

    def consume(first: int) -> None:
        parts = (
            access(b"/%d/%s" % (n, b"x" * (n * 37 % 2000)), n * 12345 % (1 << 30), at=n << 31, pid=n + 1, tid=n + 1)
            for n in range(first, first + 20_000)
        )
        for columns in batches(chunks(parts, 2000)):
            statistics.consume(columns)

    consume(1)
    before = statistics.memory_bytes
    consume(20_001)
    consume(40_001)
    shot = snapshot(statistics)
    assert shot.totals.calls == 60_000
    assert 59_000 < shot.files.other_keys <= 60_000
    assert statistics.memory_bytes == before < 3 << 20
    check_sums(shot)


def test_as_many_names_of_syscalls_as_there_is_room_for():
    names = [f"call{number}" for number in range(1024)]
    _, (_, latency_buckets, gap_buckets, *_) = Statistics(names, names).read(1)
    assert set(latency_buckets) == set(gap_buckets) == {0}
    with pytest.raises(ValueError, match="too many names"):
        Statistics([*names, "one_more"], [])
