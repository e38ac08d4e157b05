"""What is kept of the compiled kernel program: what was made, for the same kernel and sources, by nobody else."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.capture import compiler, image, image_cache
from tracer.capture.image import Image, Map, Program

BCC = SimpleNamespace(__version__="0.26.0")
NUMBERS = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "Nd"]), min_size=1, max_size=15)
MAPS = st.builds(Map, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
PROGRAMS = st.builds(Program, NAMES, st.binary(), st.lists(st.tuples(NUMBERS, NAMES)).map(tuple))
IMAGES = st.builds(Image, NAMES, st.lists(MAPS).map(tuple), st.lists(PROGRAMS).map(tuple))
IMAGE = Image(
    "GPL", (Map("events", 27, 0, 0, 4096, 0),), (Program("on_exit", b"\x18\x11" + bytes(14), ((0, "events"),)),)
)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept: not where this machine's real one is, whoever runs this."""
    path = tmp_path / "cache" / "tracer" / "kernel-program.json"
    monkeypatch.setattr(image_cache, "cache_file", lambda: path)
    return path


@given(IMAGES)
def test_an_image_is_what_it_was(made: Image) -> None:
    assert Image.load(made.dump()) == made


def test_what_is_kept_is_found_again(kept: Path) -> None:
    assert image_cache.find("a") is None
    image_cache.keep("a", IMAGE)
    assert image_cache.find("a") == IMAGE
    assert image_cache.find("b") is None
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_another_one_takes_its_place(kept: Path) -> None:
    image_cache.keep("a", IMAGE)
    image_cache.keep("b", IMAGE)
    assert image_cache.find("a") is None
    assert image_cache.find("b") == IMAGE
    assert list(kept.parent.iterdir()) == [kept]


def test_no_damage_is_taken_for_a_program(kept: Path) -> None:
    image_cache.keep("a", IMAGE)
    whole = kept.read_bytes()
    for at in range(len(whole)):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert image_cache.find("a") is None, at
        kept.write_bytes(whole[:at])
        assert image_cache.find("a") is None, at
    kept.write_bytes(whole)
    assert image_cache.find("a") == IMAGE


class TestSomebodyElse:
    def test_may_write_it(self, kept: Path) -> None:
        image_cache.keep("a", IMAGE)
        for mode in (0o620, 0o602):
            kept.chmod(mode)
            assert image_cache.find("a") is None
        kept.chmod(0o644)
        assert image_cache.find("a") == IMAGE

    def test_owns_it(self, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image_cache.keep("a", IMAGE)
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert image_cache.find("a") is None

    def test_has_put_a_link_there(self, kept: Path) -> None:
        image_cache.keep("a", IMAGE)
        kept.rename(kept.with_suffix(".real"))
        kept.symlink_to(kept.with_suffix(".real"))
        assert image_cache.find("a") is None

    def test_has_put_a_folder_there(self, kept: Path) -> None:
        kept.mkdir(parents=True)
        before = len(os.listdir("/proc/self/fd"))
        assert image_cache.find("a") is None
        assert len(os.listdir("/proc/self/fd")) == before
        image_cache.keep("a", IMAGE)
        assert list(kept.parent.iterdir()) == [kept]

    def test_has_put_something_there_that_would_wait(self, kept: Path) -> None:
        kept.parent.mkdir(parents=True)
        os.mkfifo(kept, 0o600)
        assert image_cache.find("a") is None


def test_what_was_left_by_who_was_killed_goes(kept: Path) -> None:
    kept.parent.mkdir(parents=True)
    kept.with_name(f"{kept.name}abc").write_bytes(b"half of it")
    image_cache.keep("a", IMAGE)
    assert list(kept.parent.iterdir()) == [kept]


def test_where_nothing_can_be_written_nothing_is_kept(kept: Path) -> None:
    kept.parent.parent.write_bytes(b"no folder")
    image_cache.keep("a", IMAGE)
    assert image_cache.find("a") is None


def test_a_write_that_fails_leaves_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    image_cache.keep("a", IMAGE)
    monkeypatch.setattr(Path, "replace", refuse)
    image_cache.keep("b", IMAGE)
    assert image_cache.find("a") == IMAGE
    assert list(kept.parent.iterdir()) == [kept]


class TestKey:
    def test_is_the_same_for_the_same(self) -> None:
        assert image_cache.key_of(BCC, {"OFF_A": 1}) == image_cache.key_of(BCC, {"OFF_A": 1})

    @pytest.mark.parametrize(
        ("bcc", "constants"), [(SimpleNamespace(__version__="0.27.0"), {"OFF_A": 1}), (BCC, {"OFF_A": 2}), (BCC, {})]
    )
    def test_is_another_one_for_other_compilers_and_constants(
        self, bcc: SimpleNamespace, constants: dict[str, int]
    ) -> None:
        assert image_cache.key_of(bcc, constants) != image_cache.key_of(BCC, {"OFF_A": 1})

    @pytest.mark.parametrize("field", ["release", "version", "machine"])
    def test_is_another_one_for_another_kernel(self, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
        before = image_cache.key_of(BCC, {})
        real = os.uname()
        facts = {name: getattr(real, name) for name in ("release", "version", "machine")} | {field: "another"}
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(**facts))
        assert image_cache.key_of(BCC, {}) != before

    def test_is_another_one_for_other_sources(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "bpf"
        shutil.copytree(compiler.program_folder(), folder)
        before = image_cache.key_of(BCC, {})
        monkeypatch.setattr(image_cache, "program_folder", lambda: folder)
        assert image_cache.key_of(BCC, {}) == before
        keys = {before}
        sources = [path for path in folder.rglob("*") if path.suffix in {".c", ".h"}]
        for path in sources:
            path.write_bytes(path.read_bytes() + b"\n")
            keys.add(image_cache.key_of(BCC, {}))
        sources[0].rename(sources[0].with_name("a.h"))
        keys.add(image_cache.key_of(BCC, {}))
        assert len(keys) == 2 + len(sources) > 20

    @pytest.mark.parametrize("module", [compiler, image])
    def test_is_another_one_for_other_ways_to_compile(
        self, module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = image_cache.key_of(BCC, {})
        changed = tmp_path / "changed.py"
        changed.write_bytes(Path(module.__file__).read_bytes() + b"\n")
        monkeypatch.setattr(module, "__file__", str(changed))
        assert image_cache.key_of(BCC, {}) != before


class TestPlace:
    """Before the fixture puts another function in its place."""

    REAL = staticmethod(image_cache.cache_file)

    def test_of_root_is_roots_whatever_the_environment_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Under sudo that may still be the user's."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("HOME", "/home/somebody")
        monkeypatch.setenv("XDG_CACHE_HOME", "/home/somebody/.cache")
        assert self.REAL() == Path("/var/cache/tracer/kernel-program.json")

    @pytest.mark.parametrize(("wished", "folder"), [("/w", "/w"), ("", None), ("w", None)])
    def test_of_others_is_where_their_caches_are(
        self, wished: str, folder: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The user `daemon`. A relative path does not count (XDG Base Directory)."""
        monkeypatch.setattr(os, "geteuid", lambda: 1)
        monkeypatch.setenv("XDG_CACHE_HOME", wished)
        home = Path(pwd.getpwuid(1).pw_dir)
        assert self.REAL() == Path(folder or home / ".cache") / "tracer" / "kernel-program.json"

    def test_of_a_user_whom_the_system_does_not_know_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in a container."""
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(image_cache, "cache_file", self.REAL)
        assert self.REAL() is None
        image_cache.keep("a", IMAGE)
        assert image_cache.find("a") is None
