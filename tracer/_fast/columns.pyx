"""Writing calls into columns (see tracer/schema.py for what they mean)."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t

from tracer._fast.batch cimport (
    BitPlace, Buffers, Columns, IN_COMM, IN_EPOLL_OP, IN_ERROR, IN_FAMILY, IN_FILE, IN_FILE_SOURCE, IN_OLD_FILE,
    IN_SYSCALL, Pointers, bit_place, mark,
)
from tracer._fast.calls cimport Call, argument, descriptor_argument, is_errno
from tracer._fast.events cimport TRACER_MAX_SYSCALLS, TRACER_QUANTITY_EPOLL_CTL, TRACER_QUANTITY_NONE, syscall_rule
from tracer._fast.prefetch cimport LINE_BYTES, prefetch_to_write
from tracer._fast.text cimport Text, drop, new_text
from tracer._fast.values cimport (
    address_space, call_flags, device_number, file_offset, moved_bytes, requested_bytes, requested_sleep, timeout,
)

import errno


cdef enum:
    EPOLL_ADD = 1
    EPOLL_DEL = 2
    EPOLL_MOD = 3
    IN_SECOND_PLACE = 1  # of a text, since it may be a file as well
    LINE_ROWS = LINE_BYTES // 8
    ROWS_AHEAD = 3 * LINE_ROWS  # 2, 5 and 8 lines gain as much or a little less

FILE_SOURCES = ("arg", "fd", "proc", "kernel")  # by the codes of fdcache.Source

EPOLL_OPS = ("ADD", "DEL", "MOD")  # by the kernel's number less one

# Python's, but for what it lacks or spells otherwise than the kernel where two names are one number (include/uapi/
# asm-generic/errno.h), and the kernel's own, which only its mistakes let out (include/linux/errno.h).
ERRNO_NAMES = errno.errorcode | {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 133: "EHWPOISON", 515: "ENOIOCTLCMD",
                                 517: "EPROBE_DEFER", 524: "ENOTSUPP"}


cdef Text *make_text(bytes data) except NULL:
    cdef Text *text = new_text(NULL, data, <uint32_t> len(data))
    if text == NULL:
        raise MemoryError
    return text


@cython.final
cdef class ColumnBuilder:
    """Writes calls into column arrays and hands them out as `Columns`.

    `names[number]` is the syscall with that number, `families` the names that a rule's family counts into. A batch is
    full at `capacity_rows` (a multiple of 8), or earlier when its distinct texts reach about 8 MiB. `wall_offset_ns`,
    wall clock minus boot clock, goes with every batch.
    """

    def __cinit__(self, list names not None, tuple families not None, *, int capacity_rows=1 << 16,
                  int64_t wall_offset_ns=0):
        cdef int i
        if capacity_rows <= 0 or capacity_rows % 8:
            raise ValueError("capacity_rows: a positive multiple of 8 is meant")
        if len(names) > TRACER_MAX_SYSCALLS or len(families) > 64:
            raise ValueError("a list of names is too long")
        self.capacity_rows = capacity_rows
        self.wall_offset_ns = wall_offset_ns
        self.serial = 1
        self.pool = []
        self.empty_text = make_text(b"")
        for i in range(TRACER_MAX_SYSCALLS):
            self.syscall_texts[i] = make_text(names[i].encode() if i < len(names) else b"")
        for i in range(64):
            self.family_texts[i] = make_text(families[i].encode() if i < len(families) else b"")
        for i in range(4096):
            self.error_texts[i] = make_text(ERRNO_NAMES.get(i, str(i)).encode())
        for i in range(4):
            self.source_texts[i] = make_text(FILE_SOURCES[i].encode())
        for i in range(1, 4):
            self.epoll_texts[i] = make_text(EPOLL_OPS[i - 1].encode())

    def __dealloc__(self):
        cdef int i
        drop(self.empty_text)
        for i in range(TRACER_MAX_SYSCALLS):
            drop(self.syscall_texts[i])
        for i in range(64):
            drop(self.family_texts[i])
        for i in range(4096):
            drop(self.error_texts[i])
        for i in range(4):
            drop(self.source_texts[i])
            drop(self.epoll_texts[i])

    def take(self) -> Columns | None:
        """The rows since the last call, in order of completion; None if there are none."""
        if self.rows == 0:
            return None
        columns = <Columns> Columns.__new__(Columns)
        columns.rows = self.rows
        columns.first_seq = self.first_seq
        columns.filter_epoch = self.filter_epoch
        columns.wall_offset_ns = self.wall_offset_ns
        columns.buffers = self.buffers
        columns.pool = self.pool
        self.first_seq += self.rows
        self.rows = 0
        self.buffers = None
        return columns

    cdef int start_batch(self) except -1:
        """Get memory for a batch, unless there is one: as late as can be, so that it is what was given back last
        and still lies in the cache. (2,000 rows, all of the loop: 250 us when got at once, 235 so.)"""
        cdef int used_rows = 0
        if self.buffers is not None:
            return 0
        if self.pool:
            self.buffers, used_rows = self.pool.pop()
        else:
            self.buffers = Buffers(self.capacity_rows)
        self.serial += 1
        self.buffers.start(used_rows, self.serial)
        self.at = self.buffers.at
        self.dictionaries = self.buffers.dictionaries
        self.rows = 0
        return 0

    cdef int append(self, const Call *call, const syscall_rule *rule) noexcept nogil:
        """Write one call as the next row. The batch must not be full."""
        cdef int64_t row = self.rows
        cdef BitPlace place = bit_place(row)
        cdef Pointers *at = &self.at
        if row % LINE_ROWS == 0:
            fetch_lines(at, row + ROWS_AHEAD)
        at.time_ns[row] = <int64_t> call.enter_ns
        at.pid[row] = <int32_t> call.tgid
        at.tid[row] = <int32_t> call.tid
        self.fill_text(at.comm, row, IN_COMM, call.comm if call.comm != NULL else self.empty_text)
        self.fill_text(at.syscall, row, IN_SYSCALL, self.syscall_texts[call.number])
        self.fill_text(at.family, row, IN_FAMILY, self.family_texts[rule.family & 63])
        if call.mount_namespace != 0:
            at.mount_namespace[row] = call.mount_namespace
            mark(at.has_mount_namespace, place)
        if call.has_gap:
            at.gap_ns[row] = <int64_t> call.gap_ns
            mark(at.has_gap_ns, place)
        if call.returned:
            self.fill_result(row, place, call)
        self.fill_file(row, place, call, rule)
        fill_numbers(at, row, place, call, rule)
        if rule.quantity != TRACER_QUANTITY_NONE:
            fill_quantity(at, row, place, call, rule)
            if rule.quantity == TRACER_QUANTITY_EPOLL_CTL:
                self.fill_epoll(row, place, call)
        self.rows += 1
        return 0

    cdef void fill_result(self, int64_t row, BitPlace place, const Call *call) noexcept nogil:
        cdef Pointers *at = &self.at
        at.latency_ns[row] = <int64_t> (call.exit_ns - call.enter_ns) if call.exit_ns > call.enter_ns else 0
        mark(at.has_latency_ns, place)
        at.ret[row] = call.ret
        mark(at.has_ret, place)
        if is_errno(call.ret):
            mark(at.is_error, place)
            if self.fill_text(at.error, row, IN_ERROR, self.error_texts[-call.ret]):
                mark(at.has_error, place)

    cdef void fill_file(self, int64_t row, BitPlace place, const Call *call, const syscall_rule *rule) noexcept nogil:
        cdef Pointers *at = &self.at
        cdef int32_t fd = call.returned_fd
        if fd < 0:
            fd = descriptor_argument(call, rule)
        if fd >= 0:
            at.fd[row] = fd
            mark(at.has_fd, place)
        if call.file != NULL and self.fill_text(at.file, row, IN_FILE, call.file):
            self.fill_text(at.file_source, row, IN_FILE_SOURCE, self.source_texts[call.source & 3])
            mark(at.has_file, place)
            if call.identity.inode != 0:
                at.device[row] = device_number(call.identity.device)
                at.inode[row] = <int64_t> call.identity.inode
                mark(at.has_inode, place)
        if call.old_file != NULL and self.fill_text(at.old_file, row, IN_OLD_FILE, call.old_file, IN_SECOND_PLACE):
            mark(at.has_old_file, place)

    cdef void fill_epoll(self, int64_t row, BitPlace place, const Call *call) noexcept nogil:
        cdef Pointers *at = &self.at
        cdef int32_t op = <int32_t> call.args[1]
        at.epoll_target_fd[row] = <int32_t> call.args[2]
        mark(at.has_epoll_target_fd, place)
        if EPOLL_ADD <= op <= EPOLL_MOD:
            if self.fill_text(at.epoll_op, row, IN_EPOLL_OP, self.epoll_texts[op]):
                mark(at.has_epoll_op, place)
        if call.has_aux and op != EPOLL_DEL:
            at.epoll_events[row] = <int64_t> <uint32_t> call.aux[0]
            mark(at.has_epoll_events, place)


cdef inline void fetch_lines(const Pointers *at, int64_t row) noexcept nogil:
    """Ask for where a row goes in the columns that have a value for many calls: they are more streams of stores than a
    processor is likely to follow of its own accord (docs/performance-baseline.md, step 9)."""
    prefetch_to_write(at.time_ns + row)
    prefetch_to_write(at.gap_ns + row)
    prefetch_to_write(at.latency_ns + row)
    prefetch_to_write(at.comm + row)
    prefetch_to_write(at.pid + row)
    prefetch_to_write(at.tid + row)
    prefetch_to_write(at.syscall + row)
    prefetch_to_write(at.family + row)
    prefetch_to_write(at.fd + row)
    prefetch_to_write(at.ret + row)
    prefetch_to_write(at.bytes + row)
    prefetch_to_write(at.requested_bytes + row)
    prefetch_to_write(at.flags + row)
    prefetch_to_write(at.file + row)
    prefetch_to_write(at.file_source + row)
    prefetch_to_write(at.device + row)
    prefetch_to_write(at.inode + row)


cdef void fill_numbers(Pointers *at, int64_t row, BitPlace place, const Call *call,
                       const syscall_rule *rule) noexcept nogil:
    cdef int64_t value = 0
    if moved_bytes(call, rule, &value):
        at.bytes[row] = value
        mark(at.has_bytes, place)
    if requested_bytes(call, rule, &value):
        at.requested_bytes[row] = value
        mark(at.has_requested_bytes, place)
    if file_offset(call, rule, &value):
        at.offset[row] = value
        mark(at.has_offset, place)
    if call_flags(call, rule, &value):
        at.flags[row] = value
        mark(at.has_flags, place)


cdef void fill_quantity(Pointers *at, int64_t row, BitPlace place, const Call *call,
                        const syscall_rule *rule) noexcept nogil:
    cdef int64_t value = 0
    if address_space(call, rule, &value):
        at.address_space_bytes[row] = value
        mark(at.has_address_space_bytes, place)
    if requested_sleep(call, rule, &value):
        at.requested_sleep_ns[row] = value
        mark(at.has_requested_sleep_ns, place)
    if rule.nfds_arg >= 0:
        at.nfds[row] = <int32_t> argument(call, rule.nfds_arg)
        mark(at.has_nfds, place)
    if timeout(call, rule, &value):
        at.timeout_ns[row] = value
        mark(at.has_timeout_ns, place)
