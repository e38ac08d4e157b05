"""Two processes share a table until one of them ends that, for which there is no memory; what both know then, as JSON.

To be run with `refused_calloc.c` preloaded; its argument says how the sharing ends.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

import wire

from tracer import syscalls
from tracer._fast import Engine

NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
RULES = syscalls.rules("x86_64", frozenset(NUMBERS))
TABLE_BYTES = 272
"""Of a table without its entries (struct Table, fdcache.pxd)."""

PARENT: dict[str, Any] = {"tgid": 100, "tid": 100, "time_ns": 10}
CHILD = 200
CLONE_FILES = 0x400
WAYS: dict[str, list[wire.AnyRecord]] = {
    "exec": [wire.Exec(old_tid=100, comm=b"new", **PARENT)],
    "unshare": [
        wire.Enter(syscall=NUMBERS["unshare"], args=(CLONE_FILES,), **PARENT),
        wire.Exit(syscall=NUMBERS["unshare"], ret=0, **PARENT),
    ],
    "close_range": [
        wire.Enter(syscall=NUMBERS["close_range"], args=(3, 3, 2), **PARENT),
        wire.Exit(syscall=NUMBERS["close_range"], ret=0, **PARENT),
    ],
}


def feed(engine: Engine, *records: wire.AnyRecord) -> None:
    engine.feed(b"".join(map(wire.encode, records)))


def main() -> None:
    allocator = ctypes.CDLL(None)
    refused = ctypes.c_size_t.in_dll(allocator, "refused_size")
    engine = Engine(RULES, syscalls.names("x86_64"), syscalls.FAMILIES)
    names = engine.pairer.fd_cache.name
    shared = wire.Name(fd=3, name=wire.NameText(b"/shared"), **PARENT)
    feed(engine, shared, wire.Fork(child_tgid=CHILD, child_tid=CHILD, clone_flags=CLONE_FILES, **PARENT))
    refused.value = TABLE_BYTES
    feed(engine, *WAYS[sys.argv[1]])
    refused.value = 0
    feed(engine, wire.Name(fd=4, name=wire.NameText(b"/own"), **PARENT))
    found = {
        "refusals": ctypes.c_size_t.in_dll(allocator, "refusals").value,
        "own": [str(names(100, fd)) for fd in (3, 4)],
        "sharer": [str(names(CHILD, fd)) for fd in (3, 4)],
        "forgotten": engine.counters()["forgotten_processes"],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
