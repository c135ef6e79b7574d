from libc.stdint cimport uint8_t


cdef extern from "norms_table.h" nogil:
    enum: NORM_BLOCK

    ctypedef struct norms "struct norms":
        void (*layer)(void *y, void *statistics, const void *x, const void *weight, const void *bias, const uint8_t *valid,
                      Py_ssize_t rows, Py_ssize_t width, double epsilon) noexcept nogil
        void (*layer_back)(void *dx, void *sums, const void *dy, const void *x, const void *statistics, const void *weight,
                           const uint8_t *valid, Py_ssize_t rows, Py_ssize_t width) noexcept nogil
        Py_ssize_t (*moments)(void *sums, const void *x, const uint8_t *valid, Py_ssize_t rows, Py_ssize_t width) noexcept nogil
        void (*shifted)(void *y, const void *x, const void *mean, const void *factor, const void *bias, const uint8_t *valid,
                        Py_ssize_t rows, Py_ssize_t width) noexcept nogil
        void (*batch_sums)(void *sums, const void *dy, const void *x, const void *mean, const uint8_t *valid,
                           Py_ssize_t rows, Py_ssize_t width) noexcept nogil
        void (*batch_back)(void *dx, const void *dy, const void *x, const void *mean, const void *factor, const void *level,
                           const void *slope, const uint8_t *valid, Py_ssize_t rows, Py_ssize_t width) noexcept nogil
