"""The product that weight gradients are made of: C += A^T X, one block of rows after another."""

from libc.string cimport memset

from rnnfast.kernels._tables cimport PLAIN_WIDTH, kernel_table, product, rows

cdef char zeros[PLAIN_WIDTH * 64]


cdef char *zero_row() noexcept nogil:
    """A row that any product can start from, with no stride from one panel to the next."""
    return zeros


cdef ptrdiff_t outer_scratch(const kernel_table *table, ptrdiff_t columns) noexcept nogil:
    """Bytes for one packed block of X."""
    return BLOCK * ((columns + table.lanes - 1) // table.lanes * table.lanes * table.itemsize)


cdef void outer_block(const Outer *outer, const rows *x, ptrdiff_t depth, char **a_rows, char **c_rows,
                      ptrdiff_t count) noexcept nogil:
    """C[r] += sum over the block's rows k of A[r, k] * X[k]; A is given transposed, k contiguous."""
    cdef product p
    cdef const kernel_table *table = outer.table
    table.pack_rows(outer.panels, x, outer.element, depth, outer.columns)
    memset(&p, 0, sizeof(product))
    p.a.each, p.c.each = a_rows, c_rows
    p.init.base = zeros
    p.count = count
    p.depth, p.segments, p.repeats = depth, 1, 1
    p.b = outer.panels
    p.vectors, p.width = outer.vectors, PLAIN_WIDTH
    p.c_panel = PLAIN_WIDTH * table.lanes * table.itemsize
    p.add = 1
    table.multiply(&p)
