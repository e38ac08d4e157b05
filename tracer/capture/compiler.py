"""From the C of the kernel program to its image, by bcc's compiler."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

from tracer.capture.image import Image, Map, Program
from tracer.errors import MachineError

COMPILER = threading.Lock()
"""Of who compiles: bcc's compiler, the environment and the working directory are all threads'."""

INSTRUCTION_BYTES = 8
"""Of struct bpf_insn (include/uapi/linux/bpf.h): opcode, two registers, an offset, and a 32-bit constant at byte 4."""

LOAD_CONSTANT = 0x18
"""BPF_LD | BPF_DW | BPF_IMM. With the source register BPF_PSEUDO_MAP_FD the constant is a map's descriptor."""

PSEUDO_MAP_FD = 1
"""In the upper half of byte 1: the machines that are meant are little-endian."""


def program_folder() -> Path:
    """The folder of tracer.bpf.c, events.h and the stub headers: installed beside the package, or in the source
    tree."""
    installed = Path(str(resources.files("tracer"))) / "bpf"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "bpf"


def compile_image(bcc: ModuleType, constants: dict[str, int]) -> Image:
    """Compile it: that takes seconds.

    Raises MachineError.
    """
    folder = program_folder()
    flags = [f"-D{name}={value}" for name, value in constants.items()]
    flags += [f"-I{folder}", "-Wno-unused-function"]
    flags.append("-g0")  # bcc asks for debugging information, which takes a quarter of the compiler's time
    try:
        with COMPILER, environment_of_bcc(folder), a_working_directory():
            compiled = bcc.BPF(src_file=str(folder / "tracer.bpf.c"), cflags=flags)
    except Exception as error:  # bcc raises Exception itself
        text = str(error).splitlines()[-1:] or ["unknown reason"]
        raise MachineError(f"the kernel program can't be compiled: {text[0]}", hint="see: tracer-cli doctor") from error
    try:
        return _image_of(_declared(bcc.lib), compiled.module)
    finally:
        compiled.cleanup()


def _declared(lib: Any) -> Any:
    """libbcc, with what bcc itself does not call."""
    for name, result in {
        "bpf_table_name": ctypes.c_char_p,
        "bpf_table_fd_id": ctypes.c_int,
        "bpf_table_key_size_id": ctypes.c_size_t,
        "bpf_table_leaf_size_id": ctypes.c_size_t,
    }.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, [ctypes.c_void_p, ctypes.c_size_t]
    lib.bpf_num_tables.restype, lib.bpf_num_tables.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
    return lib


def _image_of(lib: Any, module: Any) -> Image:
    """What the compiler has made. Its maps exist by now, and their descriptors are in the code."""
    numbers = range(lib.bpf_num_tables(module))
    maps = tuple(
        Map(
            name=lib.bpf_table_name(module, number).decode(),
            type=lib.bpf_table_type_id(module, number),
            key_bytes=lib.bpf_table_key_size_id(module, number),
            value_bytes=lib.bpf_table_leaf_size_id(module, number),
            entries=lib.bpf_table_max_entries_id(module, number),
            flags=lib.bpf_table_flags_id(module, number),
        )
        for number in numbers
    )
    names = {lib.bpf_table_fd_id(module, number): maps[number].name for number in numbers}
    functions = [lib.bpf_function_name(module, number) for number in range(lib.bpf_num_functions(module))]
    programs = tuple(
        _program(
            name.decode(),
            ctypes.string_at(lib.bpf_function_start(module, name), lib.bpf_function_size(module, name)),
            names,
        )
        for name in functions
    )
    return Image(lib.bpf_module_license(module).decode(), maps, programs)


def _program(name: str, code: bytes, names: dict[int, str]) -> Program:
    neutral, references = bytearray(code), []
    for at in range(0, len(code), INSTRUCTION_BYTES):
        if code[at] == LOAD_CONSTANT and code[at + 1] >> 4 == PSEUDO_MAP_FD:
            references.append((at, names[struct.unpack_from("=i", code, at + 4)[0]]))
            struct.pack_into("=i", neutral, at + 4, 0)
    return Program(name, bytes(neutral), tuple(references))


@contextlib.contextmanager
def environment_of_bcc(folder: Path) -> Iterator[None]:
    """Point bcc to our stub headers, and hide from it what would make it compile for another kernel or machine (ARCH of
    who builds kernels). For a moment: the environment is the traced command's, too."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if name == "ARCH" or name.startswith("BCC_")}
    os.environ["BCC_KERNEL_SOURCE"] = str(folder)
    try:
        yield
    finally:
        del os.environ["BCC_KERNEL_SOURCE"]
        os.environ.update(before)


@contextlib.contextmanager
def a_working_directory() -> Iterator[None]:
    """The root, for a moment, if ours has been removed: the compiler wants one."""
    try:
        Path.cwd()
    except FileNotFoundError:
        removed = os.open(".", os.O_PATH)
    else:
        yield
        return
    os.chdir("/")
    try:
        yield
    finally:
        os.fchdir(removed)
        os.close(removed)
