"""Holds a recording against what strace saw of the same run: thread by thread, call by call, in order.

Every call and every return value must agree. No path may be wrong; a null where strace has a name is unknown, and fewer
than one in a thousand may be. It knows nothing of the tracer but the columns `seq`, `tid`, `syscall`, `ret`, `file` and
`old_file`.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from strace_files import (
    DESC,
    FILE,
    NAME_BYTES,
    Claim,
    file_claim,
    kernel_name,
    normal,
    old_file_claim,
    working_directories,
)
from strace_log import Call

UNKNOWN_BELOW = 0.001
SHOWN = 12
"""How many differences of a kind a report spells out."""


class Row(NamedTuple):
    """The columns of a row that the oracle looks at."""

    seq: int
    tid: int
    syscall: str
    ret: int | None
    file: str | None = None
    old_file: str | None = None
    comm: str = ""


class Expected(NamedTuple):
    """What strace says about a call. No claim about a file is None; `ret` is None if the call never came back."""

    tid: int
    line: int
    syscall: str
    ret: int | None
    file: Claim | None
    old_file: Claim | None

    def __str__(self) -> str:
        return f"tid {self.tid} {self.syscall} = {'?' if self.ret is None else self.ret} (log line {self.line})"


@dataclass
class Report:
    """What was compared and what differs. `calls`, `rets` and `paths` count agreement and difference alike."""

    calls: int = 0
    rets: int = 0
    paths: int = 0
    unclaimed: int = 0
    never_returned: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    wrong_rets: list[str] = field(default_factory=list)
    wrong_paths: list[str] = field(default_factory=list)
    unknown_paths: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = (
            f"{self.calls} calls: {len(self.missing)} missing, {len(self.extra)} extra; "
            f"{self.rets} return values: {len(self.wrong_rets)} wrong; "
            f"{self.paths} paths: {len(self.wrong_paths)} wrong, {len(self.unknown_paths)} unknown; "
            f"{self.unclaimed} names strace could not tell, {self.never_returned} calls that never came back"
        )
        kinds = ("missing", "extra", "wrong_rets", "wrong_paths", "unknown_paths")
        return "\n".join([head, *(line for kind in kinds for line in self._differences(kind))])

    def _differences(self, kind: str) -> Iterable[str]:
        lines: list[str] = getattr(self, kind)
        title = kind.replace("_", " ")
        yield from (f"  {title}: {line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  {title}: and {len(lines) - SHOWN} more"

    def check(self) -> None:
        """Raises AssertionError unless all calls and return values agree, no path is wrong and hardly one unknown."""
        too_many = bool(self.unknown_paths) and len(self.unknown_paths) >= UNKNOWN_BELOW * self.paths
        if self.missing or self.extra or self.wrong_rets or self.wrong_paths or too_many:
            raise AssertionError(str(self))


def read_rows(path: Path) -> list[Row]:
    """The rows of a recording, in the order of `seq`."""
    table = pq.read_table(path, columns=list(Row._fields)).sort_by("seq")
    return [Row(*values) for values in zip(*(table[name].to_pylist() for name in Row._fields), strict=True)]


def compare(calls: Sequence[Call], rows: Iterable[Row], cwd: str, names: frozenset[str] = FILE | DESC) -> Report:
    """Compares a log with a recording of the same run.

    `cwd` is the directory in which the program began. `names` are the syscalls that must be there; one that the
    recording holds besides is compared just as strictly. Left out are the rows of threads that strace did not watch
    (strace itself), and what its child did before it became the program.
    """
    if not calls:
        raise AssertionError("strace's output is empty")
    by_thread = _rows_by_thread(rows, calls)
    wanted = names | {row.syscall for thread in by_thread.values() for row in thread}
    expected = _expected_by_thread(calls, cwd, wanted)
    report = Report()
    for tid in {call.tid for call in calls}:
        _align(expected[tid], by_thread[tid], report)
    return report


def _rows_by_thread(rows: Iterable[Row], calls: Sequence[Call]) -> dict[int, list[Row]]:
    watched = {call.tid for call in calls}
    by_thread: dict[int, list[Row]] = defaultdict(list)
    for row in sorted(rows):
        if row.tid in watched:
            by_thread[row.tid].append(row)
    first = by_thread[calls[0].tid]
    selected = any(row.syscall == "execve" for row in first)
    begin = next((at for at, row in enumerate(first) if _begins_program(row, selected)), 0)
    by_thread[calls[0].tid] = first[begin:]
    return by_thread


def _begins_program(row: Row, execve_selected: bool) -> bool:
    """The program's execve, or its first row where execve is not recorded."""
    return row.syscall == "execve" if execve_selected else row.comm != "strace"


def _expected_by_thread(calls: Sequence[Call], cwd: str, names: Iterable[str]) -> dict[int, list[Expected]]:
    by_thread: dict[int, list[Expected]] = defaultdict(list)
    for call, directory in zip(calls, working_directories(calls, cwd.encode()), strict=True):
        name = kernel_name(call)
        if name in names:
            file, old_file = file_claim(call, directory), old_file_claim(call, directory)
            by_thread[call.tid].append(Expected(call.tid, call.line, name, call.ret, file, old_file))
    return by_thread


def _align(expected: list[Expected], rows: list[Row], report: Report) -> None:
    """Pairs a thread's calls with its rows while the names agree, and by the longest common parts from there on."""
    at = 0
    for done, call in enumerate(expected):
        if at < len(rows) and rows[at].syscall == call.syscall:
            _compare_call(call, rows[at], report)
            at += 1
        elif call.ret is None:
            report.never_returned += 1
        else:
            _align_rest(expected[done:], rows[at:], report)
            return
    report.extra += [_describe(row) for row in rows[at:]]


def _align_rest(expected: list[Expected], rows: list[Row], report: Report) -> None:
    wanted = [(call.syscall, call.ret) for call in expected]
    found = [(row.syscall, row.ret) for row in rows]
    for kind, begin, end, first, last in difflib.SequenceMatcher(None, wanted, found, autojunk=False).get_opcodes():
        if kind == "equal":
            for call, row in zip(expected[begin:end], rows[first:last], strict=True):
                _compare_call(call, row, report)
            continue
        lost = [call for call in expected[begin:end] if call.ret is not None]
        report.calls += len(lost)
        report.missing += [str(call) for call in lost]
        report.extra += [_describe(row) for row in rows[first:last]]


def _describe(row: Row) -> str:
    return f"tid {row.tid} {row.syscall} = {row.ret} {row.file!r} (row {row.seq})"


def _compare_call(call: Expected, row: Row, report: Report) -> None:
    if call.ret is None:
        # The thread died in it. The kernel may have finished the call all the same, unseen by strace.
        report.never_returned += 1
        return
    report.calls += 1
    report.rets += 1
    if row.ret != call.ret:
        report.wrong_rets.append(f"{call}: row {row.seq} says {row.ret}")
    for column, claim in (("file", call.file), ("old_file", call.old_file)):
        _compare_path(call, row, column, claim, report)


def _compare_path(call: Expected, row: Row, column: str, claim: Claim | None, report: Report) -> None:
    found: str | None = getattr(row, column)
    if claim is None:
        report.unclaimed += 1
        return
    if claim.name is None and found is None:
        return
    report.paths += 1
    if not _agrees(claim, found):
        differing = report.unknown_paths if found is None else report.wrong_paths
        differing.append(f"{call}: {column} is {_shorten(found)}, not {_shorten(claim.name)} (row {row.seq})")


def _agrees(claim: Claim, found: str | None) -> bool:
    if claim.name is None or found is None:
        return claim.name is found
    found = normal(found)
    if not claim.cut or found == claim.name:
        return found == claim.name
    common = min(len(claim.name), len(found))
    return common >= NAME_BYTES // 2 and claim.name[:common] == found[:common]


def _shorten(name: str | None) -> str:
    text = repr(name)
    return text if len(text) <= 240 else f"{text[:120]} ... {text[-100:]} ({len(text)} characters)"
