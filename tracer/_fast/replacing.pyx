"""Calls that give a number to another file, and what that leaves in doubt (see docs/how-rows-are-made.md).

A close frees a number before it ends, an open takes one before it ends: calls that were under way meanwhile may have
meant either file, which shows in when the number got its present one. A dup2 never leaves the number free: it tells at
its begin which one it takes and at its end that it has, and a chdir the same of the working directory. Somewhere in
between the kernel does it. Another thread's call that was under way then may have meant the file before it or the one
after.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from tracer._fast.calls cimport Call, argument, descriptor_argument
from tracer._fast.events cimport (
    TRACER_CWD_FD, TRACER_EFFECT_CHDIR, TRACER_EFFECT_CHROOT, TRACER_EFFECT_CLOSE,
    TRACER_EFFECT_CLOSE_RANGE, TRACER_EFFECT_DUP2, TRACER_EFFECT_FCHDIR, syscall_rule,
)
from tracer._fast.fdcache cimport MAX_REPLACING, Entry, FdCache, Process, SOURCE_NONE, Table
from tracer._fast.text cimport Text, replace


cdef enum:
    NOTHING = -1


cdef int32_t replaced_by(const Call *call, const syscall_rule *rule) noexcept nogil:
    """The number that the call gives to another file, TRACER_CWD_FD among them."""
    cdef uint8_t effect = rule.effect
    cdef int32_t fd
    if effect == TRACER_EFFECT_DUP2:
        fd = <int32_t> call.args[1]
        return fd if fd >= 0 and fd != <int32_t> call.args[0] else NOTHING
    if effect == TRACER_EFFECT_CHDIR or effect == TRACER_EFFECT_FCHDIR or effect == TRACER_EFFECT_CHROOT:
        return TRACER_CWD_FD
    return NOTHING


cdef void begin_replacing(Call *call, const syscall_rule *rule, Process *process) noexcept nogil:
    """At enter: note what the call is going to replace, if anything."""
    cdef Table *table = process.table
    cdef int32_t fd = replaced_by(call, rule)
    if fd == NOTHING:
        return
    call.replacing_in = table
    if table.replacing < MAX_REPLACING:
        table.replaced_fds[table.replacing] = fd
    else:
        table.too_many = True
    table.replacing += 1


cdef void end_replacing(FdCache cache, const Call *call, const syscall_rule *rule) noexcept nogil:
    """At exit, or when that was lost: in the table that it began with, whichever the process has by now."""
    cdef Table *table = call.replacing_in
    cdef int32_t fd = replaced_by(call, rule)
    cdef uint32_t index = 0
    if fd == NOTHING:
        return
    table.replacing -= 1
    if not table.too_many:
        while index < table.replacing and table.replaced_fds[index] != fd:
            index += 1
        table.replaced_fds[index] = table.replaced_fds[table.replacing]
    elif table.replacing == 0:
        table.too_many = False
    cache.free_unused(table)


cdef void drop_doubtful_names(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil:
    """At exit: a name is unknown whose number was or is being replaced since the call began.

    A close keeps its: others can get the number before it ends, but only since it freed that.
    """
    if rule.effect == TRACER_EFFECT_CLOSE or rule.effect == TRACER_EFFECT_CLOSE_RANGE:
        return
    if rule.path_arg < 0:
        if rule.fd_arg >= 0 and is_in_doubt(cache, process, descriptor_argument(call, rule), call.file, call.changes):
            drop_file(call)
        return
    if not call.has_paths:
        return
    if was_directory_replaced(cache, call, 0, rule.dirfd_arg, process):
        if rule.path2_arg >= 0:
            replace(&call.old_file, NULL)
        else:
            drop_file(call)
    if rule.path2_arg >= 0 and was_directory_replaced(cache, call, 1, rule.dirfd2_arg, process):
        drop_file(call)


cdef void drop_file(Call *call) noexcept nogil:
    replace(&call.file, NULL)
    call.source = SOURCE_NONE


cdef bint was_directory_replaced(FdCache cache, const Call *call, int which, int dirfd_arg,
                                 Process *process) noexcept nogil:
    """Whether a path was put behind the name of a directory that is in doubt."""
    cdef int32_t fd = <int32_t> argument(call, dirfd_arg) if dirfd_arg >= 0 else TRACER_CWD_FD
    return is_in_doubt(cache, process, fd, call.paths[which].directory, call.changes)


cdef bint is_in_doubt(FdCache cache, Process *process, int32_t fd, const Text *name, uint64_t changes) noexcept nogil:
    """Whether a number may have meant another file than that of the name (NULL: none) since so many changes."""
    cdef const Table *table = process.table
    cdef const Entry *entry
    cdef uint32_t index
    if name == NULL:
        return False
    if table.too_many:
        return True
    for index in range(table.replacing):
        if table.replaced_fds[index] == fd:
            return True
    if fd == TRACER_CWD_FD:
        return process.cwd_change > changes
    entry = cache.entry(process, fd)
    return entry == NULL or entry.bound_change > changes
