"""A bounded tree of frames that rows add their weight to: the data of a flame graph."""

cimport cython
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

from tracer._fast.batch cimport Buffers, Columns, IN_COMM, IN_FILE, IN_SYSCALL, Pointers, bit
from tracer._fast.dictionary cimport Dictionary

from typing import NamedTuple

cdef extern from "string.h" nogil:
    """
    #ifndef _GNU_SOURCE
    void *memrchr(const void *, int, size_t);
    #endif
    """
    const void *memrchr(const void *, int, size_t)

cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil


cdef enum:
    BY_COMM
    BY_PID
    BY_PATH
    BY_SYSCALL

cdef enum:
    COUNT
    LATENCY
    BYTES

cdef enum:
    STOP = 0x80000000  # with a node: the way ended there early; weight that got so far is folded
    MOST_NODES = 1 << 16  # an index and as many bits of a hash share 32 bits in the tables
    MOST_DIRECTORIES = 127  # of a path, so that nobody has to walk a deeper tree
    SPARE_NODES = 64  # kept free for the new frames of a row
    KEPT = 8  # folding keeps one node in so many
    LIGHT_BITS = 10  # of what has been added since the last time, a 2^10th is not worth a frame
    HEAVIEST = 8  # children that are shown when all are light
    STEP_BITS = 9
    STEPS = 1 << STEP_BITS
    DIRECTORY_BITS = 8
    DIRECTORIES = 1 << DIRECTORY_BITS

cdef uint64_t GOLDEN = 0x9E3779B97F4A7C15

LEVELS = ("comm", "pid", "path", "syscall")
METRICS = ("count", "latency", "bytes")
OTHER = "[other]"

Frame = NamedTuple("Frame", [("name", str), ("value", int), ("children", tuple)])


cdef inline uint32_t hash_name(const char *name, uint32_t size) noexcept nogil:
    cdef uint64_t hashed = size * GOLDEN
    cdef uint64_t word = 0
    cdef uint32_t low, high
    if size >= 8:
        while size > 8:
            memcpy(&word, name, 8)
            hashed = (hashed ^ word) * GOLDEN
            hashed ^= hashed >> 29
            name += 8
            size -= 8
        name -= 8 - size  # the last eight bytes, some of them for the second time
        memcpy(&word, name, 8)
    elif size >= 4:
        memcpy(&low, name, 4)
        memcpy(&high, name + size - 4, 4)
        word = low | <uint64_t> high << 32
    elif size:
        word = <uint8_t> name[0] | <uint64_t> <uint8_t> name[size >> 1] << 8 | <uint64_t> <uint8_t> name[size - 1] << 16
    hashed = (hashed ^ word) * GOLDEN
    return <uint32_t> (hashed >> 32)


cdef inline uint64_t spread(uint32_t node, uint32_t value) noexcept nogil:
    """A key whose upper bits depend on all of both."""
    return (<uint64_t> node << 32 | value) * GOLDEN


cdef inline int bits_of(uint64_t weight) noexcept nogil:
    """Bits of a weight, 0 to 64."""
    return 64 - leading_zeros(weight) if weight else 0


cdef int set_way(Way *way, tuple order) except -1:
    for level in order:
        way.levels[way.count] = LEVELS.index(level)
        way.count += 1
    return 0


cdef inline uint64_t weight_of(const Pointers *at, int row, int weighed) noexcept nogil:
    cdef int64_t weight = 0
    if weighed == COUNT:
        weight = 1
    elif weighed == LATENCY:
        if bit(at.has_latency_ns, row):
            weight = at.latency_ns[row]
    elif bit(at.has_bytes, row):
        weight = at.bytes[row]
    return <uint64_t> weight if weight > 0 else 0


@cython.final
cdef class Trie:
    """A tree of frames with the weights of the rows below them.

    `order` is what frames are made of, from the root on: some of "comm", "pid", "path" (a frame for each component)
    and "syscall", each once. `metric` is what a row weighs: "count" 1, "latency" its nanoseconds, "bytes" the bytes it
    moved; rows that weigh nothing are left out, and so are frames without a name.

    Rows are added to `stacks` first, which are told apart by what the columns hold, without being taken to frames.
    When those are full they go into the tree; once the tree has been full, only the heaviest of them do, the others are
    folded into the directories of their files.
    """

    def __cinit__(self, order, str metric not None, *, uint32_t max_nodes=MOST_NODES,
                  uint32_t max_name_bytes=4 << 20):
        order = tuple(order)
        if not order or len(set(order)) < len(order) or not set(order) <= set(LEVELS):
            raise ValueError(f"order: some of {', '.join(LEVELS)} are meant, each once, not {order!r}")
        if metric not in METRICS:
            raise ValueError(f"metric: one of {', '.join(METRICS)} is meant, not {metric!r}")
        if not 256 <= max_nodes <= MOST_NODES or not 1 << 16 <= max_name_bytes <= 1 << 30:
            raise ValueError("a limit is out of range")
        self.order = order
        self.metric = metric
        self.max_nodes = max_nodes
        self.max_name_bytes = max_name_bytes
        self.max_stacks = max_nodes // 8
        self.max_path_bytes = max_name_bytes // 4
        self.weighed = METRICS.index(metric)
        path = order.index("path") if "path" in order else len(order)
        set_way(&self.before, order[:path])
        set_way(&self.after, order[path + 1:])
        self.by_path = path < len(order)
        self.uses_comm = -1 if "comm" in order else 0
        self.uses_pid = -1 if "pid" in order else 0
        self.uses_syscall = -1 if "syscall" in order else 0
        self.allocate()
        self.clear()

    cdef int allocate(self) except -1:
        """All the memory there will be; the kernel gives it when it is first touched."""
        self.table_bits = 9
        while <uint32_t> 1 << self.table_bits < self.max_nodes * 2:
            self.table_bits += 1
        self.stack_mask = (1 << (self.table_bits - 2)) - 1
        self.nodes = <Node *> malloc(self.max_nodes * sizeof(Node))
        self.names = <char *> malloc(self.max_name_bytes)
        self.table = <uint32_t *> calloc(<size_t> 1 << self.table_bits, sizeof(uint32_t))
        self.stacks = <Stack *> malloc(self.max_stacks * sizeof(Stack))
        self.stack_table = <uint32_t *> calloc(<size_t> self.stack_mask + 1, sizeof(uint32_t))
        self.stack_paths = <char *> malloc(self.max_path_bytes)
        self.directories = <Directory *> calloc(DIRECTORIES, sizeof(Directory))
        self.steps = <Step *> calloc(STEPS, sizeof(Step))
        self.totals = <uint64_t *> malloc(self.max_nodes * sizeof(uint64_t))
        self.moved = <uint32_t *> malloc(self.max_nodes * sizeof(uint32_t))
        self.shown = <uint8_t *> malloc(self.max_nodes * 2)
        if self.nodes == NULL or self.names == NULL or self.table == NULL or self.stacks == NULL \
                or self.stack_table == NULL or self.stack_paths == NULL or self.directories == NULL \
                or self.steps == NULL or self.totals == NULL or self.moved == NULL or self.shown == NULL:
            raise MemoryError
        return 0

    def __dealloc__(self):
        free(self.nodes)
        free(self.names)
        free(self.table)
        free(self.stacks)
        free(self.stack_table)
        free(self.stack_paths)
        free(self.directories)
        free(self.steps)
        free(self.totals)
        free(self.moved)
        free(self.shown)

    @property
    def memory_bytes(self) -> int:
        """The most memory that it takes; it is allotted once and never grows."""
        return (self.max_nodes * (sizeof(Node) + sizeof(uint64_t) + sizeof(uint32_t) + 2) + self.max_name_bytes
                + self.max_stacks * sizeof(Stack) + self.max_path_bytes
                + (sizeof(uint32_t) << self.table_bits) + (self.stack_mask + 1) * sizeof(uint32_t)
                + STEPS * sizeof(Step) + DIRECTORIES * sizeof(Directory))

    def reset(self) -> None:
        """Forget all rows."""
        with self.lock:
            self.clear()

    cdef void clear(self) noexcept nogil:
        memset(&self.nodes[0], 0, sizeof(Node))
        memset(self.table, 0, sizeof(uint32_t) << self.table_bits)
        self.count = 1
        self.root_of_rests = self.new_node(0, 0, self.names, 0)
        self.full = False
        self.compactions = 0
        self.version += 1
        self.drop_stacks()
        self.forget()

    cdef void forget(self) noexcept nogil:
        """Let nothing hold any more that was remembered of texts or nodes."""
        self.serial += 1
        if self.serial == 0:
            memset(self.steps, 0, STEPS * sizeof(Step))
            memset(self.directories, 0, DIRECTORIES * sizeof(Directory))
            self.serial = 1

    # ---- rows to stacks ----

    def consume(self, Columns columns not None) -> None:
        """Add the rows of a batch. Raises ValueError if it has been released."""
        cdef Buffers held = columns.held()
        with nogil, self.lock:
            self.dictionaries = held.dictionaries
            self.forget()
            self.add_rows(&held.at, columns.rows)
            self.version += 1

    cdef void add_rows(self, const Pointers *at, int rows) noexcept nogil:
        cdef const Dictionary *files = &self.dictionaries[IN_FILE]
        cdef uint64_t weight, hashed
        cdef uint32_t start, size
        cdef const Step *step
        cdef int row = 0
        while row < rows:
            weight = weight_of(at, row, self.weighed)
            if weight:
                step = self.step(at.comm[row] & self.uses_comm, at.pid[row] & self.uses_pid,
                                 at.syscall[row] & self.uses_syscall)
                start = size = 0
                hashed = 0
                if self.by_path and bit(at.has_file, row) and <uint32_t> at.file[row] < files.count:
                    start = files.offsets[at.file[row]]
                    size = files.offsets[at.file[row] + 1] - start
                    hashed = files.hashes[at.file[row]]
                if self.add(step, files.data + start, size, hashed, weight) < 0:
                    self.settle(self.compactions > 0)
                    continue
            row += 1

    cdef inline const Step *step(self, int32_t comm, int32_t pid, int32_t syscall) noexcept nogil:
        """What these values come to, 0 standing for those that frames are not made of."""
        cdef uint64_t key = <uint64_t> <uint32_t> comm << 32 ^ <uint64_t> <uint32_t> syscall << 20 ^ <uint32_t> pid
        cdef Step *step = &self.steps[key * GOLDEN >> (64 - STEP_BITS)]
        if step.serial != self.serial or step.comm != comm or step.pid != pid or step.syscall != syscall:
            self.make_step(step, comm, pid, syscall)
        return step

    cdef void make_step(self, Step *step, int32_t comm, int32_t pid, int32_t syscall) noexcept nogil:
        if self.full or self.count + SPARE_NODES > self.max_nodes:
            self.settle(self.compactions > 0)
        step.comm = comm
        step.pid = pid
        step.syscall = syscall
        step.node = self.go(&self.before, 0, step)
        step.rest = self.go(&self.after, self.root_of_rests, step)
        step.serial = self.serial

    cdef uint32_t go(self, const Way *way, uint32_t node, const Step *step) noexcept nogil:
        """The node that the values lead to, level by level."""
        cdef int i
        for i in range(way.count):
            if way.levels[i] == BY_COMM:
                node = self.named_child(node, &self.dictionaries[IN_COMM], step.comm)
            elif way.levels[i] == BY_SYSCALL:
                node = self.named_child(node, &self.dictionaries[IN_SYSCALL], step.syscall)
            else:
                node = self.numbered_child(node, step.pid)
            if node & STOP:
                break
        return node

    cdef inline int add(self, const Step *step, const char *path, uint32_t size, uint64_t hashed,
                        uint64_t weight) noexcept nogil:
        """Add weight to a stack; -1 if it is a new one and the stacks are full."""
        cdef uint64_t key = (hashed ^ (<uint64_t> step.rest << 32 | step.node) * GOLDEN) * GOLDEN
        cdef uint32_t tag = <uint32_t> (key >> 16) >> 16
        cdef uint32_t mask = self.stack_mask
        cdef uint32_t slot = <uint32_t> (key >> 32) & mask
        cdef uint32_t entry
        cdef Stack *stack
        while True:
            entry = self.stack_table[slot]
            if entry == 0:
                return self.new_stack(slot, tag, step, path, size, weight)
            if entry >> 16 == tag:
                stack = &self.stacks[entry & 0xFFFF]
                if stack.node == step.node and stack.rest == step.rest and stack.size == size and \
                        (size == 0 or memcmp(self.stack_paths + stack.path, path, size) == 0):
                    stack.weight += weight
                    return 0
            slot = (slot + 1) & mask

    cdef inline int new_stack(self, uint32_t slot, uint32_t tag, const Step *step, const char *path, uint32_t size,
                              uint64_t weight) noexcept nogil:
        cdef Stack *stack = &self.stacks[self.stack_count]
        if (step.node | step.rest) & STOP or size > self.max_path_bytes // 8:
            self.add_to_tree(step.node, step.rest, path, size, weight)
            return 0
        if self.stack_count == self.max_stacks or size > self.max_path_bytes - self.path_bytes:
            return -1
        stack.weight = weight
        stack.node = step.node
        stack.rest = step.rest
        stack.path = self.path_bytes
        stack.size = size
        memcpy(self.stack_paths + self.path_bytes, path, size)
        self.stack_table[slot] = tag << 16 | self.stack_count
        self.path_bytes += size
        self.stack_count += 1
        return 0

    cdef void drop_stacks(self) noexcept nogil:
        memset(self.stack_table, 0, (<size_t> self.stack_mask + 1) * sizeof(uint32_t))
        self.stack_count = 1  # number 0 would look like an empty place in the table
        self.path_bytes = 0

    # ---- stacks to the tree ----

    cdef void settle(self, bint fold) noexcept nogil:
        """Empty the stacks into the tree, which has room for as many again then.

        `fold`: what weighs less than a thousandth of them all goes no further than to the directory of its file.
        """
        cdef uint64_t total = 0
        cdef const Stack *stack
        cdef uint32_t i
        self.forget()
        for i in range(1, self.stack_count):
            total += self.stacks[i].weight
        for i in range(1, self.stack_count):
            stack = &self.stacks[i]
            if fold and stack.size and stack.weight < total >> LIGHT_BITS:
                self.add_to_directory(stack)
            else:
                self.add_to_tree(stack.node, stack.rest, self.stack_paths + stack.path, stack.size, stack.weight)
        self.drop_stacks()
        self.forget()
        if self.full or self.count > self.max_nodes // 2:
            self.compact()

    cdef inline void add_to_directory(self, const Stack *stack) noexcept nogil:
        cdef const char *path = self.stack_paths + stack.path
        cdef const char *slash = <const char *> memrchr(path, c"/", stack.size)
        cdef uint32_t node = stack.node
        if slash != NULL:
            node = self.directory(node, path, <uint32_t> (slash - path))
        self.nodes[node & ~<uint32_t> STOP].folded += stack.weight

    cdef void add_to_tree(self, uint32_t node, uint32_t rest, const char *path, uint32_t size,
                          uint64_t weight) noexcept nogil:
        if size and not node & STOP:
            node = self.walk(node, path, size)
        if not node & STOP:
            node = self.follow(node, rest)
        if node & STOP:
            self.nodes[node & ~<uint32_t> STOP].folded += weight
        else:
            self.nodes[node].own += weight

    cdef uint32_t follow(self, uint32_t node, uint32_t rest) noexcept nogil:
        """From a node along the names that lead from `root_of_rests` to a node below it."""
        cdef uint32_t way[4]
        cdef uint32_t start
        cdef int length = 0
        if rest & STOP:
            return node | STOP
        while rest != self.root_of_rests:
            way[length] = rest
            length += 1
            rest = self.nodes[rest].parent
        while length and not node & STOP:
            length -= 1
            start = self.nodes[way[length] - 1].name_end
            node = self.child(node, self.names + start, self.nodes[way[length]].name_end - start)
        return node

    cdef uint32_t walk(self, uint32_t node, const char *path, uint32_t size) noexcept nogil:
        """From a node along a path."""
        cdef const char *slash = <const char *> memrchr(path, c"/", size)
        if slash == NULL:
            return self.child(node, path, size)
        node = self.directory(node, path, <uint32_t> (slash - path))
        if node & STOP:
            return node
        return self.child(node, slash + 1, <uint32_t> (path + size - slash - 1))

    cdef inline uint32_t directory(self, uint32_t node, const char *path, uint32_t size) noexcept nogil:
        """From a node along a path of directories; once entered, they are remembered."""
        cdef Directory *directory
        cdef uint64_t tail = 0
        if size >= 8:
            memcpy(&tail, path + size - 8, 8)
        directory = &self.directories[((tail ^ <uint64_t> node << 40 ^ size) * GOLDEN) >> (64 - DIRECTORY_BITS)]
        if directory.serial != self.serial or directory.node != node or directory.size != size or \
                memcmp(directory.path, path, size) != 0:
            directory.to = self.enter(node, path, size)
            directory.serial = self.serial
            directory.node = node
            directory.size = size
            directory.path = path
        return directory.to

    cdef uint32_t enter(self, uint32_t node, const char *path, uint32_t size) noexcept nogil:
        cdef uint32_t start, end = 0
        cdef int depth = 0
        while end < size and not node & STOP:
            start = end
            while end < size and path[end] != c"/":
                end += 1
            if end > start:
                depth += 1
                node = self.child(node, path + start, end - start) if depth <= MOST_DIRECTORIES else node | STOP
            end += 1
        return node

    # ---- nodes ----

    cdef uint32_t named_child(self, uint32_t node, const Dictionary *names, int32_t code) noexcept nogil:
        if <uint32_t> code >= names.count:
            return node
        return self.child(node, names.data + names.offsets[code],
                          <uint32_t> (names.offsets[code + 1] - names.offsets[code]))

    cdef uint32_t numbered_child(self, uint32_t node, int32_t number) noexcept nogil:
        cdef char digits[12]
        cdef uint32_t left = <uint32_t> number if number >= 0 else 0 - <uint32_t> number
        cdef int at = 12
        while at == 12 or left:
            at -= 1
            digits[at] = <char> (48 + left % 10)
            left //= 10
        if number < 0:
            at -= 1
            digits[at] = c"-"
        return self.child(node, &digits[at], 12 - at)

    cdef inline uint32_t child(self, uint32_t parent, const char *name, uint32_t size) noexcept nogil:
        """The child of that name, made if there is none; the parent and `STOP` if there is no room for it."""
        cdef uint32_t hashed, first, entry
        cdef uint64_t key
        cdef size_t slot
        if size == 0:
            return parent
        hashed = hash_name(name, size)
        first = self.nodes[parent].first
        if first == 0:
            return self.new_node(parent, hashed, name, size)
        if self.nodes[first].hash == hashed and self.is_named(first, name, size):
            return first
        key = spread(parent, hashed)
        slot = key >> (64 - self.table_bits)
        while True:
            entry = self.table[slot]
            if entry == 0:
                return self.new_node(parent, hashed, name, size)
            if entry >> 16 == (<uint32_t> key >> 16) and self.nodes[entry & 0xFFFF].parent == parent and \
                    self.nodes[entry & 0xFFFF].hash == hashed and self.is_named(entry & 0xFFFF, name, size):
                return entry & 0xFFFF
            slot = (slot + 1) & ((<size_t> 1 << self.table_bits) - 1)

    cdef inline uint32_t name_start(self, uint32_t node) noexcept nogil:
        return self.nodes[node - 1].name_end

    cdef inline bint is_named(self, uint32_t node, const char *name, uint32_t size) noexcept nogil:
        cdef uint32_t start = self.name_start(node)
        return self.nodes[node].name_end - start == size and memcmp(self.names + start, name, size) == 0

    cdef inline uint32_t new_node(self, uint32_t parent, uint32_t hashed, const char *name,
                                  uint32_t size) noexcept nogil:
        cdef uint32_t node = self.count
        cdef uint32_t start = self.nodes[node - 1].name_end
        cdef Node *made
        if size > self.max_name_bytes // KEPT:
            return parent | STOP
        if node == self.max_nodes or size > self.max_name_bytes - start:
            self.full = True
            return parent | STOP
        made = &self.nodes[node]
        made.own = 0
        made.folded = 0
        made.parent = parent
        made.first = 0
        made.hash = hashed
        made.name_end = start + size
        memcpy(self.names + start, name, size)
        self.count += 1
        self.place(node)
        return node

    cdef inline void place(self, uint32_t node) noexcept nogil:
        """Make a node its parent's child."""
        cdef Node *placed = &self.nodes[node]
        cdef Node *parent = &self.nodes[placed.parent]
        cdef uint64_t key
        cdef size_t slot
        if parent.first == 0:
            parent.first = node
            return
        key = spread(placed.parent, placed.hash)
        slot = key >> (64 - self.table_bits)
        while self.table[slot]:
            slot = (slot + 1) & ((<size_t> 1 << self.table_bits) - 1)
        self.table[slot] = (<uint32_t> key >> 16) << 16 | node

    # ---- folding ----

    cdef void compact(self) noexcept nogil:
        """Fold the lightest subtrees into the nodes above them, until an eighth of nodes and names is left.

        A subtree's total is never below that of its parts, so what is light enough to go goes with all below it.
        """
        cdef uint64_t counts[65]
        cdef uint64_t sizes[65]
        cdef int64_t nodes = <int64_t> self.count - self.max_nodes // KEPT
        cdef int64_t size = <int64_t> self.nodes[self.count - 1].name_end - self.max_name_bytes // KEPT
        cdef int limit = 1  # what weighs nothing always goes
        self.sum_up(counts, sizes)
        nodes -= counts[0]
        size -= sizes[0]
        while limit < 64 and (nodes > <int64_t> counts[limit] or size > <int64_t> sizes[limit]):
            nodes -= counts[limit]
            size -= sizes[limit]
            limit += 1
        self.keep_heavy(limit, nodes, size)
        self.root_of_rests = self.new_node(0, 0, self.names, 0)
        self.forget()
        self.full = False
        self.compactions += 1

    cdef void sum_up(self, uint64_t *counts, uint64_t *sizes) noexcept nogil:
        """Every node's total; by its bits, how many nodes there are (but for the root) and how long their names are."""
        cdef uint32_t node
        cdef uint64_t total
        cdef int bits
        memset(counts, 0, 65 * sizeof(uint64_t))
        memset(sizes, 0, 65 * sizeof(uint64_t))
        memset(self.totals, 0, self.count * sizeof(uint64_t))
        for node in range(self.count - 1, 0, -1):
            total = self.totals[node] + self.nodes[node].own + self.nodes[node].folded
            self.totals[node] = total
            self.totals[self.nodes[node].parent] += total
            bits = bits_of(total)
            counts[bits] += 1
            sizes[bits] += self.nodes[node].name_end - self.nodes[node - 1].name_end
        self.totals[0] += self.nodes[0].own + self.nodes[0].folded

    cdef void keep_heavy(self, int limit, int64_t nodes, int64_t size) noexcept nogil:
        """Fold nodes of fewer than `limit` bits, and the oldest of just as many until `nodes` and `size` are reached.

        The others move together, in the same order.
        """
        cdef uint32_t node, parent, name_end, start = 0
        cdef uint32_t kept = 1
        cdef int bits
        memset(self.table, 0, sizeof(uint32_t) << self.table_bits)
        self.nodes[0].first = 0
        self.moved[0] = 0
        for node in range(1, self.count):
            name_end = self.nodes[node].name_end
            parent = self.moved[self.nodes[node].parent]
            bits = bits_of(self.totals[node])
            if parent & STOP or bits < limit or (bits == limit and (nodes > 0 or size > 0)):
                self.moved[node] = STOP
                if not parent & STOP:
                    self.nodes[parent].folded += self.totals[node]
                if bits == limit:
                    nodes -= 1
                    size -= name_end - start
            else:
                self.moved[node] = kept
                self.nodes[node].parent = parent
                memmove(self.names + self.nodes[kept - 1].name_end, self.names + start, name_end - start)
                self.nodes[kept] = self.nodes[node]
                self.nodes[kept].first = 0
                self.nodes[kept].name_end = self.nodes[kept - 1].name_end + (name_end - start)
                self.place(kept)
                kept += 1
            start = name_end
        self.count = kept

    # ---- snapshots ----

    def snapshot(self, double min_share=0.001) -> Frame:
        """The tree as it is, without what weighs less than `min_share` (0 to 1) of the whole.

        Where that would hide all children of the root, or of a child of it, the 8 heaviest stay. Without new rows it
        is the same object again.
        """
        if not 0 <= min_share <= 1:
            raise ValueError(f"min_share: 0 to 1 is meant, not {min_share}")
        with self.lock:
            if self.cached is None or self.cached_for != (self.version, min_share):
                self.settle(False)
                self.choose(min_share)
                self.cached = self.build()
                self.cached_for = (self.version, min_share)
            return self.cached

    cdef int choose(self, double min_share) except -1:
        """Mark in `shown` what a snapshot shows: nodes by index, then from `max_nodes` on what each has folded."""
        cdef uint64_t counts[65]
        cdef uint64_t sizes[65]
        cdef uint32_t node
        cdef double least
        with nogil:
            self.sum_up(counts, sizes)
            least = min_share * <double> self.totals[0]
            memset(self.shown, 0, self.max_nodes * 2)
            for node in range(self.count):
                self.shown[node] = node == 0 or (self.totals[node] > 0 and <double> self.totals[node] >= least)
                self.shown[self.max_nodes + node] = self.nodes[node].folded > 0 and \
                    <double> self.nodes[node].folded >= least
        self.show_heaviest(0)
        self.show_heaviest(1)
        return 0

    cdef inline uint64_t value(self, uint32_t item) noexcept nogil:
        return self.totals[item] if item < self.max_nodes else self.nodes[item - self.max_nodes].folded

    cdef int show_heaviest(self, uint32_t depth) except -1:
        """Mark the heaviest children of those shown nodes at that depth (0 or 1) whose children are all hidden."""
        cdef uint32_t *heaviest
        cdef uint32_t i
        cdef uint32_t needy = self.number_needy(depth)
        if needy == 0:
            return 0
        heaviest = <uint32_t *> calloc(<size_t> needy * HEAVIEST, sizeof(uint32_t))
        if heaviest == NULL:
            raise MemoryError
        for i in range(self.count):
            if self.totals[i] and i and self.moved[self.nodes[i].parent]:
                self.offer(heaviest + <size_t> (self.moved[self.nodes[i].parent] - 1) * HEAVIEST, i)
            if self.nodes[i].folded and self.moved[i]:
                self.offer(heaviest + <size_t> (self.moved[i] - 1) * HEAVIEST, self.max_nodes + i)
        for i in range(needy * HEAVIEST):
            self.shown[heaviest[i]] = 1  # 0 is a free place: the root is shown anyway
        free(heaviest)
        return 0

    cdef uint32_t number_needy(self, uint32_t depth) noexcept nogil:
        """Number those nodes in `moved`, from 1 on; the others get 0."""
        cdef uint32_t node, needy = 0
        for node in range(self.count):
            self.moved[node] = self.shown[node] and (node > 0) == depth and self.nodes[node].parent == 0
        for node in range(self.count):
            if self.shown[self.max_nodes + node]:
                self.moved[node] = 0
            if node and self.shown[node]:
                self.moved[self.nodes[node].parent] = 0
        for node in range(self.count):
            if self.moved[node]:
                needy += 1
                self.moved[node] = needy
        return needy

    cdef void offer(self, uint32_t *heaviest, uint32_t item) noexcept nogil:
        """Put an item into the place of the lightest one so far, if that is lighter."""
        cdef int i, lightest = 0
        for i in range(HEAVIEST):
            if heaviest[i] == 0:
                heaviest[i] = item
                return
            if self.value(heaviest[i]) < self.value(heaviest[lightest]):
                lightest = i
        if self.value(item) > self.value(heaviest[lightest]):
            heaviest[lightest] = item

    cdef object build(self):
        """The shown nodes as frames, children before their parents."""
        cdef dict below = {}
        cdef list children
        cdef int node
        cdef str name
        for node in range(<int> self.count - 1, -1, -1):
            if not self.shown[node]:
                continue
            children = below.pop(node, [])
            if self.shown[self.max_nodes + node]:
                add_other(children, self.nodes[node].folded)
            children.sort()
            if node == 0:
                break
            name = PyUnicode_DecodeUTF8(self.names + self.name_start(node),
                                        self.nodes[node].name_end - self.name_start(node), "replace")
            below.setdefault(self.nodes[node].parent, []).append(Frame(name, self.totals[node], tuple(children)))
        return Frame("", self.totals[0], tuple(children))


cdef int add_other(list children, uint64_t folded) except -1:
    """Add what was folded: as a child of its own, or to one that happens to have its name."""
    for i, frame in enumerate(children):
        if frame.name == OTHER:
            children[i] = frame._replace(value=(frame.value + folded) & 0xFFFF_FFFF_FFFF_FFFF)
            return 0
    children.append(Frame(OTHER, folded, ()))
    return 0
