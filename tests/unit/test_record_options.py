"""What `record` refuses before it looks at the machine, and what it says in the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracer.cli import record as record_module
from tracer.cli.record import record, user_id
from tracer.errors import UsageError


def refusal(*arguments: str) -> str:
    """Why, as the command line says it: a wrong value is click's to refuse, the rest is ours; both end with 2."""
    result = CliRunner().invoke(record, arguments)
    if isinstance(result.exception, UsageError):
        assert result.exception.exit_code == 2
        return f"{result.exception} {result.exception.hint}"
    assert result.exit_code == 2, result.output
    return result.output


@pytest.fixture(autouse=True)
def no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gets past the options must not trace."""

    def traces() -> None:
        raise AssertionError("it was not refused")

    monkeypatch.setattr(record_module, "check_privileges", traces)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--rotate-rows", "99999999999999999999"], "not in the range"),
        (["--rotate-size", "0"], "is no size"),
        (["--rotate-size", "99999999999999999999G"], "is no size"),
        (["--rotate-size", "9" * 5000], "is no size"),
        (["--buffer-size", "9" * 5000], "is no size"),
        (["--rotate-time", "0s"], "no time above 0"),
        (["--ring", "9999999999999s"], "no time above 0 that could be waited for"),
        (["--ring", "9" * 400], "no time above 0 that could be waited for"),
        (["--uid", "4294967295"], "is no user's number they go from 0 to 4294967294"),
        (["--uid", "9" * 5000], "give a name or a number of /etc/passwd"),
        (["--tid", "4294967296"], "not in the range"),
        (["-p", "4294967296"], "not in the range"),
        (["--cgroup", "/no/such"], "no cgroup"),
        (["--comm", "a-name-of-16-byt"], "no thread has a name of 16 bytes"),
    ],
)
def test_what_no_kernel_knows_is_refused(arguments: list[str], why: str) -> None:
    assert why in refusal(*arguments, "-a")


@pytest.mark.parametrize(
    ("output", "raw", "more"),
    [
        ("a", "a", []),
        ("a", "folder/../a", []),
        ("a", "link", []),
        ("x.parquet", "x-0001.parquet", ["--rotate-rows", "5"]),
        ("x.parquet", "folder/../x-12345.parquet", ["--rotate-time", "5s"]),
        ("x.parquet", "x-0001.parquet", ["--ring", "5s"]),
        ("folder", "folder/a.raw", []),
        ("new/", "new/events/a.parquet", []),
    ],
)
def test_a_raw_stream_where_the_recording_goes(
    output: str, raw: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    assert (
        refusal("-o", output, "--raw", raw, *more, "-a")
        == f"{raw} is where the recording goes give --raw another place"
    )


@pytest.mark.parametrize(
    ("output", "raw", "more"),
    [
        ("a", "b", []),
        ("a", "folder/a", []),
        ("x.parquet", "x-0001.parquet", []),
        ("x.parquet", "x-1.parquet", ["--rotate-rows", "5"]),
        ("x.parquet", "x-0001.raw", ["--rotate-rows", "5"]),
        ("x.parquet", "folder/x-0001.parquet", ["--rotate-rows", "5"]),
        ("folder", "folder.raw", []),
        ("loop", "loop2", []),
    ],
)
def test_a_raw_stream_elsewhere(
    output: str, raw: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("loop", "loop2"):
        (tmp_path / name).symlink_to(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="it was not refused"):
        CliRunner().invoke(record, ["-o", output, "--raw", raw, *more, "-a"], catch_exceptions=False)


def test_in_a_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written: that is told when it is tried."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(AssertionError, match="it was not refused"):
        CliRunner().invoke(record, ["-o", "a", "--raw", "b", "-a"], catch_exceptions=False)


@pytest.mark.parametrize("user", ["4294967295", "4294967296", "9" * 5000, "nobody-of-that-name"])
def test_user_that_no_command_can_run_as(user: str) -> None:
    assert "give a name or a number of /etc/passwd" in refusal("-u", user, "--", "true")


def test_largest_user() -> None:
    assert user_id("4294967294") == 4294967294


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_what_can_not_be_said_does_not_change_the_status(stderr: str) -> None:
    code = "import sys; from tracer.cli.render import say; say('x' * 100_000); say('y'); sys.exit(7)"
    ended = subprocess.run(["sh", "-c", f'exec "$0" -c "$1" {stderr}', sys.executable, code], check=False)
    assert ended.returncode == 7


def test_what_is_said() -> None:
    code = "from tracer.cli.render import say; say('one\\ntwo')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b"one\ntwo"
