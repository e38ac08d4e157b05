"""Latency sketches: how many values fell into each of a row of bins, so that any quantile can be told.

A bin is a 32nd of an octave wide (values below 64 have one each), and a quantile is told as the middle of its bin: at
most 1/64 off. Any 64-bit value has a bin. A sketch keeps only a window of bins around the values it has seen, a power
of two long, and the first bin in itself: a key with one latency costs nothing more. Sketches merge without loss.

A bin holds up to 2^32 - 1. When one would exceed that, all bins of its sketch are halved (rounded up): from there on
older values weigh half, and quantiles stay what they were.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset


cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil


cdef enum:
    BIN_COUNT = 1920  # a bin for every uint64_t
    FULL_WINDOW = 2048  # the window that holds them all
    LEAST_WINDOW = 8


cdef struct Bins:
    # Memory for the windows of many sketches, handed out from the front. What a sketch outgrows is wasted until
    # `collect` moves all that are wanted into `spare`, and swaps the two. In numbers, not bytes.
    uint32_t *data
    uint32_t *spare
    uint32_t used
    uint32_t capacity
    uint32_t spare_capacity


cdef struct Sketch:
    uint32_t bins  # where its window begins; if `size` is 1, the bin itself
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


cdef inline int take_window(Bins *bins, uint32_t size) noexcept nogil:
    """Make bins.data[bins.used - size:bins.used] a window of empty bins; -1 when memory is out."""
    cdef uint32_t capacity = bins.capacity
    cdef uint32_t *data
    if size > capacity - bins.used:
        capacity = (capacity * 2 if capacity else 2 * FULL_WINDOW) + FULL_WINDOW
        data = <uint32_t *> realloc(bins.data, capacity * sizeof(uint32_t))
        if data == NULL:
            return -1
        bins.data = data
        bins.capacity = capacity
    memset(bins.data + bins.used, 0, size * sizeof(uint32_t))
    bins.used += size
    return 0


cdef inline int widen(Bins *bins, Sketch *sketch, uint32_t low, uint32_t high) noexcept nogil:
    """Make the window of a sketch hold the bins low to high, and what it held; -1 when memory is out."""
    cdef uint32_t size = LEAST_WINDOW
    cdef uint32_t old = sketch.bins
    cdef bint down = sketch.size > 0 and low < sketch.low
    if sketch.size > 0:
        low = min(low, <uint32_t> sketch.low)
        high = max(high, <uint32_t> sketch.low + sketch.size - 1)
    while size <= high - low:
        size *= 2
    if down:  # room below, where it was needed
        low = high + 1 - size if high + 1 > size else 0
    if take_window(bins, size) < 0:
        return -1
    sketch.bins = bins.used - size
    if sketch.size == 1:
        bins.data[sketch.bins + sketch.low - low] = old
    else:
        memcpy(bins.data + sketch.bins + (sketch.low - low if sketch.size else 0), bins.data + old,
               sketch.size * sizeof(uint32_t))
    sketch.low = <uint16_t> low
    sketch.size = <uint16_t> size
    return 0


cdef inline const uint32_t *window(const Bins *bins, const Sketch *sketch) noexcept nogil:
    return bins.data + sketch.bins if sketch.size > 1 else &sketch.bins


cdef inline void halve(Bins *bins, Sketch *sketch) noexcept nogil:
    cdef uint32_t *at = <uint32_t *> window(bins, sketch)
    cdef uint32_t i
    for i in range(sketch.size):
        at[i] = (at[i] >> 1) + (at[i] & 1)


cdef inline int add_slowly(Bins *bins, Sketch *sketch, uint32_t bin, uint32_t count) noexcept nogil:
    """`add_to_bin` where the bin is outside the window, or full."""
    cdef uint32_t *cell
    if sketch.size == 0:
        sketch.bins = count
        sketch.low = <uint16_t> bin
        sketch.size = 1
        return 0
    if bin - sketch.low >= sketch.size and widen(bins, sketch, bin, bin) < 0:
        return -1
    cell = <uint32_t *> window(bins, sketch) + (bin - sketch.low)
    while cell[0] > <uint32_t> 0xFFFFFFFF - count:
        halve(bins, sketch)
        if cell[0] == 1:  # beside all there is room for
            cell[0] = 0
    cell[0] += count
    return 0


cdef inline int add_to_bin(Bins *bins, Sketch *sketch, uint32_t bin, uint32_t count) noexcept nogil:
    """Count `count` values of one bin; -1 (and nothing done) when memory is out."""
    cdef uint32_t index = bin - sketch.low
    cdef uint32_t *cell
    if index < sketch.size:
        cell = <uint32_t *> window(bins, sketch) + index
        if cell[0] <= <uint32_t> 0xFFFFFFFF - count:
            cell[0] += count
            return 0
    return add_slowly(bins, sketch, bin, count)


cdef inline int merge(Bins *into_bins, Sketch *into, const Bins *bins, const Sketch *sketch) noexcept nogil:
    """Count the values of one sketch in another one too, whose bins are elsewhere or have a full window."""
    cdef const uint32_t *at = window(bins, sketch)
    cdef uint32_t i
    for i in range(sketch.size):
        if at[i] and add_to_bin(into_bins, into, sketch.low + i, at[i]) < 0:
            return -1
    return 0


cdef inline void quantiles(
    const Bins *bins, const Sketch *sketch, const double *wanted, uint64_t *values, int count,
) noexcept nogil:
    """The values that `wanted[:count]` of all are not above (nearest rank), each at most 1/64 off.

    `wanted` ascends. Without values, 0.
    """
    cdef const uint32_t *at = window(bins, sketch)
    cdef uint64_t total = 0, seen = 0
    cdef uint32_t i
    cdef int n = 0
    for i in range(sketch.size):
        total += at[i]
    for i in range(sketch.size):
        seen += at[i]
        while n < count and at[i] and <double> seen >= wanted[n] * <double> total:
            values[n] = middle_of(sketch.low + i)
            n += 1
    while n < count:
        values[n] = 0
        n += 1
