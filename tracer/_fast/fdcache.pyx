"""Descriptor tables and working directories of processes (see docs/how-rows-are-made.md)."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from tracer._fast.events cimport TRACER_COPY_UNSURE, TRACER_CWD_FD, event_header, fork_body
from tracer._fast.intmap cimport find, free_map, init_map, insert, quarter_age, take
from tracer._fast.text cimport Text, TextPool, close_pool, drop, new_text, replace, share


cdef enum:
    CLONE_FILES = 0x400  # include/uapi/linux/sched.h
    MAX_FD = 1 << 20  # the kernel's own default ceiling (fs.nr_open)
    MAX_PROCESSES = 32768
    MAX_TABLE_BYTES = 192 << 20  # over all tables
    MAX_TEXT_BYTES = 256 << 20  # over all names that are kept; one that comes beyond it is not


@cython.final
cdef class FdCache:
    """What every descriptor of every process is called, and where each process works.

    The tables are changed by a `Pairer`; from Python they can be filled and looked up, for tests and benchmarks. All
    memory is bounded: beyond 32768 processes the longest unused quarter is dropped (counted in `forgotten`), beyond 192
    MiB of tables, or 256 MiB of names, numbers are no longer tracked (`untracked` counts names that were not kept).
    """

    def __cinit__(self):
        self.drops = 1
        self.texts = <TextPool *> calloc(1, sizeof(TextPool))
        if self.texts == NULL or init_map(&self.processes, 256) < 0:
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t slot
        if self.processes.values != NULL:
            for slot in range(self.processes.mask + 1):
                if self.processes.values[slot] != NULL:
                    self.free_process(<Process *> self.processes.values[slot])
            free_map(&self.processes)
        close_pool(self.texts)

    # ---- from Python ----

    def bind_name(self, int tgid, int fd, bytes name not None) -> None:
        """Say what a descriptor is called, as a name record would."""
        cdef Text *text = new_text(self.texts, name, <uint32_t> min(len(name), 4095))
        cdef Process *process = self.get_process(<uint32_t> tgid, 0)
        if text == NULL or process == NULL:
            raise MemoryError
        self.bind(process, fd, text, SOURCE_FD, CLOEXEC_UNKNOWN, 0)

    def name(self, int tgid, int fd) -> bytes | None:
        """What a descriptor is called; None if that is not known."""
        cdef Process *process = self.find_process(<uint32_t> tgid)
        cdef Entry *found = self.entry(process, fd) if process != NULL else NULL
        return found.name.data[:found.name.size] if found != NULL else None

    def cwd(self, int tgid) -> bytes | None:
        """The working directory of a process; None if it is not known."""
        cdef Process *process = self.find_process(<uint32_t> tgid)
        if process == NULL or process.cwd == NULL:
            return None
        return process.cwd.data[:process.cwd.size]

    def __len__(self) -> int:
        return self.processes.count

    # ---- processes ----

    cdef Process *find_process(self, uint32_t tgid) noexcept nogil:
        return <Process *> find(&self.processes, tgid)

    cdef Process *look_up(self, uint32_t tgid) noexcept nogil:
        """The process, made if it is new; NULL when memory is out."""
        cdef Process *process = <Process *> find(&self.processes, tgid)
        if process == NULL:
            process = self.new_process(tgid)
        self.recent = process
        return process

    cdef Process *new_process(self, uint32_t tgid) noexcept nogil:
        cdef Process *process
        if self.processes.count >= MAX_PROCESSES:
            self.trim()
        process = <Process *> calloc(1, sizeof(Process))
        if process == NULL:
            return NULL
        process.tgid = tgid
        process.table = <Table *> calloc(1, sizeof(Table))
        if process.table == NULL or insert(&self.processes, tgid, process) < 0:
            free(process.table)
            free(process)
            return NULL
        process.table.refs = 1
        return process

    cdef void free_process(self, Process *process) noexcept nogil:
        self.release_table(process.table)
        drop(process.cwd)
        free(process)

    cdef void drop_process(self, uint32_t tgid) noexcept nogil:
        cdef Process *process = <Process *> take(&self.processes, tgid)
        if process != NULL:
            self.recent = NULL
            self.drops += 1
            self.free_process(process)

    cdef void trim(self) noexcept nogil:
        """Drop the quarter of the processes that has not been used for the longest time."""
        cdef uint64_t age = quarter_age(&self.processes)
        cdef uint32_t slot = 0
        cdef Process *process
        while slot <= self.processes.mask:
            process = <Process *> self.processes.values[slot]
            if process != NULL and process.last_used_ns <= age:
                self.drop_process(process.tgid)  # another one may move into this slot
                self.forgotten += 1
            else:
                slot += 1

    cdef void fork_process(self, const event_header *header, const fork_body *body) noexcept nogil:
        """A new process with its creator's directory and a copy of its table (or the same one): nothing of what it
        copied if that is unsure."""
        cdef bint unsure = header.flags & TRACER_COPY_UNSURE
        cdef Process *parent
        cdef Process *process
        cdef Table *table = NULL
        self.drop_process(body.child_tgid)
        process = self.get_process(body.child_tgid, header.time_ns)
        parent = self.find_process(header.tgid)
        if process == NULL or parent == NULL:
            return
        if not unsure:
            replace(&process.cwd, share(parent.cwd))
        if body.clone_flags & CLONE_FILES:
            table = parent.table
            table.refs += 1
        elif not unsure:
            table = self.copy_table(parent.table)
        if table != NULL:
            self.release_table(process.table)
            process.table = table

    cdef void exec_process(self, Process *process, bint unsure) noexcept nogil:
        """The process has a table of its own from now on, without what exec closed; nothing in it if that is unsure."""
        cdef uint32_t chunk, i
        cdef Entry *entries
        if (process.table.refs > 1 or process.table.replacing) and not self.leave_table(process):
            return
        process.brk_known = False
        process.table.last_change = process.table.range_end_ns = 0  # what other threads were at ended with them
        for chunk in range(process.table.chunk_count):
            entries = process.table.chunks[chunk]
            if entries == NULL:
                continue
            for i in range(CHUNK_ENTRIES):
                entries[i].is_made = False
                if unsure or entries[i].cloexec != CLOEXEC_UNSET:
                    replace(&entries[i].name, NULL)

    # ---- tables ----

    cdef Table *copy_table(self, const Table *table) noexcept nogil:
        cdef Table *copy = <Table *> calloc(1, sizeof(Table))
        cdef uint32_t chunk, i
        if copy == NULL:
            return NULL
        copy.refs = 1
        for chunk in range(table.chunk_count):
            if table.chunks[chunk] == NULL:
                continue
            if self.reserve(copy, chunk * CHUNK_ENTRIES) < 0:
                self.untracked += names_in(table.chunks[chunk])
                continue
            memcpy(copy.chunks[chunk], table.chunks[chunk], CHUNK_ENTRIES * sizeof(Entry))
            for i in range(CHUNK_ENTRIES):
                share(copy.chunks[chunk][i].name)
        return copy

    cdef void release_table(self, Table *table) noexcept nogil:
        table.refs -= 1
        self.free_unused(table)

    cdef void free_unused(self, Table *table) noexcept nogil:
        """Free a table that has neither a process nor a call that is going to replace a number in it."""
        cdef uint32_t chunk, i
        if table.refs > 0 or table.replacing > 0:
            return
        for chunk in range(table.chunk_count):
            if table.chunks[chunk] != NULL:
                for i in range(CHUNK_ENTRIES):
                    drop(table.chunks[chunk][i].name)
                self.table_bytes -= CHUNK_ENTRIES * sizeof(Entry)
                free(table.chunks[chunk])
        self.table_bytes -= table.chunk_count * sizeof(Entry *)
        free(table.chunks)
        free(table)

    cdef bint unshare_table(self, Process *process) noexcept nogil:
        """Give the process a table of its own; as `leave_table`."""
        return process.table.refs == 1 or self.leave_table(process)

    cdef bint leave_table(self, Process *process) noexcept nogil:
        """Give the process a copy of its table. If there is no memory for one it is forgotten, and False is returned:
        neither may have names that the other's calls make."""
        cdef Table *copy = self.copy_table(process.table)
        if copy == NULL:
            self.drop_process(process.tgid)
            self.forgotten += 1
            return False
        self.release_table(process.table)
        process.table = copy
        return True

    cdef int reserve(self, Table *table, int64_t fd) noexcept nogil:
        """Make room for a number; -1 if that would be too much."""
        cdef uint32_t chunk = <uint32_t> (fd // CHUNK_ENTRIES)
        if chunk < table.chunk_count and table.chunks[chunk] != NULL:
            return 0
        if self.reserve_chunks(table, chunk) == 0 and self.table_bytes < MAX_TABLE_BYTES:
            table.chunks[chunk] = <Entry *> calloc(CHUNK_ENTRIES, sizeof(Entry))
            if table.chunks[chunk] != NULL:
                self.table_bytes += CHUNK_ENTRIES * sizeof(Entry)
                return 0
        return -1

    cdef int reserve_chunks(self, Table *table, uint32_t chunk) noexcept nogil:
        """Make room for the pointer to a chunk."""
        cdef uint32_t count = table.chunk_count if table.chunk_count else 1
        cdef Entry **chunks
        if chunk < table.chunk_count:
            return 0
        while count <= chunk:
            count *= 2
        if self.table_bytes + count * sizeof(Entry *) > MAX_TABLE_BYTES:
            return -1
        chunks = <Entry **> realloc(table.chunks, count * sizeof(Entry *))
        if chunks == NULL:
            return -1
        memset(chunks + table.chunk_count, 0, (count - table.chunk_count) * sizeof(Entry *))
        self.table_bytes += (count - table.chunk_count) * sizeof(Entry *)
        table.chunks = chunks
        table.chunk_count = count
        return 0

    cdef void bind(self, Process *process, int64_t fd, Text *name, uint8_t source, uint8_t cloexec,
                   uint64_t now_ns) noexcept nogil:
        """Name a number, whatever it was before. Takes the reference over; a NULL name forgets the number.

        The name is not one of another number: it is not kept if there is no room for names.
        """
        if name != NULL and self.texts.living_bytes > MAX_TEXT_BYTES:
            self.untracked += 1
            self.forget(process, fd, now_ns)
            drop(name)
        else:
            self.put(process, fd, name, source, cloexec, now_ns)

    cdef void put(self, Process *process, int64_t fd, Text *name, uint8_t source, uint8_t cloexec,
                  uint64_t now_ns) noexcept nogil:
        """The same with a name that may be another number's: kept already, it costs no more."""
        cdef Entry *found
        if fd < 0 or fd >= MAX_FD or name == NULL:
            self.forget(process, fd, now_ns)
            drop(name)
            return
        if self.reserve(process.table, fd) < 0:
            self.untracked += 1
            drop(name)
            return
        found = &process.table.chunks[fd // CHUNK_ENTRIES][fd % CHUNK_ENTRIES]
        replace(&found.name, name)
        found.bound_ns = now_ns
        found.bound_change = self.changes
        found.identity.inode = 0
        found.source = source
        found.cloexec = cloexec
        found.is_made = True

    cdef void identify(self, Process *process, int64_t fd, Identity identity) noexcept nogil:
        """Note which file it is that a number has just been bound to."""
        cdef Entry *found = self.entry(process, fd)
        if found != NULL:
            found.identity = identity

    cdef void rename(self, Process *process, int64_t fd, Text *name, uint8_t source, uint8_t cloexec,
                     uint64_t now_ns) noexcept nogil:
        """Bind another name of the file that a number has already, if it has one: since when, and how, stays."""
        cdef Entry *entry = self.slot(process, fd)
        cdef uint64_t bound_change = self.changes
        cdef bint is_made = entry != NULL and entry.is_made
        if entry != NULL and entry.name != NULL:
            now_ns = entry.bound_ns
            bound_change = entry.bound_change
        self.bind(process, fd, name, source, cloexec, now_ns)
        entry = self.entry(process, fd)
        if entry != NULL:
            entry.bound_change = bound_change
            entry.is_made = is_made

    cdef void note_made(self, Process *process, int64_t fd) noexcept nogil:
        """A call gave a number a file, and didn't tell its name."""
        cdef Entry *found = self.slot(process, fd)
        if found != NULL:
            found.is_made = True

    cdef void note_doubt(self, Process *process, int64_t fd, uint64_t now_ns) noexcept nogil:
        """A number lost a file, and may have lost another one than was known."""
        cdef Entry *found = self.slot(process, fd)
        if found != NULL:
            found.doubt_ns = max(found.doubt_ns, now_ns)

    cdef void note_range(self, Process *process, uint32_t first, uint32_t last, uint64_t now_ns) noexcept nogil:
        """Numbers were freed, whether they have a name or not."""
        process.table.range_end_ns = max(process.table.range_end_ns, now_ns)
        process.table.ended_first = first
        process.table.ended_last = last

    cdef uint64_t changed_ns(self, const Process *process, int32_t fd) noexcept nogil:
        """When a number (or the working directory) got the file that it has, or lost one; 0 if that is not known."""
        cdef const Entry *slot
        cdef uint64_t range_ns = 0
        if fd == TRACER_CWD_FD:
            return process.cwd_changed_ns
        if process.table.range_end_ns > 0 and process.table.ended_first <= <int64_t> fd <= process.table.ended_last:
            range_ns = process.table.range_end_ns
        slot = self.slot(process, fd)
        return max(slot.bound_ns, range_ns) if slot != NULL else range_ns

    cdef void forget(self, Process *process, int64_t fd, uint64_t now_ns) noexcept nogil:
        """The number has another file since then, or none: an older name is not its."""
        cdef Entry *found
        if fd < 0 or fd >= MAX_FD or self.reserve(process.table, fd) < 0:
            return
        found = self.slot(process, fd)
        replace(&found.name, NULL)
        found.is_made = False
        found.bound_ns = max(found.bound_ns, now_ns)

    cdef void copy_entry(self, Process *process, int64_t source_fd, int64_t fd, uint8_t cloexec,
                         uint64_t now_ns) noexcept nogil:
        cdef Entry *found = self.entry(process, source_fd)
        cdef Identity identity
        if found == NULL:
            self.forget(process, fd, now_ns)
        else:
            identity = found.identity
            self.put(process, fd, share(found.name), found.source, cloexec, now_ns)
            self.identify(process, fd, identity)

    cdef void mark(self, Process *process, int64_t fd, uint8_t cloexec) noexcept nogil:
        cdef Entry *found = self.entry(process, fd)
        if found != NULL:
            found.cloexec = cloexec

    cdef void close_range(self, Process *process, uint32_t first, uint32_t last, bint only_mark,
                          uint64_t now_ns) noexcept nogil:
        cdef int64_t fd = first
        cdef int64_t end = min(<int64_t> last + 1, <int64_t> process.table.chunk_count * CHUNK_ENTRIES)
        while fd < end:
            if process.table.chunks[fd // CHUNK_ENTRIES] == NULL:
                fd = (fd // CHUNK_ENTRIES + 1) * CHUNK_ENTRIES
                continue
            if only_mark:
                self.mark(process, fd, CLOEXEC_SET)
            elif self.entry(process, fd) != NULL:
                self.forget(process, fd, now_ns)
            else:
                self.slot(process, fd).is_made = False
            fd += 1
        if not only_mark and first <= last:
            self.note_range(process, first, last, now_ns)


cdef uint32_t names_in(const Entry *entries) noexcept nogil:
    """How many numbers of a chunk have a name."""
    cdef uint32_t i, found = 0
    for i in range(<uint32_t> CHUNK_ENTRIES):
        found += entries[i].name != NULL
    return found
