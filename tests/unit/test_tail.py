"""Which rows a durable recording keeps beside it, and that they are on the disk when they are said to be: a process
that dies doesn't show it, a power cut would."""

from __future__ import annotations

import os

from test_crash_safety import FOOTER, Scene, batch_of, groups_in, rows_in, small_groups, told  # noqa: F401

from tracer.sinks import parquet_file


def test_few_rows_are_on_the_disk_once_they_are_made_safe(tmp_path, monkeypatch):
    synced: list[str] = []
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    scene = Scene(tmp_path)
    for times in (1, 2):
        scene.write(3, sync=True)
        assert synced.count(str(scene.left.tail)) == times
        scene.file.sync(told)
        assert synced.count(str(scene.left.tail)) == times, "nothing is new"
    scene.file.abort()


def test_few_rows_that_are_full_of_text_are_not_written_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "SMALL_BYTES", batch_of(0, 8).nbytes)
    scene = Scene(tmp_path)
    scene.write(8)
    assert not scene.left.tail.exists()
    scene.write(7)
    assert scene.left.tail.exists()
    scene.file.close(FOOTER)
    assert rows_in(scene.path) == list(range(15))
    assert groups_in(scene.path) == [8, 7]
