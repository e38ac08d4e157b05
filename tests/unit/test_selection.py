"""What `-e` selects, against strace's manual page and against strace itself."""

from __future__ import annotations

import errno
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer import selection, syscalls
from tracer.errors import UsageError
from tracer.selection import KINDS_HINT

ALL = frozenset(call.name for call in syscalls.TABLE)

NAMES = st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=8)


def family(name: str) -> frozenset[str]:
    return frozenset(call.name for call in syscalls.TABLE if call.family == name)


def refusal(*expression: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        selection.parse(list(expression))
    return caught.value


@pytest.mark.parametrize("expression", [None, []])
def test_without_an_expression_the_fs_family_is_selected(expression):
    assert selection.parse(expression) == family("FS")


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("openat,read", {"openat", "read"}),
        ("trace=openat", {"openat"}),
        ("t=openat", {"openat"}),
        ("openat,", {"openat"}),
        ("openat@64", {"openat"}),
        ("?openat", {"openat"}),
        ("?no_such_call,openat", {"openat"}),
        ("?%no_such_class,openat", {"openat"}),
        ("none,openat", {"openat"}),
        ("stat,fstat,lstat,fstatat", {"newstat", "newfstat", "newlstat", "newfstatat"}),
        ("sendfile,umount2,uname", {"sendfile64", "umount", "newuname"}),
        ("umount", {"umount"}),
        ("pread,pwrite,prlimit", {"pread64", "pwrite64", "prlimit64"}),
        ("/^renameat", {"renameat", "renameat2"}),
        ("/^f?stat$", {"newstat", "newfstat"}),
        ("trace=/^dup", {"dup", "dup2", "dup3"}),
        ("%%stat", {"newstat", "newfstat", "newlstat", "newfstatat", "statx"}),
        ("%pure", {"getegid", "geteuid", "getgid", "getpgrp", "getpid", "getppid", "gettid", "getuid"}),
    ],
)
def test_an_expression_selects(expression, selected):
    assert selection.parse([expression]) == selected


@pytest.mark.parametrize(
    ("expression", "left_out"),
    [
        ("!futex", {"futex"}),
        ("!futex,read", {"futex", "read"}),
        ("trace=!futex", {"futex"}),
        ("!/^sched_", {name for name in ALL if name.startswith("sched_")}),
        ("!%fs", family("FS")),
        ("all", set()),
    ],
)
def test_an_expression_leaves_out(expression, left_out):
    assert ALL - selection.parse([expression]) == left_out


def test_expressions_are_united():
    assert selection.parse(["read", "%sched"]) == {"read"} | family("Sched")


@given(NAMES)
def test_a_list_selects_its_names_and_a_negated_one_all_others(names):
    listed = ",".join(names)
    assert selection.parse([listed]) == set(names)
    assert selection.parse([f"!{listed}"]) == ALL - set(names)


@given(NAMES)
def test_straces_spelling_selects_the_same(names):
    assert selection.parse([syscalls.strace_name(name) for name in names]) == set(names)


@pytest.mark.parametrize("name", [name for name in syscalls.FAMILIES if name.lower() not in selection.STRACE_CLASSES])
def test_a_family_is_a_class_of_its_own(name):
    for spelling in (name, name.lower(), name.upper()):
        assert selection.parse([f"%{spelling}"]) == family(name)


@pytest.mark.parametrize("name", ["file", "desc", "process", "network", "net", "signal", "ipc", "memory"])
def test_the_old_classes_need_no_percent(name):
    assert selection.parse([name]) == selection.parse([f"%{name}"])


def test_file_is_every_call_that_takes_a_path():
    """Labels are no paths; getcwd gives one back, and fsconfig takes one for some of its commands."""
    given_a_path = {call.name for call in syscalls.TABLE if call.path_arg >= 0 and not call.flags & syscalls.Rule.LABEL}
    assert selection.parse(["%file"]) == given_a_path | {"getcwd", "fsconfig"}


def test_calls_younger_than_strace_6_1_have_classes():
    assert selection.parse(["%memory"]) > {"map_shadow_stack", "mseal"}
    assert selection.parse(["%desc"]) > {"cachestat", "fchmodat2", "getxattrat", "open_tree_attr", "file_getattr"}


def test_desc_and_network_are_every_call_on_a_descriptor():
    """symlinkat's is its second path's; poll and select take sets of them."""
    takes_one = {call.name for call in syscalls.TABLE if max(call.fd_arg, call.dirfd_arg, call.dirfd2_arg) >= 0}
    makes_one = {call.name for call in syscalls.TABLE if call.effect in MAKES_A_DESCRIPTOR}
    takes_many = {"poll", "ppoll", "select", "pselect6"}
    assert selection.parse(["%desc,%network"]) == takes_one | makes_one | takes_many


MAKES_A_DESCRIPTOR = {
    syscalls.Effect.OPEN,
    syscalls.Effect.NEW_FD,
    syscalls.Effect.FD_PAIR,
    syscalls.Effect.LANDLOCK,
    syscalls.Effect.BPF,
    syscalls.Effect.SIGNALFD,
    syscalls.Effect.RING,
}


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("opnat", "unknown syscall 'opnat'", "did you mean 'openat'?"),
        ("clsoe", "unknown syscall 'clsoe'", "did you mean 'close'?"),
        ("sendfiel", "unknown syscall 'sendfiel'", "did you mean 'sendfile'?"),
        ("READ", "unknown syscall 'READ'", "did you mean 'read'?"),
        ("fs", "unknown syscall 'fs'", "did you mean '%fs'?"),
        ("zzzzzz", "unknown syscall 'zzzzzz'", KINDS_HINT),
        ("read,,opnat", "unknown syscall 'opnat'", "did you mean 'openat'?"),
        ("!opnat", "unknown syscall 'opnat'", "did you mean 'openat'?"),
        ("!", "nothing is behind the '!' of '!'", "it means everything but: '!read,write'"),
        ("trace=!,", "nothing is behind the '!' of '!,'", "it means everything but: '!read,write'"),
        ("%flie", "unknown class '%flie'", "did you mean '%file'?"),
        ("read,!write", "misplaced '!' in '!write'", "it stands before a whole list: '!read,write'"),
        ("read@32", "can't select 'read@32': only 64-bit calls are traced", "write 'read'"),
        ("signal=SIGIO", "can't select by 'signal': 'signal=SIGIO'", "only syscalls can be selected: -e trace=NAMES"),
    ],
)
def test_an_unusable_value_is_named_with_a_hint(expression, message, hint):
    error = refusal(expression)
    assert (str(error), error.hint, error.exit_code) == (message, hint, 2)


def test_a_broken_regular_expression_is_shown():
    assert str(refusal("/(")).startswith("'(' is not a regular expression: ")


@pytest.mark.parametrize("expression", ["none", "!all", "?no_such_call", "/no_such_call", "", "trace="])
def test_selecting_nothing_is_refused(expression):
    assert str(refusal(expression)) == f"{expression!r} selects no syscalls"


# What strace itself selects: a program makes every syscall once, each one stopped by seccomp on the strength of a mark
# in its sixth argument, and strace says which of them it saw. ENOSYS tells the probes from the program's own calls.

NO_PROBE = {"uprobe", "uretprobe"}
"""The kernel answers these two with a signal before seccomp is asked."""

CLOSER_TO_THE_MANUAL = {("close_range", "desc")}
"""Where strace 6.1 leaves out what its manual page promises."""

PROBE = f"""
import ctypes, struct
MARK = 0x5CA1AB1E
LOAD_ARGUMENT_5, EQUAL, RETURN = (0x20, 0, 0, 56), (0x15, 0, 1, MARK), 0x06
REFUSE, ALLOW = (RETURN, 0, 0, 0x00050000 | {errno.ENOSYS}), (RETURN, 0, 0, 0x7FFF0000)
program = b"".join(struct.pack("HBBI", *line) for line in (LOAD_ARGUMENT_5, EQUAL, REFUSE, ALLOW))
code = ctypes.create_string_buffer(program)
header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, header, 0, 0) == 0
zero, mark = ctypes.c_long(0), ctypes.c_long(MARK)
for number in NUMBERS:
    assert libc.syscall(ctypes.c_long(number), zero, zero, zero, zero, zero, mark) == -1
    assert ctypes.get_errno() == {errno.ENOSYS}
"""


@pytest.fixture(scope="module")
def strace_selects(tmp_path_factory):
    """A function from an expression to strace's spelling of each kernel name that strace selects by it."""
    table = {
        number: call.name
        for number, call in syscalls.machine_numbers(platform.machine()).items()
        if call.name not in NO_PROBE
    }
    script = tmp_path_factory.mktemp("probe") / "probe.py"
    script.write_text(f"NUMBERS = {sorted(table)}\n{PROBE}")

    def select(expression: str) -> dict[str, str]:
        log = script.with_name("log")
        command = ["strace", "-n", "-e", f"trace={expression}", "-o", log, sys.executable, "-I", "-S", script]
        subprocess.run(command, check=True, env={"PATH": "/usr/local/bin:/usr/bin:/bin"})
        return {table[number]: spelling for number, spelling in probes(log) if not spelling.startswith("syscall_0x")}

    return select


def probes(log: Path) -> list[tuple[int, str]]:
    """The numbers and names of the probing calls in a log of strace -n."""
    lines = re.findall(r"^\[ *(\d+)\] (\w+)\(.* = -1 ENOSYS", log.read_text(), re.MULTILINE)
    return [(int(number), name) for number, name in lines]


@pytest.fixture(scope="module")
def known_to_strace(strace_selects):
    return strace_selects("all")


def test_strace_knows_enough_to_compare(known_to_strace):
    assert len(known_to_strace) > 300


def test_our_spelling_for_strace_is_its_own(known_to_strace):
    assert known_to_strace == {name: syscalls.strace_name(name) for name in known_to_strace}


@pytest.mark.parametrize("name", sorted(selection.STRACE_CLASSES))
def test_a_class_is_what_strace_selects_by_it(name, strace_selects, known_to_strace):
    ours = selection.parse([f"%{name}"]) & known_to_strace.keys()
    theirs = set(strace_selects(f"%{name}")) | {call for call, other in CLOSER_TO_THE_MANUAL if other == name}
    assert ours == theirs
