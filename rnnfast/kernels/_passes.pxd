cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t

from rnnfast.kernels._passes_table cimport (
    UPDATE_STATES,
    dropout_options,
    map_function,
    passes,
    update_function,
    update_options,
)


cdef enum Kind:
    MAP, SUM_OF_SQUARES, SQUARED_ERROR, CROSS_ENTROPY, UPDATE, DROPOUT


# One pass: which, over what, and how it is cut into tasks. `count` elements, or rows of `width` elements.
cdef struct Pass:
    Kind kind
    const passes *table
    map_function function
    Py_ssize_t itemsize, count, width, per_task
    char *to
    const char *source
    const char *other
    const uint8_t *mask
    const int64_t *targets
    double *sums
    void *states[UPDATE_STATES]
    update_function rule
    const update_options *update
    const dropout_options *dropout
    Py_ssize_t steps, to_row, to_step, source_row, source_step


# A pass over `count` rows of `width` elements, its pointers still to be filled in.
cdef Pass make_pass(Kind kind, Py_ssize_t itemsize, Py_ssize_t count, Py_ssize_t width=*) noexcept

# Run the tasks of a pass; the sum of `sums`, where given, from the first to the last.
cdef double run_pass(Pass *p, cnp.ndarray sums=*)

# Room for the sums of a pass over so many elements.
cdef cnp.ndarray block_sums(Py_ssize_t count)

# An array as a contiguous float32 or float64 array, copied where it must be.
cdef cnp.ndarray real_array(str name, array)

# Check a one-dimensional array that a pass works on where it lies.
cdef cnp.ndarray in_place(str name, array, cnp.ndarray like=*, bint written=*)

# Refuse arrays that overlap: a pass reads one while it writes another.
cdef separate(dict arrays)

# A contiguous bool array of this shape.
cdef cnp.ndarray mask_array(mask, tuple shape, str meaning)

# A copy of whole numbers in a range, as int64.
cdef cnp.ndarray index_array(str name, values, tuple shape, Py_ssize_t least, Py_ssize_t most)
