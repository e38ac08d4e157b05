"""Calls that free a number or give it to another file, and what that leaves in doubt (see docs/how-rows-are-made.md).

A close, a dup2 and a chdir tell at their begin what they take, and at their end that they have. Somewhere in between
the kernel does it. Another thread's call that was under way then may have meant the file before it or the one after.
Where several such calls are under way for one number nobody can tell in which order the kernel did them. An open takes
a number that is told only at its end; what it found there by then tells whether it came before others.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from tracer._fast.calls cimport Call, argument, descriptor_argument
from tracer._fast.events cimport (
    TRACER_CWD_FD, TRACER_EFFECT_CHDIR, TRACER_EFFECT_CHROOT, TRACER_EFFECT_CLOSE,
    TRACER_EFFECT_CLOSE_RANGE, TRACER_EFFECT_DUP2, TRACER_EFFECT_FCHDIR, syscall_rule,
)
from tracer._fast.fdcache cimport MAX_REPLACING, Entry, FdCache, Process, Replaced, SOURCE_NONE, Table
from tracer._fast.text cimport Text, replace


cdef enum:
    NOTHING = -1
    CLOSE_RANGE_CLOEXEC = 4  # include/uapi/linux/close_range.h


cdef inline int64_t key_of(int32_t fd, const Call *call) noexcept nogil:
    """What `Replaced` calls a number, or the working directory, which is one's own in a table that processes share."""
    return fd if fd != TRACER_CWD_FD else TRACER_CWD_FD - <int64_t> call.tgid


cdef bint frees_range(const Call *call, const syscall_rule *rule) noexcept nogil:
    """Whether it is a close_range that does not only mark."""
    return rule.effect == TRACER_EFFECT_CLOSE_RANGE and not call.args[2] & CLOSE_RANGE_CLOEXEC


cdef bint frees_many(const Call *call, const syscall_rule *rule) noexcept nogil:
    return frees_range(call, rule) and <uint32_t> call.args[0] < <uint32_t> call.args[1]


cdef bint frees_one(const Call *call, const syscall_rule *rule) noexcept nogil:
    return rule.effect == TRACER_EFFECT_CLOSE or (
        frees_range(call, rule) and <uint32_t> call.args[0] == <uint32_t> call.args[1])


cdef int64_t replaced_by(const Call *call, const syscall_rule *rule) noexcept nogil:
    """The number (or working directory) that the call frees or gives to another file, as `key_of` has it."""
    cdef uint8_t effect = rule.effect
    cdef int32_t fd
    if frees_one(call, rule):
        fd = <int32_t> call.args[0]
        return fd if fd >= 0 else NOTHING
    if effect == TRACER_EFFECT_DUP2:
        fd = <int32_t> call.args[1]
        return fd if fd >= 0 and fd != <int32_t> call.args[0] else NOTHING
    if effect == TRACER_EFFECT_CHDIR or effect == TRACER_EFFECT_FCHDIR or effect == TRACER_EFFECT_CHROOT:
        return key_of(TRACER_CWD_FD, call)
    return NOTHING


cdef bint is_in_ranges(const Table *table, int64_t what) noexcept nogil:
    return table.ranges > 0 and table.range_first <= what <= table.range_last


cdef Replaced *find_replaced(Table *table, int64_t what) noexcept nogil:
    cdef uint32_t index
    for index in range(table.replaced_count):
        if table.replaced[index].what == what:
            return &table.replaced[index]
    return NULL


cdef void remove_replaced(Table *table, Replaced *found) noexcept nogil:
    table.replaced_count -= 1
    found[0] = table.replaced[table.replaced_count]


cdef bint is_replaced(Table *table, int64_t what) noexcept nogil:
    """Whether calls under way free the number or give it to another file, or may do so."""
    if table.replacing == 0:
        return False
    return table.too_many or is_in_ranges(table, what) or find_replaced(table, what) != NULL


cdef void begin_replacing(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil:
    """At enter: note what the call is going to replace, if anything."""
    cdef Table *table = process.table
    cdef int64_t what = replaced_by(call, rule)
    cdef Replaced *found
    call.contested = call.is_settled = call.frees_made = False
    call.replaced_id = 0
    if frees_many(call, rule):
        call.replacing_in = table
        table.replacing += 1
        begin_range(table, <uint32_t> call.args[0], <uint32_t> call.args[1])
    if what == NOTHING:
        return
    call.replacing_in = table
    table.replacing += 1
    table.giving += rule.effect == TRACER_EFFECT_DUP2
    call.frees_made = frees_one(call, rule) and is_made(cache, process, what)
    found = find_replaced(table, what)
    if found == NULL and table.replaced_count == MAX_REPLACING:
        table.too_many = True
        return
    if found == NULL:
        table.last_id += 1
        found = &table.replaced[table.replaced_count]
        table.replaced_count += 1
        found[0] = Replaced(what=what, id=table.last_id, calls=0, contested=False, was_made=call.frees_made)
    call.replaced_id = found.id
    found.contested |= found.calls > 0 or is_in_ranges(table, what)
    found.calls += 1


cdef bint is_made(FdCache cache, const Process *process, int64_t fd) noexcept nogil:
    cdef const Entry *slot = cache.slot(process, fd)
    return slot != NULL and slot.is_made


cdef void begin_range(Table *table, uint32_t first, uint32_t last) noexcept nogil:
    cdef uint32_t index
    table.range_first = min(first, table.range_first) if table.ranges > 0 else first
    table.range_last = max(last, table.range_last) if table.ranges > 0 else last
    table.ranges += 1
    for index in range(table.replaced_count):
        table.replaced[index].contested |= is_in_ranges(table, table.replaced[index].what)


cdef void end_replacing(FdCache cache, Call *call, const syscall_rule *rule) noexcept nogil:
    """At exit, or when that was lost: in the table that it began with, whichever the process has by now."""
    cdef Table *table = call.replacing_in
    cdef int64_t what = replaced_by(call, rule)
    cdef Replaced *found
    cdef bint is_range = frees_many(call, rule)
    if what == NOTHING and not is_range:
        return
    table.replacing -= 1
    table.ranges -= is_range
    table.giving -= rule.effect == TRACER_EFFECT_DUP2
    found = find_replaced(table, what)
    if found != NULL and found.id != call.replaced_id:
        found = NULL  # another time's
    call.is_settled = found == NULL and call.replaced_id != 0
    call.contested = not call.is_settled and (table.too_many or found == NULL or found.contested)
    if table.replacing == 0:
        table.replaced_count = 0
        table.too_many = False
    elif not table.too_many and found != NULL:
        found.calls -= 1
        if found.calls == 0:
            remove_replaced(table, found)
    cache.free_unused(table)


cdef void drop_doubtful_names(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil:
    """At exit: a name is unknown whose number was or is being replaced since the call began, or may have been by a
    process of which only the kernel program knows that it shares the table.

    A call that frees one number keeps its, unless others had it to free or to replace: nobody else does before.
    """
    if frees_one(call, rule):
        if call.contested or call.is_unsure:
            drop_file(call)
        return
    if rule.path_arg < 0:
        if rule.fd_arg >= 0 and is_in_doubt(cache, call, process, descriptor_argument(call, rule), call.file):
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
    return is_in_doubt(cache, call, process, fd, call.paths[which].directory)


cdef bint is_in_doubt(FdCache cache, const Call *call, Process *process, int32_t fd, const Text *name) noexcept nogil:
    """Whether a number may have meant another file than that of the name (NULL: none) since the call began."""
    cdef const Entry *entry
    if name == NULL:
        return False
    if call.is_unsure or is_replaced(process.table, key_of(fd, call)):
        return True
    if fd == TRACER_CWD_FD:
        return process.cwd_change > call.changes
    entry = cache.entry(process, fd)
    return entry == NULL or entry.bound_change > call.changes


cdef bint is_contradicted(FdCache cache, const Call *call, Process *process, int64_t fd) noexcept nogil:
    """At the exit of a call that returns a number: whether another one gave that a file since this one began, and none
    is known to have freed it. Then nobody can tell which of them the kernel did last."""
    cdef const Entry *entry = cache.entry(process, fd)
    return entry != NULL and entry.bound_change > call.changes and not is_replaced(process.table, <int32_t> fd)


cdef void settle(Table *table, int64_t fd) noexcept nogil:
    """A call got a number. If another one is freeing it, of which is known what it frees, and nobody else is, that has
    been done: nothing is in doubt any more, however long the rest of it takes (a close sends what is left, say)."""
    cdef Replaced *found = find_replaced(table, fd) if table.replacing > 0 else NULL
    if found != NULL and found.calls == 1 and found.was_made and not found.contested and not table.too_many:
        remove_replaced(table, found)


cdef bint is_calls_own(FdCache cache, const Call *call, Process *process, int64_t fd) noexcept nogil:
    """At the exit of a call that made a number, and when that is settled: whether its file is the one which was made.

    By the time at which its name was read, after the call's end, others may have closed it, or given it another file.
    """
    cdef Table *table = process.table
    cdef const Entry *slot = cache.slot(process, fd)
    if table.replacing > 0 and (find_replaced(table, fd) != NULL or is_in_ranges(table, fd)
                                or (table.too_many and table.giving > 0)):
        return False
    return table.range_end_ns <= call.enter_ns and (slot == NULL or slot.doubt_ns <= call.enter_ns)


cdef bint was_made_before(FdCache cache, const Call *call, const syscall_rule *rule,
                          const Process *process) noexcept nogil:
    """Whether a call had made the number that this one works on, and told of it, before this one began."""
    cdef int32_t fd = descriptor_argument(call, rule) if rule.path_arg < 0 else -1
    return is_made(cache, process, fd) and cache.changed_ns(process, fd) <= call.enter_ns
