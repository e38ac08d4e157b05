"""Calls that give a number to another file, and what that leaves in doubt (see docs/how-rows-are-made.md)."""

from libc.stdint cimport int32_t, int64_t, uint64_t

from tracer._fast.calls cimport Call
from tracer._fast.events cimport syscall_rule
from tracer._fast.fdcache cimport FdCache, Process


cdef void begin_replacing(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil
cdef void end_replacing(FdCache cache, Call *call, const syscall_rule *rule) noexcept nogil
cdef void drop_doubtful_names(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil
cdef bint is_contradicted(FdCache cache, const Call *call, Process *process, int64_t fd) noexcept nogil
cdef bint may_be_given(FdCache cache, const Call *call, Process *process, int64_t fd) noexcept nogil
cdef bint frees_many(const Call *call, const syscall_rule *rule) noexcept nogil
cdef bint was_changed_since(FdCache cache, Process *process, int32_t fd, uint64_t since_ns,
                            bint or_is) noexcept nogil
