"""Attention for one step of many rows, forward and backward; the loop over the steps is in _feeding.pyx.

Every kind of score is one of two: a product of the query with keys, or v . tanh(query + key). What turns the memory into
keys does not depend on the step: the caller does it once.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._attention_table cimport ATTENTION_LINES
from rnnfast.kernels._linear cimport affine_rows
from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._plan cimport Plan, evenly, point, pointed
from rnnfast.kernels._products cimport zero_row
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport PLAIN_WIDTH, kernel_table, product, rows

cnp.import_array()


cdef ptrdiff_t padded(ptrdiff_t count) noexcept nogil:
    return (count + ATTENTION_LINES - 1) // ATTENTION_LINES * ATTENTION_LINES


cdef class Memory:
    """Keys and values of M sources, packed. Immutable.

    Parameters
    ----------
    keys : ndarray of shape (M, S, K)
    values : ndarray of shape (M, S, F)
        Float32 or float64, both C-contiguous and aligned.
    lengths : int64 ndarray of shape (M,), or None
        How many positions of each count, 0 to S; the others are not read. The caller has checked them.
    additive : bool
        Whether scores are v . tanh(query + key); else they are query . key.
    training : bool
        Pack for the backward pass too.
    """

    def __cinit__(self, cnp.ndarray keys not None, cnp.ndarray values not None, lengths, bint additive, bint training):
        cdef Sources *made = &self.sources
        cdef ptrdiff_t size = keys.itemsize, S = cnp.PyArray_DIM(keys, 1), K = cnp.PyArray_DIM(keys, 2)
        cdef ptrdiff_t F = cnp.PyArray_DIM(values, 2), m, across, each
        cdef char *at
        self.count = cnp.PyArray_DIM(keys, 0)
        made.table = kernels_of(<int>size)
        made.additive, made.positions, made.key_size, made.value_size = additive, S, K, F
        made.score_row, made.key_row, made.value_row = padded(S) * size, padded(K) * size, padded(F) * size
        made.keys_step = S * made.key_row if additive else K * made.score_row
        made.keys_back_step = S * made.key_row if training and not additive else 0
        made.values_step = S * made.value_row
        made.values_back_step = F * made.score_row if training else 0
        each = made.keys_step + made.keys_back_step + made.values_step + made.values_back_step
        self.room = Buffer.of(times(self.count, each) + 64)
        made.keys = self.room.start
        made.keys_back = made.keys + self.count * made.keys_step
        made.values = made.keys_back + self.count * made.keys_back_step
        made.values_back = made.values + self.count * made.values_step
        self.lengths = Buffer.of(times(self.count, sizeof(int64_t)) + 64)
        made.length = <int64_t *>self.lengths.start
        for m in range(self.count):
            made.length[m] = S
        if lengths is not None:
            memcpy(made.length, cnp.PyArray_DATA(<cnp.ndarray>lengths), self.count * sizeof(int64_t))
        with nogil:
            for m in range(self.count):
                pack_source(made, m, cnp.PyArray_BYTES(keys) + m * S * K * size, cnp.PyArray_BYTES(values) + m * S * F * size,
                            training)


cdef void pack_source(const Sources *made, ptrdiff_t m, char *keys, char *values, bint training) noexcept nogil:
    cdef const kernel_table *table = made.table
    cdef ptrdiff_t size = table.itemsize, L = made.length[m], vectors = (L + table.lanes - 1) // table.lanes
    cdef rows k = evenly(keys, made.key_size * size), v = evenly(values, made.value_size * size)
    cdef char *to = made.keys + m * made.keys_step
    cdef ptrdiff_t j
    if made.additive:
        for j in range(L):
            memcpy(to, keys + j * k.stride, k.stride)
            memset(to + k.stride, 0, made.key_row - k.stride)
            to += made.key_row
    else:
        table.pack_columns(to, &k, L, made.key_size, vectors, PLAIN_WIDTH)
        if training:
            table.pack_rows(made.keys_back + m * made.keys_back_step, &k, size, L, made.key_size)
    table.pack_rows(made.values + m * made.values_step, &v, size, L, made.value_size)
    if training:
        table.pack_columns(made.values_back + m * made.values_back_step, &v, L, made.value_size, vectors, PLAIN_WIDTH)


cdef void multiply_row(const kernel_table *table, char *row, ptrdiff_t depth, const char *matrix, ptrdiff_t columns,
                       char *to) noexcept nogil:
    """One row times a packed matrix (depth, columns); `to` has whole vectors."""
    cdef product p
    memset(&p, 0, sizeof(product))
    p.a, p.c, p.init = evenly(row, 0), evenly(to, 0), evenly(zero_row(), 0)
    p.c_panel = PLAIN_WIDTH * table.lanes * table.itemsize
    p.count, p.depth, p.segments, p.repeats = 1, depth, 1, 1
    p.b, p.width, p.vectors = matrix, PLAIN_WIDTH, (columns + table.lanes - 1) // table.lanes
    table.multiply(&p)


cdef ptrdiff_t look_scratch(const Look *look, ptrdiff_t count) noexcept nogil:
    cdef ptrdiff_t found = look.sources.score_row + max(look.sources.key_row, look.sources.value_row), widest = 0
    if look.ahead is not NULL:
        widest = look.ahead.row_size
    if look.back is not NULL:
        widest = max(widest, look.back.row_size)
    return found + count * widest


cdef void attend(const Look *look, const Plan *plan, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count, char **each,
                 char *scratch) noexcept nogil:
    cdef const Sources *held = look.sources
    cdef const kernel_table *table = held.table
    cdef ptrdiff_t size = table.itemsize, S = held.positions, L, j, b, m
    cdef char *scores = scratch
    cdef char *wide = scores + held.score_row
    cdef char *many = wide + max(held.key_row, held.value_row)
    cdef char *weights
    cdef char *coverage = NULL
    cdef rows own, user
    if held.additive:
        point(plan, &look.queries, s, first, first + count, each)
        user, own = pointed(each), evenly(many, look.ahead.row_size)
        affine_rows(look.ahead, &user, many, count)
        point(plan, &look.projected, s, first, first + count, each)
        table.store_rows(&user, size, &own, count, held.key_size)
    for j in range(first, first + count):
        b = plan.row[j]
        m = look.source[b] if look.source is not NULL else b
        L = held.length[m]
        weights = row_of(&look.weights, b, s)
        if look.coverage.base is not NULL:
            coverage = row_of(&look.coverage, b, s)
        if L == 0:
            memset(scores, 0, S * size)
            memset(wide, 0, held.value_size * size)
        else:
            if held.additive:
                table.attention.additive(scores, row_of(&look.projected, b, s), held.keys + m * held.keys_step, look.weight,
                                         look.along, coverage, L, held.key_row // size)
            else:
                multiply_row(table, row_of(&look.queries, b, s), held.key_size, held.keys + m * held.keys_step, L, scores)
            table.attention.softmax(scores, L)
            multiply_row(table, scores, L, held.values + m * held.values_step, held.value_size, wide)
        memcpy(weights, scores, L * size)
        memset(weights + L * size, 0, (S - L) * size)
        memcpy(row_of(&look.context, b, s), wide, held.value_size * size)
        if coverage is not NULL:
            memcpy(row_of(&look.coverage, b, s + 1), coverage, S * size)
            table.passes.accumulate(row_of(&look.coverage, b, s + 1), weights, S)


cdef void attend_back(const Look *look, const Plan *plan, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count, char **each,
                      char *scratch, char **targets) noexcept nogil:
    cdef const Sources *held = look.sources
    cdef const kernel_table *table = held.table
    cdef ptrdiff_t size = table.itemsize, S = held.positions, L, j, b, width = held.key_row // size
    cdef char *gradient = scratch
    cdef char *wide = gradient + held.score_row
    cdef char *many = wide + max(held.key_row, held.value_row)
    cdef char *carried = NULL
    cdef char *coverage = NULL
    cdef rows user
    for j in range(first, first + count):
        b = plan.row[j]
        L = held.length[b]
        if look.coverage.base is not NULL:
            carried, coverage = look.carried + b * held.score_row, row_of(&look.coverage, b, s)
        if L > 0:
            multiply_row(table, row_of(&look.d_context, b, s), held.value_size, held.values_back + b * held.values_back_step, L,
                         gradient)
            if look.d_weights.base is not NULL:
                table.passes.accumulate(gradient, row_of(&look.d_weights, b, s), L)
            if carried is not NULL:
                table.passes.accumulate(gradient, carried, L)
            table.attention.softmax_back(gradient, row_of(&look.weights, b, s), L)
            # carried was the gradient of the coverage after this step, and becomes that of the coverage before it.
            if look.d_coverage.base is not NULL:
                table.passes.accumulate(carried, row_of(&look.d_coverage, b, s), L)
            if held.additive:
                table.attention.additive_back(
                    row_of(&look.d_projected, b, s), look.d_keys + b * S * held.key_row, look.d_weight + b * held.key_row,
                    look.d_along + b * held.key_row, carried, gradient, row_of(&look.projected, b, s),
                    held.keys + b * held.keys_step, look.weight, look.along, coverage, L, width)
            else:
                multiply_row(table, gradient, L, held.keys_back + b * held.keys_back_step, held.key_size, wide)
                table.passes.accumulate(targets[j - first], wide, held.key_size)
        if not held.additive:
            memcpy(row_of(&look.d_scores, b, s), gradient, L * size)
            memset(row_of(&look.d_scores, b, s) + L * size, 0, (S - L) * size)
    if held.additive:
        point(plan, &look.d_projected, s, first, first + count, each)
        user = pointed(each)
        affine_rows(look.back, &user, many, count)
        for j in range(count):
            table.passes.accumulate(targets[j], many + j * look.back.row_size, look.query_size)
