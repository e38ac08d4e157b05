"""Opening a recording, whatever its layout, as an Ibis table, Arrow or SQL.

A recording is one Parquet file or a folder of them. Where the parts lie in `host=<h>/date=<d>/`, `host` and `date` are
columns, too. Names that begin with a dot are parts still being written and are left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracer import losses
from tracer.crashed import hint_for_empty, hint_for_missing
from tracer.errors import DamagedFileError, MachineError, TracerError, UsageError
from tracer.folders import walk
from tracer.schema import COLUMNS, FOOTER_PREFIX, NEVER_NEGATIVE, SCHEMA, VERSION
from tracer.temporary import NUMBER_DIGITS, forget_unfinished, note_unfinished

if TYPE_CHECKING:
    import ibis.expr.types as ir  # type: ignore[import-untyped]

VIEW = "calls"
"""The name of the recording's rows in SQL."""

LOSSES_TABLE = "losses"
"""What is missing from it, in SQL."""

LOSSES_SCHEMA = pa.schema(
    [
        pa.field("cause", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("cpu", pa.int32()),
        pa.field("from_time", pa.timestamp("us", tz="UTC")),
        pa.field("to_time", pa.timestamp("us", tz="UTC")),
        pa.field("from_ns", pa.int64()),
        pa.field("to_ns", pa.int64()),
        pa.field("lost", pa.int64()),
    ]
)
"""Of `Recording.losses`; docs/schema.md explains the columns."""

LOSSES_TIMES = ("from_time", "to_time")
LOSSES_TYPES = [
    (field.name, {"cause": "VARCHAR", "cpu": "INTEGER"}.get(field.name, "BIGINT")) for field in LOSSES_SCHEMA
]
"""How DuckDB is given the columns: times as microseconds."""

LAST_US = 253_402_300_799_999_999
"""The end of the year 9999: a clock that tells of later times was made up."""

Loss = losses.Losses
"""Calls or names lost by cause; None where it is unknown how many."""

SQL_TYPES = {pa.int64(): "BIGINT"}
"""Of the columns that came after the first version."""

PARTITIONS = ("host", "date")
PART_NUMBER = re.compile(rf"-(\d{{4,{NUMBER_DIGITS}}})\Z")
GLOB_CHARACTERS = "*?["

NOT_A_RECORDING = "`tracer-cli record` makes recordings; for a raw stream, `tracer-cli replay FILE -o OUT.parquet` does"
QUERY_HINT = f"the rows are in `{VIEW}`: SELECT * FROM {VIEW} LIMIT 5"
NEWER = "a newer tracer made it: upgrade tracer-toolkit to read it"

DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for a file that is broken: a column's name that is not UTF-8 is a ValueError."""

# What DuckDB raises because of the text of a query, not because of the file behind it.
QUERY_ERRORS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConnectionException,
    duckdb.ConversionException,
    duckdb.NotImplementedException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
    duckdb.PermissionException,
    duckdb.SyntaxException,
    duckdb.TransactionException,
)


def open(path: str | os.PathLike[str], *, session: str | None = None) -> Recording:
    """Open a Parquet file or a folder of them; use it as a context manager or close it. Of a folder, `session` chooses
    the parts of one session.

    Raises UsageError if there is nothing to open, and DamagedFileError if a file there is not a recording, or is one of
    a newer tracer.
    """
    return Recording(path, session=session)


class Part(NamedTuple):
    """One Parquet file of a recording, its footer read and found good."""

    name: str
    """Relative to the recording's folder; empty if the recording is the file itself."""
    rows: int
    metadata: dict[str, str]
    may_miss: frozenset[str]
    """Columns that the file lets miss in a row, though none may."""
    lacks: frozenset[str]
    """Columns that the file has not, since it is older than they are: null in all of its rows."""


class Recording:
    """The rows of a recording and what its footers say about them."""

    def __init__(self, path: str | os.PathLike[str], *, session: str | None = None) -> None:
        self.path = Path(path)
        # DuckDB takes names for patterns and can't be told some (a backslash beside a star, bytes that aren't UTF-8). A
        # descriptor's name in /proc means this file alone, and still does once another has taken its place.
        self._root = _open_root(os.fspath(path))
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, self._root)
            parts = [_read_part(self._root, name, self.path) for name in _part_names(self._root, self.path)]
            self._parts = [part for part in parts if session in {None, part.metadata.get("session")}]
            if not self._parts:
                raise UsageError(f"nothing of session {session} is in {self.path}")
            self._partitioned = all(_partition(part.name) for part in self._parts)
            # closed before the descriptor is, whose number may soon mean another file
            self._connection = stack.enter_context(_connect(_spill_folder(stack)))
            self._for_ibis = stack.enter_context(_without_progress(self._connection.cursor()))
            self._asking = threading.Lock()
            self._create_view()
            self._create_losses()
            self._resources = stack.pop_all()
            self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the descriptor and the memory; tables that were handed out as Arrow stay good."""
        self._closed = True
        self._resources.close()

    @property
    def rows(self) -> int:
        """How many calls were recorded."""
        return sum(part.rows for part in self._parts)

    @property
    def parts(self) -> list[Part]:
        """Its files, sorted by name, and those of one name by their numbers."""
        return list(self._parts)

    @property
    def metadata(self) -> dict[str, str]:
        """The footer's keys without their prefix; of a folder, those on which all parts agree."""
        first, *others = (part.metadata for part in self._parts)
        return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}

    @property
    def loss(self) -> Loss | None:
        """What is missing, by cause; of a folder, the sum over its parts. None if no footer says anything about it."""
        total = _sum_losses([losses.parse_totals(part.metadata.get("loss")) for part in self._parts])
        return total | {losses.UNDRAINED: None} if total is not None and self.missing_ends else total

    @property
    def missing_ends(self) -> list[losses.Entry]:
        """Of each session in a folder that a crash ended between two parts, that the rest is missing."""
        return [entry for _, entry in _missing_ends(self._parts)]

    @cached_property
    def losses(self) -> pa.Table:
        """When what is missing was lost, by cause and processor, as `LOSSES_SCHEMA`; of a folder, that of all parts."""
        columns = _loss_columns(self._parts)
        return pa.table([pa.array(columns[f.name], f.type) for f in LOSSES_SCHEMA], schema=LOSSES_SCHEMA)

    @property
    def flaws(self) -> dict[str, str]:
        """What no row may be like, as conditions in SQL, and how an error says it.

        A report looks for it on its way, and raises what `flawed` gives; `arrow` and `batches` look by themselves.
        """
        may_miss = [name for name in SCHEMA.names if any(name in part.may_miss for part in self._parts)]
        negative = {f"{name} < 0": _is_negative(name) for name in NEVER_NEGATIVE}
        return negative | {f"{name} IS NULL": _is_missing(name) for name in may_miss}

    def flawed(self) -> DamagedFileError:
        """The error for a recording of which some rows have flaws."""
        said = ", ".join(f"count(*) FILTER ({condition})" for condition in self.flaws)
        counts = self.sql(f"SELECT {said} FROM {VIEW}").columns
        what = (text for text, found in zip(self.flaws.values(), counts, strict=True) if found[0].as_py())
        return DamagedFileError(f"can't read {self.path}: {next(what)}")

    @cached_property
    def table(self) -> ir.Table:
        """The rows as an Ibis table, run by DuckDB."""
        import ibis  # half a second with pandas behind it: only for those who ask for it

        return ibis.duckdb.from_connection(self._for_ibis).table(VIEW)

    def sql(self, query: str) -> pa.Table:
        """Run DuckDB SQL; the recording is the view `calls`, what is missing from it the table `losses`. Threads take
        turns.

        Raises UsageError if the query is wrong and DamagedFileError if the file can't be read.
        """
        self._require_open()
        with self._asking:
            try:
                relation = self._connection.sql(query)
                table: pa.Table = pa.table({}) if relation is None else relation.to_arrow_table()
            except duckdb.Error as error:
                raise self._explain(error) from error
        return table

    def arrow(self) -> pa.Table:
        """All rows in memory: the columns of `tracer.schema.SCHEMA`, in its types, then `host` and `date` if there."""
        self._require_open()
        tables = [self._read(part) for part in self._parts]
        table: pa.Table = pa.concat_tables(tables).unify_dictionaries()
        return table

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """All rows, at most so many at a time, part after part: the columns of `tracer.schema.SCHEMA`, in its types.

        Memory holds a batch and the pages that it comes from. Raises DamagedFileError where a part can't be read.
        """
        self._require_open()
        for part in self._parts:
            try:
                with (
                    os.fdopen(_open_part(self._root, part.name), "rb") as file,
                    pq.ParquetFile(file, pre_buffer=False) as opened,  # or all of the file would be in memory
                ):
                    for batch in opened.iter_batches(rows, columns=_columns_of(part)):
                        table = _sound(pa.Table.from_batches([batch]))
                        yield from table.replace_schema_metadata(None).combine_chunks().to_batches()
            except DAMAGE as error:
                raise DamagedFileError(f"can't read {self.path / part.name}: {_first_line(error)}") from error

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError(f"the recording {self.path} is closed")

    def _read(self, part: Part) -> pa.Table:
        try:
            with os.fdopen(_open_part(self._root, part.name), "rb") as file:
                table = _sound(pq.ParquetFile(file).read(columns=_columns_of(part)))
        except DAMAGE as error:
            raise DamagedFileError(f"can't read {self.path / part.name}: {_first_line(error)}") from error
        if self._partitioned:
            for key, value in zip(PARTITIONS, _partition(part.name), strict=True):
                table = table.append_column(key, pa.repeat(pa.scalar(value), table.num_rows).dictionary_encode())
        footer = {FOOTER_PREFIX + key: value for key, value in self.metadata.items()}
        return table.replace_schema_metadata(footer)

    def _create_view(self) -> None:
        sources = ", ".join(_quoted(self._source(part.name)) for part in self._parts)
        # Types are given so that a host called 007 or a folder called date=x stays the text that it is.
        hive = "true, hive_types = {'host': VARCHAR, 'date': VARCHAR}" if self._partitioned else "false"
        lacking = frozenset.intersection(*(part.lacks for part in self._parts))
        names = [*SCHEMA.names, *(PARTITIONS if self._partitioned else ())]
        columns = ", ".join(_null(name) if name in lacking else f'"{name}"' for name in names)
        union = "true" if len(self._parts) > 1 else "false"
        query = f"SELECT {columns} FROM read_parquet([{sources}], union_by_name = {union}, hive_partitioning = {hive})"
        try:
            self._connection.execute(f"CREATE VIEW {VIEW} AS {query}")
        except duckdb.Error as error:
            raise self._explain(error) from error

    def _create_losses(self) -> None:
        # Neither from an Arrow table nor with parameters: scanning one and converting the others imports pandas.
        values = _loss_columns(self._parts)
        columns = ", ".join(f"unnest({_list_of(values[name])}::{kind}[]) AS {name}" for name, kind in LOSSES_TYPES)
        times = ", ".join(f"make_timestamptz({name}) AS {name}" for name in LOSSES_TIMES)
        self._connection.execute(f"CREATE TABLE {LOSSES_TABLE} AS SELECT * REPLACE ({times}) FROM (SELECT {columns})")

    def _source(self, name: str) -> str:
        """The pattern that makes DuckDB find this part and no other."""
        root = f"/proc/self/fd/{self._root}"
        if not name:
            return root
        try:
            name.encode()
        except UnicodeEncodeError:
            raise _damaged(self.path, name, "a part's name is not UTF-8") from None
        if "\\" in name and any(c in name for c in GLOB_CHARACTERS):
            raise _damaged(self.path, name, "a part's name has a backslash beside one of *?[")
        return f"{root}/" + "".join(f"[{c}]" if c in GLOB_CHARACTERS else c for c in name)

    def _explain(self, error: duckdb.Error) -> TracerError:
        line = _first_line(error).replace(f"/proc/self/fd/{self._root}", str(self.path))
        if isinstance(error, duckdb.OutOfMemoryException):
            return MachineError(f"not enough memory for this query: {line}", hint="select fewer rows or columns")
        if isinstance(error, QUERY_ERRORS) or self._is_of_the_query(error):
            return UsageError(f"can't run this query: {line}", hint=QUERY_HINT)
        return DamagedFileError(f"can't read {self.path}: {line}")

    def _is_of_the_query(self, error: duckdb.Error) -> bool:
        """Whether an error that says nothing of our files is not about them. DuckDB has one for a pattern without an
        end and for a broken page: then all rows are read, to see if they can be."""
        if f"/proc/self/fd/{self._root}" in str(error):
            return False
        if isinstance(error, duckdb.IOException):
            return True
        try:  # outside of a transaction that the query may have begun
            with self._connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM {VIEW} WHERE hash({VIEW}) IS NULL").fetchall()
        except duckdb.OutOfMemoryException:
            return True
        except duckdb.Error:
            return False
        return True


def _open_root(path: str) -> int:
    try:
        # O_NONBLOCK: opening a pipe must fail here, not wait for its other end
        root = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        hint = hint_for_missing(Path(path))
        raise UsageError(f"no such recording: {path or 'its name is empty'}", hint=hint) from None
    except PermissionError as error:
        hint = "a recording is private to the user who made it: try sudo"
        raise UsageError(f"can't open {path}: {error.strerror}", hint=hint) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"can't open {path}: {getattr(error, 'strerror', None) or error}") from error
    mode = os.fstat(root).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        os.close(root)
        raise UsageError(f"{path} is neither a file nor a folder", hint=NOT_A_RECORDING)
    return root


def _part_names(root: int, path: Path) -> list[str]:
    """The recording's files, sorted: relative to the folder, or one empty name for a single file."""
    if stat.S_ISREG(os.fstat(root).st_mode):
        return [""]
    names = sorted(_walk(root, path), key=_in_order)
    if not names:
        raise UsageError(f"no recording in {path}", hint=hint_for_empty(path))
    return names


def _in_order(name: str) -> tuple[str, str, int]:
    """Parts by their numbers: those of more than 9,999 have more digits."""
    path = PurePath(name)
    found = PART_NUMBER.search(path.stem)
    return str(path.parent), path.stem[: found.start()] if found else path.stem, int(found[1]) if found else 0


def _walk(root: int, path: Path) -> Iterator[str]:
    """The parts' names. A folder that can't be read is an error: what is in there would be missing, and nobody told."""
    top = Path(f"/proc/self/fd/{root}")

    def refuse(error: OSError) -> None:
        where = path / Path(error.filename).relative_to(top)
        hint = "give the folder of recordings"
        raise UsageError(f"{where} can't be searched: {error.strerror}", hint=hint) from error

    for folder, files in walk(top, hidden=False, refused=refuse):
        for name in files:
            if name.endswith(".parquet") and not name.startswith("."):
                yield str(folder / name)


def _open_part(root: int, name: str) -> int:
    """A descriptor of its own, with an offset of its own."""
    return os.open(f"/proc/self/fd/{root}" + (f"/{name}" if name else ""), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _read_part(root: int, name: str, path: Path) -> Part:
    """Read a part's footer and hold it against the schema."""
    try:
        with os.fdopen(_open_part(root, name), "rb") as file:
            footer = pq.read_metadata(file)
            metadata = own_keys(footer.metadata or {})
            lacks = _newer_columns(_checked_version(metadata, path, name)) - {*footer.schema.names}
            _check_columns(footer.schema.to_arrow_schema(), lacks, path, name)
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or "not a Parquet file, or one that was cut off"
        raise _damaged(path, name, reason) from error
    return Part(name, footer.num_rows, metadata, _may_miss(footer.schema), lacks)


def own_keys(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    """Of a footer's keys those that are ours, without their prefix."""
    texts = ((k.decode(errors="backslashreplace"), v.decode(errors="backslashreplace")) for k, v in metadata.items())
    return {key.removeprefix(FOOTER_PREFIX): value for key, value in texts if key.startswith(FOOTER_PREFIX)}


def _checked_version(metadata: dict[str, str], path: Path, name: str) -> int:
    text = metadata.get("schema_version")
    if text is None:
        raise _damaged(path, name, "a Parquet file, but not tracer's (no tracer.schema_version in its footer)")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise _damaged(path, name, f"its schema version is {text[:40]!r}")
    if int(text) > VERSION:
        raise _damaged(path, name, f"its schema version is {int(text)}, the newest known here is {VERSION}", hint=NEWER)
    return int(text)


def _newer_columns(version: int) -> frozenset[str]:
    """Those that came later."""
    return frozenset(column.name for column in COLUMNS if column.since > version)


def _null(name: str) -> str:
    return f'NULL::{SQL_TYPES[SCHEMA.field(name).type]} AS "{name}"'


def _columns_of(part: Part) -> list[str]:
    return [name for name in SCHEMA.names if name not in part.lacks]


def _check_columns(schema: pa.Schema, lacks: frozenset[str], path: Path, name: str) -> None:
    for column in COLUMNS:
        if column.name in lacks:
            continue
        if schema.names.count(column.name) != 1:
            raise _damaged(path, name, f"its column {column.name} is missing or there twice")
        found, wanted = _plain(schema.field(column.name).type), _plain(column.type)
        if found != wanted:
            raise _damaged(path, name, f"its column {column.name} is {found}, not {wanted}")


def _may_miss(found: pq.ParquetSchema) -> frozenset[str]:
    """Columns that must be there in each row, and need not by what the file says of itself: as other tools write."""
    optional = {found.column(index).path for index in range(len(found)) if found.column(index).max_definition_level}
    return frozenset(column.name for column in COLUMNS if not column.nullable and column.name in optional)


def _sound(table: pa.Table) -> pa.Table:
    """The columns of the schema, in its types, of rows without flaws. Raises one of DAMAGE."""
    for column in COLUMNS:
        if column.name not in table.schema.names:
            table = table.append_column(column.name, pa.nulls(table.num_rows, column.type))
    check_rows(table)
    return table.select(SCHEMA.names).cast(SCHEMA)


def check_rows(rows: pa.Table | pa.RecordBatch) -> None:
    """Raises ValueError where values are missing that each row has, or are negative that never are."""
    for column in COLUMNS:
        if not column.nullable and rows.column(column.name).null_count:
            raise ValueError(_is_missing(column.name))
    for name in NEVER_NEGATIVE:
        if (pc.min(rows.column(name)).as_py() or 0) < 0:
            raise ValueError(_is_negative(name))


def _is_missing(name: str) -> str:
    return f"{name} is missing in some rows"


def _is_negative(name: str) -> str:
    return f"{name} is negative in some rows"


def _plain(type_: pa.DataType) -> pa.DataType:
    """A type without how it is stored: a tool that rewrites a recording may drop the dictionaries."""
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _partition(name: str) -> tuple[str, ...]:
    """The host and the date in a part's folders; empty if they aren't just these two."""
    pairs = [folder.split("=", 1) for folder in name.split("/")[:-1] if "=" in folder]
    if tuple(key for key, *_ in pairs) != PARTITIONS:
        return ()
    return tuple(unquote(value) for _, value in pairs)


def _loss_columns(parts: list[Part]) -> dict[str, list[str] | list[int | None]]:
    """The values of `LOSSES_SCHEMA`; times as microseconds. A clock that can't be read gives none."""
    entries = [(part, entry) for part in parts for entry in _entries(part)] + _missing_ends(parts)
    pairs = [(entry, losses.wall_offset_ns(part.metadata.get("clock"))) for part, entry in entries]
    return {
        # a lone surrogate, which JSON can hold, is no text, and a NUL ends one in SQL
        "cause": [entry.cause.encode(errors="backslashreplace").decode().replace("\0", "\\x00") for entry, _ in pairs],
        "cpu": [entry.cpu for entry, _ in pairs],
        "from_time": [_microseconds(entry.from_ns, offset_ns) for entry, offset_ns in pairs],
        "to_time": [_microseconds(entry.to_ns, offset_ns) for entry, offset_ns in pairs],
        "from_ns": [entry.from_ns for entry, _ in pairs],
        "to_ns": [entry.to_ns for entry, _ in pairs],
        "lost": [entry.lost for entry, _ in pairs],
    }


def _missing_ends(parts: list[Part]) -> list[tuple[Part, losses.Entry]]:
    """With a part of the session. A file that is opened by itself is what it is, whatever follows it."""
    sessions: dict[str | None, list[Part]] = {}
    for part in parts:
        if part.name:
            sessions.setdefault(part.metadata.get("session"), []).append(part)
    found = [(mine[-1], losses.missing_end(part.metadata for part in mine)) for mine in sessions.values()]
    return [(part, entry) for part, entry in found if entry is not None]


def _entries(part: Part) -> list[losses.Entry]:
    totals, saved = losses.parse_totals(part.metadata.get("loss")), losses.parse_entries(part.metadata.get("losses"))
    return losses.entries_for(totals, saved)


def _microseconds(boot_ns: int | None, offset_ns: int | None) -> int | None:
    """As the column `time` has it."""
    if boot_ns is None or offset_ns is None:
        return None
    time_us = (boot_ns + offset_ns) // 1000
    return time_us if abs(time_us) <= LAST_US else None


def _sum_losses(losses: list[Loss | None]) -> Loss | None:
    """The sum by cause; a cause that one part knows nothing about is unknown for all of them."""
    if all(loss is None for loss in losses):
        return None
    causes = dict.fromkeys(cause for loss in losses if loss for cause in loss)
    columns = {cause: [(loss or {}).get(cause) for loss in losses] for cause in causes}
    return {cause: None if None in numbers else sum(n or 0 for n in numbers) for cause, numbers in columns.items()}


def _spill_folder(stack: contextlib.ExitStack) -> str:
    """Where DuckDB puts what doesn't fit in memory, until the recording is closed; empty if nowhere.

    Private, and not `.tmp` in the current folder, its own choice.
    """
    try:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tracer-", ignore_cleanup_errors=True))
    except OSError:  # a full or read-only disk: queries that fit in memory must still run
        return ""
    note_unfinished(folder)
    stack.callback(forget_unfinished, folder)
    return folder


def _connect(spill: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "temp_directory": spill,
            "python_enable_replacements": False,  # `FROM path` means a table, never a Python variable of that name
            "autoinstall_known_extensions": False,  # looking at a recording never goes to the network
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return _without_progress(connection)


def _without_progress(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """DuckDB draws its progress on standard output, which is the report's; each cursor has a setting of its own."""
    return connection.execute("SET enable_progress_bar = false")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list_of(values: list[str] | list[int | None]) -> str:
    """A list as SQL has it."""
    return f"[{', '.join(_literal(value) for value in values)}]"


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return _quoted(value) if isinstance(value, str) else str(value)


def _damaged(path: Path, name: str, what: str, hint: str = NOT_A_RECORDING) -> DamagedFileError:
    return DamagedFileError(f"{path / name} is not a recording this tracer can read: {what}", hint=hint)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
