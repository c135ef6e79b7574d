from libc.stdint cimport uint32_t, uint64_t

from rnnfast.kernels._packed cimport Panels
from rnnfast.kernels._plan cimport Plan
from rnnfast.kernels._tables cimport rows, step
from rnnfast.kernels._team cimport Team
from rnnfast.kernels._threads cimport Interrupt


cdef struct Forward:
    Plan *plan
    Team team
    char *memory  # for all row slices
    char **scratch  # one for each row slice
    char **each  # room for pointers: 2 * chunk for each task
    # Initial and final states, (B, H), contiguous.
    char *h0
    char *c0
    char *hn
    char *cn
    bint again  # for backward: nothing is written but what is saved, and the states before are there
    ptrdiff_t chunk  # rows that the input product takes at once, at least one step's
    ptrdiff_t row_scratch  # bytes that a running row takes, beside its gates
    ptrdiff_t slice_scratch  # and a row slice
    Interrupt interrupt


# Bytes that a call takes beside what its caller gives.
cdef struct Needs:
    ptrdiff_t saved  # from forward to backward, of one segment
    ptrdiff_t scratch, each  # while it runs


# Divide the work and count the bytes that suffice for every segment. The first one is open then.
cdef int plan_forward(Plan *plan, Forward *f, Needs *needs) except -1
# Divide the work of the open segment, and run it.
cdef void divide_forward(Forward *f) noexcept nogil
cdef void run_forward(Forward *f) noexcept nogil

# Whether threads may share the units of one row: not where arithmetic runs on whole rows.
cdef ptrdiff_t divides_units(const Panels *panels) noexcept nogil
cdef double operations(const Panels *panels) noexcept nogil
cdef void input_product(const Panels *panels, int j, char **x_rows, char **gate_rows, ptrdiff_t count, ptrdiff_t first,
                        ptrdiff_t last) noexcept nogil
cdef void recurrent_product(const Panels *panels, int j, step *now, const rows *operand, ptrdiff_t count, ptrdiff_t first,
                            ptrdiff_t last, bint training, bint descending) noexcept nogil
# The masks of zoneout for the rows [first, first + count) at step s, in training.
cdef void draw_zones(const Plan *plan, const step *now, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count) noexcept nogil
# The open segment's steps, for some rows and vectors of units.
cdef void forward_rows(Forward *f, const Plan *plan, int index, ptrdiff_t first, ptrdiff_t last, ptrdiff_t from_vector,
                       ptrdiff_t to_vector) noexcept nogil
# What training draws masks from.
cdef void set_noise(Plan *plan, uint64_t key, uint32_t stream) noexcept nogil
