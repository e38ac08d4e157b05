"""A bounded tree of named nodes with weights (see tree.pxd): its memory, and making room in it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memmove, memset


cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil


cdef int init_tree(Tree *tree, uint32_t max_nodes, uint32_t max_name_bytes) noexcept nogil:
    """Allot all the memory there will be, which the kernel gives when it is first touched; -1 when memory is out.

    It can be freed then, and nothing else.
    """
    memset(tree, 0, sizeof(Tree))
    tree.max_nodes = max_nodes
    tree.max_name_bytes = max_name_bytes
    tree.table_bits = 9
    while <uint32_t> 1 << tree.table_bits < max_nodes * 2:
        tree.table_bits += 1
    tree.nodes = <Node *> malloc(max_nodes * sizeof(Node))
    tree.names = <char *> malloc(max_name_bytes)
    tree.table = <uint32_t *> calloc(<size_t> 1 << tree.table_bits, sizeof(uint32_t))
    tree.totals = <uint64_t *> malloc(max_nodes * sizeof(uint64_t))
    tree.moved = <uint32_t *> malloc(max_nodes * sizeof(uint32_t))
    tree.shown = <uint8_t *> malloc(max_nodes * 2)
    if tree.nodes == NULL or tree.names == NULL or tree.table == NULL or tree.totals == NULL or tree.moved == NULL \
            or tree.shown == NULL:
        return -1
    clear_tree(tree)
    return 0


cdef void free_tree(Tree *tree) noexcept nogil:
    free(tree.nodes)
    free(tree.names)
    free(tree.table)
    free(tree.totals)
    free(tree.moved)
    free(tree.shown)
    memset(tree, 0, sizeof(Tree))


cdef uint64_t tree_bytes(const Tree *tree) noexcept nogil:
    """The memory that a tree takes."""
    cdef uint64_t each = sizeof(Node) + sizeof(uint64_t) + sizeof(uint32_t) + 2
    return tree.max_nodes * each + tree.max_name_bytes + (<uint64_t> sizeof(uint32_t) << tree.table_bits)


cdef void clear_tree(Tree *tree) noexcept nogil:
    memset(&tree.nodes[0], 0, sizeof(Node))
    memset(tree.table, 0, sizeof(uint32_t) << tree.table_bits)
    tree.count = 1
    tree.root_of_rests = new_node(tree, 0, 0, tree.names, 0)
    tree.full = False
    tree.compactions = 0


# ---- folding ----

cdef inline int bits_of(uint64_t weight) noexcept nogil:
    """Bits of a weight, 0 to 64."""
    return 64 - leading_zeros(weight) if weight else 0


cdef void compact(Tree *tree) noexcept nogil:
    """Fold the lightest subtrees into the nodes above them, until an eighth of nodes and names is left.

    A subtree's total is never below that of its parts, so what is light enough to go goes with all below it.
    What anyone knew of nodes does not hold any more then.
    """
    cdef uint64_t counts[65]
    cdef uint64_t sizes[65]
    cdef int64_t nodes = <int64_t> tree.count - tree.max_nodes // KEPT
    cdef int64_t size = <int64_t> tree.nodes[tree.count - 1].name_end - tree.max_name_bytes // KEPT
    cdef int limit = 1  # what weighs nothing always goes
    sum_up(tree, counts, sizes)
    nodes -= counts[0]
    size -= sizes[0]
    while limit < 64 and (nodes > <int64_t> counts[limit] or size > <int64_t> sizes[limit]):
        nodes -= counts[limit]
        size -= sizes[limit]
        limit += 1
    keep_heavy(tree, limit, nodes, size)
    tree.root_of_rests = new_node(tree, 0, 0, tree.names, 0)
    tree.full = False
    tree.compactions += 1


cdef void sum_up(Tree *tree, uint64_t *counts, uint64_t *sizes) noexcept nogil:
    """Every node's total; by its bits, how many nodes there are (but for the root) and how long their names are."""
    cdef uint32_t node
    cdef uint64_t total
    cdef int bits
    memset(counts, 0, 65 * sizeof(uint64_t))
    memset(sizes, 0, 65 * sizeof(uint64_t))
    memset(tree.totals, 0, tree.count * sizeof(uint64_t))
    for node in range(tree.count - 1, 0, -1):
        total = tree.totals[node] + tree.nodes[node].own + tree.nodes[node].folded
        tree.totals[node] = total
        tree.totals[tree.nodes[node].parent] += total
        bits = bits_of(total)
        counts[bits] += 1
        sizes[bits] += tree.nodes[node].name_end - tree.nodes[node - 1].name_end
    tree.totals[0] += tree.nodes[0].own + tree.nodes[0].folded


cdef void keep_heavy(Tree *tree, int limit, int64_t nodes, int64_t size) noexcept nogil:
    """Fold nodes of fewer than `limit` bits, and the oldest of just as many until `nodes` and `size` are reached.

    The others move together, in the same order.
    """
    cdef uint32_t node, parent, name_end, start = 0
    cdef uint32_t kept = 1
    cdef int bits
    memset(tree.table, 0, sizeof(uint32_t) << tree.table_bits)
    tree.nodes[0].first = 0
    tree.moved[0] = 0
    for node in range(1, tree.count):
        name_end = tree.nodes[node].name_end
        parent = tree.moved[tree.nodes[node].parent]
        bits = bits_of(tree.totals[node])
        if parent & STOP or bits < limit or (bits == limit and (nodes > 0 or size > 0)):
            tree.moved[node] = STOP
            if not parent & STOP:
                tree.nodes[parent].folded += tree.totals[node]
            if bits == limit:
                nodes -= 1
                size -= name_end - start
        else:
            tree.moved[node] = kept
            tree.nodes[node].parent = parent
            memmove(tree.names + tree.nodes[kept - 1].name_end, tree.names + start, name_end - start)
            tree.nodes[kept] = tree.nodes[node]
            tree.nodes[kept].first = 0
            tree.nodes[kept].name_end = tree.nodes[kept - 1].name_end + (name_end - start)
            place(tree, kept)
            kept += 1
        start = name_end
    tree.count = kept
