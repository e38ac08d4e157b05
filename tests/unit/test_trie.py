"""The live trie against sums in a plain dictionary, and what it does when it is full."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
import wire
from hypothesis import given, settings
from hypothesis import strategies as st

from tracer import syscalls
from tracer._fast import Columns, Engine
from tracer._fast.trie import LEVELS, METRICS, OTHER, Frame, Trie
from tracer.batch import record_batch
from tracer.capture.generator import blocks
from tracer.pipeline import Clock, new_engine

MACHINE = "x86_64"
NUMBERS = {call.name: number for number, call in syscalls.machine_numbers(MACHINE).items()}
MOST_DIRECTORIES = 127
Stack = tuple[str, ...]
Row = dict[str, Any]
ORDERS = [order for length in range(1, 5) for order in itertools.permutations(LEVELS, length)]


def engine() -> Engine:
    return new_engine(MACHINE, frozenset(NUMBERS), clock=Clock(0, 0), failed_only=False, keep_stream=False)


def batches(parts: Iterable[Any]) -> Iterator[Columns]:
    """The rows of each block as a batch, given back once the next one is asked for."""
    made = engine()
    for part in parts:
        assert made.feed(part) == len(part)
        columns = made.take()
        if columns is not None:
            yield columns
            columns.release()


def batched(items: Iterable[bytes], size: int) -> Iterator[bytes]:
    """So many items at a time, joined."""
    left = iter(items)
    while some := b"".join(itertools.islice(left, size)):
        yield some


def rows_of(columns: Columns) -> list[Row]:
    rows: list[Row] = record_batch(columns).to_pylist()
    return rows


# ---- streams of made-up calls ----


def call(path: bytes | None, name: str = "openat", pid: int = 100, comm: bytes = b"sh", ns: int = 10) -> bytes:
    """A call as records: an open of a path, or what has none."""
    head = {"tgid": pid, "tid": pid}
    paths = wire.Paths(path) if path is not None else None
    args = (0xFFFF_FFFF_FFFF_FF9C, 0, 0) if path is not None else (1, 0, 5)
    return b"".join(
        map(
            wire.encode,
            (
                wire.Comm(comm=comm, time_ns=1000, **head),
                wire.Enter(syscall=NUMBERS[name], args=args, paths=paths, time_ns=1000, **head),
                wire.Exit(syscall=NUMBERS[name], ret=5, time_ns=1000 + ns, **head),
            ),
        )
    )


COMPONENTS = st.sampled_from(
    [b"a", b"b", b"[other]", b"openat", b"sh", b"x;y", b"new\nline", b"\x1b[2J", b"\xff", b"a" * 40]
)
PATHS = st.one_of(
    st.none(),
    st.lists(COMPONENTS, max_size=5).map(lambda parts: b"/" + b"/".join(parts)),
    st.sampled_from(
        [b"/", b"//a//b/", b"a/b", b"/" + b"d/" * 126 + b"e", b"/" + b"d/" * 127 + b"e", b"/" + b"d/" * 300]
    ),
)
CALLS = st.one_of(
    st.builds(
        call,
        PATHS.filter(lambda path: path is not None),
        st.sampled_from(["openat", "faccessat"]),
        st.sampled_from([1, 2, 70_000]),
        st.sampled_from([b"sh", b"a", b"", b"b\xffd", b"fifteen letters"]),
        st.sampled_from([0, 1, 10, 1 << 40]),
    ),
    st.builds(call, st.none(), st.sampled_from(["read", "write", "sync"]), ns=st.sampled_from([1, 7])),
)
STREAMS = st.lists(st.lists(CALLS, max_size=12).map(b"".join), min_size=1, max_size=4)


# ---- the plain model ----


def weight_of(row: Row, metric: str) -> int:
    return max(0, {"count": 1, "latency": row["latency_ns"] or 0, "bytes": row["bytes"] or 0}[metric])


def frames_of(row: Row, order: Sequence[str]) -> tuple[Stack, bool]:
    """The names of a row's frames, and whether they are all there are."""
    frames: list[str] = []
    for level in order:
        if level != "path":
            frames += [str(row[level])] if row[level] != "" else []
            continue
        *directories, last = (row["file"] or "").split("/")
        directories = [name for name in directories if name]
        frames += directories[:MOST_DIRECTORIES]
        if len(directories) > MOST_DIRECTORIES:
            return tuple(frames), False
        frames += [last] if last else []
    return tuple(frames), True


def totals_of(rows: Iterable[Row], order: Sequence[str], metric: str) -> Counter[Stack]:
    """By stack what it and all below it weigh."""
    totals: Counter[Stack] = Counter()
    for row in rows:
        frames, whole = frames_of(row, order)
        for length in range(len(frames) + 1):
            totals[frames[:length]] += weight_of(row, metric)
        if not whole:
            totals[*frames, OTHER] += weight_of(row, metric)
    return +totals


def walk(frame: Frame, above: Stack = ()) -> Iterator[tuple[Stack, Frame]]:
    yield above, frame
    for child in frame.children:
        yield from walk(child, (*above, child.name))


def shown(root: Frame) -> dict[Stack, int]:
    """By stack what a snapshot shows, which has each of them once."""
    pairs = [(stack, frame.value) for stack, frame in walk(root)]
    assert len({stack for stack, _ in pairs}) == len(pairs)
    return dict(pairs)


def check_shape(root: Frame) -> None:
    """What holds of every snapshot, full trie or not."""
    assert root.name == ""
    for _, frame in walk(root):
        names = [child.name for child in frame.children]
        assert names == sorted(names)
        assert all(names)
        assert sum(child.value for child in frame.children) <= frame.value


# ---- exactness ----


@pytest.mark.parametrize("mix", ["DiverseAllTypes", "ReadHeavy"])
def test_sums_of_a_generated_stream(mix: str) -> None:
    tries = [Trie(order, metric) for order in ORDERS for metric in METRICS]
    rows: list[Row] = []
    for columns in batches(blocks(mix, 400, 7, block_bytes=20_000, machine=MACHINE)):
        rows += rows_of(columns)
        for trie in tries:
            trie.consume(columns)
    assert len(rows) == 400
    for trie in tries:
        root = trie.snapshot(0)
        check_shape(root)
        assert shown(root) == {(): 0} | totals_of(rows, trie.order, trie.metric)


@settings(max_examples=100, deadline=None)
@given(STREAMS, st.sampled_from(ORDERS), st.sampled_from(METRICS), st.booleans())
def test_sums_of_made_up_calls(parts: list[bytes], order: tuple[str, ...], metric: str, look: bool) -> None:
    trie, rows = Trie(order, metric, max_nodes=16_384), list[Row]()
    for columns in batches(parts):
        rows += rows_of(columns)
        trie.consume(columns)
        if look:
            trie.snapshot()
    root = trie.snapshot(0)
    check_shape(root)
    assert shown(root) == {(): 0} | totals_of(rows, order, metric)


def test_names_are_kept_as_they_are() -> None:
    trie = Trie(["path"], "count")
    for columns in batches([call(b"/x;y/new\nline\r\x1b[2J/\xff\xc3\xa9")]):
        trie.consume(columns)
    assert [frame.name for _, frame in walk(trie.snapshot())] == ["", "x;y", "new\nline\r\x1b[2J", "\\xffé"]


# ---- when it is full ----


@pytest.mark.parametrize("order", [("path",), ("comm", "path", "syscall"), ("pid", "comm", "path"), ("path", "comm")])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("looks", [False, True])
def test_a_full_trie_keeps_sums(order: tuple[str, ...], metric: str, looks: bool) -> None:
    trie, rows = Trie(order, metric, max_nodes=256), list[Row]()
    before = trie.memory_bytes
    for columns in batches(blocks("DiverseAllTypes", 6000, 5, block_bytes=40_000, machine=MACHINE)):
        rows += rows_of(columns)
        trie.consume(columns)
        assert trie.count <= 256
        if looks:
            check_shape(trie.snapshot())
    root = trie.snapshot(0)
    check_shape(root)
    assert trie.compactions > 0
    assert trie.memory_bytes == before
    assert root.value == sum(weight_of(row, metric) for row in rows)
    found = shown(root)
    totals = totals_of(rows, order, metric)
    assert any(OTHER in stack for stack in found)
    for stack, value in found.items():
        # A frame that was given up and came again may have lost what it had to [other] beside it, never won any.
        assert value <= totals[stack] or OTHER in stack


def test_folding_gives_up_no_more_than_it_has_to() -> None:
    """An eighth of the nodes is left, even where all weigh the same."""
    trie, counts = Trie(["path"], "count", max_nodes=256), list[int]()
    for columns in batches(call(b"/%d" % number) for number in range(1000)):
        trie.consume(columns)
        trie.snapshot()
        counts.append(trie.count)
    assert trie.compactions > 1
    assert min(counts[counts.index(max(counts)) + 1 :]) in {32, 33}


def test_heavy_frames_survive() -> None:
    """Among many that come once, those that come often are known exactly, or nearly so."""
    trie = Trie(["comm", "path"], "count", max_nodes=1024)
    rare = (call(b"/rare/%d" % number) for number in range(20_000))
    often = [call(b"/often/%d" % number) for number in range(4)]
    parts = [b"".join(often) + some for some in batched(rare, 20)]
    for columns in batches(parts):
        trie.consume(columns)
    root = trie.snapshot(0)
    found = shown(root)
    assert trie.compactions > 0
    assert root.value == 24_000
    assert found["sh", "often"] == 4000
    assert found["sh", "rare"] == 20_000
    assert [found["sh", "often", str(number)] for number in range(4)] == [1000] * 4
    assert found["sh", "rare", OTHER] > 15_000


def test_names_are_bounded() -> None:
    trie = Trie(["path"], "count", max_name_bytes=1 << 16)
    for columns in batches([call(b"/" + b"%d" % number * 40 + b"/" + b"\xff" * 250) for number in range(2000)]):
        trie.consume(columns)
    root = trie.snapshot(0)
    assert trie.compactions > 0
    assert root.value == 2000
    check_shape(root)
    assert sum(len(frame.name.encode()) for _, frame in walk(root)) < (1 << 16) * 2


def test_a_name_that_is_too_long_is_not_told_apart() -> None:
    trie = Trie(["path", "syscall"], "count", max_name_bytes=1 << 16)
    for columns in batches([call(b"/a/" + b"\xff" * 4000), call(b"/a/b")] * 50):
        trie.consume(columns)
    assert trie.compactions == 0
    assert shown(trie.snapshot(0)) == {
        (): 100,
        ("a",): 100,
        ("a", OTHER): 50,
        ("a", "b"): 50,
        ("a", "b", "openat"): 50,
    }


def test_very_deep_paths_in_a_small_trie() -> None:
    trie = Trie(["path"], "count", max_nodes=256)
    deep = [b"/" + b"/".join(b"%d" % (number + depth) for depth in range(120)) for number in range(200)]
    for columns in batches(call(path) for path in deep):
        trie.consume(columns)
        assert trie.snapshot(0).value > 0
    root = trie.snapshot(0)
    check_shape(root)
    assert root.value == 200


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 1000)), min_size=300, max_size=900), st.data())
def test_weights_of_all_sizes_in_a_small_trie(calls: list[tuple[int, int]], data: st.DataObject) -> None:
    order = data.draw(st.sampled_from([("path",), ("syscall", "path"), ("path", "pid")]))
    trie, rows = Trie(order, "latency", max_nodes=256), list[Row]()
    made = [call(b"/%d/%d/f%d" % (n % 3, n % 50, n), ns=1 << (ns % 40)) for n, ns in calls]
    for columns in batches(batched(made, 50)):
        rows += rows_of(columns)
        trie.consume(columns)
    root = trie.snapshot(0)
    check_shape(root)
    totals = totals_of(rows, order, "latency")
    assert root.value == totals[()]
    for stack, value in shown(root).items():
        assert OTHER in stack or value <= totals[stack]
    heaviest = max((stack for stack in totals if len(stack) == 1), key=lambda stack: totals[stack])
    assert heaviest in shown(root)


# ---- what is shown ----


def trie_of(weights: dict[bytes, int], order: Sequence[str] = ("path",)) -> Trie:
    trie = Trie(order, "latency")
    for columns in batches([b"".join(call(path, ns=weight) for path, weight in weights.items())]):
        trie.consume(columns)
    return trie


def test_light_frames_are_pruned_and_stay_in_the_sums() -> None:
    trie = trie_of({b"/a/x": 990, b"/a/y": 9, b"/b": 1})
    assert shown(trie.snapshot(0.01)) == {(): 1000, ("a",): 999, ("a", "x"): 990}
    assert shown(trie.snapshot(0.009)) == {(): 1000, ("a",): 999, ("a", "x"): 990, ("a", "y"): 9}
    assert ("b",) in shown(trie.snapshot())
    # All children of the root weigh less than it, and so do all of theirs: the heaviest stay.
    assert shown(trie.snapshot(1)) == {(): 1000, ("a",): 999, ("a", "x"): 990, ("a", "y"): 9, ("b",): 1}


def test_the_heaviest_stay_where_all_would_go() -> None:
    trie = trie_of({b"/f%02d" % number: 100 + number for number in range(30)})
    assert set(shown(trie.snapshot(0.5))) == {(), *((f"f{number:02d}",) for number in range(22, 30))}
    below = trie_of({b"/top/f%02d/deep" % number: 100 + number for number in range(30)})
    heaviest = {("top", f"f{number:02d}") for number in range(22, 30)}
    assert set(shown(below.snapshot(0.5))) == {(), ("top",), *heaviest}
    lower = trie_of({b"/top/second/f%02d" % number: 100 for number in range(30)})
    assert set(shown(lower.snapshot(0.5))) == {(), ("top",), ("top", "second")}
    some = trie_of({b"/top/heavy": 1000} | {b"/top/f%02d" % number: 10 for number in range(30)})
    assert set(shown(some.snapshot(0.5))) == {(), ("top",), ("top", "heavy")}


@settings(max_examples=60, deadline=None)
@given(STREAMS, st.sampled_from([0.001, 0.05, 0.3, 1]), st.sampled_from(ORDERS))
def test_pruning(parts: list[bytes], min_share: float, order: tuple[str, ...]) -> None:
    trie, rows = Trie(order, "latency"), list[Row]()
    for columns in batches(parts):
        rows += rows_of(columns)
        trie.consume(columns)
    totals = {(): 0} | totals_of(rows, order, "latency")
    least = totals[()] * min_share
    found = shown(trie.snapshot(min_share))
    assert all(totals[stack] == value for stack, value in found.items())
    for stack in found.keys() - {()}:
        assert totals[stack] >= least or len(stack) <= 2
    for stack, total in totals.items():
        siblings = [other for other in totals if other[:-1] == stack[:-1] and other]
        if total >= least:
            assert stack in found
        elif len(stack) in {1, 2} and stack[:-1] in found and all(totals[other] < least for other in siblings):
            stay = [totals[other] for other in siblings if other in found]
            assert sorted(stay) == sorted((totals[other] for other in siblings), reverse=True)[:8][::-1]
        else:
            assert stack not in found


# ---- life ----


def test_the_same_snapshot_until_there_are_new_rows() -> None:
    trie = Trie(["path"], "count")
    first = trie.snapshot()
    assert first == Frame("", 0, ())
    assert trie.snapshot() is first
    for columns in batches([call(b"/a")]):
        trie.consume(columns)
    second = trie.snapshot()
    assert second.value == 1
    assert trie.snapshot() is second
    assert trie.snapshot(0.5) is not second
    assert first.value == 0
    trie.reset()
    assert trie.snapshot() == Frame("", 0, ())
    assert second.value == 1


def test_reset_begins_anew() -> None:
    trie = Trie(["comm", "path"], "count", max_nodes=256)
    for _ in range(2):
        for columns in batches(blocks("DiverseAllTypes", 2000, block_bytes=40_000, machine=MACHINE)):
            trie.consume(columns)
        assert trie.compactions > 0
        trie.reset()
        assert (trie.compactions, trie.snapshot()) == (0, Frame("", 0, ()))
    for columns in batches([call(b"/a")]):
        trie.consume(columns)
    assert shown(trie.snapshot()) == {(): 1, ("sh",): 1, ("sh", "a"): 1}


def test_a_released_batch_is_refused() -> None:
    made = engine()
    made.feed(call(b"/a"))
    columns = made.take()
    assert columns is not None
    columns.release()
    trie = Trie(["path"], "count")
    with pytest.raises(ValueError, match="released"):
        trie.consume(columns)
    assert trie.snapshot().value == 0


@pytest.mark.parametrize("order", [(), ("path", "path"), ("file",), ("path", "comm", "path"), "path"])
def test_orders_that_are_none(order: Any) -> None:
    with pytest.raises(ValueError, match="order"):
        Trie(order, "count")


def test_arguments_that_are_none() -> None:
    with pytest.raises(ValueError, match="metric"):
        Trie(["path"], "rows")
    for limits in ({"max_nodes": 255}, {"max_nodes": 65_537}, {"max_name_bytes": 65_535}, {"max_name_bytes": 1 << 31}):
        with pytest.raises(ValueError, match="limit"):
            Trie(["path"], "count", **limits)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="min_share"):
            Trie(["path"], "count").snapshot(share)


def test_threads_that_look_while_rows_come() -> None:
    trie, done, seen = Trie(["comm", "path"], "count", max_nodes=1024), threading.Event(), list[int]()

    def look() -> None:
        while not done.is_set():
            root = trie.snapshot(0)
            check_shape(root)
            seen.append(root.value)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for columns in batches(blocks("DiverseAllTypes", 20_000, block_bytes=40_000, machine=MACHINE)):
        trie.consume(columns)
    done.set()
    for watcher in watchers:
        watcher.join()
    assert trie.snapshot().value == 20_000
    assert seen


def test_a_reset_is_seen_at_once() -> None:
    """A snapshot of before is not shown again."""
    trie = Trie(["path"], "count")
    for columns in batches([call(b"/a")]):
        trie.consume(columns)
    assert trie.snapshot().value == 1
    trie.reset()
    assert trie.snapshot() == Frame("", 0, ())


def test_another_share_is_another_snapshot() -> None:
    trie = Trie(["path"], "latency")
    for columns in batches([call(b"/a", ns=10**6) + call(b"/b", ns=1)]):
        trie.consume(columns)
    assert [frame.name for frame in trie.snapshot(0.5).children] == ["a"]
    assert [frame.name for frame in trie.snapshot(0).children] == ["a", "b"]


def test_latencies_of_a_damaged_stream_weigh_nothing() -> None:
    trie = Trie(["path"], "latency")
    for columns in batches([call(b"/a", ns=(1 << 63) + 5)]):
        trie.consume(columns)
    assert trie.snapshot() == Frame("", 0, ())


def full_trie() -> Trie:
    trie = Trie(["path"], "count", max_nodes=256)
    for columns in batches([b"".join(call(b"/d/%d" % number) for number in range(3000))]):
        trie.consume(columns)
    trie.snapshot()
    assert trie.compactions > 0
    return trie


def test_a_look_at_a_trie_that_has_been_full_folds_nothing() -> None:
    trie = full_trie()
    for columns in batches([call(b"/e/heavy") * 5000 + call(b"/e/light")]):
        trie.consume(columns)
    found = shown(trie.snapshot(0))
    assert {stack: value for stack, value in found.items() if stack[:1] == ("e",)} == {
        ("e",): 5001,
        ("e", "heavy"): 5000,
        ("e", "light"): 1,
    }


def test_what_is_light_gets_no_further_than_to_its_directory_once_the_trie_has_been_full() -> None:
    trie = full_trie()
    light = [call(b"/e/%d" % number) for number in range(20)]
    more = [call(b"/f/%d" % number) for number in range(40)]  # than the stacks have room for
    for columns in batches([b"".join([call(b"/e/heavy") * 5000, *light, *more])]):
        trie.consume(columns)
    found = shown(trie.snapshot(0))
    assert (found["e",], found["e", "heavy"], found["e", OTHER]) == (5020, 5000, 20)


def test_what_was_folded_has_one_frame_with_a_file_of_that_name() -> None:
    trie = Trie(["path"], "count", max_name_bytes=1 << 16)
    for columns in batches([call(b"/a/" + OTHER.encode()) + call(b"/a/" + b"\xff" * 4000)]):
        trie.consume(columns)
    assert shown(trie.snapshot(0)) == {(): 2, ("a",): 2, ("a", OTHER): 2}


def test_folding_gives_up_no_more_names_than_it_has_to() -> None:
    """An eighth of their bytes is left, even where all weigh the same."""
    trie, counts = Trie(["path"], "count", max_name_bytes=1 << 16), list[int]()
    for columns in batches(call(b"/%03d" % number + b"x" * 250) for number in range(600)):
        trie.consume(columns)
        trie.snapshot()
        counts.append(trie.count)
    assert trie.compactions > 1
    assert 30 <= min(counts[counts.index(max(counts)) + 1 :]) <= 36


def test_what_was_folded_is_shown_as_a_child_is() -> None:
    def trie_of(folded: int, children: dict[bytes, int]) -> Trie:
        trie = Trie(["path"], "count", max_name_bytes=1 << 16)
        calls = [call(b"/a/" + b"\xff" * 4000) * folded, *(call(b"/a/" + name) * n for name, n in children.items())]
        for columns in batches([b"".join(calls)]):
            trie.consume(columns)
        return trie

    both = {(): 100, ("a",): 100, ("a", OTHER): 50, ("a", "b"): 50}
    assert shown(trie_of(50, {b"b": 50}).snapshot(1)) == both
    assert shown(trie_of(95, {b"b": 5}).snapshot(0.5)) == {(): 100, ("a",): 100, ("a", OTHER): 95}
    names = [f"f{number}" for number in range(8)]
    many = trie_of(1, {name.encode(): 10 for name in names})
    assert [frame.name for frame in many.snapshot(0.5).children[0].children] == names


def test_what_was_folded_is_pruned_as_a_child_is() -> None:
    trie = Trie(["path"], "count", max_name_bytes=1 << 16)
    for columns in batches([call(b"/a/" + b"\xff" * 4000) + call(b"/a/b") * 999]):
        trie.consume(columns)
    assert shown(trie.snapshot(0.01)) == {(): 1000, ("a",): 1000, ("a", "b"): 999}


def test_a_trie_that_was_full_is_not_folded_again_before_it_is() -> None:
    trie = Trie(["path"], "count", max_nodes=256)
    deep = [b"/" + b"/".join(b"%d" % (number + depth) for depth in range(120)) for number in range(20)]
    for columns in batches([b"".join(map(call, deep))]):
        trie.consume(columns)
    trie.snapshot()
    before = trie.compactions
    assert before > 0
    for columns in batches(call(b"/new%d" % number) for number in range(50)):
        trie.consume(columns)
        trie.snapshot()
    assert trie.compactions == before
