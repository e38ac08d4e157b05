"""What the kernel must allow before anything can be traced, and giving it up once everything is attached."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from tracer._fast.rights import give_up, tell
from tracer.capture.release import kernel_version
from tracer.errors import MachineError, UsageError


class Capability(IntEnum):
    """Bits of include/uapi/linux/capability.h."""

    CAP_CHOWN = 0
    CAP_DAC_OVERRIDE = 1
    CAP_DAC_READ_SEARCH = 2
    CAP_FOWNER = 3
    CAP_KILL = 5
    CAP_SETGID = 6
    CAP_SETUID = 7
    CAP_SYS_PTRACE = 19
    CAP_SYS_ADMIN = 21
    CAP_PERFMON = 38
    CAP_BPF = 39


READ_PROC = {Capability.CAP_SYS_PTRACE, Capability.CAP_DAC_READ_SEARCH}
"""For the links in /proc/PID/fd of processes of other users, and of those that have more capabilities."""

GIVE_AWAY = {Capability.CAP_CHOWN, Capability.CAP_FOWNER}
"""For files that are given to who called sudo, and named and removed afterwards."""

USES_MAPS_WITHOUT = (5, 19)
"""Linux from this on lets a process without CAP_BPF read and write maps that it has open, whatever
unprivileged_bpf_disabled says."""

OWN_NAMESPACES = Path("/proc/self/ns")
INITIAL_NAMESPACES = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC}
"""Inodes of the machine's first ones (include/linux/proc_ns.h)."""

TELLS_THREADS = signal.SIGRTMAX
PATIENCE_S = 0.5
"""How long other threads may take; the target waits meanwhile."""


def effective_capabilities() -> int:
    """This process's effective capabilities as a bit mask (capabilities(7))."""
    return int(_status("self")["CapEff"], 16)


def missing_capabilities(effective: int) -> list[str]:
    """Names of the capabilities that tracing needs and that are not there; CAP_SYS_ADMIN stands for both."""
    if effective >> Capability.CAP_SYS_ADMIN & 1:
        return []
    return [bit.name for bit in (Capability.CAP_BPF, Capability.CAP_PERFMON) if not effective >> bit & 1]


def is_in_namespace(kind: str) -> bool:
    """Whether this process is in a namespace of that kind, `user` or `pid`, of its own. Raises MachineError without
    /proc."""
    try:
        return (OWN_NAMESPACES / kind).stat().st_ino != INITIAL_NAMESPACES[kind]
    except OSError as error:
        raise MachineError(f"/proc can't be read: {error.strerror}", hint="mount -t proc proc /proc") from error


def check() -> None:
    """Raises MachineError, naming what is missing.

    In a user namespace root has no capabilities that count for BPF (user_namespaces(7)). In a PID namespace processes
    have other numbers than the kernel program sees (pid_namespaces(7)).
    """
    if is_in_namespace("user"):
        raise MachineError("tracing needs root of the machine, not of a user namespace", hint="run it on the host")
    if is_in_namespace("pid"):
        raise MachineError(
            "can't trace from inside a PID namespace: processes have other numbers outside",
            hint="run it on the host, or in a container with the host's processes (docker run --pid=host)",
        )
    missing = missing_capabilities(effective_capabilities())
    if missing:
        raise MachineError(f"tracing needs root: {' and '.join(missing)} missing", hint="run it with sudo")


def check_other_user(name: str) -> None:
    """Raises UsageError if a command can't be run as another user."""
    effective = effective_capabilities()
    missing = [bit.name for bit in (Capability.CAP_SETGID, Capability.CAP_SETUID) if not effective >> bit & 1]
    if missing:
        raise UsageError(f"no command can be run as {name}: {' and '.join(missing)} missing", hint="run it with sudo")


def needed_afterwards(outputs: Iterable[Path], *, sends_signals: bool) -> set[Capability]:
    """What a recording into `outputs` still needs once everything is attached.

    CAP_KILL where signals go to a command, which may change its user. CAP_DAC_OVERRIDE only for a folder that the
    process could not write into otherwise.
    """
    needed = set(READ_PROC)
    if sends_signals:
        needed.add(Capability.CAP_KILL)
    if os.environ.get("SUDO_UID"):
        needed |= GIVE_AWAY
    if not all(_is_writable(path.parent) for path in outputs):
        needed |= {Capability.CAP_DAC_OVERRIDE, Capability.CAP_FOWNER}
    if kernel_version() < USES_MAPS_WITHOUT:
        needed.add(Capability.CAP_BPF)
    return needed


def _is_writable(folder: Path) -> bool:
    """Whether the process may make, name and remove files there without any capability. Its groups and ACLs are not
    looked at: then it keeps a capability that it would not need."""
    try:
        status = folder.stat()
    except OSError:
        return False
    mine = status.st_uid == os.geteuid() and status.st_mode & stat.S_IRWXU == stat.S_IRWXU
    return mine or (status.st_mode & stat.S_IRWXO == stat.S_IRWXO and not status.st_mode & stat.S_ISVTX)


def drop(kept: Iterable[Capability]) -> int:
    """Give up all capabilities but `kept`, and with no_new_privs the way to new ones, on every thread of the process.

    Returns how many threads did not: those of libraries that block all signals. Raises MachineError if this one can't.
    """
    mask = sum(1 << bit for bit in kept)
    try:
        give_up(mask, TELLS_THREADS)
    except OSError as error:
        raise MachineError(f"privileges can't be given up: {error.strerror}") from error
    told: set[int] = set()
    due = time.monotonic() + PATIENCE_S
    while (privileged := _privileged_threads(mask)) and time.monotonic() < due:
        for tid in privileged - told:
            tell(tid, TELLS_THREADS)
        told |= privileged
        time.sleep(0.001)
    return len(privileged)


def _privileged_threads(mask: int) -> set[int]:
    """The threads that still have more than the mask; a new one may have it from one that had not been told yet."""
    found = set()
    for tid in (int(task.name) for task in Path("/proc/self/task").iterdir()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            status = _status(f"self/task/{tid}")
            if int(status["CapPrm"], 16) & ~mask or status["NoNewPrivs"] != "1":
                found.add(tid)
    return found


def _status(task: str) -> dict[str, str]:
    lines = Path(f"/proc/{task}/status").read_text(errors="replace").split("\n")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
