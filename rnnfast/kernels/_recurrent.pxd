from rnnfast.kernels._packed cimport Panels
from rnnfast.kernels._tables cimport rows, step

cdef double operations(const Panels *panels) noexcept nogil
cdef void input_product(const Panels *panels, int j, char **x_rows, char **gate_rows, ptrdiff_t count, ptrdiff_t first,
                        ptrdiff_t last) noexcept nogil
cdef void recurrent_product(const Panels *panels, int j, step *now, const rows *operand, ptrdiff_t count, ptrdiff_t first,
                            ptrdiff_t last, bint training, bint descending) noexcept nogil
