"""Files that are read piece by piece, and may be cut meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer.sinks import window as window_module
from tracer.sinks.window import Reader, Window

DATA = bytes(range(40))


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    """Of 40 bytes that tell their place, read 8 at a time."""
    monkeypatch.setattr(window_module, "CHUNK_BYTES", 8)
    (tmp_path / "a").write_bytes(DATA)
    with (tmp_path / "a").open("rb") as file:
        yield Window(file.fileno(), len(DATA))


@pytest.mark.parametrize("start", range(-3, 43))
def test_any_bytes(window: Window, start: int) -> None:
    for end in range(start, 44):
        assert window.at(start, end) == DATA[max(0, start) : max(0, end)]
        assert b"".join(window.chunks(start, end)) == DATA[max(0, start) : max(0, end)]


@pytest.mark.parametrize("place", range(38))
def test_what_lies_across_two_chunks_is_found_once(window: Window, place: int) -> None:
    assert list(window.places(DATA[place : place + 3])) == [place]


def test_what_is_not_there_is_not_found(window: Window) -> None:
    assert list(window.places(b"abc")) == []


def test_all_places(tmp_path: Path, window: Window) -> None:
    (tmp_path / "a").write_bytes(b"abab" * 10)
    assert list(window.places(b"ab")) == list(range(0, 40, 2))


def test_what_was_cut_off_is_missing(tmp_path: Path, window: Window) -> None:
    os.truncate(tmp_path / "a", 10)
    assert window.at(5, 40) == DATA[5:10]
    assert window.at(20, 40) == b""


def test_reads_up_to_its_end(window: Window) -> None:
    reader = Reader(window, 30)
    assert reader.seek(-5, os.SEEK_END) == 25
    assert reader.read(1 << 60) == DATA[25:30]
    assert (reader.read(1), reader.tell()) == (b"", 30)
    assert reader.seek(-4, os.SEEK_CUR) == 26
    assert reader.read(2) == DATA[26:28]
