"""The numeric columns of a row, computed from its call.

Each function returns whether there is a value, and stores it.
"""

from libc.stdint cimport INT64_MAX as INT64_LARGEST, int32_t, int64_t, uint32_t, uint64_t

from tracer._fast.calls cimport Call, argument
from tracer._fast.events cimport (
    TRACER_AUX_IOVEC, TRACER_AUX_MSGHDR, TRACER_AUX_NONE, TRACER_AUX_OPEN_HOW, TRACER_AUX_TIMEVAL,
    TRACER_AUX_XATTR_ARGS, TRACER_BYTES_NONE, TRACER_BYTE_RULE_PROBE, TRACER_BYTE_RULE_RECV, TRACER_QUANTITY_BRK,
    TRACER_QUANTITY_CLOCK_SLEEP, TRACER_QUANTITY_MMAP, TRACER_QUANTITY_MREMAP, TRACER_QUANTITY_MUNMAP,
    TRACER_QUANTITY_NO_SPACE, TRACER_QUANTITY_POLL_MS, TRACER_QUANTITY_POLL_SPEC, TRACER_QUANTITY_SLEEP,
    TRACER_SIZE_INT, TRACER_SIZE_UINT, syscall_rule,
)


cdef enum:
    MSG_PEEK = 0x2  # include/linux/socket.h
    MSG_TRUNC = 0x20
    TIMER_ABSTIME = 1
    OFFSET_IS_RET = -2
    NS_PER_S = 1000000000
    US_PER_S = 1000000


cdef inline bint size_argument(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    if rule.size_arg < 0:
        return False
    value[0] = <int64_t> argument(call, rule.size_arg)
    if rule.size_type == TRACER_SIZE_INT:
        value[0] = <int32_t> value[0]
    elif rule.size_type == TRACER_SIZE_UINT:
        value[0] = <uint32_t> value[0]
    return value[0] >= 0


cdef inline bint requested_bytes(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    if rule.aux_kind == TRACER_AUX_NONE:
        return size_argument(call, rule, value)
    if rule.aux_kind == TRACER_AUX_IOVEC or rule.aux_kind == TRACER_AUX_MSGHDR:
        value[0] = <int64_t> call.aux[0]
        return call.has_aux and call.aux[1] == 1 and value[0] >= 0
    if rule.aux_kind == TRACER_AUX_XATTR_ARGS:
        value[0] = <int64_t> <uint32_t> call.aux[1]
        return call.has_aux
    return size_argument(call, rule, value)


cdef inline bint moved_bytes(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    cdef int64_t requested = 0
    cdef uint64_t flags
    if rule.byte_class == TRACER_BYTES_NONE or not call.returned:
        return False
    value[0] = call.ret if call.ret > 0 else 0
    if rule.byte_rule == TRACER_BYTE_RULE_PROBE:
        if requested_bytes(call, rule, &requested) and requested == 0:
            value[0] = 0
    elif rule.byte_rule == TRACER_BYTE_RULE_RECV:
        flags = argument(call, rule.flags_arg)
        if flags & MSG_PEEK:
            value[0] = 0
        elif flags & MSG_TRUNC and value[0] > 0:  # it is the length of the message
            if not requested_bytes(call, rule, &requested):
                return rule.size_arg >= 0  # one that is negative is larger than any message
            value[0] = min(value[0], requested)
    return True


cdef inline bint file_offset(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    if rule.offset_arg == OFFSET_IS_RET:
        value[0] = call.ret
        return call.returned and call.ret >= 0
    if rule.offset_arg < 0:
        return False
    value[0] = <int64_t> argument(call, rule.offset_arg)
    # preadv2 and pwritev2 from the current position have none
    return value[0] != -1 or rule.aux_kind != TRACER_AUX_IOVEC or rule.flags_arg < 0


cdef inline bint call_flags(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    if rule.aux_kind == TRACER_AUX_OPEN_HOW:
        value[0] = <int64_t> call.aux[0]
        return call.has_aux
    if rule.flags_arg < 0:
        return False
    value[0] = <uint32_t> argument(call, rule.flags_arg)
    return True


cdef inline int64_t device_number(uint32_t device) noexcept nogil:
    """As stat(2) has it (gnu_dev_makedev of glibc) from the kernel's own (include/linux/kdev_t.h)."""
    cdef int64_t major = device >> 20, minor = device & 0xFFFFF
    return (major & 0xFFF) << 8 | minor & 0xFF | (minor & ~0xFF) << 12


cdef inline int64_t whole_pages(uint64_t size) noexcept nogil:
    return <int64_t> ((size + 4095) & ~<uint64_t> 4095)


cdef inline bint address_space(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    if not call.returned or call.ret < 0:
        return False
    if rule.quantity == TRACER_QUANTITY_MMAP or rule.quantity == TRACER_QUANTITY_MUNMAP:
        value[0] = whole_pages(call.args[1])
    elif rule.quantity == TRACER_QUANTITY_MREMAP:
        value[0] = whole_pages(call.args[1] if call.args[1] > call.args[2] else call.args[2])
    elif rule.quantity == TRACER_QUANTITY_BRK:
        value[0] = call.space_bytes
    elif rule.quantity == TRACER_QUANTITY_NO_SPACE:
        value[0] = 0
    else:
        return False
    return True


cdef inline bint duration_ns(const Call *call, bint is_timeval, int64_t *value) noexcept nogil:
    """A timespec or timeval from aux, held at the largest int64; False if unread or invalid."""
    cdef int64_t seconds = <int64_t> call.aux[0]
    cdef int64_t rest = <int64_t> call.aux[1]
    if is_timeval:  # select's, which need not be normal: as kern_select does it (fs/select.c), C's rounding and all
        seconds = <int64_t> (call.aux[0] + <uint64_t> (rest // US_PER_S))
        rest = rest % US_PER_S * 1000
    if not call.has_aux or call.aux[2] != 1 or seconds < 0 or rest < 0 or rest >= NS_PER_S:
        return False
    if seconds > (INT64_LARGEST - rest) // NS_PER_S:
        value[0] = INT64_LARGEST
    else:
        value[0] = seconds * NS_PER_S + rest
    return True


cdef inline bint requested_sleep(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    if rule.quantity == TRACER_QUANTITY_SLEEP:
        return duration_ns(call, False, value)
    if rule.quantity == TRACER_QUANTITY_CLOCK_SLEEP and not argument(call, rule.flags_arg) & TIMER_ABSTIME:
        return duration_ns(call, False, value)
    return False


cdef inline bint timeout(const Call *call, const syscall_rule *rule, int64_t *value) noexcept nogil:
    cdef int32_t milliseconds
    if rule.quantity == TRACER_QUANTITY_POLL_MS:
        milliseconds = <int32_t> argument(call, rule.timeout_arg)
        value[0] = <int64_t> milliseconds * 1000000
        return milliseconds >= 0
    if rule.quantity == TRACER_QUANTITY_POLL_SPEC and argument(call, rule.timeout_arg) != 0:
        return duration_ns(call, rule.aux_kind == TRACER_AUX_TIMEVAL, value)
    return False
