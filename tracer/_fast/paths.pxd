"""Making path texts: joining to a directory, folding, and spelling the names that the kernel program sends."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from tracer._fast.events cimport TRACER_NAME_COMPONENTS, TRACER_NAME_DELETED, TRACER_NAME_INCOMPLETE, name_section
from tracer._fast.text cimport Text, TextPool, blank_text, new_text


cdef enum:
    PATH_LIMIT = 4095
    TOO_LONG = PATH_LIMIT + 1
    DELETED_BYTES = 10


cdef extern from *:
    """
    #define SLASHES 0x2F2F2F2F2F2F2F2Full
    #define DELETED " (deleted)"
    """
    const uint64_t SLASHES
    const char *DELETED


cdef inline bint has_zero(uint64_t word) noexcept nogil:
    """Whether one of its bytes is 0."""
    return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u != 0


cdef inline bint may_fold(const char *path) noexcept nogil:
    """Whether one of the first 8 bytes is a slash before another one or a dot: 9 bytes are read."""
    cdef uint64_t word, following
    memcpy(&word, path, 8)
    memcpy(&following, path + 1, 8)
    # "/" is 2f and "." is 2e: with its lowest bit set, what follows a slash must not be one
    return has_zero((word ^ SLASHES) | ((following | 0x0101010101010101u) ^ SLASHES))


cdef inline bint is_folded(const char *path, uint32_t size) noexcept nogil:
    """Whether `fold` would surely leave an absolute path as it is: no component is empty or begins with a dot. Of one
    too short to be looked at in words that isn't sure."""
    cdef uint32_t at
    if size < 9 or size > PATH_LIMIT or path[0] != c"/" or path[size - 1] == c"/":
        return False
    for at in range(0, size - 9, 8):
        if may_fold(path + at):
            return False
    return not may_fold(path + size - 9)  # the last bytes, some of them for the second time


cdef inline Text *cut_path(TextPool *pool, const char *path, uint32_t size) noexcept nogil:
    """A path as it is, but for what is behind PATH_LIMIT; NULL when memory is out."""
    return new_text(pool, path, size if size < PATH_LIMIT else PATH_LIMIT)


cdef Text *fold_path(TextPool *pool, const Text *directory, const char *path, uint32_t size) noexcept nogil
cdef Text *spell_special(TextPool *pool, const name_section *section, const char *data) noexcept nogil


cdef inline Text *join_path(TextPool *pool, const Text *directory, const char *path, uint32_t size) noexcept nogil:
    """The path made absolute; NULL when memory is out. Relative to an unknown directory (NULL, or a name that is no
    path), or if that made it longer than PATH_LIMIT, it stays as it is."""
    if is_folded(path, size):
        return new_text(pool, path, size)
    return fold_path(pool, directory, path, size)


cdef inline void spell_components(char *end, const char *data, uint32_t size) noexcept nogil:
    """Turn "b\\0a\\0", or the same without the last zero, into "/a/b" before `end`."""
    cdef const char *stop = data + size
    cdef const char *zero
    while data < stop:
        zero = <const char *> memchr(data, 0, stop - data)
        if zero == NULL:
            zero = stop
        end -= zero - data
        memcpy(end, data, zero - data)
        end -= 1
        end[0] = c"/"
        data = zero + 1


cdef inline Text *spell_name(TextPool *pool, const name_section *section, const char *data) noexcept nogil:
    """The text of a name section; NULL for no section, an incomplete or empty one, or when memory is out."""
    cdef Text *text
    cdef uint32_t size, length, suffix
    if section == NULL or section.status & TRACER_NAME_INCOMPLETE:
        return NULL
    if section.kind != TRACER_NAME_COMPONENTS:
        return spell_special(pool, section, data)
    size = section.len if section.len < PATH_LIMIT else PATH_LIMIT
    length = size + (data[size - 1] != 0) if size > 0 else 1
    suffix = DELETED_BYTES if section.status & TRACER_NAME_DELETED else 0
    text = blank_text(pool, length + suffix)
    if text == NULL:
        return NULL
    text.data[0] = c"/"  # all there is to the root's name
    spell_components(text.data + length, data, size)
    if suffix:
        memcpy(text.data + length, DELETED, DELETED_BYTES)
    return text
