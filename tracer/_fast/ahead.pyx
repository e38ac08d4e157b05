"""Having what the next records need in the processor's cache before they are handled.

With many threads and descriptors, tables and names are more than caches hold. A record then begins with loads that wait
for one another: the thread's process, its table, the place of the entry in it, the entry, the name. Here each of these
steps is taken for a group of records, whose loads don't wait for each other's. Nothing is changed or kept: what a
record finds, it finds itself.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t

from tracer._fast.events cimport (
    TRACER_ENTER, TRACER_EXIT, TRACER_HAS_NAME, TRACER_MAX_SYSCALLS, event_header, exit_body,
)
from tracer._fast.fdcache cimport CHUNK_ENTRIES, Entry, Table
from tracer._fast.intmap cimport find
from tracer._fast.pairer cimport Pairer, Thread
from tracer._fast.records cimport record_bytes


cdef extern from *:
    void prefetch "__builtin_prefetch" (const void *address) nogil


cdef enum:
    GROUP_USES = 16  # 8 or 32 are no faster
    GROUP_RECORDS = 2 * GROUP_USES
    MOST_TEXT_BYTES = 80  # of most texts


cdef struct Use:
    # a descriptor that a record works on or returns, and how far on the way to its name this has come; NULL: no further
    uint32_t fd
    const Thread *thread
    Entry *const *place  # of the pointer to its chunk
    const Entry *entry


cdef inline void fetch(const void *address, size_t size) noexcept nogil:
    """Ask for the lines in which the first and the last of `size` bytes lie."""
    prefetch(address)
    prefetch(<const char *> address + size - 1)


cdef Py_ssize_t fetch_ahead(Pairer pairer, const char *data, Py_ssize_t used, Py_ssize_t size) noexcept nogil:
    """Fetch what the records from byte `used` on need, a group of them; where the group ends."""
    cdef Use uses[GROUP_USES]
    cdef int count = 0
    used = find_uses(pairer, data, used, size, uses, &count)
    fetch_tables(uses, count, pairer.fd_cache.drops)
    fetch_entries(uses, count)
    fetch_names(uses, count)
    return used


cdef inline Py_ssize_t find_uses(Pairer pairer, const char *data, Py_ssize_t used, Py_ssize_t size, Use *uses,
                                 int *count) noexcept nogil:
    cdef const event_header *header
    cdef const Thread *thread = NULL
    cdef Py_ssize_t taken
    cdef uint32_t tid = 0  # the thread of no record
    cdef int32_t fd
    cdef int records = 0
    while records < GROUP_RECORDS and count[0] < GROUP_USES and used < size:
        taken = record_bytes(data + used, size - used)
        if taken == 0:
            return size
        header = <const event_header *> (data + used)
        if header.tid != tid:
            tid = header.tid
            thread = <const Thread *> find(&pairer.threads, tid)
            prefetch(thread)
        fd = used_descriptor(pairer, header)
        if fd >= 0 and thread != NULL:
            uses[count[0]] = Use(fd=<uint32_t> fd, thread=thread, place=NULL, entry=NULL)
            count[0] += 1
        used += taken
        records += 1
    return used


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


cdef inline void fetch_tables(Use *uses, int count, uint64_t drops) noexcept nogil:
    cdef int i
    for i in range(count):
        if uses[i].thread.drops == drops:  # else its process may be gone
            prefetch(uses[i].thread.process)
        else:
            uses[i].thread = NULL
    for i in range(count):
        if uses[i].thread != NULL:
            prefetch(uses[i].thread.process.table)


cdef inline void fetch_entries(Use *uses, int count) noexcept nogil:
    cdef const Table *table
    cdef int i
    for i in range(count):
        if uses[i].thread != NULL:
            table = uses[i].thread.process.table
            if uses[i].fd < <uint64_t> table.chunk_count * CHUNK_ENTRIES:
                uses[i].place = &table.chunks[uses[i].fd // CHUNK_ENTRIES]
                prefetch(uses[i].place)
    for i in range(count):
        if uses[i].place != NULL and uses[i].place[0] != NULL:
            uses[i].entry = &uses[i].place[0][uses[i].fd % CHUNK_ENTRIES]
            fetch(uses[i].entry, sizeof(Entry))


cdef inline void fetch_names(Use *uses, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if uses[i].entry != NULL and uses[i].entry.name != NULL:
            fetch(uses[i].entry.name, MOST_TEXT_BYTES)
