from rnnfast.kernels._tables cimport kernel_table, product, rows

cdef enum:
    # Rows that a weight gradient takes at once. The blocks are counted from the first row, whatever the threads.
    BLOCK = 128
    # Rows that a product with a caller's rows as its target takes at once.
    SCATTER = 48

# C += A^T X: see _products.pyx.
cdef struct Outer:
    const kernel_table *table
    ptrdiff_t columns, vectors  # of X, and in a row of C
    ptrdiff_t element  # bytes from one element of a row of X to the next
    char *panels  # scratch: one block of X, packed

cdef ptrdiff_t outer_scratch(const kernel_table *table, ptrdiff_t columns) noexcept nogil
cdef void outer_block(const Outer *outer, const rows *x, ptrdiff_t depth, char **a_rows, char **c_rows,
                      ptrdiff_t count) noexcept nogil
cdef char *zero_row() noexcept nogil
