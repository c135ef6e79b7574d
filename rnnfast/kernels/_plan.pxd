from libc.stdint cimport int64_t
from libc.string cimport memcpy

cimport numpy as cnp

from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._packed cimport Packed, Panels
from rnnfast.kernels._passes_table cimport dropout_options
from rnnfast.kernels._tables cimport MAX_PHASES, kernel_table, rows

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
    # The steps that are saved at once, in so many segments: see _segments.pyx. Of the open one: its steps, its compact rows,
    # and how many rows after them still wait for their weight gradients. `room`: compact rows that there is memory for.
    ptrdiff_t segment, segments, room
    ptrdiff_t first_step, last_step, first_row, last_row, rest
    bint reverse, training, has_lengths
    int64_t *row
    int64_t *length
    # Where rows differ in length, in training.
    int64_t *active
    int64_t *offset
    Array3 x, y
    # Saved in training. States: B initial rows, then the compact rows of all steps.
    char *gates[MAX_PHASES]
    char *h
    char *c
    char *between
    # The two products where each is normalised (elsewhere the gates themselves), and two numbers a row.
    char *x_gates
    char *h_gates
    char *stats
    # Recurrent dropout: a row for each sequence, and what the recurrent product takes in the place of h.
    char *mask
    char *masked
    dropout_options dropout
    # Zoneout: where its masks come from.
    dropout_options zone_h, zone_c
    bint is_traced
    bint draws  # masks are drawn: else what is dropped has its share, as in inference
    char *traced[MAX_PHASES]  # what enters each activation, where a trace is wanted


cdef class Call:
    """One call in training, from its forward to its backward."""
    cdef Plan plan
    cdef Packed packed
    cdef Buffer order, saved
    cdef object x


cdef Array3 array3(cnp.ndarray array)
cdef void point(const Plan *plan, const Array3 *array, ptrdiff_t s, ptrdiff_t first, ptrdiff_t last, char **each) noexcept nogil
cdef int make_plan(Call call, const Panels *panels, ptrdiff_t B, ptrdiff_t T, lengths, bint reverse, bint training) except -1
cdef void load_state(const kernel_table *table, char *to, char *state, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil
cdef void zero_beyond(const Plan *plan, const Array3 *array, ptrdiff_t columns) noexcept nogil


cdef inline rows evenly(char *base, ptrdiff_t stride) noexcept nogil:
    cdef rows made
    made.base, made.stride, made.each = base, stride, NULL
    return made


cdef inline rows pointed(char **each) noexcept nogil:
    cdef rows made
    made.base, made.stride, made.each = NULL, 0, each
    return made


cdef inline ptrdiff_t active(const Plan *plan, ptrdiff_t s) noexcept nogil:
    """How many rows have a step s."""
    cdef ptrdiff_t low = 0, high = plan.B, middle
    if not plan.has_lengths:
        return plan.B if s < plan.steps else 0
    if plan.active is not NULL:
        return plan.active[s]
    while low < high:
        middle = (low + high) // 2
        if plan.length[middle] > s:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline ptrdiff_t offset(const Plan *plan, ptrdiff_t s) noexcept nogil:
    """The compact row where step s begins; in training alone."""
    return plan.offset[s] if plan.has_lengths else s * plan.B


cdef inline ptrdiff_t before(const Plan *plan, ptrdiff_t s) noexcept nogil:
    """The saved row of the state before row 0 of step s; the state after it is at row B + offset[s]."""
    return plan.B + offset(plan, s - 1) if s > 0 else 0


cdef inline ptrdiff_t running(const Plan *plan, ptrdiff_t s, ptrdiff_t last) noexcept nogil:
    return min(active(plan, s), last)


cdef inline void store_state(char *state, char *source, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil:
    memcpy(state + row * H * size, source, H * size)


cdef inline ptrdiff_t units_from(const Panels *panels, ptrdiff_t first, ptrdiff_t last) noexcept nogil:
    """How many numbers of h the vectors [first, last) hold; all of them where the arithmetic runs on whole rows."""
    return panels.output_size if panels.whole else min(panels.hidden_size, last * panels.lanes) - first * panels.lanes


cdef inline void move(char **each, ptrdiff_t count, ptrdiff_t bytes) noexcept nogil:
    cdef ptrdiff_t r
    if bytes:
        for r in range(count):
            each[r] += bytes
