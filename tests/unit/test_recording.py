"""Opening recordings: every layout, every name, and files that are not one."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracer import recording
from tracer.errors import DamagedFileError, UsageError
from tracer.schema import COLUMNS, SCHEMA, VERSION

CALL = {
    "time": 1_764_000_000_000_000,
    "time_ns": 1_000,
    "latency_ns": 100,
    "comm": "cat",
    "pid": 7,
    "tid": 7,
    "syscall": "read",
    "family": "FS",
    "is_error": False,
    "restarts": 0,
    "filter_epoch": 0,
}


def calls_table(calls):
    """An Arrow table of the schema: each call is a dict of what is not as in CALL."""
    return pa.Table.from_pylist([{"seq": seq} | CALL | call for seq, call in enumerate(calls)], schema=SCHEMA)


def write_recording(path, calls, **footer):
    """A small recording with the footer keys given, `schema_version` unless it is given as None."""
    keys = {"schema_version": str(VERSION)} | footer
    metadata = {f"tracer.{key}": value for key, value in keys.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # pyarrow takes no names that aren't UTF-8
        pq.write_table(calls_table(calls).replace_schema_metadata(metadata), file)
    return path


def files_of(opened):
    return opened.sql("SELECT file FROM calls ORDER BY file").column(0).to_pylist()


def open_descriptors():
    return names_in(Path("/proc/self/fd"))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


class TestOneFile:
    def test_says_what_the_footer_says(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{}, {}], host="h1", command="cat x", loss='{"ring_full": 3}')
        with recording.open(path) as opened:
            assert opened.rows == 2
            assert opened.metadata == {
                "schema_version": str(VERSION),
                "host": "h1",
                "command": "cat x",
                "loss": '{"ring_full": 3}',
            }
            assert opened.loss == {"ring_full": 3}

    @pytest.mark.parametrize("parts", [("a",), ("a", "b"), ("b", "a")])
    def test_of_an_older_version_lacks_later_columns(self, tmp_path, parts):
        """They are null, whether all parts are older ones or some."""
        later = [column.name for column in COLUMNS if column.since > 1]
        call = {"file": "/a", "device": 1, "inode": 7, "mount_namespace": 9}
        old = calls_table([call]).drop_columns(later).replace_schema_metadata({"tracer.schema_version": "1"})
        for name in parts:
            if name == "a":
                pq.write_table(old, tmp_path / f"{parts.index(name)}.parquet")
            else:
                write_recording(tmp_path / f"{parts.index(name)}.parquet", [call])
        inodes = [None if name == "a" else 7 for name in parts]
        with recording.open(tmp_path) as opened:
            assert opened.arrow()["inode"].to_pylist() == inodes
            assert [value for batch in opened.batches(10) for value in batch["inode"].to_pylist()] == inodes
            found = opened.sql("SELECT * FROM calls ORDER BY inode NULLS FIRST")
            assert found.column_names == SCHEMA.names
            assert found["inode"].to_pylist() == sorted(inodes, key=bool)
            assert found["file"].to_pylist() == ["/a"] * len(parts)

    def test_path_may_be_text(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{}])
        with recording.open(str(path)) as opened:
            assert opened.rows == 1

    def test_sql_sees_the_rows_as_calls(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{"bytes": 3}, {"bytes": 4}])
        with recording.open(path) as opened:
            assert opened.sql("SELECT sum(bytes)::BIGINT AS n FROM calls").to_pylist() == [{"n": 7}]

    def test_sql_gives_times_in_utc_whatever_the_machine_says(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TZ", "Asia/Kolkata")
        path = write_recording(tmp_path / "a.parquet", [{}])
        with recording.open(path) as opened:
            table = opened.sql("SELECT time, time::VARCHAR AS text FROM calls")
        assert table.schema.field("time").type == pa.timestamp("us", tz="UTC")
        assert table.column("text").to_pylist() == ["2025-11-24 16:00:00+00"]

    def test_a_long_query_draws_nothing_on_standard_output(self, tmp_path):
        with recording.open(write_recording(tmp_path / "a.parquet", [{}])) as opened:
            query = "SELECT current_setting('enable_progress_bar') AS drawn"
            assert opened.sql(query)["drawn"].to_pylist() == [False]
            assert opened.table.get_backend().con.execute(query).fetchall() == [(False,)]

    def test_sql_without_a_result_is_an_empty_table(self, tmp_path):
        with recording.open(write_recording(tmp_path / "a.parquet", [{}])) as opened:
            assert opened.sql("SET VARIABLE mine = 5").num_rows == 0
            assert opened.sql("SELECT getvariable('mine') AS n").to_pylist() == [{"n": 5}]

    @pytest.mark.parametrize("query", ["SELEKT 1", "SELECT nothing FROM calls", "FROM elsewhere", "FROM query"])
    def test_wrong_sql_is_the_users_mistake(self, tmp_path, query):
        with recording.open(write_recording(tmp_path / "a.parquet", [{}])) as opened:
            with pytest.raises(UsageError, match="can't run this query") as caught:
                opened.sql(query)
            assert "\n" not in str(caught.value)
            assert "calls" in caught.value.hint

    @pytest.mark.parametrize(
        "query",
        [
            "FROM calls WHERE regexp_matches(file, '[')",
            "SELECT strptime(file, '%Y') FROM calls",
            "SELECT error('mine')",
            "FROM 'no-such-file.parquet'",
        ],
    )
    def test_what_only_a_row_shows_to_be_wrong_sql(self, tmp_path, query):
        path = write_recording(tmp_path / "a.parquet", [{"file": "/a"}])
        with recording.open(path) as opened:
            for _ in range(3):  # in no transaction, in one, and in one that is over by that
                with pytest.raises(UsageError, match="can't run this query"):
                    opened.sql(query)
                with suppress(UsageError):
                    opened.sql("BEGIN")

    def test_threads_may_ask_at_once(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{"bytes": n} for n in range(1_000)])
        with recording.open(path) as opened, ThreadPoolExecutor(4) as pool:
            queries = [f"SELECT count(*) AS n FROM calls WHERE bytes < {n}" for n in range(200)]
            found = [table["n"][0].as_py() for table in pool.map(opened.sql, queries)]
        assert found == list(range(200))

    def test_arrow_is_what_was_written(self, tmp_path):
        calls = [{"file": "/a", "error": None}, {"file": None, "error": "ENOENT", "is_error": True}]
        with recording.open(write_recording(tmp_path / "a.parquet", calls, host="h")) as opened:
            table = opened.arrow()
        assert table.schema.equals(SCHEMA)
        assert table.equals(calls_table(calls))
        assert table.schema.metadata == {b"tracer.schema_version": b"%d" % VERSION, b"tracer.host": b"h"}

    def test_ibis_table(self, tmp_path):
        calls = [{"syscall": "read", "bytes": 5}, {"syscall": "read", "bytes": 6}, {"syscall": "close"}]
        with recording.open(write_recording(tmp_path / "a.parquet", calls)) as opened:
            table = opened.table
            counted = table.group_by("syscall").agg(n=table.count(), bytes=table.bytes.sum()).order_by("syscall")
            assert counted.to_pyarrow().to_pylist() == [
                {"syscall": "close", "n": 1, "bytes": None},
                {"syscall": "read", "n": 2, "bytes": 11},
            ]

    def test_empty_recording(self, tmp_path):
        with recording.open(write_recording(tmp_path / "a.parquet", [])) as opened:
            assert opened.rows == 0
            assert opened.arrow().num_rows == 0
            assert opened.sql("SELECT * FROM calls").num_rows == 0

    def test_a_file_without_dictionaries_is_as_good(self, tmp_path):
        path, rewritten = tmp_path / "a.parquet", tmp_path / "b.parquet"
        write_recording(path, [{"file": "/a"}, {"file": "/b"}])
        duckdb.sql(f"COPY '{path}' TO '{rewritten}' (FORMAT parquet, KV_METADATA {{'tracer.schema_version': '1'}})")
        assert "dictionary" not in str(pq.read_schema(rewritten).field("file").type)
        with recording.open(rewritten) as opened:
            assert opened.arrow().equals(calls_table([{"file": "/a"}, {"file": "/b"}]))

    def test_stays_the_file_that_was_opened(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{"file": "/old"}])
        with recording.open(path) as opened:
            write_recording(tmp_path / "b.parquet", [{"file": "/new"}]).replace(path)
            assert files_of(opened) == ["/old"]
            assert opened.arrow().column("file").to_pylist() == ["/old"]

    def test_ibis_is_not_loaded_unasked(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{}])
        code = (
            "import sys; from tracer import recording\n"
            "with recording.open(sys.argv[1]) as opened: opened.sql('FROM calls'); opened.arrow()\n"
            "assert not {'ibis', 'pandas'} & set(sys.modules)"
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, path], check=True, env=environment)


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            *("it's", 'a"b', "'; DROP VIEW calls; --", "a b", "a\nb", "é", os.fsdecode(b"\xff\xfe")),
            *("a*b", "a**b", "a?b", "[ab]", "[!a]", "{a,b}", "back\\slash", "back\\*star"),
            *("~", "$HOME", "%41", "s3:", "-"),
        ],
    )
    def test_any_name_means_that_file_alone(self, tmp_path, name):
        for decoy in ("axb", "a", "axxb", "backslash", "back\\xstar"):
            write_recording(tmp_path / f"{decoy}.parquet", [{"file": "/decoy"}])
        path = write_recording(tmp_path / f"{name}.parquet", [{"file": "/mine"}])
        with recording.open(path) as opened:
            assert files_of(opened) == ["/mine"]
            assert opened.arrow().column("file").to_pylist() == ["/mine"]
            assert opened.table.file.to_pyarrow().to_pylist() == ["/mine"]

    @pytest.mark.parametrize("name", ["it's", "a*b", "a?b", "[ab]", "back\\slash", "a\nb"])
    def test_any_name_of_a_part(self, tmp_path, name):
        write_recording(tmp_path / "all" / f"{name}.parquet", [{"file": "/1"}])
        write_recording(tmp_path / "all" / "axb.parquet", [{"file": "/2"}])
        with recording.open(tmp_path / "all") as opened:
            assert files_of(opened) == ["/1", "/2"]

    @pytest.mark.parametrize("name", ["back\\*star", os.fsdecode(b"\xff")])
    def test_a_parts_name_that_duckdb_cannot_be_told(self, tmp_path, name):
        write_recording(tmp_path / f"{name}.parquet", [{}])
        with pytest.raises(DamagedFileError, match="a part's name"):
            recording.open(tmp_path)

    def test_any_name_of_a_folder(self, tmp_path):
        folder = tmp_path / os.fsdecode(b"it's [a]*\\\xff")
        write_recording(folder / "a.parquet", [{"file": "/1"}])
        with recording.open(folder) as opened:
            assert files_of(opened) == ["/1"]


class TestFolder:
    def test_all_parts_make_one_recording(self, tmp_path):
        write_recording(tmp_path / "events/host=h1/date=2026-01-02/s-000001.parquet", [{"file": "/1"}, {"file": "/2"}])
        write_recording(tmp_path / "events/host=007/date=2026-01-03/s-000001.parquet", [{"file": "/3"}])
        with recording.open(tmp_path) as opened:
            assert opened.rows == 3
            rows = opened.sql("SELECT file, host, date FROM calls ORDER BY file").to_pylist()
            table = opened.arrow()
            assert opened.table.count().to_pyarrow().as_py() == 3
        assert rows == [
            {"file": "/1", "host": "h1", "date": "2026-01-02"},
            {"file": "/2", "host": "h1", "date": "2026-01-02"},
            {"file": "/3", "host": "007", "date": "2026-01-03"},
        ]
        assert table.column_names == [*SCHEMA.names, "host", "date"]
        assert sorted(table.select(["file", "host", "date"]).to_pylist(), key=lambda row: row["file"]) == rows

    def test_parts_come_in_the_order_of_their_numbers(self, tmp_path):
        names = ["a-0001", "a-0002", "a-9999", "a-10000", "a-10001", "b-0003"]
        for name in reversed(names):
            write_recording(tmp_path / f"{name}.parquet", [{"file": f"/{name}"}])
        with recording.open(tmp_path) as opened:
            assert [part.name for part in opened.parts] == [f"{name}.parquet" for name in names]
            assert opened.arrow().column("file").to_pylist() == [f"/{name}" for name in names]

    def test_one_session_of_many(self, tmp_path):
        for name, session in (("a-0001", "a"), ("a-0002", "a"), ("b-0001", "b")):
            write_recording(tmp_path / f"{name}.parquet", [{"file": f"/{name}"}], session=session)
        with recording.open(tmp_path, session="a") as opened:
            assert files_of(opened) == ["/a-0001", "/a-0002"]
        with pytest.raises(UsageError, match="nothing of session c is in"):
            recording.open(tmp_path, session="c")

    def test_values_in_folder_names_may_be_escaped(self, tmp_path):
        write_recording(tmp_path / "host=a%20b/date=x/s.parquet", [{}])
        with recording.open(tmp_path) as opened:
            assert opened.sql("SELECT host, date FROM calls").to_pylist() == [{"host": "a b", "date": "x"}]
            assert opened.arrow().select(["host", "date"]).to_pylist() == [{"host": "a b", "date": "x"}]

    def test_without_such_folders_there_are_no_such_columns(self, tmp_path):
        write_recording(tmp_path / "host=h/date=d/s.parquet", [{}])
        write_recording(tmp_path / "loose.parquet", [{}])
        with recording.open(tmp_path) as opened:
            assert opened.sql("SELECT * FROM calls").column_names == SCHEMA.names
            assert opened.arrow().column_names == SCHEMA.names
            assert opened.rows == 2

    def test_unfinished_and_foreign_names_are_left_out(self, tmp_path):
        write_recording(tmp_path / "a.parquet", [{"file": "/1"}])
        (tmp_path / ".b.parquet").write_bytes(b"half")
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / ".trash").mkdir()
        (tmp_path / ".trash" / "c.parquet").write_bytes(b"half")
        with recording.open(tmp_path) as opened:
            assert files_of(opened) == ["/1"]

    def test_metadata_is_what_all_parts_agree_on(self, tmp_path):
        write_recording(tmp_path / "a.parquet", [], host="h1", mode="tui")
        write_recording(tmp_path / "b.parquet", [], host="h2", mode="tui")
        with recording.open(tmp_path) as opened:
            assert opened.metadata == {"schema_version": str(VERSION), "mode": "tui"}

    def test_losses_add_up_and_unknown_stays_unknown(self, tmp_path):
        write_recording(tmp_path / "a.parquet", [], loss='{"ring_full": 2, "map_full": 1, "mismatched": 4}')
        write_recording(tmp_path / "b.parquet", [], loss='{"ring_full": 3, "map_full": null}')
        with recording.open(tmp_path) as opened:
            assert opened.loss == {"ring_full": 5, "map_full": None, "mismatched": None}

    def test_a_damaged_part_is_named(self, tmp_path):
        write_recording(tmp_path / "a.parquet", [{}])
        (tmp_path / "b.parquet").write_bytes(b"PAR1 half of a file")
        with pytest.raises(DamagedFileError, match=r"b\.parquet is not a recording"):
            recording.open(tmp_path)

    @pytest.mark.parametrize(
        ("make", "why"),
        [(os.mkfifo, "Illegal seek"), (lambda path: path.symlink_to("nowhere"), "No such file or directory")],
    )
    def test_a_part_that_is_no_file(self, tmp_path, make, why):
        make(tmp_path / "b.parquet")
        with pytest.raises(DamagedFileError, match=rf"b\.parquet is not a recording.*{why}"):
            recording.open(tmp_path)

    def test_empty_folder(self, tmp_path):
        with pytest.raises(UsageError, match="no recording in") as caught:
            recording.open(tmp_path)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        (None, None),
        ("", None),
        ("not json", None),
        ("[" * 100_000, None),
        ("[1]", None),
        ("{}", {}),
        ('{"ring_full": 0}', {"ring_full": 0}),
        ('{"ring_full": "unknown", "map_full": 3}', {"ring_full": None, "map_full": 3}),
        ('{"a": -1, "b": true, "c": 1.5, "d": null}', {"a": None, "b": None, "c": None, "d": None}),
    ],
)
def test_what_is_no_number_is_unknown(tmp_path, text, loss):
    with recording.open(write_recording(tmp_path / "a.parquet", [], loss=text)) as opened:
        assert opened.loss == loss


class TestNotARecording:
    def test_missing(self, tmp_path):
        with pytest.raises(UsageError, match=r"no such recording: .*nowhere\.parquet") as caught:
            recording.open(tmp_path / "nowhere.parquet")
        assert "record" in caught.value.hint

    @pytest.mark.parametrize("content", [b"", b"hello\n", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
    def test_not_parquet(self, tmp_path, content):
        path = tmp_path / "a.parquet"
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match="not a Parquet file") as caught:
            recording.open(path)
        assert "\n" not in str(caught.value)
        assert "replay" in caught.value.hint

    def test_cut_off(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{}])
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DamagedFileError, match="cut off"):
            recording.open(path)

    def test_someone_elses_parquet(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{}], schema_version=None)
        with pytest.raises(DamagedFileError, match=r"no tracer\.schema_version"):
            recording.open(path)

    def test_newer(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{}], schema_version=str(VERSION + 1))
        with pytest.raises(DamagedFileError, match=f"schema version is {VERSION + 1}, the newest known") as caught:
            recording.open(path)
        assert "upgrade" in caught.value.hint

    @pytest.mark.parametrize("version", ["", "0", "-1", "one", "1.0", "²", "9" * 10_000])
    def test_version_that_is_none(self, tmp_path, version):
        path = write_recording(tmp_path / "a.parquet", [{}], schema_version=version)
        with pytest.raises(DamagedFileError, match="its schema version is") as caught:
            recording.open(path)
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda table: table.drop_columns("latency_ns"), "column latency_ns is missing"),
            (lambda table: table.append_column("file", table.column("file")), "column file is missing or there twice"),
            (
                lambda table: table.set_column(4, "latency_ns", table.column("latency_ns").cast(pa.string())),
                "column latency_ns is string, not int64",
            ),
        ],
    )
    def test_other_columns(self, tmp_path, change, message):
        table = change(calls_table([{}])).replace_schema_metadata({"tracer.schema_version": "1"})
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(DamagedFileError, match=message):
            recording.open(tmp_path / "a.parquet")

    def test_a_column_that_its_version_has_is_missing(self, tmp_path):
        table = calls_table([{}]).drop_columns("inode").replace_schema_metadata({"tracer.schema_version": str(VERSION)})
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(DamagedFileError, match="column inode is missing"):
            recording.open(tmp_path / "a.parquet")

    @pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(os.devnull)])
    def test_neither_file_nor_folder(self, tmp_path, make):
        make(tmp_path / "a.parquet")
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            recording.open(tmp_path / "a.parquet")

    def test_name_that_no_file_can_have(self):
        with pytest.raises(UsageError, match="can't open"):
            recording.open("a\0b")

    def test_damage_inside(self, tmp_path):
        path = write_recording(tmp_path / "a.parquet", [{"latency_ns": n} for n in range(1000)])
        column = pq.read_metadata(path).row_group(0).column(SCHEMA.names.index("latency_ns"))
        content = bytearray(path.read_bytes())
        start = column.dictionary_page_offset
        content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
        path.write_bytes(content)
        with recording.open(path) as opened:
            assert opened.rows == 1000
            with pytest.raises(DamagedFileError, match=r"can't read .*a\.parquet") as caught:
                opened.sql("SELECT sum(latency_ns) FROM calls")
            assert "/proc/" not in str(caught.value)
            with pytest.raises(DamagedFileError, match=r"can't read .*a\.parquet"):
                opened.arrow()


class TestNothingStaysBehind:
    def test_after_closing(self, tmp_path, monkeypatch):
        path = write_recording(tmp_path / "a.parquet", [{}])
        (tmp_path / "spill").mkdir()
        (tmp_path / "here").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spill"))
        monkeypatch.chdir(tmp_path / "here")
        before = open_descriptors()
        with recording.open(path) as opened:
            opened.sql("FROM calls")
            opened.arrow()
            (spill,) = (tmp_path / "spill").iterdir()
            assert spill.stat().st_mode & 0o777 == 0o700
        opened.close()
        assert open_descriptors() == before
        assert names_in(tmp_path / "spill") == names_in(tmp_path / "here") == []

    def test_after_failing(self, tmp_path, monkeypatch):
        path = write_recording(tmp_path / "a.parquet", [{}], schema_version=None)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        before = open_descriptors()
        with pytest.raises(DamagedFileError):
            recording.open(path)
        assert open_descriptors() == before
        assert names_in(tmp_path) == ["a.parquet"]

    def test_works_without_room_for_temporary_files(self, tmp_path, monkeypatch):
        path = write_recording(tmp_path / "a.parquet", [{"file": "/1"}])
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
        with recording.open(path) as opened:
            assert files_of(opened) == ["/1"]

    def test_a_closed_recording_says_so(self, tmp_path):
        opened = recording.open(write_recording(tmp_path / "a.parquet", [{}]))
        opened.close()
        with pytest.raises(UsageError, match="is closed"):
            opened.sql("FROM calls")
        with pytest.raises(UsageError, match="is closed"):
            opened.arrow()
