"""What a call that succeeded does to descriptors, directories and the break (see docs/how-rows-are-made.md)."""

from tracer._fast.calls cimport Call
from tracer._fast.events cimport syscall_rule
from tracer._fast.fdcache cimport FdCache, Process
from tracer._fast.records cimport Parts


cdef void apply_effect(FdCache cache, Call *call, const syscall_rule *rule, Process *process,
                       const Parts *parts) noexcept nogil
cdef void bind_unseen(FdCache cache, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
cdef void move_break(Call *call, Process *process) noexcept nogil
