"""Whether this machine can trace, and what to do if not."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Callable
from dataclasses import dataclass

from tracer import syscalls
from tracer.capture import bcc_module, btf, privileges
from tracer.capture.image_cache import cache_file
from tracer.capture.kernel import DEFAULT_RING_BYTES, Filter, KernelSource
from tracer.capture.release import kernel_version
from tracer.errors import MachineError, TracerError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `ok`, what was seen, and what to do if it is not ok."""

    name: str
    ok: bool
    seen: str
    todo: str | None = None


def kernel() -> Finding:
    """The kernel's version, and whether its machine is known."""
    release, machine = platform.release(), platform.machine()
    known = machine in syscalls.MACHINES
    todo = "Linux 5.8 or newer on x86_64 or aarch64 is needed" if kernel_version() < (5, 8) or not known else None
    return Finding("kernel", todo is None, f"Linux {release} on {machine}", todo)


def type_information() -> Finding:
    """BTF, which tells where the kernel's structures hold what."""
    there = btf.VMLINUX.exists()
    todo = None if there else "a kernel with CONFIG_DEBUG_INFO_BTF is needed"
    return Finding("BTF", there, str(btf.VMLINUX) if there else "missing", todo)


def rights() -> Finding:
    """Root, or the capabilities that tracing needs."""
    try:
        inside = privileges.is_in_namespace("user")
    except MachineError as error:
        return Finding("privileges", False, str(error), error.hint)
    if inside:
        return Finding("privileges", False, f"uid {os.geteuid()} of a user namespace", "run it on the host")
    missing = privileges.missing_capabilities(privileges.effective_capabilities())
    seen = f"uid {os.geteuid()}" + (f", missing {' and '.join(missing)}" if missing else "")
    return Finding("privileges", not missing, seen, "run it with sudo" if missing else None)


def pid_namespace() -> Finding:
    """Whether processes are called here what they are called outside."""
    try:
        inside = privileges.is_in_namespace("pid")
    except MachineError as error:
        return Finding("processes", False, str(error), error.hint)
    todo = "run it on the host, or in a container with the host's processes (docker run --pid=host)" if inside else None
    return Finding("processes", not inside, "a PID namespace of their own" if inside else "the host's", todo)


def bcc() -> Finding:
    """The distribution's bcc."""
    try:
        module = bcc_module.load()
    except MachineError as error:
        return Finding("bcc", False, str(error), error.hint)
    return Finding("bcc", True, f"{getattr(module, '__version__', 'unknown version')} in {module.__path__[0]}")


def memory_lock() -> Finding:
    """The limit of locked memory, which bounds BPF maps before Linux 5.11 for all but root."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    counts = kernel_version() < (5, 11)
    unlimited = soft == resource.RLIM_INFINITY
    ok = unlimited or not counts or soft > 2 * DEFAULT_RING_BYTES
    seen = "unlimited" if unlimited else f"{soft >> 20} MiB"
    return Finding(
        "memlock",
        ok,
        seen if counts else f"{seen} (does not count since Linux 5.11)",
        None if ok else "ulimit -l unlimited",
    )


def ring() -> Finding:
    """The whole kernel program with the default ring, loaded and taken away again."""
    rules = syscalls.rules(platform.machine(), frozenset({"openat"}))
    try:
        privileges.check()
        with KernelSource(rules, Filter()) as source:
            source.attach()
            return Finding(
                "tracing", True, f"the kernel program runs{kept()}, with a ring of {source.ring_bytes >> 20} MiB"
            )
    except TracerError as error:
        return Finding("tracing", False, str(error), error.hint)


def kept() -> str:
    """Where it is kept for the next start."""
    path = cache_file()
    return f" (kept in {path})" if path is not None and path.exists() else " (compiled at each start: it can't be kept)"


def identity() -> Finding:
    """Whether a descriptor that io_uring or another process replaces is noticed."""
    try:
        offsets = btf.offsets(bcc_module.load().lib)
    except MachineError as error:
        return Finding("identity", False, str(error), error.hint)
    on = bool(offsets["HAS_IDENTITY"])
    seen = "on" if on else "off: this kernel's BTF lacks a field"
    if on and not offsets["HAS_RING_REQUESTS"]:
        seen += ", but for what io_uring renames and unlinks: this kernel has no tracepoint for it"
    todo = None if on else "names of descriptors that io_uring replaces may be old ones; please report this kernel"
    return Finding("identity", on, seen, todo)


CHECKS: tuple[Callable[[], Finding], ...] = (
    kernel,
    type_information,
    rights,
    pid_namespace,
    bcc,
    memory_lock,
    identity,
    ring,
)
