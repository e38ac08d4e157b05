"""Having what the next records need in the processor's cache before they are handled."""

from tracer._fast.pairer cimport Pairer


cdef Py_ssize_t fetch_ahead(Pairer pairer, const char *data, Py_ssize_t used, Py_ssize_t size) noexcept nogil
