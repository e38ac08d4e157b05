"""A way to tell the plain reference a story, one call a line. For the example tests."""

from __future__ import annotations

from typing import Any

import wire
from reference import Reference
from wire import Enter, Exec, Exit, Fork, Name, NameText, Paths

from tracer import syscalls

NUMBERS = {call.name: number for number, call in syscalls.machine_numbers("x86_64").items()}
PID, TID, WORKER = 100, 100, 101
CLONE_FILES = 0x400


class Scene:
    """Feeds a reference call by call; every event is 10 ns after the last one."""

    def __init__(self, wanted: set[str] | None = None, *, failed_only: bool = False) -> None:
        rules = syscalls.rules("x86_64", wanted if wanted is not None else set(NUMBERS))
        self.reference = Reference(rules, syscalls.names("x86_64"), syscalls.FAMILIES, failed_only=failed_only)
        self.now_ns = 1000

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.reference.rows

    @property
    def row(self) -> dict[str, Any]:
        return self.rows[-1]

    def feed(self, record: wire.AnyRecord) -> None:
        self.reference.feed(wire.encode(record))

    def head(self, tid: int = TID, pid: int = PID) -> dict[str, Any]:
        self.now_ns += 10
        return {"time_ns": self.now_ns, "tgid": pid, "tid": tid}

    def enter(self, name: str, /, *args: int, path: bytes | Paths | None = None, tid: int = TID, **more: Any) -> None:
        paths = Paths(path) if isinstance(path, bytes) else path
        head = self.head(tid, more.pop("pid", PID))
        self.feed(Enter(syscall=NUMBERS[name], args=args, paths=paths, **head, **more))

    def exit(self, name: str, ret: int, /, *, tid: int = TID, pid: int = PID, **more: Any) -> dict[str, Any] | None:
        rows = len(self.rows)
        self.feed(Exit(syscall=NUMBERS[name], ret=ret, **self.head(tid, pid), **more))
        return self.row if len(self.rows) > rows else None

    def call(self, name: str, /, *args: int, ret: int = 0, **more: Any) -> dict[str, Any]:
        """A whole call; its row, or an empty one."""
        at_exit = {key.removeprefix("exit_"): more.pop(key) for key in list(more) if key.startswith("exit_")}
        self.enter(name, *args, **more)
        return self.exit(name, ret, tid=more.get("tid", TID), pid=more.get("pid", PID), **at_exit) or {}

    def open(self, path: bytes, fd: int, flags: int = 0, **more: Any) -> dict[str, Any]:
        return self.call("openat", -100, 0, flags, 0, path=path, ret=fd, **more)

    def name(self, fd: int, text: bytes, *, pid: int = PID, status: int = 0, **more: Any) -> None:
        self.feed(Name(fd=fd, name=NameText(text, status=status), **self.head(pid, pid), **more))

    def cwd(self, text: bytes, **more: Any) -> None:
        self.name(wire.CWD_FD, text, **more)

    def fork(self, child_pid: int, child_tid: int | None = None, flags: int = 0, comm: bytes = b"") -> None:
        tid = child_pid if child_tid is None else child_tid
        self.feed(Fork(child_tgid=child_pid, child_tid=tid, clone_flags=flags, comm=comm, **self.head()))

    def exec(self, old_tid: int = TID, comm: bytes = b"new") -> None:
        self.feed(Exec(old_tid=old_tid, comm=comm, **self.head()))

    def file(self, fd: int, **more: Any) -> str | None:
        """What a call on the descriptor is named after."""
        name: str | None = self.call("fsync", fd, **more)["file"]
        return name


def scene_of_two_files() -> Scene:
    """3 and 4 are files with names."""
    scene = Scene()
    scene.name(3, b"/w/a")
    scene.name(4, b"/w/b")
    scene.cwd(b"/w")
    return scene
