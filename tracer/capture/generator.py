"""Seeded streams of raw events: what the kernel program would send for a made-up load, the same bytes every time.

Tests, fuzzing and benchmarks start from these. Threads take turns; each is a process of its own, named `worker-<i>` by
a record at the stream's start. A call's exit follows its enter at once.

Names of descriptors come as from the kernel program: before the first call that works on a descriptor, again after it
was closed, and with the exit of a call that returns one. Unlike there, a rename does not send them all again: the files
that are renamed here are none that is open.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tracer import syscalls
from tracer._fast.generator import MIN_BLOCK_BYTES, Generator

Block = npt.NDArray[np.uint8]

MIXES: Final[dict[str, dict[str, int]]] = {
    "ReadHeavy": {"read": 30, "write": 30, "openat": 10, "close": 10, "newfstatat": 10, "sync": 10},
    "WriteHeavy": {"write": 40, "fsync": 20, "read": 15, "newfstatat": 15, "openat": 5, "close": 5},
    "MetadataHeavy": {
        "newfstatat": 15,
        "faccessat": 15,
        "close": 13,
        "openat": 12,
        "mkdirat": 10,
        "unlinkat": 10,
        "renameat2": 8,
        "linkat": 7,
        "read": 5,
        "write": 5,
    },
    "DiverseAllTypes": {
        "openat": 1,
        "read": 1,
        "sync": 1,
        "newfstatat": 1,
        "renameat2": 1,
        "fcntl": 1,
        "dup3": 1,
        "open_by_handle_at": 1,
        "close": 1,
    },
}
"""How often what is called, by mix. The names are those that every machine has (openat, not open)."""

READ_BYTES: Final = 128
"""What every read asks for and gets."""

WRITE_BYTES: Final = 256
"""What every write asks for and gets."""

_AT_FDCWD = -100
_POINTER = 0x7FFF_F000_0000  # where paths and buffers would lie; nothing reads there
_O_RDWR_CREAT_CLOEXEC = 0x80042
_O_CLOEXEC = 0x80000
_O_NONBLOCK = 0x800
_F_SETFL = 4
_ENDLESS = (1 << 63) - 1
_OPENED = 164  # the first descriptor that the generator doesn't use for one thread
_DESCRIPTOR = 0  # stands for the descriptor that the generator fills in


class _Call(NamedTuple):
    """What `Generator` is told of a call."""

    weight: int
    number: int
    args: tuple[int, ...]
    fd_arg: int
    effect: int
    paths: int
    ret: int
    prefixes: tuple[bytes, ...]


class _Shape(NamedTuple):
    """What the syscall table doesn't say of a call."""

    args: tuple[int, ...]
    ret: int = 0
    prefixes: tuple[bytes, ...] = ()


_SHAPES: Final[dict[str, _Shape]] = {
    "read": _Shape((_DESCRIPTOR, _POINTER, READ_BYTES), READ_BYTES),
    "write": _Shape((_DESCRIPTOR, _POINTER, WRITE_BYTES), WRITE_BYTES),
    "openat": _Shape((_AT_FDCWD, _POINTER, _O_RDWR_CREAT_CLOEXEC, 0o644), prefixes=(b"open",)),
    "close": _Shape((_DESCRIPTOR,)),
    "newfstatat": _Shape((_AT_FDCWD, _POINTER, _POINTER, 0), prefixes=(b"stat",)),
    "sync": _Shape(()),
    "fsync": _Shape((_DESCRIPTOR,)),
    "faccessat": _Shape((_AT_FDCWD, _POINTER, 0), prefixes=(b"access",)),
    "mkdirat": _Shape((_AT_FDCWD, _POINTER, 0o755), prefixes=(b"mkdir",)),
    "unlinkat": _Shape((_AT_FDCWD, _POINTER, 0), prefixes=(b"unlink",)),
    "renameat2": _Shape((_AT_FDCWD, _POINTER, _AT_FDCWD, _POINTER, 0), prefixes=(b"rename", b"renamed")),
    "linkat": _Shape((_AT_FDCWD, _POINTER, _AT_FDCWD, _POINTER, 0), prefixes=(b"link", b"linked")),
    "fcntl": _Shape((_DESCRIPTOR, _F_SETFL, _O_NONBLOCK)),
    "dup3": _Shape((_DESCRIPTOR, _DESCRIPTOR, _O_CLOEXEC)),
    "open_by_handle_at": _Shape((_AT_FDCWD, _POINTER, _O_CLOEXEC), prefixes=(b"handle",)),
}


def blocks(
    mix: str,
    pairs: int,
    threads: int = 10,
    seed: int = 1,
    *,
    distinct_paths: int | None = None,
    names: bool = True,
    machine: str | None = None,
    block_bytes: int = 1 << 20,
) -> Iterator[Block]:
    """The stream of `pairs` calls in blocks of whole records, `block_bytes` at most each (512 or more are meant).

    `distinct_paths` is how many different path texts there are at most (else each path event has one of its own),
    `names` whether names of descriptors are told, `machine` whose syscall numbers are used (this one's by default).

    Raises ValueError, before the first block is asked for, if the mix or the machine is unknown or a number out of
    range.
    """
    if block_bytes < MIN_BLOCK_BYTES:
        raise ValueError(f"block_bytes: {MIN_BLOCK_BYTES} or more are meant, not {block_bytes}")
    calls = _calls(mix, machine or platform.machine())
    return _filled(Generator(calls, pairs, threads, seed, distinct_paths=distinct_paths, names=names), block_bytes)


def stream(
    mix: str,
    pairs: int,
    threads: int = 10,
    seed: int = 1,
    *,
    distinct_paths: int | None = None,
    names: bool = True,
    machine: str | None = None,
) -> bytes:
    """All of the stream at once: for short ones (some 110 bytes a call). Arguments and errors are those of `blocks`."""
    parts = blocks(mix, pairs, threads, seed, distinct_paths=distinct_paths, names=names, machine=machine)
    return b"".join(part.tobytes() for part in parts)


def pieces(
    mix: str | Mapping[str, int],
    pairs: int,
    threads: int = 10,
    seed: int = 1,
    *,
    distinct_paths: int | None = None,
    names: bool = True,
    machine: str | None = None,
    pid: int | None = None,
    block_bytes: int = 1 << 20,
) -> Iterator[list[Block]]:
    """A stream without an end in pieces of `pairs` calls, each a list of blocks as `blocks` has them. Joined, they are
    the stream that `blocks` begins. The memory of a piece is used again for the next one. A mix may also be told
    by its weights.

    With `pid`, all calls are those of the only thread of that process, on its descriptors 64 to 163, which stay open:
    what it opens and closes is always descriptor 164.

    Raises ValueError, before the first piece is asked for, as `blocks` does.
    """
    if block_bytes < MIN_BLOCK_BYTES or pairs < 1 or (pid is not None and threads != 1):
        raise ValueError(f"{MIN_BLOCK_BYTES} block_bytes, a pair, and one thread of a pid are the least that is meant")
    calls = _calls(mix, machine or platform.machine())
    first: dict[str, int] = {}
    if pid is not None:
        calls = [_on_one_descriptor(call) for call in calls]
        first = {"first_pid": pid, "first_tid": pid}
    generator = Generator(calls, _ENDLESS, threads, seed, distinct_paths=distinct_paths, names=names, **first)
    return _cut(generator, pairs, block_bytes)


def _on_one_descriptor(call: _Call) -> _Call:
    """A call that opens or closes a descriptor, always the same one; others as they are."""
    if call.effect == syscalls.Effect.CLOSE:
        return call._replace(fd_arg=-1, args=(_OPENED,))
    if call.effect in {syscalls.Effect.OPEN, syscalls.Effect.NEW_FD}:
        return call._replace(effect=syscalls.Effect.NONE, ret=_OPENED)
    return call


def _cut(generator: Generator, pairs: int, block_bytes: int) -> Iterator[list[Block]]:
    memory: list[Block] = []
    while True:
        piece: list[Block] = []
        end = generator.pair + pairs
        while generator.pair < end:
            if len(piece) == len(memory):
                memory.append(np.empty(block_bytes, np.uint8))
            block = memory[len(piece)]
            piece.append(block[: generator.fill(block, pairs=end - generator.pair)])
        yield piece


def _filled(generator: Generator, block_bytes: int) -> Iterator[Block]:
    while True:
        block = np.empty(block_bytes, np.uint8)
        used = generator.fill(block)
        if not used:
            return
        yield block[:used]


def _calls(mix: str | Mapping[str, int], machine: str) -> list[_Call]:
    if isinstance(mix, str):
        if mix not in MIXES:
            raise ValueError(f"no mix is called {mix!r}: one of {', '.join(MIXES)} is meant")
        mix = MIXES[mix]
    numbers = {call.name: number for number, call in syscalls.machine_numbers(machine).items()}
    return [_call(name, weight, numbers[name]) for name, weight in mix.items()]


def _call(name: str, weight: int, number: int) -> _Call:
    rule, shape = syscalls.by_name(name), _SHAPES[name]
    return _Call(
        weight=weight,
        number=number,
        args=shape.args,
        fd_arg=rule.fd_arg,
        effect=rule.effect,
        paths=sum(index >= 0 for index in (rule.path_arg, rule.path2_arg)),
        ret=shape.ret,
        prefixes=shape.prefixes,
    )
