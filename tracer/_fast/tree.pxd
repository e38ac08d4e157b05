"""A bounded tree of named nodes with weights. When it is full, `compact` folds its lightest parts; sums stay exact."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy


cdef extern from *:
    """
    #define TREE_GOLDEN 0x9E3779B97F4A7C15ull
    """
    const uint64_t GOLDEN "TREE_GOLDEN"  # the golden ratio's fraction, in 64 bits


cdef enum:
    STOP = 0x80000000  # with a node: the way ended there early; weight that got so far is folded
    MOST_NODES = 1 << 16  # an index and as many bits of a hash share 32 bits in the table
    KEPT = 8  # folding keeps one node in so many


cdef struct Node:
    # Parents come before their children, and the names lie in the same order: a node's name begins where the one
    # before it ends.
    uint64_t own  # of rows whose last frame this is
    uint64_t folded  # of what is not told apart any more below it
    uint32_t parent
    uint32_t first  # its oldest child, which is in no table; 0: it has no child
    uint32_t hash
    uint32_t name_end


cdef struct Tree:
    uint32_t max_nodes
    uint32_t max_name_bytes
    uint32_t count  # nodes; node 0 is the root
    uint32_t root_of_rests  # a nameless child of the root, weightless as all below it
    Node *nodes
    char *names
    uint32_t *table  # 16 bits of a hash and the index of a node that is not a first child; 0: empty
    int table_bits
    bint full
    uint64_t compactions
    uint64_t *totals  # these three for folding and snapshots, by node
    uint32_t *moved
    uint8_t *shown  # two for each node


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


cdef inline uint32_t name_start(const Tree *tree, uint32_t node) noexcept nogil:
    return tree.nodes[node - 1].name_end


cdef inline bint is_named(const Tree *tree, uint32_t node, const char *name, uint32_t size) noexcept nogil:
    cdef uint32_t start = name_start(tree, node)
    return tree.nodes[node].name_end - start == size and memcmp(tree.names + start, name, size) == 0


cdef inline void place(Tree *tree, uint32_t node) noexcept nogil:
    """Make a node its parent's child."""
    cdef Node *placed = &tree.nodes[node]
    cdef Node *parent = &tree.nodes[placed.parent]
    cdef uint64_t key
    cdef size_t slot
    if parent.first == 0:
        parent.first = node
        return
    key = spread(placed.parent, placed.hash)
    slot = key >> (64 - tree.table_bits)
    while tree.table[slot]:
        slot = (slot + 1) & ((<size_t> 1 << tree.table_bits) - 1)
    tree.table[slot] = (<uint32_t> key >> 16) << 16 | node


cdef inline uint32_t new_node(Tree *tree, uint32_t parent, uint32_t hashed, const char *name,
                              uint32_t size) noexcept nogil:
    cdef uint32_t node = tree.count
    cdef uint32_t start = tree.nodes[node - 1].name_end
    cdef Node *made
    if size > tree.max_name_bytes // KEPT:
        return parent | STOP
    if node == tree.max_nodes or size > tree.max_name_bytes - start:
        tree.full = True
        return parent | STOP
    made = &tree.nodes[node]
    made.own = 0
    made.folded = 0
    made.parent = parent
    made.first = 0
    made.hash = hashed
    made.name_end = start + size
    memcpy(tree.names + start, name, size)
    tree.count += 1
    place(tree, node)
    return node


cdef inline uint32_t child(Tree *tree, uint32_t parent, const char *name, uint32_t size) noexcept nogil:
    """The child of that name, made if there is none; the parent and `STOP` if there is no room for it."""
    cdef uint32_t hashed, first, entry
    cdef uint64_t key
    cdef size_t slot
    if size == 0:
        return parent
    hashed = hash_name(name, size)
    first = tree.nodes[parent].first
    if first == 0:
        return new_node(tree, parent, hashed, name, size)
    if tree.nodes[first].hash == hashed and is_named(tree, first, name, size):
        return first
    key = spread(parent, hashed)
    slot = key >> (64 - tree.table_bits)
    while True:
        entry = tree.table[slot]
        if entry == 0:
            return new_node(tree, parent, hashed, name, size)
        if entry >> 16 == (<uint32_t> key >> 16) and tree.nodes[entry & 0xFFFF].parent == parent and \
                tree.nodes[entry & 0xFFFF].hash == hashed and is_named(tree, entry & 0xFFFF, name, size):
            return entry & 0xFFFF
        slot = (slot + 1) & ((<size_t> 1 << tree.table_bits) - 1)


cdef int init_tree(Tree *tree, uint32_t max_nodes, uint32_t max_name_bytes) noexcept nogil
cdef void free_tree(Tree *tree) noexcept nogil
cdef uint64_t tree_bytes(const Tree *tree) noexcept nogil
cdef void clear_tree(Tree *tree) noexcept nogil
cdef void compact(Tree *tree) noexcept nogil
cdef void sum_up(Tree *tree, uint64_t *counts, uint64_t *sizes) noexcept nogil
