"""Descriptor tables and working directories of processes (see docs/how-rows-are-made.md)."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from tracer._fast.events cimport event_header, fork_body
from tracer._fast.intmap cimport IntMap
from tracer._fast.text cimport Text, TextPool


cdef enum Source:
    SOURCE_ARG = 0
    SOURCE_FD = 1
    SOURCE_PROC = 2
    SOURCE_KERNEL = 3
    SOURCE_NONE = 255


cdef enum CloseOnExec:
    CLOEXEC_UNSET = 0
    CLOEXEC_SET = 1
    CLOEXEC_UNKNOWN = 2


cdef struct Identity:
    # of a file, as the kernel has it; no inode (0) where it is not known
    uint64_t inode
    uint32_t device


cdef struct Entry:
    Text *name  # NULL: nothing is known of this number
    uint64_t bound_ns  # when it got the file that it has, or lost the one that it had
    uint64_t bound_change  # the change by which it got its file, as FdCache counts them
    uint64_t doubt_ns  # when it last lost a file that may have been another one than was known
    Identity identity
    uint8_t source
    uint8_t cloexec
    bint is_made  # a call gave the number a file and told of it, whatever its name, which may not be known


cdef enum:
    CHUNK_ENTRIES = 64
    MAX_REPLACING = 8


cdef struct Replaced:
    int64_t what  # the number, or a process's working directory, see replacing.pyx
    uint32_t id  # of this time: there may be another, see `settle`
    uint32_t calls
    bint contested  # several calls at a time
    bint was_made  # the file that is freed is known, since a call told of it


cdef struct Table:
    # entries in chunks, made when a number in them is bound: high numbers cost no more than low ones
    int32_t refs
    uint32_t chunk_count
    Entry **chunks  # NULL: nothing is bound there
    # calls under way that free a number or give it to another file, see replacing.pyx; the table stays until they end
    uint32_t replacing
    uint32_t replaced_count
    uint32_t last_id
    Replaced replaced[MAX_REPLACING]
    bint too_many  # there were more at a time: any number may be one of theirs
    uint32_t giving  # of all calls that give a number another file
    uint32_t ranges  # of those that close many, and from where to where these go since there have been some
    uint32_t range_first
    uint32_t range_last
    uint64_t range_end_ns  # of the last of them that has ended, and what it freed
    uint32_t ended_first
    uint32_t ended_last
    uint64_t last_change


cdef struct Process:
    uint64_t last_used_ns  # first: see intmap.quarter_age
    uint32_t tgid
    Table *table
    Text *cwd
    uint64_t cwd_changed_ns  # by a call, the last time
    uint64_t cwd_change
    uint64_t void_name_ns  # of a name that was older than what it names: the enter of that time meant another file
    int64_t brk
    bint brk_known
    bint gone  # /proc knows it no more; what comes later under this number begins with a fork, and is another one


@cython.final
cdef class FdCache:
    cdef TextPool *texts  # of all that are kept in here or go into calls
    cdef IntMap processes
    cdef Process *recent  # the one that was asked for last, or NULL
    cdef uint64_t drops  # of processes, and 1: pointers to one are good until the next
    cdef uint64_t changes  # of tables and directories by calls, in the order in which those ended
    cdef uint64_t table_bytes
    cdef readonly uint64_t untracked
    cdef readonly uint64_t forgotten

    cdef Process *find_process(self, uint32_t tgid) noexcept nogil
    cdef Process *look_up(self, uint32_t tgid) noexcept nogil
    cdef void drop_process(self, uint32_t tgid) noexcept nogil
    cdef void fork_process(self, const event_header *header, const fork_body *body) noexcept nogil
    cdef void exec_process(self, Process *process, bint unsure) noexcept nogil
    cdef bint unshare_table(self, Process *process) noexcept nogil
    cdef bint leave_table(self, Process *process) noexcept nogil
    cdef void bind(self, Process *process, int64_t fd, Text *name, uint8_t source, uint8_t cloexec,
                   uint64_t now_ns) noexcept nogil
    cdef void put(self, Process *process, int64_t fd, Text *name, uint8_t source, uint8_t cloexec,
                  uint64_t now_ns) noexcept nogil
    cdef void identify(self, Process *process, int64_t fd, Identity identity) noexcept nogil
    cdef void rename(self, Process *process, int64_t fd, Text *name, uint8_t source, uint8_t cloexec,
                     uint64_t now_ns) noexcept nogil
    cdef void note_made(self, Process *process, int64_t fd) noexcept nogil
    cdef void note_doubt(self, Process *process, int64_t fd, uint64_t now_ns) noexcept nogil
    cdef void note_range(self, Process *process, uint32_t first, uint32_t last, uint64_t now_ns) noexcept nogil
    cdef uint64_t changed_ns(self, const Process *process, int32_t fd) noexcept nogil
    cdef void forget(self, Process *process, int64_t fd, uint64_t now_ns) noexcept nogil
    cdef void copy_entry(self, Process *process, int64_t source_fd, int64_t fd, uint8_t cloexec,
                         uint64_t now_ns) noexcept nogil
    cdef void mark(self, Process *process, int64_t fd, uint8_t cloexec) noexcept nogil
    cdef void close_range(self, Process *process, uint32_t first, uint32_t last, bint only_mark,
                          uint64_t now_ns) noexcept nogil
    cdef Table *copy_table(self, const Table *table) noexcept nogil
    cdef void release_table(self, Table *table) noexcept nogil
    cdef void free_unused(self, Table *table) noexcept nogil
    cdef int reserve(self, Table *table, int64_t fd) noexcept nogil
    cdef int reserve_chunks(self, Table *table, uint32_t chunk) noexcept nogil
    cdef void trim(self) noexcept nogil
    cdef Process *new_process(self, uint32_t tgid) noexcept nogil
    cdef void free_process(self, Process *process) noexcept nogil

    # What every call asks for is inline: modules can't inline each other's methods otherwise.

    cdef inline uint64_t memory_bytes(self) noexcept nogil:
        """Of tables and names."""
        return self.table_bytes + self.texts.living_bytes

    cdef inline Process *get_process(self, uint32_t tgid, uint64_t now_ns) noexcept nogil:
        """The process, made if it is new; NULL when memory is out."""
        cdef Process *process = self.recent
        if process == NULL or process.tgid != tgid:
            process = self.look_up(tgid)
        if process != NULL:
            process.last_used_ns = now_ns
        return process

    cdef inline Entry *slot(self, const Process *process, int64_t fd) noexcept nogil:
        """The entry of a number, whether it has a name or not; NULL where there is none."""
        cdef const Table *table = process.table
        cdef uint64_t number = <uint64_t> fd  # a negative one is beyond all others
        cdef Entry *chunk
        if number >= <uint64_t> table.chunk_count * CHUNK_ENTRIES:
            return NULL
        chunk = table.chunks[number // CHUNK_ENTRIES]
        return &chunk[number % CHUNK_ENTRIES] if chunk != NULL else NULL

    cdef inline Entry *entry(self, const Process *process, int64_t fd) noexcept nogil:
        """The entry of a number that has a name, or NULL."""
        cdef Entry *found = self.slot(process, fd)
        return found if found != NULL and found.name != NULL else NULL
