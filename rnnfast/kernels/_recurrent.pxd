from libc.stdint cimport int64_t

cimport numpy as cnp

from rnnfast.kernels._packed cimport Buffer, Packed, Panels
from rnnfast.kernels._tables cimport MAX_PHASES, kernel_table, rows, step

cdef struct Array3:
    # An array (B, T, features) of the caller: any strides, in bytes.
    char *base
    ptrdiff_t batch, time, element


# What the workers of one call share. Rows are taken in the order of falling length, so that those still running at
# step s are the first active[s]. The rows of all steps lie one after another ("compact"): those of step s start at
# offset[s]; so work and memory follow the sum of the lengths. Row j of step s is at time s, or at length[j] - 1 - s in
# reverse.
cdef struct Plan:
    const Panels *panels
    ptrdiff_t B, T, steps, total
    bint reverse, training, has_lengths
    int64_t *row
    int64_t *length
    int64_t *active
    int64_t *offset
    Array3 x, y
    # Saved in training. States: B initial rows, then the compact rows of all steps.
    char *gates[MAX_PHASES]
    char *h
    char *c
    char *between


cdef class Call:
    """One call in training, from its forward to its backward."""
    cdef Plan plan
    cdef Packed packed
    cdef Buffer order, saved
    cdef object x


cdef Array3 array3(cnp.ndarray array)
cdef rows evenly(char *base, ptrdiff_t stride) noexcept nogil
cdef rows pointed(char **each) noexcept nogil
cdef void point(const Plan *plan, const Array3 *array, ptrdiff_t s, ptrdiff_t first, ptrdiff_t last, char **each) noexcept nogil
cdef ptrdiff_t before(const Plan *plan, ptrdiff_t s) noexcept nogil
cdef ptrdiff_t running(const Plan *plan, ptrdiff_t s, ptrdiff_t last) noexcept nogil
cdef void load_state(const kernel_table *table, char *to, char *state, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil
cdef void store_state(char *state, char *source, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil
cdef void zero_beyond(const Plan *plan, const Array3 *array, ptrdiff_t columns) noexcept nogil
cdef double operations(const Panels *panels) noexcept nogil
cdef ptrdiff_t units_from(const Panels *panels, ptrdiff_t first, ptrdiff_t last) noexcept nogil
cdef void move(char **each, ptrdiff_t count, ptrdiff_t bytes) noexcept nogil
cdef void input_product(const Panels *panels, int j, char **x_rows, char **gate_rows, ptrdiff_t count, ptrdiff_t first,
                        ptrdiff_t last) noexcept nogil
cdef void recurrent_product(const Panels *panels, int j, step *now, const rows *operand, ptrdiff_t count, ptrdiff_t first,
                            ptrdiff_t last, bint training, bint descending) noexcept nogil
