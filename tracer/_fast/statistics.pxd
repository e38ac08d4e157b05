"""Live statistics: what is counted of all calls, and by syscall, file, directory and process."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tracer._fast.batch cimport Buffers
from tracer._fast.dictionary cimport Dictionary
from tracer._fast.groups cimport Counts, FIRST, Groups


cdef enum:
    BUCKETS = 8
    QUANTILES = 4
    KNOWN_PIDS = 256
    MOST_SYSCALLS = 1024  # more than there are: their table is never compacted


cdef enum:
    # the tables
    BY_SYSCALL
    BY_FILE
    BY_DIRECTORY
    BY_PROCESS
    TABLES


cdef struct Place:
    # the groups of a file
    uint16_t file
    uint16_t directory


cdef struct Row:
    # one group of a snapshot
    Counts counts
    uint64_t quantiles[QUANTILES]
    uint64_t hash
    uint32_t text  # where in the texts of the snapshot
    uint32_t size


cdef class Statistics:
    cdef cython.pymutex lock
    cdef Groups tables[TABLES]
    cdef Groups classes  # the names of the syscalls that move bytes
    cdef uint8_t class_of[FIRST + MOST_SYSCALLS]  # by group there: 1 reads, 2 writes, 3 both
    cdef uint64_t latency_buckets[BUCKETS]
    cdef uint64_t gap_buckets[BUCKETS]
    cdef uint64_t gaps
    cdef uint64_t gap_ns
    cdef int64_t start_ns  # -1: not known yet
    cdef bint was_reset  # at `start_ns`: calls that began before count from then
    cdef int64_t last_ns  # when the latest call ended; -1: there was none
    # What a batch's codes stand for, noted until it ends or a compaction gives groups other numbers.
    cdef Place *places
    cdef uint32_t places_capacity
    cdef uint32_t *syscalls  # group << 2 | class
    cdef uint32_t syscalls_capacity
    cdef int32_t *comms  # by process: see note_name; -1: nothing noted
    cdef uint16_t *named  # the processes of which something is
    cdef uint32_t named_count
    cdef const char *directory  # the last one; NULL: none
    cdef uint32_t directory_size
    cdef int directory_group
    cdef int32_t pids[KNOWN_PIDS]  # by their lowest bits, the last ones
    cdef int32_t processes[KNOWN_PIDS]  # their groups; -1: none
    cdef bint out_of_memory

    cdef int add_classes(self, names, int bits) except -1
    cdef void add_rows(self, Buffers buffers, int rows) noexcept nogil
    cdef int begin(self, Buffers buffers) noexcept nogil
    cdef void forget_groups(self, uint32_t files) noexcept nogil
    cdef void make_room(self, Buffers buffers) noexcept nogil
    cdef int add_chunk(self, Buffers buffers, int row, int end) noexcept nogil
    cdef void add_gap(self, uint64_t gap) noexcept nogil
    cdef void add_time(self, int64_t begin_ns, uint64_t latency) noexcept nogil
    cdef uint32_t find_syscall(self, const Dictionary *texts, uint32_t code) noexcept nogil
    cdef int group(self, int table, const char *text, uint32_t size, uint64_t hash) noexcept nogil
    cdef Place find_place(self, const Dictionary *texts, int32_t code) noexcept nogil
    cdef int find_directory(self, const char *text, uint32_t size) noexcept nogil
    cdef int find_process(self, int32_t pid) noexcept nogil
    cdef void note_name(self, int process, int32_t name) noexcept nogil
    cdef void name_processes(self, const Dictionary *texts) noexcept nogil
