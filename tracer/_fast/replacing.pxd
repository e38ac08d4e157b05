"""Calls that give a number to another file, and what that leaves in doubt (see docs/how-rows-are-made.md)."""

from libc.stdint cimport int64_t

from tracer._fast.calls cimport Call
from tracer._fast.events cimport syscall_rule
from tracer._fast.fdcache cimport FdCache, Process, Table


cdef void begin_replacing(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil
cdef void end_replacing(FdCache cache, Call *call, const syscall_rule *rule) noexcept nogil
cdef void drop_doubtful_names(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil
cdef bint is_contradicted(FdCache cache, const Call *call, Process *process, int64_t fd) noexcept nogil
cdef bint is_calls_own(FdCache cache, const Call *call, Process *process, int64_t fd) noexcept nogil
cdef bint frees_one(const Call *call, const syscall_rule *rule) noexcept nogil
cdef void settle(Table *table, int64_t fd) noexcept nogil
cdef bint was_made_before(FdCache cache, const Call *call, const syscall_rule *rule,
                          const Process *process) noexcept nogil
