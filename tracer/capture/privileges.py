"""What the kernel must allow before anything can be traced."""

from __future__ import annotations

from pathlib import Path

from tracer.errors import MachineError

CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39  # include/uapi/linux/capability.h


def effective_capabilities() -> int:
    """This process's effective capabilities as a bit mask (capabilities(7))."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)


def missing_capabilities(effective: int) -> list[str]:
    """Names of the capabilities that tracing needs and that are not there; CAP_SYS_ADMIN stands for both."""
    if effective >> CAP_SYS_ADMIN & 1:
        return []
    needed = {"CAP_BPF": CAP_BPF, "CAP_PERFMON": CAP_PERFMON}
    return [name for name, bit in needed.items() if not effective >> bit & 1]


def check() -> None:
    """Raises MachineError, naming what is missing."""
    missing = missing_capabilities(effective_capabilities())
    if missing:
        raise MachineError(f"tracing needs root: {' and '.join(missing)} missing", hint="run it with sudo")
