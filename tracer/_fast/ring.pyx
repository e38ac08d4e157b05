"""Draining the kernel's ring buffer through its mapped pages (layout: kernel/bpf/ringbuf.c)."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport _SC_PAGESIZE, sysconf


cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint64_t load_acquire_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline uint32_t load_acquire_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    """
    uint64_t load_acquire_u64(const uint64_t *place)
    uint32_t load_acquire_u32(const uint32_t *place)
    void store_release_u64(uint64_t *place, uint64_t value)


cdef enum:
    RING_HEADER = 8  # length and page offset, in front of each record


cdef uint32_t BUSY = 1u << 31  # BPF_RINGBUF_BUSY_BIT
cdef uint32_t DISCARDED = 1u << 30  # BPF_RINGBUF_DISCARD_BIT


@cython.final
cdef class Ring:
    """A BPF ring buffer map, read by this process alone.

    `map_fd` is the map, `size` its data area in bytes: a power of two. The descriptor stays the caller's. Raises
    OSError if the pages can't be mapped.
    """

    cdef uint64_t *consumer
    cdef uint64_t *producer
    cdef const char *data
    cdef size_t page
    cdef size_t size

    def __cinit__(self, int map_fd, size_t size):
        cdef void *mapped
        if size == 0 or size & (size - 1):
            raise ValueError("size: a power of two is meant")
        self.page = <size_t> sysconf(_SC_PAGESIZE)
        self.size = size
        mapped = mmap(NULL, self.page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0)
        if mapped == MAP_FAILED:
            raise OSError("the ring buffer's consumer page can't be mapped")
        self.consumer = <uint64_t *> mapped
        # the data is mapped twice in a row, so that a record that wraps around is in one piece
        mapped = mmap(NULL, self.page + 2 * size, PROT_READ, MAP_SHARED, map_fd, <long> self.page)
        if mapped == MAP_FAILED:
            raise OSError("the ring buffer's data can't be mapped")
        self.producer = <uint64_t *> mapped
        self.data = <const char *> mapped + self.page

    def __dealloc__(self):
        if self.consumer != NULL:
            munmap(self.consumer, self.page)
        if self.producer != NULL:
            munmap(self.producer, self.page + 2 * self.size)

    def drain(self, unsigned char[::1] block not None) -> int:
        """Copy records to the block, each padded to 8 bytes, until the ring is empty or the block can't take the next
        one.

        Returns the bytes copied. Needs no GIL while it copies.
        """
        cdef size_t copied
        if block.shape[0] == 0:
            raise ValueError("the block is empty")
        with nogil:
            copied = self.copy_records(<char *> &block[0], <size_t> block.shape[0])
        return copied

    def pending_bytes(self) -> int:
        """Bytes in the ring that have not been drained."""
        return load_acquire_u64(self.producer) - load_acquire_u64(self.consumer)

    cdef size_t copy_records(self, char *block, size_t room) noexcept nogil:
        cdef uint64_t at = load_acquire_u64(self.consumer)
        cdef uint64_t end = load_acquire_u64(self.producer)
        cdef size_t used = 0, padded
        cdef const char *record
        cdef uint32_t length
        while at < end:
            record = self.data + (at & (self.size - 1))
            length = load_acquire_u32(<const uint32_t *> record)
            if length & BUSY:
                break  # reserved, not yet written: what comes behind has to wait
            padded = ((length & ~DISCARDED) + 7) & ~<size_t> 7
            if not length & DISCARDED:
                if used + padded > room:
                    break
                memcpy(block + used, record + RING_HEADER, length)
                memset(block + used + length, 0, padded - length)
                used += padded
            at += RING_HEADER + padded
        store_release_u64(self.consumer, at)
        return used
