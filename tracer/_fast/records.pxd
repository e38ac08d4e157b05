"""Taking a record apart, with every length checked: what comes in may be anything."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from tracer._fast.events cimport (
    TRACER_AUX_BYTES, TRACER_COMM, TRACER_ENTER, TRACER_EXEC, TRACER_EXIT, TRACER_FORK, TRACER_HAS_AUX, TRACER_HAS_NAME,
    TRACER_HAS_PATHS, TRACER_MAX_ARGS, TRACER_NAME, TRACER_NARGS_MASK, TRACER_TASK_EXIT, comm_body, event_header,
    exec_body, exit_body, fork_body, name_body, name_section, path_section, task_exit_body,
)


cdef struct Parts:
    const event_header *header
    const char *body
    uint32_t nargs
    const uint64_t *aux
    const path_section *paths
    const char *text1  # only where there are paths
    const char *text2
    const name_section *name
    const char *name_text


cdef inline Py_ssize_t record_end(const char *data, Py_ssize_t start, Py_ssize_t size) noexcept nogil:
    """Where the record at `start` of a block of `size` bytes ends, padding included; -1 if it is not all there."""
    cdef const event_header *header = <const event_header *> (data + start)
    if size - start < <Py_ssize_t> sizeof(event_header):
        return -1
    if header.size < sizeof(event_header) or header.size > size - start:
        return -1
    return min(start + ((header.size + 7) & ~7), size)


cdef inline uint32_t body_size(const event_header *header) noexcept nogil:
    """Size of the fixed body by type; 0xffff for a type that is not known."""
    if header.type == TRACER_ENTER:
        return (header.flags & TRACER_NARGS_MASK) * 8
    if header.type == TRACER_EXIT:
        return sizeof(exit_body)
    if header.type == TRACER_NAME:
        return sizeof(name_body)
    if header.type == TRACER_FORK:
        return sizeof(fork_body)
    if header.type == TRACER_EXEC:
        return sizeof(exec_body)
    if header.type == TRACER_TASK_EXIT:
        return sizeof(task_exit_body)
    if header.type == TRACER_COMM:
        return sizeof(comm_body)
    return 0xFFFF


cdef inline bint take_paths(Parts *parts, const char *record, uint32_t size, uint32_t *used) noexcept nogil:
    if used[0] + sizeof(path_section) > size:
        return False
    parts.paths = <const path_section *> (record + used[0])
    used[0] += sizeof(path_section)
    parts.text1 = record + used[0]
    used[0] += parts.paths.len1
    parts.text2 = record + used[0]
    used[0] += parts.paths.len2
    return used[0] <= size


cdef inline bint take_name(Parts *parts, const char *record, uint32_t size, uint32_t *used) noexcept nogil:
    if used[0] + sizeof(name_section) > size:
        return False
    parts.name = <const name_section *> (record + used[0])
    used[0] += sizeof(name_section)
    parts.name_text = record + used[0]
    used[0] += parts.name.len
    return used[0] <= size


cdef inline bint take_apart(const char *record, Parts *parts) noexcept nogil:
    """Find the parts of a record whose header and `size` bytes are there; False if its size does not fit its contents.

    `record` must be aligned to 8 bytes.
    """
    cdef const event_header *header = <const event_header *> record
    cdef uint32_t used = sizeof(event_header)
    cdef uint8_t flags = header.flags
    parts.header = header
    parts.body = record + used
    parts.nargs = 0
    parts.aux = NULL
    parts.paths = NULL
    parts.name = NULL
    parts.name_text = NULL
    used += body_size(header)
    if used > header.size:
        return False
    if header.type == TRACER_ENTER:
        parts.nargs = flags & TRACER_NARGS_MASK
        if parts.nargs > TRACER_MAX_ARGS:
            return False
    elif header.type == TRACER_NAME:
        return flags & TRACER_HAS_NAME and take_name(parts, record, header.size, &used) and used == header.size
    elif header.type != TRACER_EXIT:
        return used == header.size
    if flags & TRACER_HAS_AUX:
        if used + TRACER_AUX_BYTES > header.size:
            return False
        parts.aux = <const uint64_t *> (record + used)
        used += TRACER_AUX_BYTES
    if flags & TRACER_HAS_PATHS:
        if header.type == TRACER_EXIT and flags & TRACER_HAS_NAME:
            return False  # behind texts a name would lie anywhere
        if not take_paths(parts, record, header.size, &used):
            return False
    elif header.type == TRACER_EXIT and flags & TRACER_HAS_NAME:
        if not take_name(parts, record, header.size, &used):
            return False
    return used == header.size
