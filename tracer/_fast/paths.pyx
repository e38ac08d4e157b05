"""Making path texts that need more than a look (see paths.pxd): folding, and names of what lies in no directory."""

from libc.stdint cimport uint32_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from tracer._fast.events cimport (
    TRACER_NAME_ANON, TRACER_NAME_DELETED, TRACER_NAME_NAMESPACE, TRACER_NAME_PIPE, TRACER_NAME_PSEUDO,
    TRACER_NAME_SOCKET, TRACER_NAME_TEXT, name_section,
)
from tracer._fast.text cimport Text, TextPool, new_text


cdef uint32_t parent_length(const char *out, uint32_t used) noexcept nogil:
    """Length of out[:used] without its last component: 0 for a single one."""
    while used > 0:
        used -= 1
        if out[used] == c"/":
            return used
    return 0


cdef bint ends_in_dots(const char *out, uint32_t used) noexcept nogil:
    """Whether the last component is `..`."""
    return used >= 3 and out[used - 1] == c"." and out[used - 2] == c"." and out[used - 3] == c"/"


cdef uint32_t fold(char *out, uint32_t used, const char *path, uint32_t size) noexcept nogil:
    """Append the components of `path` to out[:used]; the new length, TOO_LONG if they don't fit.

    out[:used] is a directory without a trailing slash (empty for the root). `.` and empty components vanish. `..` at
    the beginning takes a component of the directory away: it was named by the kernel and has no symlinks. Behind any
    other component it stays, since that one may be a symlink, and so it does behind a directory that ends in a `..`
    that stayed.
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
            if length >= PATH_LIMIT - used:
                return TOO_LONG
            out[used] = c"/"
            memcpy(out + used + 1, path + start, length)
            used += 1 + length
        start = end + 1
    return used


cdef Text *fold_path(TextPool *pool, const Text *directory, const char *path, uint32_t size) noexcept nogil:
    """The rest of `join_path`, for a path that is relative or may have components to fold."""
    cdef char out[PATH_LIMIT]
    cdef uint32_t used = 0
    if size == 0 or path[0] != c"/":
        if directory == NULL or directory.size == 0 or directory.data[0] != c"/" or directory.size > PATH_LIMIT:
            return cut_path(pool, path, size)
        used = directory.size
        memcpy(out, directory.data, used)
        if used == 1:
            used = 0
    used = fold(out, used, path, size)
    if used == TOO_LONG:
        return cut_path(pool, path, size)
    if used == 0:
        out[0] = c"/"
        used = 1
    return new_text(pool, out, used)


cdef Text *spell_special(TextPool *pool, const name_section *section, const char *data) noexcept nogil:
    """The rest of `spell_name`, for a name that is not told by its components."""
    cdef char out[PATH_LIMIT + 64]
    cdef uint32_t size = section.len if section.len < PATH_LIMIT else PATH_LIMIT
    cdef bint deleted = section.status & TRACER_NAME_DELETED
    cdef int used = 0
    if section.kind == TRACER_NAME_TEXT:
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
        memcpy(out + used, DELETED, DELETED_BYTES)
        used += DELETED_BYTES
    return new_text(pool, out, <uint32_t> used)
