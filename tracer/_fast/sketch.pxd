"""Latency sketches: how many values fell into each of a row of bins, so that any quantile can be told.

A bin is a 32nd of an octave wide (values below 64 have one each), and a quantile is told as the middle of its bin: at
most 1/64 off. Any 64-bit value has a bin. A sketch keeps only a window of bins around the values it has seen, a power
of two long: one with a single latency has a single bin. Where values are few and far apart the window would be long and
nearly empty: such a sketch is sparse, and lists its bins. Most files and processes are called a few times only, so that
this decides how many of them there is memory for. Sketches merge without loss.

A bin of a window counts in 32 bits, until one of its sketch would exceed them: from then on the sketch is wide, with 32
more bits for each of its bins, and always takes the slower way. All values weigh the same, however many there are.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset


cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil


cdef enum:
    BIN_COUNT = 1920  # a bin for every uint64_t
    FULL_WINDOW = 2048  # the window that holds them all
    WIDE = 0x8000
    SPARSE = 0x4000
    LEAST_WINDOW = 8
    MOST_LISTED = 32  # bins of a sparse sketch; a window of as many is no longer
    LISTED_COUNT_BITS = 8  # a bin with more values is one that many will follow: dense is faster
    MOST_LISTED_COUNT = (1 << LISTED_COUNT_BITS) - 1
    WINDOW_SIZES = 10  # up to a full one that is wide


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
    # The window's first bin, plus WIDE if the sketch is wide. If it is sparse, SPARSE alone: the window is a list, in
    # order, of bins and how many values each has (in the lowest bits), and zeros. No bin seems to be in either.
    uint16_t low
    uint16_t size  # bins; as many numbers follow with their upper halves in a wide one. 0: no value yet


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


cdef inline bint is_wide(const Sketch *sketch) noexcept nogil:
    return sketch.low & WIDE != 0


cdef inline bint is_sparse(const Sketch *sketch) noexcept nogil:
    return sketch.low & SPARSE != 0


cdef inline uint32_t first_bin(const Sketch *sketch) noexcept nogil:
    """Of the window of a sketch that is not sparse."""
    return sketch.low & (SPARSE - 1)


cdef inline uint32_t window_size(const Sketch *sketch) noexcept nogil:
    """Numbers in a sketch's window."""
    return <uint32_t> sketch.size << is_wide(sketch)


cdef inline uint32_t bin_at(const uint32_t *cells, const Sketch *sketch, uint32_t i) noexcept nogil:
    """The bin of a place in the window."""
    return cells[i] >> LISTED_COUNT_BITS if is_sparse(sketch) else first_bin(sketch) + i


cdef inline uint64_t count_at(const uint32_t *cells, const Sketch *sketch, uint32_t i) noexcept nogil:
    """Values in the bin of a place in the window; 0 if it is none."""
    if is_sparse(sketch):
        return cells[i] & MOST_LISTED_COUNT
    return cells[i] | (<uint64_t> cells[sketch.size + i] << 32 if is_wide(sketch) else 0)


cdef inline void add_wide(uint32_t *cells, uint32_t size, uint32_t i, uint64_t count) noexcept nogil:
    """Count in a wide sketch of so many bins."""
    cdef uint64_t sum = cells[i] + count
    cells[i] = <uint32_t> sum
    cells[size + i] += <uint32_t> (sum >> 32)


cdef inline void free_bins(Bins *bins) noexcept nogil:
    free(bins.data)
    free(bins.spare)
    memset(bins, 0, sizeof(Bins))


cdef int reserve_bins(Bins *bins, uint32_t size) noexcept nogil
cdef void give_window(Bins *bins, const Sketch *sketch) noexcept nogil
cdef int widen(Bins *bins, Sketch *sketch, uint32_t low, uint32_t high) noexcept nogil
cdef int make_wide(Bins *bins, Sketch *sketch) noexcept nogil
cdef int add_slowly(Bins *bins, Sketch *sketch, uint32_t bin, uint64_t count) noexcept nogil
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
