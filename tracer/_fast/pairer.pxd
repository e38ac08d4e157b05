"""From events to calls: pairing by thread (see docs/how-rows-are-made.md)."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from tracer._fast.calls cimport Call
from tracer._fast.events cimport (
    TRACER_ENTER, TRACER_EXIT, TRACER_MAX_SYSCALLS, comm_body, event_header, exec_body, fork_body, syscall_rule,
    task_exit_body,
)
from tracer._fast.fdcache cimport FdCache, Process
from tracer._fast.intmap cimport IntMap
from tracer._fast.names cimport Names
from tracer._fast.records cimport Parts, take_apart
from tracer._fast.text cimport Text


cdef struct Thread:
    uint64_t last_used_ns  # first: see intmap.quarter_age
    uint32_t tid
    uint32_t tgid
    uint64_t last_end_ns
    bint has_end
    bint entered
    bint pending
    uint32_t mount_namespace  # 0: unknown
    Text *comm  # NULL: unknown
    Process *process  # its own, while `drops` is what the cache has
    uint64_t drops  # 0: its process was not asked for yet
    Call call


@cython.final
cdef class Pairer:
    cdef readonly FdCache fd_cache
    cdef Names names
    cdef IntMap threads
    cdef Thread *recent  # the one that was asked for last, or NULL
    cdef syscall_rule rules[TRACER_MAX_SYSCALLS]
    cdef bint failed_only
    cdef readonly uint64_t enter_without_exit
    cdef readonly uint64_t exit_without_enter
    cdef readonly uint64_t refused
    cdef readonly uint64_t unfinished
    cdef readonly uint64_t mismatched
    cdef readonly uint64_t malformed
    cdef readonly uint64_t forgotten

    cdef void on_other(self, const Parts *parts) noexcept nogil
    cdef const syscall_rule *known_rule(self, uint32_t number) noexcept nogil
    cdef Call *on_enter(self, const Parts *parts) noexcept nogil
    cdef Call *on_exit(self, const Parts *parts) noexcept nogil
    cdef void on_lone_exit(self, Thread *thread, const syscall_rule *rule, const Parts *parts) noexcept nogil
    cdef void on_name(self, const Parts *parts) noexcept nogil
    cdef void on_fork(self, const event_header *header, const fork_body *body) noexcept nogil
    cdef void on_exec(self, const event_header *header, const exec_body *body) noexcept nogil
    cdef void on_task_exit(self, const event_header *header, const task_exit_body *body) noexcept nogil
    cdef void on_comm(self, const event_header *header, const comm_body *body) noexcept nogil
    cdef void give_up_call(self, Thread *thread) noexcept nogil
    cdef bint completes(self, const Call *call, const event_header *header) noexcept nogil
    cdef void learn_comm(self, const event_header *header, Process *process) noexcept nogil
    cdef Thread *new_thread(self, uint32_t tid, uint32_t tgid, uint64_t now_ns) noexcept nogil
    cdef Thread *get_thread(self, const event_header *header) noexcept nogil
    cdef Process *process_of(self, Thread *thread, const event_header *header) noexcept nogil
    cdef Thread *take_thread(self, uint32_t tid) noexcept nogil
    cdef void drop_thread(self, uint32_t tid) noexcept nogil
    cdef void trim(self) noexcept nogil
    cdef void replace_leader(self, const event_header *header, uint32_t caller_tid) noexcept nogil
    cdef void free_thread(self, Thread *thread) noexcept nogil

    cdef inline Call *step(self, const char *record) noexcept nogil:
        """Handle one record, whose `size` bytes are there. The call that it finished, or NULL: to be given to
        `clear_call` before the next step."""
        cdef Parts parts
        self.names.answers.used = 0
        if not take_apart(record, &parts):
            self.malformed += 1
            return NULL
        if parts.header.type == TRACER_ENTER:
            return self.on_enter(&parts)
        if parts.header.type == TRACER_EXIT:
            return self.on_exit(&parts)
        self.on_other(&parts)
        return NULL
