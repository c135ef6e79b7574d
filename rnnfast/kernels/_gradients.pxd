from rnnfast.kernels._plan cimport Plan
from rnnfast.kernels._team cimport Team
from rnnfast.kernels._weight_gradients cimport Backward


# Workers for the weights' gradients and for the inputs', the most of any part, and bytes: carried by the loop, and
# scratch for each worker.
cdef struct Division:
    int weights, inputs, most
    ptrdiff_t carry, scratch


# Divide the work. Returns the bytes of scratch that suffice for every segment; the last one is open then.
cdef ptrdiff_t plan_backward(Plan *plan, Team *team, Division *division, bint whole_rows) noexcept nogil
cdef void lay_carry(Backward *b, char *at) noexcept nogil
# The open segment's steps, for some rows and vectors of units.
cdef void loop_rows(Backward *b, const Plan *plan, int index, ptrdiff_t first, ptrdiff_t last, ptrdiff_t from_vector,
                    ptrdiff_t to_vector) noexcept nogil
