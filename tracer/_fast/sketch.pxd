"""Latency sketches: how many values fell into each of a row of bins, so that any quantile can be told.

A bin is a 32nd of an octave wide (values below 64 have one each), and a quantile is told as the middle of its bin: at
most 1/64 off. Any 64-bit value has a bin. A sketch keeps only a window of bins around the values it has seen, a power
of two long: one with a single latency has a single bin. Sketches merge without loss.

A bin holds up to 2^32 - 1. When one would exceed that, all bins of its sketch are halved (rounded up): from there on
older values weigh half, and quantiles stay what they were.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset


cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil


cdef enum:
    BIN_COUNT = 1920  # a bin for every uint64_t
    FULL_WINDOW = 2048  # the window that holds them all
    LEAST_WINDOW = 8
    WINDOW_SIZES = 9


cdef struct Bins:
    # Memory for the windows of many sketches: first a bin for each sketch that has no more, then windows, handed out
    # from the front. One that is given back serves another sketch that needs its size, until all that are wanted are
    # moved to `spare`, and the two swapped. In numbers, not bytes.
    uint32_t *data
    uint32_t *spare
    uint32_t used
    uint32_t capacity
    uint32_t spare_capacity
    uint32_t unused[WINDOW_SIZES]  # by size, the first window given back, which begins with where the next one is


cdef struct Sketch:
    uint32_t window  # where it begins; of a sketch with one bin or none, its single
    uint16_t low  # the window's first bin
    uint16_t size  # 0: no value yet


cdef inline uint32_t bin_of(uint64_t value) noexcept nogil:
    cdef uint32_t shift = <uint32_t> (58 - leading_zeros(value | 32))
    return (shift << 5) + <uint32_t> (value >> shift)


cdef inline uint64_t middle_of(uint32_t bin) noexcept nogil:
    """The value that a bin stands for."""
    cdef uint32_t shift
    if bin < 64:
        return bin
    shift = (bin >> 5) - 1
    return (<uint64_t> ((bin & 31) | 32) << shift) + (<uint64_t> 1 << (shift - 1))


cdef inline void free_bins(Bins *bins) noexcept nogil:
    free(bins.data)
    free(bins.spare)
    memset(bins, 0, sizeof(Bins))


cdef int reserve_bins(Bins *bins, uint32_t size) noexcept nogil
cdef void give_window(Bins *bins, const Sketch *sketch) noexcept nogil
cdef int widen(Bins *bins, Sketch *sketch, uint32_t low, uint32_t high) noexcept nogil
cdef int add_slowly(Bins *bins, Sketch *sketch, uint32_t bin, uint32_t count) noexcept nogil
cdef int merge(Bins *into_bins, Sketch *into, const Bins *bins, const Sketch *sketch) noexcept nogil
cdef void quantiles(
    const Bins *bins, const Sketch *sketch, const double *wanted, uint64_t *values, int count,
) noexcept nogil


cdef inline int add_to_bin(Bins *bins, Sketch *sketch, uint32_t bin, uint32_t count) noexcept nogil:
    """Count `count` values of one bin; -1 (and nothing done) when memory is out."""
    cdef uint32_t index = bin - sketch.low
    cdef uint32_t *cell
    cdef uint32_t sum
    if index < sketch.size:
        cell = bins.data + sketch.window + index
        sum = cell[0] + count
        if sum >= count:
            cell[0] = sum
            return 0
    elif sketch.size == 0:
        sketch.low = <uint16_t> bin
        sketch.size = 1
        bins.data[sketch.window] = count
        return 0
    return add_slowly(bins, sketch, bin, count)
