"""The distinct texts of one column, numbered in the order in which they came."""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from tracer._fast.text cimport Text

import numpy as np


# ---- dictionaries ----

cdef int init_dictionary(Dictionary *dictionary) except -1:
    dictionary.capacity = 4096
    dictionary.offsets_capacity = 64
    dictionary.mask = 127
    dictionary.data = <char *> malloc(dictionary.capacity)
    dictionary.offsets = <int32_t *> malloc((dictionary.offsets_capacity + 1) * sizeof(int32_t))
    dictionary.hashes = <uint64_t *> malloc(dictionary.offsets_capacity * sizeof(uint64_t))
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


cdef inline int continuation(const unsigned char *data, uint32_t left, int wanted) noexcept nogil:
    cdef int i
    if left <= <uint32_t> wanted:
        return 0
    for i in range(1, wanted + 1):
        if data[i] & 0xC0 != 0x80:
            return 0
    return wanted + 1


cdef inline int utf8_length(const unsigned char *data, uint32_t left) noexcept nogil:
    """Bytes of the valid UTF-8 character at data (RFC 3629: no surrogates, nothing overlong), or 0."""
    cdef unsigned char first = data[0]
    if first < 0x80:
        return 1
    if 0xC2 <= first <= 0xDF:
        return continuation(data, left, 1)
    if 0xE0 <= first <= 0xEF:
        if left > 1 and ((first == 0xE0 and data[1] < 0xA0) or (first == 0xED and data[1] > 0x9F)):
            return 0
        return continuation(data, left, 2)
    if 0xF0 <= first <= 0xF4:
        if left > 1 and ((first == 0xF0 and data[1] < 0x90) or (first == 0xF4 and data[1] > 0x8F)):
            return 0
        return continuation(data, left, 3)
    return 0


cdef uint64_t write_utf8(char *out, const Text *text) noexcept nogil:
    """Copy a text as valid UTF-8, a bad byte as \\xHH; the bytes written, at most four times as many as came in."""
    cdef const char *digits = b"0123456789abcdef"
    cdef const unsigned char *data = <const unsigned char *> text.data
    cdef uint32_t i = 0
    cdef uint64_t used = 0
    cdef int length
    while i < text.size:
        length = utf8_length(data + i, text.size - i)
        if length:
            memcpy(out + used, data + i, length)
            used += length
            i += length
        else:
            out[used] = c"\\"
            out[used + 1] = c"x"
            out[used + 2] = digits[data[i] >> 4]
            out[used + 3] = digits[data[i] & 15]
            used += 4
            i += 1
    return used


cdef inline bint copy_ascii(char *out, const Text *text, uint64_t *hashed) noexcept nogil:
    """Copy a text of plain ASCII and give its hash, as `hash_bytes` would, in one go; False if it is something else.

    Up to 7 bytes behind its end are read (a text's memory has them) and written.
    """
    cdef const char *data = text.data
    cdef uint64_t left = text.size
    cdef uint64_t mixed = HASH_SEED ^ left
    cdef uint64_t word, seen = 0
    while left >= 8:
        memcpy(&word, data, 8)
        memcpy(out, &word, 8)
        seen |= word
        mixed = mix_word(mixed, word)
        data += 8
        out += 8
        left -= 8
    memcpy(&word, data, 8)
    word &= (<uint64_t> 1 << (left * 8)) - 1
    memcpy(out, &word, 8)
    hashed[0] = end_hash(mixed, word)
    return (seen | word) & <uint64_t> 0x8080808080808080 == 0


cdef int reserve_dictionary(Dictionary *dictionary, uint64_t more) noexcept nogil:
    """Room for one more text of `more` bytes; -1 when memory is out."""
    cdef void *moved
    cdef uint64_t capacity = dictionary.capacity
    if dictionary.used + more > capacity:
        while dictionary.used + more > capacity:
            capacity *= 2
        moved = realloc(dictionary.data, capacity)
        if moved == NULL:
            return -1
        dictionary.data = <char *> moved
        dictionary.capacity = capacity
    if dictionary.count == dictionary.offsets_capacity:
        moved = realloc(dictionary.offsets, (dictionary.offsets_capacity * 2 + 1) * sizeof(int32_t))
        if moved == NULL:
            return -1
        dictionary.offsets = <int32_t *> moved
        moved = realloc(dictionary.hashes, dictionary.offsets_capacity * 2 * sizeof(uint64_t))
        if moved == NULL:
            return -1
        dictionary.hashes = <uint64_t *> moved
        dictionary.offsets_capacity *= 2
    if dictionary.count * 2 > dictionary.mask:
        return grow_table(dictionary)
    return 0


cdef int grow_table(Dictionary *dictionary) noexcept nogil:
    cdef uint32_t mask = dictionary.mask * 2 + 1
    cdef int32_t *table = <int32_t *> malloc((<size_t> mask + 1) * sizeof(int32_t))
    cdef uint32_t code, slot
    if table == NULL:
        return -1
    memset(table, 0xFF, (<size_t> mask + 1) * sizeof(int32_t))
    for code in range(dictionary.count):
        slot = <uint32_t> dictionary.hashes[code] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = <int32_t> code
    free(dictionary.table)
    dictionary.table = table
    dictionary.mask = mask
    return 0


cdef int32_t add_text(Dictionary *dictionary, Text *text, int place) noexcept nogil:
    """The rest of `encode`, for a text that this batch has not seen under this object; 0 when memory is out."""
    cdef uint64_t size = text.size
    cdef uint64_t hashed
    cdef char *start
    if reserve_dictionary(dictionary, size * 4 + 8) < 0:
        return 0
    start = dictionary.data + dictionary.used
    if not copy_ascii(start, text, &hashed):
        size = write_utf8(start, text)
        hashed = hash_bytes(start, size)
    text.serial[place] = dictionary.serial
    text.code[place] = keep_text(dictionary, size, hashed)
    return text.code[place]


cdef int32_t add_bytes(Dictionary *dictionary, const char *data, uint64_t size) noexcept nogil:
    """The code of a text that is valid UTF-8; -1 when memory is out."""
    if dictionary.used + size > INT32_MAX or reserve_dictionary(dictionary, size) < 0:
        return -1
    memcpy(dictionary.data + dictionary.used, data, size)
    return keep_text(dictionary, size, hash_bytes(data, size))


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
