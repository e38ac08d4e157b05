"""That few rows are on the disk when they are said to be: a process that dies doesn't show it, a power cut would."""

from __future__ import annotations

import os

from test_crash_safety import Scene, small_groups, told  # noqa: F401


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
