from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._tables cimport MAX_PHASES, cell, kernel_table


cdef struct Panels:
    const kernel_table *table
    const cell *cell
    ptrdiff_t input_size, hidden_size
    ptrdiff_t vectors, input_vectors  # in a row of units, of inputs
    ptrdiff_t lanes, itemsize
    bint training, new_update
    # Panels for x W^T and h R^T, and the row of biases in the order of the slots.
    char *x[MAX_PHASES]
    char *h[MAX_PHASES]
    char *bias[MAX_PHASES]
    # Panels for the products with W and R, which carry gradients back; packed for training only.
    char *x_back[MAX_PHASES]
    char *h_back[MAX_PHASES]


cdef class Packed:
    cdef Panels panels
    cdef Buffer memory
    cdef readonly tuple kind  # cell, variant, new_update
    cdef readonly bint bias, bias_hn


# Bytes of a row of this phase's gates.
cdef ptrdiff_t row_bytes(const Panels *panels, int j) noexcept nogil
