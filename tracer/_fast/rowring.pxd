"""The last rows of a session, kept in place: what a list of rows on a screen is made from."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from tracer._fast.batch cimport Buffers, DICTIONARY_COUNT, Pointers
from tracer._fast.dictionary cimport Dictionary


cdef struct Segment:
    # what the rows of one batch share; behind it lie, for each text column, count + 1 offsets, then all the texts
    size_t size  # of all that, in whole words
    int64_t first  # the number of its first row, counting all rows that the ring has seen
    int64_t first_seq
    int32_t rows
    int32_t filter_epoch
    uint32_t counts[DICTIONARY_COUNT]
    uint64_t used[DICTIONARY_COUNT]


cdef class RowRing:
    cdef readonly int capacity
    cdef readonly int64_t seen
    cdef readonly int held
    cdef cython.pymutex lock
    cdef Buffers buffers
    cdef int next
    cdef int64_t wall_offset_ns
    # the segments, oldest first, one behind the other; behind wrap_at they go on at the start
    cdef char *queue
    cdef size_t queue_bytes
    cdef size_t head
    cdef size_t tail
    cdef size_t wrap_at
    cdef bint wrapped
    cdef int segments
    # for telling texts apart anew
    cdef Dictionary dictionaries[DICTIONARY_COUNT]
    cdef int32_t *codes
    cdef size_t codes_capacity

    cdef int add(self, const Pointers *at, Dictionary *dictionaries, int rows, int64_t first_seq,
                 int32_t filter_epoch) noexcept nogil
    cdef int translate_batch(self, const Pointers *at, const Dictionary *dictionaries, int start) noexcept nogil
    cdef int forget_codes(self, uint32_t count) noexcept nogil
    cdef void copy_rows(self, const Pointers *at, int start, int slot, int rows, bint with_texts) noexcept nogil
    cdef void drop_segments(self, int64_t before) noexcept nogil
    cdef Segment *reserve(self, size_t size) noexcept nogil
    cdef int grow(self, size_t size) noexcept nogil
    cdef size_t after(self, size_t place) noexcept nogil
    cdef int slot_of(self, int64_t number) noexcept nogil
    cdef object copy(self, int count)
    cdef void export_rows(self, const Pointers *to, int count) noexcept nogil
    cdef int export_segments(self, const Pointers *to, int count, int64_t *seq, int32_t *epochs) noexcept nogil
    cdef int export_codes(self, const Pointers *to, const Segment *segment, int64_t first, int row) noexcept nogil
    cdef object describe(self, bytes memory, int count, const size_t *places)
