"""One call, from its enter to its row, and what can be said of it without knowing any other."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tracer._fast.events cimport TRACER_PATH_OK, TRACER_PATH_TRUNCATED, syscall_rule
from tracer._fast.fdcache cimport Identity, Table
from tracer._fast.text cimport Text, replace


cdef struct PathSlot:
    # one path argument
    Text *directory  # that it is relative to, as it was called at enter; NULL: unknown, or not needed
    uint8_t directory_source
    Identity identity  # of that directory, if it is a descriptor's
    uint8_t status
    bint on_success  # it is empty and meant the directory: a name only if the call succeeds


cdef struct Call:
    # the texts belong to it, but for the name of a thread that was not renamed
    uint64_t enter_ns
    uint64_t exit_ns  # set once it has `returned`
    uint64_t gap_ns  # set if it `has_gap`
    uint64_t changes  # that there were when it began, as FdCache counts them
    Table *replacing_in  # of a call that frees a number or gives it to another file, see replacing.pyx
    bint contested  # such a call, and others did the same to the number meanwhile
    bint frees_made  # such a call, which frees the file that another one told of
    bint is_settled  # such a call, and others got the number before it had ended
    uint32_t replaced_id  # of what it is part of in that table; 0: nothing, there are too many
    bint is_unsure  # what its descriptors meant others may have changed: one of its names was void, or its exit says so
    uint64_t args[8]  # the last two are always 0: see `argument`
    uint64_t aux[3]
    int64_t ret
    int64_t space_bytes  # of brk
    uint32_t tgid
    uint32_t tid
    uint32_t mount_namespace  # 0: unknown
    uint16_t number
    bint returned
    bint has_gap
    bint has_aux
    bint has_comm  # its thread was renamed since the enter: `comm` is the name before that, NULL if it was unknown
    bint has_paths  # `old_file` and `paths` are in use
    uint8_t source  # of `file`
    int32_t returned_fd  # a descriptor that the call made, or -1
    Identity identity  # of `file`, if it is a descriptor's
    Text *comm
    Text *file
    Text *old_file
    PathSlot paths[2]


cdef inline uint64_t argument(const Call *call, int index) noexcept nogil:
    """An argument by a rule's index, 0 to 5; 0 for the negative ones, which say that there is none."""
    return call.args[index & 7]


cdef inline int32_t descriptor_argument(const Call *call, const syscall_rule *rule) noexcept nogil:
    """The descriptor that the call works on; a negative number if there is none."""
    if rule.fd_arg < 0 or (rule.no_fd_arg >= 0 and argument(call, rule.no_fd_arg) >> (rule.no_fd_bit & 31) & 1):
        return -1
    return <int32_t> argument(call, rule.fd_arg)


cdef inline bint is_errno(int64_t ret) noexcept nogil:
    """-4095 .. -1 without the codes by which the kernel starts an interrupted call again (include/linux/errno.h)."""
    return -4095 <= ret < 0 and not (ret == -512 or ret == -513 or ret == -514 or ret == -516)


cdef inline bint has_failed(int64_t ret) noexcept nogil:
    """Whether it returned no result: an errno, or one of those codes (its program sees EINTR, or nothing of it)."""
    return -4095 <= ret < 0


cdef inline bint was_read(uint8_t status) noexcept nogil:
    return status == TRACER_PATH_OK or status == TRACER_PATH_TRUNCATED


cdef inline void clear_call(Call *call) noexcept nogil:
    """Give back what a call holds."""
    replace(&call.file, NULL)
    if call.has_comm:
        call.has_comm = False
        replace(&call.comm, NULL)
    if call.has_paths:
        call.has_paths = False
        replace(&call.old_file, NULL)
        replace(&call.paths[0].directory, NULL)
        replace(&call.paths[1].directory, NULL)
