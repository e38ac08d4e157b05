"""Texts that are not plain ASCII, or have backslashes: as valid UTF-8, each in a way of its own."""

from libc.stdint cimport int32_t

from tracer._fast.dictionary cimport Dictionary
from tracer._fast.text cimport Text


cdef int32_t keep_utf8(Dictionary *dictionary, const Text *text) noexcept nogil
