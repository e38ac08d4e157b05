"""From events to calls: pairing by thread, names resolved on the way (see docs/how-rows-are-made.md)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.fcntl cimport O_RDONLY, open as c_open
from posix.unistd cimport close as c_close, read as c_read, readlink

from tracer._fast.events cimport (
    TRACER_AUX_CWD_TEXT, TRACER_AUX_OPEN_HOW, TRACER_COMM, TRACER_CWD_FD, TRACER_EFFECT_BPF, TRACER_EFFECT_CHDIR, TRACER_EFFECT_CHROOT, TRACER_EFFECT_CLOSE,
    TRACER_EFFECT_CLOSE_RANGE, TRACER_EFFECT_DUP, TRACER_EFFECT_DUP2, TRACER_EFFECT_FCHDIR, TRACER_EFFECT_FCNTL,
    TRACER_EFFECT_FD_PAIR, TRACER_EFFECT_IOCTL, TRACER_EFFECT_LANDLOCK, TRACER_EFFECT_NEW_FD, TRACER_EFFECT_OPEN,
    TRACER_EFFECT_SIGNALFD, TRACER_EFFECT_UNSHARE, TRACER_EMPTY_ALWAYS, TRACER_EMPTY_AT_FLAG, TRACER_EMPTY_FSPICK,
    TRACER_EMPTY_MOVE_MOUNT, TRACER_EMPTY_NULL, TRACER_ENTER, TRACER_EXEC, TRACER_EXIT, TRACER_FORK, TRACER_FROM_PROC,
    TRACER_HAS_NAME, TRACER_MAX_SYSCALLS, TRACER_NAME, TRACER_NAME_CLOEXEC, TRACER_NAME_CLOEXEC_KNOWN, TRACER_NAME_TEXT,
    TRACER_PATH_NULL, TRACER_PATH_OK, TRACER_PATH_TRUNCATED, TRACER_PATH_UNREADABLE, TRACER_QUANTITY_BRK,
    TRACER_QUANTITY_MMAP, TRACER_RULE_KNOWN, TRACER_RULE_LABEL, TRACER_RULE_NEVER_RETURNS, TRACER_RULE_OLD_IS_TEXT,
    TRACER_RULE_WANTED, TRACER_TASK_EXIT, comm_body, event_header, exec_body, exit_body, fork_body, name_body,
    name_section, syscall_rule, task_exit_body,
)
from tracer._fast.fdcache cimport (
    CLOEXEC_SET, CLOEXEC_UNKNOWN, CLOEXEC_UNSET, Entry, FdCache, Process, SOURCE_ARG, SOURCE_FD, SOURCE_KERNEL,
    SOURCE_NONE, SOURCE_PROC,
)
from tracer._fast.intmap cimport find, free_map, init_map, insert, quarter_age, take
from tracer._fast.paths cimport join_path, spell_name
from tracer._fast.records cimport Parts, take_apart
from tracer._fast.text cimport Text, drop, new_text, replace, share


cdef extern from "string.h" nogil:
    size_t strnlen(const char *text, size_t limit)


cdef enum:
    MAX_THREADS = 65536
    PATH_LIMIT = 4095
    ASKED_BYTES = 3 * 4352  # a thread's comm and two directories at most, each below 4352 bytes
    MAX_FD = 1 << 20

    CALL_READY = 1

    ERRNO_BADF = -9

    CLONE_FILES = 0x400  # include/uapi/linux/sched.h
    F_DUPFD = 0  # include/uapi/linux/fcntl.h
    F_SETFD = 2
    F_DUPFD_CLOEXEC = 1030
    FD_CLOEXEC = 1
    FIONCLEX = 0x5450  # include/uapi/asm-generic/ioctls.h
    FIOCLEX = 0x5451
    O_CLOEXEC = 0x80000
    O_TMPFILE = 0x410000  # with O_DIRECTORY, which it includes
    AT_EMPTY_PATH = 0x1000
    FSPICK_EMPTY_PATH = 0x8
    MOVE_MOUNT_F_EMPTY_PATH = 0x4
    MOVE_MOUNT_T_EMPTY_PATH = 0x40
    CLOSE_RANGE_UNSHARE = 2
    CLOSE_RANGE_CLOEXEC = 4
    MAP_ANONYMOUS = 0x20


cdef inline uint64_t argument(const Call *call, int index) noexcept nogil:
    return call.args[index] if 0 <= index < 6 else 0


cdef inline bint failed(int64_t ret) noexcept nogil:
    """An errno that is an error: the codes with which the kernel starts a call again (-512, -513, -514, -516) are not."""
    return -4095 <= ret < 0 and not (ret == -512 or ret == -513 or ret == -514 or ret == -516)


cdef inline bint was_read(uint8_t status) noexcept nogil:
    return status == TRACER_PATH_OK or status == TRACER_PATH_TRUNCATED


cdef void clear_call(Call *call) noexcept nogil:
    """Give back what a call holds."""
    replace(&call.comm, NULL)
    replace(&call.file, NULL)
    replace(&call.old_file, NULL)
    replace(&call.directory1, NULL)
    replace(&call.directory2, NULL)


cdef class Pairer:
    """Pairs enters with exits, thread by thread, and keeps the names that calls refer to.

    Records go in one by one through the C method `step`; from Python `feed` takes a whole block and tells how many calls it
    held. `rules` is the packed table of `tracer.syscalls.rules`. With `ask_proc`, names that the stream does not tell are
    looked up in /proc: only right while the traced programs run.

    Raises ValueError if `rules` has the wrong size.
    """

    def __cinit__(self, const unsigned char[::1] rules not None, FdCache fd_cache not None, *, bint failed_only=False,
                  bint ask_proc=False):
        if <size_t> rules.shape[0] != sizeof(self.rules):
            raise ValueError(f"rules: {sizeof(self.rules)} bytes are meant, not {rules.shape[0]}")
        memcpy(self.rules, &rules[0], sizeof(self.rules))
        self.fd_cache = fd_cache
        self.failed_only = failed_only
        self.ask_proc = ask_proc
        self.asked = <char *> malloc(ASKED_BYTES)
        if self.asked == NULL or init_map(&self.threads, 256) < 0:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t slot
        clear_call(&self.call)
        free(self.asked)
        if self.threads.values == NULL:
            return
        for slot in range(self.threads.mask + 1):
            if self.threads.values[slot] != NULL:
                self.free_thread(<Thread *> self.threads.values[slot])
        free_map(&self.threads)

    def feed(self, const unsigned char[::1] block not None) -> int:
        """Handle a block of records (aligned to 8 bytes) and drop the calls; their number."""
        cdef Py_ssize_t used = 0, size = block.shape[0]
        cdef const char *data
        cdef int calls = 0
        if size == 0:
            return 0
        data = <const char *> &block[0]
        if <size_t> data % 8:
            raise ValueError("the block is not aligned to 8 bytes")
        with nogil:
            while used + <Py_ssize_t> sizeof(event_header) <= size:
                if used + (<const event_header *> (data + used)).size > size:
                    break
                calls += self.step(data + used)
                used += ((<const event_header *> (data + used)).size + 7) & ~7
        return calls

    def __len__(self) -> int:
        """Number of threads that are known."""
        return self.threads.count

    # ---- records ----

    cdef int step(self, const char *record) noexcept nogil:
        """Handle one record, whose `size` bytes are there. 1: a call is finished and lies in `call`."""
        cdef Parts parts
        cdef uint8_t kind
        self.asked_bytes = 0
        if not take_apart(record, &parts):
            self.malformed += 1
            return 0
        kind = parts.header.type
        if kind == TRACER_ENTER:
            return self.on_enter(&parts)
        if kind == TRACER_EXIT:
            return self.on_exit(&parts)
        if kind == TRACER_NAME:
            self.on_name(&parts)
        elif kind == TRACER_FORK:
            self.on_fork(parts.header, <const fork_body *> parts.body)
        elif kind == TRACER_EXEC:
            self.on_exec(parts.header, <const exec_body *> parts.body)
        elif kind == TRACER_TASK_EXIT:
            self.on_task_exit(parts.header, <const task_exit_body *> parts.body)
        elif kind == TRACER_COMM:
            self.on_comm(parts.header, <const comm_body *> parts.body)
        return 0

    cdef int on_enter(self, Parts *parts) noexcept nogil:
        cdef const event_header *header = parts.header
        cdef const syscall_rule *rule
        cdef Thread *thread
        cdef Process *process
        if header.syscall >= TRACER_MAX_SYSCALLS or not self.rules[header.syscall].flags & TRACER_RULE_KNOWN:
            return 0
        rule = &self.rules[header.syscall]
        thread = self.get_thread(header)
        process = self.fd_cache.get_process(header.tgid, header.time_ns)
        if thread == NULL or process == NULL:
            return 0
        if thread.pending:
            self.enter_without_exit += 1
            clear_call(&thread.call)
        thread.pending = thread.entered = True
        if thread.comm == NULL and self.ask_proc:
            self.ask_comm(header)
        self.begin_call(&thread.call, parts)
        self.name_files(&thread.call, rule, process, parts)
        if rule.flags & TRACER_RULE_NEVER_RETURNS:
            return self.end_call(thread, rule)
        return 0

    cdef int on_exit(self, Parts *parts) noexcept nogil:
        cdef const event_header *header = parts.header
        cdef const syscall_rule *rule
        cdef Thread *thread
        cdef Process *process
        cdef Call *call
        if header.syscall >= TRACER_MAX_SYSCALLS or not self.rules[header.syscall].flags & TRACER_RULE_KNOWN:
            return 0
        thread = self.get_thread(header)
        if thread == NULL:
            return 0
        if not thread.pending:
            self.exit_without_enter += thread.entered
            return 0
        call = &thread.call
        if call.number != header.syscall:
            self.mismatched += 1
            thread.pending = False
            clear_call(call)
            return 0
        rule = &self.rules[header.syscall]
        call.returned = True
        call.ret = (<const exit_body *> parts.body).ret
        call.exit_ns = header.time_ns
        process = self.fd_cache.get_process(header.tgid, header.time_ns)
        if process != NULL:
            self.name_late(call, rule, process, parts)
            self.apply_effect(call, rule, process, parts)
        return self.end_call(thread, rule)

    cdef void on_name(self, Parts *parts) noexcept nogil:
        cdef int32_t fd = (<const name_body *> parts.body).fd
        cdef Process *process = self.fd_cache.get_process(parts.header.tgid, parts.header.time_ns)
        cdef Text *name
        if process == NULL:
            return
        name = spell_name(parts.name, parts.name_text)
        if fd == TRACER_CWD_FD:
            replace(&process.cwd, name)
        else:
            self.fd_cache.bind(process, fd, name,
                               SOURCE_PROC if parts.header.flags & TRACER_FROM_PROC else SOURCE_KERNEL,
                               section_cloexec(parts.name, CLOEXEC_UNKNOWN), parts.header.time_ns)

    cdef void on_fork(self, const event_header *header, const fork_body *body) noexcept nogil:
        cdef Thread *thread
        self.drop_thread(body.child_tid)
        if body.child_tgid != header.tgid:
            self.fd_cache.fork_process(header.tgid, body.child_tgid, (body.clone_flags & CLONE_FILES) != 0,
                                       header.time_ns)
        thread = self.new_thread(body.child_tid, body.child_tgid, header.time_ns)
        if thread != NULL:
            set_comm(thread, body.comm)

    cdef void on_exec(self, const event_header *header, const exec_body *body) noexcept nogil:
        cdef Thread *thread = self.get_thread(header)
        cdef Thread *caller
        cdef Process *process
        if thread == NULL:
            return
        if body.old_tid != header.tid:
            caller = <Thread *> find(&self.threads, body.old_tid)
            if caller != NULL and caller.tgid == header.tgid:
                self.move_state(caller, thread)
        set_comm(thread, body.comm)
        process = self.fd_cache.get_process(header.tgid, header.time_ns)
        if process != NULL:
            self.fd_cache.exec_process(process)

    cdef void on_task_exit(self, const event_header *header, const task_exit_body *body) noexcept nogil:
        self.drop_thread(header.tid)
        if body.group_dead:
            self.fd_cache.drop_process(header.tgid)

    cdef void on_comm(self, const event_header *header, const comm_body *body) noexcept nogil:
        cdef Thread *thread = self.get_thread(header)
        if thread != NULL and body.comm[0] != 0:
            set_comm(thread, body.comm)

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
        cdef Thread *thread = <Thread *> find(&self.threads, header.tid)
        if thread != NULL and thread.tgid != header.tgid:
            self.drop_thread(header.tid)
            thread = NULL
        if thread == NULL:
            return self.new_thread(header.tid, header.tgid, header.time_ns)
        thread.last_used_ns = header.time_ns
        return thread

    cdef void free_thread(self, Thread *thread) noexcept nogil:
        clear_call(&thread.call)
        drop(thread.comm)
        free(thread)

    cdef void drop_thread(self, uint32_t tid) noexcept nogil:
        cdef Thread *thread = <Thread *> take(&self.threads, tid)
        if thread != NULL:
            self.free_thread(thread)

    cdef void trim(self) noexcept nogil:
        """Drop the quarter of the threads that has not been heard of for the longest time."""
        cdef uint64_t age = quarter_age(&self.threads)
        cdef uint32_t slot = 0
        cdef Thread *thread
        while slot <= self.threads.mask:
            thread = <Thread *> self.threads.values[slot]
            if thread != NULL and thread.last_used_ns <= age:
                self.drop_thread(thread.tid)  # another one may move into this slot
            else:
                slot += 1

    cdef void move_state(self, Thread *caller, Thread *leader) noexcept nogil:
        """What the thread that called execve had belongs to the leader from now on, whose tid it takes over."""
        cdef Text *comm = leader.comm
        clear_call(&leader.call)
        leader.call = caller.call
        leader.pending = caller.pending
        leader.entered = caller.entered
        leader.has_end = caller.has_end
        leader.last_end_ns = caller.last_end_ns
        leader.comm = caller.comm
        caller.comm = comm
        memset(&caller.call, 0, sizeof(Call))
        self.drop_thread(caller.tid)

    # ---- calls ----

    cdef void begin_call(self, Call *call, const Parts *parts) noexcept nogil:
        cdef uint32_t i
        memset(call, 0, sizeof(Call))
        call.enter_ns = parts.header.time_ns
        call.tgid = parts.header.tgid
        call.tid = parts.header.tid
        call.number = parts.header.syscall
        call.source = SOURCE_NONE
        call.returned_fd = -1
        for i in range(parts.nargs):
            call.args[i] = (<const uint64_t *> parts.body)[i]
        if parts.aux != NULL:
            call.has_aux = True
            memcpy(call.aux, parts.aux, sizeof(call.aux))

    cdef int end_call(self, Thread *thread, const syscall_rule *rule) noexcept nogil:
        """The pending call is over: to `call` if it is to be a row."""
        cdef Call *call = &thread.call
        thread.pending = False
        if not rule.flags & TRACER_RULE_WANTED or (self.failed_only and not (call.returned and failed(call.ret))):
            clear_call(call)
            return 0
        if thread.has_end:
            call.has_gap = True
            call.gap_ns = call.enter_ns - thread.last_end_ns if call.enter_ns > thread.last_end_ns else 0
        thread.has_end = True
        thread.last_end_ns = call.exit_ns if call.returned else call.enter_ns
        if call.comm == NULL:
            call.comm = share(thread.comm)
        if call.names_on_success and call.ret < 0:
            replace(&call.file, NULL)
            call.source = SOURCE_NONE
        clear_call(&self.call)
        self.call = call[0]
        memset(call, 0, sizeof(Call))
        return CALL_READY

    cdef void finish(self) noexcept nogil:
        """The finished call has been used."""
        clear_call(&self.call)

    # ---- names ----

    cdef Text *directory(self, const Call *call, int dirfd_arg, Process *process) noexcept nogil:
        """The name of the directory that a relative path is joined to, borrowed; NULL if it is not known."""
        cdef int32_t fd = TRACER_CWD_FD
        cdef Entry *entry
        if dirfd_arg >= 0:
            fd = <int32_t> argument(call, dirfd_arg)
        if fd == TRACER_CWD_FD:
            if process.cwd == NULL and self.ask_proc:
                self.ask_name(call.tgid, fd, call.tid, call.enter_ns)
            return process.cwd
        entry = self.fd_cache.entry(process, fd)
        if entry == NULL and self.ask_proc and fd >= 0:
            self.ask_name(call.tgid, fd, call.tid, call.enter_ns)
            entry = self.fd_cache.entry(process, fd)
        return entry.name if entry != NULL else NULL

    cdef void name_files(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        """At enter: what the call's paths or its descriptor are called now."""
        if rule.path_arg >= 0 and not rule.flags & TRACER_RULE_LABEL:
            if parts.paths != NULL:
                self.name_paths(call, rule, process, parts)
        elif rule.fd_arg >= 0:
            self.name_descriptor(call, rule, process, <int32_t> argument(call, rule.fd_arg), SOURCE_NONE)

    cdef void name_descriptor(self, Call *call, const syscall_rule *rule, Process *process, int32_t fd,
                              uint8_t only_source) noexcept nogil:
        cdef Entry *entry
        if rule.quantity == TRACER_QUANTITY_MMAP and call.args[3] & MAP_ANONYMOUS:
            return
        entry = self.fd_cache.entry(process, fd)
        if entry != NULL and (only_source == SOURCE_NONE or entry.source == only_source):
            replace(&call.file, share(entry.name))
            call.source = entry.source

    cdef void name_paths(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        call.status1 = parts.paths.status1
        call.status2 = parts.paths.status2
        if not rule.flags & TRACER_RULE_OLD_IS_TEXT:
            if needs_directory(call.status1, parts.text1, parts.paths.len1):
                call.directory1 = share(self.directory(call, rule.dirfd_arg, process))
        if rule.path2_arg >= 0 and needs_directory(call.status2, parts.text2, parts.paths.len2):
            call.directory2 = share(self.directory(call, rule.dirfd2_arg, process))
        self.set_paths(call, rule, process, parts, 3)

    cdef void set_paths(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts,
                        int slots) noexcept nogil:
        """Fill file and old_file from the path section of the enter, or of the exit; `slots`: 1, 2, or 3 for both."""
        if slots & 1:
            replace(&call.file if rule.path2_arg < 0 else &call.old_file, self.first_file(call, rule, process, parts))
        if slots & 2 and rule.path2_arg >= 0:
            replace(&call.file, self.meant_file(call, rule, process, call.status2, parts.text2, parts.paths.len2,
                                                call.directory2, rule.dirfd2_arg, True))
        if call.file != NULL and call.source == SOURCE_NONE:
            call.source = SOURCE_ARG

    cdef Text *first_file(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        if not rule.flags & TRACER_RULE_OLD_IS_TEXT:
            return self.meant_file(call, rule, process, call.status1, parts.text1, parts.paths.len1, call.directory1,
                                   rule.dirfd_arg, False)
        return new_text(parts.text1, parts.paths.len1) if was_read(call.status1) else NULL

    cdef Text *meant_file(self, Call *call, const syscall_rule *rule, Process *process, uint8_t status, const char *text,
                          uint32_t size, Text *directory, int dirfd_arg, bint second) noexcept nogil:
        """The file that one path argument means, owned; NULL if it means none or that is not known."""
        cdef Entry *entry
        if was_read(status) and size > 0:
            return join_path(directory, text, size)
        if not (was_read(status) or status == TRACER_PATH_NULL):
            return NULL
        if dirfd_arg < 0 or not empty_means_directory(call, rule, second, status == TRACER_PATH_NULL):
            return NULL
        call.names_on_success = True
        if <int32_t> argument(call, dirfd_arg) == TRACER_CWD_FD:
            return share(directory)
        entry = self.fd_cache.entry(process, <int32_t> argument(call, dirfd_arg))
        if entry == NULL:
            return NULL
        if not second:
            call.source = entry.source
        return share(entry.name)

    cdef void name_late(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        """At exit: paths whose page was not there at enter, and descriptors that only /proc can name."""
        cdef int32_t fd
        if rule.aux_kind == TRACER_AUX_CWD_TEXT and parts.paths != NULL and was_read(parts.paths.status1):
            replace(&call.file, new_text(parts.text1, parts.paths.len1))
            call.source = SOURCE_KERNEL
        if rule.path_arg >= 0 and not rule.flags & TRACER_RULE_LABEL:
            if parts.paths != NULL:
                self.reread_paths(call, rule, process, parts)
            return
        if rule.fd_arg < 0 or call.file != NULL or call.ret == ERRNO_BADF or rule.effect == TRACER_EFFECT_CLOSE:
            return
        fd = <int32_t> argument(call, rule.fd_arg)
        if fd < 0:
            return
        if self.ask_proc and self.fd_cache.entry(process, fd) == NULL:
            self.ask_name(call.tgid, fd, call.tid, call.exit_ns)
        if self.fd_cache.entry(process, fd) != NULL and \
                self.fd_cache.entry(process, fd).bound_ns == call.exit_ns:
            self.name_descriptor(call, rule, process, fd, SOURCE_PROC)

    cdef void reread_paths(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        cdef int slots = 0
        if call.status1 == TRACER_PATH_UNREADABLE:
            call.status1 = parts.paths.status1
            slots |= 1
        if call.status2 == TRACER_PATH_UNREADABLE:
            call.status2 = parts.paths.status2
            slots |= 2
        self.set_paths(call, rule, process, parts, slots)

    # ---- effects ----

    cdef void apply_effect(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        cdef uint8_t effect = rule.effect
        cdef int64_t ret = call.ret
        if rule.quantity == TRACER_QUANTITY_BRK:
            call.space_bytes = move_break(process, ret)
        if effect == TRACER_EFFECT_CLOSE:
            if ret != ERRNO_BADF:
                self.fd_cache.forget_older(process, <int32_t> call.args[0], call.enter_ns)
            return
        if ret < 0:
            return
        if effect == TRACER_EFFECT_OPEN or effect == TRACER_EFFECT_NEW_FD:
            self.bind_returned(call, rule, process, parts)
        elif effect == TRACER_EFFECT_LANDLOCK:
            if <uint32_t> call.args[2] == 0:
                self.bind_returned(call, rule, process, parts)
        elif effect == TRACER_EFFECT_SIGNALFD:
            if <int32_t> call.args[0] == -1:
                self.bind_returned(call, rule, process, parts)
        elif effect == TRACER_EFFECT_BPF:
            if bpf_returns_fd(<uint32_t> call.args[0]):
                self.bind_returned(call, rule, process, parts)
        elif effect == TRACER_EFFECT_DUP:
            self.duplicate(call, process, <int32_t> ret, CLOEXEC_UNSET, parts)
        elif effect == TRACER_EFFECT_DUP2:
            if <int32_t> call.args[0] != <int32_t> call.args[1]:
                self.duplicate(call, process, <int32_t> call.args[1],
                               CLOEXEC_SET if rule.flags_arg >= 0 and argument(call, rule.flags_arg) & O_CLOEXEC
                               else CLOEXEC_UNSET, parts)
        elif effect == TRACER_EFFECT_FCNTL:
            self.apply_fcntl(call, process, parts)
        elif effect == TRACER_EFFECT_IOCTL:
            if ret == 0 and (<uint32_t> call.args[1] == FIOCLEX or <uint32_t> call.args[1] == FIONCLEX):
                self.fd_cache.mark(process, <int32_t> call.args[0],
                                   CLOEXEC_SET if <uint32_t> call.args[1] == FIOCLEX else CLOEXEC_UNSET)
        elif effect == TRACER_EFFECT_CLOSE_RANGE:
            self.apply_close_range(call, process)
        elif effect == TRACER_EFFECT_FD_PAIR:
            self.bind_pair(call, process, parts)
        elif effect == TRACER_EFFECT_CHDIR:
            replace(&process.cwd,
                    share(call.file) if call.file != NULL and call.file.size and call.file.data[0] == c"/" else NULL)
        elif effect == TRACER_EFFECT_FCHDIR:
            replace(&process.cwd, share(call.file))
        elif effect == TRACER_EFFECT_CHROOT:
            replace(&process.cwd, NULL)
        elif effect == TRACER_EFFECT_UNSHARE:
            if call.args[0] & CLONE_FILES:
                self.fd_cache.unshare_table(process)

    cdef void bind_returned(self, Call *call, const syscall_rule *rule, Process *process, const Parts *parts) noexcept nogil:
        """The returned number is a new descriptor: named by the exit, or by the path that was opened, or unknown."""
        cdef int64_t fd = call.ret
        cdef uint64_t flags = call.aux[0] if rule.aux_kind == TRACER_AUX_OPEN_HOW and call.has_aux else argument(call, rule.flags_arg)
        cdef bint opened = rule.effect == TRACER_EFFECT_OPEN
        cdef uint8_t cloexec = CLOEXEC_UNKNOWN
        cdef Text *name = spell_name(parts.name, parts.name_text) if parts.name != NULL else NULL
        if opened:
            cloexec = CLOEXEC_SET if flags & O_CLOEXEC else CLOEXEC_UNSET
        if fd <= 0x7FFFFFFF:
            call.returned_fd = <int32_t> fd
        if name != NULL:
            self.fd_cache.bind(process, fd, share(name), SOURCE_KERNEL, section_cloexec(parts.name, cloexec), call.exit_ns)
            replace(&call.file, name)
            call.source = SOURCE_KERNEL
        elif opened and call.file != NULL and (flags & O_TMPFILE) != O_TMPFILE:
            self.fd_cache.bind(process, fd, share(call.file), SOURCE_FD, cloexec, call.exit_ns)
        else:
            self.fd_cache.forget(process, fd)
            if not opened:  # an accept's row is not about the listener
                replace(&call.file, NULL)
                call.source = SOURCE_NONE

    cdef void duplicate(self, Call *call, Process *process, int64_t fd, uint8_t cloexec, const Parts *parts) noexcept nogil:
        cdef Text *name = spell_name(parts.name, parts.name_text) if parts.name != NULL else NULL
        if name != NULL:
            self.fd_cache.bind(process, fd, name, SOURCE_KERNEL, section_cloexec(parts.name, cloexec), call.exit_ns)
        else:
            self.fd_cache.copy_entry(process, <int32_t> call.args[0], fd, cloexec, call.exit_ns)

    cdef void apply_fcntl(self, Call *call, Process *process, const Parts *parts) noexcept nogil:
        cdef uint32_t command = <uint32_t> call.args[1]
        if command == F_DUPFD or command == F_DUPFD_CLOEXEC:
            self.duplicate(call, process, call.ret, CLOEXEC_SET if command == F_DUPFD_CLOEXEC else CLOEXEC_UNSET, parts)
        elif command == F_SETFD and call.ret == 0:
            self.fd_cache.mark(process, <int32_t> call.args[0],
                               CLOEXEC_SET if call.args[2] & FD_CLOEXEC else CLOEXEC_UNSET)

    cdef void apply_close_range(self, Call *call, Process *process) noexcept nogil:
        if call.ret != 0:
            return
        if call.args[2] & CLOSE_RANGE_UNSHARE:
            self.fd_cache.unshare_table(process)
        self.fd_cache.close_range(process, <uint32_t> call.args[0], <uint32_t> call.args[1],
                                  (call.args[2] & CLOSE_RANGE_CLOEXEC) != 0, call.enter_ns)

    cdef void bind_pair(self, Call *call, Process *process, const Parts *parts) noexcept nogil:
        cdef int32_t first, second
        cdef Text *name
        if call.ret != 0 or parts.aux == NULL:
            return
        first = (<const int32_t *> parts.aux)[0]
        second = (<const int32_t *> parts.aux)[1]
        self.fd_cache.forget(process, first)
        self.fd_cache.forget(process, second)
        call.returned_fd = first
        name = spell_name(parts.name, parts.name_text) if parts.name != NULL else NULL
        if name != NULL:
            self.fd_cache.bind(process, first, share(name), SOURCE_KERNEL,
                               section_cloexec(parts.name, CLOEXEC_UNKNOWN), call.exit_ns)
            replace(&call.file, name)
            call.source = SOURCE_KERNEL

    # ---- /proc ----

    cdef void ask_name(self, uint32_t tgid, int32_t fd, uint32_t tid, uint64_t now_ns) noexcept nogil:
        """Look a descriptor (or the working directory) up in /proc; a name record of it goes into the stream."""
        cdef char link[64]
        cdef char *record = self.asked + self.asked_bytes
        cdef event_header *header = <event_header *> record
        cdef name_body *body = <name_body *> (record + sizeof(event_header))
        cdef name_section *section = <name_section *> (record + sizeof(event_header) + sizeof(name_body))
        cdef uint32_t fixed = sizeof(event_header) + sizeof(name_body) + sizeof(name_section)
        cdef Parts parts
        cdef Py_ssize_t size
        if self.asked_bytes + fixed + PATH_LIMIT + 8 > ASKED_BYTES:
            return
        if fd == TRACER_CWD_FD:
            snprintf(link, sizeof(link), b"/proc/%u/cwd", tgid)
        else:
            snprintf(link, sizeof(link), b"/proc/%u/fd/%d", tgid, fd)
        size = readlink(link, record + fixed, PATH_LIMIT)
        if size <= 0:
            return
        memset(record, 0, fixed)
        fill_header(header, TRACER_NAME, TRACER_HAS_NAME | TRACER_FROM_PROC, tgid, tid, now_ns)
        header.size = <uint16_t> (fixed + size)
        body.fd = fd
        section.kind = TRACER_NAME_TEXT
        section.len = <uint16_t> size
        if take_apart(record, &parts):
            self.on_name(&parts)
        self.pad_asked(header.size)

    cdef void ask_comm(self, const event_header *at) noexcept nogil:
        """Look a thread's name up in /proc; a comm record of it goes into the stream."""
        cdef char path[64]
        cdef char *record = self.asked + self.asked_bytes
        cdef event_header *header = <event_header *> record
        cdef comm_body *body = <comm_body *> (record + sizeof(event_header))
        cdef Py_ssize_t size
        cdef int fd
        snprintf(path, sizeof(path), b"/proc/%u/task/%u/comm", at.tgid, at.tid)
        fd = c_open(path, O_RDONLY)
        if fd < 0:
            return
        memset(record, 0, sizeof(event_header) + sizeof(comm_body))
        size = c_read(fd, body.comm, sizeof(body.comm))
        c_close(fd)
        if size <= 1:
            return
        body.comm[size - 1] = 0  # the newline
        fill_header(header, TRACER_COMM, TRACER_FROM_PROC, at.tgid, at.tid, at.time_ns)
        header.size = sizeof(event_header) + sizeof(comm_body)
        self.on_comm(header, body)
        self.pad_asked(header.size)

    cdef void pad_asked(self, uint32_t size) noexcept nogil:
        self.asked_bytes += size
        while self.asked_bytes % 8:
            self.asked[self.asked_bytes] = 0
            self.asked_bytes += 1


cdef void fill_header(event_header *header, uint8_t kind, uint8_t flags, uint32_t tgid, uint32_t tid,
                      uint64_t now_ns) noexcept nogil:
    header.time_ns = now_ns
    header.tgid = tgid
    header.tid = tid
    header.type = kind
    header.flags = flags
    header.syscall = 0
    header.reserved = 0


cdef void set_comm(Thread *thread, const uint8_t *comm) noexcept nogil:
    """The thread's new name; a pending call keeps the one it had."""
    if thread.pending and thread.call.comm == NULL:
        thread.call.comm = share(thread.comm)
    replace(&thread.comm, new_text(<const char *> comm, <uint32_t> strnlen(<const char *> comm, 15)))


cdef uint8_t section_cloexec(const name_section *section, uint8_t otherwise) noexcept nogil:
    if section.status & TRACER_NAME_CLOEXEC_KNOWN:
        return CLOEXEC_SET if section.status & TRACER_NAME_CLOEXEC else CLOEXEC_UNSET
    return otherwise


cdef bint needs_directory(uint8_t status, const char *text, uint32_t size) noexcept nogil:
    """A relative path, an empty one, and one that is read again at exit."""
    return not was_read(status) or size == 0 or text[0] != c"/"


cdef bint empty_means_directory(const Call *call, const syscall_rule *rule, bint second, bint null) noexcept nogil:
    """Whether an empty (or null) path means the directory descriptor itself, by the call's flags."""
    cdef uint64_t flags = argument(call, rule.flags_arg)
    if rule.empty_path == TRACER_EMPTY_AT_FLAG:
        return (flags & AT_EMPTY_PATH) != 0 and not second
    if rule.empty_path == TRACER_EMPTY_ALWAYS:
        return not null
    if rule.empty_path == TRACER_EMPTY_NULL:
        return null
    if rule.empty_path == TRACER_EMPTY_FSPICK:
        return not null and (flags & FSPICK_EMPTY_PATH) != 0
    if rule.empty_path == TRACER_EMPTY_MOVE_MOUNT:
        return not null and (flags & (MOVE_MOUNT_T_EMPTY_PATH if second else MOVE_MOUNT_F_EMPTY_PATH)) != 0
    return False


cdef bint bpf_returns_fd(uint32_t command) noexcept nogil:
    """enum bpf_cmd of include/uapi/linux/bpf.h; bit 16 only says that more attributes follow."""
    command &= ~<uint32_t> 0x10000
    return (command == 0 or command == 5 or command == 7 or 13 <= command <= 14 or command == 17 or command == 18
            or command == 19 or command == 28 or command == 30 or command == 32 or command == 33 or command == 36)


cdef int64_t move_break(Process *process, int64_t ret) noexcept nogil:
    """How far the break moved since the process's last one that is known."""
    cdef int64_t moved = 0
    if process.brk_known:
        moved = ret - process.brk if ret > process.brk else process.brk - ret
    process.brk = ret
    process.brk_known = True
    return moved
