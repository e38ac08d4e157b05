"""What fuzzing of `recover` starts from, and what it has found so far, once more."""

from __future__ import annotations

from pathlib import Path

import pytest
from recover_inputs import Left, input_of, left_of, leftovers, look

CORPUS = sorted((Path(__file__).parent / "corpus" / "recover").iterdir())
ROWS = [40, 12, 71]
"""How many can be recovered of the leftovers, undamaged."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Left]:
    return leftovers(tmp_path_factory.mktemp("left"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_an_input_gives_right_rows_or_an_error(path: Path, tmp_path: Path, whole: list[Left]) -> None:
    look(path.read_bytes(), tmp_path, whole)


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_undamaged_ones_come_back(number: int, tmp_path: Path, whole: list[Left]) -> None:
    assert look(bytes([2 * number]), tmp_path, whole) == ROWS[number]
    as_pieces = input_of(whole[number])
    assert left_of(as_pieces, whole) == whole[number]
    assert look(as_pieces, tmp_path, whole) == ROWS[number]
