"""Latency sketches: how many values fell into each of a row of bins (see sketch.pxd)."""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memmove, memset


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
        unused = unused_of(bins, window_size(sketch))
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


cdef inline uint32_t listed(const uint32_t *cells, const Sketch *sketch) noexcept nogil:
    """How many bins a sparse sketch lists."""
    cdef uint32_t count = 0
    while count < sketch.size and cells[count]:
        count += 1
    return count


cdef void copy_bins(uint32_t *window, uint32_t low, uint32_t size, const uint32_t *cells,
                    const Sketch *sketch) noexcept nogil:
    """Copy all of a sketch to an empty window that begins with the bin `low`."""
    cdef uint32_t i
    if is_sparse(sketch):
        for i in range(listed(cells, sketch)):
            window[bin_at(cells, sketch, i) - low] = <uint32_t> count_at(cells, sketch, i)
        return
    window += first_bin(sketch) - low
    memcpy(window, cells, sketch.size * sizeof(uint32_t))
    if is_wide(sketch):
        memcpy(window + size, cells + sketch.size, sketch.size * sizeof(uint32_t))


cdef int move(Bins *bins, Sketch *sketch, uint32_t low, uint32_t size, bint wide) noexcept nogil:
    """Give a sketch another window, which holds the one before; -1 when memory is out."""
    cdef uint32_t window
    if take_window(bins, size << wide, &window) < 0:
        return -1
    if sketch.size > 0:
        copy_bins(bins.data + window, low, size, bins.data + sketch.window, sketch)
        give_window(bins, sketch)
    sketch.window = window
    sketch.low = <uint16_t> (low | (WIDE if wide else 0))
    sketch.size = <uint16_t> size
    return 0


cdef int widen(Bins *bins, Sketch *sketch, uint32_t low, uint32_t high) noexcept nogil:
    """Make the window of a sketch hold the bins low to high, and what it held; -1 when memory is out."""
    cdef const uint32_t *cells = bins.data + sketch.window
    cdef uint32_t size = LEAST_WINDOW
    cdef bint down = False
    if sketch.size > 0:
        down = low < bin_at(cells, sketch, 0)
        low = min(low, bin_at(cells, sketch, 0))
        high = max(high, bin_at(cells, sketch, listed(cells, sketch) - 1 if is_sparse(sketch) else sketch.size - 1))
    while size <= high - low:
        size *= 2
    if down:  # room below, where it was needed
        low = high + 1 - size if high + 1 > size else 0
    if low + size > BIN_COUNT:  # nothing is above
        low = BIN_COUNT - size if size < BIN_COUNT else 0
    return move(bins, sketch, low, size, is_wide(sketch))


cdef int make_wide(Bins *bins, Sketch *sketch) noexcept nogil:
    """Let a sketch with values count beyond 32 bits; -1 when memory is out."""
    if sketch.size == 1 and widen(bins, sketch, sketch.low, sketch.low) < 0:
        return -1
    return move(bins, sketch, sketch.low, sketch.size, True)


cdef int resize_list(Bins *bins, Sketch *sketch, uint32_t size) noexcept nogil:
    """Give a sparse sketch a window for more bins; -1 when memory is out."""
    cdef uint32_t window
    if take_window(bins, size, &window) < 0:
        return -1
    memcpy(bins.data + window, bins.data + sketch.window, sketch.size * sizeof(uint32_t))
    give_window(bins, sketch)
    sketch.window = window
    sketch.size = <uint16_t> size
    return 0


cdef int add_listed(Bins *bins, Sketch *sketch, uint32_t bin, uint64_t count) noexcept nogil:
    """Count in a sparse sketch: 1 when that is done, 0 if it has to be dense for it, -1 when memory is out."""
    cdef uint32_t *cells = bins.data + sketch.window
    cdef uint32_t end = listed(cells, sketch)
    cdef uint32_t at = 0
    if count > MOST_LISTED_COUNT:
        return 0
    while at < end and cells[at] >> LISTED_COUNT_BITS < bin:
        at += 1
    if at < end and cells[at] >> LISTED_COUNT_BITS == bin:
        count += cells[at] & MOST_LISTED_COUNT
        if count <= MOST_LISTED_COUNT:
            cells[at] = bin << LISTED_COUNT_BITS | <uint32_t> count
        return count <= MOST_LISTED_COUNT
    if end == MOST_LISTED:
        return 0
    if end == sketch.size:
        if resize_list(bins, sketch, 2 * end) < 0:
            return -1
        cells = bins.data + sketch.window
    memmove(cells + at + 1, cells + at, (end - at) * sizeof(uint32_t))
    cells[at] = bin << LISTED_COUNT_BITS | <uint32_t> count
    return 1


cdef int list_bins(Bins *bins, Sketch *sketch) noexcept nogil:
    """Make a sketch sparse whose window is no longer than a list: 1 when that is done, 0 if it has no values, or there
    would be no room for another bin, or one of them has too many values, -1 when memory is out."""
    cdef uint32_t list_[MOST_LISTED]
    cdef const uint32_t *cells = bins.data + sketch.window
    cdef uint32_t window, i, count = 0
    cdef uint32_t size = LEAST_WINDOW
    for i in range(sketch.size):
        if cells[i] > MOST_LISTED_COUNT:
            return 0
        if cells[i]:
            list_[count] = bin_at(cells, sketch, i) << LISTED_COUNT_BITS | cells[i]
            count += 1
    if count == 0 or count == MOST_LISTED:
        return 0
    while size < count:
        size *= 2
    if take_window(bins, size, &window) < 0:
        return -1
    memcpy(bins.data + window, list_, count * sizeof(uint32_t))
    give_window(bins, sketch)
    sketch.window = window
    sketch.low = SPARSE
    sketch.size = <uint16_t> size
    return 1


cdef inline bint is_far(const Sketch *sketch, uint32_t bin) noexcept nogil:
    """Whether a window that holds a bin and what a dense sketch holds is longer than the longest list."""
    cdef uint32_t first = first_bin(sketch)
    return max(first + sketch.size - 1, bin) - min(first, bin) >= MOST_LISTED


cdef int add_sparsely(Bins *bins, Sketch *sketch, uint32_t bin, uint64_t count) noexcept nogil:
    """Count in a bin that no window holds, if the sketch is sparse or should be: results as those of `add_listed`."""
    cdef int done
    if not is_sparse(sketch):
        if not 0 < sketch.size <= MOST_LISTED or is_wide(sketch) or not is_far(sketch, bin):
            return 0
        done = list_bins(bins, sketch)
        if done <= 0:
            return done
    return add_listed(bins, sketch, bin, count)


cdef int add_slowly(Bins *bins, Sketch *sketch, uint32_t bin, uint64_t count) noexcept nogil:
    """`add_to_bin` where the bin is outside the window, or full, or the sketch is wide or sparse."""
    cdef uint32_t *cells
    cdef uint64_t sum
    cdef int done
    if is_sparse(sketch) or bin - first_bin(sketch) >= sketch.size:
        done = add_sparsely(bins, sketch, bin, count)
        if done != 0:
            return min(done, 0)
        if widen(bins, sketch, bin, bin) < 0:
            return -1
    if not is_wide(sketch):
        cells = bins.data + sketch.window + (bin - sketch.low)
        sum = cells[0] + count
        if sum <= <uint32_t> -1:
            cells[0] = <uint32_t> sum
            return 0
        if make_wide(bins, sketch) < 0:
            return -1
    add_wide(bins.data + sketch.window, sketch.size, bin - first_bin(sketch), count)
    return 0


cdef int merge(Bins *into_bins, Sketch *into, const Bins *bins, const Sketch *sketch) noexcept nogil:
    """Count the values of one sketch in another one too, whose bins are elsewhere; -1 when memory is out."""
    cdef const uint32_t *cells = bins.data + sketch.window
    cdef uint64_t count
    cdef uint32_t i
    for i in range(sketch.size):
        count = count_at(cells, sketch, i)
        if count and add_slowly(into_bins, into, bin_at(cells, sketch, i), count) < 0:
            return -1
    return 0


cdef void quantiles(
    const Bins *bins, const Sketch *sketch, const double *wanted, uint64_t *values, int count,
) noexcept nogil:
    """The values that `wanted[:count]` of all are not above (nearest rank), each at most 1/64 off.

    `wanted` ascends. Without values, 0.
    """
    cdef const uint32_t *cells = bins.data + sketch.window
    cdef uint64_t total = 0, seen = 0, here
    cdef uint32_t i
    cdef int n = 0
    for i in range(sketch.size):
        total += count_at(cells, sketch, i)
    for i in range(sketch.size):
        here = count_at(cells, sketch, i)
        seen += here
        while n < count and here and <double> seen >= wanted[n] * <double> total:
            values[n] = middle_of(bin_at(cells, sketch, i))
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
        if other is self:  # whose window moves when it needs another one
            other = LatencySketch()
            other.merge(self)
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
        places = range(self.sketch.size)
        counts = [(bin_at(cells, &self.sketch, i), count_at(cells, &self.sketch, i)) for i in places]
        return {middle_of(bin): count for bin, count in counts if count}
