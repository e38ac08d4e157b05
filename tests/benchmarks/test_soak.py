"""What the soak calls a fault. That it runs is shown by running it: it takes root and a minute."""

from __future__ import annotations

import pytest
import soak

GOOD = {"calls": 1000, "rows": 1000, "lost": {}, "rss_early_kb": 300_000, "rss_late_kb": 320_000}


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"rows": 900, "lost": {"ring_full": 150}},
        {"rows": 900, "lost": {"ring_full": 60, "exit_without_enter": 40}},
        {"rss_late_kb": 100_000},
    ],
)
def test_no_fault(found: soak.Found) -> None:
    assert soak.faults(GOOD | found) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"rows": 999}, "1 calls are missing, 0 losses were counted"),
        ({"rows": 1001}, "-1 calls are missing"),
        ({"rows": 800, "lost": {"ring_full": 199}}, "200 calls are missing, 199 losses"),
        ({"rows": 800, "lost": {"ring_full": 200, "program_skipped": None}}, "not known how much was lost: program"),
        ({"rss_late_kb": 331_000}, "memory grew from 300000 to 331000 kB"),
    ],
)
def test_fault(found: soak.Found, said: str) -> None:
    (fault,) = soak.faults(GOOD | found)
    assert said in fault


@pytest.mark.parametrize(("seconds", "early"), [(600, 60), (60, 25), (20, 5)])
def test_memory_is_looked_at_once_it_has_settled(seconds: float, early: int) -> None:
    looks = list(range(int(seconds)))
    found = soak.memory(looks, seconds)
    assert found["rss_early_kb"] == pytest.approx(early + 4.5, abs=0.5)
    assert found["rss_late_kb"] == pytest.approx(seconds - 5.5, abs=0.5)
