"""Groups of rows by key, in bounded memory (see groups.pxd): making room."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

from tracer._fast.sketch cimport (
    BIN_COUNT, FULL_WINDOW, Bins, Sketch, add_wide, bin_at, bin_of, count_at, first_bin, give_window, is_sparse,
    window_size,
)


cdef uint32_t rank(Groups *groups, uint32_t keep, uint32_t *surplus) noexcept nogil:
    """Set `ranks` in the order of the keys. Those above the rank returned, and of those that have it all but the
    `surplus` first, are the `keep` best."""
    cdef uint32_t having[BIN_COUNT]  # keys by rank
    cdef uint32_t least = BIN_COUNT
    cdef uint32_t better = 0, i, found
    memset(having, 0, sizeof(having))
    for i in range(groups.keys_count):
        found = bin_of(groups.counts[groups.order[i]].latency_ns)
        groups.ranks[i] = <uint16_t> found
        having[found] += 1
    while least > 0 and better <= keep:
        least -= 1
        better += having[least]
    surplus[0] = better - keep if better > keep else 0
    return least


cdef inline void fold(Groups *groups, uint32_t group, Counts *sum) noexcept nogil:
    """Merge a group into `other`, whose window is full and wide: no memory is needed. Its counts are added to `sum`."""
    cdef Sketch *sketch = &groups.sketches[group]
    cdef const uint32_t *cells = groups.bins.data + sketch.window
    cdef uint32_t *others = groups.bins.data + groups.sketches[OTHER].window
    cdef uint32_t *into = others + first_bin(sketch)
    cdef uint32_t i
    groups.folded += groups.counts[group].calls > 0
    groups.text_live -= groups.name_bytes if groups.name_bytes else groups.keys[group].size
    add_counts(sum, &groups.counts[group])
    if sum.calls <= <uint32_t> -1 and not is_sparse(sketch):  # no bin can exceed 32 bits
        for i in range(sketch.size):
            into[i] += cells[i]
    else:
        for i in range(sketch.size):
            add_wide(others, FULL_WINDOW, bin_at(cells, sketch, i), count_at(cells, sketch, i))
    give_window(&groups.bins, sketch)


cdef void keep_best_half(Groups *groups) noexcept nogil:
    cdef uint32_t count = groups.keys_count
    cdef uint32_t surplus = 0, kept = 0, folded = 0, dropped, stays, i
    cdef uint32_t least = rank(groups, count // 2, &surplus)
    cdef uint16_t group
    cdef Counts sum = groups.counts[OTHER]
    for i in range(count):  # without branches, which nothing could foresee
        group = groups.order[i]
        dropped = (groups.ranks[i] == least) & (surplus > 0)
        surplus -= dropped
        stays = (groups.ranks[i] >= least) & (dropped ^ 1)
        groups.order[kept] = group
        groups.ranks[folded] = group
        kept += stays
        folded += stays ^ 1
    memcpy(groups.order + kept, groups.ranks, folded * sizeof(uint16_t))
    for i in range(folded):
        fold(groups, groups.ranks[i], &sum)
    groups.counts[OTHER] = sum
    groups.keys_count = kept


cdef void index_keys(Groups *groups) noexcept nogil:
    cdef uint32_t i, slot
    cdef uint64_t hash
    memset(groups.index, 0, (groups.mask + 1) * sizeof(uint32_t))
    for i in range(groups.keys_count):
        hash = groups.keys[groups.order[i]].hash
        slot = <uint32_t> hash & groups.mask
        while groups.index[slot] != 0:
            slot = (slot + 1) & groups.mask
        groups.index[slot] = <uint32_t> (hash >> 48) << 16 | groups.order[i]


cdef void collect_text(Groups *groups) noexcept nogil:
    """Drop the texts of keys that are gone. The others stand in the order of the keys: none moves onto one that is
    still to be moved."""
    cdef uint32_t i, size, used = 0
    cdef Key *key
    for i in range(groups.keys_count):
        key = &groups.keys[groups.order[i]]
        size = groups.name_bytes if groups.name_bytes else key.size
        memmove(groups.text + used, groups.text + key.text, size)
        key.text = used
        used += size
    groups.text_used = used


cdef uint32_t live_bins(const Groups *groups) noexcept nogil:
    """Numbers in the windows that are wanted."""
    cdef uint32_t live = window_size(&groups.sketches[NONE]) + window_size(&groups.sketches[OTHER])
    cdef uint32_t i
    for i in range(groups.keys_count):
        live += window_size(&groups.sketches[groups.order[i]])
    return live


cdef void move_window(Bins *bins, Sketch *sketch, uint32_t *spare, uint32_t *used) noexcept nogil:
    cdef uint32_t size = window_size(sketch)
    if size > 1:
        memcpy(spare + used[0], bins.data + sketch.window, size * sizeof(uint32_t))
        sketch.window = used[0]
        used[0] += size


cdef int collect_bins(Groups *groups) noexcept nogil:
    """Drop the windows that are not wanted any more; -1 (and nothing done) when memory is out."""
    cdef Bins *bins = &groups.bins
    cdef uint32_t *spare = bins.spare
    cdef uint32_t capacity = bins.spare_capacity
    cdef uint32_t i, used = groups.max_keys + FIRST
    if capacity < bins.capacity:
        capacity = bins.capacity
        spare = <uint32_t *> malloc(capacity * sizeof(uint32_t))
        if spare == NULL:
            return -1
        free(bins.spare)
    memcpy(spare, bins.data, used * sizeof(uint32_t))
    move_window(bins, &groups.sketches[NONE], spare, &used)
    move_window(bins, &groups.sketches[OTHER], spare, &used)
    for i in range(groups.keys_count):
        move_window(bins, &groups.sketches[groups.order[i]], spare, &used)
    bins.spare = bins.data
    bins.spare_capacity = bins.capacity
    bins.data = spare
    bins.capacity = capacity
    bins.used = used
    memset(bins.unused, 0, sizeof(bins.unused))
    return 0


cdef int compact(Groups *groups) noexcept nogil:
    """Make room: of what was used up, half is free afterwards. -1 when memory is out: the bins are what they were then,
    which refuses no key.

    Groups keep their numbers, but for those that are folded.
    """
    cdef bint text_full = groups.full and groups.keys_count < groups.max_keys
    cdef bint bins_full = groups.bins.used > groups.max_bins
    cdef uint32_t most_bins = (groups.max_bins - groups.max_keys) // 2
    if groups.keys_count == groups.max_keys:
        keep_best_half(groups)
    while text_full and groups.text_live > groups.max_text // 2:
        keep_best_half(groups)
    while bins_full and groups.keys_count and live_bins(groups) > most_bins:
        keep_best_half(groups)
    index_keys(groups)
    groups.full = False
    if text_full or groups.text_used // 2 > groups.text_live:  # or sooner: less memory, more of it in caches
        collect_text(groups)
    return collect_bins(groups) if bins_full else 0
