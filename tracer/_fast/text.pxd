"""Texts (paths, thread names, ...) as counted C objects: made once, shared by tables, calls and rows."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef struct Text:
    int32_t refs
    uint32_t size
    # Where the two dictionaries that may hold this text (file and old_file) have put it: valid while the dictionary's
    # serial is the one noted here.
    int64_t serial[2]
    int32_t code[2]
    char data[1]  # size bytes, no NUL


cdef inline Text *new_text(const char *data, uint32_t size) noexcept nogil:
    """A text with one reference that the caller owns; NULL when memory is out. `data` NULL: the caller fills it."""
    cdef Text *text = <Text *> malloc(sizeof(Text) + size)
    if text != NULL:
        text.refs = 1
        text.size = size
        text.serial[0] = text.serial[1] = 0
        if data != NULL:
            memcpy(text.data, data, size)
    return text


cdef inline Text *share(Text *text) noexcept nogil:
    """Another reference to the same text; NULL stays NULL."""
    if text != NULL:
        text.refs += 1
    return text


cdef inline void drop(Text *text) noexcept nogil:
    """Give a reference back; NULL is allowed."""
    if text != NULL:
        text.refs -= 1
        if text.refs == 0:
            free(text)


cdef inline void replace(Text **place, Text *text) noexcept nogil:
    """Store an owned reference where another one may be."""
    cdef Text *old = place[0]
    place[0] = text
    drop(old)
