"""What a call that succeeded does to descriptors, directories and the break (see docs/how-rows-are-made.md)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from tracer._fast.calls cimport Call, argument
from tracer._fast.events cimport (
    TRACER_AUX_OPEN_HOW, TRACER_BPF_COMMON_ATTRS, TRACER_BPF_RETURNS_FD, TRACER_EFFECT_BPF, TRACER_EFFECT_CHDIR,
    TRACER_EFFECT_CHROOT, TRACER_EFFECT_CLOSE, TRACER_EFFECT_CLOSE_RANGE, TRACER_EFFECT_DUP, TRACER_EFFECT_DUP2,
    TRACER_EFFECT_FCHDIR, TRACER_EFFECT_FCNTL, TRACER_EFFECT_FD_PAIR, TRACER_EFFECT_IOCTL, TRACER_EFFECT_LANDLOCK,
    TRACER_EFFECT_NEW_FD, TRACER_EFFECT_OPEN, TRACER_EFFECT_RING, TRACER_EFFECT_SIGNALFD, TRACER_EFFECT_UNSHARE,
    exit_body, syscall_rule,
)
from tracer._fast.fdcache cimport (
    CLOEXEC_SET, CLOEXEC_UNKNOWN, CLOEXEC_UNSET, Entry, FdCache, Process, SOURCE_FD, SOURCE_KERNEL, SOURCE_NONE,
)
from tracer._fast.names cimport is_closed, section_cloexec, section_identity
from tracer._fast.paths cimport spell_name
from tracer._fast.records cimport Parts
from tracer._fast.replacing cimport frees_one, is_calls_own, is_contradicted, settle
from tracer._fast.text cimport Text, drop, replace, share


cdef enum:
    ERRNO_BADF = -9

    CLONE_FILES = 0x400  # include/uapi/linux/sched.h
    F_DUPFD = 0  # include/uapi/linux/fcntl.h
    F_SETFD = 2
    F_DUPFD_CLOEXEC = 1030
    FD_CLOEXEC = 1
    FIONCLEX = 0x5450  # include/uapi/asm-generic/ioctls.h
    FIOCLEX = 0x5451
    O_CLOEXEC = 0x80000
    O_TMPFILE_BIT = 0x400000  # O_TMPFILE without O_DIRECTORY, whose bit differs between machines
    CLOSE_RANGE_UNSHARE = 2
    CLOSE_RANGE_CLOEXEC = 4


cdef void apply_effect(FdCache cache, Call *call, const syscall_rule *rule, Process *process,
                       const Parts *parts) noexcept nogil:
    """Change the process's tables as the call did; set the call's file where it returned a descriptor."""
    cdef uint8_t effect = rule.effect
    if effect == TRACER_EFFECT_CLOSE:
        if call.ret != ERRNO_BADF:
            apply_close(cache, call, process)
        return
    if call.ret < 0:
        return
    if makes_descriptor(call, effect, parts):
        bind_returned(cache, call, rule, process, parts)
    elif effect == TRACER_EFFECT_DUP:
        duplicate(cache, call, process, call.ret, CLOEXEC_UNSET, parts)
    elif effect == TRACER_EFFECT_DUP2:
        apply_dup2(cache, call, rule, process, parts)
    elif effect == TRACER_EFFECT_FCNTL:
        apply_fcntl(cache, call, process, parts)
    elif effect == TRACER_EFFECT_IOCTL:
        apply_ioctl(cache, call, process)
    elif effect == TRACER_EFFECT_CLOSE_RANGE:
        apply_close_range(cache, call, rule, process)
    elif effect == TRACER_EFFECT_FD_PAIR:
        bind_pair(cache, call, rule, process, parts)
    elif effect == TRACER_EFFECT_CHDIR or effect == TRACER_EFFECT_FCHDIR or effect == TRACER_EFFECT_CHROOT:
        change_directory(call, effect, process)
        process.cwd_changed_ns = call.exit_ns
        process.cwd_change = cache.changes
    elif effect == TRACER_EFFECT_UNSHARE:
        if call.args[0] & CLONE_FILES:
            cache.unshare_table(process)


cdef void bind_unseen(FdCache cache, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
    """Name the descriptor that a call made whose begin is not known: only its exit tells of it."""
    cdef int64_t fd = (<const exit_body *> parts.body).ret
    if rule.effect == TRACER_EFFECT_FD_PAIR:
        fd = (<const int32_t *> parts.aux)[0] if parts.aux != NULL else -1
    cache.changes += 1
    bind_made(cache, process, fd, spell_name(cache.texts, parts.name, parts.name_text),
              section_cloexec(parts.name, CLOEXEC_UNKNOWN), parts.header.time_ns, parts)
    process.table.last_change = cache.changes


cdef void move_break(Call *call, Process *process) noexcept nogil:
    """Note how far a brk moved the break since the process's last one that is known."""
    if call.ret < 0:
        return
    if process.brk_known:
        call.space_bytes = call.ret - process.brk if call.ret > process.brk else process.brk - call.ret
    process.brk = call.ret
    process.brk_known = True


cdef bint makes_descriptor(const Call *call, uint8_t effect, const Parts *parts) noexcept nogil:
    """Whether the result is a new descriptor that no argument names."""
    if effect == TRACER_EFFECT_LANDLOCK:
        return <uint32_t> call.args[2] == 0
    if effect == TRACER_EFFECT_SIGNALFD:
        return <int32_t> call.args[0] == -1
    if effect == TRACER_EFFECT_BPF:
        return bpf_returns_fd(<uint32_t> call.args[0])
    if effect == TRACER_EFFECT_RING:
        return parts.name != NULL
    return effect == TRACER_EFFECT_OPEN or effect == TRACER_EFFECT_NEW_FD


cdef bint bpf_returns_fd(uint32_t command) noexcept nogil:
    command &= ~<uint32_t> TRACER_BPF_COMMON_ATTRS
    return command < 64 and TRACER_BPF_RETURNS_FD >> command & 1


cdef void bind_returned(FdCache cache, Call *call, const syscall_rule *rule, Process *process,
                        const Parts *parts) noexcept nogil:
    """The returned number is a new descriptor: named by the exit, or by the path that was opened, or unknown."""
    cdef uint64_t flags = argument(call, rule.flags_arg)
    cdef bint opened = rule.effect == TRACER_EFFECT_OPEN
    cdef bint flags_known = opened
    cdef uint8_t cloexec = CLOEXEC_UNKNOWN
    cdef Text *name = NULL
    cdef bint is_known = not is_contradicted(cache, call, process, call.ret) and not is_closed(parts.name)
    cdef bint is_ours
    if is_known:
        name = spell_name(cache.texts, parts.name, parts.name_text)
    settle(process.table, call.ret)
    is_ours = is_calls_own(cache, call, process, call.ret)
    if rule.aux_kind == TRACER_AUX_OPEN_HOW:
        flags = call.aux[0]
        flags_known = call.has_aux
    if flags_known:
        cloexec = CLOEXEC_SET if flags & O_CLOEXEC else CLOEXEC_UNSET
    cloexec = section_cloexec(parts.name, cloexec)
    if call.ret <= 0x7FFFFFFF:
        call.returned_fd = <int32_t> call.ret
    if name != NULL:
        bind_made(cache, process, call.ret, share(name), cloexec, call.exit_ns, parts)
    elif is_known and opened and call.file != NULL and not flags & O_TMPFILE_BIT:
        cache.bind(process, call.ret, share(call.file), SOURCE_FD, cloexec, call.exit_ns)
    else:
        cache.forget(process, call.ret, call.exit_ns)
    name_made(call, rule, name if is_ours else NULL, parts)
    if not is_ours and opened and flags & O_TMPFILE_BIT:
        replace(&call.file, NULL)  # it was asked for by a directory
        call.source = SOURCE_NONE
    drop(name)


cdef void bind_made(FdCache cache, Process *process, int64_t fd, Text *name, uint8_t cloexec, uint64_t now_ns,
                    const Parts *parts) noexcept nogil:
    """A number is called what the exit says of the call that made it. Takes the name over."""
    cache.bind(process, fd, name, SOURCE_KERNEL, cloexec, now_ns)
    cache.identify(process, fd, section_identity(parts.name))


cdef void name_made(Call *call, const syscall_rule *rule, Text *name, const Parts *parts) noexcept nogil:
    """The call's file is that of the number that it made; unknown (NULL) it is the path that it was asked for."""
    if name != NULL:
        replace(&call.file, share(name))
        call.source = SOURCE_KERNEL
        call.identity = section_identity(parts.name)
    elif rule.path_arg < 0:  # an accept's row is not about the listener
        replace(&call.file, NULL)
        call.source = SOURCE_NONE


cdef void apply_close(FdCache cache, const Call *call, Process *process) noexcept nogil:
    """The number is free, unless it had a file when the close began and has got another one since.

    One of the same name is the one that was closed, for all that is known: of an open that had not told of it yet.
    """
    cdef int32_t fd = <int32_t> call.args[0]
    cdef const Entry *entry = cache.entry(process, fd)
    if call.is_settled:
        return
    if entry == NULL or entry.bound_change <= call.changes or call.contested or not is_other_name(entry, call.file):
        cache.forget(process, fd, call.exit_ns)
    if call.contested or not call.frees_made:
        cache.note_doubt(process, fd, call.exit_ns)


cdef bint is_other_name(const Entry *entry, const Text *before) noexcept nogil:
    cdef const Text *name = entry.name
    return before != NULL and (name.size != before.size or memcmp(name.data, before.data, name.size) != 0)


cdef void duplicate(FdCache cache, const Call *call, Process *process, int64_t fd, uint8_t cloexec,
                    const Parts *parts) noexcept nogil:
    """A number becomes a copy of argument 0."""
    cdef Text *name
    cloexec = section_cloexec(parts.name, cloexec)
    if is_contradicted(cache, call, process, fd) or is_closed(parts.name):
        cache.forget(process, fd, call.exit_ns)
        return
    if fd == call.ret and call.replaced_id == 0:  # it was free
        settle(process.table, fd)
    name = spell_name(cache.texts, parts.name, parts.name_text)
    if name != NULL:
        bind_made(cache, process, fd, name, cloexec, call.exit_ns, parts)
    else:
        cache.copy_entry(process, <int32_t> call.args[0], fd, cloexec, call.exit_ns)


cdef void apply_dup2(FdCache cache, const Call *call, const syscall_rule *rule, Process *process,
                     const Parts *parts) noexcept nogil:
    cdef bint marked = argument(call, rule.flags_arg) & O_CLOEXEC
    cdef int32_t fd = <int32_t> call.args[1]
    if fd == <int32_t> call.args[0]:
        return
    if call.contested:
        cache.forget(process, fd, call.exit_ns)
    else:
        duplicate(cache, call, process, fd, CLOEXEC_SET if marked else CLOEXEC_UNSET, parts)
    cache.note_doubt(process, fd, call.exit_ns)


cdef void apply_fcntl(FdCache cache, const Call *call, Process *process, const Parts *parts) noexcept nogil:
    cdef uint32_t command = <uint32_t> call.args[1]
    if command == F_DUPFD or command == F_DUPFD_CLOEXEC:
        duplicate(cache, call, process, call.ret, CLOEXEC_SET if command == F_DUPFD_CLOEXEC else CLOEXEC_UNSET, parts)
    elif command == F_SETFD and call.ret == 0:
        cache.mark(process, <int32_t> call.args[0], CLOEXEC_SET if call.args[2] & FD_CLOEXEC else CLOEXEC_UNSET)


cdef void apply_ioctl(FdCache cache, const Call *call, Process *process) noexcept nogil:
    cdef uint32_t request = <uint32_t> call.args[1]
    if call.ret == 0 and (request == FIOCLEX or request == FIONCLEX):
        cache.mark(process, <int32_t> call.args[0], CLOEXEC_SET if request == FIOCLEX else CLOEXEC_UNSET)


cdef void apply_close_range(FdCache cache, const Call *call, const syscall_rule *rule,
                            Process *process) noexcept nogil:
    if call.args[2] & CLOSE_RANGE_UNSHARE and not cache.unshare_table(process):
        return
    if frees_one(call, rule):
        apply_close(cache, call, process)
        return
    cache.close_range(process, <uint32_t> call.args[0], <uint32_t> call.args[1],
                      (call.args[2] & CLOSE_RANGE_CLOEXEC) != 0, call.exit_ns)


cdef void bind_pair(FdCache cache, Call *call, const syscall_rule *rule, Process *process,
                    const Parts *parts) noexcept nogil:
    """Two new descriptors; the exit's name is the first one's."""
    cdef int32_t first, second
    cdef bint is_ours
    cdef Text *name = NULL
    if call.ret != 0 or parts.aux == NULL:
        return
    first = (<const int32_t *> parts.aux)[0]
    second = (<const int32_t *> parts.aux)[1]
    if not is_contradicted(cache, call, process, first):
        name = spell_name(cache.texts, parts.name, parts.name_text)
    settle(process.table, first)
    settle(process.table, second)
    is_ours = is_calls_own(cache, call, process, first)
    cache.forget(process, first, call.exit_ns)
    cache.forget(process, second, call.exit_ns)
    cache.note_made(process, second)
    call.returned_fd = first
    if name != NULL:
        bind_made(cache, process, first, share(name), section_cloexec(parts.name, CLOEXEC_UNKNOWN), call.exit_ns, parts)
    name_made(call, rule, name if is_ours else NULL, parts)
    drop(name)


cdef void change_directory(const Call *call, uint8_t effect, Process *process) noexcept nogil:
    """chdir, fchdir or chroot: the working directory is the call's file now, if that is a path, or unknown."""
    cdef bint known = effect == TRACER_EFFECT_FCHDIR
    if effect == TRACER_EFFECT_CHDIR:
        known = call.file != NULL and call.file.size > 0 and call.file.data[0] == c"/"
    replace(&process.cwd, share(call.file) if known else NULL)
