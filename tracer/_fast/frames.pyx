"""What of a tree is shown: a snapshot of its heavier nodes as frames of a flame graph."""

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from tracer._fast.tree cimport Tree, name_start, sum_up

from typing import NamedTuple


cdef enum:
    HEAVIEST = 8  # children that are shown when all are light

OTHER = "[other]"

Frame = NamedTuple("Frame", [("name", str), ("value", int), ("children", tuple)])


cdef object frames_of(Tree *tree, double min_share):
    """The tree's root, without what weighs less than `min_share` of the whole; the heaviest stay where all would go."""
    choose(tree, min_share)
    return build(tree)


cdef int choose(Tree *tree, double min_share) except -1:
    """Mark in `shown` what a snapshot shows: nodes by index, then from `max_nodes` on what each has folded."""
    cdef uint64_t counts[65]
    cdef uint64_t sizes[65]
    cdef uint32_t node
    cdef double least
    with nogil:
        sum_up(tree, counts, sizes)
        least = min_share * <double> tree.totals[0]
        memset(tree.shown, 0, tree.max_nodes * 2)
        for node in range(tree.count):
            tree.shown[node] = node == 0 or (tree.totals[node] > 0 and <double> tree.totals[node] >= least)
            tree.shown[tree.max_nodes + node] = tree.nodes[node].folded > 0 and \
                <double> tree.nodes[node].folded >= least
    show_heaviest(tree, 0)
    show_heaviest(tree, 1)
    return 0


cdef inline uint64_t value(const Tree *tree, uint32_t item) noexcept nogil:
    return tree.totals[item] if item < tree.max_nodes else tree.nodes[item - tree.max_nodes].folded


cdef int show_heaviest(Tree *tree, uint32_t depth) except -1:
    """Mark the heaviest children of those shown nodes at that depth (0 or 1) whose children are all hidden."""
    cdef uint32_t *heaviest
    cdef uint32_t i
    cdef uint32_t needy = number_needy(tree, depth)
    if needy == 0:
        return 0
    heaviest = <uint32_t *> calloc(<size_t> needy * HEAVIEST, sizeof(uint32_t))
    if heaviest == NULL:
        raise MemoryError
    for i in range(tree.count):
        if tree.totals[i] and i and tree.moved[tree.nodes[i].parent]:
            offer(tree, heaviest + <size_t> (tree.moved[tree.nodes[i].parent] - 1) * HEAVIEST, i)
        if tree.nodes[i].folded and tree.moved[i]:
            offer(tree, heaviest + <size_t> (tree.moved[i] - 1) * HEAVIEST, tree.max_nodes + i)
    for i in range(needy * HEAVIEST):
        tree.shown[heaviest[i]] = 1  # 0 is a free place: the root is shown anyway
    free(heaviest)
    return 0


cdef uint32_t number_needy(Tree *tree, uint32_t depth) noexcept nogil:
    """Number those nodes in `moved`, from 1 on; the others get 0."""
    cdef uint32_t node, needy = 0
    for node in range(tree.count):
        tree.moved[node] = tree.shown[node] and (node > 0) == depth and tree.nodes[node].parent == 0
    for node in range(tree.count):
        if tree.shown[tree.max_nodes + node]:
            tree.moved[node] = 0
        if node and tree.shown[node]:
            tree.moved[tree.nodes[node].parent] = 0
    for node in range(tree.count):
        if tree.moved[node]:
            needy += 1
            tree.moved[node] = needy
    return needy


cdef void offer(const Tree *tree, uint32_t *heaviest, uint32_t item) noexcept nogil:
    """Put an item into the place of the lightest one so far, if that is lighter."""
    cdef int i, lightest = 0
    for i in range(HEAVIEST):
        if heaviest[i] == 0:
            heaviest[i] = item
            return
        if value(tree, heaviest[i]) < value(tree, heaviest[lightest]):
            lightest = i
    if value(tree, item) > value(tree, heaviest[lightest]):
        heaviest[lightest] = item


cdef object build(Tree *tree):
    """The shown nodes as frames, children before their parents."""
    cdef dict below = {}
    cdef list children
    cdef int node
    cdef str name
    for node in range(<int> tree.count - 1, -1, -1):
        if not tree.shown[node]:
            continue
        children = below.pop(node, [])
        if tree.shown[tree.max_nodes + node]:
            add_other(children, tree.nodes[node].folded)
        children.sort()
        if node == 0:
            break
        name = PyUnicode_DecodeUTF8(tree.names + name_start(tree, node),
                                    tree.nodes[node].name_end - name_start(tree, node), "replace")
        below.setdefault(tree.nodes[node].parent, []).append(Frame(name, tree.totals[node], tuple(children)))
    return Frame("", tree.totals[0], tuple(children))


cdef int add_other(list children, uint64_t folded) except -1:
    """Add what was folded: as a child of its own, or to one that happens to have its name."""
    for i, frame in enumerate(children):
        if frame.name == OTHER:
            children[i] = frame._replace(value=(frame.value + folded) & 0xFFFF_FFFF_FFFF_FFFF)
            return 0
    children.append(Frame(OTHER, folded, ()))
    return 0
