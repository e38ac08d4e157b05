"""Column arrays that calls are written into (see tracer/schema.py for what they mean)."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from tracer._fast.calls cimport Call
from tracer._fast.dictionary cimport Dictionary
from tracer._fast.events cimport TRACER_MAX_SYSCALLS, syscall_rule
from tracer._fast.text cimport Text


cdef enum:
    # the text columns, as indices into ColumnBuilder.dictionaries
    IN_COMM
    IN_SYSCALL
    IN_FAMILY
    IN_ERROR
    IN_FILE
    IN_FILE_SOURCE
    IN_OLD_FILE
    IN_EPOLL_OP
    DICTIONARY_COUNT


cdef struct Pointers:
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


cdef class ColumnBuilder:
    cdef readonly int capacity_rows
    cdef readonly int rows
    cdef readonly int64_t first_seq
    cdef int filter_epoch
    cdef int64_t serial
    cdef Pointers at
    cdef Dictionary dictionaries[DICTIONARY_COUNT]
    cdef Text *syscall_texts[TRACER_MAX_SYSCALLS]
    cdef Text *family_texts[64]
    cdef Text *error_texts[4096]
    cdef Text *source_texts[4]
    cdef Text *epoll_texts[4]
    cdef Text *empty_text
    cdef object arrays
    cdef list pool

    cdef int start_batch(self) except -1
    cdef int point_at(self, dict arrays) except -1
    cdef bint is_full(self) noexcept nogil
    cdef int append(self, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_result(self, int row, const Call *call) noexcept nogil
    cdef void fill_file(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_numbers(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_quantity(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_epoll(self, int row, const Call *call) noexcept nogil
