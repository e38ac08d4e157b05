"""The kernel program is compiled once for a kernel, and kept: /var/cache is an empty folder of the test's own here."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet as pq
import pytest
from conftest import Cli

from tracer.capture import bcc_module, btf, image_cache, kernel, loader
from tracer.capture.compiler import compile_image
from tracer.capture.image import Image
from tracer.capture.kernel import STAGES, TRACEPOINTS
from tracer.capture.loader import Loaded
from tracer.errors import MachineError

pytestmark = pytest.mark.beside_others

RING_BYTES = 1 << 16
BPF_F_NO_PREALLOC = 1  # include/uapi/linux/bpf.h

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


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


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
    recorded("a.parquet", 'export ARCH=arm64; exec "$@"')  # whoever builds kernels for others
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


@pytest.fixture(scope="module")
def image() -> Image:
    bcc = bcc_module.load()
    return compile_image(bcc, btf.offsets(bcc.lib))


class TestCompiler:
    def test_makes_the_same_again_wherever_it_is_asked(
        self, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever the environment says that it is for, from a folder that is gone, with other descriptors. Nothing of
        that is changed."""
        bcc = bcc_module.load()
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        wrong = {"ARCH": "arm64", "BCC_LINUX_VERSION_CODE": "1", "BCC_KERNEL_SOURCE": "/nowhere"}
        for name, value in wrong.items():
            monkeypatch.setenv(name, value)
        before = descriptors(), os.readlink("/proc/self/cwd"), dict(os.environ)
        with Path("/dev/null").open("rb"):
            assert compile_image(bcc, btf.offsets(bcc.lib)) == image
        assert (descriptors(), os.readlink("/proc/self/cwd"), dict(os.environ)) == before

    def test_makes_all_of_it(self, image: Image) -> None:
        assert Image.load(image.dump()) == image
        maps = {one.name: one for one in image.maps}
        assert {name for program in image.programs for _, name in program.references} <= maps.keys()
        assert maps["processes"].flags == BPF_F_NO_PREALLOC
        assert {program.name for program in image.programs} >= {f"on_{name}" for name in (*TRACEPOINTS, *STAGES)}

    def test_says_in_a_line_what_is_wrong(self) -> None:
        before = descriptors()
        with pytest.raises(MachineError, match=r"^the kernel program can't be compiled: .*$"):
            compile_image(bcc_module.load(), {})
        assert descriptors() == before


class TestLoader:
    def test_asks_the_kernel_for_what_the_image_says(self, image: Image) -> None:
        loaded = Loaded(bcc_module.load().lib, RING_BYTES, lambda: image)
        try:
            for one in image.maps:
                text = Path(f"/proc/self/fdinfo/{loaded.maps[one.name]}").read_text()
                told = {
                    key: int(value, 0)
                    for key, value in re.findall(r"^(\w+):\s+(0|[1-9]\d*|0x[0-9a-f]+)$", text, re.MULTILINE)
                }
                entries = RING_BYTES if one.name == "events" else one.entries
                assert (told["map_type"], told["key_size"], told["value_size"], told["max_entries"]) == (
                    one.type,
                    one.key_bytes,
                    one.value_bytes,
                    entries,
                )
                assert told["map_flags"] == one.flags
                assert loaded.value_bytes(one.name) == one.value_bytes
            assert loaded.programs.keys() == {program.name for program in image.programs}
        finally:
            loaded.close()

    @pytest.mark.parametrize("part", ["maps", "programs"])
    @pytest.mark.parametrize("place", [0, 3, -1])
    def test_gives_all_back_when_the_kernel_refuses_something(self, image: Image, part: str, place: int) -> None:
        parts = list(getattr(image, part))
        wrong = {"maps": {"type": 9999}, "programs": {"code": bytes(8), "references": ()}}[part]
        parts[place] = dataclasses.replace(parts[place], **wrong)
        bad = dataclasses.replace(image, **{part: tuple(parts)})
        before = descriptors()
        with pytest.raises(MachineError, match=rf"^the kernel program can't be loaded: .*{parts[place].name}: Invalid"):
            Loaded(bcc_module.load().lib, RING_BYTES, lambda: bad)
        assert descriptors() == before

    def test_compiles_nothing_without_a_ring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[None] = []
        monkeypatch.setattr(loader, "RING", dataclasses.replace(loader.RING, type=9999))
        with pytest.raises(MachineError, match="this kernel has no BPF ring buffers"):
            Loaded(bcc_module.load().lib, RING_BYTES, lambda: asked.append(None))  # type: ignore[arg-type]
        assert asked == []

    def test_compiles_what_the_kernel_does_not_take_again(
        self, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if something else had made it, of which the key tells nothing."""
        first = dataclasses.replace(image.programs[0], code=bytes(8), references=())
        place = tmp_path / "tracer" / "kernel-program.json"
        monkeypatch.setattr(image_cache, "cache_file", lambda: place)
        bcc = bcc_module.load()
        key = image_cache.key_of(bcc, btf.offsets(bcc.lib))
        image_cache.keep(key, dataclasses.replace(image, programs=(first, *image.programs[1:])))
        before = descriptors()
        kernel.KernelSource(b"", kernel.Filter(), RING_BYTES).close()
        assert image_cache.find(key) == image
        assert descriptors() == before

    def test_gives_all_back_when_it_can_not_be_kept(self, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(image_cache, "find", lambda _: None)
        monkeypatch.setattr(kernel, "compile_image", lambda *_: image)
        monkeypatch.setattr(image_cache, "keep", fail)
        before = descriptors()
        with pytest.raises(KeyboardInterrupt):
            kernel.KernelSource(b"", kernel.Filter())
        assert descriptors() == before


@pytest.mark.parametrize(
    ("uid", "number", "said"),
    [
        (0, errno.EPERM, "the kernel program can't be loaded: the map calls: Operation not permitted"),
        (1, errno.EPERM, "tracing needs root, or CAP_BPF and CAP_PERFMON"),
        (1, errno.EACCES, "tracing needs root, or CAP_BPF and CAP_PERFMON"),
        (1, errno.EMFILE, "the kernel program can't be loaded: the map calls: Too many open files"),
    ],
)
def test_why_the_kernel_refuses(uid: int, number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    error = loader.load_error("the map calls", number)
    assert str(error) == said
    assert error.hint
