"""Reads what `strace -f -qq -y -s 65535 -xx -X raw -o FILE` writes.

With `-xx` every text and every name behind a descriptor is written in hex, so quotes, brackets and commas can only be
strace's own. Calls whose line another thread's broke off are put together again; they come in the order of their begin.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

RESTARTS = {"ERESTARTSYS": -512, "ERESTARTNOINTR": -513, "ERESTARTNOHAND": -514, "ERESTART_RESTARTBLOCK": -516}
"""What the kernel really returned where strace prints a question mark and one of these names (linux/errno.h)."""

NUMBERED = {451: "cachestat", 452: "fchmodat2", 462: "mseal", 463: "setxattrat", 464: "getxattrat", 465: "listxattrat"}
"""Newer syscalls that an older strace prints as `syscall_0x1c3`: the same number on every architecture."""

_LINE = re.compile(r"(\d+) +(.*)\Z", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (?:\w+|\?{3,4}) resumed>(.*)\Z", re.DOTALL)
_BEGUN = re.compile(r"(\w+)\(")
_BROKEN_OFF = re.compile(r" ?<(?:unfinished|pid changed to \d+) \.\.\.>\Z")
# A thread that was killed where strace stopped it before a call: the call is skipped (kernel/entry/common.c,
# syscall_trace_enter), and its number was not read.
_KILLED_BEFORE = re.compile(r"\?{3,4}\( ?<unfinished \.\.\.>\Z")
_SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
_TOKEN = re.compile(r'"[^"]*"|/\*.*?\*/|[\[\](){},]')
_RESULT = re.compile(r"\s*= (\?|-?0x[0-9a-f]+|-?\d+)(.*)\Z", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?\Z')
_DESCRIPTOR = re.compile(r"(-?\d+)(?:<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?)?")


class LogError(ValueError):
    """A line that is not what strace is known to write."""


class Text(NamedTuple):
    """A text argument: its bytes, and whether strace cut it (paths beyond PATH_MAX)."""

    raw: bytes
    cut: bool


class Descriptor(NamedTuple):
    """A descriptor argument or result; `name` as readlink gives it, None where strace knew none."""

    number: int
    name: bytes | None


@dataclass
class Call:
    """One call. `ret` is the kernel's own value, None if the call never came back; `line` counts from 1."""

    tid: int
    line: int
    name: str
    args: list[str] = field(default_factory=list)
    ret: int | None = None
    result: str = ""

    def text(self, index: int) -> Text | None:
        """The text behind an argument; None for a null or unreadable pointer, or an argument that is not there."""
        return parse_text(self.args[index]) if index < len(self.args) else None

    def descriptor(self, index: int) -> Descriptor | None:
        return parse_descriptor(self.args[index]) if index < len(self.args) else None

    def is_null(self, index: int) -> bool:
        return index < len(self.args) and self.args[index] == "NULL"

    def flags(self, index: int) -> int:
        """A flags argument as `-X raw` writes it: numbers with `|` between them; 0 where there is none."""
        return parse_flags(self.args[index]) if index < len(self.args) else 0

    @property
    def returned(self) -> Descriptor | None:
        """The descriptor that the call returned."""
        return parse_descriptor(self.result) if self.ret is not None and self.ret >= 0 else None


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def parse_text(arg: str) -> Text | None:
    match = _TEXT.match(arg)
    return Text(unhex(match[1]), match[2] is not None) if match else None


def parse_descriptor(arg: str) -> Descriptor | None:
    match = _DESCRIPTOR.match(arg)
    if match is None:
        return None
    if match[2] is None:
        return Descriptor(int(match[1]), None)
    return Descriptor(int(match[1]), unhex(match[2]) + (b" (deleted)" if match[3] else b""))


def parse_number(text: str) -> int:
    """A number in C's notation: hex, octal with a leading 0, else decimal."""
    digits = text.lstrip("-")
    base = 16 if digits.startswith("0x") else 8 if len(digits) > 1 and digits.startswith("0") else 10
    return int(text, base)


def parse_flags(arg: str) -> int:
    parts = (part for part in arg.split("|") if part)
    return sum(parse_number(part) for part in parts) if re.fullmatch(r"[|0-9a-fx]+", arg) else 0


def split_arguments(text: str) -> tuple[list[str], str]:
    """The arguments of `text`, which begins behind the opening parenthesis, and what follows the closing one."""
    args: list[str] = []
    depth, start = 0, 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[({":
            depth += 1
        elif mark == ")" and depth == 0:
            last = text[start : token.start()].strip()
            return ([*args, last] if last or args else []), text[token.end() :]
        elif mark in "])}":
            depth -= 1
        elif mark == "," and depth == 0:
            args.append(text[start : token.start()].strip())
            start = token.end()
    raise LogError(f"no end of the arguments: {text[:200]}")


def parse_result(text: str) -> tuple[int | None, str]:
    """The raw return value and the result as written; `= ?` without a restart code is a call that never came back."""
    match = _RESULT.match(text)
    if match is None:
        raise LogError(f"no result: {text[:200]}")
    value, rest = match[1], match[2].strip()
    word = rest.partition(" ")[0]
    if value == "?":
        return RESTARTS.get(word), ""
    if value == "-1" and (word.startswith("E") or word == "(errno"):
        number = getattr(errno, word, None) or int(re.findall(r"\d+", rest)[0])
        return -number, ""
    number = parse_number(value)
    return (number - (1 << 64) if number >= 1 << 63 else number), value + match[2]


def finish(call: Call, text: str) -> None:
    """Fills a call from the whole of its text behind the name and the parenthesis."""
    call.args, rest = split_arguments(text)
    call.ret, call.result = parse_result(rest)


def finish_broken_off(call: Call, text: str) -> None:
    """A call that has no end in the log keeps the arguments that were printed."""
    call.args = split_arguments(f"{text.rstrip(', ')})")[0]


class _Threads:
    """Puts broken lines together: what each thread has begun and not yet ended."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.begun: dict[int, tuple[Call, str]] = {}

    def take(self, line: int, tid: int, text: str) -> None:
        if superseded := _SUPERSEDED.match(text):
            self._supersede(tid, int(superseded[1]))
        elif resumed := _RESUMED.match(text):
            self._resume(tid, resumed[1])
        elif begun := _BEGUN.match(text):
            self._begin(Call(tid, line, NUMBERED.get(_number(begun[1]), begun[1])), text[begun.end() :])
        elif not (text.startswith(("---", "+++")) or _KILLED_BEFORE.match(text)):
            raise LogError(f"line {line}: {text[:200]}")

    def end(self) -> list[Call]:
        for call, text in self.begun.values():
            finish_broken_off(call, text)
        return self.calls

    def _begin(self, call: Call, text: str) -> None:
        self._drop(call.tid)
        self.calls.append(call)
        broken = _BROKEN_OFF.search(text)
        if broken:
            self.begun[call.tid] = call, text[: broken.start()]
        else:
            finish(call, text)

    def _resume(self, tid: int, text: str) -> None:
        call, begin = self.begun.pop(tid, (None, ""))
        # Without a beginning it is the rest of a call during which the thread was born: its first return from clone.
        if call is not None:
            finish(call, begin + text)

    def _supersede(self, leader: int, tid: int) -> None:
        """The thread that ran execve goes on under its leader's number; its call keeps the number it began with."""
        self._drop(leader)
        if tid in self.begun:
            self.begun[leader] = self.begun.pop(tid)

    def _drop(self, tid: int) -> None:
        call, text = self.begun.pop(tid, (None, ""))
        if call is not None:
            finish_broken_off(call, text)


def _number(name: str) -> int:
    return int(name.removeprefix("syscall_"), 16) if name.startswith("syscall_0x") else -1


def _lines(path: Path) -> Iterator[tuple[int, int, str]]:
    with path.open(encoding="ascii", newline="\n") as log:
        for number, line in enumerate(log, 1):
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                raise LogError(f"line {number}: {line[:200]}")
            yield number, int(match[1]), match[2]


def read_log(path: Path) -> list[Call]:
    """Every call in the log, in the order in which they began.

    Raises:
        LogError: a line is not what strace is known to write.
    """
    threads = _Threads()
    for number, tid, text in _lines(path):
        threads.take(number, tid, text)
    return threads.end()
