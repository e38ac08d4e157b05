"""A bounded tree of frames that rows add their weight to: the data of a flame graph."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from tracer._fast.batch cimport Buffers, Columns, IN_COMM, IN_FILE, IN_SYSCALL, Pointers, bit
from tracer._fast.dictionary cimport Dictionary
from tracer._fast.frames cimport frames_of
from tracer._fast.tree cimport (
    GOLDEN, MOST_NODES, STOP, child, clear_tree, compact, free_tree, init_tree, name_start, tree_bytes,
)

from tracer._fast import frames


cdef extern from "string.h" nogil:
    """
    #ifndef _GNU_SOURCE
    void *memrchr(const void *, int, size_t);
    #endif
    """
    const void *memrchr(const void *, int, size_t)


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
    MOST_DIRECTORIES = 127  # of a path, so that nobody has to walk a deeper tree
    SPARE_NODES = 64  # kept free for the new frames of a row
    LIGHT_BITS = 10  # of what has been added since the last time, a 2^10th is not worth a frame
    STEP_BITS = 9
    STEPS = 1 << STEP_BITS
    DIRECTORY_BITS = 8
    DIRECTORIES = 1 << DIRECTORY_BITS

LEVELS = ("comm", "pid", "path", "syscall")
METRICS = ("count", "latency", "bytes")
OTHER = frames.OTHER

Frame = frames.Frame


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
        self.weighed = METRICS.index(metric)
        path = order.index("path") if "path" in order else len(order)
        set_way(&self.before, order[:path])
        set_way(&self.after, order[path + 1:])
        self.by_path = path < len(order)
        self.uses_comm = -1 if "comm" in order else 0
        self.uses_pid = -1 if "pid" in order else 0
        self.uses_syscall = -1 if "syscall" in order else 0
        self.allocate(max_nodes, max_name_bytes)
        self.clear()

    cdef int allocate(self, uint32_t max_nodes, uint32_t max_name_bytes) except -1:
        """All the memory there will be; the kernel gives it when it is first touched."""
        if init_tree(&self.tree, max_nodes, max_name_bytes) < 0:
            raise MemoryError
        self.max_stacks = max_nodes // 8
        self.max_path_bytes = max_name_bytes // 4
        self.stack_mask = (1 << (self.tree.table_bits - 2)) - 1
        self.stacks = <Stack *> malloc(self.max_stacks * sizeof(Stack))
        self.stack_table = <uint32_t *> calloc(<size_t> self.stack_mask + 1, sizeof(uint32_t))
        self.stack_paths = <char *> malloc(self.max_path_bytes)
        self.directories = <Directory *> calloc(DIRECTORIES, sizeof(Directory))
        self.steps = <Step *> calloc(STEPS, sizeof(Step))
        if self.stacks == NULL or self.stack_table == NULL or self.stack_paths == NULL or self.directories == NULL \
                or self.steps == NULL:
            raise MemoryError
        return 0

    def __dealloc__(self):
        free_tree(&self.tree)
        free(self.stacks)
        free(self.stack_table)
        free(self.stack_paths)
        free(self.directories)
        free(self.steps)

    @property
    def max_nodes(self) -> int:
        return self.tree.max_nodes

    @property
    def max_name_bytes(self) -> int:
        return self.tree.max_name_bytes

    @property
    def count(self) -> int:
        """Nodes in the tree."""
        return self.tree.count

    @property
    def compactions(self) -> int:
        """How often the tree has been full since it was empty."""
        return self.tree.compactions

    @property
    def memory_bytes(self) -> int:
        """The most memory that it takes; it is allotted once and never grows."""
        return (tree_bytes(&self.tree) + self.max_stacks * sizeof(Stack) + self.max_path_bytes
                + (self.stack_mask + 1) * sizeof(uint32_t) + STEPS * sizeof(Step) + DIRECTORIES * sizeof(Directory))

    def reset(self) -> None:
        """Forget all rows."""
        with self.lock:
            self.clear()

    cdef void clear(self) noexcept nogil:
        clear_tree(&self.tree)
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
                if self.by_path and bit(at.has_file, row):
                    start = files.offsets[at.file[row]]
                    size = files.offsets[at.file[row] + 1] - start
                    hashed = files.hashes[at.file[row]]
                if self.add(step, files.data + start, size, hashed, weight) < 0:
                    self.settle(self.tree.compactions > 0)
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
        if self.tree.full or self.tree.count + SPARE_NODES > self.tree.max_nodes:
            self.settle(self.tree.compactions > 0)
        step.comm = comm
        step.pid = pid
        step.syscall = syscall
        step.node = self.go(&self.before, 0, step)
        step.rest = self.go(&self.after, self.tree.root_of_rests, step)
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

    cdef uint32_t named_child(self, uint32_t node, const Dictionary *names, int32_t code) noexcept nogil:
        return child(&self.tree, node, names.data + names.offsets[code],
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
        return child(&self.tree, node, &digits[at], 12 - at)

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
        if self.tree.full or self.tree.count > self.tree.max_nodes // 2:
            compact(&self.tree)
        self.forget()

    cdef inline void add_to_directory(self, const Stack *stack) noexcept nogil:
        cdef const char *path = self.stack_paths + stack.path
        cdef const char *slash = <const char *> memrchr(path, c"/", stack.size)
        cdef uint32_t node = stack.node
        if slash != NULL:
            node = self.directory(node, path, <uint32_t> (slash - path))
        self.tree.nodes[node & ~<uint32_t> STOP].folded += stack.weight

    cdef void add_to_tree(self, uint32_t node, uint32_t rest, const char *path, uint32_t size,
                          uint64_t weight) noexcept nogil:
        if size and not node & STOP:
            node = self.walk(node, path, size)
        if not node & STOP:
            node = self.follow(node, rest)
        if node & STOP:
            self.tree.nodes[node & ~<uint32_t> STOP].folded += weight
        else:
            self.tree.nodes[node].own += weight

    cdef uint32_t follow(self, uint32_t node, uint32_t rest) noexcept nogil:
        """From a node along the names that lead from `root_of_rests` to a node below it."""
        cdef uint32_t way[4]
        cdef uint32_t start, end
        cdef int length = 0
        if rest & STOP:
            return node | STOP
        while rest != self.tree.root_of_rests:
            way[length] = rest
            length += 1
            rest = self.tree.nodes[rest].parent
        while length and not node & STOP:
            length -= 1
            start = name_start(&self.tree, way[length])
            end = self.tree.nodes[way[length]].name_end
            node = child(&self.tree, node, self.tree.names + start, end - start)
        return node

    cdef uint32_t walk(self, uint32_t node, const char *path, uint32_t size) noexcept nogil:
        """From a node along a path."""
        cdef const char *slash = <const char *> memrchr(path, c"/", size)
        if slash == NULL:
            return child(&self.tree, node, path, size)
        node = self.directory(node, path, <uint32_t> (slash - path))
        if node & STOP:
            return node
        return child(&self.tree, node, slash + 1, <uint32_t> (path + size - slash - 1))

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
                node = child(&self.tree, node, path + start, end - start) if depth <= MOST_DIRECTORIES else node | STOP
            end += 1
        return node

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
                self.cached = frames_of(&self.tree, min_share)
                self.cached_for = (self.version, min_share)
            return self.cached
