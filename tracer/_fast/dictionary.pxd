"""The distinct texts of one column, numbered in the order in which they came."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from tracer._fast.text cimport Text


cdef struct Dictionary:
    # the texts of one column in one batch, each once
    int64_t serial
    char *data
    uint64_t used
    uint64_t capacity
    int32_t *offsets
    uint64_t *hashes  # by code
    uint32_t count
    uint32_t most  # texts that there is room for; the last one is the empty text's, unless that is there already
    int32_t *table  # hash -> code, -1: empty; twice as many places
    uint32_t mask


cdef extern from *:
    """
    #define HASH_SEED 0xCBF29CE484222325ull
    #define HASH_FACTOR 0x9E3779B97F4A7C15ull
    """
    const uint64_t HASH_SEED
    const uint64_t HASH_FACTOR


cdef inline uint64_t mix_word(uint64_t hashed, uint64_t word) noexcept nogil:
    hashed = (hashed ^ word) * HASH_FACTOR
    return hashed ^ (hashed >> 29)


cdef inline uint64_t end_hash(uint64_t hashed, uint64_t word) noexcept nogil:
    hashed = (hashed ^ word) * HASH_FACTOR
    return hashed ^ (hashed >> 32)


cdef inline uint64_t hash_bytes(const char *data, uint64_t size) noexcept nogil:
    """Multiplied by the golden ratio word by word, mixed after each."""
    cdef uint64_t hashed = HASH_SEED ^ size
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, data, 8)
        hashed = mix_word(hashed, word)
        data += 8
        size -= 8
    word = 0
    memcpy(&word, data, size)
    return end_hash(hashed, word)


cdef int init_dictionary(Dictionary *dictionary) except -1
cdef void clear_dictionary(Dictionary *dictionary, int64_t serial) noexcept nogil
cdef void free_dictionary(Dictionary *dictionary) noexcept nogil
cdef bint add_text(Dictionary *dictionary, Text *text, int place, int32_t *code) noexcept nogil
cdef int32_t add_bytes(Dictionary *dictionary, const char *data, uint64_t size) noexcept nogil
cdef tuple export_dictionary(const Dictionary *dictionary)


cdef inline bint encode(Dictionary *dictionary, Text *text, int place, int32_t *code) noexcept nogil:
    """Find the code of a text. It is noted in one of the text's two places, so that the same object costs nothing the
    next time. False when memory is out: the code is that of the empty text then."""
    if text.serial[place] == dictionary.serial:
        code[0] = text.code[place]
        return True
    return add_text(dictionary, text, place, code)


cdef inline int32_t keep_text(Dictionary *dictionary, uint64_t size, uint64_t hashed) noexcept nogil:
    """The code of the text that has been written behind the others, which is kept there if it is a new one."""
    cdef const char *start = dictionary.data + dictionary.used
    cdef uint32_t slot = <uint32_t> hashed & dictionary.mask
    cdef int32_t code
    while True:
        code = dictionary.table[slot]
        if code < 0:
            break
        if dictionary.hashes[code] == hashed and \
                <uint64_t> (dictionary.offsets[code + 1] - dictionary.offsets[code]) == size and \
                memcmp(dictionary.data + dictionary.offsets[code], start, size) == 0:
            return code
        slot = (slot + 1) & dictionary.mask
    code = <int32_t> dictionary.count
    dictionary.table[slot] = code
    dictionary.count += 1
    dictionary.used += size
    dictionary.offsets[dictionary.count] = <int32_t> dictionary.used
    dictionary.hashes[code] = hashed
    return code
