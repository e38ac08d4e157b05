"""What saved results say about where they come from."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

OWNERS = ("hostname", "python_executable", "python_config_args", "boot_time", "runnable_threads", "uptime")

Metadata = dict[str, str | int | float]


def machine() -> Metadata:
    """The machine and the code, as every saved result has them."""
    return {
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "numpy": version("numpy"),
        "commit": commit(),
    }


def commit() -> str:
    """The commit this file belongs to, with a plus if tracked files differ from it; `unknown` outside of one."""
    git = ("git", "-C", str(Path(__file__).parent))
    changed = first_line((*git, "status", "--porcelain", "-uno"))
    return first_line((*git, "rev-parse", "--short", "HEAD")) + ("+" if changed else "") or "unknown"


def forget_owner(saved: Path) -> None:
    """Take out of pyperf's JSON what tells of the machine's owner, not of its speed: results are published."""
    content = json.loads(saved.read_text())
    for benchmark in content["benchmarks"]:
        for part in (benchmark, *benchmark["runs"]):
            for key in OWNERS:
                part.get("metadata", {}).pop(key, None)
    for key in OWNERS:
        content.get("metadata", {}).pop(key, None)
    saved.write_text(json.dumps(content, indent=None, separators=(",", ":")) + "\n")


def cpu_model() -> str:
    """The processor's name."""
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    return found[1] if found else platform.machine()


@cache
def first_line(command: tuple[str, ...]) -> str:
    """The first line that a command prints; empty if it fails."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return (answer.stdout or answer.stderr if answer.returncode == 0 else "").strip().partition("\n")[0]
