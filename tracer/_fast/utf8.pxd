"""Texts that are not plain ASCII, as columns have them: valid UTF-8."""

from libc.stdint cimport int32_t

from tracer._fast.dictionary cimport Dictionary
from tracer._fast.text cimport Text


cdef int32_t keep_utf8(Dictionary *dictionary, const Text *text) noexcept nogil
