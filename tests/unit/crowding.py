"""More files than statistics have room for the names of, and no memory while they make room; what they hold, as JSON.

To be run with `refused_malloc.c` preloaded.
"""

from __future__ import annotations

import ctypes
import json

from tracer import syscalls
from tracer._fast import Engine
from tracer._fast.statistics import Statistics
from tracer.capture.generator import blocks
from tracer.live.statistics import snapshot

TEXT_BYTES = 1 << 16
"""Some thousand names; what a batch of a thousand rows needs besides is less than half of it."""


def main() -> None:
    refused = ctypes.c_size_t.in_dll(ctypes.CDLL(None), "refused_from")
    everything = frozenset(call.name for call in syscalls.TABLE)
    engine = Engine(syscalls.rules("x86_64", everything), syscalls.names("x86_64"), syscalls.FAMILIES)
    statistics = Statistics([], [], max_text=TEXT_BYTES)
    rows = 0
    for block in blocks("MetadataHeavy", 20_000, 10, block_bytes=200_000):
        engine.feed(block)
        columns = engine.take()
        refused.value = TEXT_BYTES // 2
        statistics.consume(columns)
        refused.value = 0
        rows += columns.rows
        columns.release()
    files = snapshot(statistics).files
    counted = sum(figures.calls for figures in (*files.rows, files.other, files.none))
    print(json.dumps({"rows": rows, "counted": counted, "folded": files.other_keys}))


if __name__ == "__main__":
    main()
