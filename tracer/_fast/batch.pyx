"""One batch of rows in columns, and the memory it lies in (see tracer/schema.py for what the columns mean)."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libc.string cimport memset

from tracer._fast.dictionary cimport clear_dictionary, export_dictionary, free_dictionary, init_dictionary

import numpy as np


cdef enum:
    MOST_POOLED = 8  # as many as may wait for a recorder (6), the one it writes, and the one being filled

DTYPES = {
    "time_ns": np.int64, "gap_ns": np.int64, "latency_ns": np.int64, "comm": np.int32, "pid": np.int32, "tid": np.int32,
    "syscall": np.int32, "family": np.int32, "fd": np.int32, "ret": np.int64, "error": np.int32, "is_error": np.uint8,
    "bytes": np.int64, "requested_bytes": np.int64, "offset": np.int64, "flags": np.int64, "file": np.int32,
    "file_source": np.int32, "old_file": np.int32, "address_space_bytes": np.int64, "requested_sleep_ns": np.int64,
    "nfds": np.int32, "timeout_ns": np.int64, "epoll_op": np.int32, "epoll_target_fd": np.int32,
    "epoll_events": np.int64, "device": np.int64, "inode": np.int64, "mount_namespace": np.int64,
}

NULLABLE = (
    "gap_ns", "latency_ns", "fd", "ret", "error", "bytes", "requested_bytes", "offset", "flags", "file", "file_source",
    "old_file", "address_space_bytes", "requested_sleep_ns", "nfds", "timeout_ns", "epoll_op", "epoll_target_fd",
    "epoll_events", "device", "inode", "mount_namespace",
)

SAME_VALIDITY = {"file_source": "file", "device": "inode"}

BITMAPS = tuple(name for name in NULLABLE if name not in SAME_VALIDITY)

assert len(DTYPES) == COLUMN_COUNT and len(BITMAPS) == BITMAP_COUNT
assert sizeof(Pointers) == (COLUMN_COUNT + BITMAP_COUNT) * sizeof(void *)

TEXTS = ("comm", "syscall", "family", "error", "file", "file_source", "old_file", "epoll_op")  # by the codes IN_...


cdef uintptr_t address(array) except 0:
    return array.ctypes.data


@cython.final
cdef class Buffers:
    """Memory for `capacity_rows` rows, used again batch after batch."""

    def __cinit__(self, int capacity_rows):
        cdef int i
        self.capacity_rows = capacity_rows
        for i in range(DICTIONARY_COUNT):
            init_dictionary(&self.dictionaries[i])
        bits = capacity_rows // 8
        self.arrays = {name: np.zeros(bits if name == "is_error" else capacity_rows, dtype)
                       for name, dtype in DTYPES.items()}
        self.arrays |= {"has_" + name: np.zeros(bits, np.uint8) for name in BITMAPS}
        self.point_at(self.arrays)

    def __dealloc__(self):
        cdef int i
        for i in range(DICTIONARY_COUNT):
            free_dictionary(&self.dictionaries[i])

    cdef int start(self, int used_rows, int64_t serial) except -1:
        """Make it empty again after a batch of `used_rows`. `serial` tells batches apart (see Dictionary)."""
        cdef size_t used_bytes = (used_rows + 7) // 8
        cdef int i
        memset(self.at.is_error, 0, used_bytes)
        for i in range(BITMAP_COUNT):
            memset(bitmaps(&self.at)[i], 0, used_bytes)
        for i in range(DICTIONARY_COUNT):
            clear_dictionary(&self.dictionaries[i], serial)
        return 0

    cdef int point_at(self, dict arrays) except -1:
        cdef int i
        for i, name in enumerate(DTYPES):
            columns_of(&self.at)[i] = <char *> address(arrays[name])
        for i, name in enumerate(BITMAPS):
            bitmaps(&self.at)[i] = <uint8_t *> address(arrays["has_" + name])
        return 0


@cython.final
cdef class Columns:
    """One batch of rows in columns: views of memory that `release` gives back.

    Only a `ColumnBuilder` makes them. `arrays`, `valid` and `texts` raise ValueError after `release`, and nothing made
    from the first two without a copy may be used then.
    """

    def __init__(self):
        raise TypeError("batches come from ColumnBuilder.take")

    cdef Buffers held(self):
        if self.buffers is None:
            raise ValueError("the batch has been released")
        return self.buffers

    @property
    def arrays(self) -> dict:
        """By column, one item a row: numbers, codes of `texts`, or for `is_error` 8 rows a byte."""
        cdef Buffers held = self.held()
        if self.cached_arrays is None:
            self.cached_arrays = {name: held.arrays[name][: (self.rows + 7) // 8 if name == "is_error" else self.rows]
                                  for name in DTYPES}
        return self.cached_arrays

    @property
    def valid(self) -> dict:
        """By column that may lack values, 8 rows a byte, lowest bit first, 1 where there is one; None: there is none.
        """
        cdef Buffers held = self.held()
        cdef int used_bytes = (self.rows + 7) // 8
        cdef int i
        if self.cached_valid is None:
            self.cached_valid = {}
            for i, name in enumerate(BITMAPS):
                used = any_bit(bitmaps(&held.at)[i], used_bytes)
                self.cached_valid[name] = held.arrays["has_" + name][:used_bytes] if used else None
            for name, same in SAME_VALIDITY.items():
                self.cached_valid[name] = self.cached_valid[same]
        return self.cached_valid

    @property
    def texts(self) -> dict:
        """By text column, copies of the distinct texts: offsets (one more than there are texts), all their UTF-8."""
        cdef Buffers held = self.held()
        cdef int i
        if self.cached_texts is None:
            self.cached_texts = {}
            for i in range(DICTIONARY_COUNT):
                self.cached_texts[TEXTS[i]] = export_dictionary(&held.dictionaries[i])
        return self.cached_texts

    def share(self) -> Columns:
        """The batch for one more holder, who releases it too. Raises ValueError after the last `release`."""
        self.held()
        self.holders += 1
        return self

    def release(self) -> None:
        """Give the memory back, once every holder has said so. What comes after that does nothing."""
        if self.holders:
            self.holders -= 1
            return
        buffers, self.buffers = self.buffers, None
        self.cached_arrays = self.cached_valid = self.cached_texts = None
        if buffers is not None and (<Buffers> buffers).exports == 0 and len(self.pool) < MOST_POOLED:
            self.pool.append((buffers, self.rows))
