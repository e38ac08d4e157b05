"""Latency sketches: how many values fell into each of a row of bins (see sketch.pxd)."""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset


cdef int reserve_bins(Bins *bins, uint32_t size) noexcept nogil:
    """Make bins.data[bins.used - size:bins.used] a window of empty bins; -1 when memory is out."""
    cdef uint32_t capacity = bins.capacity
    cdef uint32_t *data
    if size > capacity - bins.used:
        capacity += max(capacity // 4, size)
        data = <uint32_t *> realloc(bins.data, capacity * sizeof(uint32_t))
        if data == NULL:
            return -1
        bins.data = data
        bins.capacity = capacity
    memset(bins.data + bins.used, 0, size * sizeof(uint32_t))
    bins.used += size
    return 0


cdef inline uint32_t *unused_of(Bins *bins, uint32_t size) noexcept nogil:
    return &bins.unused[leading_zeros(LEAST_WINDOW) - leading_zeros(size)]


cdef void give_window(Bins *bins, const Sketch *sketch) noexcept nogil:
    """Let others have the window of a sketch that is not used any more."""
    cdef uint32_t *unused
    if sketch.size > 1:
        unused = unused_of(bins, sketch.size)
        bins.data[sketch.window] = unused[0]
        unused[0] = sketch.window


cdef int take_window(Bins *bins, uint32_t size, uint32_t *window) noexcept nogil:
    """Find an empty window; -1 when memory is out."""
    cdef uint32_t *unused = unused_of(bins, size)
    if unused[0] == 0:
        window[0] = bins.used
        return reserve_bins(bins, size)
    window[0] = unused[0]
    unused[0] = bins.data[window[0]]
    memset(bins.data + window[0], 0, size * sizeof(uint32_t))
    return 0


cdef int widen(Bins *bins, Sketch *sketch, uint32_t low, uint32_t high) noexcept nogil:
    """Make the window of a sketch hold the bins low to high, and what it held; -1 when memory is out."""
    cdef uint32_t size = LEAST_WINDOW
    cdef uint32_t window
    cdef bint down = sketch.size > 0 and low < sketch.low
    if sketch.size > 0:
        low = min(low, <uint32_t> sketch.low)
        high = max(high, <uint32_t> sketch.low + sketch.size - 1)
    while size <= high - low:
        size *= 2
    if down:  # room below, where it was needed
        low = high + 1 - size if high + 1 > size else 0
    if low + size > BIN_COUNT:  # nothing is above
        low = BIN_COUNT - size if size < BIN_COUNT else 0
    if take_window(bins, size, &window) < 0:
        return -1
    if sketch.size > 0:
        memcpy(bins.data + window + (sketch.low - low), bins.data + sketch.window, sketch.size * sizeof(uint32_t))
        give_window(bins, sketch)
    sketch.window = window
    sketch.low = <uint16_t> low
    sketch.size = <uint16_t> size
    return 0


cdef int add_slowly(Bins *bins, Sketch *sketch, uint32_t bin, uint32_t count) noexcept nogil:
    """`add_to_bin` where the bin is outside the window, or full."""
    cdef uint32_t *cells
    cdef uint32_t i
    if bin - sketch.low >= sketch.size and widen(bins, sketch, bin, bin) < 0:
        return -1
    cells = bins.data + sketch.window
    while cells[bin - sketch.low] > <uint32_t> 0xFFFFFFFF - count:
        for i in range(sketch.size):
            cells[i] = (cells[i] >> 1) + (cells[i] & 1)
        count = (count >> 1) + (count & 1)
    cells[bin - sketch.low] += count
    return 0


cdef int merge(Bins *into_bins, Sketch *into, const Bins *bins, const Sketch *sketch) noexcept nogil:
    """Count the values of one sketch in another one too, whose bins are elsewhere or have a full window."""
    cdef const uint32_t *cells = bins.data + sketch.window
    cdef uint32_t i
    for i in range(sketch.size):
        if cells[i] and add_to_bin(into_bins, into, sketch.low + i, cells[i]) < 0:
            return -1
    return 0


cdef void quantiles(
    const Bins *bins, const Sketch *sketch, const double *wanted, uint64_t *values, int count,
) noexcept nogil:
    """The values that `wanted[:count]` of all are not above (nearest rank), each at most 1/64 off.

    `wanted` ascends. Without values, 0.
    """
    cdef const uint32_t *cells = bins.data + sketch.window
    cdef uint64_t total = 0, seen = 0
    cdef uint32_t i
    cdef int n = 0
    for i in range(sketch.size):
        total += cells[i]
    for i in range(sketch.size):
        seen += cells[i]
        while n < count and cells[i] and <double> seen >= wanted[n] * <double> total:
            values[n] = middle_of(sketch.low + i)
            n += 1
    while n < count:
        values[n] = 0
        n += 1


@cython.final
cdef class LatencySketch:
    """One sketch by itself: what statistics have one of for each group."""
    cdef Bins bins
    cdef Sketch sketch

    def __cinit__(self):
        if reserve_bins(&self.bins, 1) < 0:
            raise MemoryError

    def __dealloc__(self):
        free_bins(&self.bins)

    def add(self, uint64_t value, uint32_t count=1) -> None:
        """Count a value so many times."""
        if count and add_to_bin(&self.bins, &self.sketch, bin_of(value), count) < 0:
            raise MemoryError

    def merge(self, LatencySketch other not None) -> None:
        """Count all values of another sketch too."""
        if merge(&self.bins, &self.sketch, &other.bins, &other.sketch) < 0:
            raise MemoryError

    def quantile(self, double wanted) -> int:
        """The value that this part of all (0 to 1) are not above, at most 1/64 off; 0 without values."""
        cdef uint64_t value
        quantiles(&self.bins, &self.sketch, &wanted, &value, 1)
        return value

    def bins_by_value(self) -> dict:
        """How many values each bin holds, by the value that the bin stands for."""
        cdef const uint32_t *cells = self.bins.data + self.sketch.window
        return {middle_of(self.sketch.low + i): cells[i] for i in range(self.sketch.size) if cells[i]}
