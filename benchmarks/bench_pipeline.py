"""From raw events to rows handed on, and to a closed file; pyarrow alone beside it: see benchmarks/workload.py."""

from __future__ import annotations

from functools import partial
from typing import Any

from counted import HeadlessLoopCounted, TuiLoopCounted
from proc import PROC_CASES
from pyarrow_alone import PLAIN_ZSTD, PyArrowAlone
from suite import Case, main
from workload import MIXES, PIPELINES

SIZES = (2_000, 1_000_000)


def case(name: str, values: int | None = None, **options: Any) -> Case:
    """One of the pipelines."""
    make = partial(PIPELINES[name], **options)
    if "_file" in name:
        return Case(make, values, memory="all")
    counted = TuiLoopCounted if name.startswith("tui") else HeadlessLoopCounted
    return Case(make, values, memory="all threads, the writing of rows left out", counted=partial(counted, **options))


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for name in PIPELINES:
        for pairs in SIZES:
            values = 1 if pairs >= 1_000_000 else None
            found[f"{name}/{pairs}"] = case(name, values, pairs=pairs)
            if name == "headless_parquet_file":  # right beside what it is compared with
                alone = partial(PyArrowAlone, pairs=pairs)
                found[f"pyarrow_alone/{pairs}"] = Case(alone, values, memory="all")
                found[f"pyarrow_alone_fsync/{pairs}"] = Case(partial(alone, sync=True), values, memory="all")
                plain = partial(alone, options=PLAIN_ZSTD)
                found[f"pyarrow_alone_plain_zstd/{pairs}"] = Case(plain, values, memory="all")
    for name in PIPELINES:
        for mix in MIXES:
            found[f"{name}/10000/{mix}"] = case(name, mix=mix, pairs=10_000)
    return found | PROC_CASES


CASES = cases()

if __name__ == "__main__":
    main(__file__, CASES)
