"""Sizes, times and outputs on the command line."""

import os
import subprocess
import sys

import click
import pytest
from test_recording import names_in

from tracer.cli.parameters import Duration, NamedPath, OutputFilePath, OutputPath, Size
from tracer.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("65536", 65536),
        ("64K", 64 << 10),
        ("64k", 64 << 10),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("2G", 2 << 30),
        ("512B", 512),
    ],
)
def test_size(text, wanted):
    assert Size().convert(text, None, None) == wanted


@pytest.mark.parametrize(
    "text", ["", "0", "0K", "9" * 20, "M", "-1M", "1.5M", "1 M", "64T", "0x10", "\u0661\u0662X", "64M\n", "1e6"]
)
def test_size_that_is_none(text):
    with pytest.raises(click.BadParameter, match="is no size; 64M is one"):
        Size().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("0.5", 0.5),
        ("1.", 1),
        ("10s", 10),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("250us", 0.00025),
        ("5ns", 5e-9),
        ("2m", 120),
        ("1h", 3600),
    ],
)
def test_duration(text, seconds):
    assert Duration().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "0", "0s", "0.0ms", "-1s", "+1", "1 s", "1d", "inf", "nan", "1e3", ".5", "5MS", "1s\n"]
)
def test_duration_that_is_none(text):
    with pytest.raises(click.BadParameter, match=r"is no time above 0 that could be waited for; 1\.5s and 200ms are"):
        Duration().convert(text, None, None)


def run(arguments, folder):
    """The command line in a folder, run to its end."""
    command = [sys.executable, "-c", "from tracer.cli import main; main()", *arguments]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_default_that_is_a_number_already():
    assert Size().convert(64 << 20, None, None) == 64 << 20


@pytest.mark.parametrize(
    "arguments",
    [
        ["record", "-o", "-", "--", "true"],
        ["record", "--ring", "60s", "-o", "-", "--", "true"],
        ["record", "--rotate-rows", "5", "-o-", "--", "true"],
        ["record", "--raw", "-", "--", "true"],
        ["replay", "a.raw", "-o", "-"],
        ["compact", "a", "--output=-"],
        ["recover", "a", "-o", "-"],
    ],
)
def test_standard_output_is_refused(arguments, tmp_path):
    ended = run(arguments, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "tracer-cli: error: standard output can't be written to: a file is there when it is complete, and not before\n"
        "  hint: give the name of a file; ./- is one called -\n"
    )
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["record", "-o", "", "--", "true"], "'-o' / '--output'"),
        (["record", "--raw=", "--", "true"], "'--raw'"),
        (["record", "--cgroup", "", "--", "true"], "'--cgroup'"),
        (["replay", "", "-o", "b"], "'FILE'"),
        (["compact", "", "-o", "b"], "'PATH'"),
        (["recover", ""], "'PATH'"),
        (["summary", ""], "'FILE'"),
    ],
)
def test_an_empty_name_is_not_the_working_directory(arguments, name, tmp_path):
    (tmp_path / "a.parquet").touch()
    ended = run(arguments, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"tracer-cli: error: {name} is an empty name\n  hint: is a variable of the shell not set?\n"
    assert names_in(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize("text", ["./-", "-/", "a-", "-x", "/a/-"])
def test_output_with_a_dash_in_its_name(text):
    assert OutputPath().convert(text, None, None) == text


def test_whether_a_file_can_be_read_is_left_to_who_opens_it(tmp_path, monkeypatch):
    """Who knows what to do about it."""
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    (tmp_path / "a").touch()
    assert NamedPath().convert(str(tmp_path / "a"), None, None) == str(tmp_path / "a")


@pytest.mark.parametrize("name", ["folder/", "/", "folder/.", ".", ".."])
def test_a_folders_name_where_a_file_is_meant(name):
    with pytest.raises(UsageError, match="is a folder's name"):
        OutputFilePath().convert(name, None, None)
