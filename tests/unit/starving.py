"""The same calls with and without memory for their texts; how many texts differ then, and how, as JSON.

To be run with `refused_realloc.c` preloaded; its argument is the size of what there is no memory for.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

from tracer import syscalls
from tracer._fast import Engine
from tracer.batch import record_batch
from tracer.capture.generator import blocks
from tracer.live.statistics import LiveStatistics

TEXTS = ["comm", "syscall", "family", "error", "file", "old_file", "file_source"]
EVERYTHING = frozenset(call.name for call in syscalls.TABLE)


def batches(refused_size: int) -> list[list[dict[str, Any]]]:
    """Two batches, the first one with that size refused."""
    refused = ctypes.c_size_t.in_dll(ctypes.CDLL(None), "refused_size")
    rules, names = syscalls.rules("x86_64", EVERYTHING), syscalls.names("x86_64")
    engine = Engine(rules, names, syscalls.FAMILIES, capacity_rows=1 << 14)
    statistics = LiveStatistics([], [])
    found = []
    for block in blocks("MetadataHeavy", 8000, 1000, block_bytes=1 << 20):
        refused.value = 0 if found else refused_size
        engine.feed(block)
        refused.value = 0
        columns = engine.take()
        statistics.consume(columns)
        found.append(record_batch(columns).select(TEXTS).to_pylist())
        columns.release()
    assert statistics.snapshot(None).totals.calls == sum(map(len, found)) > 0
    return found


def main() -> None:
    size = int(sys.argv[1])
    right, starved = batches(0), batches(size)
    unknown, wrong = 0, []
    for wanted, got in zip(right[0], starved[0], strict=True):
        for name in TEXTS:
            if got[name] != wanted[name]:
                missing = got[name] == "" if name in ("comm", "syscall", "family") else got[name] is None
                unknown += missing
                wrong += [] if missing else [(name, wanted[name], got[name])]
    refusals = ctypes.c_size_t.in_dll(ctypes.CDLL(None), "refusals").value
    print(json.dumps({"refusals": refusals, "unknown": unknown, "wrong": wrong[:3], "later": right[1:] == starved[1:]}))


if __name__ == "__main__":
    main()
