"""Making path texts: joining to a directory, folding, and spelling the names that the kernel program sends."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcpy

from tracer._fast.events cimport (
    TRACER_NAME_ANON, TRACER_NAME_COMPONENTS, TRACER_NAME_DELETED, TRACER_NAME_INCOMPLETE, TRACER_NAME_NAMESPACE,
    TRACER_NAME_PIPE, TRACER_NAME_PSEUDO, TRACER_NAME_SOCKET, TRACER_NAME_TEXT, name_section,
)
from tracer._fast.text cimport Text, TextPool, new_text


cdef enum:
    PATH_LIMIT = 4095


cdef extern from *:
    """
    #define SLASHES 0x2F2F2F2F2F2F2F2Full
    """
    const uint64_t SLASHES


cdef inline uint32_t parent_length(const char *out, uint32_t used) noexcept nogil:
    """Length of out[:used] without its last component: 0 for a single one."""
    while used > 0:
        used -= 1
        if out[used] == c"/":
            return used
    return 0


cdef inline bint ends_in_dots(const char *out, uint32_t used) noexcept nogil:
    """Whether the last component is `..`."""
    return used >= 3 and out[used - 1] == c"." and out[used - 2] == c"." and out[used - 3] == c"/"


cdef inline uint32_t fold(char *out, uint32_t used, const char *path, uint32_t size) noexcept nogil:
    """Append the components of `path` to out[:used]; the new length.

    out[:used] is a directory without a trailing slash (empty for the root). `.` and empty components vanish. `..` at
    the beginning takes a component of the directory away: it was named by the kernel and has no symlinks. Behind any
    other component it stays, since that one may be a symlink, and so it does behind a directory that ends in a `..`
    that stayed. A text of more than PATH_LIMIT bytes is cut there, and ends in no `/`.
    """
    cdef uint32_t start = 0, end, length
    cdef bint leading = True
    while start < size:
        end = start
        while end < size and path[end] != c"/":
            end += 1
        length = end - start
        if length == 0 or (length == 1 and path[start] == c"."):
            pass
        elif leading and length == 2 and path[start] == c"." and path[start + 1] == c"." \
                and not ends_in_dots(out, used):
            used = parent_length(out, used)
        else:
            leading = False
            if used < PATH_LIMIT:
                out[used] = c"/"
                used += 1
            if length > PATH_LIMIT - used:
                length = PATH_LIMIT - used
            memcpy(out + used, path + start, length)
            used += length
        start = end + 1
    if used > 1 and out[used - 1] == c"/":
        used -= 1
    return used


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


cdef inline Text *join_path(TextPool *pool, const Text *directory, const char *path, uint32_t size) noexcept nogil:
    """The path made absolute; NULL when memory is out. Relative to an unknown directory (NULL, or a name that is no
    path) it stays as it is."""
    cdef char out[PATH_LIMIT + 1]
    cdef uint32_t used = 0
    cdef bint absolute = size > 0 and path[0] == c"/"
    if absolute and is_folded(path, size):
        return new_text(pool, path, size)
    if not absolute:
        if directory == NULL or directory.size == 0 or directory.data[0] != c"/":
            return cut_path(pool, path, size)
        used = directory.size if directory.size < PATH_LIMIT else PATH_LIMIT
        memcpy(out, directory.data, used)
        if used == 1:
            used = 0
    used = fold(out, used, path, size)
    if used == 0:
        out[0] = c"/"
        used = 1
    return new_text(pool, out, used)


cdef inline uint32_t spell_components(char *out, const char *data, uint32_t size) noexcept nogil:
    """Turn "b\\0a\\0" into "/a/b"; the length. At most PATH_LIMIT bytes come in, at most one more goes out."""
    cdef uint32_t used, total, start = 0, length
    cdef const char *end
    if size == 0:
        out[0] = c"/"
        return 1
    used = total = size + (data[size - 1] != 0)
    while start < size:
        end = <const char *> memchr(data + start, 0, size - start)
        length = <uint32_t> (end - (data + start)) if end != NULL else size - start
        used -= length
        memcpy(out + used, data + start, length)
        used -= 1
        out[used] = c"/"
        start += length + 1
    return total


cdef inline Text *spell_name(TextPool *pool, const name_section *section, const char *data) noexcept nogil:
    """The text of a name section; NULL for no section, an incomplete or empty one, or when memory is out."""
    cdef char out[PATH_LIMIT + 64]
    cdef uint32_t size
    cdef int used = 0
    cdef bint deleted
    if section == NULL or section.status & TRACER_NAME_INCOMPLETE:
        return NULL
    size = section.len if section.len < PATH_LIMIT else PATH_LIMIT
    deleted = section.status & TRACER_NAME_DELETED
    if section.kind == TRACER_NAME_COMPONENTS:
        used = <int> spell_components(out, data, size)
    elif section.kind == TRACER_NAME_TEXT:
        if size == 0:
            return NULL
        memcpy(out, data, size)
        used = <int> size
    elif section.kind == TRACER_NAME_PIPE:
        used = snprintf(out, 64, b"pipe:[%llu]", <unsigned long long> section.inode)
    elif section.kind == TRACER_NAME_SOCKET:
        used = snprintf(out, 64, b"socket:[%llu]", <unsigned long long> section.inode)
    elif section.kind == TRACER_NAME_ANON:
        memcpy(out, b"anon_inode:", 11)
        memcpy(out + 11, data, size)
        used = 11 + <int> size
    elif section.kind == TRACER_NAME_PSEUDO:
        out[0] = c"/"
        memcpy(out + 1, data, size)
        used = 1 + <int> size
        deleted = True
    elif section.kind == TRACER_NAME_NAMESPACE:
        memcpy(out, data, size)
        used = <int> size + snprintf(out + size, 64, b":[%llu]", <unsigned long long> section.inode)
    else:
        return NULL
    if deleted:
        memcpy(out + used, b" (deleted)", 10)
        used += 10
    return new_text(pool, out, <uint32_t> used)
