"""The table against the kernel's headers, the running kernel's tracepoints, and the wire format."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tracer import syscalls
from tracer.syscalls import NONE, TABLE, Aux, ByteClass, ByteRule, Effect, EmptyPath, Quantity, Rule, SizeType, Syscall

EVENTS_H = (Path(__file__).parents[2] / "bpf" / "events.h").read_text()

ROLES = (
    "fd_arg",
    "path_arg",
    "path2_arg",
    "dirfd_arg",
    "dirfd2_arg",
    "flags_arg",
    "size_arg",
    "offset_arg",
    "aux_arg",
    "nfds_arg",
    "timeout_arg",
)


# The wire format


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (Aux, "TRACER_AUX_"),
        (Effect, "TRACER_EFFECT_"),
        (SizeType, "TRACER_SIZE_"),
        (ByteClass, "TRACER_BYTES_"),
        (ByteRule, "TRACER_BYTE_RULE_"),
        (EmptyPath, "TRACER_EMPTY_"),
        (Quantity, "TRACER_QUANTITY_"),
    ],
)
def test_an_enum_is_the_headers(kind, prefix):
    in_header = re.findall(rf"^\t{prefix}(\w+) = (\d+),", EVENTS_H, re.MULTILINE)
    assert [(member.name, member.value) for member in kind] == [(name, int(value)) for name, value in in_header]


def test_the_rule_flags_are_the_headers():
    in_header = re.findall(r"^#define TRACER_RULE_(\w+) (0x\w+)", EVENTS_H, re.MULTILINE)
    assert [(member.name, member.value) for member in Rule] == [(name, int(value, 16)) for name, value in in_header]


def test_the_size_of_the_table_is_the_headers():
    assert f"#define TRACER_MAX_SYSCALLS {syscalls.MAX_SYSCALLS} " in EVENTS_H


def header_fields() -> list[tuple[str, str]]:
    """Type and name of the fields of struct syscall_rule, without the reserved ones."""
    body = re.search(r"^struct syscall_rule \{\n(.*?)^\};", EVENTS_H, re.MULTILINE | re.DOTALL)
    assert body is not None
    return re.findall(r"^\t(tr_\w+) (?!reserved)(\w+);", body[1], re.MULTILINE)


def unpacked(packed: bytes) -> list[dict[str, int]]:
    """The rules as a reader of the header would read them."""
    fields = header_fields()
    layout = struct.Struct("=" + "".join({"tr_u8": "B", "tr_s8": "b"}[kind] for kind, _ in fields))
    assert layout.size == 24
    return [dict(zip((name for _, name in fields), values, strict=True)) for values in layout.iter_unpack(packed)]


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_packed_rules_say_what_the_table_says(machine):
    rules = unpacked(syscalls.rules(machine, {call.name for call in TABLE}))
    assert len(rules) == syscalls.MAX_SYSCALLS
    numbered = syscalls.machine_numbers(machine)
    for number, rule in enumerate(rules):
        call = numbered.get(number)
        if call is None:
            assert not any(rule.values())
            continue
        state = Rule.STATE if call.effect is not Effect.NONE else 0
        expected = {name: getattr(call, name) for _, name in header_fields() if name not in {"flags", "family"}}
        expected |= {"flags": call.flags | Rule.WANTED | state, "family": syscalls.FAMILIES.index(call.family)}
        assert rule == expected, call.name


def flagged(wanted: set[str], flag: Rule) -> set[str]:
    rules = unpacked(syscalls.rules("x86_64", wanted))
    return {call.name for number, call in syscalls.machine_numbers("x86_64").items() if rules[number]["flags"] & flag}


CHANGES_NAMES = {call.name for call in TABLE if call.effect is not Effect.NONE}
EXECUTES = {"execve", "execveat"}


def test_only_the_wanted_are_wanted():
    assert flagged({"read", "openat"}, Rule.WANTED) == {"read", "openat"}
    assert flagged(set(), Rule.WANTED) == set()


@pytest.mark.parametrize("name", ["read", "openat", "mkdirat", "symlink", "mmap"])
def test_state_is_kept_for_a_call_named_after_descriptors_or_directories(name):
    assert flagged({name}, Rule.STATE) == CHANGES_NAMES


@pytest.mark.parametrize("wanted", [set(), {"futex", "getpid", "nanosleep"}])
def test_only_exec_is_kept_where_no_names_matter(wanted):
    assert flagged(wanted, Rule.STATE) == EXECUTES


def test_an_unknown_name_can_not_be_wanted():
    with pytest.raises(KeyError, match="no_such_call"):
        syscalls.rules("x86_64", {"no_such_call"})


@pytest.mark.parametrize("function", [syscalls.machine_numbers, syscalls.names])
def test_an_unknown_machine_has_no_numbers(function):
    with pytest.raises(ValueError, match="'m68k'"):
        function("m68k")


def test_names_by_number():
    names = syscalls.names("x86_64")
    assert len(names) == 512
    assert (names[0], names[257], names[400], names[511]) == ("read", "openat", "", "")
    assert syscalls.names("aarch64")[56] == "openat"


def test_the_version_follows_the_data():
    assert re.fullmatch(r"[0-9a-f]{12}", syscalls.TABLE_VERSION)
    assert syscalls.table_version(b"name\tx86_64\n") != syscalls.TABLE_VERSION


# The table within itself


@pytest.mark.parametrize(
    "cell",
    [
        *[("x86_64", "one"), ("fd", "6"), ("effect", "opens"), ("rule", "label,unknown"), ("aux", "ret")],
        *[("size", "2:long long"), ("size", "6:int"), ("size", ":int")],
    ],
)
def test_a_word_that_means_nothing_is_refused(cell):
    column, word = cell
    row = {name: "-" for name in HEADER} | {"name": "call", "family": "FS", "nargs": "1"}
    assert syscalls.parse("\t".join(HEADER) + "\n" + "\t".join(row.values()))[0].name == "call"
    row[column] = word
    with pytest.raises((KeyError, ValueError)):
        syscalls.parse("\t".join(HEADER) + "\n" + "\t".join(row.values()))


HEADER = (Path(syscalls.__file__).parent / "data" / "syscalls.tsv").read_text().split("\n", 1)[0].split("\t")


def test_names_are_unique_and_sorted():
    names = [call.name for call in TABLE]
    assert names == sorted(set(names))


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_numbers_are_unique_and_fit_the_table(machine):
    numbers = [number for call in TABLE if (number := call.number(machine)) is not None]
    assert len(numbers) == len(set(numbers))
    assert all(0 <= number < syscalls.MAX_SYSCALLS for number in numbers)


def test_every_call_has_a_number_on_x86_64_and_a_family():
    assert all(call.x86_64 is not None for call in TABLE)
    assert {call.family for call in TABLE} == set(syscalls.FAMILIES)


def test_the_sizes_of_the_families():
    sizes = (118, 22, 10, 44, 29, 54, 12, 13, 19, 9, 21, 16)
    assert Counter(call.family for call in TABLE) == dict(zip(syscalls.FAMILIES, sizes, strict=True))


def test_indices_are_arguments_of_the_call():
    for call in TABLE:
        assert call.nargs <= 6
        for role in ROLES:
            index = getattr(call, role)
            ends = call.name == "lseek" and role == "offset_arg" and index == syscalls.OFFSET_IS_RESULT
            assert NONE <= index < call.nargs or ends, (call.name, role)


def test_the_places_of_one_call_differ():
    """Except that a timeout's or a vector's structure is read through the argument itself."""
    for call in TABLE:
        places = [getattr(call, role) for role in ROLES if role not in {"aux_arg", "timeout_arg"}]
        used = [place for place in places if place >= 0]
        assert len(used) == len(set(used)), call.name


def named(condition) -> set[str]:
    return {call.name for call in TABLE if condition(call)}


def test_roles_that_need_each_other():
    assert named(lambda call: (call.aux_kind is Aux.NONE) != (call.aux_arg == NONE)) == set()
    assert named(lambda call: call.path2_arg != NONE and call.path_arg == NONE) == set()
    assert named(lambda call: call.dirfd2_arg != NONE and call.path2_arg == NONE) == set()
    assert named(lambda call: call.dirfd_arg != NONE and call.path_arg == NONE) == set()
    assert named(lambda call: call.effect is Effect.OPEN and call.path_arg == NONE) == set()
    assert named(lambda call: call.effect is Effect.CHDIR and call.path_arg == NONE) == set()
    assert named(lambda call: bool(call.byte_rule) and not call.byte_class) == set()


def test_an_empty_path_has_a_directory_and_flags_to_look_at():
    may_be_empty = [call for call in TABLE if call.empty_path]
    assert {call.name for call in may_be_empty if call.dirfd_arg == NONE} == set()
    by_flag = {EmptyPath.AT_FLAG, EmptyPath.FSPICK, EmptyPath.MOVE_MOUNT}
    assert {call.name for call in may_be_empty if call.empty_path in by_flag and call.flags_arg == NONE} == set()


def test_counted_bytes_have_a_requested_size():
    sized_by_aux = {Aux.IOVEC, Aux.MSGHDR, Aux.XATTR_ARGS}
    assert named(lambda call: call.byte_class and call.size_arg == NONE and call.aux_kind not in sized_by_aux) == set()


def test_waiting_calls_have_their_quantities():
    polls = {Quantity.POLL_MS, Quantity.POLL_SPEC}
    assert named(lambda call: (call.nfds_arg != NONE) != (call.quantity in polls)) == set()
    assert named(lambda call: (call.timeout_arg != NONE) != (call.quantity in polls)) == set()
    by_structure = named(lambda call: call.quantity is Quantity.POLL_SPEC)
    assert by_structure == named(lambda call: call.timeout_arg != NONE and call.timeout_arg == call.aux_arg)


def test_what_calls_with_a_path_write():
    """Not into their paths; and a path that is read at the exit is the only one of its call."""
    assert named(lambda call: call.writes and (call.path_arg == NONE or call.path2_arg != NONE)) == set()
    assert named(lambda call: call.path_arg != NONE and call.writes >> call.path_arg & 1) == set()
    assert named(lambda call: call.writes >> call.nargs) == set()


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        (Rule.NEVER_RETURNS, {"exit", "exit_group", "rt_sigreturn"}),
        (Rule.OLD_IS_TEXT, {"symlink", "symlinkat"}),
        (
            Rule.RENAMES,
            {"chroot", "mount", "move_mount", "mq_unlink", "pivot_root", "rename", "renameat", "renameat2"}
            | {"rmdir", "setns", "umount", "unlink", "unlinkat"},
        ),
        (Rule.LABEL, {"fsopen", "memfd_create", "mq_open", "mq_unlink"}),
        (Rule.UNSEEN, {"io_uring_enter", "io_uring_register", "io_uring_setup"}),
    ],
)
def test_rare_rules(flag, names):
    assert named(lambda call: call.flags & flag) == names


@pytest.mark.parametrize(
    ("effect", "names"),
    [
        (Effect.OPEN, "creat fspick open open_tree open_tree_attr openat openat2"),
        (Effect.DUP, "dup"),
        (Effect.DUP2, "dup2 dup3"),
        (Effect.FCNTL, "fcntl"),
        (Effect.IOCTL, "ioctl"),
        (Effect.CLOSE, "close"),
        (Effect.CLOSE_RANGE, "close_range"),
        (Effect.FD_PAIR, "pipe pipe2 socketpair"),
        (Effect.CHDIR, "chdir"),
        (Effect.FCHDIR, "fchdir"),
        (Effect.CHROOT, "chroot pivot_root setns"),
        (Effect.UNSHARE, "unshare"),
        (Effect.EXEC, "execve execveat"),
        (Effect.LANDLOCK, "landlock_create_ruleset"),
        (Effect.BPF, "bpf"),
        (Effect.SIGNALFD, "signalfd signalfd4"),
        (Effect.RING, "io_uring_setup"),
        (
            Effect.NEW_FD,
            "accept accept4 epoll_create epoll_create1 eventfd eventfd2 fanotify_init fsmount fsopen inotify_init "
            "inotify_init1 memfd_create memfd_secret mq_open open_by_handle_at perf_event_open "
            "pidfd_getfd pidfd_open socket timerfd_create userfaultfd",
        ),
    ],
)
def test_what_calls_do_to_descriptors_and_directories(effect, names):
    assert named(lambda call: call.effect is effect) == set(names.split())


@pytest.mark.parametrize(
    ("byte_class", "names"),
    [
        (
            ByteClass.READ,
            "fgetxattr flistxattr getcwd getdents getdents64 getrandom getxattr getxattrat lgetxattr listxattr "
            "listxattrat llistxattr mq_timedreceive msgrcv pread64 preadv preadv2 process_vm_readv read readlink "
            "readlinkat readv recvfrom recvmsg sched_getaffinity",
        ),
        (ByteClass.WRITE, "process_vm_writev pwrite64 pwritev pwritev2 sendmsg sendto write writev"),
        (ByteClass.TRANSFER, "copy_file_range sendfile64 splice tee vmsplice"),
    ],
)
def test_which_results_are_counts_of_bytes(byte_class, names):
    assert named(lambda call: call.byte_class is byte_class) == set(names.split())


def test_results_that_are_not_always_bytes_moved():
    probes = named(lambda call: call.byte_rule is ByteRule.PROBE)
    assert probes == named(lambda call: call.byte_class is ByteClass.READ and "xattr" in call.name)
    assert named(lambda call: call.byte_rule is ByteRule.RECV) == {"recvfrom", "recvmsg"}


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (
            EmptyPath.AT_FLAG,
            "execveat faccessat2 fchmodat2 fchownat file_getattr file_setattr getxattrat linkat listxattrat "
            "mount_setattr name_to_handle_at newfstatat open_tree open_tree_attr removexattrat setxattrat statx",
        ),
        (EmptyPath.ALWAYS, "readlinkat"),
        (EmptyPath.NULL, "fanotify_mark futimesat utimensat"),
        (EmptyPath.FSPICK, "fspick"),
        (EmptyPath.MOVE_MOUNT, "move_mount"),
    ],
)
def test_where_an_empty_path_means_the_directory_descriptor(rule, names):
    assert named(lambda call: call.empty_path is rule) == set(names.split())


@pytest.mark.parametrize(
    ("quantity", "names"),
    [
        (Quantity.MMAP, "map_shadow_stack mmap"),
        (Quantity.MUNMAP, "munmap"),
        (Quantity.MREMAP, "mremap"),
        (Quantity.BRK, "brk"),
        (
            Quantity.NO_SPACE,
            "madvise mincore mlock mlock2 mprotect mseal msync munlock pkey_mprotect remap_file_pages",
        ),
        (Quantity.SLEEP, "nanosleep"),
        (Quantity.CLOCK_SLEEP, "clock_nanosleep"),
        (Quantity.POLL_MS, "epoll_pwait epoll_wait poll"),
        (Quantity.POLL_SPEC, "epoll_pwait2 ppoll pselect6 select"),
        (Quantity.EPOLL_CTL, "epoll_ctl"),
    ],
)
def test_what_the_quantities_come_from(quantity, names):
    assert named(lambda call: call.quantity is quantity) == set(names.split())


def test_state_and_wanted_are_not_the_tables_to_say():
    assert named(lambda call: call.flags & (Rule.STATE | Rule.WANTED)) == set()


# The headers of the C library

UNIMPLEMENTED = {
    *("afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "getpmsg", "nfsservctl"),
    *("putpmsg", "query_module", "security", "tuxcall", "vserver"),  # reserved, never or no longer in any kernel
    *("get_thread_area", "set_thread_area"),  # for 32-bit programs
    *("_sysctl", "lookup_dcookie", "uselib"),  # gone since Linux 5.5, 6.7, 6.16
}
"""Numbers that the headers still hold for calls which a kernel answers with ENOSYS."""

AARCH64_HAS = ("NEW_STAT", "RENAMEAT", "SET_GET_RLIMIT", "SYS_CLONE3", "MEMFD_SECRET", "TIME32_SYSCALLS")
"""What arch/arm64's unistd.h asks of the generic list."""

KERNEL_NAMES = {strace: kernel for kernel, strace in syscalls.STRACE_NAMES.items()}
"""The headers spell as strace does."""


def x86_64_numbers() -> dict[str, int]:
    folders = (Path("/usr/include/x86_64-linux-gnu/asm"), Path("/usr/include/asm"))
    text = next(path for folder in folders if (path := folder / "unistd_64.h").exists()).read_text()
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)", text, re.MULTILINE)}


def aarch64_numbers() -> dict[str, int]:
    """The generic list as the preprocessor sees it: names may stand for other names."""
    wants = [f"-D__ARCH_WANT_{what}" for what in AARCH64_HAS]
    command = [os.environ.get("CC", "cc"), "-E", "-dM", *wants, "/usr/include/asm-generic/unistd.h"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values = dict(re.findall(r"^#define (__NR\w+) (\w+)", text, re.MULTILINE))
    for word in ("__NR_syscalls", "__NR_arch_specific_syscall"):
        values.pop(word, None)
    prefix = "__NR_"
    return {
        name.removeprefix(prefix): int(values.get(value, value))
        for name, value in values.items()
        if name.startswith(prefix)
    }


@pytest.mark.parametrize(("machine", "numbers"), [("x86_64", x86_64_numbers), ("aarch64", aarch64_numbers)])
def test_numbers_are_the_headers(machine, numbers):
    in_header = {KERNEL_NAMES.get(name, name): number for name, number in numbers().items()}
    ours = {call.name: call.number(machine) for call in TABLE}
    assert len(in_header) > 290
    implemented = {name: number for name, number in in_header.items() if name not in UNIMPLEMENTED}
    assert {name: ours.get(name) for name in implemented} == implemented
    newest = max(in_header.values())
    too_many = {name for name, number in ours.items() if number is not None and number <= newest} - implemented.keys()
    assert too_many <= {"uprobe", "uretprobe"}


# The running kernel

NAMES_OF_ROLES = {
    "fd_arg": "fd fildes oldfd ufd epfd mqdes pidfd fs_fd fanotify_fd ruleset_fd out_fd fd_out fdout",
    "dirfd_arg": "dfd olddfd from_dfd",
    "dirfd2_arg": "newdfd to_dfd",
    "path_arg": "filename pathname path oldname from_pathname dir_name new_root special specialfile u_name _fs_name",
    "path2_arg": "newname to_pathname",
    "flags_arg": "flags flag at_flags oflag clone_flags unshare_flags swap_flags msgflg semflg shmflg",
    "size_arg": "count len size bufsiz msg_len msgsz",
    "offset_arg": "pos pos_l",
    "nfds_arg": "nfds n maxevents",
    "timeout_arg": "timeout timeout_msecs tsp tvp",
}
"""What the kernel calls the arguments that play a role."""

NAMED_OTHERWISE = {
    ("acct", "path_arg"): "name",
    ("name_to_handle_at", "path_arg"): "name",
    ("umount", "path_arg"): "name",
    ("memfd_create", "path_arg"): "uname",
    ("execveat", "dirfd_arg"): "fd",
    ("kexec_file_load", "fd_arg"): "kernel_fd",
    ("madvise", "flags_arg"): "behavior",
    ("mprotect", "flags_arg"): "prot",
    ("pkey_mprotect", "flags_arg"): "prot",
    ("socket", "flags_arg"): "type",
    ("socketpair", "flags_arg"): "type",
    ("fadvise64", "offset_arg"): "offset",
    ("fallocate", "offset_arg"): "offset",
    ("readahead", "offset_arg"): "offset",
    ("sync_file_range", "offset_arg"): "offset",
}
"""Arguments whose name says less than what the call does with them."""

NOT_WHERE_NAMED = {
    ("execveat", "fd_arg"): NONE,  # fd is the directory
    ("pipe", "fd_arg"): NONE,  # fildes is where the two new ones are put
    ("pipe2", "fd_arg"): NONE,
    ("lseek", "offset_arg"): syscalls.OFFSET_IS_RESULT,
}
"""Arguments with a role's name that do not play it, or not alone."""

MOVES_UNCOUNTED = {"fsetxattr", "lsetxattr", "mq_timedsend", "msgsnd", "readahead", "setxattr"}
"""Calls that move as many bytes as they are asked to but return something else."""


def can_have(call: Syscall, role: str) -> bool:
    """Lengths are requested_bytes only where bytes move, not of a structure or a range; timeouts are of polls only."""
    if role == "size_arg":
        return bool(call.byte_class) or call.name in MOVES_UNCOUNTED
    return role not in {"timeout_arg", "nfds_arg"} or call.family == "Polling"


def expected_index(call: Syscall, role: str, arguments: list[str]) -> int:
    """Where the kernel's names for the arguments say that a role is."""
    key = (call.name, role)
    if key in NOT_WHERE_NAMED:
        return NOT_WHERE_NAMED[key]
    if key in NAMED_OTHERWISE:
        return arguments.index(NAMED_OTHERWISE[key])
    names = NAMES_OF_ROLES[role].split() if can_have(call, role) else ()
    return next((place for place, name in enumerate(arguments) if name in names), NONE)


TYPES_OF_AUX = {
    Aux.OPEN_HOW: "struct open_how *",
    Aux.TIMESPEC: "struct __kernel_timespec *",
    Aux.TIMEVAL: "struct __kernel_old_timeval *",
    Aux.EPOLL_EVENT: "struct epoll_event *",
    Aux.XATTR_ARGS: "struct xattr_args *",
    Aux.IOVEC: "struct iovec *",
    Aux.MSGHDR: "struct user_msghdr *",
    Aux.UTIMES: "struct __kernel_timespec *",
    Aux.FD_PAIR: "int *",
    Aux.CWD_TEXT: "char *",
}
"""What the kernel says the arguments point at."""

ONLY_READ = {
    *("file_setattr", "futimesat", "mount", "mount_setattr", "mq_open"),
    *("open_tree_attr", "openat2", "utime", "utimensat", "utimes"),
}
"""Calls with a path that read what they are given pointers to, whatever the type says."""

ALWAYS_READ = {Aux.OPEN_HOW, Aux.XATTR_ARGS, Aux.MSGHDR}
"""Structures that no call has an argument of but those that the table reads them from."""


@pytest.fixture(scope="module")
def tracepoints(tmp_path_factory):
    """The arguments of every syscall this kernel has, by name. tracefs is mounted for the while if it is not."""
    with ExitStack() as stack:
        root = Path("/sys/kernel/tracing")
        if not (root / "events").is_dir():
            root = tmp_path_factory.mktemp("tracefs")
            subprocess.run(["mount", "-t", "tracefs", "none", root], check=True)
            stack.callback(subprocess.run, ["umount", root], check=True)
        yield {
            folder.name.removeprefix("sys_enter_"): arguments_in((folder / "format").read_text())
            for folder in (root / "events" / "syscalls").glob("sys_enter_*")
        }


def arguments_in(format_text: str) -> list[tuple[str, str]]:
    """Type and name of the fields of an event's format, without those that every event has."""
    fields = re.findall(r"^\tfield:(.*?) ?(\w+);\toffset:", format_text, re.MULTILINE)
    return [(kind, name) for kind, name in fields if not name.startswith("common_") and name != "__syscall_nr"]


def test_the_kernel_has_no_call_that_the_table_has_not(tracepoints):
    assert len(tracepoints) > 300
    assert tracepoints.keys() - {call.name for call in TABLE} <= UNIMPLEMENTED


def test_the_kernel_counts_the_same_arguments(tracepoints):
    ours = {call.name: call.nargs for call in TABLE}
    theirs = {name: len(arguments) for name, arguments in tracepoints.items() if name in ours}
    assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.parametrize("role", NAMES_OF_ROLES)
def test_the_kernel_names_arguments_after_their_roles(role, tracepoints):
    calls = [call for call in TABLE if call.name in tracepoints]
    names = {call.name: [name for _, name in tracepoints[call.name]] for call in calls}
    assert {call.name: getattr(call, role) for call in calls} == {
        call.name: expected_index(call, role, names[call.name]) for call in calls
    }


SIZE_TYPES = {
    "int": SizeType.INT,
    "unsigned int": SizeType.UINT,
    "size_t": SizeType.LONG,
    "unsigned long": SizeType.LONG,
}


def test_the_kernel_takes_sizes_for_the_same_types(tracepoints):
    calls = [call for call in TABLE if call.size_arg != NONE and call.name in tracepoints]
    kernels = {call.name: SIZE_TYPES[tracepoints[call.name][call.size_arg][0]] for call in calls}
    assert {call.name: call.size_type for call in calls} == kernels
    assert len(calls) > 20


def test_the_kernel_says_that_aux_is_read_from_its_type(tracepoints):
    wrong = {
        call.name
        for call in TABLE
        if call.aux_kind and call.name in tracepoints
        if tracepoints[call.name][call.aux_arg][0].removeprefix("const ") != TYPES_OF_AUX[call.aux_kind]
    }
    assert wrong == set()


def test_calls_with_a_path_write_where_the_kernel_may(tracepoints):
    """It takes pointers to what is only read for constant ones, except of a few calls that it has not said so of."""
    calls = [call for call in TABLE if call.path_arg != NONE and call.name in tracepoints]
    may_write = {
        call.name: sum(
            1 << place
            for place, (kind, _) in enumerate(tracepoints[call.name])
            if "*" in kind and "const" not in kind and place not in {call.path_arg, call.path2_arg}
        )
        for call in calls
    }
    assert {call.name for call in calls if call.writes & ~may_write[call.name]} == set()
    assert {call.name for call in calls if call.writes != may_write[call.name]} <= ONLY_READ


@pytest.mark.parametrize("kind", sorted(ALWAYS_READ))
def test_no_call_with_such_a_structure_is_forgotten(kind, tracepoints):
    has_one = {
        name
        for name, arguments in tracepoints.items()
        if any(found.removeprefix("const ") == TYPES_OF_AUX[kind] for found, _ in arguments)
    }
    assert named(lambda call: call.aux_kind is kind) & tracepoints.keys() == has_one


def test_the_running_machine_is_one_of_the_tables():
    assert platform.machine() in syscalls.MACHINES
