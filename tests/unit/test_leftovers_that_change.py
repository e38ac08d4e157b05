"""`recover` on files that are cut while it reads them, or can't be read."""

from __future__ import annotations

import os

import pytest
import test_crash_safety
from test_crash_safety import Scene, names, rows_in

from tracer.errors import DamagedFileError
from tracer.repair import scan
from tracer.repair.recover import recover
from tracer.sinks import seal
from tracer.temporary import Leftover

small_groups = test_crash_safety.small_groups


def test_marks_without_seals_are_read_once(tmp_path, monkeypatch):
    left = Leftover(tmp_path / ".a.parquet.0123456789abcdef.tmp")
    left.main.write_bytes(b"PAR1seal" * 10_000)
    read, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *what: read.append(len(found := pread(*what))) or found)
    with pytest.raises(DamagedFileError):
        recover(left)
    assert 80_000 < sum(read) < 5 * 80_000


@pytest.mark.parametrize("tail", [False, True])
def test_a_file_that_is_cut_meanwhile(tmp_path, monkeypatch, tail):
    scene = Scene(tmp_path)
    for rows in (64, 64, 5, 5):
        scene.write(rows, sync=True)
    left = scene.die()
    looked_at = scan.scan

    def cut(file):
        found = looked_at(file)
        os.truncate(left.tail if tail else left.main, 100)
        return found

    monkeypatch.setattr(scan, "scan", cut)
    found = recover(left)
    assert rows_in(scene.path) == (list(range(128)) if tail else list(range(128, 138)))
    assert found.unused_bytes > 0


def test_a_tail_that_is_cut_between_two_looks(tmp_path, monkeypatch):
    scene = Scene(tmp_path)
    for rows in (20, 5, 5):
        scene.write(rows, sync=True)
    left = scene.die()
    is_sealed = seal.seal_of

    def cut(piece):
        found = is_sealed(piece)
        os.truncate(left.tail, 100)
        return found

    monkeypatch.setattr(seal, "seal_of", cut)
    assert recover(left).rows == 20


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_what_can_not_be_read_is_no_damage(tmp_path, monkeypatch, number):
    scene = Scene(tmp_path)
    for rows in (20, 20, 5, 5):
        scene.write(rows, sync=True)
    left = scene.die()
    there, calls, pread = names(tmp_path), [], os.pread

    def fails(*what):
        calls.append(what)
        if len(calls) == number:
            raise OSError(5, "Input/output error")
        return pread(*what)

    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(DamagedFileError, match="can't be read: Input/output error"):
        recover(left)
    assert names(tmp_path) == there
