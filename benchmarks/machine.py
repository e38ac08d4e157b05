"""What saved results say about where they come from."""

from __future__ import annotations

import filecmp
import json
import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = {".py", ".pyi", ".pxd", ".c", ".h", ".tsv"}
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
    """The commit this file belongs to, with a plus if tracked files differ from it; `unknown` outside of one. Where the
    tracer that is measured is not of these files, it says so."""
    git = ("git", "-C", str(HERE))
    changed = first_line((*git, "status", "--porcelain", "-uno"))
    found = first_line((*git, "rev-parse", "--short", "HEAD")) + ("+" if changed else "") or "unknown"
    return found if is_measured() else f"{found}, and a tracer that is not of it"


def is_measured() -> bool:
    """Whether the tracer that is imported is the one beside this folder, as far as its files tell: it can be installed,
    and compiled ones have no source with them."""
    spec = find_spec("tracer")
    assert spec is not None and spec.origin is not None
    installed = Path(spec.origin).parent
    files = [path.relative_to(installed) for path in installed.rglob("*") if path.suffix in SOURCES]
    places = (HERE.parent / ("" if file.parts[0] == "bpf" else "tracer") / file for file in files)
    return all(is_same(installed / file, place) for file, place in zip(files, places, strict=True))


def is_same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


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
    """The first line that a command prints; empty if it fails, or there is no such program."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (answer.stdout or answer.stderr if answer.returncode == 0 else "").strip().partition("\n")[0]
