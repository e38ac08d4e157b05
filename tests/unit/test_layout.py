"""The wire format is one thing: C (with either kind of types), Cython and the tests' Python read bpf/events.h alike."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest
import wire

from tracer import syscalls
from tracer._fast import layout
from tracer.capture import kernel

HEADER = Path(__file__).parents[2] / "bpf" / "events.h"
NUMBERS = {"tr_u8": "B", "tr_s8": "b", "tr_u16": "H", "tr_u32": "I", "tr_s32": "i", "tr_u64": "Q", "tr_s64": "q"}
PACKED = {
    "event_header": wire._HEADER,
    "path_section": wire._PATHS,
    "name_section": wire._NAME,
    "name_body": wire._NAME_BODY,
    "fork_body": wire._FORK,
    "exec_body": wire._EXEC,
    "task_exit_body": wire._TASK_EXIT,
    "syscall_rule": wire._RULE,
}


def structures() -> dict[str, list[tuple[str, str, int]]]:
    """Every structure of the header that travels: its fields, each with its C type and how many of it there are."""
    text = HEADER.read_text()
    counts = {name: int(value) for name, value in re.findall(r"#define (TRACER_\w+) (\d+)", text)}
    return {
        name: [
            (field, kind, int(counts.get(count, count or 1)))
            for kind, field, count in re.findall(r"^\t(tr_\w+) (\w+)(?:\[(\w+)\])?;", body, re.MULTILINE)
        ]
        for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.MULTILINE | re.DOTALL)
        if name in layout.sizes()
    }


STRUCTURES = structures()


def as_struct(name: str, fields: int | None = None) -> struct.Struct:
    """The structure's first fields as Python packs them, without padding of its own."""
    return struct.Struct("=" + "".join(f"{count}{NUMBERS[kind]}" for _, kind, count in STRUCTURES[name][:fields]))


def test_cython_knows_every_structure_and_field() -> None:
    named = {f"{name}.{field}" for name, fields in STRUCTURES.items() for field, *_ in fields if field != "reserved"}
    assert len(STRUCTURES) == len(layout.sizes()) == 10
    assert named == set(layout.offsets())


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_nothing_is_padded_where_the_header_does_not_say(name: str) -> None:
    assert layout.sizes()[name] == as_struct(name).size
    ours = {f"{name}.{field}": as_struct(name, n).size for n, (field, *_) in enumerate(STRUCTURES[name])}
    found = {key: offset for key, offset in layout.offsets().items() if key.startswith(f"{name}.")}
    assert found == {key: ours[key] for key in found}


@pytest.mark.parametrize("name", sorted(PACKED))
def test_the_tests_own_codec_packs_the_same_fields(name: str) -> None:
    fields = [NUMBERS[kind] * count for _, kind, count in STRUCTURES[name]]
    codes = "".join(fields)
    spelled = re.sub(r"(\d+)([a-zA-Z])", lambda found: found[2] * int(found[1]), PACKED[name].format[1:])
    assert PACKED[name].size == layout.sizes()[name]
    assert spelled.replace("x", "B").replace("s", "B") == codes


@pytest.mark.parametrize("compiler", [["gcc"], ["gcc", "-DTRACER_BPF"]])
def test_both_kinds_of_types_give_the_same_offsets(compiler: list[str]) -> None:
    claims = [f"_Static_assert(sizeof(struct {name}) == {size});" for name, size in layout.sizes().items()]
    for place, offset in layout.offsets().items():
        name, field = place.split(".")
        claims.append(f"_Static_assert(__builtin_offsetof(struct {name}, {field}) == {offset});")
    source = "\n".join([HEADER.read_text(), *claims])
    command = [*compiler, "-x", "c", "-std=c2x", "-fsyntax-only", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numbers_that_both_sides_must_agree_on() -> None:
    assert layout.MAX_SYSCALLS == wire.MAX_SYSCALLS
    assert f"#define TRACER_ABI_VERSION {layout.ABI_VERSION}\n" in HEADER.read_text()


def enumerated(header: str, name: str) -> list[str]:
    """The names of an enum of one of the kernel program's headers, whose numbers count from 0."""
    text = (HEADER.parent / header).read_text()
    (body,) = re.findall(rf"^enum {name} \{{\n(.*?)^\}};", text, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\t(\w+) = (\d+),", body, re.MULTILINE)
    assert [int(number) for _, number in found] == list(range(len(found)))
    return [name for name, _ in found]


def test_stages_stand_where_the_kernel_program_jumps_to() -> None:
    *stages, count = enumerated("state.bpf.h", "stage")
    assert count == "STAGE_COUNT"
    assert stages == [f"STAGE_{name.upper()}" for name in kernel.STAGES]


def test_causes_of_loss_stand_where_the_kernel_program_counts_them() -> None:
    *causes, count = enumerated("events.h", "tracer_loss")
    assert count == "TRACER_LOSS_COUNT"
    assert causes == [f"TRACER_LOSS_{name.removesuffix('_call').upper()}" for name in kernel.LOSS_CAUSES]


def test_filters_are_what_the_kernel_program_takes_them_for() -> None:
    text = HEADER.read_text()
    flags = {name: int(value, 16) for name, value in re.findall(r"#define TRACER_(FILTER_\w+) (0x\w+)", text)}
    assert flags == {name: value for name, value in vars(kernel).items() if name in flags}
    assert len(flags) == 8
    (body,) = re.findall(r"^struct filter_config \{\n(.*?)^\};", text, re.MULTILINE | re.DOTALL)
    fields = re.findall(r"^\t(tr_\w+) \w+(\[TRACER_COMM_BYTES\])?;", body, re.MULTILINE)
    codes = "".join("16s" if many else NUMBERS[kind] for kind, many in fields)
    assert kernel.FILTER_FORMAT.format == f"={codes}"


def test_32_bit_programs_rename_with_the_same_calls() -> None:
    text = (HEADER.parent / "compat.bpf.h").read_text()
    numbers = {name: int(number) for number, name in re.findall(r"^\tcase (\d+): +/\* (\w+) \*/", text, re.MULTILINE)}
    renaming = {call.name for call in syscalls.TABLE if call.flags & syscalls.Rule.RENAMES}
    assert set(numbers) - {"ioctl", "umount2"} == renaming - {"ioctl"}
    assert numbers["umount2"] == 52, "which the table calls umount"
