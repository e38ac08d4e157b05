"""The ledger of losses: sums are exact, windows hold what was lost in them, and nothing a file says can hurt."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_recording import write_recording

from tracer import losses, recording
from tracer.losses import Entry, Ledger, LossWatch, entries_between

KEYS = [("ring_full", 0), ("ring_full", 1), ("map_full", 0), ("program_skipped", None)]

CLOCK = json.dumps({"boot_ns": 1_000_000, "wall_ns": 1_764_000_000_000_000_000})


def gone(cause, from_ns, to_ns, lost, cpu=None):
    return {"cause": cause, "cpu": cpu, "from_ns": from_ns, "to_ns": to_ns, "lost": lost}


@st.composite
def stories(draw):
    """Looks at counters: the time, and how much of which counter was lost at which moment since the look before."""
    looks, now = [], 0
    for _ in range(draw(st.integers(1, 40))):
        span = draw(st.integers(2, 1000))
        events = draw(
            st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, span - 1), st.integers(1, 9)), max_size=4)
        )
        looks.append((now + span, [(key, now + at, lost) for key, at, lost in events]))
        now += span
    return looks


class TestLedger:
    @given(stories(), st.integers(1, 12))
    def test_sums_are_exact_and_windows_hold_what_was_lost(self, looks, most):
        counters = dict.fromkeys(KEYS, 0)
        ledger = Ledger(0, most=most)
        for now, events in looks:
            for key, _, lost in events:
                counters[key] += lost
            ledger.look(counters, now, now)
        entries = ledger.entries()
        assert len(entries) <= max(most, len(KEYS))
        for key in KEYS:
            mine = [entry for entry in entries if entry[:2] == key]
            assert sum(entry.lost for entry in mine) == counters[key]
            assert all(a.to_ns < b.from_ns for a, b in itertools.pairwise(mine))
            for now, events in looks:
                for at in (at for event, at, _ in events if event == key):
                    assert any(entry.from_ns <= at <= entry.to_ns for entry in mine), (at, now)
        sums = {cause: sum(n for key, n in counters.items() if key[0] == cause) for cause, _ in KEYS}
        assert ledger.totals() == sums

    @given(stories(), st.integers(0, 39))
    def test_of_a_part_has_what_was_lost_since(self, looks, begin):
        counters = dict.fromkeys(KEYS, 0)
        part, base = None, {}
        for number, (now, events) in enumerate(looks):
            if number == min(begin, len(looks) - 1):
                part, base = Ledger(now, dict(counters)), dict(counters)
            for key, _, lost in events:
                counters[key] += lost
            if part is not None:
                part.look(counters, now + 1, now + 1)
        for key in KEYS:
            mine = [entry for entry in part.entries() if entry[:2] == key]
            assert sum(entry.lost for entry in mine) == counters[key] - base[key]

    @given(stories(), st.integers(1, 12), st.sets(st.integers(0, 39)))
    def test_what_parts_gained_adds_up_whatever_was_merged(self, looks, most, ends):
        counters = dict.fromkeys(KEYS, 0)
        ledger, earlier, lost_before = Ledger(0, most=most), [], dict(counters)
        for number, (now, events) in enumerate(looks):
            for key, _, lost in events:
                counters[key] += lost
            ledger.look(counters, now, now)
            if number in ends:
                entries = ledger.entries()
                gained = entries_between(earlier, entries)
                for key in KEYS:
                    mine = sum(entry.lost for entry in gained if entry[:2] == key)
                    assert mine == counters[key] - lost_before[key]
                assert {entry[:4] for entry in gained} <= {entry[:4] for entry in entries}
                earlier, lost_before = entries, dict(counters)

    def test_windows_that_touch_are_one_and_others_are_not(self):
        ledger = Ledger(0)
        for now, count in [(10, 0), (20, 3), (30, 4), (40, 4), (50, 9)]:
            ledger.look({("ring_full", 1): count}, now, now + 1)
        assert ledger.entries() == [Entry("ring_full", 1, 10, 31, 4), Entry("ring_full", 1, 40, 51, 5)]

    def test_what_can_not_be_read_is_unknown_until_it_can(self):
        ledger = Ledger(0)
        for now, count in [(10, 2), (20, None), (30, None)]:
            ledger.look({("ring_full", 0): count, ("map_full", 0): 0}, now, now)
        assert ledger.totals() == {"ring_full": None, "map_full": 0}
        assert ledger.entries() == [Entry("ring_full", 0, 0, 10, 2), Entry("ring_full", 0, 10, 30, None)]
        ledger.look({("ring_full", 0): 7, ("map_full", 0): 0}, 40, 40)
        assert ledger.totals() == {"ring_full": 7, "map_full": 0}
        assert ledger.entries() == [Entry("ring_full", 0, 0, 40, 7)]

    def test_one_unknown_processor_makes_the_sum_unknown(self):
        ledger = Ledger(0)
        ledger.look({("ring_full", 0): 3, ("ring_full", 1): None}, 5, 5)
        assert ledger.totals() == {"ring_full": None}

    def test_a_part_that_began_unknown_stays_so(self):
        ledger = Ledger(100, {("ring_full", 0): None, ("map_full", 0): 5})
        ledger.look({("ring_full", 0): 7, ("map_full", 0): 6}, 110, 110)
        assert ledger.totals() == {"ring_full": None, "map_full": 1}
        assert ledger.entries() == [Entry("ring_full", 0, 100, 110, None), Entry("map_full", 0, 100, 110, 1)]

    def test_records_that_waited_widen_the_window(self):
        """Pairing finds at the third look what was lost before the second: the record had not been drained by then."""
        ledger = Ledger(0)
        ledger.look({("mismatched", None): 0}, 10, 10)
        ledger.look({("mismatched", None): 0}, 20, 20)
        ledger.look({("mismatched", None): 1}, 30, 30, oldest_ns=15)
        assert ledger.entries() == [Entry("mismatched", None, 15, 30, 1)]

    def test_another_thread_sees_sums_and_windows_of_the_same_moment(self):
        """Windows are merged again and again, of a ledger that is always full, while it is asked."""
        ledger = Ledger(0, most=16)
        is_over = threading.Event()

        def look():
            for now in itertools.count(step=10):
                if is_over.is_set():
                    break
                ledger.look({("ring_full", 0): now // 7, ("ring_full", 1): now // 3}, now, now + 1)

        looking = threading.Thread(target=look)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            looking.start()
            for _ in range(2_000):
                totals, entries = ledger.balance()
                assert sum(entry.lost for entry in entries) == totals.get("ring_full", 0)
        finally:
            sys.setswitchinterval(interval)
            is_over.set()
            looking.join()


class TestLossWatch:
    def watch(self):
        kernel, engine = {("ring_full", 0): 0}, {"mismatched": 0}
        return kernel, engine, LossWatch(lambda: kernel, lambda: engine, 0, most=100)

    def test_looks_when_it_is_time(self, monkeypatch):
        kernel, _, watch = self.watch()
        kernel["ring_full", 0] = 5
        watch.look_if_due()
        assert watch.losses["ring_full"] == 0, "too early"
        later = time.monotonic() + losses.LOOK_S
        monkeypatch.setattr(time, "monotonic", lambda: later)
        watch.look_if_due()
        assert watch.losses == {"ring_full": 5, "undrained_bytes": 0, "mismatched": 0}

    def test_parts_and_the_end(self):
        kernel, engine, watch = self.watch()
        kernel["ring_full", 0] = 5
        part = watch.start()
        kernel["ring_full", 0] = 8
        engine["mismatched"] = 1
        watch.look(undrained=24)
        watch.end()
        kernel["ring_full", 0] = None  # the map is gone
        watch.stop(part)
        assert watch.losses == {"ring_full": 8, "undrained_bytes": 24, "mismatched": 1}
        assert part.totals() == {"ring_full": 3, "undrained_bytes": 24, "mismatched": 1}
        assert watch.ledger.totals() == watch.losses

    def test_windows_are_on_the_boot_clock(self):
        kernel, _, watch = self.watch()
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        watch.look()
        kernel["ring_full", 0] = 1
        watch.look()
        (entry,) = watch.ledger.entries()
        assert before <= entry.from_ns < entry.to_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class TestTable:
    def opened(self, tmp_path, entries, totals, **footer):
        text = entries if isinstance(entries, str) else json.dumps(entries)
        keys = {"losses": text, "loss": json.dumps(totals), "clock": CLOCK} | footer
        return recording.open(write_recording(tmp_path / "a.parquet", [{}], **keys))

    def test_columns(self, tmp_path):
        entries = [gone("ring_full", 2_000_000, 3_000_500, 7, cpu=1), gone("program_skipped", 1, 2, None)]
        with self.opened(tmp_path, entries, {"ring_full": 7, "program_skipped": None, "map_full": 0}) as opened:
            table = opened.losses
        assert table.schema.equals(recording.LOSSES_SCHEMA)
        unknown, row = table.to_pylist()
        assert (unknown["cause"], unknown["lost"]) == ("program_skipped", None)
        assert (row["cause"], row["cpu"], row["from_ns"], row["to_ns"]) == ("ring_full", 1, 2_000_000, 3_000_500)
        assert row["lost"] == 7
        times = table.column("from_time").cast(pa.int64()).to_pylist()
        assert times[1] == 1_764_000_000_000_000 + 1_000
        assert table.column("to_time").cast(pa.int64()).to_pylist()[1] == 1_764_000_000_000_000 + 2_000

    def test_sql_sees_it(self, tmp_path):
        with self.opened(tmp_path, [gone("ring_full", 1, 5, 2, cpu=0)], {"ring_full": 2}) as opened:
            found = opened.sql("SELECT cause, cpu, to_ns - from_ns AS ns, lost FROM losses WHERE cause <> 'no such'")
            assert found.to_pylist() == [{"cause": "ring_full", "cpu": 0, "ns": 4, "lost": 2}]

    def test_nothing_lost(self, tmp_path):
        with self.opened(tmp_path, [], {"ring_full": 0}) as opened:
            assert opened.losses.num_rows == 0
            assert opened.sql("SELECT count(*) AS n FROM losses").to_pylist() == [{"n": 0}]

    @pytest.mark.parametrize(
        "entries",
        [
            "",
            "no json",
            "[" * 100_000,
            "{}",
            "7",
            "[7]",
            [gone("ring_full", 1, 2, 4)],
            [gone("ring_full", 5, 4, 5)],
            [gone("ring_full", None, 4, 5)],
            [gone("ring_full", -1, 4, 5)],
            [gone("ring_full", 1, 1 << 70, 5)],
            [gone("ring_full", 1, 2, 5, cpu=1 << 31)],
            [gone("ring_full", 1, 2, "5")],
            [gone("ring_full", 1, 2, 5.0)],
            [gone(7, 1, 2, 5)],
            [gone("ring_full", 1, 2, 5), {}],
            [gone("ring_full", 1, 2, True), gone("ring_full", 1, 2, 4)],
        ],
    )
    def test_a_ledger_that_is_none_leaves_the_total(self, tmp_path, entries):
        with self.opened(tmp_path, entries, {"ring_full": 5, "map_full": 0}) as opened:
            (row,) = opened.losses.to_pylist()
        nothing = dict.fromkeys(["cpu", "from_time", "to_time", "from_ns", "to_ns"])
        assert row == nothing | {"cause": "ring_full", "lost": 5}

    @pytest.mark.parametrize("loss", ["", "[]", "nonsense"])
    def test_no_totals_are_unknown(self, tmp_path, loss):
        with self.opened(tmp_path, [], {}, loss=loss) as opened:
            (row,) = opened.losses.to_pylist()
            assert (row["cause"], row["lost"]) == ("unknown", None)

    @pytest.mark.parametrize("clock", ["", "[]", "{}", '{"wall_ns": 1}', '{"wall_ns": 1, "boot_ns": "2"}'])
    def test_no_clock_no_times(self, tmp_path, clock):
        with self.opened(tmp_path, [gone("ring_full", 1, 2, 5)], {"ring_full": 5}, clock=clock) as opened:
            (row,) = opened.losses.to_pylist()
        assert (row["from_ns"], row["from_time"], row["to_time"]) == (1, None, None)

    def test_times_at_the_end_of_the_world(self, tmp_path):
        last = (1 << 63) - 1
        clock = json.dumps({"boot_ns": 0, "wall_ns": last})
        with self.opened(tmp_path, [gone("ring_full", 0, last, last)], {"ring_full": last}, clock=clock) as opened:
            assert opened.losses.column("to_ns").to_pylist() == [last]
            assert opened.sql("SELECT to_ns FROM losses").to_pylist() == [{"to_ns": last}]

    @pytest.mark.parametrize(
        ("cause", "shown"), [("\ud800", "\\ud800"), ("a\0b", "a\\x00b"), ("'); DROP TABLE losses; --", None)]
    )
    def test_a_cause_that_is_no_text(self, tmp_path, cause, shown):
        with self.opened(tmp_path, [gone(cause, 1, 2, 5)], {cause: 5}) as opened:
            assert opened.losses.column("cause").to_pylist() == [shown or cause]
            assert opened.sql("SELECT cause FROM losses").to_pylist() == [{"cause": shown or cause}]

    def test_a_folder_has_those_of_all_parts(self, tmp_path):
        for name, cause, lost in [("a", "ring_full", 1), ("b", "map_full", 2)]:
            keys = {"loss": json.dumps({cause: lost}), "losses": json.dumps([gone(cause, 1, 2, lost)]), "clock": CLOCK}
            write_recording(tmp_path / f"{name}.parquet", [{}], **keys)
        write_recording(tmp_path / "c.parquet", [{}], loss='{"ring_full": 4}')
        with recording.open(tmp_path) as opened:
            rows = {(row["cause"], row["from_ns"], row["lost"]) for row in opened.losses.to_pylist()}
            assert opened.loss == {"ring_full": None, "map_full": None}
        assert rows == {("ring_full", 1, 1), ("map_full", 1, 2), ("ring_full", None, 4)}

    def test_what_is_written_is_read(self, tmp_path):
        ledger = Ledger(0)
        for now, count in [(10, 1), (20, 1), (30, 4)]:
            ledger.look({("ring_full", 0): count, ("program_skipped", None): None}, now, now)
        with self.opened(tmp_path, losses.dumped(ledger.entries()), ledger.totals()) as opened:
            rows = opened.losses.select(list(Entry._fields)).to_pylist()
        assert [Entry(**row) for row in rows] == ledger.entries()
