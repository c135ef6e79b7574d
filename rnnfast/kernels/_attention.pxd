from libc.stdint cimport int64_t

from rnnfast.kernels._linear cimport Affine
from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._plan cimport Array3, Plan
from rnnfast.kernels._tables cimport kernel_table


# What attention looks at: keys and values of each source, packed for the products of a query with them. Source m begins
# m * ..._step bytes behind the first.
cdef struct Sources:
    const kernel_table *table
    bint additive
    ptrdiff_t positions, key_size, value_size  # S, K, F
    ptrdiff_t score_row, key_row, value_row  # bytes: of S, K and F numbers, padded
    int64_t *length
    char *keys        # the matrix K^T, of additive scores the padded rows of keys
    char *keys_back   # K; not of additive scores
    char *values      # V
    char *values_back # V^T
    ptrdiff_t keys_step, keys_back_step, values_step, values_back_step


cdef class Memory:
    cdef Sources sources
    cdef Buffer room, lengths
    cdef readonly ptrdiff_t count


# One call's queries and what comes of them. Arrays (B, T, ...) of the caller, rows contiguous.
cdef struct Look:
    const Sources *sources
    const int64_t *source  # which source a row looks at; NULL: the one of its number
    # Additive scores: W_q q + b, and from its gradient to q's; v, and what goes with coverage or NULL, padded.
    const Affine *ahead
    const Affine *back
    const char *weight
    const char *along
    ptrdiff_t query_size
    Array3 queries, projected, weights, context
    Array3 coverage  # (B, T + 1, S): the sum of the weights before each step; without a base: none
    # Backward. Gradients that come from outside; those without a base are zero.
    Array3 d_context, d_weights, d_coverage
    # Written. The last four have a row, or rows of keys, for each row of the batch, and are zero before.
    Array3 d_scores, d_projected
    char *d_keys
    char *d_weight
    char *d_along
    char *carried  # the gradient of the coverage


# Bytes of scratch for steps of `count` rows.
cdef ptrdiff_t look_scratch(const Look *look, ptrdiff_t count) noexcept nogil
# Step s of the rows [first, first + count) of the plan: weights and contexts of the queries.
cdef void attend(const Look *look, const Plan *plan, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count, char **each,
                 char *scratch) noexcept nogil
# And back: adds the gradients of the queries to the rows `targets`.
cdef void attend_back(const Look *look, const Plan *plan, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count, char **each,
                      char *scratch, char **targets) noexcept nogil


cdef inline char *row_of(const Array3 *array, ptrdiff_t b, ptrdiff_t s) noexcept nogil:
    return array.base + b * array.batch + s * array.time
