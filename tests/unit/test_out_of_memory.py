"""A table that is shared and that there is no memory to copy: nobody gets names of the other's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def allocator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes the place of the C library's calloc: under the sanitizers theirs does, so this does not run there."""
    library = tmp_path_factory.mktemp("allocator") / "refused_calloc.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-o", library, HERE / "refused_calloc.c"], check=True)
    return library


@pytest.mark.parametrize("way", ["exec", "unshare", "close_range"])
def test_who_stops_sharing_a_table_takes_nothing_from_the_other(way: str, allocator: Path) -> None:
    paths = os.pathsep.join(sys.path)
    ended = subprocess.run(
        [sys.executable, HERE / "unsharing.py", way],
        env=os.environ | {"LD_PRELOAD": str(allocator), "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(ended.stdout)
    assert found == {
        "refusals": 1,
        "own": ["None", "b'/own'"],
        "sharer": ["b'/shared'", "None"],
        "forgotten": 1,
    }
