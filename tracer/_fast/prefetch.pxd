"""Asking the processor for memory that will be needed soon. Any address will do: one that is not there is ignored."""


cdef extern from *:
    """
    /* GCC takes a function that only fetches for one without effect, and drops its calls: hence the empty assembly. */
    #define FETCH(address, to_write) do { __builtin_prefetch(address, to_write); __asm__ volatile(""); } while (0)
    #define FETCH_TO_READ(address) FETCH(address, 0)
    #define FETCH_TO_WRITE(address) FETCH(address, 1)
    """
    void prefetch "FETCH_TO_READ" (const void *address) nogil
    void prefetch_to_write "FETCH_TO_WRITE" (const void *address) nogil


cdef enum:
    LINE_BYTES = 64  # what a cache holds in one piece, on all processors that are meant


cdef inline void prefetch_both_ends(const void *address, size_t size) noexcept nogil:
    """Ask for the lines in which the first and the last of `size` bytes lie."""
    prefetch(address)
    prefetch(<const char *> address + size - 1)
