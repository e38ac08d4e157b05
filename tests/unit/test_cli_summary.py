"""`tracer-cli summary` as a person or a script sees it, and how numbers and hostile names are shown."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from test_recording import write_recording

from tracer.cli.render import Heading, count, duration, printable, size, table, write_out
from tracer.cli.summary import summary
from tracer.errors import DamagedFileError, OutputError, UsageError

NO_LOSS = json.dumps({"ring_full": 0, "path_unreadable": 0})
CALLS = [
    {"syscall": "read", "latency_ns": 1_500, "bytes": 3 * 1024, "file": "/a"},
    {"syscall": "read", "latency_ns": 2_500, "bytes": 0, "file": "/b"},
    {"syscall": "openat", "latency_ns": 6_000_000, "file": "/a", "is_error": True, "error": "ENOENT"},
    {"syscall": "exit_group", "latency_ns": None, "comm": ""},
]
HOSTILE = "\x1b]0;owned\x07\x9b2J[red]x[/red]\r\n:smile:\u202egpj.exe\u2066\u200f\u2028\x7f\t"


@pytest.fixture
def path(tmp_path):
    return write_recording(tmp_path / "a.parquet", CALLS, loss=NO_LOSS)


def run(*arguments):
    """What the command prints; errors are raised as they are."""
    result = CliRunner().invoke(summary, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result


def run_process(*arguments, **options):
    """The command in a process of its own."""
    code = "from tracer.cli.summary import summary; summary()"
    environment = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING"}}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, timeout=60, check=False, **options
    )


class TestTable:
    def test_whole(self, path):
        assert run(path).stdout.splitlines() == [
            "% time    total     mean      p50      p99  calls  errors     bytes  syscall",
            " 99.93  6.00 ms  6.00 ms  6.00 ms  6.00 ms      1       1         -  openat",
            "  0.07  4.00 us  2.00 us  1.50 us  2.50 us      2       0  3.00 KiB  read",
            "  0.00     0 ns        -        -        -      1       0         -  exit_group",
            "100.00  6.00 ms  2.00 ms  2.50 us  6.00 ms      4       1  3.00 KiB  total",
        ]

    def test_nothing_on_stderr_if_nothing_was_lost(self, path):
        assert run(path).stderr == ""

    def test_by_file_says_which_calls_have_none(self, path):
        lines = run(path, "--by", "file").stdout.splitlines()
        assert [line.split("  ")[-1] for line in lines] == ["file", "/a", "/b", "(no file)", "total"]

    def test_by_process_shows_pid_and_comm(self, path):
        lines = run(path, "--by", "process").stdout.splitlines()
        assert [line.split()[-2:] for line in lines[:-1]] == [["pid", "comm"], ["7", "cat"], ["7", '""']]

    def test_success_is_no_error(self, path):
        assert "(no error)" in run(path, "--by", "error").stdout

    def test_top_says_what_it_hides(self, path):
        lines = run(path, "-n", "1", "--sort", "calls").stdout.splitlines()
        assert len(lines) == 3
        assert lines[1].endswith("  read")
        assert lines[2].endswith("  total, with 2 rows not shown")

    def test_empty_recording(self, tmp_path):
        lines = run(write_recording(tmp_path / "e.parquet", [], loss=NO_LOSS)).stdout.splitlines()
        assert lines == [
            "% time  total  mean  p50  p99  calls  errors  bytes  syscall",
            "  0.00   0 ns     -    -    -      0       0      -  total",
        ]

    def test_long_names_are_whole_and_numbers_stay_in_their_columns(self, tmp_path, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        long = "/" + "x" * 4000
        calls = [{"file": long, "latency_ns": 2}, {"file": "/short", "latency_ns": 1}]
        path = write_recording(tmp_path / "a.parquet", calls, loss=NO_LOSS)
        title, first, second, totals = run(path, "--by", "file").stdout.splitlines()
        start = title.index("file")
        assert [line[start:] for line in (first, second, totals)] == [long, "/short", "total"]

    def test_wide_characters_keep_the_columns(self, tmp_path):
        shown = table([Heading("comm", left=True), Heading("n")], [["日本", "1"], ["abc", "2"]], ["", "3"], sys.stdout)
        assert shown.splitlines()[1:] == ["日本  1", "abc   2", "      3"]


class TestJson:
    def test_shape(self, path):
        document = json.loads(run(path, "--json").stdout)
        assert list(document) == ["file", "by", "at_least", "rows", "totals", "loss"]
        assert document["file"] == str(path)
        assert document["by"] == "syscall"
        assert document["loss"] == {"ring_full": 0, "path_unreadable": 0}
        assert document["rows"][1] == {
            "syscall": "read",
            "calls": 2,
            "errors": 0,
            "total_ns": 4000,
            "mean_ns": 2000.0,
            "p50_ns": 1500,
            "p99_ns": 2500,
            "bytes": 3072,
            "percent": 100 * 4000 / 6_004_000,
        }
        assert document["totals"]["calls"] == 4
        assert document["totals"]["groups"] == 3
        assert (document["at_least"], document["totals"]["at_least"]) == (False, False)

    def test_missing_values_are_null(self, path):
        document = json.loads(run(path, "--json", "--by", "file").stdout)
        assert [row["file"] for row in document["rows"]] == ["/a", "/b", None]
        assert document["rows"][2]["mean_ns"] is None

    def test_unknown_loss_is_null(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [])
        assert json.loads(run(path, "--json").stdout)["loss"] is None

    def test_names_survive_and_the_text_is_ascii(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{"file": HOSTILE}])
        text = run(path, "--json", "--by", "file").stdout
        assert text.isascii()
        assert "\x1b" not in text
        assert json.loads(text)["rows"][0]["file"] == HOSTILE

    def test_a_recordings_own_name_need_not_be_utf8(self, tmp_path):
        path = write_recording(tmp_path / os.fsdecode(b"a\xff.parquet"), [])
        assert json.loads(run(path, "--json").stdout)["file"] == f"{tmp_path}/a\\xff.parquet"


class TestLosses:
    def test_by_cause(self, tmp_path):
        loss = json.dumps({"ring_full": 1234, "map_full": 0, "path_unreadable": None, "\x1b[31m": 1})
        result = run(write_recording(tmp_path / "a.parquet", CALLS, loss=loss))
        assert result.stderr == (
            "tracer-cli: not everything was recorded, sums are at least: "
            "1,234 ring full, 1 \\x1b[31m, path unreadable unknown\n"
        )
        assert "ring" not in result.stdout

    @pytest.mark.parametrize("loss", [None, "damaged"])
    def test_unknown(self, tmp_path, loss):
        result = run(write_recording(tmp_path / "a.parquet", CALLS, loss=loss))
        assert result.stderr == "tracer-cli: the recording doesn't say what was lost, sums are at least\n"

    @pytest.mark.parametrize(
        ("loss", "by", "rows", "totals"),
        [
            ({"ring_full": 0}, "syscall", False, False),
            ({"ring_full": 1}, "syscall", True, True),
            ({"ring_full": None}, "process", True, True),
            ({"of a newer tracer": 1}, "syscall", True, True),
            ({"path_truncated": 1, "ring_full": 0}, "syscall", False, False),
            ({"path_truncated": 1, "ring_full": 0}, "file", True, False),
            ({"untracked_fds": None}, "file", True, False),
            (None, "syscall", True, True),
        ],
    )
    def test_sums_are_at_least_where_calls_may_be_missing(self, tmp_path, loss, by, rows, totals):
        path = write_recording(tmp_path / "a.parquet", CALLS, loss=json.dumps(loss))
        title = run(path, "--by", by).stdout.splitlines()[0]
        for name in ("total", "calls", "errors", "bytes"):
            assert (f" {name} (at least) " in title) == rows
        assert "mean (" not in title
        document = json.loads(run(path, "--by", by, "--json").stdout)
        assert (document["at_least"], document["totals"]["at_least"]) == (rows, totals)


class TestHostileNames:
    @pytest.mark.parametrize("by", ["file", "comm", "process", "thread", "syscall", "family", "error"])
    def test_nothing_of_a_recording_reaches_the_terminal_raw(self, tmp_path, by):
        names = dict.fromkeys(["file", "comm", "syscall", "family", "error"], HOSTILE)
        lines = run(write_recording(tmp_path / "a.parquet", [names], loss=NO_LOSS), "--by", by).stdout.split("\n")
        assert len(lines) == 4
        assert all(line.isprintable() for line in lines)
        assert lines[1].endswith(
            r"  \x1b]0;owned\x07\x9b2J[red]x[/red]\r\n:smile:\u202egpj.exe\u2066\u200f\u2028\x7f\t"
        )

    @given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"])))
    def test_printable_leaves_nothing_that_acts(self, text):
        shown = printable(text)
        assert shown.isprintable()
        assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert printable(shown) == shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("/plain/päth with spaces/日本", "/plain/päth with spaces/日本"),
            ("[bold]", "[bold]"),
            ("\\xff", "\\xff"),
            ("\udcff", "\\xff"),
            ("\ud800", "\\ud800"),
            ("a\nb\0", "a\\nb\\x00"),
            ("\u202e", "\\u202e"),
            ("\U000e0041", "\\U000e0041"),
        ],
    )
    def test_printable(self, text, shown):
        assert printable(text) == shown


class TestNumbers:
    @pytest.mark.parametrize(
        ("ns", "shown"),
        [
            (None, "-"),
            (0, "0 ns"),
            (999, "999 ns"),
            (999.6, "1.00 us"),
            (1_000, "1.00 us"),
            (9_994, "9.99 us"),
            (9_996, "10.0 us"),
            (99_960, "100 us"),
            (999_499, "999 us"),
            (999_500, "1.00 ms"),
            (1_234_567_890, "1.23 s"),
            (999_600_000_000, "1,000 s"),
            (10**18, "1,000,000,000 s"),
        ],
    )
    def test_duration(self, ns, shown):
        assert duration(ns) == shown

    @given(st.integers(0, 10**15))
    def test_duration_is_right_to_three_digits(self, ns):
        number, unit = duration(ns).replace(",", "").split()
        shown = float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
        assert abs(shown - ns) <= 0.0051 * ns

    @pytest.mark.parametrize(
        ("number", "shown"),
        [
            (None, "-"),
            (0, "0 B"),
            (1023, "1,023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (2**20 - 1, "1.00 MiB"),
            (3 * 2**50, "3.00 PiB"),
            (2**70, "1,048,576 PiB"),
        ],
    )
    def test_size(self, number, shown):
        assert size(number) == shown

    def test_count(self):
        assert [count(n) for n in (None, 0, 999, 1_234_567)] == ["-", "0", "999", "1,234,567"]


class TestErrors:
    def test_missing_file(self, tmp_path):
        with pytest.raises(UsageError, match="no such recording"):
            run(tmp_path / "nowhere")

    def test_not_a_recording(self, tmp_path):
        (tmp_path / "a.parquet").write_text("hello")
        with pytest.raises(DamagedFileError):
            run(tmp_path / "a.parquet")

    @pytest.mark.parametrize("arguments", [["--by", "colour"], ["--sort", "colour"], ["-n", "0"], ["-n", "x"]])
    def test_wrong_options(self, path, arguments):
        result = CliRunner().invoke(summary, [str(path), *arguments])
        assert result.exit_code == 2
        assert result.stdout == ""

    def test_full_disk(self, monkeypatch):
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stdout", full)
            with pytest.raises(OutputError, match="No space left"):
                write_out("x")

    def test_closed_output(self, monkeypatch):
        monkeypatch.setattr(sys, "stdout", None)
        with pytest.raises(OutputError, match="closed"):
            write_out("x")


class TestProcess:
    def test_a_reader_that_left_is_no_error(self, path):
        reader, writer = os.pipe()
        os.close(reader)
        result = run_process(path, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        assert (result.returncode, result.stderr) == (0, b"")

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_an_output_that_can_show_only_ascii(self, tmp_path, options):
        path = write_recording(tmp_path / "a.parquet", [{"file": "/é日"}], loss=NO_LOSS)
        result = run_process(path, "--by", "file", *options, capture_output=True, env={"PYTHONIOENCODING": "ascii"})
        assert (result.returncode, result.stderr) == (0, b"")
        assert rb"/\xe9\u65e5" in result.stdout or rb"/\u00e9\u65e5" in result.stdout

    def test_styles_are_for_terminals_that_may_have_them(self, path):
        assert b"\x1b[" in self.on_terminal(path)
        assert b"\x1b" not in self.on_terminal(path, env={"NO_COLOR": "1"})
        assert b"\x1b" not in self.on_terminal(path, env={"TERM": "dumb"})
        assert b"\x1b" not in run_process(path, capture_output=True).stdout

    def test_styles_aside_terminal_and_pipe_get_the_same(self, path):
        plain = re.sub(rb"\x1b\[\d*m", b"", self.on_terminal(path)).replace(b"\r\n", b"\n")
        assert plain == run_process(path, capture_output=True).stdout

    @staticmethod
    def on_terminal(path, **options):
        ours, theirs = os.openpty()
        try:
            assert run_process(path, stdout=theirs, stderr=subprocess.PIPE, **options).returncode == 0
            return os.read(ours, 4096)  # all of it: the table is smaller than a terminal's buffer
        finally:
            os.close(ours)
            os.close(theirs)
