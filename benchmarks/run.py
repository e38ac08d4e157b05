"""Run suites of benchmarks and keep what they find: python benchmarks/run.py [NAME ...] [-d FOLDER] [PYPERF OPTIONS].

A name is that of a suite (pipeline, scaling, stages; live as root; all of them by default) or a pattern of benchmarks'
names: `pipeline 'headless_*'`. Each suite leaves `<suite>-<date>-<time>.json` in the folder. Options that are not
known here go to each suite but live: `--fast`, `--rigorous`, `--no-memory`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SUITES = ("pipeline", "scaling", "stages", "live")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="suites, and patterns of benchmarks' names")
    parser.add_argument("-d", "--folder", type=Path, default=HERE.parent / "bench-profiles", help="where results go")
    options, more = parser.parse_known_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    more += [f"--only={name}" for name in options.names if name not in SUITES]
    named = [suite for suite in SUITES if suite in options.names]
    statuses = [
        run(suite, options.folder / f"{suite}-{stamp}.json", more, asked=bool(named)) for suite in named or SUITES
    ]
    return max(statuses)


def run(suite: str, output: Path, more: list[str], *, asked: bool) -> int:
    """Run one suite; its exit status, 0 if it can't be run here and nobody asked for it by name."""
    command = [sys.executable, str(HERE / f"bench_{suite}.py"), "-o", str(output), *more]
    why_not = ""
    if suite == "live":
        quick = ["--quick"] if {"--fast", "--debug-single-value"} & set(more) else []
        as_root = os.environ.get("AS_ROOT", "").split()
        command = [*as_root, sys.executable, str(HERE / "bench_live.py"), "-o", str(output), *quick]
        why_not = "" if as_root or os.geteuid() == 0 else "tracing needs root"
    if why_not:
        print(f"{suite}: left out, {why_not}", file=sys.stderr)
        return int(asked)
    print(f"==== {suite}, into {output}", flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
