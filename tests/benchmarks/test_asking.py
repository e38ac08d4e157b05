"""How often the measured operations ask /proc: as often as their descriptions say, and never in steady state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proc import FDS, HeadlessLoopProc
from workload import timed


@pytest.fixture
def asks(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """How often five operations asked, one after the other."""
    options: dict[str, Any] = request.param
    operation = HeadlessLoopProc(tmp_path, **options)
    found = []
    for _ in range(5):
        timed(operation, 1)
        found.append(operation.asks)
    yield found
    operation.close()


@pytest.mark.parametrize("asks", [{}], indirect=True)
def test_only_the_first_one_asks(asks: list[int]) -> None:
    assert 50 <= asks[0] <= FDS + 1  # a copy of a descriptor has its name without asking
    assert asks[1:] == [0, 0, 0, 0]


@pytest.mark.parametrize("asks", [{"cold": True}], indirect=True)
def test_each_one_asks_where_nothing_is_known(asks: list[int]) -> None:
    assert all(50 <= count <= FDS + 1 for count in asks)


@pytest.mark.parametrize("asks", [{"gone": True}], indirect=True)
def test_a_process_that_is_gone_is_asked_once(asks: list[int]) -> None:
    assert asks == [1, 0, 0, 0, 0]
