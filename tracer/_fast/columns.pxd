"""Writing calls into columns (see tracer/schema.py for what they mean)."""

from libc.stdint cimport int64_t

from tracer._fast.batch cimport Buffers, Pointers
from tracer._fast.calls cimport Call
from tracer._fast.dictionary cimport Dictionary
from tracer._fast.events cimport TRACER_MAX_SYSCALLS, syscall_rule
from tracer._fast.text cimport Text


cdef class ColumnBuilder:
    cdef readonly int capacity_rows
    cdef readonly int rows
    cdef readonly int64_t first_seq
    cdef int filter_epoch
    cdef int64_t wall_offset_ns
    cdef int64_t serial
    cdef Pointers at
    cdef Buffers buffers
    cdef Dictionary *dictionaries
    cdef Text *syscall_texts[TRACER_MAX_SYSCALLS]
    cdef Text *family_texts[64]
    cdef Text *error_texts[4096]
    cdef Text *source_texts[4]
    cdef Text *epoll_texts[4]
    cdef Text *empty_text
    cdef list pool

    cdef int start_batch(self) except -1
    cdef bint is_full(self) noexcept nogil
    cdef int append(self, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_result(self, int row, const Call *call) noexcept nogil
    cdef void fill_file(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_numbers(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_quantity(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_epoll(self, int row, const Call *call) noexcept nogil
