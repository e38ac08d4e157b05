"""Raw events from the kernel: loads the eBPF program with bcc, tells it what to watch, drains its ring."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, get_args

from tracer.capture import bcc_module, btf, image_cache
from tracer.capture.compiler import compile_image
from tracer.capture.loader import Loaded, UnsafeProgramError
from tracer.errors import MachineError, UsageError
from tracer.syscalls import RULE_FORMAT

TRACEPOINTS = (
    # tasks first: a process must be known before its calls are
    "task_newtask",
    "sched_process_exec",
    "sched_process_exit",
    "task_rename",
    "signal_deliver",
    "sys_exit",
    "sys_enter",
)

STAGES = (
    "enter_long",
    "enter_names",
    "exit",
    "exit_fd",
    "exit_paths",
    "enter_held",
    "name",
    "enter_named",
    "exit_named",
    "place",
    "enter_asked",
    "held_place",
)
"""Programs that tail calls lead to, in the order of `enum stage` in state.bpf.h."""

STAGE_BYTES = 4
"""A descriptor as a map's value."""

LOSS_CAUSES = ("ring_full", "path_truncated", "path_unreadable", "map_full", "compat_call")
"""Names of the per-CPU loss counters, in the order of `enum tracer_loss`."""

DEFAULT_RING_BYTES = 64 << 20

FILTER_ALL, FILTER_FOLLOW, FILTER_UID, FILTER_TID, FILTER_CGROUP, FILTER_COMM, FILTER_FAILED, FILTER_IDENTITY = (
    1 << i for i in range(8)
)

Identity = Literal["auto", "always"]
"""Whose descriptors are compared at each use with what was named last: of processes whose table may change without a
call that is seen, or of all."""

STOPPED = 1 << 63
"""In the epoch: the trace is over (bpf/filter.bpf.h)."""

FILTER_FORMAT = struct.Struct("=IIIIQII16s")

MIN_DESCRIPTORS = 128
"""Maps, programs and links are some fifty; a recording takes a dozen besides."""

LARGEST_UID = 2**32 - 2
"""One more means none (include/linux/uidgid.h)."""

COMM_BYTES = 15
"""TASK_COMM_LEN without its NUL (include/linux/sched.h)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What the kernel program looks at; everything that is given must hold.

    Raises UsageError for what can't be.
    """

    everything: bool = False
    follow: bool = True
    uid: int | None = None
    tid: int | None = None
    cgroup: Path | None = None
    comm: bytes | None = None
    failed_only: bool = False
    identity: Identity = "auto"

    def __post_init__(self) -> None:
        if self.identity not in get_args(Identity):
            raise UsageError(f"no such identity: {self.identity!r}", hint=" or ".join(get_args(Identity)))
        if self.uid is not None and not 0 <= self.uid <= LARGEST_UID:
            raise UsageError(f"{self.uid} is no user's number", hint=f"they go from 0 to {LARGEST_UID}")
        if self.comm is not None and len(self.comm) > COMM_BYTES:
            raise UsageError(
                f"no thread has a name of {len(self.comm)} bytes", hint=f"the kernel keeps the first {COMM_BYTES}"
            )

    def pack(self) -> bytes:
        """`struct filter_config`, with the calling process excluded. Raises UsageError for a cgroup that is none."""
        flags = (
            FILTER_ALL * self.everything
            | FILTER_FOLLOW * self.follow
            | FILTER_UID * (self.uid is not None)
            | FILTER_TID * (self.tid is not None)
            | FILTER_CGROUP * (self.cgroup is not None)
            | FILTER_COMM * (self.comm is not None)
            | FILTER_FAILED * self.failed_only
            | FILTER_IDENTITY * (self.identity == "always")
        )
        cgroup_id, level = cgroup_key(self.cgroup) if self.cgroup is not None else (0, 0)
        uid, tid, comm = self.uid or 0, self.tid or 0, self.comm or b""
        return FILTER_FORMAT.pack(flags, os.getpid(), uid, tid, cgroup_id, level, 0, comm)


def cgroup_key(path: Path) -> tuple[int, int]:
    """A cgroup's id (its inode, see bpf_get_current_cgroup_id in bpf-helpers(7)) and its depth below the root."""
    for mount in cgroup2_mounts():
        absolute = path if path.is_absolute() else mount / path
        if absolute.is_dir() and absolute.is_relative_to(mount):
            return absolute.stat().st_ino, len(absolute.relative_to(mount).parts)
    raise UsageError(f"no cgroup {path}", hint="give a folder of the cgroup2 file system, such as system.slice")


def cgroup2_mounts() -> list[Path]:
    """Where cgroup2 file systems are mounted. Places and names of mounts may be any bytes (fstab(5) tells how they are
    written)."""
    mounts = [line.split(b" ") for line in Path("/proc/self/mounts").read_bytes().split(b"\n")]
    return [Path(os.fsdecode(_without_escapes(fields[1]))) for fields in mounts if fields[2:3] == [b"cgroup2"]]


def _without_escapes(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), field)


class KernelSource:
    """The loaded program, from load to close. Use as a context manager.

    `rules` is the packed syscall table. `ring_bytes` is rounded up to a power of two of whole pages. Between loading
    and `attach` nothing is traced. `has_identity`: this kernel tells enough to notice that a descriptor became another
    file's without a call.

    Raises MachineError: bcc missing, no BTF, no privilege, too few descriptors, a kernel that refuses the program, or
    can't tell identities where they are always to be compared.
    """

    def __init__(self, rules: bytes, filters: Filter, ring_bytes: int = DEFAULT_RING_BYTES) -> None:
        self.ring_bytes = ring_size(ring_bytes)
        need_descriptors()
        bcc = bcc_module.load()
        self._lib = bcc.lib
        offsets = btf.offsets(bcc.lib)
        self.has_identity = bool(offsets["HAS_IDENTITY"])
        self._tracepoints = TRACEPOINTS + btf.RING_TRACEPOINTS * offsets["HAS_RING_REQUESTS"]
        if filters.identity == "always" and not self.has_identity:
            raise MachineError("this kernel can't tell which file a descriptor means", hint="see: tracer-cli doctor")
        self._links: list[int] = []
        self._cpus = possible_cpus()
        self._loaded = load(bcc, offsets, self.ring_bytes)
        try:
            self._write("stages", b"".join(map(self._stage, STAGES)), STAGE_BYTES)
            self._write("rules", rules, RULE_FORMAT.size)
            self._write("config", filters.pack(), FILTER_FORMAT.size)
        except BaseException:
            self._loaded.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ring_fd(self) -> int:
        """Descriptor of the ring buffer map."""
        return self._loaded.maps["events"]

    def _program_fd(self, name: str) -> int:
        return self._loaded.programs[f"on_{name}"]

    def _stage(self, name: str) -> bytes:
        return self._program_fd(name).to_bytes(STAGE_BYTES, sys.byteorder)

    def _write(self, table: str, data: bytes, item_bytes: int) -> None:
        """Fill an array map from packed items."""
        map_fd = self._loaded.maps[table]
        for index in range(len(data) // item_bytes):
            item = data[index * item_bytes : (index + 1) * item_bytes]
            self._update(map_fd, ctypes.c_uint32(index), item)

    def _update(self, map_fd: int, key: ctypes.c_uint32, value: bytes) -> None:
        buffer = ctypes.create_string_buffer(value, len(value))
        if self._lib.bpf_update_elem(map_fd, ctypes.byref(key), ctypes.byref(buffer), 0) < 0:
            raise MachineError("the kernel refused a table entry", hint="is the memory limit (ulimit -l) high enough?")

    def watch(self, tgid: int, *, armed: bool = False, changes_unseen: bool = False) -> None:
        """Trace a process from now on; an armed one only from its first execve.

        Of one whose descriptors may change without a call that says so, each use of them is compared.
        """
        value = bytearray(self._loaded.value_bytes("processes"))
        value[0], value[1] = armed, changes_unseen and self.has_identity  # struct process begins with them
        self._update(self._loaded.maps["processes"], ctypes.c_uint32(tgid), bytes(value))

    def attach(self) -> None:
        """Start tracing. Raises MachineError if the kernel refuses a tracepoint."""
        for name in self._tracepoints:
            # not bcc's method: before the first one that reads all the kernel's symbols, for a tenth of a second
            link_fd = self._lib.bpf_attach_raw_tracepoint(self._program_fd(name), name.encode())
            if link_fd < 0:
                reason = os.strerror(ctypes.get_errno())
                raise MachineError(f"the tracepoint {name} can't be attached: {reason}", hint="see: tracer-cli doctor")
            self._links.append(link_fd)

    def detach(self) -> None:
        """Stop tracing, everything at one moment; what is in the ring stays there."""
        if self._links:
            self._stop()
        while self._links:
            os.close(self._links.pop())

    def _stop(self) -> None:
        """Tell the programs that it is over, before their links go one by one.

        What the epoch moves on meanwhile may be lost: nothing is compared with it any more.
        """
        map_fd, key, epoch = self._loaded.maps["epoch"], ctypes.c_uint32(0), ctypes.c_uint64(0)
        self._lib.bpf_lookup_elem(map_fd, ctypes.byref(key), ctypes.byref(epoch))
        epoch.value |= STOPPED
        self._lib.bpf_update_elem(map_fd, ctypes.byref(key), ctypes.byref(epoch), 0)

    def counters(self) -> dict[tuple[str, int | None], int | None]:
        """What is missing since the start, by cause and processor; None for a counter that can't be read."""
        found: dict[tuple[str, int | None], int | None] = {}
        for index, cause in enumerate(LOSS_CAUSES):
            counts = self._counts(index)
            for place, cpu in enumerate(self._cpus):
                found[cause, cpu] = None if counts is None else counts[place]
        found["program_skipped", None] = self._skipped()
        return found

    def _counts(self, index: int) -> list[int] | None:
        """A counter on each possible processor."""
        key, counts = ctypes.c_uint32(index), (ctypes.c_uint64 * len(self._cpus))()
        failed = self._lib.bpf_lookup_elem(self._loaded.maps["losses"], ctypes.byref(key), ctypes.byref(counts)) < 0
        return None if failed else list(counts)

    def _skipped(self) -> int | None:
        """How often the kernel did not run a program because it was busy (bpf_prog_info.recursion_misses, Linux
        5.12)."""
        misses = [recursion_misses(self._lib, program_fd) for program_fd in self._loaded.programs.values()]
        known = [count for count in misses if count is not None]
        return sum(known) if len(known) == len(misses) else None

    def close(self) -> None:
        """Detach and give everything back. Safe to call twice."""
        self.detach()
        self._loaded.close()


def need_descriptors() -> None:
    """Raises MachineError where this process may not have enough."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < MIN_DESCRIPTORS:
        said = f"tracing needs {MIN_DESCRIPTORS} descriptors, and {allowed} are allowed"
        raise MachineError(said, hint=f"ulimit -n {MIN_DESCRIPTORS}")


def load(bcc: ModuleType, constants: dict[str, int], ring_bytes: int) -> Loaded:
    """The program of the last time, or a compiled one, which is kept once the kernel has taken it. Raises
    MachineError."""
    key = image_cache.key_of(bcc, constants)
    kept = image_cache.find(key)
    if kept is not None:
        # A kernel that refuses it had another one compiled for it, by something that the key does not tell.
        with contextlib.suppress(UnsafeProgramError):
            return Loaded(bcc.lib, ring_bytes, lambda: kept)
    loaded = Loaded(bcc.lib, ring_bytes, lambda: compile_image(bcc, constants))
    try:
        image_cache.keep(key, loaded.image)
    except BaseException:
        loaded.close()
        raise
    return loaded


def recursion_misses(lib: Any, program_fd: int) -> int | None:
    """The kernel's own count for one program; None if it does not tell."""
    info = ctypes.create_string_buffer(256)
    size = ctypes.c_uint32(len(info))
    if lib.bpf_obj_get_info_by_fd(program_fd, ctypes.byref(info), ctypes.byref(size)) < 0 or size.value < 216:
        return None
    # struct bpf_prog_info of include/uapi/linux/bpf.h: run_time_ns at 192, run_cnt at 200, recursion_misses at 208
    return int(struct.unpack_from("=Q", info.raw, 208)[0])


def possible_cpus() -> list[int]:
    """Numbers of all processors that there can be: the kernel gives a per-CPU map's values in their order."""
    numbers: list[int] = []
    for span in Path("/sys/devices/system/cpu/possible").read_text().strip().split(","):
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def ring_size(wanted_bytes: int) -> int:
    """The next power of two of whole pages. Raises UsageError below 64 KiB or above 2 GiB."""
    if not 64 << 10 <= wanted_bytes <= 2 << 30:
        raise UsageError(f"a ring buffer of {wanted_bytes} bytes is out of range", hint="64K to 2G, for example 64M")
    return int(1 << (wanted_bytes - 1).bit_length())
