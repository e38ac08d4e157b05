"""Offsets of kernel structures, read from the running kernel's BTF through the libbpf that libbcc brings along."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from tracer.errors import MachineError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

KIND_STRUCT = 4  # include/uapi/linux/btf.h
KIND_UNION = 5
KIND_TYPEDEF = 8
KIND_FUNC = 12

FIELDS: dict[str, tuple[str, str]] = {
    "OFF_TASK_PID": ("task_struct", "pid"),
    "OFF_TASK_TGID": ("task_struct", "tgid"),
    "OFF_TASK_FILES": ("task_struct", "files"),
    "OFF_TASK_FS": ("task_struct", "fs"),
    "OFF_TASK_SIGNAL": ("task_struct", "signal"),
    "OFF_SIGNAL_LIVE": ("signal_struct", "live"),
    "OFF_SIGNAL_FLAGS": ("signal_struct", "flags"),
    "OFF_FILES_FDT": ("files_struct", "fdt"),
    "OFF_FDT_FD": ("fdtable", "fd"),
    "OFF_FDT_MAX_FDS": ("fdtable", "max_fds"),
    "OFF_FDT_CLOSE_ON_EXEC": ("fdtable", "close_on_exec"),
    "OFF_FILE_PATH": ("file", "f_path"),
    "OFF_FILE_INODE": ("file", "f_inode"),
    "OFF_FS_ROOT": ("fs_struct", "root"),
    "OFF_FS_PWD": ("fs_struct", "pwd"),
    "OFF_FS_SEQ": ("fs_struct", "seq"),
    "OFF_ACTION_HANDLER": ("k_sigaction", "sa.sa_handler"),
    "OFF_DENTRY_PARENT": ("dentry", "d_parent"),
    "OFF_DENTRY_NAME": ("dentry", "d_name.name"),
    "OFF_DENTRY_HASH_PPREV": ("dentry", "d_hash.pprev"),
    "OFF_DENTRY_INODE": ("dentry", "d_inode"),
    "OFF_DENTRY_FLAGS": ("dentry", "d_flags"),
    "OFF_DENTRY_SEQ": ("dentry", "d_seq"),
    "OFF_DENTRY_OP": ("dentry", "d_op"),
    "OFF_DENTRY_OP_DNAME": ("dentry_operations", "d_dname"),
    "OFF_INODE_INO": ("inode", "i_ino"),
    "OFF_INODE_SB": ("inode", "i_sb"),
    "OFF_INODE_RDEV": ("inode", "i_rdev"),
    "OFF_INODE_PRIVATE": ("inode", "i_private"),
    "OFF_NS_OPS": ("ns_common", "ops"),
    "OFF_NS_OPS_NAME": ("proc_ns_operations", "name"),
    "OFF_SB_MAGIC": ("super_block", "s_magic"),
    "OFF_SB_DEV": ("super_block", "s_dev"),
    "OFF_SB_TYPE": ("super_block", "s_type"),
    "OFF_FS_TYPE_NAME": ("file_system_type", "name"),
    "OFF_FS_TYPE_FLAGS": ("file_system_type", "fs_flags"),
    "OFF_VFSMOUNT_ROOT": ("vfsmount", "mnt_root"),
    "OFF_MOUNT_MNT": ("mount", "mnt"),
    "OFF_MOUNT_PARENT": ("mount", "mnt_parent"),
    "OFF_MOUNT_MOUNTPOINT": ("mount", "mnt_mountpoint"),
}
"""Constant of the kernel program -> structure and path of the field in it."""

IDENTITY_FIELDS: dict[str, tuple[str, str]] = {
    "OFF_SIGNAL_NR_THREADS": ("signal_struct", "nr_threads"),
    "OFF_FILES_COUNT": ("files_struct", "count"),
    "OFF_FS_USERS": ("fs_struct", "users"),
    "OFF_SIGNAL_THREAD_HEAD": ("signal_struct", "thread_head"),
    "OFF_TASK_THREAD_NODE": ("task_struct", "thread_node"),
    "OFF_DENTRY_HASH_LEN": ("dentry", "d_name.hash_len"),
    "OFF_MOUNT_MNT_NS": ("mount", "mnt_ns"),
    "OFF_TASK_NSPROXY": ("task_struct", "nsproxy"),
    "OFF_NSPROXY_MNT_NS": ("nsproxy", "mnt_ns"),
    "OFF_MNT_NS_INUM": ("mnt_namespace", "ns.inum"),
}
"""What is needed besides to notice that a descriptor means another file without a call that says so."""

SECCOMP_FIELDS: dict[str, tuple[str, str]] = {"OFF_TASK_SECCOMP_MODE": ("task_struct", "seccomp.mode")}
"""What is needed to know a thread whose calls may be refused; a kernel without seccomp has none."""

COMPAT_FIELDS: dict[str, tuple[str, str]] = {"OFF_TASK_STATUS": ("task_struct", "thread_info.status")}
"""What is needed to know a call by the entry for 32 bits (x86)."""

RING_FIELDS: dict[str, tuple[str, str]] = {"OFF_REQUEST_OPCODE": ("io_kiocb", "opcode")}
"""What is needed to know what an io_uring request does; a kernel without io_uring has none."""

RING_TRACEPOINTS = ("io_uring_submit_req", "io_uring_complete", "io_uring_cqe_overflow")
"""Where requests begin and end. Where the first one has that name, the others have the arguments that are looked at."""

OPTIONAL = (
    (IDENTITY_FIELDS, "HAS_IDENTITY"),
    (SECCOMP_FIELDS, "HAS_SECCOMP"),
    (COMPAT_FIELDS, "HAS_COMPAT"),
    (RING_FIELDS, "HAS_RING_REQUESTS"),
)
"""Fields that a kernel may lack, and the constant that says whether this one has them."""

FUNCTIONS = {
    "HAS_TASK_LOADS": "bpf_get_current_task_btf",
    "HAS_TASK_REGISTERS": "bpf_task_pt_regs",
}
"""Constant that says whether this kernel has it -> helper. The first gives a task whose fields need no other one to be
read (Linux 5.11), the second such a task's registers (5.15)."""


class _Type(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size", ctypes.c_uint32))


class _Member(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32))


class KernelTypes:
    """The kernel's type information. Raises MachineError where there is none."""

    def __init__(self, lib: Any) -> None:
        if not VMLINUX.exists():
            raise MachineError(
                "this kernel has no type information (BTF)",
                hint="a kernel built with CONFIG_DEBUG_INFO_BTF is needed; distributions' kernels since 2021 are",
            )
        self._lib = lib
        lib.btf__load_vmlinux_btf.restype = ctypes.c_void_p
        lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
        lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        lib.btf__type_by_id.restype = ctypes.c_void_p
        lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        lib.btf__name_by_offset.restype = ctypes.c_char_p
        lib.btf__resolve_type.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        lib.btf__free.argtypes = [ctypes.c_void_p]
        self._btf = lib.btf__load_vmlinux_btf()
        if not self._btf:
            raise MachineError("the kernel's type information (BTF) can't be read", hint=f"is {VMLINUX} readable?")

    def close(self) -> None:
        """Give the memory back (about 10 MB)."""
        self._lib.btf__free(self._btf)
        self._btf = None

    def offset(self, structure: str, path: str) -> int:
        """Byte offset of a field, `a.b` for one in an embedded structure. Raises MachineError if it is not there."""
        type_id = self._lib.btf__find_by_name_kind(self._btf, structure.encode(), KIND_STRUCT)
        bits = 0
        for name in path.split("."):
            found = self._find(type_id, name) if type_id > 0 else None
            if found is None:
                raise MachineError(
                    f"this kernel's {structure} has no field {path}",
                    hint="this kernel is not supported; please report it",
                )
            bits += found[0]
            type_id = self._lib.btf__resolve_type(self._btf, found[1])
        return bits // 8

    def has_function(self, name: str) -> bool:
        """Whether the kernel has it."""
        return bool(self._lib.btf__find_by_name_kind(self._btf, name.encode(), KIND_FUNC) > 0)

    def has_tracepoint(self, name: str) -> bool:
        """Whether the kernel has it."""
        return bool(self._lib.btf__find_by_name_kind(self._btf, f"btf_trace_{name}".encode(), KIND_TYPEDEF) > 0)

    def _find(self, type_id: int, name: str) -> tuple[int, int] | None:
        """Bit offset and type of a member, looking into anonymous structures and unions too."""
        address = self._lib.btf__type_by_id(self._btf, type_id)
        header = _Type.from_address(address)
        kind, count, packed = header.info >> 24 & 0x1F, header.info & 0xFFFF, header.info >> 31
        if kind not in {KIND_STRUCT, KIND_UNION}:
            return None
        members = (_Member * count).from_address(address + ctypes.sizeof(_Type))
        for member in members:
            bits = member.offset & 0xFFFFFF if packed else member.offset
            label = self._lib.btf__name_by_offset(self._btf, member.name_off)
            if label == name.encode():
                return bits, member.type
            if not label:
                inner = self._find(self._lib.btf__resolve_type(self._btf, member.type), name)
                if inner is not None:
                    return bits + inner[0], inner[1]
        return None


def offsets(lib: Any) -> dict[str, int]:
    """Every constant that the kernel program needs, by name, for this kernel.

    `lib` is libbcc as bcc has loaded it. Raises MachineError.
    """
    types = KernelTypes(lib)
    try:
        found = {constant: types.offset(structure, path) for constant, (structure, path) in FIELDS.items()}
        for fields, has in OPTIONAL:
            found |= _optional(types, fields, has)
        found["HAS_RING_REQUESTS"] &= all(types.has_tracepoint(name) for name in RING_TRACEPOINTS)
        return found | {has: int(types.has_function(helper)) for has, helper in FUNCTIONS.items()}
    finally:
        types.close()


def _optional(types: KernelTypes, fields: dict[str, tuple[str, str]], has: str) -> dict[str, int]:
    """One of OPTIONAL: `has` is 1 if this kernel has all of the fields."""
    try:
        return {constant: types.offset(structure, path) for constant, (structure, path) in fields.items()} | {has: 1}
    except MachineError:
        return dict.fromkeys(fields, 0) | {has: 0}
