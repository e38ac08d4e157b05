"""Column arrays that calls are written into (see tracer/schema.py for what they mean)."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uintptr_t

from tracer._fast.calls cimport Call, argument, descriptor_argument, is_errno
from tracer._fast.dictionary cimport clear_dictionary, encode, export_dictionary, free_dictionary, init_dictionary
from tracer._fast.events cimport TRACER_MAX_SYSCALLS, TRACER_QUANTITY_EPOLL_CTL, TRACER_QUANTITY_NONE, syscall_rule
from tracer._fast.text cimport Text, drop, new_text
from tracer._fast.values cimport (
    address_space, call_flags, file_offset, moved_bytes, requested_bytes, requested_sleep, timeout,
)

import errno

import numpy as np


cdef enum:
    MAX_DICTIONARY_BYTES = 32 << 20  # a batch with more text is full, whatever its rows
    EPOLL_ADD = 1
    EPOLL_DEL = 2
    EPOLL_MOD = 3

FILE_SOURCES = ("arg", "fd", "proc", "kernel")  # by the codes of fdcache.Source

EPOLL_OPS = ("ADD", "DEL", "MOD")  # by the kernel's number less one

DTYPES = {
    "time_ns": np.int64, "gap_ns": np.int64, "latency_ns": np.int64, "comm": np.int32, "pid": np.int32, "tid": np.int32,
    "syscall": np.int32, "family": np.int32, "fd": np.int32, "ret": np.int64, "error": np.int32, "is_error": np.uint8,
    "bytes": np.int64, "requested_bytes": np.int64, "offset": np.int64, "flags": np.int64, "file": np.int32,
    "file_source": np.int32, "old_file": np.int32, "address_space_bytes": np.int64, "requested_sleep_ns": np.int64,
    "nfds": np.int32, "timeout_ns": np.int64, "epoll_op": np.int32, "epoll_target_fd": np.int32,
    "epoll_events": np.int64,
}

NULLABLE = (
    "gap_ns", "latency_ns", "fd", "ret", "error", "bytes", "requested_bytes", "offset", "flags", "file", "file_source",
    "old_file", "address_space_bytes", "requested_sleep_ns", "nfds", "timeout_ns", "epoll_op", "epoll_target_fd",
    "epoll_events",
)

SAME_VALIDITY = {"file_source": "file"}

# Python's, but for what it lacks or spells otherwise than the kernel where two names are one number (include/uapi/
# asm-generic/errno.h), and the kernel's own, which only its mistakes let out (include/linux/errno.h).
ERRNO_NAMES = errno.errorcode | {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 133: "EHWPOISON", 515: "ENOIOCTLCMD",
                                 517: "EPROBE_DEFER", 524: "ENOTSUPP"}


cdef Text *make_text(bytes data) except NULL:
    cdef Text *text = new_text(data, <uint32_t> len(data))
    if text == NULL:
        raise MemoryError
    return text


# ---- batches ----

cdef uintptr_t address(array) except 0:
    return array.ctypes.data


class Columns:
    """One batch of rows in columns.

    `arrays[name]` has one item a row (codes of `texts[name]` for text columns, 8 rows a byte for `is_error`),
    `valid[name]` 8 rows a byte, lowest bit first, 1 where there is a value; absent: all are there, None: none is.
    `texts[name]` is (offsets, data) of the distinct texts. Arrays are views of buffers that `release` gives back to the
    builder: use none of them, nor what was made from them without a copy, after that.
    """

    __slots__ = ("_buffers", "_pool", "arrays", "first_seq", "filter_epoch", "rows", "texts", "valid")

    def __init__(self, rows, first_seq, filter_epoch, arrays, valid, texts, buffers, pool):
        self.rows = rows
        self.first_seq = first_seq
        self.filter_epoch = filter_epoch
        self.arrays = arrays
        self.valid = valid
        self.texts = texts
        self._buffers = buffers
        self._pool = pool

    def release(self) -> None:
        """Give the buffers back. Safe to call twice."""
        buffers, self._buffers = self._buffers, None
        if buffers is not None and len(self._pool) < 4:
            self._pool.append(buffers)


@cython.final
cdef class ColumnBuilder:
    """Writes calls into column arrays and hands them out as `Columns`.

    `names[number]` is the syscall with that number, `families` the names that a rule's family counts into. A batch is
    full at `capacity_rows` (a multiple of 8), or earlier when its distinct texts reach 32 MiB.
    """

    def __cinit__(self, list names not None, tuple families not None, *, int capacity_rows=1 << 17):
        cdef int i
        if capacity_rows <= 0 or capacity_rows % 8:
            raise ValueError("capacity_rows: a positive multiple of 8 is meant")
        if len(names) > TRACER_MAX_SYSCALLS or len(families) > 64:
            raise ValueError("a list of names is too long or too short")
        self.capacity_rows = capacity_rows
        self.serial = 1
        self.pool = []
        for i in range(DICTIONARY_COUNT):
            init_dictionary(&self.dictionaries[i], 1 if i == IN_OLD_FILE else 0)
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
        self.start_batch()

    def __dealloc__(self):
        cdef int i
        for i in range(DICTIONARY_COUNT):
            free_dictionary(&self.dictionaries[i])
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
        rows = self.rows
        buffers = self.arrays
        arrays = {name: buffers[name][: (rows + 7) // 8 if name == "is_error" else rows] for name in DTYPES}
        valid = {}
        for name in NULLABLE:
            bits = buffers["has_" + SAME_VALIDITY.get(name, name)][: (rows + 7) // 8]
            valid[name] = bits if bits.any() else None
        texts = {
            "comm": export_dictionary(&self.dictionaries[IN_COMM]),
            "syscall": export_dictionary(&self.dictionaries[IN_SYSCALL]),
            "family": export_dictionary(&self.dictionaries[IN_FAMILY]),
            "error": export_dictionary(&self.dictionaries[IN_ERROR]),
            "file": export_dictionary(&self.dictionaries[IN_FILE]),
            "file_source": export_dictionary(&self.dictionaries[IN_FILE_SOURCE]),
            "old_file": export_dictionary(&self.dictionaries[IN_OLD_FILE]),
            "epoll_op": export_dictionary(&self.dictionaries[IN_EPOLL_OP]),
        }
        columns = Columns(rows, self.first_seq, self.filter_epoch, arrays, valid, texts, buffers, self.pool)
        self.first_seq += rows
        self.start_batch()
        return columns

    cdef int start_batch(self) except -1:
        cdef int bits = self.capacity_rows // 8
        cdef int i
        if self.pool:
            arrays = self.pool.pop()
            for name, array in arrays.items():
                if name == "is_error" or name.startswith("has_"):
                    array.fill(0)
        else:
            arrays = {name: np.zeros(bits if name == "is_error" else self.capacity_rows, dtype)
                      for name, dtype in DTYPES.items()}
            arrays |= {"has_" + name: np.zeros(bits, np.uint8) for name in NULLABLE if name not in SAME_VALIDITY}
        self.arrays = arrays
        self.rows = 0
        self.serial += 1
        self.point_at(arrays)
        for i in range(DICTIONARY_COUNT):
            clear_dictionary(&self.dictionaries[i], self.serial)
        return 0

    cdef int point_at(self, dict arrays) except -1:
        self.at.time_ns = <int64_t *> address(arrays["time_ns"])
        self.at.gap_ns = <int64_t *> address(arrays["gap_ns"])
        self.at.latency_ns = <int64_t *> address(arrays["latency_ns"])
        self.at.comm = <int32_t *> address(arrays["comm"])
        self.at.pid = <int32_t *> address(arrays["pid"])
        self.at.tid = <int32_t *> address(arrays["tid"])
        self.at.syscall = <int32_t *> address(arrays["syscall"])
        self.at.family = <int32_t *> address(arrays["family"])
        self.at.fd = <int32_t *> address(arrays["fd"])
        self.at.ret = <int64_t *> address(arrays["ret"])
        self.at.error = <int32_t *> address(arrays["error"])
        self.at.is_error = <uint8_t *> address(arrays["is_error"])
        self.at.bytes = <int64_t *> address(arrays["bytes"])
        self.at.requested_bytes = <int64_t *> address(arrays["requested_bytes"])
        self.at.offset = <int64_t *> address(arrays["offset"])
        self.at.flags = <int64_t *> address(arrays["flags"])
        self.at.file = <int32_t *> address(arrays["file"])
        self.at.file_source = <int32_t *> address(arrays["file_source"])
        self.at.old_file = <int32_t *> address(arrays["old_file"])
        self.at.address_space_bytes = <int64_t *> address(arrays["address_space_bytes"])
        self.at.requested_sleep_ns = <int64_t *> address(arrays["requested_sleep_ns"])
        self.at.nfds = <int32_t *> address(arrays["nfds"])
        self.at.timeout_ns = <int64_t *> address(arrays["timeout_ns"])
        self.at.epoll_op = <int32_t *> address(arrays["epoll_op"])
        self.at.epoll_target_fd = <int32_t *> address(arrays["epoll_target_fd"])
        self.at.epoll_events = <int64_t *> address(arrays["epoll_events"])
        self.at.has_gap_ns = <uint8_t *> address(arrays["has_gap_ns"])
        self.at.has_latency_ns = <uint8_t *> address(arrays["has_latency_ns"])
        self.at.has_fd = <uint8_t *> address(arrays["has_fd"])
        self.at.has_ret = <uint8_t *> address(arrays["has_ret"])
        self.at.has_error = <uint8_t *> address(arrays["has_error"])
        self.at.has_bytes = <uint8_t *> address(arrays["has_bytes"])
        self.at.has_requested_bytes = <uint8_t *> address(arrays["has_requested_bytes"])
        self.at.has_offset = <uint8_t *> address(arrays["has_offset"])
        self.at.has_flags = <uint8_t *> address(arrays["has_flags"])
        self.at.has_file = <uint8_t *> address(arrays["has_file"])
        self.at.has_old_file = <uint8_t *> address(arrays["has_old_file"])
        self.at.has_address_space_bytes = <uint8_t *> address(arrays["has_address_space_bytes"])
        self.at.has_requested_sleep_ns = <uint8_t *> address(arrays["has_requested_sleep_ns"])
        self.at.has_nfds = <uint8_t *> address(arrays["has_nfds"])
        self.at.has_timeout_ns = <uint8_t *> address(arrays["has_timeout_ns"])
        self.at.has_epoll_op = <uint8_t *> address(arrays["has_epoll_op"])
        self.at.has_epoll_target_fd = <uint8_t *> address(arrays["has_epoll_target_fd"])
        self.at.has_epoll_events = <uint8_t *> address(arrays["has_epoll_events"])
        return 0

    cdef bint is_full(self) noexcept nogil:
        return self.rows == self.capacity_rows or (
            self.dictionaries[IN_FILE].used + self.dictionaries[IN_OLD_FILE].used + self.dictionaries[IN_COMM].used
            >= MAX_DICTIONARY_BYTES)

    cdef int append(self, const Call *call, const syscall_rule *rule) noexcept nogil:
        """Write one call as the next row. The batch must not be full."""
        cdef int row = self.rows
        cdef Pointers *at = &self.at
        at.time_ns[row] = <int64_t> call.enter_ns
        at.pid[row] = <int32_t> call.tgid
        at.tid[row] = <int32_t> call.tid
        at.comm[row] = encode(&self.dictionaries[IN_COMM], call.comm if call.comm != NULL else self.empty_text)
        at.syscall[row] = encode(&self.dictionaries[IN_SYSCALL], self.syscall_texts[call.number])
        at.family[row] = encode(&self.dictionaries[IN_FAMILY], self.family_texts[rule.family & 63])
        if call.has_gap:
            at.gap_ns[row] = <int64_t> call.gap_ns
            set_bit(at.has_gap_ns, row)
        if call.returned:
            self.fill_result(row, call)
        self.fill_file(row, call, rule)
        self.fill_numbers(row, call, rule)
        if rule.quantity != TRACER_QUANTITY_NONE:
            self.fill_quantity(row, call, rule)
        self.rows = row + 1
        return 0

    cdef void fill_result(self, int row, const Call *call) noexcept nogil:
        cdef Pointers *at = &self.at
        at.latency_ns[row] = <int64_t> (call.exit_ns - call.enter_ns) if call.exit_ns > call.enter_ns else 0
        set_bit(at.has_latency_ns, row)
        at.ret[row] = call.ret
        set_bit(at.has_ret, row)
        if is_errno(call.ret):
            set_bit(at.is_error, row)
            at.error[row] = encode(&self.dictionaries[IN_ERROR], self.error_texts[-call.ret])
            set_bit(at.has_error, row)

    cdef void fill_file(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil:
        cdef Pointers *at = &self.at
        cdef int32_t fd = call.returned_fd
        if fd < 0:
            fd = descriptor_argument(call, rule)
        if fd >= 0:
            at.fd[row] = fd
            set_bit(at.has_fd, row)
        if call.file != NULL:
            at.file[row] = encode(&self.dictionaries[IN_FILE], call.file)
            at.file_source[row] = encode(&self.dictionaries[IN_FILE_SOURCE], self.source_texts[call.source & 3])
            set_bit(at.has_file, row)
        if call.old_file != NULL:
            at.old_file[row] = encode(&self.dictionaries[IN_OLD_FILE], call.old_file)
            set_bit(at.has_old_file, row)

    cdef void fill_numbers(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil:
        cdef Pointers *at = &self.at
        if moved_bytes(call, rule, &at.bytes[row]):
            set_bit(at.has_bytes, row)
        if requested_bytes(call, rule, &at.requested_bytes[row]):
            set_bit(at.has_requested_bytes, row)
        if file_offset(call, rule, &at.offset[row]):
            set_bit(at.has_offset, row)
        if call_flags(call, rule, &at.flags[row]):
            set_bit(at.has_flags, row)

    cdef void fill_quantity(self, int row, const Call *call, const syscall_rule *rule) noexcept nogil:
        cdef Pointers *at = &self.at
        if address_space(call, rule, &at.address_space_bytes[row]):
            set_bit(at.has_address_space_bytes, row)
        if requested_sleep(call, rule, &at.requested_sleep_ns[row]):
            set_bit(at.has_requested_sleep_ns, row)
        if rule.nfds_arg >= 0:
            at.nfds[row] = <int32_t> argument(call, rule.nfds_arg)
            set_bit(at.has_nfds, row)
        if timeout(call, rule, &at.timeout_ns[row]):
            set_bit(at.has_timeout_ns, row)
        if rule.quantity == TRACER_QUANTITY_EPOLL_CTL:
            self.fill_epoll(row, call)

    cdef void fill_epoll(self, int row, const Call *call) noexcept nogil:
        cdef Pointers *at = &self.at
        cdef int32_t op = <int32_t> call.args[1]
        at.epoll_target_fd[row] = <int32_t> call.args[2]
        set_bit(at.has_epoll_target_fd, row)
        if EPOLL_ADD <= op <= EPOLL_MOD:
            at.epoll_op[row] = encode(&self.dictionaries[IN_EPOLL_OP], self.epoll_texts[op])
            set_bit(at.has_epoll_op, row)
        if call.has_aux and op != EPOLL_DEL:
            at.epoll_events[row] = <int64_t> <uint32_t> call.aux[0]
            set_bit(at.has_epoll_events, row)


cdef inline void set_bit(uint8_t *bits, int row) noexcept nogil:
    bits[row >> 3] |= 1 << (row & 7)
