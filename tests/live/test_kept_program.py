"""The kernel program is compiled once for a kernel, and kept: /var/cache is an empty folder of the test's own here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet as pq
import pytest
from conftest import Cli

from tracer.capture import bcc_module, btf, image_cache
from tracer.capture.compiler import compile_image

pytestmark = pytest.mark.beside_others

WITHOUT_COMPILER = """
import sys
from tracer.capture import kernel

def refuse(*_):
    raise SystemExit("there is nothing to be compiled")

kernel.compile_image = refuse
sys.argv[0] = "tracer-cli"
from tracer.cli import main
main()
"""

Recorded = Callable[..., CompletedProcess[str]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def recorded(cli: Cli, cache: Path, work: Path) -> Recorded:
    """Record a command, with that folder as /var/cache, by `tracer-cli` or another command."""

    def run(name: str, instead: str = 'exec "$@"') -> CompletedProcess[str]:
        prefix = ["unshare", "-m", "sh", "-c", f"mount --bind {cache} /var/cache; {instead}", "sh"]
        ended = cli("record", "-q", "-o", name, "--", "cat", "/etc/hostname", prefix=prefix)
        assert "/etc/hostname" in pq.read_table(work / name).column("file").unique().to_pylist()
        return ended

    return run


def test_it_is_compiled_once(recorded: Recorded, cache: Path) -> None:
    recorded("a.parquet")
    (kept,) = (cache / "tracer").iterdir()
    before = kept.stat().st_mtime_ns
    script = Path(cache, "without.py")
    script.write_text(WITHOUT_COMPILER)
    recorded("b.parquet", f'shift; exec {sys.executable} {script} "$@"')
    assert kept.stat().st_mtime_ns == before


def test_what_is_damaged_is_compiled_anew(recorded: Recorded, cache: Path) -> None:
    recorded("a.parquet")
    (kept,) = (cache / "tracer").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:5000] + b"?" + whole[5001:])
    recorded("b.parquet")
    assert kept.read_bytes() == whole


def test_without_a_place_to_keep_it(recorded: Recorded, cache: Path) -> None:
    assert recorded("a.parquet", f'mount -o remount,bind,ro {cache} /var/cache; exec "$@"').stderr == ""
    assert list(cache.iterdir()) == []


def test_the_image_is_all_that_the_compiler_made() -> None:
    """The same again and again, and nothing of this process in it."""
    bcc = bcc_module.load()
    constants = btf.offsets(bcc.lib)
    first, second = compile_image(bcc, constants), compile_image(bcc, constants)
    assert first == second
    assert {name for program in first.programs for _, name in program.references} <= {one.name for one in first.maps}
    assert image_cache.Image.load(first.dump()) == first
