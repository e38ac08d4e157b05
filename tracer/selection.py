"""Which syscalls the user asked for: strace's `-e trace=` grammar, and the families of our table.

An expression is a list of values between commas, `!` before it means everything but. A value is a syscall's name (the
kernel's, strace's or the manual page's), `%class` as strace has them, `%family` as our table has them (where the two
are called the same, strace's class is meant), `all`, `none`, or `/regex`, which is searched for in the names. `?`
before a value forgives it for meaning nothing; `@64` behind it changes nothing, for only 64-bit calls are traced.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache

from tracer import syscalls
from tracer.errors import UsageError

DEFAULT_FAMILY = "FS"
"""What is traced if nothing is selected."""

MANUAL_NAMES = {
    "fstatat": "newfstatat",
    "posix_fadvise": "fadvise64",
    "pread": "pread64",
    "prlimit": "prlimit64",
    "pwrite": "pwrite64",
}
"""The manual pages' names, where neither strace nor the kernel has them."""

ALIASES = MANUAL_NAMES | {strace: kernel for kernel, strace in syscalls.STRACE_NAMES.items()}
"""Other names of the table's syscalls, by that other name."""

STRACE_CLASSES = frozenset({"net"}.union(*(call.classes for call in syscalls.TABLE)))
"""Names of strace's classes, without the first `%`. `net` is short for `network`."""

_BARE_CLASSES = frozenset({"desc", "file", "ipc", "memory", "net", "network", "process", "signal"})
"""Classes that strace takes without the `%`, too."""

PATTERN_HINT = "it is Python's re, searched for in the names: '/^p(read|write)'"

KINDS_HINT = "there are names as in syscalls(2), classes (%file, %desc, %network, ...), 'all', and '/regex'"

_QUALIFIER = re.compile(r"(?P<name>[a-z-]+)=")
_PREFIX = re.compile(r"\A(trace|t)=")


@cache
def classes() -> dict[str, frozenset[str]]:
    """The members of every `%name`: strace's classes and our families, by lower-case name without the first `%`."""
    members: dict[str, set[str]] = {name: set() for name in sorted(STRACE_CLASSES)}
    for call in syscalls.TABLE:
        for name in call.classes:
            members[name].add(call.name)
        if call.family.lower() not in STRACE_CLASSES:
            members.setdefault(call.family.lower(), set()).add(call.name)
    members["net"] = members["network"]
    return {name: frozenset(calls) for name, calls in members.items()}


def parse(expression: list[str] | None) -> frozenset[str]:
    """The syscalls, by kernel name, that any of the expressions selects; the FS family if there are no expressions.

    Raises UsageError for a name, a class or a regular expression that means nothing, and if nothing at all is selected.
    """
    if not expression:
        return classes()[DEFAULT_FAMILY.lower()]
    selected = frozenset[str]().union(*(_expression(text) for text in expression))
    if not selected:
        raise UsageError(f"{', '.join(map(repr, expression))} selects no syscalls")
    return selected


def _expression(text: str) -> frozenset[str]:
    text = _PREFIX.sub("", text, count=1)
    _refuse_qualifier(text)
    negated = text.startswith("!")
    values = text.removeprefix("!").split(",")
    if negated and not any(values):
        raise UsageError(f"nothing is behind the '!' of {text!r}", hint="it means everything but: '!read,write'")
    selected = frozenset[str]().union(*(_value(value) for value in values if value))
    return _all() - selected if negated else selected


def _refuse_qualifier(text: str) -> None:
    """strace's `-e` takes more than syscalls (`signal=`, `status=`, `inject=`); we don't."""
    if qualifier := _QUALIFIER.match(text):
        raise UsageError(
            f"can't select by {qualifier['name']!r}: {text!r}",
            hint="only syscalls can be selected: -e trace=NAMES",
        )


def _all() -> frozenset[str]:
    return frozenset(call.name for call in syscalls.TABLE)


def _value(value: str) -> frozenset[str]:
    forgiving = value.startswith("?")
    try:
        return _named(_without_personality(value.lstrip("?")))
    except UsageError:
        if forgiving:
            return frozenset()
        raise


def _without_personality(value: str) -> str:
    name, at, personality = value.rpartition("@")
    if not at or value.startswith("/"):
        return value
    if personality != "64":
        raise UsageError(f"can't select {value!r}: only 64-bit calls are traced", hint=f"write {name!r}")
    return name


def _named(value: str) -> frozenset[str]:
    if value.startswith("/"):
        return _matching(value[1:])
    if value.startswith("%") or value in _BARE_CLASSES:
        return _class(value)
    if value in ("all", "none"):
        return _all() if value == "all" else frozenset()
    if value.startswith("!"):
        raise UsageError(f"misplaced '!' in {value!r}", hint="it stands before a whole list: '!read,write'")
    name = ALIASES.get(value, value)
    if name not in _all():
        raise _unknown("syscall", value, _spellings())
    return frozenset({name})


def _matching(pattern: str) -> frozenset[str]:
    try:
        found = re.compile(pattern).search
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a regular expression: {error}", hint=PATTERN_HINT) from error
    return frozenset(name for name in _all() if found(name) or found(syscalls.strace_name(name)))


def _class(value: str) -> frozenset[str]:
    members = classes().get(value.removeprefix("%").lower())
    if members is None:
        raise _unknown("class", value, (f"%{name}" for name in classes()))
    return members


def _spellings() -> Iterable[str]:
    return (*sorted(_all()), *ALIASES, "all", *(f"%{name}" for name in classes()))


def _unknown(what: str, value: str, known: Iterable[str]) -> UsageError:
    nearest = difflib.get_close_matches(value.lower(), known, n=1)
    return UsageError(f"unknown {what} {value!r}", hint=f"did you mean {nearest[0]!r}?" if nearest else KINDS_HINT)
