"""What gcc made of bpf/events.h: sizes and offsets, so that a test can hold C, Cython and Python against each other."""

from tracer._fast.events cimport (
    TRACER_ABI_VERSION, TRACER_MAX_SYSCALLS, comm_body, event_header, exec_body, exit_body, fork_body, name_body,
    name_section, path_section, syscall_rule, task_exit_body,
)

ABI_VERSION: int = TRACER_ABI_VERSION
MAX_SYSCALLS: int = TRACER_MAX_SYSCALLS


cdef Py_ssize_t distance(const void *start, const void *field) noexcept:
    return <const char *> field - <const char *> start


def sizes() -> dict[str, int]:
    """Size in bytes of every structure that crosses the boundary."""
    return {
        "event_header": sizeof(event_header),
        "exit_body": sizeof(exit_body),
        "path_section": sizeof(path_section),
        "name_section": sizeof(name_section),
        "name_body": sizeof(name_body),
        "fork_body": sizeof(fork_body),
        "exec_body": sizeof(exec_body),
        "task_exit_body": sizeof(task_exit_body),
        "comm_body": sizeof(comm_body),
        "syscall_rule": sizeof(syscall_rule),
    }


def offsets() -> dict[str, int]:
    """Offset in bytes of fields that a reader of records depends on, as `structure.field`."""
    cdef event_header header
    cdef name_section name
    cdef path_section paths
    cdef fork_body fork
    cdef exec_body exec_
    cdef syscall_rule rule
    return {
        "event_header.time_ns": distance(&header, &header.time_ns),
        "event_header.tgid": distance(&header, &header.tgid),
        "event_header.tid": distance(&header, &header.tid),
        "event_header.size": distance(&header, &header.size),
        "event_header.type": distance(&header, &header.type),
        "event_header.flags": distance(&header, &header.flags),
        "event_header.syscall": distance(&header, &header.syscall),
        "path_section.len2": distance(&paths, &paths.len2),
        "path_section.status1": distance(&paths, &paths.status1),
        "path_section.status2": distance(&paths, &paths.status2),
        "name_section.device": distance(&name, &name.device),
        "name_section.len": distance(&name, &name.len),
        "name_section.kind": distance(&name, &name.kind),
        "name_section.status": distance(&name, &name.status),
        "fork_body.clone_flags": distance(&fork, &fork.clone_flags),
        "fork_body.comm": distance(&fork, &fork.comm),
        "exec_body.comm": distance(&exec_, &exec_.comm),
        "syscall_rule.aux_kind": distance(&rule, &rule.aux_kind),
        "syscall_rule.family": distance(&rule, &rule.family),
    }
