"""The summary of a recording: known answers, and whatever hypothesis can think of against plain Python."""

import math
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recording import CALL, write_recording

from tracer import recording
from tracer.errors import UsageError
from tracer.reports.summary import GROUPS, ORDERS, SummaryRow, summary

CALLS = [
    {"syscall": "read", "latency_ns": 10, "bytes": 100, "file": "/a", "pid": 1, "tid": 1, "comm": "sh"},
    {"syscall": "read", "latency_ns": 30, "bytes": 0, "file": "/b", "pid": 1, "tid": 2, "comm": "sh"},
    {"syscall": "read", "latency_ns": 20, "bytes": 50, "file": "/a", "pid": 2, "tid": 3, "comm": "cat"},
    {"syscall": "openat", "latency_ns": 40, "file": "/a", "pid": 2, "tid": 3, "comm": "cat"}
    | {"is_error": True, "error": "ENOENT", "family": "FS"},
    {"syscall": "exit_group", "latency_ns": None, "pid": 2, "tid": 3, "comm": "cat", "family": "Process"},
]


@pytest.fixture
def opened(tmp_path):
    with recording.open(write_recording(tmp_path / "a.parquet", CALLS)) as opened:
        yield opened


def names(result):
    return [row.key for row in result.rows]


def summary_of(calls, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = write_recording(Path(folder) / "a.parquet", calls)
        with recording.open(path) as opened:
            return summary(opened, **options)


class TestKnownAnswers:
    def test_by_syscall(self, opened):
        result = summary(opened)
        assert result.by == "syscall"
        assert result.columns == ("syscall",)
        assert result.groups == 3
        assert result.rows == (
            SummaryRow(("read",), 3, 0, 60, mean_ns=20.0, p50_ns=20, p99_ns=30, bytes=150, percent=60.0),
            SummaryRow(("openat",), 1, 1, 40, mean_ns=40.0, p50_ns=40, p99_ns=40, bytes=None, percent=40.0),
            SummaryRow(("exit_group",), 1, 0, 0, mean_ns=None, p50_ns=None, p99_ns=None, bytes=None, percent=0.0),
        )
        assert result.totals == SummaryRow((), 5, 1, 100, 25.0, p50_ns=20, p99_ns=40, bytes=150, percent=100.0)

    @pytest.mark.parametrize(
        ("by", "columns", "keys"),
        [
            ("file", ("file",), [("/a",), ("/b",), (None,)]),
            ("process", ("pid", "comm"), [(1, "sh"), (2, "cat")]),
            ("thread", ("pid", "tid", "comm"), [(1, 1, "sh"), (1, 2, "sh"), (2, 3, "cat")]),
            ("comm", ("comm",), [("cat",), ("sh",)]),
            ("family", ("family",), [("FS",), ("Process",)]),
            ("error", ("error",), [("ENOENT",), (None,)]),
        ],
    )
    def test_by_others(self, opened, by, columns, keys):
        result = summary(opened, by, sort="name")
        assert result.columns == columns
        assert names(result) == keys
        assert sum(row.calls for row in result.rows) == 5
        assert result.totals == summary(opened).totals

    def test_calls_without_a_file_are_a_group(self, opened):
        without = summary(opened, "file", sort="name").rows[-1]
        assert without == SummaryRow((None,), 1, 0, 0, None, None, None, None, 0.0)

    def test_a_renamed_process_has_a_row_for_each_name(self):
        result = summary_of([{"pid": 5, "comm": "sh"}, {"pid": 5, "comm": "ls"}], by="process", sort="name")
        assert names(result) == [(5, "ls"), (5, "sh")]

    def test_equal_rows_are_in_the_order_of_their_names(self):
        calls = [{"syscall": name} for name in ("write", "Read", "read", "é", "close")]
        for sort in ORDERS:
            assert names(summary_of(calls, sort=sort)) == [("Read",), ("close",), ("read",), ("write",), ("é",)]

    def test_a_limit_hides_rows_but_not_totals(self, opened):
        result = summary(opened, limit=1)
        assert names(result) == [("read",)]
        assert result.groups == 3
        assert result.totals.calls == 5
        assert summary(opened, limit=0).rows == ()

    @pytest.mark.parametrize("by", GROUPS)
    def test_empty_recording(self, by):
        result = summary_of([], by=by)
        assert result.rows == ()
        assert result.groups == 0
        assert result.totals == SummaryRow((), 0, 0, 0, None, None, None, None, 0.0)

    def test_sums_beyond_64_bits(self):
        result = summary_of([{"latency_ns": 2**63 - 1, "bytes": 2**63 - 1}] * 3)
        assert result.totals.total_ns == result.totals.bytes == 3 * (2**63 - 1)
        assert result.totals.p50_ns == result.totals.p99_ns == 2**63 - 1
        assert math.isclose(result.totals.mean_ns, 2**63)

    @pytest.mark.parametrize(("n", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (99, 50, 99), (100, 50, 99), (101, 51, 100)])
    def test_percentiles_are_nearest_ranks(self, n, p50, p99):
        totals = summary_of([{"latency_ns": latency_ns} for latency_ns in range(n, 0, -1)]).totals
        assert (totals.p50_ns, totals.p99_ns) == (p50, p99)

    def test_the_folder_counts_as_one(self, tmp_path):
        write_recording(tmp_path / "host=h/date=d/1.parquet", CALLS[:2])
        write_recording(tmp_path / "host=h/date=d/2.parquet", CALLS[2:])
        with recording.open(tmp_path) as opened:
            assert summary(opened, "file") == summary_of(CALLS, by="file")


@pytest.mark.parametrize("options", [{"by": "colour"}, {"sort": "colour"}, {"by": "pid; --"}, {"limit": -1}])
def test_what_there_is_not(opened, options):
    with pytest.raises(UsageError):
        summary(opened, **options)


@pytest.mark.parametrize(("options", "choices"), [({"by": "colour"}, GROUPS), ({"sort": "colour"}, ORDERS)])
def test_the_hint_lists_the_choices(opened, options, choices):
    with pytest.raises(UsageError, match="'colour'") as caught:
        summary(opened, **options)
    assert all(choice in caught.value.hint for choice in choices)


# --- against plain Python

COLUMN_OF = {"mean": "mean_ns", "p50": "p50_ns", "p99": "p99_ns", "total": "total_ns"}

TEXTS = st.sampled_from(["a", "B", "é", "it's", "\x1b[2J", "", "a b"])
CALL_DICTS = st.fixed_dictionaries(
    {
        "syscall": st.sampled_from(["read", "write", "openat"]),
        "family": st.sampled_from(["FS", "Network"]),
        "comm": TEXTS,
        "pid": st.integers(1, 3),
        "tid": st.integers(1, 4),
        "file": st.none() | TEXTS,
        "error": st.none() | st.sampled_from(["ENOENT", "EIO"]),
        # sums of these stay exact as float64, so that means can be compared exactly
        "latency_ns": st.none() | st.integers(0, 3) | st.integers(0, 10**12),
        "bytes": st.none() | st.integers(0, 2**63 - 1),
    }
).map(lambda call: call | {"is_error": call["error"] is not None})


def nearest_rank(values, share):
    return sorted(values)[math.ceil(Fraction(share) * len(values)) - 1] if values else None


def plain_row(key, calls, all_ns):
    times = [call["latency_ns"] for call in calls if call["latency_ns"] is not None]
    moved = [call["bytes"] for call in calls if call["bytes"] is not None]
    return SummaryRow(
        key=key,
        calls=len(calls),
        errors=sum(call["is_error"] for call in calls),
        total_ns=sum(times),
        mean_ns=sum(times) / len(times) if times else None,
        p50_ns=nearest_rank(times, "0.5"),
        p99_ns=nearest_rank(times, "0.99"),
        bytes=sum(moved) if moved else None,
        percent=100 * sum(times) / all_ns if all_ns else 0.0,
    )


def plain_summary(calls, by, sort):
    """Rows and totals, by hand: missing values come last whatever the order."""
    groups = {}
    for call in calls:
        groups.setdefault(tuple(call[column] for column in GROUPS[by]), []).append(call)
    all_ns = sum(call["latency_ns"] or 0 for call in calls)
    rows = [plain_row(key, group, all_ns) for key, group in groups.items()]
    rows.sort(key=lambda row: [(value is None, value) for value in row.key])
    if sort != "name":
        column = COLUMN_OF.get(sort, sort)
        rows.sort(key=lambda row: (getattr(row, column) is None, -(getattr(row, column) or 0)))
    return tuple(rows), plain_row((), calls, all_ns)


@settings(max_examples=80, deadline=None)
@given(calls=st.lists(CALL_DICTS, max_size=40), by=st.sampled_from(list(GROUPS)), sort=st.sampled_from(list(ORDERS)))
def test_agrees_with_plain_python(calls, by, sort):
    calls = [CALL | call for call in calls]
    result = summary_of(calls, by=by, sort=sort)
    rows, totals = plain_summary(calls, by, sort)
    assert result.rows == rows
    assert result.totals == totals
    assert result.groups == len(rows)
