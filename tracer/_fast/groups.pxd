"""Groups of rows by key, in bounded memory: what is counted of each, and of those that there was no room for.

A table holds at most `max_keys` keys, `max_text` bytes of their texts and about `max_bins` bins of their sketches
(beyond by what the rows between two calls of `has_room` add). When one is used up, `compact` keeps the better half of
the keys, those with more latency in sum (to a 32nd; of equal ones the newer), and merges the rest into the group
`other`: nothing counted is ever lost. A key that comes back begins anew. All in all a key costs a constant time.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, memset

from tracer._fast.sketch cimport (
    BIN_COUNT, Bins, FULL_WINDOW, Sketch, add_to_bin, bin_of, free_bins, merge, take_window, widen,
)


cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size)


cdef enum:
    NONE = 0  # the group of the rows without a key
    OTHER = 1  # the group of the keys that there was no room for
    FIRST = 2  # the first group with a key
    MOST_KEYS = 0xFFFF - FIRST  # what 16 bits can tell apart, and one more


cdef struct Counts:
    # 64 bytes, a line of the cache. Sums are modulo 2^64.
    uint64_t calls
    uint64_t errors
    uint64_t read_bytes
    uint64_t written_bytes
    uint64_t timed  # calls that returned, and so have a latency
    uint64_t latency_ns
    uint64_t min_ns  # UINT64_MAX without any
    uint64_t max_ns


cdef struct Key:
    uint64_t hash
    uint32_t text  # where in Groups.text
    uint16_t size
    uint16_t mark  # the caller's, 0 at first


cdef struct Groups:
    uint32_t end  # behind the last group
    uint32_t max_keys
    uint32_t max_text
    uint32_t max_bins
    uint32_t name_bytes  # 0: keys are texts; else numbers, the hash itself, and each has room for a name that changes
    bint full  # a key was refused since the last compaction
    uint64_t folded  # keys in `other`; one that came back and was folded again counts again
    Counts *counts  # these four by group
    Key *keys
    Sketch *sketches
    uint16_t *ranks  # of use in a compaction only
    uint32_t *index  # hash -> 16 bits of the hash and the group, 0: empty
    uint32_t mask
    char *text
    uint32_t text_used
    uint32_t text_capacity
    Bins bins


cdef inline void *cache_lines(size_t size) noexcept nogil:
    return aligned_alloc(64, (size + 63) // 64 * 64)


cdef inline int init_groups(
    Groups *groups, uint32_t max_keys, uint32_t max_text, uint32_t max_bins, uint32_t name_bytes,
) noexcept nogil:
    """Make an empty table; -1 when memory is out: it can be freed then, and nothing else."""
    cdef uint32_t size = 8
    memset(groups, 0, sizeof(Groups))
    while size < 2 * max_keys:
        size *= 2
    groups.max_keys = max_keys
    groups.max_text = max_text
    groups.max_bins = max_bins
    groups.name_bytes = name_bytes
    groups.mask = size - 1
    groups.counts = <Counts *> cache_lines((max_keys + FIRST) * sizeof(Counts))
    groups.keys = <Key *> malloc((max_keys + FIRST) * sizeof(Key))
    groups.sketches = <Sketch *> malloc((max_keys + FIRST) * sizeof(Sketch))
    groups.ranks = <uint16_t *> malloc((max_keys + FIRST) * sizeof(uint16_t))
    groups.index = <uint32_t *> malloc(size * sizeof(uint32_t))
    if groups.counts == NULL or groups.keys == NULL or groups.sketches == NULL or groups.ranks == NULL \
            or groups.index == NULL:
        return -1
    return clear_groups(groups)


cdef inline void free_groups(Groups *groups) noexcept nogil:
    free(groups.counts)
    free(groups.keys)
    free(groups.sketches)
    free(groups.ranks)
    free(groups.index)
    free(groups.text)
    free_bins(&groups.bins)
    memset(groups, 0, sizeof(Groups))


cdef inline uint64_t groups_bytes(const Groups *groups) noexcept nogil:
    """The memory that a table takes."""
    cdef uint64_t each = sizeof(Counts) + sizeof(Key) + sizeof(Sketch) + sizeof(uint16_t)
    cdef uint64_t bins = <uint64_t> groups.bins.capacity + groups.bins.spare_capacity
    return (groups.max_keys + FIRST) * each + (groups.mask + bins + 1) * sizeof(uint32_t) + groups.text_capacity


cdef inline void clear_counts(Counts *counts) noexcept nogil:
    memset(counts, 0, sizeof(Counts))
    counts.min_ns = <uint64_t> -1


cdef inline void clear_group(Groups *groups, uint32_t group) noexcept nogil:
    clear_counts(&groups.counts[group])
    memset(&groups.sketches[group], 0, sizeof(Sketch))


cdef inline int clear_groups(Groups *groups) noexcept nogil:
    """Forget all; -1 when memory is out, which can only be the first time."""
    groups.end = FIRST
    groups.full = False
    groups.folded = 0
    groups.text_used = 0
    groups.bins.used = 0
    memset(groups.index, 0, (groups.mask + 1) * sizeof(uint32_t))
    memset(groups.keys, 0, FIRST * sizeof(Key))
    clear_group(groups, NONE)
    clear_group(groups, OTHER)
    return widen(&groups.bins, &groups.sketches[OTHER], 0, BIN_COUNT - 1)  # so that folding needs no memory


cdef inline void add_counts(Counts *into, const Counts *counts) noexcept nogil:
    into.calls += counts.calls
    into.errors += counts.errors
    into.read_bytes += counts.read_bytes
    into.written_bytes += counts.written_bytes
    into.timed += counts.timed
    into.latency_ns += counts.latency_ns
    if counts.min_ns < into.min_ns:
        into.min_ns = counts.min_ns
    if counts.max_ns > into.max_ns:
        into.max_ns = counts.max_ns


cdef inline int reserve_text(Groups *groups, uint32_t size) noexcept nogil:
    cdef uint64_t capacity = groups.text_capacity
    cdef char *text
    if size <= capacity - groups.text_used:
        return 0
    capacity = min(<uint64_t> groups.max_text, max(2 * capacity, <uint64_t> groups.text_used + size))
    text = <char *> realloc(groups.text, capacity)
    if text == NULL:
        return -1
    groups.text = text
    groups.text_capacity = <uint32_t> capacity
    return 0


cdef inline int add_key(
    Groups *groups, const char *text, uint32_t size, uint64_t hash, uint32_t slot,
) noexcept nogil:
    cdef uint32_t room = groups.name_bytes if groups.name_bytes else size
    cdef uint32_t group = groups.end
    if room > 0xFFFF:  # longer than any path
        groups.folded += 1
        return OTHER
    if group == groups.max_keys + FIRST or room > groups.max_text - groups.text_used:
        groups.full = True
        return -1
    if reserve_text(groups, room) < 0:
        return -2
    memcpy(groups.text + groups.text_used, text, size)
    groups.keys[group].hash = hash
    groups.keys[group].text = groups.text_used
    groups.keys[group].size = <uint16_t> size
    groups.keys[group].mark = 0
    groups.text_used += room
    clear_group(groups, group)
    groups.index[slot] = <uint32_t> (hash >> 48) << 16 | group
    groups.end = group + 1
    return <int> group


cdef inline bint is_key(const Groups *groups, const Key *key, const char *text, uint32_t size, uint64_t hash) noexcept nogil:
    return key.hash == hash and (
        groups.name_bytes > 0 or (key.size == size and memcmp(groups.text + key.text, text, size) == 0))


cdef inline uint32_t slot_of(const Groups *groups, const char *text, uint32_t size, uint64_t hash) noexcept nogil:
    """Where in the index a key is, or would be."""
    cdef uint32_t slot = <uint32_t> hash & groups.mask
    cdef uint32_t tag = <uint32_t> (hash >> 48)
    cdef uint32_t entry = groups.index[slot]
    while entry != 0:
        if entry >> 16 == tag and is_key(groups, &groups.keys[entry & 0xFFFF], text, size, hash):
            break
        slot = (slot + 1) & groups.mask
        entry = groups.index[slot]
    return slot


cdef inline int find_key(const Groups *groups, const char *text, uint32_t size, uint64_t hash) noexcept nogil:
    """The group of a key, or -1."""
    cdef uint32_t entry = groups.index[slot_of(groups, text, size, hash)]
    return <int> (entry & 0xFFFF) if entry else -1


cdef inline int group_of(Groups *groups, const char *text, uint32_t size, uint64_t hash) noexcept nogil:
    """The group of a key, a new one if need be; -1 when there is no room before a compaction, -2 when memory is out."""
    cdef uint32_t slot = slot_of(groups, text, size, hash)
    cdef uint32_t entry = groups.index[slot]
    return <int> (entry & 0xFFFF) if entry else add_key(groups, text, size, hash, slot)


cdef inline void rename_group(Groups *groups, uint32_t group, const char *name, uint32_t size) noexcept nogil:
    """Give a group of a table of numbers another name, of which `name_bytes` bytes are kept."""
    cdef Key *key = &groups.keys[group]
    key.size = <uint16_t> min(size, groups.name_bytes)
    memcpy(groups.text + key.text, name, key.size)


# ---- compaction ----

cdef inline bint has_room(const Groups *groups) noexcept nogil:
    """Whether no compaction is due."""
    return not groups.full and groups.bins.used <= groups.max_bins


cdef inline void choose(Groups *groups, uint32_t keep) noexcept nogil:
    """Set `ranks[group]` of the keys to 1 where it is one of the `keep` best, else 0."""
    cdef uint32_t having[BIN_COUNT]  # keys by rank
    cdef uint32_t least = BIN_COUNT
    cdef uint32_t better = 0, surplus = 0, group, rank, dropped
    memset(having, 0, sizeof(having))
    for group in range(FIRST, groups.end):
        rank = bin_of(groups.counts[group].latency_ns)
        groups.ranks[group] = <uint16_t> rank
        having[rank] += 1
    while least > 0 and better + having[least - 1] <= keep:
        least -= 1
        better += having[least]
    if least > 0:  # of those just below, some have room
        least -= 1
        surplus = having[least] - (keep - better)
    for group in range(FIRST, groups.end):  # without branches, which nothing could foresee
        rank = groups.ranks[group]
        dropped = (rank == least) & (surplus > 0)
        surplus -= dropped
        groups.ranks[group] = <uint16_t> ((rank >= least) & (dropped ^ 1))


cdef inline void fold(Groups *groups, uint32_t group) noexcept nogil:
    """Merge a group into `other`, whose window is full: no memory is needed."""
    groups.folded += groups.counts[group].calls > 0
    add_counts(&groups.counts[OTHER], &groups.counts[group])
    merge(&groups.bins, &groups.sketches[OTHER], &groups.bins, &groups.sketches[group])


cdef inline void move(Groups *groups, uint32_t group, uint32_t to) noexcept nogil:
    """Move a group down to where all before it have their places."""
    cdef uint32_t room = groups.name_bytes if groups.name_bytes else groups.keys[group].size
    groups.counts[to] = groups.counts[group]
    groups.sketches[to] = groups.sketches[group]
    groups.keys[to] = groups.keys[group]
    memmove(groups.text + groups.text_used, groups.text + groups.keys[to].text, room)
    groups.keys[to].text = groups.text_used
    groups.text_used += room


cdef inline void keep_best(Groups *groups, uint32_t keep) noexcept nogil:
    cdef uint32_t group, end = FIRST
    choose(groups, keep)
    groups.text_used = 0
    for group in range(FIRST, groups.end):
        if groups.ranks[group]:
            move(groups, group, end)
            end += 1
        else:
            fold(groups, group)
    groups.end = end


cdef inline uint32_t live_bins(const Groups *groups) noexcept nogil:
    cdef uint32_t group, live = 0
    for group in range(groups.end):
        if groups.sketches[group].size > 1:
            live += groups.sketches[group].size
    return live


cdef inline int collect(Groups *groups) noexcept nogil:
    """Drop all windows that no sketch uses any more; -1 (and nothing done) when memory is out."""
    cdef Bins *bins = &groups.bins
    cdef uint32_t *spare = bins.spare
    cdef uint32_t capacity = bins.spare_capacity
    cdef uint32_t group, used = 0
    cdef Sketch *sketch
    if capacity < bins.capacity:
        spare = <uint32_t *> malloc(bins.capacity * sizeof(uint32_t))
        if spare == NULL:
            return -1
        free(bins.spare)
        capacity = bins.capacity
    for group in range(groups.end):
        sketch = &groups.sketches[group]
        if sketch.size > 1:
            memcpy(spare + used, bins.data + sketch.bins, sketch.size * sizeof(uint32_t))
            sketch.bins = used
            used += sketch.size
    bins.spare = bins.data
    bins.spare_capacity = bins.capacity
    bins.data = spare
    bins.capacity = capacity
    bins.used = used
    return 0


cdef inline void index_keys(Groups *groups) noexcept nogil:
    cdef uint32_t group, slot
    cdef uint64_t hash
    memset(groups.index, 0, (groups.mask + 1) * sizeof(uint32_t))
    for group in range(FIRST, groups.end):
        hash = groups.keys[group].hash
        slot = <uint32_t> hash & groups.mask
        while groups.index[slot] != 0:
            slot = (slot + 1) & groups.mask
        groups.index[slot] = <uint32_t> (hash >> 48) << 16 | group


cdef inline int compact(Groups *groups) noexcept nogil:
    """Make room: half of what was used up is free afterwards. Groups get other numbers. -1 when memory is out."""
    while groups.full:
        keep_best(groups, (groups.end - FIRST) // 2)
        groups.full = groups.text_used > groups.max_text // 2
    while groups.end > FIRST and live_bins(groups) > groups.max_bins // 2:
        keep_best(groups, (groups.end - FIRST) // 2)
    index_keys(groups)
    return collect(groups)
