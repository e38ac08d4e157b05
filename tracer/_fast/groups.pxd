"""Groups of rows by key, in bounded memory: what is counted of each, and of those that there was no room for.

A table holds at most `max_keys` keys, `max_text` bytes of their texts and about `max_bins` bins of their sketches
(beyond by what the rows between two calls of `has_room` add). When one is used up, `compact` keeps the better half of
the keys, those with more latency in sum (to a 32nd; of equal ones the newer), and merges the rest into the group
`other`: nothing counted is ever lost. Where that half alone has more than half of the bins, or of the text, it keeps
the better half of it, and so on. A key that comes back begins anew. All in all a key costs a constant time.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from tracer._fast.sketch cimport (
    BIN_COUNT, Bins, Sketch, add_to_bin, free_bins, make_wide, reserve_bins, widen,
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
    uint64_t untimed  # calls that never returned, and so have no latency
    uint64_t errors
    uint64_t read_bytes
    uint64_t written_bytes
    uint64_t latency_ns
    uint64_t min_ns  # UINT64_MAX without any
    uint64_t max_ns


cdef struct Call:
    # what one call adds to each of its groups
    uint64_t errors
    uint64_t read_bytes
    uint64_t written_bytes
    uint64_t latency_ns
    uint32_t bin  # of the latency
    bint timed


cdef struct Key:
    uint64_t hash
    uint32_t text  # where in Groups.text
    uint16_t size
    uint16_t mark  # the caller's, 0 at first


cdef struct Groups:
    uint32_t keys_count
    uint32_t end  # behind the last group that was ever in use
    uint32_t max_keys
    uint32_t max_text
    uint32_t max_bins
    uint32_t name_bytes  # 0: keys are texts; else numbers, the hash itself, and each has room for a name that changes
    bint full  # a key was refused since the last compaction
    uint64_t folded  # keys in `other`; one that came back and was folded again counts again
    Counts *counts  # these three by group
    Key *keys
    Sketch *sketches
    uint16_t *order  # the groups with a key, oldest first, and behind them those that have none any more
    uint16_t *ranks  # of use in a compaction only
    uint32_t *index  # hash -> 16 bits of the hash and the group, 0: empty
    uint32_t mask
    char *text
    uint32_t text_used
    uint32_t text_live  # without the texts of keys that are gone
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
    groups.order = <uint16_t *> malloc(max_keys * sizeof(uint16_t))
    groups.ranks = <uint16_t *> malloc(max_keys * sizeof(uint16_t))
    groups.index = <uint32_t *> malloc(size * sizeof(uint32_t))
    if groups.counts == NULL or groups.keys == NULL or groups.sketches == NULL or groups.order == NULL \
            or groups.ranks == NULL or groups.index == NULL:
        return -1
    return clear_groups(groups)


cdef inline void free_groups(Groups *groups) noexcept nogil:
    free(groups.counts)
    free(groups.keys)
    free(groups.sketches)
    free(groups.order)
    free(groups.ranks)
    free(groups.index)
    free(groups.text)
    free_bins(&groups.bins)
    memset(groups, 0, sizeof(Groups))


cdef inline uint64_t groups_bytes(const Groups *groups) noexcept nogil:
    """The memory that a table takes."""
    cdef uint64_t each = sizeof(Counts) + sizeof(Key) + sizeof(Sketch) + 2 * sizeof(uint16_t)
    cdef uint64_t numbers = <uint64_t> groups.mask + groups.bins.capacity + groups.bins.spare_capacity
    return groups.max_keys * each + numbers * sizeof(uint32_t) + groups.text_capacity


cdef inline void clear_counts(Counts *counts) noexcept nogil:
    memset(counts, 0, sizeof(Counts))
    counts.min_ns = <uint64_t> -1


cdef inline void clear_group(Groups *groups, uint32_t group) noexcept nogil:
    clear_counts(&groups.counts[group])
    groups.sketches[group].window = group
    groups.sketches[group].low = 0
    groups.sketches[group].size = 0


cdef inline int clear_groups(Groups *groups) noexcept nogil:
    """Forget all; -1 when memory is out, which can only be the first time."""
    groups.keys_count = 0
    groups.end = FIRST
    groups.full = False
    groups.folded = 0
    groups.text_used = groups.text_live = 0
    groups.bins.used = 0
    memset(groups.bins.unused, 0, sizeof(groups.bins.unused))
    memset(groups.index, 0, (groups.mask + 1) * sizeof(uint32_t))
    clear_group(groups, NONE)
    clear_group(groups, OTHER)
    if reserve_bins(&groups.bins, groups.max_keys + FIRST) < 0:
        return -1
    if widen(&groups.bins, &groups.sketches[OTHER], 0, BIN_COUNT - 1) < 0:
        return -1
    return make_wide(&groups.bins, &groups.sketches[OTHER])  # so that folding needs no memory


cdef inline void add_counts(Counts *into, const Counts *counts) noexcept nogil:
    into.calls += counts.calls
    into.untimed += counts.untimed
    into.errors += counts.errors
    into.read_bytes += counts.read_bytes
    into.written_bytes += counts.written_bytes
    into.latency_ns += counts.latency_ns
    if counts.min_ns < into.min_ns:
        into.min_ns = counts.min_ns
    if counts.max_ns > into.max_ns:
        into.max_ns = counts.max_ns


cdef inline int add_call(Groups *groups, uint32_t group, const Call *call) noexcept nogil:
    """Count a call; -1 when memory is out, but for its bin all is counted then."""
    cdef Counts *counts = &groups.counts[group]
    counts.calls += 1
    counts.errors += call.errors
    counts.read_bytes += call.read_bytes
    counts.written_bytes += call.written_bytes
    if not call.timed:
        counts.untimed += 1
        return 0
    counts.latency_ns += call.latency_ns
    if call.latency_ns < counts.min_ns:
        counts.min_ns = call.latency_ns
    if call.latency_ns > counts.max_ns:
        counts.max_ns = call.latency_ns
    return add_to_bin(&groups.bins, &groups.sketches[group], call.bin, 1)


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
    cdef uint32_t group
    cdef Key *key
    if size > 0xFFFF:  # longer than any path
        groups.folded += 1
        return OTHER
    size = groups.name_bytes if groups.name_bytes else size
    if groups.keys_count == groups.max_keys or size > groups.max_text - groups.text_used:
        groups.full = True
        return -1
    if reserve_text(groups, size) < 0:
        return -2
    if groups.keys_count < groups.end - FIRST:
        group = groups.order[groups.keys_count]
    else:
        group = groups.end
        groups.end += 1
        groups.order[groups.keys_count] = <uint16_t> group
    groups.keys_count += 1
    key = &groups.keys[group]
    key.hash = hash
    key.text = groups.text_used
    key.mark = key.size = 0
    if not groups.name_bytes:
        memcpy(groups.text + groups.text_used, text, size)
        key.size = <uint16_t> size
    groups.text_used += size
    groups.text_live += size
    clear_group(groups, group)
    groups.index[slot] = <uint32_t> (hash >> 48) << 16 | group
    return <int> group


cdef inline bint is_key(
    const Groups *groups, const Key *key, const char *text, uint32_t size, uint64_t hash,
) noexcept nogil:
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


cdef int compact(Groups *groups) noexcept nogil
