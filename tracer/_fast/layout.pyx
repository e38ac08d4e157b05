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
    """Offset in bytes of every field that is not reserved, as `structure.field`."""
    cdef event_header header
    cdef exit_body exit_
    cdef path_section paths
    cdef name_section name
    cdef name_body names
    cdef fork_body fork
    cdef exec_body exec_
    cdef task_exit_body end
    cdef comm_body comm
    cdef syscall_rule rule
    return {
        "event_header.time_ns": distance(&header, &header.time_ns),
        "event_header.tgid": distance(&header, &header.tgid),
        "event_header.tid": distance(&header, &header.tid),
        "event_header.size": distance(&header, &header.size),
        "event_header.type": distance(&header, &header.type),
        "event_header.flags": distance(&header, &header.flags),
        "event_header.syscall": distance(&header, &header.syscall),
        "exit_body.ret": distance(&exit_, &exit_.ret),
        "path_section.len1": distance(&paths, &paths.len1),
        "path_section.len2": distance(&paths, &paths.len2),
        "path_section.status1": distance(&paths, &paths.status1),
        "path_section.status2": distance(&paths, &paths.status2),
        "name_section.inode": distance(&name, &name.inode),
        "name_section.device": distance(&name, &name.device),
        "name_section.len": distance(&name, &name.len),
        "name_section.kind": distance(&name, &name.kind),
        "name_section.status": distance(&name, &name.status),
        "name_body.fd": distance(&names, &names.fd),
        "fork_body.child_tgid": distance(&fork, &fork.child_tgid),
        "fork_body.child_tid": distance(&fork, &fork.child_tid),
        "fork_body.clone_flags": distance(&fork, &fork.clone_flags),
        "fork_body.comm": distance(&fork, &fork.comm),
        "exec_body.old_tid": distance(&exec_, &exec_.old_tid),
        "exec_body.comm": distance(&exec_, &exec_.comm),
        "task_exit_body.group_dead": distance(&end, &end.group_dead),
        "comm_body.comm": distance(&comm, &comm.comm),
        "syscall_rule.flags": distance(&rule, &rule.flags),
        "syscall_rule.nargs": distance(&rule, &rule.nargs),
        "syscall_rule.fd_arg": distance(&rule, &rule.fd_arg),
        "syscall_rule.path_arg": distance(&rule, &rule.path_arg),
        "syscall_rule.path2_arg": distance(&rule, &rule.path2_arg),
        "syscall_rule.dirfd_arg": distance(&rule, &rule.dirfd_arg),
        "syscall_rule.dirfd2_arg": distance(&rule, &rule.dirfd2_arg),
        "syscall_rule.flags_arg": distance(&rule, &rule.flags_arg),
        "syscall_rule.size_arg": distance(&rule, &rule.size_arg),
        "syscall_rule.offset_arg": distance(&rule, &rule.offset_arg),
        "syscall_rule.aux_arg": distance(&rule, &rule.aux_arg),
        "syscall_rule.nfds_arg": distance(&rule, &rule.nfds_arg),
        "syscall_rule.timeout_arg": distance(&rule, &rule.timeout_arg),
        "syscall_rule.aux_kind": distance(&rule, &rule.aux_kind),
        "syscall_rule.effect": distance(&rule, &rule.effect),
        "syscall_rule.byte_class": distance(&rule, &rule.byte_class),
        "syscall_rule.byte_rule": distance(&rule, &rule.byte_rule),
        "syscall_rule.empty_path": distance(&rule, &rule.empty_path),
        "syscall_rule.quantity": distance(&rule, &rule.quantity),
        "syscall_rule.family": distance(&rule, &rule.family),
        "syscall_rule.no_fd_arg": distance(&rule, &rule.no_fd_arg),
        "syscall_rule.no_fd_bit": distance(&rule, &rule.no_fd_bit),
        "syscall_rule.writes": distance(&rule, &rule.writes),
        "syscall_rule.size_type": distance(&rule, &rule.size_type),
    }
