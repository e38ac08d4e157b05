"""What starts a trace, where it can't: nothing is left open. And which Linux this is, whatever it calls itself."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tracer._fast.launch import spawn
from tracer.capture.release import kernel_version
from tracer.capture.target import Command, Processes, process_of
from tracer.errors import UsageError


def open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


def fails_the_second_time(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A function of `os` finds no descriptor left."""
    asked, real = [], getattr(os, name)

    def limited(*arguments):
        asked.append(arguments)
        if len(asked) == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*arguments)

    monkeypatch.setattr(os, name, limited)


def test_a_child_for_which_there_are_too_few_descriptors(monkeypatch):
    fails_the_second_time(monkeypatch, "pipe")
    before = open_descriptors()
    with pytest.raises(OSError, match="Too many open files"):
        spawn(b"/bin/true", [b"true"])
    assert open_descriptors() == before


@pytest.mark.parametrize("name", [b"x\vTgid:\t1", b"x\x1cTgid:\t1", b"n\xff\xc2\x85m", b"a\nTgid:\t1"])
def test_the_process_that_is_meant_whatever_it_calls_itself(name):
    """Its name is the first line of what /proc says of it."""
    code = f"import os; open('/proc/self/comm', 'wb').write({name!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert process_of(process.pid) == process.pid
        process.communicate(b"\n")


def test_a_command_that_never_gets_its_cue_is_not_waited_for():
    """As where the kernel refuses to be traced: it never begins, and nobody is told that it still runs."""
    watched = []
    command = Command(["false"])
    command.prepare(SimpleNamespace(watch=lambda pid, armed: watched.append((pid, armed))))
    assert command.is_over()
    command.finish()
    ((pid, armed),) = watched
    assert armed
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_processes_for_which_there_are_too_few_descriptors(monkeypatch):
    child = os.fork()
    if child == 0:
        os.read(os.pipe()[0], 1)  # until it is killed
    try:
        fails_the_second_time(monkeypatch, "pidfd_open")
        before = open_descriptors()
        with pytest.raises(UsageError, match=f"process {child} can't be watched: Too many open files"):
            Processes([os.getppid(), child])
        assert open_descriptors() == before
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.1.0-18-amd64", (6, 1)),
        ("4.18.0-553.el8_10.x86_64", (4, 18)),
        ("6.18-rc1", (6, 18)),
        ("5.15+", (5, 15)),
        ("made at home", (0, 0)),
    ],
)
def test_kernel_version(release, version, monkeypatch):
    monkeypatch.setattr(platform, "release", lambda: release)
    assert kernel_version() == version
