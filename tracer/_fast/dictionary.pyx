"""The distinct texts of one column, numbered in the order in which they came."""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from tracer._fast.prefetch cimport LINE_BYTES, prefetch_to_write
from tracer._fast.text cimport Text
from tracer._fast.utf8 cimport keep_utf8

import numpy as np


# ---- dictionaries ----

cdef int init_dictionary(Dictionary *dictionary) except -1:
    dictionary.capacity = 4096
    dictionary.most = 64
    dictionary.mask = dictionary.most * 2 - 1
    dictionary.data = <char *> malloc(dictionary.capacity)
    dictionary.offsets = <int32_t *> malloc((dictionary.most + 1) * sizeof(int32_t))
    dictionary.hashes = <uint64_t *> malloc(dictionary.most * sizeof(uint64_t))
    dictionary.table = <int32_t *> malloc((dictionary.mask + 1) * sizeof(int32_t))
    if dictionary.data == NULL or dictionary.offsets == NULL or dictionary.hashes == NULL \
            or dictionary.table == NULL:
        raise MemoryError
    clear_dictionary(dictionary, 0)
    return 0


cdef void clear_dictionary(Dictionary *dictionary, int64_t serial) noexcept nogil:
    dictionary.serial = serial
    dictionary.used = 0
    dictionary.count = 0
    dictionary.offsets[0] = 0
    memset(dictionary.table, 0xFF, (dictionary.mask + 1) * sizeof(int32_t))


cdef void free_dictionary(Dictionary *dictionary) noexcept nogil:
    free(dictionary.data)
    free(dictionary.offsets)
    free(dictionary.hashes)
    free(dictionary.table)


cdef inline uint64_t backslashes(uint64_t word) noexcept nogil:
    """A word with a high bit that is set if a byte is a backslash, and clear if none is and all are ASCII."""
    cdef uint64_t others = word ^ <uint64_t> 0x5C5C5C5C5C5C5C5C
    return (others - <uint64_t> 0x0101010101010101) & ~others & <uint64_t> 0x8080808080808080


cdef inline bint copy_ascii(char *out, const Text *text, uint64_t *hashed) noexcept nogil:
    """Copy a text of plain ASCII without a backslash and give its hash, as `hash_bytes` would, in one go; False if it
    is something else.

    Up to 7 bytes behind its end are read (a text's memory has them) and written.
    """
    cdef const char *data = text.data
    cdef uint64_t size = text.size
    cdef uint64_t mixed = HASH_SEED ^ size
    cdef uint64_t word, seen = 0
    cdef uint64_t at = 0
    while at + 8 <= size:
        memcpy(&word, data + at, 8)
        memcpy(out + at, &word, 8)
        seen |= word | backslashes(word)
        mixed = mix_word(mixed, word)
        at += 8
    memcpy(&word, data + at, 8)
    word &= (<uint64_t> 1 << (size % 8 * 8)) - 1
    memcpy(out + at, &word, 8)
    hashed[0] = end_hash(mixed, word)
    return (seen | word | backslashes(word)) & <uint64_t> 0x8080808080808080 == 0


cdef inline int reserve_dictionary(Dictionary *dictionary, uint64_t more) noexcept nogil:
    """Room for one more text of `more` bytes; -1 when memory is out."""
    if dictionary.used + more > dictionary.capacity and grow_data(dictionary, more) < 0:
        return -1
    return grow_table(dictionary) if dictionary.count + 1 >= dictionary.most else 0


cdef int grow_data(Dictionary *dictionary, uint64_t more) noexcept nogil:
    cdef uint64_t capacity = dictionary.capacity
    cdef char *data
    while dictionary.used + more > capacity:
        capacity *= 2
    data = <char *> realloc(dictionary.data, capacity)
    if data == NULL:
        return -1
    dictionary.data = data
    dictionary.capacity = capacity
    return 0


cdef int grow_table(Dictionary *dictionary) noexcept nogil:
    """Room for twice as many texts."""
    cdef size_t most = <size_t> dictionary.most * 2
    cdef uint32_t mask = <uint32_t> (most * 2 - 1)
    cdef int32_t *offsets = <int32_t *> realloc(dictionary.offsets, (most + 1) * sizeof(int32_t))
    cdef uint64_t *hashes
    cdef int32_t *table
    cdef uint32_t code, slot
    if offsets == NULL:
        return -1
    dictionary.offsets = offsets
    hashes = <uint64_t *> realloc(dictionary.hashes, most * sizeof(uint64_t))
    if hashes == NULL:
        return -1
    dictionary.hashes = hashes
    table = <int32_t *> malloc(most * 2 * sizeof(int32_t))
    if table == NULL:
        return -1
    memset(table, 0xFF, most * 2 * sizeof(int32_t))
    for code in range(dictionary.count):
        slot = <uint32_t> hashes[code] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = <int32_t> code
    free(dictionary.table)
    dictionary.table = table
    dictionary.mask = mask
    dictionary.most = <uint32_t> most
    return 0


cdef inline void fetch_ends(const Dictionary *dictionary) noexcept nogil:
    """Ask for where the next texts go, but for their places in the table."""
    prefetch_to_write(dictionary.data + dictionary.used + 8 * LINE_BYTES)
    prefetch_to_write(<const char *> (dictionary.hashes + dictionary.count) + 2 * LINE_BYTES)
    prefetch_to_write(<const char *> (dictionary.offsets + dictionary.count) + 2 * LINE_BYTES)


cdef bint add_text(Dictionary *dictionary, Text *text, int place, int32_t *code) noexcept nogil:
    """The rest of `encode`, for a text that this batch has not seen under this object."""
    cdef uint64_t hashed
    fetch_ends(dictionary)
    if reserve_dictionary(dictionary, <uint64_t> text.size * 4 + 8) < 0:
        code[0] = keep_text(dictionary, 0, hash_bytes(dictionary.data, 0))
        return False
    if copy_ascii(dictionary.data + dictionary.used, text, &hashed):
        code[0] = keep_text(dictionary, text.size, hashed)
    else:
        code[0] = keep_utf8(dictionary, text)
    text.serial[place] = dictionary.serial
    text.code[place] = code[0]
    return True


cdef int32_t add_bytes(Dictionary *dictionary, const char *data, uint64_t size) noexcept nogil:
    """The code of a text that is valid UTF-8; -1 when memory is out."""
    if dictionary.used + size > INT32_MAX or reserve_dictionary(dictionary, size) < 0:
        return -1
    memcpy(dictionary.data + dictionary.used, data, size)
    return keep_text(dictionary, size, hash_bytes(data, size))


cdef tuple export_dictionary(const Dictionary *dictionary):
    """Copies of a dictionary's offsets and text."""
    offsets = np.empty(dictionary.count + 1, np.int32)
    data = np.empty(dictionary.used, np.uint8)
    cdef int32_t[::1] offsets_view = offsets
    cdef unsigned char[::1] data_view = data
    memcpy(&offsets_view[0], dictionary.offsets, (dictionary.count + 1) * sizeof(int32_t))
    if dictionary.used:
        memcpy(&data_view[0], dictionary.data, dictionary.used)
    return offsets, data
