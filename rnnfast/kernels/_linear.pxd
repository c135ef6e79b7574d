from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._passes_table cimport map_function
from rnnfast.kernels._tables cimport kernel_table, rows


cdef struct Affine:
    const kernel_table *table
    ptrdiff_t depth, columns  # K, N
    ptrdiff_t vectors, row_size  # of a row of N numbers in whole vectors; row_size in bytes
    const char *panels
    char *bias
    map_function activation  # or NULL


cdef class PackedMatrix:
    cdef Affine affine
    cdef Buffer panels, bias


# `count` rows of activation(x M + bias), evenly from `to` on, affine.row_size bytes each.
cdef void affine_rows(const Affine *affine, const rows *x, char *to, ptrdiff_t count) noexcept nogil
