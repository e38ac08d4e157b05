"""`tracer-cli doctor`: whether this machine can trace, and what to do if not."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from tracer.cli.render import printable
from tracer.diagnosis import CHECKS


@click.command("doctor", short_help="Look whether this machine can trace, and say what to do.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Look at the kernel, BTF, privileges, bcc, the memory limit and the ring. Exit status 2 if something is wrong."""
    findings = [check() for check in CHECKS]
    if as_json:
        click.echo(json.dumps({"ok": all(f.ok for f in findings), "checks": [asdict(f) for f in findings]}, indent=2))
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.name:<10}  {printable(finding.seen)}")
            if finding.todo:
                click.echo(f"     {'':<10}  -> {printable(finding.todo)}")
    return 0 if all(finding.ok for finding in findings) else 2
