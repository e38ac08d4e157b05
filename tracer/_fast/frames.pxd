"""What of a tree is shown: a snapshot of its heavier nodes as frames of a flame graph."""

from tracer._fast.tree cimport Tree


cdef object frames_of(Tree *tree, double min_share)
