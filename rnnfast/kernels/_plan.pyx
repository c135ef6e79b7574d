"""Where the rows of one call lie: in the caller's arrays, and in what training saves."""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._packed cimport Panels
from rnnfast.kernels._tables cimport kernel_table, rows

cnp.import_array()


cdef Array3 array3(cnp.ndarray array):
    cdef Array3 made
    made.base = cnp.PyArray_BYTES(array)
    made.batch, made.time, made.element = cnp.PyArray_STRIDE(array, 0), cnp.PyArray_STRIDE(array, 1), cnp.PyArray_STRIDE(array, 2)
    return made


cdef int make_plan(Call call, const Panels *panels, ptrdiff_t B, ptrdiff_t T, lengths, bint reverse, bint training) except -1:
    """Order the rows, and where they differ in length count the running ones of each step."""
    cdef Plan *plan = &call.plan
    cdef ptrdiff_t s, j
    cdef bint counted = lengths is not None and training
    cdef cnp.ndarray order, ordered
    plan.panels, plan.B, plan.T, plan.reverse, plan.training = panels, B, T, reverse, training
    plan.has_lengths = lengths is not None
    if plan.has_lengths:
        order = np.argsort(-lengths, kind="stable").astype(np.int64)
        ordered = lengths[order]
    # Not T: without rows nothing bounds it.
    plan.steps = 0 if B == 0 else T if lengths is None else ordered[0]
    plan.total = B * plan.steps if lengths is None else ordered.sum()
    plan.segment, plan.segments, plan.room = plan.steps, 1, plan.total
    plan.first_step, plan.last_step, plan.first_row, plan.last_row, plan.rest = 0, plan.steps, 0, plan.total, 0
    call.order = Buffer.of(times(2 * (B + (plan.steps + 1 if counted else 0)), sizeof(int64_t)))
    plan.row = <int64_t *>call.order.start
    plan.length = plan.row + B
    if lengths is None:
        for j in range(B):
            plan.row[j], plan.length[j] = j, T
        return 0
    memcpy(plan.row, cnp.PyArray_DATA(order), B * sizeof(int64_t))
    memcpy(plan.length, cnp.PyArray_DATA(ordered), B * sizeof(int64_t))
    if counted:
        plan.active = plan.row + 2 * B
        plan.offset = plan.active + plan.steps + 1
        plan.offset[0] = 0
        j = B
        for s in range(plan.steps + 1):
            while j > 0 and plan.length[j - 1] <= s:
                j -= 1
            plan.active[s] = j
            if s < plan.steps:
                plan.offset[s + 1] = plan.offset[s] + j
    return 0


cdef void point(const Plan *plan, const Array3 *array, ptrdiff_t s, ptrdiff_t first, ptrdiff_t last, char **each) noexcept nogil:
    """Where the rows [first, last) of step s lie in an array of the caller."""
    cdef ptrdiff_t j, time
    for j in range(first, last):
        time = plan.length[j] - 1 - s if plan.reverse else s
        each[j - first] = array.base + plan.row[j] * array.batch + time * array.time


cdef void load_state(const kernel_table *table, char *to, char *state, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil:
    """One row of a caller's state, or zeros where there is none."""
    cdef rows target = evenly(to, 0), source
    if state is NULL:
        memset(to, 0, (H + table.lanes - 1) // table.lanes * table.lanes * size)
    else:
        source = evenly(state + row * H * size, 0)
        table.load_rows(&target, &source, size, 1, H)


cdef void zero_beyond(const Plan *plan, const Array3 *array, ptrdiff_t columns) noexcept nogil:
    """Zero a caller's array where the sequences have ended."""
    cdef ptrdiff_t j, t, k, size = plan.panels.itemsize
    cdef char *at
    for j in range(plan.B):
        for t in range(plan.length[j], plan.T):
            at = array.base + plan.row[j] * array.batch + t * array.time
            if array.element == size:
                memset(at, 0, columns * size)
            else:
                for k in range(columns):
                    memset(at + k * array.element, 0, size)
