"""An image into the kernel: maps, and programs that refer to them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
from collections.abc import Callable, Iterator
from typing import Any

from tracer.capture.image import Image, Map, Program
from tracer.errors import MachineError

RAW_TRACEPOINT = 17
"""BPF_PROG_TYPE_RAW_TRACEPOINT of include/uapi/linux/bpf.h."""

RING = Map("events", 27, 0, 0, 0, 0)
"""Of type BPF_MAP_TYPE_RINGBUF; its entries are bytes."""

VERIFIERS_WORDS = (errno.EACCES, errno.EINVAL)
"""What bpf(2) says of a program that is deemed unsafe, or invalid."""

MOST_INTERRUPTIONS = 20
"""Signals that may hinder the loading of one program."""


class UnsafeProgramError(MachineError):
    """This kernel's verifier refuses the program."""


class Loaded:
    """An image in the kernel, from load to close: descriptors of `maps` and `programs`, by name.

    The ring is made first: without privilege, or memory, nothing is compiled. `image` is asked for then.

    Raises MachineError; if the verifier is to blame, UnsafeProgramError.
    """

    def __init__(self, lib: Any, ring_bytes: int, image: Callable[[], Image]) -> None:
        self.maps: dict[str, int] = {}
        self.programs: dict[str, int] = {}
        self._lib = lib
        try:
            self.maps[RING.name] = self._make_ring(ring_bytes)
            self.image = image()
            for one in self.image.maps:
                if one.name != RING.name:
                    self.maps[one.name] = self._make_map(one, one.entries)
            with signals_blocked():
                for program in self.image.programs:
                    self.programs[program.name] = self._load(program)
        except BaseException:
            self.close()
            raise

    def value_bytes(self, name: str) -> int:
        """Size of a value of that map."""
        return next(one.value_bytes for one in self.image.maps if one.name == name)

    def close(self) -> None:
        """Give everything back. Safe to call twice."""
        for descriptors in (self.programs, self.maps):
            while descriptors:
                os.close(descriptors.popitem()[1])

    def _make_ring(self, ring_bytes: int) -> int:
        try:
            return self._make_map(RING, ring_bytes)
        except MachineError as error:
            why = ctypes.get_errno()
            if why == errno.ENOMEM:
                said = f"the kernel has no memory for a ring buffer of {ring_bytes >> 10} KiB"
                raise MachineError(said, hint="a smaller --buffer-size") from error
            if why == errno.EINVAL:
                hint = "Linux 5.8 or newer is needed"
                raise MachineError("this kernel has no BPF ring buffers", hint=hint) from error
            raise

    def _make_map(self, wanted: Map, entries: int) -> int:
        ctypes.set_errno(0)
        name = wanted.name.encode()
        map_fd = self._lib.bcc_create_map(
            wanted.type, name, wanted.key_bytes, wanted.value_bytes, ctypes.c_uint32(entries), wanted.flags
        )
        if map_fd < 0:
            raise load_error(f"the map {wanted.name}", ctypes.get_errno())
        return int(map_fd)

    def _load(self, program: Program) -> int:
        """The verifier gives up with EAGAIN when a signal comes (do_check of kernel/bpf/verifier.c). SIGSTOP can't be
        blocked: it is asked again then."""
        code = bytearray(program.code)
        for at, name in program.references:
            struct.pack_into("=i", code, at + 4, self.maps[name])
        for _ in range(MOST_INTERRUPTIONS):
            ctypes.set_errno(0)
            program_fd = self._lib.bcc_prog_load(
                RAW_TRACEPOINT,
                program.name.encode(),
                bytes(code),
                len(code),
                self.image.license.encode(),
                0,  # the kernel's version, which has not been looked at since Linux 5.0
                0,
                None,
                0,
            )
            if program_fd >= 0:
                return int(program_fd)
            if ctypes.get_errno() != errno.EAGAIN:
                break
        number = ctypes.get_errno()
        error = load_error(program.name, number)
        raise UnsafeProgramError(str(error), hint=error.hint) if number in VERIFIERS_WORDS else error


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """All that this thread can block wait for the end of the context."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def load_error(what: str, number: int) -> MachineError:
    """What the kernel's refusal means for the user."""
    if number in {errno.EPERM, errno.EACCES} and os.geteuid() != 0:
        return MachineError("tracing needs root, or CAP_BPF and CAP_PERFMON", hint="run it with sudo")
    return MachineError(
        f"the kernel program can't be loaded: {what}: {os.strerror(number)}", hint="see: tracer-cli doctor"
    )
