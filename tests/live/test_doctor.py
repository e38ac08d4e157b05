"""`tracer-cli doctor` on a machine that can trace, and on ones that can't."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli

from tracer import diagnosis
from tracer.capture import btf
from tracer.capture.bcc_module import system_folders

pytestmark = pytest.mark.beside_others

CHECKS = ["kernel", "BTF", "privileges", "processes", "bcc", "memlock", "identity", "tracing"]


def checks(text: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(text)["checks"]}


class TestHealthy:
    def test_json(self, cli: Cli) -> None:
        document = json.loads(cli("doctor", "--json").stdout)
        assert document["ok"] is True
        assert [check["name"] for check in document["checks"]] == CHECKS
        assert all(check["ok"] and check["todo"] is None for check in document["checks"])

    def test_text(self, cli: Cli) -> None:
        lines = cli("doctor").stdout.splitlines()
        assert [line.split()[:2] for line in lines] == [["ok", name] for name in CHECKS]
        assert os.uname().release in lines[0]
        assert "64 MiB" in lines[-1]
        assert "(kept in /var/cache/tracer/kernel-program.json)" in lines[-1]


def test_a_kernel_that_does_not_tell_what_rings_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is traced without that."""
    assert diagnosis.identity().seen == "on"
    monkeypatch.setattr(btf, "RING_TRACEPOINTS", (*btf.RING_TRACEPOINTS, "io_uring_no_such"))
    assert "but for what io_uring renames" in diagnosis.identity().seen
    assert diagnosis.ring().ok


class TestUnhealthy:
    def test_without_rights(self, cli: Cli) -> None:
        ended = cli("doctor", "--json", status=2, prefix=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
        found = checks(ended.stdout)
        assert {name for name, check in found.items() if not check["ok"]} == {"privileges", "tracing"}
        assert "CAP_BPF" in found["privileges"]["seen"]
        assert found["privileges"]["todo"] == "run it with sudo"

    def test_without_bcc(self, tracer_cli: Path) -> None:
        folders = [folder / "bcc" for folder in system_folders() if (folder / "bcc").is_dir()]
        hide = " && ".join(f"mount -t tmpfs none {folder}" for folder in folders)
        command = ["unshare", "-m", "sh", "-c", f"{hide} && exec {tracer_cli} doctor"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert "BAD  bcc" in ended.stdout
        assert "apt-get install python3-bpfcc" in ended.stdout
        assert ended.stderr == ""

    def test_without_type_information(self, tracer_cli: Path) -> None:
        command = [
            "unshare",
            "-m",
            "sh",
            "-c",
            f"mount -t tmpfs none /sys/kernel/btf && exec {tracer_cli} doctor --json",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert {name for name, check in checks(ended.stdout).items() if not check["ok"]} == {
            "BTF",
            "identity",
            "tracing",
        }
