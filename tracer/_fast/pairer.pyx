"""From events to calls: pairing by thread (see docs/how-rows-are-made.md)."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from tracer._fast.calls cimport Call, clear_call, has_failed
from tracer._fast.effects cimport apply_effect, bind_unseen, move_break
from tracer._fast.events cimport (
    TRACER_COMM, TRACER_COPY_UNSURE, TRACER_EFFECT_EXEC, TRACER_EFFECT_NONE, TRACER_EXEC, TRACER_FORK,
    TRACER_MAX_SYSCALLS, TRACER_MAY_BE_REFUSED, TRACER_MEANT_UNSURE, TRACER_MOUNT_NAMESPACE_FD, TRACER_NAME,
    TRACER_QUANTITY_BRK, TRACER_RULE_KNOWN, TRACER_RULE_NEVER_RETURNS, TRACER_RULE_WANTED, TRACER_TASK_EXIT, comm_body,
    event_header, exec_body, exit_body, fork_body, name_body, syscall_rule, task_exit_body,
)
from tracer._fast.fdcache cimport FdCache, Process, SOURCE_NONE
from tracer._fast.intmap cimport find, free_map, init_map, insert, quarter_age, take
from tracer._fast.names cimport Names, may_be_named_late
from tracer._fast.records cimport Parts, record_bytes, take_apart
from tracer._fast.replacing cimport begin_replacing, drop_doubtful_names, end_replacing, was_made_before
from tracer._fast.text cimport TextPool, drop, new_text, replace, share


cdef extern from "string.h" nogil:
    size_t strnlen(const char *text, size_t limit)


cdef enum:
    MAX_THREADS = 65536
    CLONE_NEWNS = 0x20000  # include/uapi/linux/sched.h
    ERRNO_BADF = -9


@cython.final
cdef class Pairer:
    """Pairs enters with exits, thread by thread, and keeps the names that calls refer to.

    Records go in one by one through the C method `step`; from Python `feed` takes a whole block and tells how many
    calls it held. `rules` is the packed table of `tracer.syscalls.rules`. With `ask_proc`, names that the stream does
    not tell are looked up in /proc: only right while the traced programs run.

    Raises ValueError if `rules` has the wrong size.
    """

    def __cinit__(self, const unsigned char[::1] rules not None, FdCache fd_cache not None, *, bint failed_only=False,
                  bint ask_proc=False):
        if <size_t> rules.shape[0] != sizeof(self.rules):
            raise ValueError(f"rules: {sizeof(self.rules)} bytes are meant, not {rules.shape[0]}")
        memcpy(self.rules, &rules[0], sizeof(self.rules))
        self.fd_cache = fd_cache
        self.failed_only = failed_only
        self.names = Names(fd_cache, ask_proc)
        if init_map(&self.threads, 256) < 0:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t slot
        if self.threads.values == NULL:
            return
        for slot in range(self.threads.mask + 1):
            if self.threads.values[slot] != NULL:
                self.free_thread(<Thread *> self.threads.values[slot])
        free_map(&self.threads)

    def feed(self, const unsigned char[::1] block not None) -> int:
        """Handle a block of records and drop the calls; their number.

        What can't be a record ends the block, counted as malformed. Raises ValueError if the block is not aligned to 8
        bytes.
        """
        cdef Py_ssize_t used = 0, taken, size = block.shape[0]
        cdef const char *data
        cdef Call *call
        cdef int calls = 0
        if size == 0:
            return 0
        data = <const char *> &block[0]
        if <size_t> data % 8:
            raise ValueError("the block is not aligned to 8 bytes")
        with nogil:
            while used < size:
                taken = record_bytes(data + used, size - used)
                if taken == 0:
                    self.malformed += 1
                    break
                call = self.step(data + used)
                if call != NULL:
                    clear_call(call)
                    calls += 1
                used += taken
        return calls

    @property
    def proc_asks(self) -> int:
        """How often /proc was asked for a name: a descriptor's, a working directory's, a thread's."""
        return self.names.proc_asks

    def __len__(self) -> int:
        """Number of threads that are known."""
        return self.threads.count

    # ---- records ----

    cdef void on_other(self, const Parts *parts) noexcept nogil:
        """Handle what is neither the begin nor the end of a call."""
        cdef uint8_t kind = parts.header.type
        if kind == TRACER_NAME:
            self.on_name(parts)
        elif kind == TRACER_FORK:
            self.on_fork(parts.header, <const fork_body *> parts.body)
        elif kind == TRACER_EXEC:
            self.on_exec(parts.header, <const exec_body *> parts.body)
        elif kind == TRACER_TASK_EXIT:
            self.on_task_exit(parts.header, <const task_exit_body *> parts.body)
        elif kind == TRACER_COMM:
            self.on_comm(parts.header, <const comm_body *> parts.body)

    cdef const syscall_rule *known_rule(self, uint32_t number) noexcept nogil:
        """The rule of a syscall; NULL for one that is not known."""
        if number >= TRACER_MAX_SYSCALLS or not self.rules[number].flags & TRACER_RULE_KNOWN:
            return NULL
        return &self.rules[number]

    cdef Call *on_enter(self, const Parts *parts) noexcept nogil:
        cdef const event_header *header = parts.header
        cdef const syscall_rule *rule = self.known_rule(header.syscall)
        cdef Thread *thread
        cdef Process *process
        if rule == NULL:
            return NULL
        thread = self.get_thread(header)
        if thread == NULL:
            return NULL
        process = self.process_of(thread, header)
        if process == NULL:
            return NULL
        if thread.pending:
            self.enter_without_exit += 1
            self.give_up_call(thread)
        if thread.comm == NULL and self.names.ask_proc:
            self.learn_comm(header, process)  # before the call begins: its name at enter, as in a replay of the stream
        thread.pending = thread.entered = True
        begin_call(&thread.call, parts)
        thread.call.mount_namespace = thread.mount_namespace
        thread.call.is_unsure = process.void_name_ns == header.time_ns
        thread.call.changes = self.fd_cache.changes
        self.names.name_files(&thread.call, rule, process, parts)
        if rule.effect != TRACER_EFFECT_NONE:
            begin_replacing(self.fd_cache, &thread.call, rule, process)
        if rule.flags & TRACER_RULE_NEVER_RETURNS:
            return end_call(self, thread, rule)
        return NULL

    cdef Call *on_exit(self, const Parts *parts) noexcept nogil:
        cdef const event_header *header = parts.header
        cdef const syscall_rule *rule = self.known_rule(header.syscall)
        cdef Thread *thread
        cdef Process *process
        cdef Call *call
        if rule == NULL:
            return NULL
        thread = self.get_thread(header)
        if thread == NULL:
            return NULL
        if not thread.pending:
            self.on_lone_exit(thread, rule, parts)
            return NULL
        call = &thread.call
        if not self.completes(call, header):
            self.mismatched += 1
            self.give_up_call(thread)
            return NULL
        rule = &self.rules[call.number]
        call.returned = True
        call.ret = (<const exit_body *> parts.body).ret
        call.exit_ns = header.time_ns
        call.is_unsure |= header.flags & TRACER_MEANT_UNSURE != 0
        process = self.process_of(thread, header)
        if rule.effect != TRACER_EFFECT_NONE:
            end_replacing(self.fd_cache, call, rule)
        if process != NULL:
            if self.failed_only and call.ret == ERRNO_BADF:  # what its enter came with was read after it
                call.is_unsure |= not was_made_before(self.fd_cache, call, rule, process)
            if may_be_named_late(call, rule, parts):
                self.names.name_late(call, rule, process, parts)
            judge_names(self.fd_cache, call, rule, process)
            if rule.effect != TRACER_EFFECT_NONE:
                self.fd_cache.changes += 1
                apply_effect(self.fd_cache, call, rule, process, parts)
                if thread.drops == self.fd_cache.drops:  # else it was forgotten: no memory for a table of its own
                    process.table.last_change = self.fd_cache.changes
            elif rule.quantity == TRACER_QUANTITY_BRK:
                move_break(call, process)
        return end_call(self, thread, rule)

    cdef void on_lone_exit(self, Thread *thread, const syscall_rule *rule, const Parts *parts) noexcept nogil:
        """The end of a call that was refused, or of one that was under way as the trace began."""
        cdef Process *process
        if parts.header.flags & TRACER_MAY_BE_REFUSED:
            self.refused += thread.entered
            return
        self.exit_without_enter += thread.entered
        if parts.name == NULL:
            return
        process = self.process_of(thread, parts.header)
        if process != NULL:
            bind_unseen(self.fd_cache, rule, process, parts)

    cdef void on_name(self, const Parts *parts) noexcept nogil:
        cdef Process *process
        cdef Thread *thread
        if (<const name_body *> parts.body).fd == TRACER_MOUNT_NAMESPACE_FD:
            thread = self.get_thread(parts.header)
            if thread != NULL:
                thread.mount_namespace = <uint32_t> parts.name.inode
            return
        process = self.fd_cache.get_process(parts.header.tgid, parts.header.time_ns)
        if process != NULL:
            self.names.bind(process, parts)

    cdef void on_fork(self, const event_header *header, const fork_body *body) noexcept nogil:
        cdef Thread *thread = <Thread *> find(&self.threads, header.tid)
        cdef uint32_t mount_namespace = 0
        if thread != NULL and thread.tgid == header.tgid and not body.clone_flags & CLONE_NEWNS:
            mount_namespace = thread.mount_namespace
        self.drop_thread(body.child_tid)
        if body.child_tgid != header.tgid:
            self.fd_cache.fork_process(header, body)
        thread = self.new_thread(body.child_tid, body.child_tgid, header.time_ns)
        if thread != NULL:
            thread.mount_namespace = mount_namespace
            set_comm(self.fd_cache.texts, thread, body.comm)

    cdef void on_exec(self, const event_header *header, const exec_body *body) noexcept nogil:
        cdef Thread *thread
        cdef Process *process
        if body.old_tid != header.tid:
            self.replace_leader(header, body.old_tid)
        thread = self.get_thread(header)
        if thread == NULL:
            return
        set_comm(self.fd_cache.texts, thread, body.comm)
        process = self.fd_cache.get_process(header.tgid, header.time_ns)
        if process == NULL:
            return
        if thread.pending:  # the call's own paths: what others did to the table goes with them
            judge_names(self.fd_cache, &thread.call, &self.rules[thread.call.number], process)
        self.fd_cache.exec_process(process, header.flags & TRACER_COPY_UNSURE)

    cdef void on_task_exit(self, const event_header *header, const task_exit_body *body) noexcept nogil:
        self.drop_thread(header.tid)
        if body.group_dead:
            self.fd_cache.drop_process(header.tgid)

    cdef void on_comm(self, const event_header *header, const comm_body *body) noexcept nogil:
        cdef Thread *thread = self.get_thread(header)
        if thread != NULL:
            set_comm(self.fd_cache.texts, thread, body.comm)

    # ---- threads ----

    cdef Thread *new_thread(self, uint32_t tid, uint32_t tgid, uint64_t now_ns) noexcept nogil:
        cdef Thread *thread
        if self.threads.count >= MAX_THREADS:
            self.trim()
        thread = <Thread *> calloc(1, sizeof(Thread))
        if thread == NULL:
            return NULL
        thread.tid = tid
        thread.tgid = tgid
        thread.last_used_ns = now_ns
        if insert(&self.threads, tid, thread) < 0:
            free(thread)
            return NULL
        return thread

    cdef Thread *get_thread(self, const event_header *header) noexcept nogil:
        """The thread of a record: made if it is new, started afresh if its tid belongs to another process now."""
        cdef Thread *thread = self.recent
        if thread == NULL or thread.tid != header.tid:
            thread = <Thread *> find(&self.threads, header.tid)
        if thread != NULL and thread.tgid != header.tgid:
            self.drop_thread(header.tid)
            thread = NULL
        if thread == NULL:
            thread = self.new_thread(header.tid, header.tgid, header.time_ns)
        else:
            thread.last_used_ns = header.time_ns
        self.recent = thread
        return thread

    cdef Process *process_of(self, Thread *thread, const event_header *header) noexcept nogil:
        """The process of a record's thread; NULL when memory is out."""
        if thread.drops != self.fd_cache.drops:
            thread.process = self.fd_cache.get_process(header.tgid, header.time_ns)
            thread.drops = self.fd_cache.drops if thread.process != NULL else 0
        else:
            thread.process.last_used_ns = header.time_ns
        return thread.process

    cdef Thread *take_thread(self, uint32_t tid) noexcept nogil:
        self.recent = NULL
        return <Thread *> take(&self.threads, tid)

    cdef void drop_thread(self, uint32_t tid) noexcept nogil:
        """The thread is no more: a call that it is in never returns."""
        cdef Thread *thread = self.take_thread(tid)
        if thread == NULL:
            return
        if thread.pending and not self.failed_only and self.rules[thread.call.number].flags & TRACER_RULE_WANTED:
            self.unfinished += 1
        self.free_thread(thread)

    cdef void trim(self) noexcept nogil:
        """Drop the quarter of the threads that has not been heard of for the longest time."""
        cdef uint64_t age = quarter_age(&self.threads)
        cdef uint32_t slot = 0
        cdef Thread *thread
        while slot <= self.threads.mask:
            thread = <Thread *> self.threads.values[slot]
            if thread != NULL and thread.last_used_ns <= age:
                self.take_thread(thread.tid)  # another one may move into this slot
                self.free_thread(thread)
                self.forgotten += 1
            else:
                slot += 1

    cdef void replace_leader(self, const event_header *header, uint32_t caller_tid) noexcept nogil:
        """The leader is no more; the thread that called execve takes over its tid, with all that it had."""
        cdef Thread *caller = <Thread *> find(&self.threads, caller_tid)
        self.drop_thread(header.tid)
        if caller == NULL or caller.tgid != header.tgid:
            return
        self.take_thread(caller_tid)
        caller.tid = header.tid
        if insert(&self.threads, caller.tid, caller) < 0:
            self.free_thread(caller)

    cdef void free_thread(self, Thread *thread) noexcept nogil:
        if thread.pending:
            self.give_up_call(thread)
        drop(thread.comm)
        free(thread)

    # ---- calls ----

    cdef void give_up_call(self, Thread *thread) noexcept nogil:
        """The pending call has no exit."""
        end_replacing(self.fd_cache, &thread.call, &self.rules[thread.call.number])
        thread.pending = False
        clear_call(&thread.call)

    cdef bint completes(self, const Call *call, const event_header *header) noexcept nogil:
        """Whether an exit is the pending call's.

        On x86-64 an execveat that succeeds ends as an execve: the new program's registers say so.
        """
        return call.number == header.syscall or (
            self.rules[call.number].effect == TRACER_EFFECT_EXEC
            and self.rules[header.syscall].effect == TRACER_EFFECT_EXEC)

    cdef void learn_comm(self, const event_header *header, Process *process) noexcept nogil:
        """Look a thread's name up in /proc; what it answers is handled as a comm record is."""
        cdef const char *record = self.names.ask_thread_name(process, header.tid, header.time_ns)
        cdef Parts parts
        if record != NULL and take_apart(record, &parts):
            self.on_comm(parts.header, <const comm_body *> parts.body)


cdef void set_comm(TextPool *pool, Thread *thread, const uint8_t *comm) noexcept nogil:
    """The thread's new name; a pending call keeps the one it had, or that it had none."""
    if thread.pending and not thread.call.has_comm:
        thread.call.has_comm = True
        thread.call.comm = share(thread.comm)
    replace(&thread.comm, new_text(pool, <const char *> comm, <uint32_t> strnlen(<const char *> comm, 16)))


cdef inline void judge_names(FdCache cache, Call *call, const syscall_rule *rule, Process *process) noexcept nogil:
    """Drop names of a call that may have meant something else, if there were changes."""
    if process.table.last_change > call.changes or process.table.replacing or call.is_unsure:
        drop_doubtful_names(cache, call, rule, process)


cdef inline void begin_call(Call *call, const Parts *parts) noexcept nogil:
    """Start a call anew. It holds no texts, and each field is set by itself: clearing all of it took a tenth of the
    time of a whole call."""
    call.enter_ns = parts.header.time_ns
    call.ret = call.space_bytes = 0
    call.tgid = parts.header.tgid
    call.tid = parts.header.tid
    call.number = parts.header.syscall
    call.returned = call.has_gap = call.has_comm = call.has_paths = False
    call.source = SOURCE_NONE
    call.identity.inode = 0
    call.returned_fd = -1
    memset(call.args, 0, sizeof(call.args))
    memcpy(call.args, parts.body, parts.nargs * sizeof(uint64_t))
    call.has_aux = parts.aux != NULL
    if parts.aux != NULL:
        memcpy(call.aux, parts.aux, sizeof(call.aux))
    else:
        call.aux[0] = call.aux[1] = call.aux[2] = 0


cdef inline Call *end_call(Pairer pairer, Thread *thread, const syscall_rule *rule) noexcept nogil:
    """The pending call is over: NULL if it is not to be a row."""
    cdef Call *call = &thread.call
    thread.pending = False
    if not rule.flags & TRACER_RULE_WANTED or (pairer.failed_only and not (call.returned and has_failed(call.ret))):
        clear_call(call)
        return NULL
    if thread.has_end:
        call.has_gap = True
        call.gap_ns = call.enter_ns - thread.last_end_ns if call.enter_ns > thread.last_end_ns else 0
    thread.has_end = True
    thread.last_end_ns = call.exit_ns if call.returned else call.enter_ns
    if not call.has_comm:
        call.comm = thread.comm
    if call.ret < 0 and call.has_paths:
        drop_conditional_names(call, rule)
    return call


cdef void drop_conditional_names(Call *call, const syscall_rule *rule) noexcept nogil:
    """Of a call that failed: an empty path may have been why, so it names nothing."""
    if call.paths[1].on_success or (call.paths[0].on_success and rule.path2_arg < 0):
        replace(&call.file, NULL)
        call.source = SOURCE_NONE
    if call.paths[0].on_success and rule.path2_arg >= 0:
        replace(&call.old_file, NULL)
