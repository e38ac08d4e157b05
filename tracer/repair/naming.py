"""What recordings are called that a crash has left, where several wished for the same name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from tracer.temporary import NUMBER, Leftover, modified

Series = tuple[Path, str | Leftover]
"""The name that was given to a recording, and its session."""


def names_for(left: list[Leftover], session_of: Callable[[Leftover], str | None]) -> dict[Leftover, Path]:
    """A name for each, no two alike: the one that it wished for, or what it would be if `x-2.parquet` had been given.

    What one session left of a recording in parts or slices gets the same number, so that it stays together. The oldest
    gets the name that was given; others get none that anything has. `session_of` is asked where several wished for one
    name: empty if it is not told, None for one of which nothing will come.
    """
    wished = {one: one.wished for one in left}
    if len(set(wished.values())) == len(left):
        return wished
    names, given = dict(wished), set[Path]()
    for group in _together(sorted(left, key=modified), session_of):
        number = next(n for n in count(1) if all(_is_free(one.wished, n, given, wished.values()) for one in group))
        names |= {one: _numbered(one.wished, number) for one in group}
        given |= {names[one] for one in group}
    return names


def _together(left: list[Leftover], session_of: Callable[[Leftover], str | None]) -> list[list[Leftover]]:
    """What is of the same recording."""
    groups: list[tuple[Series, dict[Path, Leftover]]] = []
    for one in left:
        session = session_of(one)
        if session is None:
            continue
        series = (_given(one.wished), session or one)
        mine = (group for other, group in groups if other == series and one.wished not in group)
        group = next(mine, None)
        if group is None:
            groups.append((series, {one.wished: one}))
        else:
            group[one.wished] = one
    return [list(group.values()) for _, group in groups]


def _is_free(wished: Path, number: int, given: set[Path], all_wished: Iterable[Path]) -> bool:
    """Whether nothing has the name. What was there before under the wished one is the caller's to replace or not."""
    name = _numbered(wished, number)
    return name not in given and (number == 1 or (name not in all_wished and not os.path.lexists(name)))


def _given(wished: Path) -> Path:
    """Without the number of a part or slice."""
    return wished.with_name(NUMBER.sub("", wished.stem) + wished.suffix)


def _numbered(wished: Path, number: int) -> Path:
    """The number comes before that of a part or slice."""
    if number == 1:
        return wished
    found = NUMBER.search(wished.stem)
    part = found[0] if found else ""
    return wished.with_name(f"{wished.stem.removesuffix(part)}-{number}{part}{wished.suffix}")
