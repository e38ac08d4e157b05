"""Bad input and machines that can't: one clear line, a hint, exit status 2, nothing left behind, no command started."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Cli, Start, until_attached

from tracer import recording
from tracer.capture import loader
from tracer.capture.bcc_module import system_folders
from tracer.capture.kernel import Filter, KernelSource
from tracer.errors import MachineError
from tracer.losses import lacks_calls

pytestmark = pytest.mark.beside_others

NO_PROCESS = "4194304"
"""PID_MAX_LIMIT of proc(5): numbers stay below it."""

NOBODY = "65534"
WORK = ["--", "touch", "mark"]


def refused(message: str, hint: str | None = None) -> str:
    """All of stderr."""
    return f"tracer-cli: error: {message}\n" + (f"  hint: {hint}\n" if hint else "")


def is_one_line_with_a_hint(text: str) -> bool:
    return bool(re.fullmatch(r"tracer-cli: error: [^\n]+\n(  hint: [^\n]+\n)?", text))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


class TestRequest:
    @pytest.mark.parametrize(
        ("name", "nearest"), [("opennat", "openat"), ("raed", "read"), ("%fille", "%file"), ("!fsynk", "fsync")]
    )
    def test_unknown_syscall(self, name: str, nearest: str, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", "-e", name, *WORK, status=2)
        what = "class" if "%" in name else "syscall"
        assert ended.stderr == refused(f"unknown {what} {name.removeprefix('!')!r}", f"did you mean {nearest!r}?")
        assert not list(work.iterdir())

    @pytest.mark.parametrize(
        ("option", "message", "hint"),
        [
            (("--uid", "4294967295"), "4294967295 is no user's number", "they go from 0 to 4294967294"),
            (("--comm", "sixteen-bytes-16"), "no thread has a name of 16 bytes", "the kernel keeps the first 15"),
        ],
    )
    def test_filter_that_nothing_passes(
        self, option: tuple[str, str], message: str, hint: str, cli: Cli, work: Path
    ) -> None:
        ended = cli("record", "-o", "a.parquet", *option, *WORK, status=2)
        assert ended.stderr == refused(message, hint)
        assert not list(work.iterdir())

    @pytest.mark.parametrize("option", ["-p", "-t"])
    def test_pid_that_does_not_exist(self, option: str, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", option, NO_PROCESS, status=2)
        assert ended.stderr == refused(f"process {NO_PROCESS} does not exist", "`pgrep -a NAME` lists processes")
        assert not list(work.iterdir())

    @pytest.mark.parametrize(
        "options",
        [
            ["-e", "/("],
            ["-e", ""],
            ["-e", "none"],
            ["-e", "status=failed"],
            ["-u", "no-such-user"],
            ["--uid", "no-such-user"],
            ["--cgroup", "no/such/cgroup"],
            ["--buffer-size", "12"],
            ["--buffer-size", "4G"],
            ["--buffer-size", "much"],
            ["--identity", "sometimes"],
            ["-d", "0"],
            ["-d", "soon"],
            ["-p", "1"],
            ["-a"],
            ["--no-such-option"],
        ],
    )
    def test_option_that_means_nothing(self, options: list[str], cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", *options, *WORK, status=2)
        assert is_one_line_with_a_hint(ended.stderr), ended.stderr
        assert not list(work.iterdir())

    @pytest.mark.parametrize(
        "options", [[], ["-a", "-p", "1"], ["-p", "-3"], ["-p", str(1 << 32 | 1)], ["-p", "x"], ["--"]]
    )
    def test_no_target_or_two(self, options: list[str], cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", *options, status=2)
        assert is_one_line_with_a_hint(ended.stderr), ended.stderr
        assert not list(work.iterdir())


class TestOutput:
    @pytest.mark.parametrize("option", ["-o", "--raw"])
    def test_folder_is_missing(self, option: str, cli: Cli, work: Path) -> None:
        other = ["-o", "a.parquet"] if option == "--raw" else []
        ended = cli("record", *other, option, "no/where/a", *WORK, status=2)
        assert ended.stderr == refused("the folder no/where does not exist", "mkdir -p no/where")
        assert not list(work.iterdir())

    def test_folder_can_not_be_written(self, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "/sys/kernel/a.parquet", *WORK, status=2)
        assert re.fullmatch(
            refused(r"/sys/kernel/a.parquet can't be written: [A-Z][a-z ]+", "give another place with -o"), ended.stderr
        )
        assert not list(work.iterdir())

    def test_folder_is_read_only(self, small: Path, cli: Cli, work: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        ended = cli("record", "-o", small / "a.parquet", *WORK, status=2)
        message = f"{small}/a.parquet can't be written: Read-only file system"
        assert ended.stderr == refused(message, "give another place with -o")
        assert not list(work.iterdir())

    def test_raw_stream_is_a_folder(self, cli: Cli, work: Path) -> None:
        (work / "folder").mkdir()
        ended = cli("record", "-o", "a.parquet", "--raw", "folder", *WORK, status=2)
        assert ended.stderr == refused("folder is a folder", "give the name of a file")
        assert [path.name for path in work.iterdir()] == ["folder"]

    def test_folder_is_a_file(self, cli: Cli, work: Path) -> None:
        (work / "file").touch()
        ended = cli("record", "-o", "file/a.parquet", *WORK, status=2)
        assert ended.stderr == refused("file is not a folder", "give another place with -o")
        assert [path.name for path in work.iterdir()] == ["file"]

    def test_device_is_not_replaced(self, cli: Cli, work: Path) -> None:
        cli("record", "--force", "-o", "/dev/null", *WORK, status=2)
        assert Path("/dev/null").is_char_device()
        assert not list(work.iterdir())

    @pytest.mark.parametrize("name", ["x" * 300, "y" * 5000, ""])
    def test_name_is_impossible(self, name: str, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", name, *WORK, status=2)
        assert is_one_line_with_a_hint(ended.stderr), ended.stderr
        assert not list(work.iterdir())


class TestDiskFull:
    COMMAND = ("--", "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=400000", "status=none")

    def test_recording(self, small: Path, cli: Cli) -> None:
        ended = cli("record", "-o", small / "a.parquet", "-e", "read,write", *self.COMMAND, status=2)
        message = f"writing {small}/a.parquet failed: No space left on device"
        assert ended.stderr == refused(message, "make room, or give another place with -o")
        assert not list(small.iterdir())

    def test_recording_beside_a_raw_stream(self, small: Path, cli: Cli, work: Path) -> None:
        """That has a disk of its own: it is complete up to the moment when tracing ended."""
        ended = cli("record", "-o", small / "a.parquet", "--raw", "a.raw", "-e", "read,write", *self.COMMAND, status=2)
        message = f"writing {small}/a.parquet failed: No space left on device"
        hint = "make room, or give another place with -o; a.raw has what was traced until then"
        assert ended.stderr == refused(message, hint)
        assert not list(small.iterdir())
        cli("replay", "a.raw", "-o", "b.parquet")
        with recording.open(work / "b.parquet") as replayed:
            assert replayed.loss == dict.fromkeys(replayed.loss, 0)
            called = [row["syscall"] for row in replayed.sql("SELECT syscall FROM calls WHERE bytes = 1").to_pylist()]
        assert called[:2] == ["read", "write"]
        assert len(called) > 2000
        assert all(one != other for one, other in pairwise(called))  # dd takes turns: none is missing in between

    @pytest.mark.parametrize("beside", [False, True])
    def test_raw_stream(self, beside: bool, small: Path, cli: Cli, work: Path) -> None:
        """Tracing ends, and the recording is complete up to then, on the same disk, too."""
        output = (small if beside else work) / "a.parquet"
        ended = cli("record", "-o", output, "--raw", small / "a.raw", *self.COMMAND, status=2)
        said, _, error = ended.stderr.partition("\n")
        message = f"writing {small}/a.raw failed: No space left on device"
        assert error == refused(message, "make room, or give another place with --raw")
        assert [*small.iterdir(), *work.iterdir()] == [output]
        rows = re.fullmatch(rf"tracer-cli: ([0-9,]+) rows in .*, nothing lost; {output}, .*", said)
        with recording.open(output) as recorded:
            assert rows is not None
            assert recorded.rows == int(rows[1].replace(",", "")) > 1000

    def test_recording_beside_a_raw_stream_whose_name_is_taken(self, small: Path, cli: Cli, work: Path) -> None:
        command = ("sh", "-c", f"echo other > {work}/a.raw; exec {' '.join(self.COMMAND[1:])}")
        ended = cli("record", "-o", small / "a.parquet", "--raw", "a.raw", "-e", "read,write", "--", *command, status=2)
        (stream,) = work.glob(".a.raw.*.tmp")
        taken = f"a.raw has appeared meanwhile: what was written is complete, and in {stream.name}"
        message = f"writing {small}/a.parquet failed: No space left on device"
        assert ended.stderr == refused(message, f"make room, or give another place with -o; {taken}")
        cli("replay", stream, "-o", "b.parquet")

    def test_the_name_of_the_raw_stream_is_taken_meanwhile(self, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "sh", "-c", "echo other > a.raw", status=2)
        (stream,) = work.glob(".a.raw.*.tmp")
        hint = f"what was written is complete, and in {stream.name}"
        said, _, error = ended.stderr.partition("\n")
        assert re.fullmatch(r"tracer-cli: \d+ rows in .*, nothing lost; a\.parquet, .*", said)
        assert error == refused("a.raw has appeared meanwhile", hint)
        assert (work / "a.raw").read_text() == "other\n"
        cli("replay", stream, "-o", "b.parquet")
        with recording.open(work / "a.parquet") as recorded, recording.open(work / "b.parquet") as replayed:
            assert recorded.arrow() == replayed.arrow()
            assert not lacks_calls(recorded.loss)

    def test_nothing_fits_at_all(self, small: Path, cli: Cli, work: Path) -> None:
        with (small / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))
        ended = cli("record", "-o", small / "a.parquet", "--", "true", status=2)
        message = f"writing {small}/a.parquet failed: No space left on device"
        assert ended.stderr == refused(message, "make room, or give another place with -o")
        assert [path.name for path in small.iterdir()] == ["filler"]

    def test_replay(self, small: Path, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--raw", "a.raw", *self.COMMAND)
        ended = cli("replay", "a.raw", "-o", small / "b.parquet", status=2)
        message = f"writing {small}/b.parquet failed: No space left on device"
        assert ended.stderr == refused(message, "make room, or give another place with -o")
        assert not list(small.iterdir())


class TestMachine:
    NO_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")

    def with_rights(self, *names: str) -> list[str]:
        """Another user with these capabilities, and the one that lets it read an installation in root's home."""
        wanted = ",".join(f"+{name}" for name in ("dac_read_search", *names))
        options = [f"--{kind}={wanted}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *options]

    def test_not_root(self, cli: Cli, work: Path) -> None:
        work.chmod(0o777)
        ended = cli("record", "-o", "a.parquet", *WORK, status=2, prefix=self.with_rights())
        assert ended.stderr == refused("tracing needs root: CAP_BPF and CAP_PERFMON missing", "run it with sudo")
        assert not list(work.iterdir())

    def test_root_without_capabilities(self, cli: Cli, work: Path) -> None:
        ended = cli("record", "-o", "a.parquet", *WORK, status=2, prefix=self.NO_RIGHTS)
        assert ended.stderr == refused("tracing needs root: CAP_BPF and CAP_PERFMON missing", "run it with sudo")
        assert not list(work.iterdir())

    @pytest.mark.parametrize(("there", "missing"), [("bpf", "CAP_PERFMON"), ("perfmon", "CAP_BPF")])
    def test_one_capability_is_missing(self, there: str, missing: str, cli: Cli, work: Path) -> None:
        work.chmod(0o777)
        ended = cli("record", "-o", "a.parquet", *WORK, status=2, prefix=self.with_rights(there))
        assert ended.stderr == refused(f"tracing needs root: {missing} missing", "run it with sudo")
        assert not list(work.iterdir())

    def test_both_capabilities_are_enough(self, tmp_path: Path, cli: Cli) -> None:
        for folder in (tmp_path.parent, tmp_path, tmp_path / "work"):
            folder.chmod(0o777)
        cli("record", "-o", "a.parquet", "--", "true", prefix=self.with_rights("bpf", "perfmon"))
        assert (tmp_path / "work" / "a.parquet").stat().st_uid == int(NOBODY)

    def test_too_few_descriptors(self, cli: Cli, work: Path) -> None:
        """With one more all that a recording can have fits in; the command has no more of them."""
        ended = cli("record", "-o", "a.parquet", *WORK, status=2, prefix=["prlimit", "--nofile=127"])
        assert ended.stderr == refused("tracing needs 128 descriptors, and 127 are allowed", "ulimit -n 128")
        assert not list(work.iterdir())
        everything = ["--rotate-rows", "2", "--raw", "a.raw", "-o", "parts/"]
        cli("record", *everything, *WORK, prefix=["prlimit", "--nofile=128"])
        assert (work / "mark").exists()

    def test_without_bcc(self, tracer_cli: Path, work: Path) -> None:
        folders = [folder / "bcc" for folder in system_folders() if (folder / "bcc").is_dir()]
        hide = " && ".join(f"mount -t tmpfs none {folder}" for folder in folders)
        script = f"{hide} && exec {tracer_cli} record -o a.parquet -- touch mark"
        ended = subprocess.run(
            ["unshare", "-m", "sh", "-c", script], cwd=work, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("tracer-cli: error: bcc is not installed\n  hint: ")
        assert "apt-get install python3-bpfcc" in ended.stderr
        assert len(ended.stderr.splitlines()) == 2
        assert not list(work.iterdir())

    def test_without_type_information(self, tracer_cli: Path, work: Path) -> None:
        script = f"mount -t tmpfs none /sys/kernel/btf && exec {tracer_cli} record -o a.parquet -- touch mark"
        ended = subprocess.run(
            ["unshare", "-m", "sh", "-c", script], cwd=work, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("tracer-cli: error: this kernel has no type information (BTF)\n  hint: ")
        assert not list(work.iterdir())

    def test_kernel_without_ring_buffers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that does not know this type of map."""
        monkeypatch.setattr(loader, "RING", dataclasses.replace(loader.RING, type=9999))
        with pytest.raises(MachineError) as caught:
            KernelSource(b"", Filter())
        assert str(caught.value) == "this kernel has no BPF ring buffers"
        assert (caught.value.hint, caught.value.exit_code) == ("Linux 5.8 or newer is needed", 2)


class TestFiles:
    @pytest.mark.parametrize("verb", ["summary", "replay"])
    @pytest.mark.parametrize(
        "content", [b"", b"PAR1", b"not a file of ours\n" * 100, b"TRACERAW", b"PAR1" + bytes(64) + b"PAR1"]
    )
    def test_file_that_is_not_one(self, verb: str, content: bytes, cli: Cli, work: Path) -> None:
        (work / "other").write_bytes(content)
        ended = cli(verb, "other", *(["-o", "b.parquet"] if verb == "replay" else []), status=2)
        assert is_one_line_with_a_hint(ended.stderr), ended.stderr
        assert ended.stderr.startswith("tracer-cli: error: other ")
        assert ended.stdout == ""
        assert [path.name for path in work.iterdir()] == ["other"]

    @pytest.mark.parametrize("verb", ["summary", "replay"])
    def test_file_that_is_not_there(self, verb: str, cli: Cli, work: Path) -> None:
        ended = cli(verb, "nothing", *(["-o", "b.parquet"] if verb == "replay" else []), status=2)
        assert is_one_line_with_a_hint(ended.stderr), ended.stderr
        assert not list(work.iterdir())

    def test_raw_stream_that_is_damaged(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
        whole = (work / "a.raw").read_bytes()
        (work / "a.parquet").unlink()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        for content in (whole[:middle], whole[:-1], whole + b"x", flipped):
            (work / "a.raw").write_bytes(content)
            ended = cli("replay", "a.raw", "-o", "b.parquet", status=2)
            assert re.fullmatch(r"tracer-cli: error: a\.raw is damaged: [^\n]+\n  hint: [^\n]+\n", ended.stderr), (
                ended.stderr
            )
            assert [path.name for path in work.iterdir()] == ["a.raw"]

    def test_recording_given_to_replay_and_the_other_way_round(self, cli: Cli, work: Path) -> None:
        cli("record", "-o", "a.parquet", "--raw", "a.raw", "--", "true")
        assert "is not a raw stream" in cli("replay", "a.parquet", "-o", "b.parquet", status=2).stderr
        assert "tracer-cli replay" in cli("summary", "a.raw", status=2).stderr

    def test_terminal_escapes_in_a_name_are_shown_not_sent(self, cli: Cli, work: Path) -> None:
        ended = cli("summary", "a\x1b[31m\n\udcff", status=2)
        assert "\x1b" not in ended.stderr
        assert is_one_line_with_a_hint(ended.stderr)


class TestKilledOutright:
    def test_nothing_keeps_tracing(self, start: Start, work: Path) -> None:
        """Programs live as long as their descriptors: not even SIGKILL leaves one attached."""
        with subprocess.Popen(["sleep", "100"]) as process:
            tracer = start("record", "-o", "a.parquet", "-p", str(process.pid))
            until_attached(tracer)
            tracer.kill()
            tracer.wait(timeout=30)
            process.kill()
        assert not (work / "a.parquet").exists()
        assert os.listdir(work) != []  # what was written stays under its dot-name
