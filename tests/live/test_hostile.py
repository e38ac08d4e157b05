"""Programs that want to hurt who looks at them: names are exact in the file and harmless wherever they are shown."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Cli
from reference_columns import text_of

pytestmark = pytest.mark.beside_others

SOURCE = Path(__file__).parent.parent / "programs" / "hostile_names.c"
GROUPS = ["file", "comm", "process", "thread", "syscall", "error"]
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of what acts instead of being seen: controls, formats (bidi among them), separators of lines."""

PRINT_TABLES = f"""
#include <stdio.h>
#include <string.h>
#define main traced
#include "{SOURCE}"
#undef main
static void show(const char *const *names, size_t count)
{{
	for (size_t i = 0; i < count; i++)
		fwrite(names[i], 1, strlen(names[i]) + 1, stdout);
}}
int main(int argc, char **argv)
{{
	(void)argv;
	if (argc > 1)
		show(threads, sizeof(threads) / sizeof(threads[0]));
	else
		show(files, sizeof(files) / sizeof(files[0]));
	return 0;
}}
"""


def rows_of(recording: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(recording).to_pylist()
    return rows


def shown_harmlessly(text: str) -> bool:
    return not any(unicodedata.category(character) in HARMFUL for character in text.replace("\n", ""))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[bytes]]:
    """The names of files and of threads, as the compiler understands the program's tables."""
    program = tmp_path_factory.mktemp("names") / "names"
    command = ["gcc", "-pthread", "-I", SOURCE.parent, "-x", "c", "-o", program, "-"]
    subprocess.run(command, input=PRINT_TABLES.encode(), check=True)
    outputs = [subprocess.run([program, *more], check=True, capture_output=True).stdout for more in ([], ["threads"])]
    files, threads = (output.split(b"\0")[:-1] for output in outputs)
    return files, threads


@pytest.fixture(scope="module")
def recording(tracer_cli: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program's, which ran in the folder `in` beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    command = [tracer_cli, "record", "-o", folder / "a.parquet", "--", programs / "hostile_names"]
    subprocess.run(command, cwd=folder / "in", check=True, timeout=60)
    return folder / "a.parquet"


def test_names_in_the_file_are_exact(recording: Path, names: tuple[list[bytes], list[bytes]]) -> None:
    files, threads = names
    opened = [row for row in rows_of(recording) if row["syscall"] == "openat" and row["file"] is not None]
    top = f"{recording.parent}/in/"
    ours = [row["file"].removeprefix(top) for row in opened if row["file"].startswith(top)]
    assert ours == [text_of(name) for name in files if name] + [f"thread-{n}" for n in range(len(threads))]
    comms = {row["file"].rpartition("-")[2]: row["comm"] for row in opened if row["file"].startswith(f"{top}thread-")}
    assert list(comms.values()) == [text_of(name[:15]) for name in threads]


@pytest.mark.parametrize("by", GROUPS)
def test_text_is_harmless_in_a_pipe_and_on_a_terminal(by: str, recording: Path, cli: Cli, tracer_cli: Path) -> None:
    in_pipe = cli("summary", recording, "--by", by)
    assert shown_harmlessly(in_pipe.stdout + in_pipe.stderr)
    groups = json.loads(cli("summary", recording, "--by", by, "--json").stdout)["totals"]["groups"]
    assert len(in_pipe.stdout.splitlines()) == groups + 2, "a name has made a line"
    ours, theirs = pty.openpty()
    environment = dict(os.environ, TERM="dumb", LC_ALL="C.UTF-8")
    with subprocess.Popen([tracer_cli, "summary", recording, "--by", by], stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read(ours), b""))
        assert process.wait(timeout=60) == 0
    os.close(ours)
    assert shown.decode().replace("\r\n", "\n") == in_pipe.stdout


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


@pytest.mark.parametrize("by", ["file", "comm"])
def test_json_gives_the_names_back(by: str, recording: Path, cli: Cli) -> None:
    ended = cli("summary", recording, "--by", by, "--json")
    assert ended.stdout.isascii()
    names = {row[by] for row in json.loads(ended.stdout)["rows"]}
    assert names == {row[by] for row in rows_of(recording)}


def test_words_of_the_command_line_are_harmless_in_messages(cli: Cli, work: Path) -> None:
    hostile = "\x1b]0;owned\x07\r\n\u202e\u2066forged"
    name = f"{hostile}.parquet"
    closing = cli("record", "-o", name, "--", "true").stderr
    assert len(closing.splitlines()) == 1
    for ended in (
        cli("summary", f"no {name}", status=2),
        cli("summary", name, "--by", hostile, status=2),
        cli("record", "-o", name, "--", "true", status=2),
        cli("record", "-o", "b.parquet", "-e", hostile, "--", "true", status=2),
        cli("record", "-o", "b.parquet", "-u", hostile, "--", "true", status=2),
        cli("record", "-o", "b.parquet", "--cgroup", hostile, "--", "true", status=2),
        cli("record", "-o", "b.parquet", "--", hostile, status=127),
        cli("replay", f"no {name}", "-o", "b.parquet", status=2),
    ):
        assert shown_harmlessly(ended.stderr), ended.stderr
        assert re.match("tracer-cli: error: ", ended.stderr)
        assert len(ended.stderr.splitlines()) <= 2
    assert shown_harmlessly(closing)
    assert [path.name for path in work.iterdir()] == [name]
