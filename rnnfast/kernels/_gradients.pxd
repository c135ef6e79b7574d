cimport numpy as cnp

from rnnfast.kernels._packed cimport Packed
from rnnfast.kernels._plan cimport Array3, Plan
from rnnfast.kernels._tables cimport MAX_PHASES
from rnnfast.kernels._team cimport Team
from rnnfast.kernels._threads cimport Interrupt


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


# Workers for the weights' gradients and for the inputs', the most of any part, and bytes: carried by the loop, and
# scratch for each worker.
cdef struct Division:
    int weights, inputs, most
    ptrdiff_t carry, scratch


cdef class Sums:
    cdef Packed packed
    cdef dict weights
    cdef list slots
    cdef object dtype

    cdef point(self, Backward *b)
    cdef dict gradients(self, const Backward *b)


# Divide the work. Returns the bytes of scratch that suffice for every segment; the last one is open then.
cdef ptrdiff_t plan_backward(Plan *plan, Team *team, Division *division, bint whole_rows) noexcept nogil
cdef void lay_carry(Backward *b, char *at) noexcept nogil
# The open segment's steps, for some rows and vectors of units.
cdef void loop_rows(Backward *b, const Plan *plan, int index, ptrdiff_t first, ptrdiff_t last, ptrdiff_t from_vector,
                    ptrdiff_t to_vector) noexcept nogil
# The gradients of x, for a worker's share of the compact rows; those of the weights, for its share of the units.
cdef void input_rows(void *context, int index) noexcept nogil
cdef void weight_units(void *context, int index) noexcept nogil
