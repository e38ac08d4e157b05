"""The distinct texts of one column, numbered in the order in which they came."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from tracer._fast.text cimport Text


cdef struct Dictionary:
    # the texts of one column in one batch, each once
    int slot  # which of a text's two places notes its code here
    int64_t serial
    char *data
    uint64_t used
    uint64_t capacity
    int32_t *offsets
    uint32_t count
    uint32_t offsets_capacity
    int32_t *table  # hash -> code, -1: empty
    uint32_t mask


cdef int init_dictionary(Dictionary *dictionary, int slot) except -1
cdef void clear_dictionary(Dictionary *dictionary, int64_t serial) noexcept nogil
cdef void free_dictionary(Dictionary *dictionary) noexcept nogil
cdef int32_t add_text(Dictionary *dictionary, Text *text) noexcept nogil
cdef tuple export_dictionary(const Dictionary *dictionary)


cdef inline int32_t encode(Dictionary *dictionary, Text *text) noexcept nogil:
    """The code of a text. It is noted in the text, so that the same object costs nothing the next time."""
    cdef int32_t code
    if text.serial[dictionary.slot] == dictionary.serial:
        return text.code[dictionary.slot]
    code = add_text(dictionary, text)
    if code < 0:
        return 0
    text.serial[dictionary.slot] = dictionary.serial
    text.code[dictionary.slot] = code
    return code
