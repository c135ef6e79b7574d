from rnnfast.kernels._packed cimport Packed, Panels
from rnnfast.kernels._plan cimport Array3, Plan
from rnnfast.kernels._tables cimport MAX_PHASES, product
from rnnfast.kernels._team cimport Team
from rnnfast.kernels._threads cimport Interrupt


# One backward call.
cdef struct Backward:
    const Plan *plan
    Team team
    char **scratch
    int workers
    Array3 dy, dx
    double *norms  # (T, B): of the gradient of h after each step; may be NULL
    # Gradients of the final and of the initial states, (B, P) and (B, H), contiguous; dhn and dcn may be NULL (zero).
    char *dhn
    char *dcn
    char *dh0
    char *dc0
    # Carried through the loop: one row for each sequence, in the plan's order.
    char *dh
    char *dc
    char *between
    char *back  # recurrent dropout: the gradient of what the recurrent product took
    char *sums  # what gradients of the options' parameters are made of
    # Weight gradients: rows of whole vectors; of each phase's recurrent product. Bias sums in the order of the slots.
    char *d_weight_ih
    char *d_weight_hh[MAX_PHASES]
    char *d_bias[MAX_PHASES]
    Interrupt interrupt


cdef class Sums:
    cdef Packed packed
    cdef dict weights
    cdef list slots
    cdef object dtype

    cdef point(self, Backward *b)
    cdef dict gradients(self, const Backward *b)


# The gradients of x, for a worker's share of the compact rows; those of the weights, for its share of the units.
cdef void input_rows(void *context, int index) noexcept nogil
cdef void weight_units(void *context, int index) noexcept nogil
# Bytes that a worker with so many vectors of units needs.
cdef ptrdiff_t weights_scratch(const Panels *panels, ptrdiff_t vectors) noexcept nogil


cdef inline void through_gates(product *p, const Panels *panels, int j, int count) noexcept nogil:
    """Let k run through `count` slots of a row of gates, one slot after the other."""
    cdef ptrdiff_t slots = panels.cell.phase[j].slots, vector = panels.lanes * panels.itemsize
    p.depth, p.segments, p.repeats = panels.lanes, panels.unit_vectors[j], count
    p.segment_step, p.repeat_step = slots * vector, vector
    if slots == 1:
        p.depth, p.segments = panels.unit_vectors[j] * panels.lanes, 1
