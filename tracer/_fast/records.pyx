"""Taking apart the rarer records, and all of them from Python: what decoding alone finds, and costs."""

from libc.stdint cimport uint32_t

from tracer._fast.events cimport (
    TRACER_COMM, TRACER_EXEC, TRACER_FORK, TRACER_HAS_NAME, TRACER_NAME, TRACER_TASK_EXIT, comm_body, event_header,
    exec_body, fork_body, name_body, task_exit_body,
)
from tracer._fast.records cimport Parts, record_bytes, take_apart, take_sections


cdef uint32_t body_size(const event_header *header) noexcept nogil:
    """Size of the body of what is neither an enter nor an exit; 0xffff for a type that is not known."""
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


cdef bint take_other(const char *record, Parts *parts) noexcept nogil:
    """The rest of `take_apart`, for what is neither an enter nor an exit."""
    cdef const event_header *header = parts.header
    cdef uint32_t used = sizeof(event_header) + body_size(header)
    if header.type == TRACER_NAME:
        return header.flags & TRACER_HAS_NAME and take_sections(parts, record, used, TRACER_HAS_NAME)
    return used == header.size


def count_records(const unsigned char[::1] block not None) -> int:
    """How many records of a block can be taken apart; what can't be a record ends it.

    Raises ValueError if the block is not aligned to 8 bytes.
    """
    cdef Py_ssize_t used = 0, taken, size = block.shape[0]
    cdef const char *data
    cdef Parts parts
    cdef int found = 0
    if size == 0:
        return 0
    data = <const char *> &block[0]
    if <size_t> data % 8:
        raise ValueError("the block is not aligned to 8 bytes")
    with nogil:
        while used < size:
            taken = record_bytes(data + used, size - used)
            if taken == 0:
                break
            found += take_apart(data + used, &parts)
            used += taken
    return found
