"""`tracer-cli doctor`: whether this machine can trace, and what to do if not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from tracer.cli.render import printable, write_out
from tracer.diagnosis import CHECKS, Finding


@click.command("doctor", short_help="Look whether this machine can trace, and say what to do.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Look at the kernel, BTF, privileges, namespaces, bcc, the memory limit, identities and the ring. Exit status 2 if
    something is wrong."""
    findings = [check() for check in CHECKS]
    if as_json:
        said = {"ok": all(f.ok for f in findings), "checks": [asdict(f) for f in findings]}
        write_out(json.dumps(said, indent=2) + "\n")
    else:
        write_out("".join(line for finding in findings for line in lines(finding)))
    return 0 if all(finding.ok for finding in findings) else 2


def lines(finding: Finding) -> Iterator[str]:
    """What was seen, and what to do."""
    yield f"{'ok ' if finding.ok else 'BAD'}  {finding.name:<10}  {printable(finding.seen)}\n"
    if finding.todo:
        yield f"     {'':<10}  -> {printable(finding.todo)}\n"
