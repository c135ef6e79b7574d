from rnnfast.kernels._packed cimport Panels
from rnnfast.kernels._plan cimport Plan
from rnnfast.kernels._tables cimport rows, step

# Whether threads may share the units of one row: not where arithmetic runs on whole rows.
cdef ptrdiff_t divides_units(const Panels *panels) noexcept nogil
cdef double operations(const Panels *panels) noexcept nogil
cdef void input_product(const Panels *panels, int j, char **x_rows, char **gate_rows, ptrdiff_t count, ptrdiff_t first,
                        ptrdiff_t last) noexcept nogil
cdef void recurrent_product(const Panels *panels, int j, step *now, const rows *operand, ptrdiff_t count, ptrdiff_t first,
                            ptrdiff_t last, bint training, bint descending) noexcept nogil
# The masks of zoneout for the rows [first, first + count) at step s, in training.
cdef void draw_zones(const Plan *plan, const step *now, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count) noexcept nogil
