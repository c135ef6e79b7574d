from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._tables cimport MAX_PHASES, cell, kernel_table, options


cdef struct Panels:
    const kernel_table *table
    const cell *cell
    ptrdiff_t input_size, hidden_size, output_size  # features of x, of the cell, of h: less than the cell's in a projection
    ptrdiff_t vectors, input_vectors, output_vectors
    # Of each phase: units that it makes, their vectors; numbers in a row of its recurrent product's operand.
    ptrdiff_t units[MAX_PHASES]
    ptrdiff_t unit_vectors[MAX_PHASES]
    ptrdiff_t depth[MAX_PHASES]
    ptrdiff_t lanes, itemsize
    bint training, new_update
    bint whole  # the arithmetic runs on whole rows: no slices of the units
    bint norm  # the two products are normalised, each by itself
    options options
    double zone_h, zone_c, recurrent_dropout
    # Rows of one number each, as wide as a row of units can be: the shares of zoneout, and ones.
    const char *zone_h_row
    const char *zone_c_row
    const char *ones
    # Panels for x W^T and h R^T, and the row of biases in the order of the slots (zeros where the norm adds them).
    char *x[MAX_PHASES]
    char *h[MAX_PHASES]
    char *bias[MAX_PHASES]
    # Panels for the products with W and R, which carry gradients back; packed for training only.
    char *x_back[MAX_PHASES]
    char *h_back[MAX_PHASES]


cdef class Packed:
    cdef Panels panels
    cdef cell own
    cdef Buffer memory
    cdef list held  # rows of the options' parameters
    cdef readonly object kind
    cdef readonly frozenset names  # of the parameters that there are
    cdef readonly bint projected

    cdef take_options(self, variant, dict arrays)
    cdef const char *constant(self, double value) except NULL
    cdef const char *hold(self, given) except NULL


# Bytes of a row of this phase's gates, of the cell's units, of h.
cdef ptrdiff_t row_bytes(const Panels *panels, int j) noexcept nogil
cdef ptrdiff_t unit_bytes(const Panels *panels) noexcept nogil
cdef ptrdiff_t output_bytes(const Panels *panels) noexcept nogil
# Bytes of what the arithmetic of options wants for itself.
cdef ptrdiff_t option_scratch(const Panels *panels) noexcept nogil
# A row of numbers for the options' parameters: how many rows of units, and bytes in all.
cdef ptrdiff_t sums_bytes(const Panels *panels) noexcept nogil
