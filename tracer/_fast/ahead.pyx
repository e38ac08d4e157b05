"""Having what the next records need in the processor's cache before they are handled.

A record of a call begins with loads that wait for one another: the thread, its process, the table, the descriptor's
entry, its name. The last two are seldom in a cache that is near. Here they are fetched for a group of records, whose
loads don't wait for each other's. Nothing is changed or kept: what a record finds, it finds itself.
"""

from libc.stdint cimport int32_t, uint64_t

from tracer._fast.events cimport (
    TRACER_ENTER, TRACER_EXIT, TRACER_HAS_NAME, TRACER_MAX_SYSCALLS, event_header, exit_body,
)
from tracer._fast.fdcache cimport Entry
from tracer._fast.intmap cimport find
from tracer._fast.pairer cimport Pairer, Thread
from tracer._fast.prefetch cimport prefetch_both_ends
from tracer._fast.records cimport record_bytes


cdef enum:
    GROUP_RECORDS = 32
    MOST_TEXT_BYTES = 80  # of most texts


cdef Py_ssize_t fetch_ahead(Pairer pairer, const char *data, Py_ssize_t used, Py_ssize_t size) noexcept nogil:
    """Fetch what the records from byte `used` on need, a group of them; where the group ends."""
    cdef const Entry *entries[GROUP_RECORDS]
    cdef const Entry *entry
    cdef Py_ssize_t taken
    cdef int i, count = 0
    for _ in range(GROUP_RECORDS):
        if used >= size:
            break
        taken = record_bytes(data + used, size - used)
        if taken == 0:
            used = size
            break
        entry = entry_of(pairer, <const event_header *> (data + used))
        if entry != NULL:
            prefetch_both_ends(entry, sizeof(Entry))
            entries[count] = entry
            count += 1
        used += taken
    for i in range(count):
        if entries[i].name != NULL:
            prefetch_both_ends(entries[i].name, MOST_TEXT_BYTES)
    return used


cdef inline const Entry *entry_of(Pairer pairer, const event_header *header) noexcept nogil:
    """Of the descriptor that a record's call works on or returns; NULL where there is none yet."""
    cdef int32_t fd = used_descriptor(pairer, header)
    cdef const Thread *thread
    if fd < 0:
        return NULL
    thread = <const Thread *> find(&pairer.threads, header.tid)
    if thread == NULL or thread.drops != pairer.fd_cache.drops:
        return NULL
    return pairer.fd_cache.slot(thread.process, fd)


cdef inline int32_t used_descriptor(Pairer pairer, const event_header *header) noexcept nogil:
    """The descriptor that the call works on, or the named one that it returns; negative if there is none."""
    cdef const char *body = <const char *> (header + 1)
    cdef uint64_t body_bytes = header.size - sizeof(event_header)
    cdef int argument
    if header.type == TRACER_ENTER and header.syscall < TRACER_MAX_SYSCALLS:
        argument = pairer.rules[header.syscall].fd_arg
        if argument >= 0 and body_bytes >= <uint64_t> (argument + 1) * sizeof(uint64_t):
            return <int32_t> (<const uint64_t *> body)[argument]
    elif header.type == TRACER_EXIT and header.flags & TRACER_HAS_NAME and body_bytes >= sizeof(exit_body):
        return <int32_t> (<const exit_body *> body).ret
    return -1
