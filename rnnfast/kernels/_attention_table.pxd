cdef extern from "attention_table.h" nogil:
    enum: ATTENTION_LINES

    ctypedef struct attention "struct attention":
        void (*additive)(void *scores, const void *query, const void *keys, const void *weight, const void *along,
                         const void *coverage, Py_ssize_t count, Py_ssize_t width) noexcept nogil
        void (*additive_back)(void *d_query, void *d_keys, void *d_weight, void *d_along, void *d_coverage,
                              const void *d_scores, const void *query, const void *keys, const void *weight,
                              const void *along, const void *coverage, Py_ssize_t count, Py_ssize_t width) noexcept nogil
        void (*softmax)(void *scores, Py_ssize_t count) noexcept nogil
        void (*softmax_back)(void *gradient, const void *weights, Py_ssize_t count) noexcept nogil
