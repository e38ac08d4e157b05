"""One batch of rows in columns, and the memory it lies in."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from tracer._fast.dictionary cimport Dictionary


cdef enum:
    # the text columns, as indices into Buffers.dictionaries
    IN_COMM
    IN_SYSCALL
    IN_FAMILY
    IN_ERROR
    IN_FILE
    IN_FILE_SOURCE
    IN_OLD_FILE
    IN_EPOLL_OP
    DICTIONARY_COUNT


cdef enum:
    COLUMN_COUNT = 29
    BITMAP_COUNT = 20


cdef struct Pointers:
    # The arrays of the columns, in the order of DTYPES, and then the bitmaps, in that of BITMAPS.
    int64_t *time_ns
    int64_t *gap_ns
    int64_t *latency_ns
    int32_t *comm
    int32_t *pid
    int32_t *tid
    int32_t *syscall
    int32_t *family
    int32_t *fd
    int64_t *ret
    int32_t *error
    uint8_t *is_error
    int64_t *bytes
    int64_t *requested_bytes
    int64_t *offset
    int64_t *flags
    int32_t *file
    int32_t *file_source
    int32_t *old_file
    int64_t *address_space_bytes
    int64_t *requested_sleep_ns
    int32_t *nfds
    int64_t *timeout_ns
    int32_t *epoll_op
    int32_t *epoll_target_fd
    int64_t *epoll_events
    int64_t *device
    int64_t *inode
    int64_t *mount_namespace
    uint8_t *has_gap_ns
    uint8_t *has_latency_ns
    uint8_t *has_fd
    uint8_t *has_ret
    uint8_t *has_error
    uint8_t *has_bytes
    uint8_t *has_requested_bytes
    uint8_t *has_offset
    uint8_t *has_flags
    uint8_t *has_file
    uint8_t *has_old_file
    uint8_t *has_address_space_bytes
    uint8_t *has_requested_sleep_ns
    uint8_t *has_nfds
    uint8_t *has_timeout_ns
    uint8_t *has_epoll_op
    uint8_t *has_epoll_target_fd
    uint8_t *has_epoll_events
    uint8_t *has_inode
    uint8_t *has_mount_namespace


cdef struct BitPlace:
    # where the bit of a row is in a bitmap
    int64_t byte
    uint8_t bit


cdef class Buffers:
    cdef readonly int capacity_rows
    cdef dict arrays
    cdef int exports  # batches that Arrow has of it
    cdef Pointers at
    cdef Dictionary dictionaries[DICTIONARY_COUNT]

    cdef int point_at(self, dict arrays) except -1
    cdef int start(self, int used_rows, int64_t serial) except -1


cdef class Columns:
    cdef readonly int rows
    cdef readonly int64_t first_seq
    cdef readonly int filter_epoch
    cdef readonly int64_t wall_offset_ns
    cdef Buffers buffers
    cdef list pool
    cdef int holders
    cdef dict cached_arrays
    cdef dict cached_valid
    cdef dict cached_texts

    cdef Buffers held(self)


cdef inline char **columns_of(const Pointers *at) noexcept nogil:
    """The columns' memory, with which the struct begins, as an array of COLUMN_COUNT."""
    return <char **> at


cdef inline uint8_t **bitmaps(const Pointers *at) noexcept nogil:
    """The validity bitmaps, with which it ends, as an array of BITMAP_COUNT."""
    return <uint8_t **> &at.has_gap_ns


cdef inline bint any_bit(const uint8_t *bits, int count_bytes) noexcept nogil:
    cdef int i
    for i in range(count_bytes):
        if bits[i]:
            return True
    return False


cdef inline bint bit(const uint8_t *bits, int64_t row) noexcept nogil:
    """Whether a row's bit is set in a validity or truth bitmap."""
    return bits[row >> 3] >> (row & 7) & 1


cdef inline BitPlace bit_place(int64_t row) noexcept nogil:
    return BitPlace(row >> 3, <uint8_t> (1 << (row & 7)))


cdef inline void mark(uint8_t *bits, BitPlace place) noexcept nogil:
    """Set a row's bit, whose place is the same in all bitmaps, so that it is found once a row."""
    bits[place.byte] |= place.bit
