"""Where there is no memory: nobody gets names of another's files, and no row the text of another row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OVERWRITE_FREED = "glibc.malloc.perturb=85:glibc.malloc.tcache_count=0"


def preloaded(source: str, folder: Path) -> dict[str, str]:
    """The environment of a process in which a function of the C library has another one's place. Under the sanitizers
    theirs has it, so this does not run there. Memory that was given back is overwritten: who looks there falls."""
    library = folder / "refusing.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-o", library, HERE / source], check=True)
    path = os.pathsep.join(sys.path)
    return os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": path, "GLIBC_TUNABLES": OVERWRITE_FREED}


@pytest.mark.parametrize("way", ["exec", "unshare", "close_range"])
def test_who_stops_sharing_a_table_takes_nothing_from_the_other(way: str, tmp_path: Path) -> None:
    environment = preloaded("refused_calloc.c", tmp_path)
    ended = subprocess.run(
        [sys.executable, HERE / "unsharing.py", way], env=environment, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(ended.stdout)
    assert found == {
        "refusals": 1,
        "own": ["None", "b'/own'"],
        "sharer": ["b'/shared'", "None"],
        "forgotten": 1,
    }


@pytest.mark.parametrize("size", [8192, 516], ids=["text", "offsets"])
def test_a_text_that_there_is_no_memory_for_is_unknown(size: int, tmp_path: Path) -> None:
    """The sizes are those of a batch's dictionary that grows for the first time."""
    environment = preloaded("refused_realloc.c", tmp_path)
    ended = subprocess.run(
        [sys.executable, HERE / "starving.py", str(size)], env=environment, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(ended.stdout)
    assert found.pop("refusals") > 0
    assert found.pop("unknown") > 0
    assert found == {"wrong": [], "later": True}


def test_statistics_make_room_without_memory(tmp_path: Path) -> None:
    """They have been given names until there was no room left for any; a row that waits for it is counted all the
    same."""
    environment = preloaded("refused_malloc.c", tmp_path)
    ended = subprocess.run(
        [sys.executable, HERE / "crowding.py"], env=environment, stdout=subprocess.PIPE, check=True, timeout=120
    )
    found = json.loads(ended.stdout)
    assert found["counted"] == found["rows"] == 20_000
    assert found["folded"] > 3_000


def test_a_verb_says_so() -> None:
    code = """
import tracer.cli.replay as verb
from tracer.cli import main

def refuse(*_):
    raise MemoryError

verb.ReplaySession = refuse
main()
"""
    command = [sys.executable, "-c", code, "replay", "a.raw", "-o", "a.parquet"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    hint = "see what `ulimit -v` and the cgroup's memory.max allow"
    assert ended.stderr == f"tracer-cli: error: not enough memory\n  hint: {hint}\n"
