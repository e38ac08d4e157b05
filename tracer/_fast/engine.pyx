"""The loop from a block of records to rows in columns."""

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from tracer._fast.ahead cimport fetch_ahead
from tracer._fast.calls cimport Call, clear_call
from tracer._fast.columns cimport ColumnBuilder
from tracer._fast.events cimport event_header
from tracer._fast.fdcache cimport FdCache
from tracer._fast.pairer cimport Pairer
from tracer._fast.prefetch cimport LINE_BYTES, prefetch
from tracer._fast.records cimport record_bytes


cdef enum:
    RECORDS_AHEAD_BYTES = 4096  # some forty records; with 1024 and 16384 bytes it gains less
    AHEAD_BYTES = 128 << 10  # less is there mostly, as that of one command is: it would cost a tenth of the time


@cython.final
cdef class Engine:
    """Pairs, resolves and writes columns in one pass without the GIL.

    `rules`, `names` and `families` are what `tracer.syscalls` gives. `ask_proc`: names that the stream does not tell
    are looked up in /proc (a recorder's stream tells all that can be known). `failed_only`: only calls that failed or
    were interrupted become rows. `keep_stream`: what was handled, with /proc's answers in their places, is kept for
    `take_stream`.
    `wall_offset_ns` goes with every batch. `ahead_bytes`: from so much memory of tables and names on, what the next
    records need of it is fetched into the cache before they are handled.
    """

    cdef readonly Pairer pairer
    cdef readonly ColumnBuilder builder
    cdef readonly uint64_t events
    cdef bint keep_stream
    cdef uint64_t ahead_bytes
    cdef char *stream
    cdef size_t stream_bytes
    cdef size_t stream_capacity

    def __cinit__(self, const unsigned char[::1] rules not None, list names not None, tuple families not None, *,
                  int capacity_rows=1 << 16, int64_t wall_offset_ns=0, bint ask_proc=False,
                  bint failed_only=False, bint keep_stream=False, uint64_t ahead_bytes=AHEAD_BYTES):
        self.pairer = Pairer(rules, FdCache(), failed_only=failed_only, ask_proc=ask_proc)
        self.builder = ColumnBuilder(names, families, capacity_rows=capacity_rows, wall_offset_ns=wall_offset_ns)
        self.keep_stream = keep_stream
        self.ahead_bytes = ahead_bytes

    def __dealloc__(self):
        free(self.stream)

    def feed(self, const unsigned char[::1] block not None, Py_ssize_t start=0) -> int:
        """Handle a block of whole records from byte `start` on; the byte where it stopped.

        That is the block's end, or earlier because the batch is full: `take` it and go on from there. What can't be a
        record ends the block, counted as malformed. Raises ValueError if the block is not aligned to 8 bytes.
        """
        cdef Py_ssize_t size = block.shape[0]
        cdef const char *data
        if start < 0 or start > size:
            raise ValueError("start lies outside the block")
        if start == size:
            return size
        data = <const char *> &block[0]
        if (<size_t> data + start) % 8:
            raise ValueError("the block is not aligned to 8 bytes")
        self.builder.start_batch()
        with nogil:
            start = self.run(self.pairer, self.builder, data, start, size)
        if start < 0:
            raise MemoryError
        return start

    cdef Py_ssize_t run(self, Pairer pairer, ColumnBuilder builder, const char *data, Py_ssize_t used,
                        Py_ssize_t size) noexcept nogil:
        cdef const char *record
        cdef Call *call
        cdef Py_ssize_t taken
        cdef Py_ssize_t fetched = used if pairer.fd_cache.memory_bytes() >= self.ahead_bytes else size
        if builder.is_full():
            return used
        while used < size:
            if used >= fetched:
                fetched = fetch_ahead(pairer, data, used, size)
            record = data + used
            prefetch(record + RECORDS_AHEAD_BYTES)
            prefetch(record + RECORDS_AHEAD_BYTES + LINE_BYTES)  # a record is seldom longer than two lines
            taken = record_bytes(record, size - used)
            if taken == 0:
                pairer.malformed += 1
                return size
            self.events += 1
            used += taken
            call = pairer.step(record)
            if call != NULL:
                builder.append(call, &pairer.rules[call.number])
                clear_call(call)
            if self.keep_stream and (self.keep(pairer.names.answers.data, pairer.names.answers.used) < 0
                                     or self.keep(record, (<const event_header *> record).size) < 0):
                return -1
            if call != NULL and builder.is_full():
                break
        return min(used, size)  # the last record's padding need not be there

    cdef int keep(self, const char *data, size_t size) noexcept nogil:
        cdef size_t padded = (size + 7) & ~<size_t> 7
        cdef char *moved
        if size == 0:
            return 0
        if self.stream_bytes + padded > self.stream_capacity:
            moved = <char *> realloc(self.stream, self.stream_bytes + padded + (1 << 20))
            if moved == NULL:
                return -1
            self.stream = moved
            self.stream_capacity = self.stream_bytes + padded + (1 << 20)
        memcpy(self.stream + self.stream_bytes, data, size)
        while size < padded:
            self.stream[self.stream_bytes + size] = 0
            size += 1
        self.stream_bytes += padded
        return 0

    def take_stream(self) -> bytes:
        """The records since the last call; empty unless `keep_stream` is set."""
        taken = self.stream[:self.stream_bytes] if self.stream_bytes else b""
        self.stream_bytes = 0
        return taken

    def take(self) -> Columns | None:
        """The rows so far as `Columns`, or None."""
        return self.builder.take()

    def counters(self) -> dict[str, int]:
        """What did not become a row, by cause."""
        return {
            "enter_without_exit": self.pairer.enter_without_exit,
            "exit_without_enter": self.pairer.exit_without_enter,
            "refused_calls": self.pairer.refused,
            "unfinished_calls": self.pairer.unfinished,
            "mismatched": self.pairer.mismatched,
            "malformed": self.pairer.malformed,
            "untracked_fds": self.pairer.fd_cache.untracked,
            "forgotten_threads": self.pairer.forgotten,
            "forgotten_processes": self.pairer.fd_cache.forgotten,
        }
