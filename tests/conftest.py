"""What all tests share: terminals."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def terminals() -> Iterator[None]:
    """Tests want real terminals, and a bare root (a chroot, say) has none: root mounts what makes them, for a while."""
    if os.geteuid() != 0 or has_terminals():
        yield
        return
    Path("/dev/pts").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", "/dev/pts"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", "/dev/pts"], check=True)


def has_terminals() -> bool:
    try:
        ends = pty.openpty()
    except OSError:
        return False
    for end in ends:
        os.close(end)
    return True
