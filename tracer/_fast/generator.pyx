"""Writing streams of records that no kernel made: seeded, so that they can be made again."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from tracer._fast.events cimport (
    TRACER_COMM,
    TRACER_COMM_BYTES,
    TRACER_EFFECT_CLOSE,
    TRACER_EFFECT_DUP2,
    TRACER_EFFECT_NEW_FD,
    TRACER_EFFECT_OPEN,
    TRACER_ENTER,
    TRACER_EXIT,
    TRACER_HAS_NAME,
    TRACER_HAS_PATHS,
    TRACER_MAX_ARGS,
    TRACER_NAME,
    TRACER_NAME_CLOEXEC,
    TRACER_NAME_CLOEXEC_KNOWN,
    TRACER_NAME_COMPONENTS,
    TRACER_PATH_OK,
    event_header,
    exit_body,
    name_body,
    name_section,
    path_section,
)

cdef enum:
    FIRST_PID = 1000
    FIRST_TID = 2000
    FIRST_FD = 64
    FDS = 100  # descriptors of a thread, used in turn
    PREFIX_BYTES = 16
    MOST_THREADS = 10_000  # with a twentieth more, descriptors would reach 2^20, where none is tracked
    MOST_WEIGHT = 1 << 16
    PAIR_BYTES = 512  # above what a pair can take: a name (104), an enter (192) and an exit (104)
    DEVICE = 8 << 20 | 1  # sda1

cdef int64_t START_NS = 1_000_000_000

MIN_BLOCK_BYTES = PAIR_BYTES
"""The smallest block that `Generator.fill` takes."""

MAX_THREADS = MOST_THREADS
"""The most threads that a stream can have."""


cdef struct Prefix:
    uint8_t size
    char text[PREFIX_BYTES]


# What a descriptor is called: /tmp/<prefix>-<tid>-<number>. No prefix: the reader of the stream has not been told.
cdef struct Label:
    const Prefix *prefix
    uint64_t number


cdef struct Shape:
    uint32_t number
    uint8_t nargs
    int8_t fd_arg
    uint8_t effect
    uint8_t paths
    int64_t ret
    uint64_t args[6]
    Prefix prefixes[2]


cdef inline uint64_t splitmix64(uint64_t *state) noexcept nogil:
    """The next number of Vigna's splitmix64: a counter in steps of the golden ratio, its bits mixed."""
    cdef uint64_t mixed
    state[0] += 0x9E3779B97F4A7C15u
    mixed = state[0]
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu
    return mixed ^ (mixed >> 31)


cdef inline char *put_number(char *at, uint64_t number) noexcept nogil:
    """Writes a number in decimal; where it ends."""
    cdef char digits[20]
    cdef int first = 20
    while True:
        first -= 1
        digits[first] = <char> (48 + number % 10)
        number //= 10
        if number == 0:
            break
    memcpy(at, &digits[first], 20 - first)
    return at + 20 - first


cdef inline char *end_record(char *start, char *end) noexcept nogil:
    """Notes the size in the header and pads with zeros; where the next record begins."""
    cdef size_t size = end - start
    cdef size_t padding = (8 - size % 8) % 8
    (<event_header *> start).size = <unsigned short> size
    memset(end, 0, padding)
    return end + padding


cdef void set_prefix(Prefix *prefix, bytes text) except *:
    if not 0 < len(text) <= PREFIX_BYTES:
        raise ValueError(f"a prefix has 1 to {PREFIX_BYTES} bytes")
    prefix.size = <uint8_t> len(text)
    memcpy(prefix.text, <const char *> text, len(text))


cdef class Generator:
    """A stream of `pairs` calls, an enter and its exit each, in blocks.

    Thread i is the only one of its process, pid `first_pid` + i and tid `first_tid` + i; threads take turns. The n-th
    call of a thread works on descriptor 64 + i * 100 + n % 100. `calls` is what can be called: for each its weight, its
    number, its arguments, the index of its descriptor argument (or -1), its `tracer_effect`, the number of its path
    arguments, what it returns unless that is a descriptor, and the prefixes of its paths (if it has none, of the
    descriptor that it returns).

    Paths are `/tmp/<prefix>-<tid>-<n>`; with `distinct_paths` they are `/tmp/shared-<number>`, so many of them in all.
    Without `names` the stream has no names of descriptors. The same arguments give the same bytes, however large the
    blocks are. Memory: 1.6 kB a thread.

    Raises ValueError if an argument is out of range.
    """

    cdef Shape *shapes
    cdef uint8_t *picks
    cdef Label *labels
    cdef Prefix unopened
    cdef Prefix shared
    cdef uint64_t random
    cdef uint64_t weight
    cdef uint64_t pairs
    cdef readonly uint64_t pair
    cdef uint64_t turn
    cdef uint64_t distinct_paths
    cdef int64_t time_ns
    cdef uint32_t threads
    cdef uint32_t thread
    cdef uint32_t comms
    cdef uint32_t first_pid
    cdef uint32_t first_tid
    cdef bint names

    def __cinit__(self, calls, pairs, threads, seed, *, distinct_paths=None, bint names=True, first_pid=FIRST_PID,
                  first_tid=FIRST_TID):
        if not 0 <= pairs < 1 << 63:
            raise ValueError(f"pairs: 0 or more are meant, not {pairs}")
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads: 1 to {MAX_THREADS} are meant, not {threads}")
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed: 0 to 2^64 - 1 is meant, not {seed}")
        if distinct_paths is not None and not 1 <= distinct_paths < 1 << 63:
            raise ValueError(f"distinct_paths: 1 or more are meant, not {distinct_paths}")
        for first in (first_pid, first_tid):
            if not 0 < first < (1 << 31) - MOST_THREADS:
                raise ValueError(f"first_pid, first_tid: a process's number is meant, not {first}")
        self.pairs = pairs
        self.threads = threads
        self.first_pid = first_pid
        self.first_tid = first_tid
        self.random = seed
        self.distinct_paths = distinct_paths or 0
        self.names = names
        self.time_ns = START_NS
        set_prefix(&self.unopened, b"file")
        set_prefix(&self.shared, b"shared")
        self.labels = <Label *> calloc(<size_t> self.threads * FDS, sizeof(Label))
        if self.labels == NULL:
            raise MemoryError
        self.set_calls(list(calls))

    def __dealloc__(self):
        free(self.shapes)
        free(self.picks)
        free(self.labels)

    cdef int set_calls(self, list calls) except -1:
        cdef list weights = [call[0] for call in calls]
        cdef size_t at = 0
        if not 1 <= len(calls) <= 256 or min(weights) < 1 or sum(weights) > MOST_WEIGHT:
            raise ValueError(f"calls: 1 to 256 are meant, with weights of 1 and more, {MOST_WEIGHT} in all at most")
        self.weight = sum(weights)
        self.shapes = <Shape *> calloc(len(calls), sizeof(Shape))
        self.picks = <uint8_t *> calloc(self.weight, 1)
        if self.shapes == NULL or self.picks == NULL:
            raise MemoryError
        for index, call in enumerate(calls):
            self.set_shape(&self.shapes[index], call)
            memset(self.picks + at, index, <size_t> call[0])
            at += <size_t> call[0]
        return 0

    cdef int set_shape(self, Shape *shape, call) except -1:
        _, number, args, fd_arg, effect, paths, ret, prefixes = call
        if len(args) > TRACER_MAX_ARGS or not -1 <= fd_arg < len(args):
            raise ValueError(f"at most {TRACER_MAX_ARGS} arguments are meant, the descriptor among them")
        if not 0 <= paths <= 2 or not paths <= len(prefixes) <= 2:
            raise ValueError("at most two paths are meant, with a prefix each")
        if effect in (TRACER_EFFECT_OPEN, TRACER_EFFECT_NEW_FD) and not prefixes:
            raise ValueError("a call that opens a file needs a prefix for its name")
        if effect == TRACER_EFFECT_DUP2 and (fd_arg != 0 or len(args) < 2):
            raise ValueError("a call that copies a descriptor has the old and the new one as its first arguments")
        if not 0 <= number < 1 << 16:
            raise ValueError(f"{number} is no syscall's number")
        shape.number = number
        shape.nargs = <uint8_t> len(args)
        shape.fd_arg = <int8_t> fd_arg
        shape.effect = <uint8_t> effect
        shape.paths = <uint8_t> paths
        shape.ret = ret
        for index, argument in enumerate(args):
            shape.args[index] = argument & 0xFFFF_FFFF_FFFF_FFFF
        for index, prefix in enumerate(prefixes):
            set_prefix(&shape.prefixes[index], prefix)
        return 0

    def fill(self, unsigned char[::1] block not None, *, pairs=None) -> int:
        """Write whole records, each padded to 8 bytes, from the block's start on; the bytes used, 0 at the end.

        `pairs` is how many calls are written at most. Raises ValueError if the block is below `MIN_BLOCK_BYTES` or not
        aligned to 8 bytes.
        """
        cdef Py_ssize_t size = block.shape[0]
        cdef uint64_t stop = self.pairs
        cdef char *start
        cdef char *end
        if pairs is not None:
            if pairs < 0:
                raise ValueError(f"pairs: 0 or more are meant, not {pairs}")
            stop = min(self.pairs, self.pair + pairs)
        if size < PAIR_BYTES:
            raise ValueError(f"a block has {PAIR_BYTES} bytes or more, not {size}")
        start = <char *> &block[0]
        if <size_t> start % 8:
            raise ValueError("the block is not aligned to 8 bytes")
        with nogil:
            end = self.put_records(start, start + size - PAIR_BYTES, stop)
        return end - start

    cdef char *put_records(self, char *at, const char *last, uint64_t stop) noexcept nogil:
        """Writes records as long as the next begins at `last` or before, up to call `stop`; where they end."""
        while at <= last and self.comms < self.threads:
            at = self.put_comm(at)
        while at <= last and self.pair < stop:
            at = self.put_pair(at)
        return at

    cdef char *put_comm(self, char *at) noexcept nogil:
        cdef char *comm
        self.thread = self.comms
        comm = self.begin_record(at, TRACER_COMM, 0, 0)
        memset(comm, 0, TRACER_COMM_BYTES)
        memcpy(comm, b"worker-", 7)
        put_number(comm + 7, self.thread)
        self.comms += 1
        self.thread = 0
        return end_record(at, comm + TRACER_COMM_BYTES)

    cdef char *put_pair(self, char *at) noexcept nogil:
        cdef uint64_t chance = splitmix64(&self.random)
        cdef const Shape *shape = &self.shapes[self.picks[((chance & 0xFFFF_FFFFu) * self.weight) >> 32]]
        self.time_ns += 100 + (chance >> 48 & 0x3FF)
        if shape.fd_arg >= 0:
            at = self.put_name(at)
        at = self.put_enter(at, shape)
        self.time_ns += 200 + (chance >> 32 & 0xFFF)
        at = self.put_exit(at, shape)
        self.pair += 1
        self.thread += 1
        if self.thread == self.threads:
            self.thread = 0
            self.turn += 1
        return at

    cdef inline char *begin_record(self, char *at, int kind, uint32_t number, int flags) noexcept nogil:
        """Writes the header; where the body begins."""
        cdef event_header *header = <event_header *> at
        header.time_ns = <uint64_t> self.time_ns
        header.tgid = self.first_pid + self.thread
        header.tid = self.first_tid + self.thread
        header.type = <uint8_t> kind
        header.flags = <uint8_t> flags
        header.syscall = <unsigned short> number
        header.reserved = 0
        return at + sizeof(event_header)

    cdef inline int32_t fd_of(self, uint64_t slot) noexcept nogil:
        return <int32_t> (FIRST_FD + self.thread * FDS + slot % FDS)

    cdef inline Label *label_of(self, uint64_t slot) noexcept nogil:
        return &self.labels[self.thread * FDS + slot % FDS]

    cdef inline uint64_t path_number(self, int which) noexcept nogil:
        """The number of the call's first (0) or second (1) path."""
        return (self.pair + which) % self.distinct_paths if self.distinct_paths else self.turn

    cdef inline char *put_leaf(self, char *at, const Prefix *prefix, uint64_t number) noexcept nogil:
        if self.distinct_paths:
            prefix = &self.shared
        memcpy(at, prefix.text, prefix.size)
        at += prefix.size
        if not self.distinct_paths:
            at[0] = b"-"
            at = put_number(at + 1, self.first_tid + self.thread)
        at[0] = b"-"
        return put_number(at + 1, number)

    cdef char *put_name_section(self, char *at, const Label *label) noexcept nogil:
        cdef name_section *section = <name_section *> at
        cdef char *text = at + sizeof(name_section)
        cdef char *end = self.put_leaf(text, label.prefix, label.number)
        memcpy(end, b"\0tmp", 5)  # both components' NULs included
        section.inode = label.number + 1
        section.device = DEVICE
        section.len = <unsigned short> (end + 5 - text)
        section.kind = TRACER_NAME_COMPONENTS
        section.status = TRACER_NAME_CLOEXEC_KNOWN | TRACER_NAME_CLOEXEC
        return end + 5

    cdef char *put_name(self, char *at) noexcept nogil:
        """Tells the name of the descriptor that the call works on, unless it has been told."""
        cdef Label *label = self.label_of(self.turn)
        cdef name_body *body
        if label.prefix != NULL:
            return at
        label.prefix = &self.unopened
        label.number = self.path_number(0)
        if not self.names:
            return at
        body = <name_body *> self.begin_record(at, TRACER_NAME, 0, TRACER_HAS_NAME)
        body.fd = self.fd_of(self.turn)
        body.reserved = 0
        return end_record(at, self.put_name_section(<char *> (body + 1), label))

    cdef char *put_enter(self, char *at, const Shape *shape) noexcept nogil:
        cdef int flags = shape.nargs | (TRACER_HAS_PATHS if shape.paths else 0)
        cdef char *end = self.begin_record(at, TRACER_ENTER, shape.number, flags)
        cdef uint64_t *args = <uint64_t *> end
        memcpy(args, shape.args, shape.nargs * sizeof(uint64_t))
        if shape.fd_arg >= 0:
            args[shape.fd_arg] = self.fd_of(self.turn)
        if shape.effect == TRACER_EFFECT_DUP2:
            args[1] = self.fd_of(self.turn + 1)
        end += shape.nargs * sizeof(uint64_t)
        if shape.paths:
            end = self.put_paths(end, shape)
        return end_record(at, end)

    cdef char *put_paths(self, char *at, const Shape *shape) noexcept nogil:
        cdef path_section *section = <path_section *> at
        cdef char *text = at + sizeof(path_section)
        cdef char *end
        memset(section, 0, sizeof(path_section))
        memcpy(text, b"/tmp/", 5)
        end = self.put_leaf(text + 5, &shape.prefixes[0], self.path_number(0))
        section.len1 = <unsigned short> (end - text)
        section.status1 = TRACER_PATH_OK
        if shape.paths == 2:
            text = end
            memcpy(text, b"/tmp/", 5)
            end = self.put_leaf(text + 5, &shape.prefixes[1], self.path_number(1))
            section.len2 = <unsigned short> (end - text)
            section.status2 = TRACER_PATH_OK
        return end

    cdef char *put_exit(self, char *at, const Shape *shape) noexcept nogil:
        cdef Label *label = self.bind(shape)
        cdef bint named = label != NULL and self.names
        cdef char *end = self.begin_record(at, TRACER_EXIT, shape.number, TRACER_HAS_NAME if named else 0)
        cdef exit_body *body = <exit_body *> end
        body.ret = shape.ret
        if label != NULL:
            body.ret = self.fd_of(self.turn + (shape.effect == TRACER_EFFECT_DUP2))
        end += sizeof(exit_body)
        if named:
            end = self.put_name_section(end, label)
        return end_record(at, end)

    cdef Label *bind(self, const Shape *shape) noexcept nogil:
        """Does what the call does to descriptors' names; the name of the one it returns, or NULL."""
        cdef Label *label = self.label_of(self.turn)
        cdef Label *copy
        if shape.effect == TRACER_EFFECT_CLOSE:
            label.prefix = NULL
            return NULL
        if shape.effect == TRACER_EFFECT_DUP2:
            copy = self.label_of(self.turn + 1)
            copy[0] = label[0]
            return copy
        if shape.effect == TRACER_EFFECT_OPEN or shape.effect == TRACER_EFFECT_NEW_FD:
            label.prefix = &shape.prefixes[0]
            label.number = self.path_number(0)
            return label
        return NULL
