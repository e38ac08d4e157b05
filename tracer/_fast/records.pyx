"""Taking records apart, from Python: what decoding alone finds, and costs."""

from tracer._fast.records cimport Parts, record_bytes, take_apart


def count_records(const unsigned char[::1] block not None) -> int:
    """How many records of a block can be taken apart; what can't be a record ends it.

    Raises ValueError if the block is not aligned to 8 bytes.
    """
    cdef Py_ssize_t used = 0, taken, size = block.shape[0]
    cdef const char *data
    cdef Parts parts
    cdef int found = 0
    if size == 0:
        return 0
    data = <const char *> &block[0]
    if <size_t> data % 8:
        raise ValueError("the block is not aligned to 8 bytes")
    with nogil:
        while used < size:
            taken = record_bytes(data + used, size - used)
            if taken == 0:
                break
            found += take_apart(data + used, &parts)
            used += taken
    return found
