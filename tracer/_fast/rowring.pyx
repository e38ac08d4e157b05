"""The last rows of a session, kept in place: what a list of rows on a screen is made from."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from tracer._fast.batch cimport (
    BITMAP_COUNT, Buffers, COLUMN_COUNT, Columns, DICTIONARY_COUNT, Pointers, bit, bitmaps, columns_of,
)
from tracer._fast.dictionary cimport Dictionary, add_bytes, clear_dictionary, free_dictionary, init_dictionary

from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tracer._fast import batch


cdef enum:
    MOST_ROWS = 1 << 20
    FIRST_QUEUE_BYTES = 1 << 16

Rows = NamedTuple("Rows", [("rows", int), ("wall_offset_ns", int), ("arrays", object), ("valid", object),
                           ("texts", object)])

# By column: bytes of an item (0: eight rows share one), the bitmap of its validity and its texts, or -1.
cdef int item_bytes[COLUMN_COUNT]
cdef int validity[COLUMN_COUNT]
cdef int texts_of[COLUMN_COUNT]
cdef int column_of[DICTIONARY_COUNT]  # the other way round


cdef int describe_columns() except -1:
    cdef int i
    for i, (name, dtype) in enumerate(batch.DTYPES.items()):
        same = batch.SAME_VALIDITY.get(name, name)
        item_bytes[i] = 0 if name == "is_error" else np.dtype(dtype).itemsize
        validity[i] = batch.BITMAPS.index(same) if same in batch.BITMAPS else -1
        texts_of[i] = batch.TEXTS.index(name) if name in batch.TEXTS else -1
        if name in batch.TEXTS:
            column_of[batch.TEXTS.index(name)] = i
    return 0


describe_columns()


cdef inline size_t in_words(size_t size) noexcept nogil:
    return (size + 7) & ~<size_t> 7


# ---- bits ----

cdef inline uint64_t load_bits(const uint8_t *bits, size_t at, int count) noexcept nogil:
    """Some bits, 1 to 64, from a place on. Nothing but the bytes that they lie in is read."""
    cdef uint64_t word = 0
    cdef int shift = at & 7
    bits += at >> 3
    if shift + count > 56:
        memcpy(&word, bits, 8)
        word >>= shift
        if shift + count > 64:
            word |= <uint64_t> bits[8] << (64 - shift)
    else:
        memcpy(&word, bits, (shift + count + 7) >> 3)
        word >>= shift
    return word if count == 64 else word & ((<uint64_t> 1 << count) - 1)


cdef void copy_bits(uint8_t *to, size_t to_at, const uint8_t *bits, size_t at, int count) noexcept nogil:
    """Copy bits, or clear them where `bits` is NULL. `to` has whole words of eight bytes."""
    cdef uint64_t word, kept
    cdef int shift, some
    cdef uint8_t *place
    while count > 0:
        shift = to_at & 63
        some = min(count, 64 - shift)
        word = load_bits(bits, at, some) << shift if bits != NULL else 0
        place = to + (to_at >> 6 << 3)
        if some < 64:
            memcpy(&kept, place, 8)
            word |= kept & ~(((<uint64_t> 1 << some) - 1) << shift)
        memcpy(place, &word, 8)
        to_at += some
        at += some
        count -= some


cdef void export_bits(uint8_t *to, const uint8_t *bits, int slot, int piece, int count) noexcept nogil:
    """Copy a ring's bits from a slot on: a piece up to its end, the others from its start."""
    memset(to, 0, in_words((count + 7) // 8))
    copy_bits(to, 0, bits, slot, piece)
    copy_bits(to, piece, bits, 0, count - piece)


cdef bint any_bit(const uint8_t *bits, size_t at, int count) noexcept nogil:
    cdef int some
    while count > 0:
        some = min(count, 64)
        if load_bits(bits, at, some):
            return True
        at += some
        count -= some
    return False


# ---- texts ----

cdef int translate(const int32_t *codes, const uint8_t *bits, int at, int rows, const int32_t *offsets,
                   const char *data, int32_t *known, Dictionary *to, int32_t *out) noexcept nogil:
    """Codes of other texts become codes of `to`, by row; 0 where the row has none. -1 when memory is out.

    `known` holds by old code the new one, or -1. `bits` NULL: each row has a text.
    """
    cdef int32_t code, found
    cdef int i
    for i in range(rows):
        out[i] = 0
        if bits != NULL and not bit(bits, at + i):
            continue
        code = codes[at + i]
        found = known[code]
        if found < 0:
            found = add_bytes(to, data + offsets[code], <uint64_t> (offsets[code + 1] - offsets[code]))
            if found < 0:
                return -1
            known[code] = found
        out[i] = found
    return 0


cdef size_t segment_size(const Dictionary *dictionaries) noexcept nogil:
    cdef size_t size = sizeof(Segment)
    cdef int i
    for i in range(DICTIONARY_COUNT):
        size += (<size_t> dictionaries[i].count + 1) * sizeof(int32_t) + dictionaries[i].used
    return in_words(size)


cdef void write_texts(Segment *segment, const Dictionary *dictionaries) noexcept nogil:
    cdef char *at = <char *> (segment + 1)
    cdef size_t size
    cdef int i
    for i in range(DICTIONARY_COUNT):
        segment.counts[i] = dictionaries[i].count
        segment.used[i] = dictionaries[i].used
        size = (<size_t> dictionaries[i].count + 1) * sizeof(int32_t)
        memcpy(at, dictionaries[i].offsets, size)
        at += size
    for i in range(DICTIONARY_COUNT):
        memcpy(at, dictionaries[i].data, dictionaries[i].used)
        at += dictionaries[i].used


cdef tuple export_texts(const Dictionary *dictionary):
    cdef bytes offsets = PyBytes_FromStringAndSize(<const char *> dictionary.offsets,
                                                   (<Py_ssize_t> dictionary.count + 1) * 4)
    cdef bytes data = PyBytes_FromStringAndSize(dictionary.data, <Py_ssize_t> dictionary.used)
    return np.frombuffer(offsets, np.int32), np.frombuffer(data, np.uint8)


@cython.final
cdef class RowRing:
    """The last `capacity` rows (1 to 1,048,576) of all that it was given; the oldest are overwritten.

    Numbers take 175 bytes a row, from the start on. Texts are kept once a batch, for as long as one of its rows is in
    here. Memory for them grows as they need it, up to a few times what the longest texts of twice `capacity` rows need.
    Safe to use from several threads.
    """

    def __cinit__(self, int capacity=10_000):
        cdef int i
        for i in range(DICTIONARY_COUNT):
            init_dictionary(&self.dictionaries[i])
        if not 0 < capacity <= MOST_ROWS:
            raise ValueError(f"capacity: 1 to {MOST_ROWS} are meant, not {capacity}")
        self.capacity = capacity
        self.buffers = Buffers((capacity + 63) // 64 * 64)

    def __dealloc__(self):
        cdef int i
        for i in range(DICTIONARY_COUNT):
            free_dictionary(&self.dictionaries[i])
        free(self.queue)
        free(self.codes)

    @property
    def memory_bytes(self) -> int:
        """What it takes now."""
        cdef size_t texts
        cdef int i
        with self.lock:
            texts = self.queue_bytes + self.codes_capacity * sizeof(int32_t)
            for i in range(DICTIONARY_COUNT):
                texts += self.dictionaries[i].capacity + self.dictionaries[i].most * 12 \
                    + (<size_t> self.dictionaries[i].mask + 1) * 4
        return texts + sum(array.nbytes for array in self.buffers.arrays.values())

    # ---- adding rows ----

    def consume(self, Columns columns not None) -> None:
        """Add the rows of a batch. Raises ValueError if it has been released."""
        cdef Buffers held = columns.held()
        cdef int failed
        with nogil, self.lock:
            self.wall_offset_ns = columns.wall_offset_ns
            failed = self.add(&held.at, held.dictionaries, columns.rows, columns.first_seq, columns.filter_epoch)
        if failed:
            raise MemoryError

    cdef int add(self, const Pointers *at, Dictionary *dictionaries, int rows, int64_t first_seq,
                 int32_t filter_epoch) noexcept nogil:
        """-1 when memory is out: nothing has been added then."""
        cdef int start = max(0, rows - self.capacity)
        cdef int piece
        cdef Segment *segment
        rows -= start
        # Rows that will be overwritten go first: their texts make room.
        self.held = min(self.held, self.capacity - rows)
        self.drop_segments(self.seen - self.held)
        if start:
            self.next = 0
            if self.translate_batch(at, dictionaries, start) < 0:
                return -1
            dictionaries = self.dictionaries
        segment = self.reserve(segment_size(dictionaries))
        if segment == NULL:
            return -1
        segment.first = self.seen + start
        segment.first_seq = first_seq + start
        segment.rows = rows
        segment.filter_epoch = filter_epoch
        write_texts(segment, dictionaries)
        piece = min(rows, self.capacity - self.next)
        self.copy_rows(at, start, self.next, piece, start == 0)
        self.copy_rows(at, start + piece, 0, rows - piece, start == 0)
        self.next = (self.next + rows) % self.capacity
        self.held += rows
        self.seen += start + rows
        return 0

    cdef int translate_batch(self, const Pointers *at, const Dictionary *dictionaries, int start) noexcept nogil:
        """Fill an empty ring's text columns from a row of a batch on, with the texts of these rows alone."""
        cdef const uint8_t *bits
        cdef int i, j
        for i in range(DICTIONARY_COUNT):
            j = column_of[i]
            bits = bitmaps(at)[validity[j]] if validity[j] >= 0 else NULL
            clear_dictionary(&self.dictionaries[i], 0)
            if self.forget_codes(dictionaries[i].count) < 0 or translate(
                    <const int32_t *> columns_of(at)[j], bits, start, self.capacity, dictionaries[i].offsets,
                    dictionaries[i].data, self.codes, &self.dictionaries[i],
                    <int32_t *> columns_of(&self.buffers.at)[j]) < 0:
                return -1
        return 0

    cdef int forget_codes(self, uint32_t count) noexcept nogil:
        cdef void *moved
        if count > self.codes_capacity:
            moved = realloc(self.codes, <size_t> count * 2 * sizeof(int32_t))
            if moved == NULL:
                return -1
            self.codes = <int32_t *> moved
            self.codes_capacity = <size_t> count * 2
        if count:
            memset(self.codes, 0xFF, count * sizeof(int32_t))
        return 0

    cdef void copy_rows(self, const Pointers *at, int start, int slot, int rows, bint with_texts) noexcept nogil:
        """Copy rows of a batch to places that lie side by side. Columns in which none has a value are left as they are.
        """
        cdef bint used[BITMAP_COUNT]
        cdef const uint8_t *bits
        cdef size_t size
        cdef int i
        if rows == 0:
            return
        for i in range(BITMAP_COUNT):
            bits = bitmaps(at)[i]
            used[i] = any_bit(bits, start, rows)
            copy_bits(bitmaps(&self.buffers.at)[i], slot, bits if used[i] else NULL, start, rows)
        for i in range(COLUMN_COUNT):
            if item_bytes[i] == 0:
                copy_bits(<uint8_t *> columns_of(&self.buffers.at)[i], slot, <uint8_t *> columns_of(at)[i], start, rows)
            elif (validity[i] < 0 or used[validity[i]]) and (with_texts or texts_of[i] < 0):
                size = item_bytes[i]
                memcpy(columns_of(&self.buffers.at)[i] + slot * size, columns_of(at)[i] + start * size, rows * size)

    # ---- segments ----

    cdef void drop_segments(self, int64_t before) noexcept nogil:
        """Drop those that have no row from that number on."""
        cdef const Segment *segment
        while self.segments:
            segment = <const Segment *> (self.queue + self.head)
            if segment.first + segment.rows > before:
                return
            self.head = self.after(self.head)
            self.wrapped = self.wrapped and self.head != 0
            self.segments -= 1
        self.head = self.tail = 0
        self.wrapped = False

    cdef inline size_t after(self, size_t place) noexcept nogil:
        """Where the segment behind the one at that place lies."""
        place += (<const Segment *> (self.queue + place)).size
        return 0 if self.wrapped and place == self.wrap_at else place

    cdef Segment *reserve(self, size_t size) noexcept nogil:
        """A new segment behind the others; NULL when memory is out."""
        cdef Segment *segment
        if not self.wrapped and size > self.queue_bytes - self.tail and size <= self.head:
            self.wrapped = True
            self.wrap_at = self.tail
            self.tail = 0
        if size > (self.head if self.wrapped else self.queue_bytes) - self.tail and self.grow(size) < 0:
            return NULL
        segment = <Segment *> (self.queue + self.tail)
        segment.size = size
        self.tail += size
        self.segments += 1
        return segment

    cdef int grow(self, size_t size) noexcept nogil:
        """Room for one more segment, at least twice of what there was; the segments move to the start."""
        cdef size_t upper = (self.wrap_at if self.wrapped else self.tail) - self.head
        cdef size_t lower = self.tail if self.wrapped else 0
        cdef size_t capacity = max(self.queue_bytes * 2, <size_t> FIRST_QUEUE_BYTES)
        cdef char *queue
        while capacity < upper + lower + size:
            capacity *= 2
        queue = <char *> malloc(capacity)
        if queue == NULL:
            return -1
        if self.segments:
            memcpy(queue, self.queue + self.head, upper)
            memcpy(queue + upper, self.queue, lower)
        free(self.queue)
        self.queue = queue
        self.queue_bytes = capacity
        self.head = 0
        self.tail = upper + lower
        self.wrapped = False
        return 0

    # ---- snapshots ----

    def snapshot(self, rows=None) -> Rows:
        """A copy of the last `rows` of them, or of all; fewer if there are not so many.

        Raises ValueError if it is below 0.
        """
        if rows is not None and rows < 0:
            raise ValueError(f"rows: 0 or more are meant, not {rows}")
        with self.lock:
            return self.copy(self.held if rows is None else min(rows, self.held))

    cdef inline int slot_of(self, int64_t number) noexcept nogil:
        """The place of the row of that number."""
        cdef int slot = <int> (self.next - (self.seen - number))
        return slot if slot >= 0 else slot + self.capacity

    cdef object copy(self, int count):
        cdef size_t bits = in_words((count + 7) // 8)
        cdef size_t wide = <size_t> count * 8
        cdef size_t narrow = in_words(<size_t> count * 4)
        cdef Pointers to
        cdef int i
        cdef size_t place = wide + narrow
        cdef size_t places[COLUMN_COUNT + BITMAP_COUNT]
        cdef bytes memory
        cdef char *start
        cdef int failed
        for i in range(COLUMN_COUNT):
            places[i] = place
            place += wide if item_bytes[i] == 8 else narrow if item_bytes[i] == 4 else bits
        for i in range(BITMAP_COUNT):
            places[COLUMN_COUNT + i] = place
            place += bits
        memory = PyBytes_FromStringAndSize(NULL, place)
        start = PyBytes_AS_STRING(memory)
        for i in range(COLUMN_COUNT + BITMAP_COUNT):
            (<char **> &to)[i] = start + places[i]
        with nogil:
            self.export_rows(&to, count)
            failed = self.export_segments(&to, count, <int64_t *> start, <int32_t *> (start + wide))
        if failed:
            raise MemoryError
        return self.describe(memory, count, places)

    cdef void export_rows(self, const Pointers *to, int count) noexcept nogil:
        """Copy all but the codes of texts."""
        cdef const Pointers *at = &self.buffers.at
        cdef int slot = self.slot_of(self.seen - count)
        cdef int piece = min(count, self.capacity - slot)
        cdef size_t size
        cdef int i
        for i in range(COLUMN_COUNT):
            size = item_bytes[i]
            if size == 0:
                export_bits(<uint8_t *> columns_of(to)[i], <uint8_t *> columns_of(at)[i], slot, piece, count)
            elif texts_of[i] < 0:
                memcpy(columns_of(to)[i], columns_of(at)[i] + slot * size, piece * size)
                memcpy(columns_of(to)[i] + piece * size, columns_of(at)[i], (count - piece) * size)
        for i in range(BITMAP_COUNT):
            export_bits(bitmaps(to)[i], bitmaps(at)[i], slot, piece, count)

    cdef int export_segments(self, const Pointers *to, int count, int64_t *seq, int32_t *epochs) noexcept nogil:
        """Write what is known by batch: sequence numbers, epochs, and texts, told apart anew."""
        cdef const Segment *segment
        cdef int64_t oldest = self.seen - count
        cdef int64_t number, first
        cdef size_t place = self.head
        cdef int i, _
        for i in range(DICTIONARY_COUNT):
            clear_dictionary(&self.dictionaries[i], 0)
        for _ in range(self.segments):
            segment = <const Segment *> (self.queue + place)
            place = self.after(place)
            first = max(segment.first, oldest)
            for number in range(first, segment.first + segment.rows):
                seq[number - oldest] = segment.first_seq + (number - segment.first)
                epochs[number - oldest] = segment.filter_epoch
            if first < segment.first + segment.rows and \
                    self.export_codes(to, segment, first, <int> (first - oldest)) < 0:
                return -1
        return 0

    cdef int export_codes(self, const Pointers *to, const Segment *segment, int64_t first, int row) noexcept nogil:
        """Write the codes of a segment's texts, from the row of number `first` on."""
        cdef const char *offsets = <const char *> (segment + 1)
        cdef const char *data = offsets
        cdef int slot = self.slot_of(first)
        cdef int rows = <int> (segment.first + segment.rows - first)
        cdef int piece = min(rows, self.capacity - slot)
        cdef const uint8_t *bits
        cdef const int32_t *codes
        cdef Dictionary *texts
        cdef int32_t *out
        cdef int i, j
        for i in range(DICTIONARY_COUNT):
            data += (<size_t> segment.counts[i] + 1) * sizeof(int32_t)
        for i in range(DICTIONARY_COUNT):
            j = column_of[i]
            out = <int32_t *> columns_of(to)[j] + row
            codes = <const int32_t *> columns_of(&self.buffers.at)[j]
            bits = bitmaps(&self.buffers.at)[validity[j]] if validity[j] >= 0 else NULL
            texts = &self.dictionaries[i]
            if segment.counts[i] == 0 and bits != NULL:
                memset(out, 0, rows * sizeof(int32_t))
            elif self.forget_codes(segment.counts[i]) < 0 \
                    or translate(codes, bits, slot, piece, <const int32_t *> offsets, data, self.codes,
                                 texts, out) < 0 \
                    or translate(codes, bits, 0, rows - piece, <const int32_t *> offsets, data,
                                 self.codes, texts, out + piece) < 0:
                return -1
            offsets += (<size_t> segment.counts[i] + 1) * sizeof(int32_t)
            data += segment.used[i]
        return 0

    cdef object describe(self, bytes memory, int count, const size_t *places):
        """Read-only arrays over the memory that rows were copied to."""
        cdef dict texts = {name: export_texts(&self.dictionaries[i]) for i, name in enumerate(batch.TEXTS)}
        cdef dict arrays = {"seq": np.frombuffer(memory, np.int64, count),
                            "filter_epoch": np.frombuffer(memory, np.int32, count, <size_t> count * 8)}
        cdef dict valid = {}
        cdef int bits = (count + 7) // 8
        cdef size_t place
        cdef int i
        for i, (name, dtype) in enumerate(batch.DTYPES.items()):
            arrays[name] = np.frombuffer(memory, dtype, count if item_bytes[i] else bits, places[i])
            if name in batch.NULLABLE:
                place = places[COLUMN_COUNT + validity[i]]
                valid[name] = np.frombuffer(memory, np.uint8, bits, place) \
                    if any_bit(<const uint8_t *> PyBytes_AS_STRING(memory) + place, 0, count) else None
        return Rows(count, self.wall_offset_ns, MappingProxyType(arrays), MappingProxyType(valid),
                    MappingProxyType(texts))
