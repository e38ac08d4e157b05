"""What the program that wants its recorder to grow calls a fault. That it runs is shown by `live/test_growth.py`."""

from __future__ import annotations

import growth
import pytest

GOOD = {"reads": 1000, "rows": 1000, "wrong_files": 0, "wrong_comms": 0, "lost": {}, "rss_peak_mib": 900}


@pytest.mark.parametrize("found", [{}, {"rows": 900, "lost": {"ring_full": 150}}, {"lost": {"untracked_fds": 500}}])
def test_no_fault(found: growth.Found) -> None:
    assert growth.faults(GOOD | found) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"rows": 999}, "1 reads are missing, 0 losses were counted"),
        ({"rows": 999, "lost": {"untracked_fds": 500}}, "1 reads are missing, 0 losses were counted"),
        ({"rows": 1001}, "-1 reads are missing"),
        ({"lost": {"ring_full": None}}, "not known how much was lost: ring_full"),
        ({"wrong_files": 1}, "1 rows have another file's name, 0 another thread's"),
        ({"wrong_comms": 2}, "0 rows have another file's name, 2 another thread's"),
        ({"rss_peak_mib": 1025}, "the recorder took 1025 MiB"),
    ],
)
def test_fault(found: growth.Found, said: str) -> None:
    (fault,) = growth.faults(GOOD | found)
    assert said in fault
