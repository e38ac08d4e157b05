"""Which files a call means: its paths and descriptors by the names they have (see docs/how-rows-are-made.md)."""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from tracer._fast.calls cimport Call, PathSlot, argument, descriptor_argument, was_read
from tracer._fast.events cimport (
    TRACER_AUX_CWD_TEXT, TRACER_AUX_OPEN_HOW, TRACER_AUX_UTIMES, TRACER_CWD_FD, TRACER_EFFECT_CLOSE,
    TRACER_EFFECT_CLOSE_RANGE, TRACER_EMPTY_ALWAYS, TRACER_EMPTY_AT_FLAG, TRACER_EMPTY_FSPICK,
    TRACER_EMPTY_MOVE_MOUNT, TRACER_EMPTY_NULL,
    TRACER_FROM_PROC, TRACER_PATH_NULL, TRACER_PATH_UNREADABLE, TRACER_RULE_LABEL,
    TRACER_RULE_OLD_IS_TEXT, name_body, syscall_rule,
)
from tracer._fast.fdcache cimport (
    CLOEXEC_UNKNOWN, Entry, FdCache, Process, SOURCE_ARG, SOURCE_KERNEL, SOURCE_NONE, SOURCE_PROC,
)
from tracer._fast.paths cimport cut_path, join_path, spell_name
from tracer._fast.procfs cimport ANSWERS_BYTES, ask_comm, ask_name, is_gone
from tracer._fast.records cimport Parts, take_apart
from tracer._fast.text cimport Text, TextPool, drop, replace, share


cdef enum:
    ERRNO_BADF = -9

    AT_EMPTY_PATH = 0x1000  # include/uapi/linux/fcntl.h
    FSPICK_EMPTY_PATH = 0x8  # include/uapi/linux/mount.h
    MOVE_MOUNT_F_EMPTY_PATH = 0x4
    MOVE_MOUNT_T_EMPTY_PATH = 0x40
    RESOLVE_IN_ROOT = 0x10  # include/uapi/linux/openat2.h
    UTIME_OMIT = 0x3FFFFFFE  # include/linux/stat.h


@cython.final
cdef class Names:
    """Finds the names of a call's files, by the tables of `fd_cache`, and by /proc with `ask_proc`."""

    def __cinit__(self, FdCache fd_cache not None, bint ask_proc):
        self.fd_cache = fd_cache
        self.ask_proc = ask_proc
        self.answers.data = <char *> malloc(ANSWERS_BYTES)
        if self.answers.data == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.answers.data)

    cdef void bind(self, Process *process, const Parts *parts) noexcept nogil:
        """Handle a name record: the descriptor (or the working directory) is called that from here on. A record without
        a name takes away what was known.
        """
        cdef int32_t fd = (<const name_body *> parts.body).fd
        cdef uint64_t now_ns = parts.header.time_ns
        cdef Text *name = spell_name(self.fd_cache.texts, parts.name, parts.name_text)
        if name != NULL and now_ns < self.fd_cache.changed_ns(process, fd):
            if not self.is_called(process, fd, name):  # it was read before another thread changed that
                process.void_name_ns = now_ns
            drop(name)
        elif fd == TRACER_CWD_FD:
            replace(&process.cwd, name)
        else:
            self.fd_cache.rename(process, fd, name,
                                 SOURCE_PROC if parts.header.flags & TRACER_FROM_PROC else SOURCE_KERNEL,
                                 section_cloexec(parts.name, CLOEXEC_UNKNOWN), now_ns)
            self.fd_cache.identify(process, fd, section_identity(parts.name))

    cdef bint is_called(self, Process *process, int32_t fd, const Text *name) noexcept nogil:
        cdef const Entry *entry = self.fd_cache.entry(process, fd)
        cdef const Text *known = process.cwd if fd == TRACER_CWD_FD else entry.name if entry != NULL else NULL
        return known != NULL and known.size == name.size and memcmp(known.data, name.data, name.size) == 0

    cdef void ask(self, Process *process, uint32_t tid, int32_t fd, uint64_t now_ns) noexcept nogil:
        """Look a descriptor (or the working directory) up in /proc; what it answers is bound as a record's name is."""
        cdef const char *record
        cdef Parts parts
        if process.gone:
            return
        self.proc_asks += 1
        record = ask_name(&self.answers, process.tgid, tid, fd, now_ns)
        if record == NULL:
            process.gone = is_gone(process.tgid)
        elif take_apart(record, &parts):
            self.bind(process, &parts)

    cdef const char *ask_thread_name(self, Process *process, uint32_t tid, uint64_t now_ns) noexcept nogil:
        """A comm record of what /proc calls a thread; NULL without an answer."""
        cdef const char *record
        if process.gone:
            return NULL
        self.proc_asks += 1
        record = ask_comm(&self.answers, process.tgid, tid, now_ns)
        if record == NULL:
            process.gone = is_gone(process.tgid)
        return record

    cdef void name_files(self, Call *call, const syscall_rule *rule, Process *process,
                         const Parts *parts) noexcept nogil:
        """At enter: what the call's paths or its descriptor are called now."""
        cdef Entry *entry
        if rule.path_arg >= 0 and not rule.flags & TRACER_RULE_LABEL:
            if parts.paths != NULL:
                self.name_paths(call, rule, process, parts)
        elif rule.fd_arg >= 0:
            entry = self.fd_cache.entry(process, descriptor_argument(call, rule))
            if entry != NULL:
                call.file = share(entry.name)
                call.source = entry.source
                call.identity = entry.identity

    cdef void name_late(self, Call *call, const syscall_rule *rule, Process *process,
                        const Parts *parts) noexcept nogil:
        """At exit: paths whose page was not there at enter, getcwd's answer, descriptors that only /proc can name."""
        cdef int32_t fd
        cdef Entry *entry
        if rule.path_arg >= 0:
            if parts.paths != NULL and call.has_paths:
                reread_paths(self.fd_cache.texts, call, rule, parts)
            return
        if rule.aux_kind == TRACER_AUX_CWD_TEXT:
            if call.ret >= 0 and parts.paths != NULL and was_read(parts.paths.status1) and parts.paths.len1 > 0:
                replace(&call.file, cut_path(self.fd_cache.texts, parts.text1, parts.paths.len1))
                call.source = SOURCE_KERNEL
            return
        if call.file != NULL or call.ret == ERRNO_BADF or closes_it(rule):
            return
        fd = descriptor_argument(call, rule)
        if fd < 0:
            return
        entry = self.fd_cache.entry(process, fd)
        if entry == NULL and self.ask_proc:
            self.ask(process, call.tid, fd, call.exit_ns)
            entry = self.fd_cache.entry(process, fd)
        # bound at this very moment: asked for now, or, in a stream that is replayed, when it was recorded
        if entry != NULL and entry.source == SOURCE_PROC and entry.bound_ns == call.exit_ns:
            call.file = share(entry.name)
            call.source = SOURCE_PROC
            call.identity = entry.identity

    cdef void name_paths(self, Call *call, const syscall_rule *rule, Process *process,
                         const Parts *parts) noexcept nogil:
        cdef int i
        call.has_paths = True
        for i in range(2):
            call.paths[i].directory_source = 0
            call.paths[i].identity.inode = 0
            call.paths[i].on_success = False
        call.paths[0].status = parts.paths.status1
        call.paths[1].status = parts.paths.status2
        if not is_plain_text(call, rule) and needs_directory(call.paths[0].status, parts.text1, parts.paths.len1):
            self.find_directory(&call.paths[0], call, rule.dirfd_arg, process)
        if rule.path2_arg >= 0 and needs_directory(call.paths[1].status, parts.text2, parts.paths.len2):
            self.find_directory(&call.paths[1], call, rule.dirfd2_arg, process)
        set_path(self.fd_cache.texts, call, rule, 0, parts.text1, parts.paths.len1)
        if rule.path2_arg >= 0:
            set_path(self.fd_cache.texts, call, rule, 1, parts.text2, parts.paths.len2)

    cdef void find_directory(self, PathSlot *slot, const Call *call, int dirfd_arg, Process *process) noexcept nogil:
        """Note what the directory is called that a path is relative to."""
        cdef int32_t fd = <int32_t> argument(call, dirfd_arg) if dirfd_arg >= 0 else TRACER_CWD_FD
        cdef Entry *entry
        if fd == TRACER_CWD_FD:
            if process.cwd == NULL and self.ask_proc:
                self.ask(process, call.tid, fd, call.enter_ns)
            slot.directory = share(process.cwd)
            slot.directory_source = SOURCE_ARG
            return
        entry = self.fd_cache.entry(process, fd)
        if entry == NULL and self.ask_proc and fd >= 0:
            self.ask(process, call.tid, fd, call.enter_ns)
            entry = self.fd_cache.entry(process, fd)
        if entry != NULL:
            slot.directory = share(entry.name)
            slot.directory_source = entry.source
            slot.identity = entry.identity


cdef void reread_paths(TextPool *pool, Call *call, const syscall_rule *rule, const Parts *parts) noexcept nogil:
    if call.paths[0].status == TRACER_PATH_UNREADABLE:
        call.paths[0].status = parts.paths.status1
        set_path(pool, call, rule, 0, parts.text1, parts.paths.len1)
    if rule.path2_arg >= 0 and call.paths[1].status == TRACER_PATH_UNREADABLE:
        call.paths[1].status = parts.paths.status2
        set_path(pool, call, rule, 1, parts.text2, parts.paths.len2)


cdef void set_path(
    TextPool *pool, Call *call, const syscall_rule *rule, int which, const char *text, uint32_t size,
) noexcept nogil:
    """Fill file or old_file from one path argument: the last path is the file."""
    cdef uint8_t source = SOURCE_NONE
    cdef PathSlot *slot = &call.paths[which]
    cdef Text *name = meant_file(pool, call, rule, which, text, size, &source)
    if which == 0 and rule.path2_arg >= 0:
        replace(&call.old_file, name)
    else:
        replace(&call.file, name)
        call.source = source
        if slot.on_success:
            call.identity = slot.identity


cdef Text *meant_file(TextPool *pool, Call *call, const syscall_rule *rule, int which, const char *text, uint32_t size,
                      uint8_t *source) noexcept nogil:
    """The file that one path argument means, owned; NULL if it means none or that is not known."""
    cdef PathSlot *slot = &call.paths[which]
    source[0] = SOURCE_ARG
    if not was_read(slot.status):
        size = 0
        if slot.status != TRACER_PATH_NULL:
            return NULL
    elif which == 0 and is_plain_text(call, rule):
        return cut_path(pool, text, size) if size > 0 else NULL
    elif size > 0 and is_in_root(call, rule) and may_lead_out(text, size):
        return NULL
    elif size > 0:
        return join_path(pool, slot.directory, text, size)
    if not empty_means_directory(call, rule, which, slot.status == TRACER_PATH_NULL):
        return NULL
    slot.on_success = True
    source[0] = slot.directory_source
    return share(slot.directory)


cdef bint is_in_root(const Call *call, const syscall_rule *rule) noexcept nogil:
    """Whether the directory is the path's root."""
    return rule.aux_kind == TRACER_AUX_OPEN_HOW and call.has_aux and (call.aux[2] & RESOLVE_IN_ROOT) != 0


cdef bint may_lead_out(const char *text, uint32_t size) noexcept nogil:
    """Whether a path is absolute or has a component `..`: its text alone does not say where below a root it ends."""
    cdef uint32_t start = 0, at
    if text[0] == c"/":
        return True
    for at in range(size + 1):
        if at == size or text[at] == c"/":
            if at - start == 2 and text[start] == c"." and text[start + 1] == c".":
                return True
            start = at + 1
    return False


cdef bint closes_it(const syscall_rule *rule) noexcept nogil:
    """Whether the descriptor of the call is closed when it returns: what /proc answers then is a later file's name."""
    return rule.effect == TRACER_EFFECT_CLOSE or rule.effect == TRACER_EFFECT_CLOSE_RANGE


cdef bint needs_directory(uint8_t status, const char *text, uint32_t size) noexcept nogil:
    """A relative path, an empty one, and one that is read again at exit."""
    return not was_read(status) or size == 0 or text[0] != c"/"


cdef bint looks_at_nothing(const Call *call, const syscall_rule *rule) noexcept nogil:
    """utimensat with two times that are to stay: returns before it looks at the path (fs/utimes.c)."""
    return (rule.aux_kind == TRACER_AUX_UTIMES and call.has_aux and call.aux[2] == 1
            and call.aux[0] == UTIME_OMIT and call.aux[1] == UTIME_OMIT)


cdef bint is_plain_text(const Call *call, const syscall_rule *rule) noexcept nogil:
    """Whether path 1 is never joined: a symlink's target, or a path that nobody looked at."""
    return rule.flags & TRACER_RULE_OLD_IS_TEXT or looks_at_nothing(call, rule)


cdef bint empty_means_directory(const Call *call, const syscall_rule *rule, int which, bint null) noexcept nogil:
    """Whether an empty (or null) path means the directory descriptor itself, by the call's flags."""
    cdef uint64_t flags = argument(call, rule.flags_arg)
    if which == 1:
        return rule.empty_path == TRACER_EMPTY_MOVE_MOUNT and not null and (flags & MOVE_MOUNT_T_EMPTY_PATH) != 0
    if rule.empty_path == TRACER_EMPTY_AT_FLAG:
        return (flags & AT_EMPTY_PATH) != 0
    if rule.empty_path == TRACER_EMPTY_ALWAYS:
        return not null
    if rule.empty_path == TRACER_EMPTY_NULL:
        if looks_at_nothing(call, rule):
            return False
        return null or (rule.aux_kind == TRACER_AUX_UTIMES and (flags & AT_EMPTY_PATH) != 0)
    if rule.empty_path == TRACER_EMPTY_FSPICK:
        return not null and (flags & FSPICK_EMPTY_PATH) != 0
    if rule.empty_path == TRACER_EMPTY_MOVE_MOUNT:
        return not null and (flags & MOVE_MOUNT_F_EMPTY_PATH) != 0
    return False
