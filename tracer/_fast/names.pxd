"""Which files a call means: its paths and descriptors by the names they have (see docs/how-rows-are-made.md)."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from tracer._fast.calls cimport Call, PathSlot
from tracer._fast.events cimport (
    TRACER_NAME_CLOEXEC, TRACER_NAME_CLOEXEC_KNOWN, TRACER_NAME_NONE, name_section, syscall_rule,
)
from tracer._fast.fdcache cimport CLOEXEC_SET, CLOEXEC_UNSET, FdCache, Identity, Process
from tracer._fast.procfs cimport Answers
from tracer._fast.records cimport Parts
from tracer._fast.text cimport Text


cdef class Names:
    cdef FdCache fd_cache
    cdef bint ask_proc  # every name that the stream does not tell
    cdef Answers answers
    cdef uint64_t proc_asks

    cdef void bind(self, Process *process, const Parts *parts) noexcept nogil
    cdef bint is_called(self, Process *process, int32_t fd, const Text *name) noexcept nogil
    cdef void name_files(self, Call *call, const syscall_rule *rule, Process *process,
                         const Parts *parts) noexcept nogil
    cdef void name_late(self, Call *call, const syscall_rule *rule, Process *process,
                        const Parts *parts) noexcept nogil
    cdef void name_paths(self, Call *call, const syscall_rule *rule, Process *process,
                         const Parts *parts) noexcept nogil
    cdef void find_directory(self, PathSlot *slot, const Call *call, int dirfd_arg, Process *process) noexcept nogil
    cdef const char *ask_thread_name(self, Process *process, uint32_t tid, uint64_t now_ns) noexcept nogil
    cdef void ask(self, Process *process, uint32_t tid, int32_t fd, uint64_t now_ns) noexcept nogil


cdef inline bint may_be_named_late(const Call *call, const syscall_rule *rule, const Parts *parts) noexcept nogil:
    """Whether there is something for `name_late` to do: most calls have all their names by then."""
    return parts.paths != NULL or (call.file == NULL and rule.fd_arg >= 0)


cdef inline bint is_closed(const name_section *section) noexcept nogil:
    """Whether the kernel says that the number is not open any more."""
    return section != NULL and section.kind == TRACER_NAME_NONE


cdef inline Identity section_identity(const name_section *section) noexcept nogil:
    """Which file a section names; what /proc answered does not tell."""
    return Identity(section.inode, section.device) if section != NULL else Identity(0, 0)


cdef inline uint8_t section_cloexec(const name_section *section, uint8_t otherwise) noexcept nogil:
    """Close-on-exec as a section has it; `otherwise` if there is no section, or it does not say."""
    if section != NULL and section.status & TRACER_NAME_CLOEXEC_KNOWN:
        return CLOEXEC_SET if section.status & TRACER_NAME_CLOEXEC else CLOEXEC_UNSET
    return otherwise
