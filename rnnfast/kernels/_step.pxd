from rnnfast.kernels._linear cimport PackedMatrix
from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._packed cimport Packed
from rnnfast.kernels._tables cimport MAX_PHASES, step


cdef class Step:
    """One step of a layer, for up to `rows` sequences."""
    cdef readonly ptrdiff_t rows, input_size, output_size
    cdef readonly bint has_state
    cdef double work  # multiplications for one row
    cdef Buffer memory
    cdef Step following  # the next step of the same line

    # From the rows x to the rows returned, which stay until the next step. Row r is sequence slots[r], or r where
    # slots is NULL; all sequences take part then.
    cdef char **advance(self, char **x, const ptrdiff_t *slots, ptrdiff_t count) noexcept nogil


cdef class RecurrentStep(Step):
    cdef Packed packed
    cdef step now
    # For each sequence: h, the place for the next h, and c.
    cdef char **h
    cdef char **spare
    cdef char **c
    # For each row of a step.
    cdef char **row_h
    cdef char **row_spare
    cdef char **row_c
    cdef char **gate_rows[MAX_PHASES]


cdef class LinearStep(Step):
    cdef PackedMatrix packed
    cdef char **y
