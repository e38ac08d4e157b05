"""A bounded tree of frames that rows add their weight to: the data of a flame graph."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from tracer._fast.batch cimport Pointers
from tracer._fast.dictionary cimport Dictionary


cdef struct Node:
    # Parents come before their children, and the names lie in the same order: a node's name begins where the one
    # before it ends.
    uint64_t own  # of rows whose last frame this is
    uint64_t folded  # of what is not told apart any more below it
    uint32_t parent
    uint32_t first  # its oldest child, which is in no table; 0: it has no child
    uint32_t hash
    uint32_t name_end


cdef struct Stack:
    uint64_t weight
    uint32_t node  # that the frames before the path lead to
    uint32_t rest  # the frames behind the path: a node below root_of_rests
    uint32_t path  # where its text begins in stack_paths
    uint32_t size


cdef struct Step:
    # what these values came to under that serial
    uint32_t serial
    uint32_t node
    uint32_t rest
    int32_t comm
    int32_t pid
    int32_t syscall


cdef struct Way:
    # the levels before or behind the path
    int levels[4]
    int count


cdef struct Directory:
    # where a path's directory led from a node under that serial
    uint32_t serial
    uint32_t node
    uint32_t size
    uint32_t to
    const char *path


cdef class Trie:
    cdef readonly tuple order
    cdef readonly str metric
    cdef readonly uint32_t max_nodes
    cdef readonly uint32_t max_name_bytes
    cdef readonly uint32_t count
    cdef readonly uint64_t compactions
    cdef cython.pymutex lock
    cdef Way before
    cdef Way after
    cdef bint by_path
    cdef int32_t uses_comm  # -1, or 0
    cdef int32_t uses_pid
    cdef int32_t uses_syscall
    cdef int weighed
    # the tree
    cdef Node *nodes
    cdef char *names
    cdef uint32_t *table  # 16 bits of a hash and the index of a node that is not a first child; 0: empty
    cdef int table_bits
    cdef uint32_t root_of_rests  # a nameless child of the root, weightless as all below it
    cdef bint full
    # what has not got into the tree yet
    cdef uint32_t max_stacks
    cdef uint32_t max_path_bytes
    cdef Stack *stacks
    cdef uint32_t stack_count
    cdef uint32_t *stack_table  # 16 bits of a hash and the number of a stack; 0: empty
    cdef uint32_t stack_mask
    cdef char *stack_paths
    cdef uint32_t path_bytes
    # what is remembered under a serial
    cdef uint32_t serial
    cdef Step *steps
    cdef Directory *directories
    cdef Dictionary *dictionaries
    # for folding and snapshots
    cdef uint64_t *totals
    cdef uint32_t *moved
    cdef uint8_t *shown
    cdef uint64_t version
    cdef object cached
    cdef object cached_for

    cdef int allocate(self) except -1
    cdef void clear(self) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef void add_rows(self, const Pointers *at, int rows) noexcept nogil
    cdef const Step *step(self, int32_t comm, int32_t pid, int32_t syscall) noexcept nogil
    cdef void make_step(self, Step *step, int32_t comm, int32_t pid, int32_t syscall) noexcept nogil
    cdef uint32_t go(self, const Way *way, uint32_t node, const Step *step) noexcept nogil
    cdef int add(self, const Step *step, const char *path, uint32_t size, uint64_t hashed,
                 uint64_t weight) noexcept nogil
    cdef int new_stack(self, uint32_t slot, uint32_t tag, const Step *step, const char *path, uint32_t size,
                       uint64_t weight) noexcept nogil
    cdef void drop_stacks(self) noexcept nogil
    cdef void settle(self, bint fold) noexcept nogil
    cdef void add_to_directory(self, const Stack *stack) noexcept nogil
    cdef void add_to_tree(self, uint32_t node, uint32_t rest, const char *path, uint32_t size,
                          uint64_t weight) noexcept nogil
    cdef uint32_t follow(self, uint32_t node, uint32_t rest) noexcept nogil
    cdef uint32_t walk(self, uint32_t node, const char *path, uint32_t size) noexcept nogil
    cdef uint32_t directory(self, uint32_t node, const char *path, uint32_t size) noexcept nogil
    cdef uint32_t enter(self, uint32_t node, const char *path, uint32_t size) noexcept nogil
    cdef uint32_t named_child(self, uint32_t node, const Dictionary *names, int32_t code) noexcept nogil
    cdef uint32_t numbered_child(self, uint32_t node, int32_t number) noexcept nogil
    cdef uint32_t child(self, uint32_t parent, const char *name, uint32_t size) noexcept nogil
    cdef bint is_named(self, uint32_t node, const char *name, uint32_t size) noexcept nogil
    cdef uint32_t new_node(self, uint32_t parent, uint32_t hashed, const char *name, uint32_t size) noexcept nogil
    cdef uint32_t name_start(self, uint32_t node) noexcept nogil
    cdef void place(self, uint32_t node) noexcept nogil
    cdef void compact(self) noexcept nogil
    cdef void sum_up(self, uint64_t *counts, uint64_t *sizes) noexcept nogil
    cdef void keep_heavy(self, int limit, int64_t nodes, int64_t size) noexcept nogil
    cdef int choose(self, double min_share) except -1
    cdef uint64_t value(self, uint32_t item) noexcept nogil
    cdef int show_heaviest(self, uint32_t depth) except -1
    cdef uint32_t number_needy(self, uint32_t depth) noexcept nogil
    cdef void offer(self, uint32_t *heaviest, uint32_t item) noexcept nogil
    cdef object build(self)
