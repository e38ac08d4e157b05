"""Records made of what /proc answers."""

from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef enum:
    # a thread's comm and two directories at most, each below 4352 bytes
    ANSWERS_BYTES = 3 * 4352


cdef struct Answers:
    # records, each padded to 8 bytes, that belong into the stream before the one at hand
    char *data  # ANSWERS_BYTES, aligned to 8
    uint32_t used


cdef const char *ask_name(Answers *answers, uint32_t tgid, uint32_t tid, int32_t fd, uint64_t now_ns) noexcept nogil
cdef bint is_gone(uint32_t tgid) noexcept nogil
cdef const char *ask_comm(Answers *answers, uint32_t tgid, uint32_t tid, uint64_t now_ns) noexcept nogil
