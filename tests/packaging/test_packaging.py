"""What users get: the sdist, the wheel built from it, and that wheel in an empty environment, used from another folder.

Run by the tox environment `packaging`, as root or with `sudo` in AS_ROOT: the recording is a real one.
"""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
AS_ROOT = os.environ.get("AS_ROOT", "").split()


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed; what it says on stderr goes to the test's."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def files_under(folder: str, *suffixes: str) -> dict[str, bytes]:
    """Contents of the checkout's files of these kinds, by path relative to its top."""
    paths = [path for path in (TOP / folder).rglob("*") if path.suffix in suffixes]
    return {str(path.relative_to(TOP)): path.read_bytes() for path in paths}


def differing(wanted: dict[str, bytes], packed: dict[str, bytes]) -> list[str]:
    """Names of the files that are missing in a package, or other than in the checkout."""
    return [name for name, content in wanted.items() if packed.get(name) != content]


KERNEL_SIDE = files_under("bpf", ".c", ".h")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it and from nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, TOP, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def sdist_files(built: Path) -> dict[str, bytes]:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return {member.name.partition("/")[2]: archive.extractfile(member).read() for member in members}


@pytest.fixture(scope="module")
def wheel_files(built: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def commands(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", next(built.glob("*.whl")), cwd=folder)
    return folder / "bin"


def test_the_sdist_holds_all_that_the_wheel_is_built_from(sdist_files: dict[str, bytes]) -> None:
    wanted = KERNEL_SIDE | files_under("tracer", ".py", ".pyi", ".pyx", ".pxd", ".tsv", ".typed")
    assert len(KERNEL_SIDE) > 2
    assert differing(wanted, sdist_files) == []


def test_nothing_generated_is_in_the_sdist(sdist_files: dict[str, bytes]) -> None:
    assert [name for name in sdist_files if name.endswith((".so", ".pyc")) or name.startswith("build/")] == []


def test_the_wheel_holds_the_kernel_side(wheel_files: dict[str, bytes]) -> None:
    assert differing({f"tracer/{name}": content for name, content in KERNEL_SIDE.items()}, wheel_files) == []


def test_the_wheel_holds_each_compiled_module_and_its_types(wheel_files: dict[str, bytes]) -> None:
    modules = [name.removesuffix(".pyx") for name in files_under("tracer", ".pyx")]
    compiled = [name for name in wheel_files if name.endswith(".so")]
    assert sorted(name.partition(".")[0] for name in compiled) == sorted(modules)
    assert {f"{name}.pyi" for name in modules} <= wheel_files.keys()
    assert "tracer/py.typed" in wheel_files


def test_no_source_of_a_compiled_module_is_in_the_wheel(wheel_files: dict[str, bytes]) -> None:
    outside = [name for name in wheel_files if not name.startswith("tracer/bpf/")]
    assert [name for name in outside if name.endswith((".pyx", ".c"))] == []


@pytest.mark.parametrize("module", sorted(files_under("tracer/_fast", ".pyx")))
def test_a_compiled_module_is_importable_alone(commands: Path, tmp_path: Path, module: str) -> None:
    name = module.removesuffix(".pyx").replace("/", ".")
    printed = run(commands / "python", "-c", f"import {name} as m; print(m.__file__)", cwd=tmp_path)
    assert Path(printed.strip()).is_relative_to(commands.parent)


def test_both_ways_to_start_it(commands: Path, tmp_path: Path) -> None:
    by_command = run(commands / "tracer-cli", "--help", cwd=tmp_path)
    by_module = run(commands / "python", "-m", "tracer", "--help", cwd=tmp_path)
    assert "record" in by_command
    assert by_module == by_command


def test_it_records_from_another_folder(commands: Path, tmp_path: Path) -> None:
    secret = tmp_path / "a file of this test"
    secret.write_text("x")
    recording = tmp_path / "out.parquet"
    tracer = commands / "tracer-cli"
    printed = run(*AS_ROOT, tracer, "record", "-o", recording, "--", "cat", secret, cwd=tmp_path)
    assert printed == "x"
    summary = run(tracer, "summary", "--by", "file", recording, cwd=tmp_path)
    assert str(secret) in summary
