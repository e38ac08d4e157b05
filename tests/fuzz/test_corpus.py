"""What fuzzing of raw streams starts from, and what it has found so far, through the reader once more."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_inputs import input_of, look, stream_of

from tracer.pipeline import ReplaySession

CORPUS = sorted((Path(__file__).parent / "corpus" / "raw").iterdir())
WHOLE = {"diversealltypes", "metadataheavy", "readheavy"}
"""Inputs that were made from whole streams of calls."""


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_an_input_does_no_harm(path: Path, tmp_path: Path) -> None:
    for content in (stream_of(path.read_bytes()), path.read_bytes()):
        (tmp_path / "a.raw").write_bytes(content)
        look(tmp_path / "a.raw")


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_an_input_stands_for_its_stream(name: str, tmp_path: Path) -> None:
    data = next(path for path in CORPUS if path.name == name).read_bytes()
    stream = stream_of(data)
    assert input_of(stream) == data
    (tmp_path / "a.raw").write_bytes(stream)
    with ReplaySession(tmp_path / "a.raw") as session:
        assert sum(columns.rows for columns in session.columns()) >= 10
