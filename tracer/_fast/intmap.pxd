"""A map from 32-bit numbers to pointers: open addressing, linear probing, deletion by shifting back."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort


cdef struct IntMap:
    uint32_t *keys
    void **values  # NULL: the slot is empty
    uint32_t mask
    uint32_t count


cdef inline int init_map(IntMap *map, uint32_t slots) noexcept nogil:
    """Make an empty map; `slots` is a power of two. -1 when memory is out."""
    map.keys = <uint32_t *> calloc(slots, sizeof(uint32_t))
    map.values = <void **> calloc(slots, sizeof(void *))
    map.mask = slots - 1
    map.count = 0
    return 0 if map.keys != NULL and map.values != NULL else -1


cdef inline void free_map(IntMap *map) noexcept nogil:
    """Give the map's own memory back; the values are the owner's."""
    free(map.keys)
    free(map.values)
    map.keys = NULL
    map.values = NULL


cdef inline uint32_t home_slot(const IntMap *map, uint32_t key) noexcept nogil:
    return <uint32_t> ((key * <uint64_t> 0x9E3779B97F4A7C15) >> 32) & map.mask


cdef inline void *find(const IntMap *map, uint32_t key) noexcept nogil:
    """The value of a key, or NULL."""
    cdef uint32_t slot = home_slot(map, key)
    while map.values[slot] != NULL:
        if map.keys[slot] == key:
            return map.values[slot]
        slot = (slot + 1) & map.mask
    return NULL


cdef inline void place(IntMap *map, uint32_t key, void *value) noexcept nogil:
    cdef uint32_t slot = home_slot(map, key)
    while map.values[slot] != NULL:
        slot = (slot + 1) & map.mask
    map.keys[slot] = key
    map.values[slot] = value


cdef inline int grow(IntMap *map) noexcept nogil:
    cdef IntMap larger
    cdef uint32_t slot
    if init_map(&larger, (map.mask + 1) * 2) < 0:
        free_map(&larger)
        return -1
    for slot in range(map.mask + 1):
        if map.values[slot] != NULL:
            place(&larger, map.keys[slot], map.values[slot])
    larger.count = map.count
    free_map(map)
    map[0] = larger
    return 0


cdef inline int insert(IntMap *map, uint32_t key, void *value) noexcept nogil:
    """Add a key that is not there; -1 when memory is out."""
    if (map.count + 1) * 4 > (map.mask + 1) * 3 and grow(map) < 0:
        return -1
    place(map, key, value)
    map.count += 1
    return 0


cdef inline void *take(IntMap *map, uint32_t key) noexcept nogil:
    """Remove a key; its value, or NULL if it was not there."""
    cdef uint32_t slot = home_slot(map, key)
    cdef uint32_t hole, home
    cdef void *value
    while map.values[slot] != NULL and map.keys[slot] != key:
        slot = (slot + 1) & map.mask
    value = map.values[slot]
    if value == NULL:
        return NULL
    map.count -= 1
    hole = slot
    while True:
        slot = (slot + 1) & map.mask
        if map.values[slot] == NULL:
            break
        home = home_slot(map, map.keys[slot])
        if ((slot - home) & map.mask) >= ((slot - hole) & map.mask):
            map.keys[hole] = map.keys[slot]
            map.values[hole] = map.values[slot]
            hole = slot
    map.values[hole] = NULL
    return value


cdef inline int compare_u64(const void *left, const void *right) noexcept nogil:
    cdef uint64_t a = (<const uint64_t *> left)[0]
    cdef uint64_t b = (<const uint64_t *> right)[0]
    return (a > b) - (a < b)


cdef inline uint64_t quarter_age(const IntMap *map) noexcept nogil:
    """The first quartile of the values' first field, a uint64_t (when each was last used); 0 when memory is out."""
    cdef uint64_t *ages = <uint64_t *> malloc((map.count + 1) * sizeof(uint64_t))
    cdef uint32_t slot, n = 0
    cdef uint64_t age
    if ages == NULL:
        return 0
    for slot in range(map.mask + 1):
        if map.values[slot] != NULL:
            ages[n] = (<uint64_t *> map.values[slot])[0]
            n += 1
    qsort(ages, n, sizeof(uint64_t), &compare_u64)
    age = ages[n // 4] if n else 0
    free(ages)
    return age
