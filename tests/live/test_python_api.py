"""`tracer.trace()`: record batches while the command runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import until

import tracer
from tracer import schema, session
from tracer.capture.target import CommandError
from tracer.errors import TracerError, UsageError

pytestmark = pytest.mark.beside_others


def loaded_programs() -> int:
    """How many BPF programs this process holds."""
    names = [os.readlink(f"/proc/self/fd/{fd}") if os.path.lexists(f"/proc/self/fd/{fd}") else "" for fd in range(256)]
    return sum("bpf" in name for name in names)


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


class TestBatches:
    def test_are_of_the_schema_and_whole(self) -> None:
        batches = list(tracer.trace(["cat", "/etc/passwd"], trace="%file,%desc"))
        assert all(isinstance(batch, pa.RecordBatch) and batch.schema.equals(schema.SCHEMA) for batch in batches)
        for batch in batches:
            batch.validate(full=True)
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert [row["seq"] for row in rows] == list(range(len(rows)))
        assert rows[0]["syscall"] == "execve"
        assert "/etc/passwd" in {row["file"] for row in rows if row["syscall"] == "openat"}
        assert children() == ""

    def test_come_while_the_command_runs(self, tmp_path: Path) -> None:
        """The command waits for a file that is made only when its first batch is here."""
        script = f"read x < /etc/passwd; until [ -e {tmp_path}/go ]; do sleep 0.02; done; read x < /etc/group"
        opened: list[str] = []
        for batch in tracer.trace(["sh", "-c", script], trace="openat"):
            opened += [row["file"] for row in batch.to_pylist()]
            if "/etc/passwd" in opened:
                (tmp_path / "go").touch()
        assert opened.index("/etc/passwd") < opened.index("/etc/group")

    def test_stay_good_after_later_ones(self) -> None:
        command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=300000", "status=none"]
        batches = list(tracer.trace(command, trace=["read", "write"]))
        assert len(batches) > 2
        table = pa.Table.from_batches(batches)
        assert table.column("seq").to_pylist() == list(range(table.num_rows))
        assert table.num_rows >= 600_000
        times = table.column("time_ns").to_numpy()
        assert (times[1:] >= times[:-1]).all()

    def test_options(self) -> None:
        rows = [
            row
            for batch in tracer.trace(
                ["sh", "-c", "cat /nothing; read x < /nothing-else; true"],
                trace="openat",
                follow=False,
                failed_only=True,
            )
            for row in batch.to_pylist()
        ]
        assert {(row["comm"], row["file"]) for row in rows} >= {("sh", "/nothing-else")}
        assert "cat" not in {row["comm"] for row in rows}
        assert all(row["is_error"] for row in rows)


class TestLeavingEarly:
    def test_ends_the_command_and_the_tracing(self, tmp_path: Path) -> None:
        script = f"trap 'echo ended > {tmp_path}/mark; exit' TERM; while :; do read x < /etc/passwd; done"
        before = loaded_programs()
        for _ in tracer.trace(["sh", "-c", script], trace="openat"):
            assert loaded_programs() > before
            break
        until(lambda: loaded_programs() == before, "the end of the tracing")
        assert (tmp_path / "mark").read_text() == "ended\n"
        assert children() == ""

    def test_exception_in_the_loop(self) -> None:
        before = loaded_programs()
        with pytest.raises(ZeroDivisionError):
            for _ in tracer.trace(["sh", "-c", "while :; do read x < /etc/passwd; done"]):
                raise ZeroDivisionError
        until(lambda: loaded_programs() == before, "the end of the tracing")
        assert children() == ""


class TestErrors:
    def test_unknown_syscall(self) -> None:
        with pytest.raises(UsageError, match="unknown syscall 'opn'"):
            list(tracer.trace(["true"], trace="opn"))

    def test_command_that_is_not_there(self) -> None:
        with pytest.raises(CommandError, match="no-such-program can't be run") as caught:
            list(tracer.trace(["no-such-program"]))
        assert isinstance(caught.value, TracerError)
        assert caught.value.exit_code == 127

    def test_command_that_execve_refuses(self, tmp_path: Path) -> None:
        (tmp_path / "bytes").write_bytes(b"\x01\x02")
        (tmp_path / "bytes").chmod(0o755)
        before = loaded_programs()
        with pytest.raises(CommandError, match="Exec format error"):
            list(tracer.trace([str(tmp_path / "bytes")]))
        assert loaded_programs() == before
        assert children() == ""

    def test_identity_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="no such identity: 'sometimes'"):
            list(tracer.trace(["true"], identity="sometimes"))

    def test_ring_out_of_range(self) -> None:
        with pytest.raises(UsageError, match="out of range"):
            tracer.trace(["true"], ring_bytes=1)

    @pytest.mark.parametrize("step", ["mapped_ring", "LossWatch", "session_facts"])
    def test_a_session_that_can_not_begin_leaves_nothing_in_the_kernel(
        self, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError("no")

        monkeypatch.setattr(session, step, refuse)
        before = loaded_programs()
        with pytest.raises(OSError, match="no"):
            list(tracer.trace(["true"]))
        assert loaded_programs() == before

    def test_no_command(self) -> None:
        with pytest.raises(UsageError, match="no command"):
            list(tracer.trace([]))
        with pytest.raises(UsageError, match="no command"):
            list(tracer.trace(["echo", "a\0b"]))

    def test_without_rights(self) -> None:
        code = (
            "import tracer, tracer.errors\n"
            "try: list(tracer.trace(['true']))\n"
            "except tracer.errors.MachineError as error: print(error)\n"
        )
        ended = subprocess.run(
            ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ended.stdout == "tracing needs root: CAP_BPF and CAP_PERFMON missing\n"
