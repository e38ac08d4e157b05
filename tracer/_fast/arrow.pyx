"""Batches for Arrow, through its C data interface (https://arrow.apache.org/docs/format/CDataInterface.html): one call
for all columns, and nothing copied."""

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from tracer._fast.batch cimport Buffers, Columns, DICTIONARY_COUNT, Pointers, any_bit, bitmaps, columns_of
from tracer._fast.dictionary cimport Dictionary

from tracer._fast import batch


cdef enum:
    MOST_COLUMNS = 64
    ABSENT = -1

    # values that no array of a batch holds
    IN_SEQ = -2
    IN_TIME = -3
    IN_ZEROS = -4
    IN_EPOCH = -5

COMPUTED = {"seq": IN_SEQ, "time": IN_TIME, "restarts": IN_ZEROS, "filter_epoch": IN_EPOCH}


cdef struct ArrowArray:
    int64_t length
    int64_t null_count
    int64_t offset
    int64_t n_buffers
    int64_t n_children
    const void **buffers
    ArrowArray **children
    ArrowArray *dictionary
    void (*release)(ArrowArray *) noexcept
    void *private_data


cdef struct Source:
    # where a column's parts are, as indices
    int values
    int bitmap
    int dictionary


cdef struct Export:
    # all that Arrow is given of one batch, in one piece of memory
    ArrowArray whole
    const void *no_validity[1]
    ArrowArray *children[MOST_COLUMNS]
    ArrowArray columns[MOST_COLUMNS]
    const void *buffers[MOST_COLUMNS][2]
    ArrowArray texts[DICTIONARY_COUNT]
    const void *text_buffers[DICTIONARY_COUNT][3]
    PyObject *owner  # the Buffers
    int64_t computed[1]  # seq and time of each row, then as 32-bit numbers zeros and the filter's epoch


cdef void release_part(ArrowArray *array) noexcept:
    """A column goes with its batch."""
    array.release = NULL


cdef void release_batch(ArrowArray *array) noexcept with gil:
    cdef Export *export = <Export *> array.private_data
    array.release = NULL
    (<Buffers> export.owner).exports -= 1
    Py_DECREF(<object> export.owner)
    free(export)


cdef inline int64_t whole_microseconds(int64_t time_ns) noexcept nogil:
    """Rounded down, before 1970 too."""
    return time_ns // 1000 - (time_ns % 1000 < 0)  # C's division rounds towards zero


@cython.final
cdef class Exporter:
    """Hands out batches as Arrow record batches with the columns `names`, of which each is one of a batch's.

    Raises ValueError for a name that is not.
    """

    cdef Source sources[MOST_COLUMNS]
    cdef int count

    def __cinit__(self, names):
        values, bitmap_names, texts = list(batch.DTYPES), list(batch.BITMAPS), list(batch.TEXTS)
        self.count = len(names)
        if self.count > MOST_COLUMNS:
            raise ValueError("too many columns")
        for i, name in enumerate(names):
            if name not in batch.DTYPES and name not in COMPUTED:
                raise ValueError(f"no column is called {name!r}")
            valid = batch.SAME_VALIDITY.get(name, name)
            self.sources[i].values = COMPUTED[name] if name in COMPUTED else values.index(name)
            self.sources[i].bitmap = bitmap_names.index(valid) if name in batch.NULLABLE else ABSENT
            self.sources[i].dictionary = texts.index(name) if name in texts else ABSENT

    def export(self, Columns columns not None, int64_t first_seq) -> int:
        """The address of an ArrowArray of the batch, its rows numbered from `first_seq`. Whoever imports it owns it.

        The batch's memory is not used again while the ArrowArray, or what it was moved to, has not been released.
        Raises ValueError if the batch has been released.
        """
        cdef Buffers buffers = columns.held()
        cdef int64_t rows = columns.rows
        cdef Export *export = <Export *> calloc(1, sizeof(Export) + rows * (2 * sizeof(int64_t) + 2 * sizeof(int32_t)))
        if export == NULL:
            raise MemoryError
        with nogil:
            compute(export, columns, first_seq)
            self.describe(export, &buffers.at, buffers.dictionaries, rows)
        buffers.exports += 1
        Py_INCREF(buffers)
        export.owner = <PyObject *> buffers
        return <uintptr_t> &export.whole

    cdef void describe(self, Export *export, Pointers *at, const Dictionary *dictionaries, int64_t rows) noexcept nogil:
        cdef int i
        fill_array(&export.whole, rows, export.no_validity, 1, &release_batch)
        export.whole.n_children = self.count
        export.whole.children = export.children
        export.whole.private_data = export
        for i in range(DICTIONARY_COUNT):
            export.text_buffers[i][1] = dictionaries[i].offsets
            export.text_buffers[i][2] = dictionaries[i].data
            fill_array(&export.texts[i], dictionaries[i].count, export.text_buffers[i], 3, &release_part)
        for i in range(self.count):
            export.children[i] = &export.columns[i]
            self.describe_column(export, i, at, rows)

    cdef void describe_column(self, Export *export, int i, Pointers *at, int64_t rows) noexcept nogil:
        cdef const Source *source = &self.sources[i]
        cdef ArrowArray *column = &export.columns[i]
        cdef uint8_t *bits
        fill_array(column, rows, export.buffers[i], 2, &release_part)
        export.buffers[i][1] = values_of(export, source.values, at, rows)
        if source.dictionary != ABSENT:
            column.dictionary = &export.texts[source.dictionary]
        if source.bitmap != ABSENT:
            bits = bitmaps(at)[source.bitmap]
            export.buffers[i][0] = bits
            column.null_count = -1 if any_bit(bits, <int> ((rows + 7) // 8)) else rows  # -1: Arrow may count


cdef const void *values_of(const Export *export, int values, Pointers *at, int64_t rows) noexcept nogil:
    cdef const int32_t *last = <const int32_t *> (export.computed + 2 * rows)
    if values == IN_SEQ:
        return export.computed
    if values == IN_TIME:
        return export.computed + rows
    if values == IN_ZEROS:
        return last
    if values == IN_EPOCH:
        return last + rows
    return columns_of(at)[values]


cdef void compute(Export *export, Columns columns, int64_t first_seq) noexcept nogil:
    """Write what no array of the batch holds."""
    cdef int64_t rows = columns.rows
    cdef const int64_t *time_ns = columns.buffers.at.time_ns
    cdef int64_t *seq = export.computed
    cdef int64_t *time = seq + rows
    cdef int32_t *epoch = <int32_t *> (time + rows) + rows
    cdef int64_t row
    for row in range(rows):
        seq[row] = first_seq + row
        time[row] = whole_microseconds(<int64_t> (<uint64_t> time_ns[row] + <uint64_t> columns.wall_offset_ns))
        epoch[row] = columns.filter_epoch


cdef void fill_array(ArrowArray *array, int64_t length, const void **buffers, int count,
                     void (*release)(ArrowArray *) noexcept) noexcept nogil:
    array.length = length
    array.n_buffers = count
    array.buffers = buffers
    array.release = release
