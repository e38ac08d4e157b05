"""Texts (paths, thread names, ...) as counted C objects: made once, shared by tables, calls and rows."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef enum:
    CLASS_BYTES = 64
    POOL_CLASSES = 9  # index n: texts of n * 64 bytes, header included; longer ones are rare
    MOST_POOLED_BYTES = 4 << 20


cdef struct Text:
    int32_t refs
    uint32_t size
    TextPool *pool  # where its memory goes when it is dropped; NULL: back to malloc
    # Where the two dictionaries that may hold this text (file and old_file) have put it: valid while the dictionary's
    # serial is the one noted here.
    int64_t serial[2]
    int32_t code[2]
    char data[1]  # size bytes, no NUL


cdef struct TextPool:
    # memory of dropped texts, used again without asking malloc; for one thread at a time
    Text *dropped[POOL_CLASSES]  # chained by their `pool`
    uint64_t bytes
    uint64_t living_bytes  # of its texts that are not dropped; 0: there are none
    bint closed  # its owner is gone: it goes with the last text


cdef inline uint32_t size_class(uint32_t size) noexcept nogil:
    return <uint32_t> ((sizeof(Text) + <uint64_t> size + CLASS_BYTES - 1) // CLASS_BYTES)


cdef inline Text *blank_text(TextPool *pool, uint32_t size) noexcept nogil:
    """A text with one reference that the caller owns, its bytes still to be written; NULL when memory is out. A NULL
    pool means malloc."""
    cdef uint32_t kind = size_class(size)
    cdef Text *text
    if pool != NULL and kind < POOL_CLASSES and pool.dropped[kind] != NULL:
        text = pool.dropped[kind]
        pool.dropped[kind] = <Text *> text.pool
        pool.bytes -= kind * CLASS_BYTES
    else:
        text = <Text *> malloc(<size_t> kind * CLASS_BYTES)
        if text == NULL:
            return NULL
    text.refs = 1
    text.size = size
    text.pool = pool
    text.serial[0] = text.serial[1] = 0
    if pool != NULL:
        pool.living_bytes += <uint64_t> kind * CLASS_BYTES
    return text


cdef inline Text *new_text(TextPool *pool, const char *data, uint32_t size) noexcept nogil:
    """The same with its bytes."""
    cdef Text *text = blank_text(pool, size)
    if text != NULL:
        memcpy(text.data, data, size)
    return text


cdef inline Text *share(Text *text) noexcept nogil:
    """Another reference to the same text; NULL stays NULL."""
    if text != NULL:
        text.refs += 1
    return text


cdef inline void free_text(Text *text) noexcept nogil:
    cdef TextPool *pool = text.pool
    cdef uint32_t kind = size_class(text.size)
    if pool == NULL:
        free(text)
        return
    pool.living_bytes -= <uint64_t> kind * CLASS_BYTES
    if kind < POOL_CLASSES and pool.bytes < MOST_POOLED_BYTES and not pool.closed:
        text.pool = <TextPool *> pool.dropped[kind]
        pool.dropped[kind] = text
        pool.bytes += kind * CLASS_BYTES
        return
    free(text)
    if pool.closed and pool.living_bytes == 0:
        free(pool)


cdef inline void drop(Text *text) noexcept nogil:
    """Give a reference back; NULL is allowed."""
    if text != NULL:
        text.refs -= 1
        if text.refs == 0:
            free_text(text)


cdef inline void replace(Text **place, Text *text) noexcept nogil:
    """Store an owned reference where another one may be."""
    cdef Text *old = place[0]
    place[0] = text
    drop(old)


cdef inline void close_pool(TextPool *pool) noexcept nogil:
    """Free what is pooled now, and the pool itself with the last text that came from it. NULL is allowed."""
    cdef Text *text
    cdef int kind
    if pool == NULL:
        return
    for kind in range(POOL_CLASSES):
        while pool.dropped[kind] != NULL:
            text = pool.dropped[kind]
            pool.dropped[kind] = <Text *> text.pool
            free(text)
    pool.closed = True
    if pool.living_bytes == 0:
        free(pool)
