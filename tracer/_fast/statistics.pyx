"""Live statistics: what is counted of all calls, and by syscall, file, directory and process."""

cimport cython
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset

from tracer._fast.batch cimport Buffers, Columns, IN_COMM, IN_FILE, IN_SYSCALL, Pointers, bit
from tracer._fast.dictionary cimport Dictionary, hash_bytes
from tracer._fast.groups cimport (
    Call, Counts, FIRST, Groups, MOST_KEYS, NONE, OTHER, add_call, add_counts, clear_counts, clear_groups, compact,
    find_key, free_groups, group_of, groups_bytes, has_room, init_groups, rename_group,
)
from tracer._fast.sketch cimport (
    BIN_COUNT, Bins, Sketch, bin_of, free_bins, leading_zeros, make_wide, merge, quantiles, widen,
)


cdef extern from "<string.h>" nogil:
    const void *memrchr(const void *data, int byte, size_t size)


cdef enum:
    CHUNK_ROWS = 1024  # between two looks whether sketches have outgrown their memory
    MOST_SHOWN = 1024
    NAME_BYTES = 64  # a thread's name has 15, and four for each when it is no UTF-8
    LEAST_TEXT = 1 << 16  # in bytes: two of the longest paths, each byte spelt with four
    LEAST_BINS = 1 << 14  # two full windows are at most half of it
    READS = 1
    WRITES = 2
    UNKNOWN = 0xFFFF

cdef double WANTED[QUANTILES]
WANTED[:] = [0.5, 0.9, 0.99, 0.999]

cdef uint64_t BOUNDS[BUCKETS]
cdef uint8_t FIRST_BUCKET[64]  # by the value's highest bit, the lowest bucket it can be in

BUCKET_BOUNDS_NS = tuple(10 ** exponent for exponent in range(3, 10))


cdef void fill_bounds():
    cdef int i, power
    for i in range(BUCKETS):
        BOUNDS[i] = BUCKET_BOUNDS_NS[i] if i < BUCKETS - 1 else <uint64_t> -1
    for power in range(64):
        for i in range(BUCKETS - 1):
            FIRST_BUCKET[power] += BOUNDS[i] <= <uint64_t> 1 << power

fill_bounds()


cdef inline int bucket_of(uint64_t value) noexcept nogil:
    cdef int bucket = FIRST_BUCKET[63 - leading_zeros(value | 1)]
    return bucket + (value >= BOUNDS[bucket])  # at most one bound lies between two powers of two


cdef inline uint64_t not_negative(int64_t value) noexcept nogil:
    """The value, or 0: a damaged stream may hold any times."""
    return <uint64_t> value if value > 0 else 0


cdef inline void read_call(const Pointers *at, int row, uint32_t syscall, Call *call) noexcept nogil:
    """What a row adds to its groups. The lowest bits of `syscall` tell whether its bytes are read and written."""
    cdef uint64_t moved = <uint64_t> at.bytes[row] if bit(at.has_bytes, row) else 0
    call.read_bytes = moved if syscall & READS else 0
    call.written_bytes = moved if syscall & WRITES else 0
    call.errors = bit(at.is_error, row)
    call.timed = bit(at.has_latency_ns, row)
    call.latency_ns = not_negative(at.latency_ns[row]) if call.timed else 0
    call.bin = bin_of(call.latency_ns)


cdef inline uint32_t parent_size(const char *path, uint32_t size) noexcept nogil:
    """Length of the directory a path is in, 0 for a name that is no path. The root is its own parent."""
    cdef const char *slash = <const char *> memrchr(path, c"/", size)
    if slash == NULL:
        return 0
    return <uint32_t> (slash - path) if slash > path else 1


cdef inline uint64_t hash_number(uint32_t number) noexcept nogil:
    """A hash that no other number has, and that holds it in its lower half."""
    return <uint64_t> (number * <uint32_t> 0x9E3779B1) << 32 | number


cdef inline bint is_more(const Groups *groups, uint32_t left, uint32_t right) noexcept nogil:
    """Whether a group comes before another one: more latency in sum, then more calls."""
    cdef const Counts *a = &groups.counts[left]
    cdef const Counts *b = &groups.counts[right]
    return a.latency_ns > b.latency_ns or (a.latency_ns == b.latency_ns and a.calls > b.calls)


cdef uint32_t select(const Groups *groups, uint16_t *best, uint32_t most) noexcept nogil:
    """The `most` first groups in order; how many there are."""
    cdef uint32_t i, group, at, count = 0
    for i in range(groups.keys_count):
        group = groups.order[i]
        if groups.counts[group].calls == 0 or (count == most and not is_more(groups, group, best[count - 1])):
            continue
        at = count if count < most else count - 1
        while at > 0 and is_more(groups, group, best[at - 1]):
            best[at] = best[at - 1]
            at -= 1
        best[at] = <uint16_t> group
        count = min(count + 1, most)
    return count


cdef inline uint64_t clamp(uint64_t value, uint64_t least, uint64_t most) noexcept nogil:
    return least if value < least else most if value > most else value


cdef void fill_row(Row *row, const Counts *counts, const Bins *bins, const Sketch *sketch) noexcept nogil:
    cdef int i
    row.counts = counts[0]
    quantiles(bins, sketch, WANTED, row.quantiles, QUANTILES)
    for i in range(QUANTILES):  # what is known exactly makes it better
        row.quantiles[i] = clamp(row.quantiles[i], counts.min_ns, counts.max_ns)


cdef tuple row_figures(const Row *row, str name, pid):
    """The arguments of `tracer.live.snapshot.Figures`."""
    cdef const Counts *counts = &row.counts
    cdef uint64_t timed = counts.calls - counts.untimed
    cdef const uint64_t *values = row.quantiles
    cdef tuple sums = (name, pid, counts.calls, counts.errors, counts.read_bytes, counts.written_bytes,
                       timed, counts.latency_ns)
    if timed == 0:
        return (*sums, None, None, None, None, None, None, None)
    return (*sums, <double> counts.latency_ns / <double> timed, counts.min_ns, counts.max_ns, values[0],
            values[1], values[2], values[3])


cdef class _Reading:
    """Copies of the rows of one table that a snapshot shows: without a key, the others, and the first ones."""
    cdef Row *rows
    cdef uint16_t *best
    cdef Bins bins
    cdef Sketch others
    cdef uint32_t most
    cdef uint32_t count
    cdef uint64_t other_keys
    cdef list names

    def __cinit__(self, uint32_t most):
        self.most = most
        self.names = []
        self.rows = <Row *> malloc((most + FIRST) * sizeof(Row))
        self.best = <uint16_t *> malloc(most * sizeof(uint16_t))
        if self.rows == NULL or self.best == NULL or widen(&self.bins, &self.others, 0, BIN_COUNT - 1) < 0 \
                or make_wide(&self.bins, &self.others) < 0:  # so that summing up needs no memory
            raise MemoryError

    def __dealloc__(self):
        free(self.rows)
        free(self.best)
        free_bins(&self.bins)

    cdef void read(self, Groups *groups) noexcept nogil:
        cdef uint32_t i, group
        self.count = select(groups, self.best, self.most)
        fill_row(&self.rows[NONE], &groups.counts[NONE], &groups.bins, &groups.sketches[NONE])
        for i in range(self.count):
            group = self.best[i]
            fill_row(&self.rows[FIRST + i], &groups.counts[group], &groups.bins, &groups.sketches[group])
            self.rows[FIRST + i].hash = groups.keys[group].hash
        self.read_others(groups)

    cdef void read_others(self, const Groups *groups) noexcept nogil:
        """Sum up what is not shown."""
        cdef Counts counts = groups.counts[OTHER]
        cdef uint32_t i, group
        self.other_keys = groups.folded
        merge(&self.bins, &self.others, &groups.bins, &groups.sketches[OTHER])
        for i in range(groups.keys_count):
            group = groups.order[i]
            if groups.counts[group].calls and not self.shows(groups, group):
                self.other_keys += 1
                add_counts(&counts, &groups.counts[group])
                merge(&self.bins, &self.others, &groups.bins, &groups.sketches[group])
        fill_row(&self.rows[OTHER], &counts, &self.bins, &self.others)

    cdef bint shows(self, const Groups *groups, uint32_t group) noexcept nogil:
        """Whether a group is one of the first ones."""
        cdef uint32_t i
        if self.count < self.most:
            return True
        if is_more(groups, self.best[self.count - 1], group):
            return False
        for i in range(self.count):
            if self.best[i] == group:
                return True
        return False

    cdef void read_sum(self, const Groups *groups) noexcept nogil:
        """Sum up all there is, as the only row."""
        cdef Counts counts
        cdef uint32_t group
        clear_counts(&counts)
        for group in range(groups.end):  # none of this table was ever folded
            add_counts(&counts, &groups.counts[group])
            merge(&self.bins, &self.others, &groups.bins, &groups.sketches[group])
        fill_row(&self.rows[NONE], &counts, &self.bins, &self.others)

    cdef int read_names(self, const Groups *groups) except -1:
        cdef uint32_t i
        for i in range(self.count):
            key = &groups.keys[self.best[i]]
            self.names.append(PyUnicode_DecodeUTF8(groups.text + key.text, key.size, "replace"))
        return 0

    cdef tuple figures(self, bint numbered):
        cdef uint32_t i
        rows = []
        for i in range(self.count):
            pid = <int32_t> self.rows[FIRST + i].hash if numbered else None
            rows.append(row_figures(&self.rows[FIRST + i], self.names[i], pid))
        other, none = row_figures(&self.rows[OTHER], "", None), row_figures(&self.rows[NONE], "", None)
        return rows, other, none, self.other_keys


@cython.final
cdef class Statistics:
    """Counts calls, in bounded memory, from when it is made or `reset`.

    `read_calls` and `write_calls` name the syscalls whose `bytes` are read and written; one may do both. At most
    `max_keys` files, directories and processes are told apart, with `max_text` bytes of names and about `max_bins` bins
    of latencies each; what there is no room for is counted in one row, so that sums are always exact (modulo 2^64). Any
    thread may call any method.
    """

    def __cinit__(self, read_calls, write_calls, *, uint32_t max_keys=8192, uint32_t max_text=4 << 20,
                  uint32_t max_bins=1 << 20):
        cdef int table
        cdef bint failed = False
        if not 2 <= max_keys <= MOST_KEYS or max_text < LEAST_TEXT or max_bins < LEAST_BINS + max_keys:
            raise ValueError("a bound is out of range")
        self.comms = <int32_t *> malloc((max_keys + FIRST) * sizeof(int32_t))
        self.named = <uint16_t *> malloc((max_keys + FIRST) * sizeof(uint16_t))
        failed = self.comms == NULL or self.named == NULL
        for table in range(BY_FILE, TABLES):
            failed |= init_groups(&self.tables[table], max_keys, max_text, max_bins, 0) < 0
        self.tables[BY_PROCESS].name_bytes = NAME_BYTES
        self.tables[BY_PROCESS].max_text = max(max_text, NAME_BYTES * max_keys)
        failed |= init_groups(&self.tables[BY_SYSCALL], MOST_SYSCALLS, LEAST_TEXT, <uint32_t> -1, 0) < 0
        failed |= init_groups(&self.classes, MOST_SYSCALLS, LEAST_TEXT, LEAST_BINS, 0) < 0
        if failed:
            raise MemoryError
        memset(self.comms, 0xFF, (max_keys + FIRST) * sizeof(int32_t))
        self.start_ns = self.last_ns = -1
        self.add_classes(read_calls, READS)
        self.add_classes(write_calls, WRITES)

    def __dealloc__(self):
        cdef int table
        for table in range(TABLES):
            free_groups(&self.tables[table])
        free_groups(&self.classes)
        free(self.places)
        free(self.syscalls)
        free(self.comms)
        free(self.named)

    cdef int add_classes(self, names, int bits) except -1:
        cdef bytes name
        cdef int group
        for text in names:
            name = text.encode()
            group = group_of(&self.classes, name, <uint32_t> len(name), hash_bytes(name, len(name)))
            if group < 0:
                raise ValueError("too many names of syscalls")
            self.class_of[group] |= bits
        return 0

    def consume(self, Columns columns not None) -> None:
        """Count the rows of a batch. Raises ValueError if it was released, MemoryError if memory ran out: what there
        was none for is counted with the others then, or not in percentiles, or not at all."""
        cdef Buffers buffers = columns.held()
        cdef int rows = columns.rows
        cdef bint failed
        with self.lock:
            with nogil:
                self.add_rows(buffers, rows)
                failed = self.out_of_memory
                self.out_of_memory = False
        if failed:
            raise MemoryError

    def reset(self, now_ns=None) -> None:
        """Count from zero. Seconds count from `now_ns` (boot clock); without it, from the end of the last call."""
        cdef int64_t start_ns = -1 if now_ns is None else now_ns
        cdef int table
        with self.lock:
            if start_ns >= 0 or self.last_ns >= 0:  # neither: there was no call since the last reset
                self.start_ns = start_ns if start_ns >= 0 else self.last_ns
            self.was_reset = self.start_ns >= 0
            self.last_ns = -1
            for table in range(TABLES):
                clear_groups(&self.tables[table])
            memset(self.latency_buckets, 0, sizeof(self.latency_buckets))
            memset(self.gap_buckets, 0, sizeof(self.gap_buckets))
            self.gaps = self.gap_ns = 0

    @property
    def memory_bytes(self) -> int:
        """The memory that all tables take."""
        cdef uint64_t size
        cdef int table
        with self.lock:
            size = sizeof(Place) * self.places_capacity + sizeof(uint32_t) * self.syscalls_capacity
            for table in range(TABLES):
                size += groups_bytes(&self.tables[table])
            size += groups_bytes(&self.classes)
        return size

    def read(self, int64_t most) -> tuple:
        """Copies of what a snapshot shows: the tables (syscalls, files, directories, processes), each with the `most`
        keys that have the most latency in sum, and the totals.

        A table is its rows, the row of all other keys, the row of calls without a key, and the number of other keys;
        the totals are a row, both histograms, number and sum of the gaps, and begin and end (boot clock) or -1. A row
        is the arguments of `tracer.live.snapshot.Figures`. Raises ValueError unless `most` is 1 to 1024.
        """
        cdef _Reading reading, sum_reading = _Reading(1)
        cdef int table, _
        if not 1 <= most <= MOST_SHOWN:
            raise ValueError(f"1 to {MOST_SHOWN} rows are meant")
        readings = [_Reading(most) for _ in range(TABLES)]
        with self.lock:
            for table in range(TABLES):
                reading = <_Reading> readings[table]
                with nogil:
                    reading.read(&self.tables[table])
                reading.read_names(&self.tables[table])
            sum_reading.read_sum(&self.tables[BY_SYSCALL])
            latencies, gaps = list(self.latency_buckets), list(self.gap_buckets)
            times = self.gaps, self.gap_ns, self.start_ns, self.last_ns
        tables = [(<_Reading> readings[table]).figures(table == BY_PROCESS) for table in range(TABLES)]
        totals = row_figures(&sum_reading.rows[NONE], "", None)
        return tables, (totals, tuple(latencies), tuple(gaps), *times)

    # ---- rows ----

    cdef void add_rows(self, Buffers buffers, int rows) noexcept nogil:
        cdef int row = 0
        if self.begin(buffers) < 0:
            self.out_of_memory = True
            return
        while row < rows:
            row = self.add_chunk(buffers, row, min(row + CHUNK_ROWS, rows))
            self.make_room(buffers)
        self.name_processes(&buffers.dictionaries[IN_COMM])

    cdef int begin(self, Buffers buffers) noexcept nogil:
        """Get ready for the codes of a batch; -1 when memory is out."""
        cdef Dictionary *files = &buffers.dictionaries[IN_FILE]
        cdef Dictionary *syscalls = &buffers.dictionaries[IN_SYSCALL]
        cdef uint32_t code
        if files.count >= self.places_capacity:
            free(self.places)
            self.places_capacity = 2 * files.count + 1
            self.places = <Place *> malloc(self.places_capacity * sizeof(Place))
        if syscalls.count >= self.syscalls_capacity:
            free(self.syscalls)
            self.syscalls_capacity = 2 * syscalls.count + 1
            self.syscalls = <uint32_t *> malloc(self.syscalls_capacity * sizeof(uint32_t))
        if self.places == NULL or self.syscalls == NULL:
            self.places_capacity *= self.places != NULL
            self.syscalls_capacity *= self.syscalls != NULL
            return -1
        for code in range(syscalls.count):
            self.syscalls[code] = self.find_syscall(syscalls, code)
        self.forget_groups(files.count)
        return 0

    cdef void forget_groups(self, uint32_t files) noexcept nogil:
        """Look all groups of a batch's files and processes up again."""
        memset(self.places, 0xFF, (files + 1) * sizeof(Place))
        self.directory = NULL
        memset(self.processes, 0xFF, sizeof(self.processes))

    cdef void make_room(self, Buffers buffers) noexcept nogil:
        cdef int table
        for table in range(BY_FILE, TABLES):
            if not has_room(&self.tables[table]):
                if table == BY_PROCESS:
                    self.name_processes(&buffers.dictionaries[IN_COMM])
                if compact(&self.tables[table]) < 0:
                    self.out_of_memory = True
                self.forget_groups(buffers.dictionaries[IN_FILE].count)

    cdef int add_chunk(self, Buffers buffers, int row, int end) noexcept nogil:
        """Count rows up to `end`; the first one that was not, as a table has to be compacted before."""
        cdef const Pointers *at = &buffers.at
        cdef uint32_t syscall
        cdef int process, failed = 0
        cdef Place place
        cdef Call call
        while row < end:
            place.file = place.directory = NONE
            if bit(at.has_file, row):
                place = self.places[at.file[row]]
                if place.file == UNKNOWN:
                    place = self.find_place(&buffers.dictionaries[IN_FILE], at.file[row])
                    if place.file == UNKNOWN:
                        break
            process = self.find_process(at.pid[row])
            if process < 0:
                break
            self.note_name(process, at.comm[row] << 1 | (at.tid[row] == at.pid[row]))
            syscall = self.syscalls[at.syscall[row]]
            read_call(at, row, syscall, &call)
            failed |= add_call(&self.tables[BY_SYSCALL], syscall >> 2, &call)
            failed |= add_call(&self.tables[BY_FILE], place.file, &call)
            failed |= add_call(&self.tables[BY_DIRECTORY], place.directory, &call)
            failed |= add_call(&self.tables[BY_PROCESS], process, &call)
            self.latency_buckets[bucket_of(call.latency_ns)] += call.timed
            if bit(at.has_gap_ns, row):
                self.add_gap(not_negative(at.gap_ns[row]))
            self.add_time(at.time_ns[row], call.latency_ns)
            row += 1
        if failed:
            self.out_of_memory = True
        return row

    cdef inline void add_gap(self, uint64_t gap) noexcept nogil:
        self.gaps += 1
        self.gap_ns += gap
        self.gap_buckets[bucket_of(gap)] += 1

    cdef inline void add_time(self, int64_t begin_ns, uint64_t latency) noexcept nogil:
        cdef int64_t end_ns = <int64_t> (<uint64_t> begin_ns + latency)
        if begin_ns >= 0 and (self.start_ns < 0 or (begin_ns < self.start_ns and not self.was_reset)):
            self.start_ns = begin_ns  # calls come in the order of their ends
        if end_ns > self.last_ns:
            self.last_ns = end_ns

    # ---- groups ----

    cdef uint32_t find_syscall(self, const Dictionary *texts, uint32_t code) noexcept nogil:
        """The group of a syscall, and its class in the two lowest bits."""
        cdef const char *text = texts.data + texts.offsets[code]
        cdef uint32_t size = texts.offsets[code + 1] - texts.offsets[code]
        cdef int known = find_key(&self.classes, text, size, texts.hashes[code])
        cdef int group = self.group(BY_SYSCALL, text, size, texts.hashes[code])
        if group < 0:  # names beyond all that syscalls have: this table is never compacted
            group = OTHER
        return <uint32_t> group << 2 | (self.class_of[known] if known >= 0 else 0)

    cdef int group(self, int table, const char *text, uint32_t size, uint64_t hash) noexcept nogil:
        """The group of a key; -1 before a compaction."""
        cdef int group = group_of(&self.tables[table], text, size, hash)
        if group == -2:
            self.out_of_memory = True
            return OTHER
        return group

    cdef Place find_place(self, const Dictionary *texts, int32_t code) noexcept nogil:
        """The groups of a file; UNKNOWN before a compaction."""
        cdef const char *text
        cdef uint32_t size
        cdef int file, directory
        cdef Place place
        text = texts.data + texts.offsets[code]
        size = texts.offsets[code + 1] - texts.offsets[code]
        file = self.group(BY_FILE, text, size, texts.hashes[code])
        directory = self.find_directory(text, parent_size(text, size))
        if file < 0 or directory < 0:
            place.file = UNKNOWN
            return place
        place.file = <uint16_t> file
        place.directory = <uint16_t> directory
        self.places[code] = place
        return place

    cdef int find_directory(self, const char *text, uint32_t size) noexcept nogil:
        """The group of the directory text[:size], which is often the one of the file before."""
        if size == 0:
            return NONE
        if self.directory == NULL or size != self.directory_size or memcmp(text, self.directory, size) != 0:
            self.directory_group = self.group(BY_DIRECTORY, text, size, hash_bytes(text, size))
            self.directory = text
            self.directory_size = size
        return self.directory_group

    cdef inline int find_process(self, int32_t pid) noexcept nogil:
        """The group of a process; -1 before a compaction."""
        cdef uint32_t slot = <uint32_t> pid & (KNOWN_PIDS - 1)
        if self.pids[slot] != pid or self.processes[slot] < 0:
            self.processes[slot] = self.group(BY_PROCESS, NULL, 0, hash_number(<uint32_t> pid))
            self.pids[slot] = pid
        return self.processes[slot]

    cdef inline void note_name(self, int process, int32_t name) noexcept nogil:
        """Remember what a process is called: the code of a thread's name twice, and one more if it is the first thread.

        That one names the process as soon as it has made a call; until then any thread does.
        """
        if self.comms[process] == name or process == OTHER:
            return
        if not name & 1 and self.tables[BY_PROCESS].keys[process].mark:
            return
        if self.comms[process] < 0:
            self.named[self.named_count] = <uint16_t> process
            self.named_count += 1
        self.comms[process] = name
        self.tables[BY_PROCESS].keys[process].mark = name & 1

    cdef void name_processes(self, const Dictionary *texts) noexcept nogil:
        """Write down the names that were noted."""
        cdef uint32_t i, code
        for i in range(self.named_count):
            code = <uint32_t> self.comms[self.named[i]] >> 1
            self.comms[self.named[i]] = -1
            if code < texts.count:
                rename_group(&self.tables[BY_PROCESS], self.named[i], texts.data + texts.offsets[code],
                             texts.offsets[code + 1] - texts.offsets[code])
        self.named_count = 0
