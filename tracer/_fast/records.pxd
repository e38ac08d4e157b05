"""Taking a record apart, with every length checked: what comes in may be anything."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from tracer._fast.events cimport (
    TRACER_AUX_BYTES, TRACER_ENTER, TRACER_EXIT, TRACER_HAS_AUX, TRACER_HAS_NAME, TRACER_HAS_PATHS, TRACER_MAX_ARGS,
    TRACER_NARGS_MASK, event_header, exit_body, name_section, path_section,
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


cdef inline Py_ssize_t record_bytes(const char *record, Py_ssize_t left) noexcept nogil:
    """How many of the `left` bytes (1 or more) a record takes, padding included; 0 if it is not all there.

    The padding of the last one need not be there: more than `left`, then.
    """
    cdef Py_ssize_t size
    if left < <Py_ssize_t> sizeof(event_header):
        return 0
    size = (<const event_header *> record).size
    return (size + 7) & ~<Py_ssize_t> 7 if <Py_ssize_t> sizeof(event_header) <= size <= left else 0


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


cdef inline bint take_sections(Parts *parts, const char *record, uint32_t used, uint8_t sections) noexcept nogil:
    """Find those of the optional parts that there are; whether all of them end just where the record does."""
    cdef uint32_t size = parts.header.size
    if sections == 0:
        return used == size
    if sections & TRACER_HAS_AUX:
        if used + TRACER_AUX_BYTES > size:
            return False
        parts.aux = <const uint64_t *> (record + used)
        used += TRACER_AUX_BYTES
    if sections & TRACER_HAS_PATHS:
        if sections & TRACER_HAS_NAME or not take_paths(parts, record, size, &used):
            return False  # behind texts a name would lie anywhere
    elif sections & TRACER_HAS_NAME and not take_name(parts, record, size, &used):
        return False
    return used == size


cdef bint take_other(const char *record, Parts *parts) noexcept nogil


cdef inline bint take_apart(const char *record, Parts *parts) noexcept nogil:
    """Find the parts of a record whose header and `size` bytes are there; False if its size does not fit its contents.

    `record` must be aligned to 8 bytes.
    """
    cdef const event_header *header = <const event_header *> record
    cdef uint32_t used = sizeof(event_header)
    parts.header = header
    parts.body = record + used
    parts.nargs = 0
    parts.aux = NULL
    parts.paths = NULL
    parts.name = NULL
    parts.name_text = NULL
    if header.type == TRACER_ENTER:
        parts.nargs = header.flags & TRACER_NARGS_MASK
        return parts.nargs <= TRACER_MAX_ARGS and take_sections(
            parts, record, used + parts.nargs * 8, header.flags & (TRACER_HAS_AUX | TRACER_HAS_PATHS))
    if header.type == TRACER_EXIT:
        return take_sections(parts, record, used + sizeof(exit_body),
                             header.flags & (TRACER_HAS_AUX | TRACER_HAS_PATHS | TRACER_HAS_NAME))
    return take_other(record, parts)
