"""Texts that are not plain ASCII, or have backslashes: as valid UTF-8, each in a way of its own."""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

from tracer._fast.dictionary cimport Dictionary, hash_bytes, keep_text
from tracer._fast.text cimport Text


cdef int32_t keep_utf8(Dictionary *dictionary, const Text *text) noexcept nogil:
    """The code of a text, for which there is room."""
    cdef char *start = dictionary.data + dictionary.used
    cdef uint64_t size = write_utf8(start, text)
    return keep_text(dictionary, size, hash_bytes(start, size))


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


cdef inline bint looks_escaped(const unsigned char *data, uint32_t left) noexcept nogil:
    """Whether the text goes on as what is written for a bad byte, or for a backslash."""
    cdef unsigned char high, low
    if left < 4 or data[0] != c"\\" or data[1] != c"x":
        return False
    high, low = data[2], data[3]
    if high == c"5":
        return low == c"c"
    return (c"8" <= high <= c"9" or c"a" <= high <= c"f") and (c"0" <= low <= c"9" or c"a" <= low <= c"f")


cdef uint64_t write_utf8(char *out, const Text *text) noexcept nogil:
    """Copy a text as valid UTF-8, a bad byte as \\xHH, and so a backslash that would look like the begin of that; the
    bytes written, at most four times as many as came in."""
    cdef const char *digits = b"0123456789abcdef"
    cdef const unsigned char *data = <const unsigned char *> text.data
    cdef uint32_t i = 0
    cdef uint64_t used = 0
    cdef int length
    while i < text.size:
        length = utf8_length(data + i, text.size - i)
        if length and not looks_escaped(data + i, text.size - i):
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
