"""The recorder dies at once, as by the kernel's OOM killer: nothing of it stays in the kernel, and the traced go on."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

from conftest import Start, until, until_attached

from tracer.capture import bcc_module

KINDS = ("prog", "map", "link")
IN_FDINFO = re.compile(r"^(prog|map|link)_id:\t(\d+)$", re.MULTILINE)


def held(pid: int) -> dict[str, set[int]]:
    """Ids of the BPF objects that a process has open."""
    found: dict[str, set[int]] = {kind: set() for kind in KINDS}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        for kind, number in IN_FDINFO.findall(info.read_text()):
            found[kind].add(int(number))
    return found


def loaded(kind: str) -> set[int]:
    """Ids of all BPF objects of the machine.

    Only the numbers are asked for. bpftool opens each map it shows, and a prog_array that is opened and closed while
    its owner dies stays for ever (seen with Linux 6.18): the test would make what it looks for.
    """
    following = getattr(bcc_module.load().lib, f"bpf_{kind}_get_next_id")
    found: set[int] = set()
    number = ctypes.c_uint32(0)
    while following(number, ctypes.byref(number)) == 0:
        found.add(number.value)
    return found


def left(ids: dict[str, set[int]]) -> bool:
    return any(ids[kind] & loaded(kind) for kind in KINDS)


def pinned() -> list[str]:
    """What lies in every bpf file system that is mounted."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    folders = [Path(fields[1]) for fields in mounts if fields[2] == "bpf"]
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))


def test_nothing_of_ours_is_left_in_the_kernel(start: Start) -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        before = pinned()
        tracer = start("record", "-o", "a.parquet", "-p", str(process.pid))
        until_attached(tracer)
        ids = held(tracer.pid)
        assert len(ids["prog"]) >= 11
        assert len(ids["map"]) >= 5
        assert len(ids["link"]) in {7, 10}  # three of io_uring, where the kernel has them
        assert all(ids[kind] <= loaded(kind) for kind in KINDS)
        assert pinned() == before
        tracer.kill()
        tracer.wait(timeout=30)
        until(lambda: not left(ids), "the end of our programs, maps and links")
        assert pinned() == before
        assert process.poll() is None
        process.kill()


def test_the_command_goes_on_unharmed(start: Start, work: Path) -> None:
    """It becomes an orphan with its own streams, finishes its work, and nobody sends it a signal."""
    script = "echo $PPID; read line; echo got $line; echo done > mark"
    tracer = start("record", "-o", "a.parquet", "--", "sh", "-c", script)
    assert tracer.stdin is not None
    assert tracer.stdout is not None
    assert int(tracer.stdout.readline()) == tracer.pid
    tracer.kill()
    tracer.wait(timeout=30)
    tracer.stdin.write(b"a line\n")
    tracer.stdin.flush()
    assert tracer.stdout.read() == b"got a line\n"
    assert (work / "mark").read_text() == "done\n"
    assert not (work / "a.parquet").exists()
