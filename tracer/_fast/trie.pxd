"""A bounded tree of frames that rows add their weight to: the data of a flame graph."""

cimport cython
from libc.stdint cimport int32_t, uint32_t, uint64_t

from tracer._fast.batch cimport Pointers
from tracer._fast.dictionary cimport Dictionary
from tracer._fast.tree cimport Tree


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
    cdef cython.pymutex lock
    cdef Way before
    cdef Way after
    cdef bint by_path
    cdef int32_t uses_comm  # -1, or 0
    cdef int32_t uses_pid
    cdef int32_t uses_syscall
    cdef int weighed
    cdef Tree tree
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
    # for snapshots
    cdef uint64_t version
    cdef object cached
    cdef object cached_for

    cdef int allocate(self, uint32_t max_nodes, uint32_t max_name_bytes) except -1
    cdef void clear(self) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef void add_rows(self, const Pointers *at, int rows) noexcept nogil
    cdef const Step *step(self, int32_t comm, int32_t pid, int32_t syscall) noexcept nogil
    cdef void make_step(self, Step *step, int32_t comm, int32_t pid, int32_t syscall) noexcept nogil
    cdef uint32_t go(self, const Way *way, uint32_t node, const Step *step) noexcept nogil
    cdef uint32_t named_child(self, uint32_t node, const Dictionary *names, int32_t code) noexcept nogil
    cdef uint32_t numbered_child(self, uint32_t node, int32_t number) noexcept nogil
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
