"""From events to calls: pairing by thread, names resolved on the way (see docs/how-rows-are-made.md)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tracer._fast.events cimport (
    TRACER_MAX_SYSCALLS, comm_body, event_header, exec_body, fork_body, syscall_rule, task_exit_body,
)
from tracer._fast.fdcache cimport FdCache, Process
from tracer._fast.intmap cimport IntMap
from tracer._fast.records cimport Parts
from tracer._fast.text cimport Text


cdef struct Call:
    # a paired enter and exit; the texts belong to it
    uint64_t enter_ns
    uint64_t exit_ns
    uint64_t gap_ns
    uint64_t args[6]
    uint64_t aux[3]
    int64_t ret
    int64_t space_bytes  # of brk
    uint32_t tgid
    uint32_t tid
    uint16_t number
    bint returned
    bint has_gap
    bint has_aux
    bint names_on_success  # the file holds only if the call succeeded: an empty path that meant the directory descriptor
    uint8_t source
    uint8_t status1
    uint8_t status2
    int32_t returned_fd  # a descriptor that the call made, or -1
    Text *comm
    Text *file
    Text *old_file
    Text *directory1  # kept for paths that come with the exit
    Text *directory2


cdef struct Thread:
    uint64_t last_used_ns  # first: see intmap.quarter_age
    uint32_t tid
    uint32_t tgid
    uint64_t last_end_ns
    bint has_end
    bint entered
    bint pending
    Text *comm
    Call call


cdef class Pairer:
    cdef readonly FdCache fd_cache
    cdef IntMap threads
    cdef syscall_rule rules[TRACER_MAX_SYSCALLS]
    cdef bint failed_only
    cdef bint ask_proc
    cdef Call call  # the finished one, until the next step
    cdef readonly uint64_t enter_without_exit
    cdef readonly uint64_t exit_without_enter
    cdef readonly uint64_t mismatched
    cdef readonly uint64_t malformed
    # records with what /proc answered, to be put into the stream before the record at hand; 0 bytes: none
    cdef char *asked
    cdef uint32_t asked_bytes

    cdef int step(self, const char *record) noexcept nogil
    cdef int on_enter(self, Parts *parts) noexcept nogil
    cdef int on_exit(self, Parts *parts) noexcept nogil
    cdef void on_name(self, Parts *parts) noexcept nogil
    cdef void on_fork(self, const event_header *header, const fork_body *body) noexcept nogil
    cdef void on_exec(self, const event_header *header, const exec_body *body) noexcept nogil
    cdef void on_task_exit(self, const event_header *header, const task_exit_body *body) noexcept nogil
    cdef void on_comm(self, const event_header *header, const comm_body *body) noexcept nogil
    cdef Thread *new_thread(self, uint32_t tid, uint32_t tgid, uint64_t now_ns) noexcept nogil
    cdef Thread *get_thread(self, const event_header *header) noexcept nogil
    cdef void free_thread(self, Thread *thread) noexcept nogil
    cdef void drop_thread(self, uint32_t tid) noexcept nogil
    cdef void trim(self) noexcept nogil
    cdef void move_state(self, Thread *caller, Thread *leader) noexcept nogil
    cdef void begin_call(self, Call *call, const Parts *parts) noexcept nogil
    cdef int end_call(self, Thread *thread, const syscall_rule *rule) noexcept nogil
    cdef void finish(self) noexcept nogil
    cdef Text *directory(self, const Call *call, int dirfd_arg, Process *process) noexcept nogil
    cdef void name_files(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef void name_descriptor(self, Call *call, const syscall_rule *rule, Process *process, int32_t fd,
                   uint8_t only_source) noexcept nogil
    cdef void name_paths(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef void set_paths(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts,
                   int slots) noexcept nogil
    cdef Text *first_file(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef Text *meant_file(self, Call *call, const syscall_rule *rule, Process *process, uint8_t status, const char *text,
                   uint32_t size, Text *directory, int dirfd_arg, bint second) noexcept nogil
    cdef void name_late(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef void reread_paths(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef void apply_effect(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef void bind_returned(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil
    cdef void duplicate(self, Call *call, Process *process, int64_t fd, uint8_t cloexec, const Parts *parts) noexcept nogil
    cdef void apply_fcntl(self, Call *call, Process *process, const Parts *parts) noexcept nogil
    cdef void apply_close_range(self, Call *call, Process *process) noexcept nogil
    cdef void bind_pair(self, Call *call, Process *process, const Parts *parts) noexcept nogil
    cdef void ask_name(self, uint32_t tgid, int32_t fd, uint32_t tid, uint64_t now_ns) noexcept nogil
    cdef void ask_comm(self, const event_header *at) noexcept nogil
    cdef void pad_asked(self, uint32_t size) noexcept nogil
