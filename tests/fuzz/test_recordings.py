"""Damaged and unexpected Parquet files to every verb that reads a recording: a line, status 2, no traceback, an end."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracer.cli.summary import summary
from tracer.errors import DamagedFileError, MachineError
from tracer.recording import open as open_recording
from tracer.schema import SCHEMA, VERSION
from tracer.sinks.parquet_options import WRITER_OPTIONS

SCALE = float(os.environ.get("TRACER_TEST_SCALE", "1"))
GROUPS = ["syscall", "file", "process", "thread", "comm", "family", "error"]
LOSS = json.dumps({"ring_full": 0})
SECONDS = 60
MEMORY = 8 << 30
"""Address space, most of which is the libraries' and never touched."""
Change = Callable[[pa.Table], pa.Table]


def calls(count: int) -> pa.Table:
    """Calls of a few names and files."""
    columns = {
        "seq": list(range(count)),
        "latency_ns": [n * 7919 % 100_000 for n in range(count)],
        "syscall": [("read", "openat", "exit_group")[n % 3] for n in range(count)],
        "file": [f"/some/folder/{n % 11}" for n in range(count)],
        "is_error": [n % 5 == 0 for n in range(count)],
        "bytes": [n % 4096 for n in range(count)],
        "pid": [100 + n % 3 for n in range(count)],
        "tid": [100 + n % 7 for n in range(count)],
    }
    values = {field.name: columns.get(field.name, _filler(field.type, count)) for field in SCHEMA}
    return pa.table({name: pa.array(values[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)


def _filler(type_: pa.DataType, count: int) -> list[Any]:
    return ["x" if pa.types.is_dictionary(type_) else 1] * count


def write(table: pa.Table, path: Path, *, loss: str = LOSS, **options: Any) -> Path:
    metadata = {"tracer.schema_version": str(VERSION), "tracer.loss": loss}
    pq.write_table(table.replace_schema_metadata(metadata), path, **options)
    return path


def look(path: Path, by: str) -> str:
    """What one look at a file comes to; anything but rows or a line for the user is an exception here."""
    try:
        result = CliRunner().invoke(summary, [str(path), "--by", by], catch_exceptions=False)
        assert (result.exit_code, all(line.isprintable() for line in result.output.split("\n"))) == (0, True)
        with open_recording(path) as recording:
            recording.arrow()
    except (DamagedFileError, MachineError) as error:
        assert error.exit_code == 2
        assert "\n" not in str(error)
        return str(error)
    return ""


def main(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The whole command, with a bound on its memory and its time."""
    code = "from tracer.cli import main; main()"
    return subprocess.run(
        ["prlimit", f"--as={MEMORY}", sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def is_refused(ended: subprocess.CompletedProcess[str]) -> bool:
    line = re.fullmatch(r"tracer-cli: error: [^\n]+\n(  hint: [^\n]+\n)?", ended.stderr)
    return (ended.returncode, ended.stdout, bool(line)) == (2, "", True)


def footer_start(content: bytes) -> int:
    return len(content) - 8 - int(struct.unpack("<I", content[-8:-4])[0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording of two row groups, written as the recorder writes."""
    options = WRITER_OPTIONS | {"row_group_size": 150}
    path = write(calls(300), tmp_path_factory.mktemp("whole") / "a.parquet", **options)
    assert look(path, "file") == ""
    return path.read_bytes()


def test_cut_off_anywhere(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for size in {*range(0, len(whole), 97), *range(footer_start(whole), len(whole), 31), len(whole) - 1}:
        path.write_bytes(whole[:size])
        assert look(path, "syscall") != ""


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[bool, float, int, bytes]]:
    """Where (in the footer or anywhere, as a share), how many bytes go, what comes instead."""
    one = st.tuples(
        st.booleans(),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 8),
        st.binary(max_size=8) | st.sampled_from([b"\xff" * 5, b"\x00" * 4, b"\x80" * 10]),
    )
    return draw(st.lists(one, min_size=1, max_size=4))


def damaged(content: bytes, damages: list[tuple[bool, float, int, bytes]]) -> bytes:
    for in_footer, share, gone, instead in damages:
        start = min(footer_start(content), len(content)) if in_footer and len(content) > 8 else 0
        at = max(0, start) + int(share * (len(content) - max(0, start)))
        content = content[:at] + instead + content[at + gone :]
    return content


@settings(
    max_examples=max(1, round(150 * SCALE)),
    deadline=SECONDS * 1000,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(changes=damages(), by=st.sampled_from(GROUPS))
def test_damage_anywhere(
    changes: list[tuple[bool, float, int, bytes]], by: str, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    path.write_bytes(damaged(whole, changes))
    look(path, by)


@pytest.mark.parametrize("length", [0, 1, 8, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("magic", [b"PAR1", b"PARE"])
def test_length_of_the_footer(length: int, magic: bytes, whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(whole[:-8] + struct.pack("<I", length) + magic)
    assert look(path, "syscall") != ""


def replaced(name: str, values: pa.Array) -> Change:
    """The table with another column under the name."""
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values.take([0] * len(table)))


@pytest.mark.parametrize(
    "change",
    [
        replaced("file", pa.array([["a"]])),
        replaced("file", pa.array([{"a": {"b": [1]}}])),
        replaced("file", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))),
        replaced("file", pa.array([b"\xff"])),
        replaced("latency_ns", pa.array([1.5])),
        replaced("latency_ns", pa.array(["1"])),
        replaced("latency_ns", pa.array([1], pa.uint64())),
        replaced("time", pa.array([1], pa.timestamp("ms"))),
        replaced("is_error", pa.array([1], pa.int8())),
        replaced("syscall", pa.nulls(1)),
        lambda table: table.rename_columns([name.upper() for name in table.column_names]),
        lambda table: table.select([]),
        lambda table: pa.table({"calls": table.to_struct_array()}),
    ],
)
def test_other_schemas(change: Change, tmp_path: Path) -> None:
    path = write(change(calls(10)), tmp_path / "a.parquet")
    assert is_refused(main("summary", path))


def test_more_columns_than_ours_do_no_harm(tmp_path: Path) -> None:
    table = calls(10)
    for number, values in enumerate([[["x"]], [{"a": {"b": [1]}}], [None]]):
        table = table.append_column(f"more {number}", pa.array(values * len(table)))
    assert look(write(table, tmp_path / "a.parquet"), "file") == ""


@pytest.mark.parametrize(
    "loss",
    [
        "",
        "[" * 100_000,
        "[1]",
        '{"ring_full": 1e999, "x": NaN, "y": -1, "z": true, "w": {"v": []}}',
        '{"ring_full": ' + "9" * 4300 + "}",
        '{"ring_full": ' + "9" * 5000 + "}",
        json.dumps({"\x1b[31m\nforged: 0 rows\u202e": 5, "\ud800": 3}),
        json.dumps({f"cause {n}": n for n in range(10_000)}),
    ],
)
def test_what_a_footer_says_of_losses(loss: str, tmp_path: Path) -> None:
    path = write(calls(10), tmp_path / "a.parquet", loss=loss)
    ended = main("summary", path, "--json")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (0, 1)
    assert all(line.isprintable() for line in (ended.stdout + ended.stderr).split("\n"))
    assert json.loads(ended.stdout)["totals"]["calls"] == 10


def test_a_huge_footer(tmp_path: Path) -> None:
    table = calls(10).replace_schema_metadata({"tracer.schema_version": str(VERSION), "more": "x" * (8 << 20)})
    pq.write_table(table, tmp_path / "a.parquet")
    started = time.monotonic()
    assert look(tmp_path / "a.parquet", "file") == ""
    assert time.monotonic() - started < SECONDS


def test_few_bytes_that_stand_for_many(tmp_path: Path) -> None:
    """A million calls on a file whose name is as long as names get, each byte of it escaped: 16 GB, if each had its own
    copy."""
    rows = 1_000_000
    table = calls(1)
    columns = {
        field.name: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["\\xff" * 4095]))
        if field.name == "file"
        else table[field.name].take(pa.array([0] * rows))
        for field in SCHEMA
    }
    path = write(pa.table(columns), tmp_path / "a.parquet", compression="zstd", use_dictionary=True)
    assert path.stat().st_size < 16 << 20
    ended = main("summary", path, "--by", "file")
    assert is_refused(ended) or (ended.returncode, len(ended.stdout.splitlines())) == (0, 3)


def test_pages_that_unpack_to_more_than_they_take(tmp_path: Path) -> None:
    """Names of 256 MiB in all that pack to almost nothing, under a bound of memory."""
    texts = [f"{n}" + "x" * (1 << 20) for n in range(256)]
    table = calls(256)
    table = table.set_column(table.schema.get_field_index("file"), "file", pa.array(texts))
    path = write(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 16 << 20
    ended = main("summary", path, "--by", "file", "-n", "1")
    assert is_refused(ended) or ended.returncode == 0
