"""Writing calls into columns (see tracer/schema.py for what they mean)."""

cimport cython
from libc.stdint cimport int32_t, int64_t

from tracer._fast.batch cimport BitPlace, Buffers, IN_COMM, IN_FILE, IN_OLD_FILE, Pointers
from tracer._fast.calls cimport Call
from tracer._fast.dictionary cimport Dictionary, encode
from tracer._fast.events cimport TRACER_MAX_SYSCALLS, syscall_rule
from tracer._fast.text cimport Text


cdef enum:
    MAX_DICTIONARY_BYTES = 8 << 20  # a batch with more text is full, whatever its rows: several may wait for the writer
    ROWS_BETWEEN_LOOKS = 32  # at how much text there is: two paths of 16 KiB a row are a mebibyte more at the most


@cython.final
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
    cdef int append(self, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_result(self, int64_t row, BitPlace place, const Call *call) noexcept nogil
    cdef void fill_file(self, int64_t row, BitPlace place, const Call *call, const syscall_rule *rule) noexcept nogil
    cdef void fill_epoll(self, int64_t row, BitPlace place, const Call *call) noexcept nogil

    cdef inline bint is_full(self) noexcept nogil:
        return self.rows == self.capacity_rows or self.rows % ROWS_BETWEEN_LOOKS == 0 and (
            self.dictionaries[IN_FILE].used + self.dictionaries[IN_OLD_FILE].used + self.dictionaries[IN_COMM].used
            >= MAX_DICTIONARY_BYTES)

    cdef inline bint fill_text(self, int32_t *column, int64_t row, int which, Text *text, int place=0) noexcept nogil:
        """Write the code of a text, which is noted in the first or the second place of the text. False when memory is
        out, and the code is that of the empty text."""
        return encode(&self.dictionaries[which], text, place, column + row)
