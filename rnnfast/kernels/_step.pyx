"""One step of a recurrent or linear layer: the same panels and arithmetic as a whole sequence, hence the same bits.
Memory is had once, by the constructors."""

cimport numpy as cnp
from libc.string cimport memset

import numpy as np

from rnnfast.kernels._linear cimport PackedMatrix, affine_rows
from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._packed cimport Packed, Panels, option_scratch, output_bytes, row_bytes, unit_bytes
from rnnfast.kernels._plan cimport evenly, load_state, pointed, store_state
from rnnfast.kernels._recurrent cimport input_product, operations, recurrent_product
from rnnfast.kernels._tables cimport rows

cnp.import_array()


cdef char *aligned(char *address) noexcept nogil:
    return <char *>((<size_t>address + 63) & ~<size_t>63)


cdef class Step:
    cdef char **advance(self, char **x, const ptrdiff_t *slots, ptrdiff_t count) noexcept nogil:
        return x


cdef class RecurrentStep(Step):
    """One direction of a recurrent layer, with the state of each sequence.

    Parameters
    ----------
    packed : Packed
    rows : int
        How many sequences.
    """

    def __cinit__(self, Packed packed not None, ptrdiff_t rows):
        cdef const Panels *panels = &packed.panels
        cdef ptrdiff_t unit = unit_bytes(panels), output = output_bytes(panels), total, r
        cdef int j, phases = panels.cell.phases
        cdef char **pointers
        cdef char *at
        self.packed, self.rows, self.has_state = packed, rows, True
        self.input_size, self.output_size = panels.input_size, panels.output_size
        self.work = operations(panels) / 2
        total = (6 + phases) * sizeof(char *) + 2 * output + 2 * unit
        for j in range(phases):
            total += row_bytes(panels, j)
        if panels.norm:
            total += row_bytes(panels, 0) + 2 * panels.itemsize
        total = times(rows, total) + option_scratch(panels) + 2 * 64
        self.memory = Buffer.of(total)
        memset(self.memory.start, 0, total)
        pointers = <char **>self.memory.start
        self.h, self.spare, self.c = pointers, pointers + rows, pointers + 2 * rows
        self.row_h, self.row_spare, self.row_c = pointers + 3 * rows, pointers + 4 * rows, pointers + 5 * rows
        at = aligned(<char *>(pointers + (6 + phases) * rows))
        for r in range(rows):
            self.h[r], self.spare[r], self.c[r] = at, at + output, at + 2 * output
            at += 2 * output + unit
        self.now.between = evenly(at, unit)
        at += rows * unit
        for j in range(phases):
            self.now.gates[j] = evenly(at, row_bytes(panels, j))
            self.gate_rows[j] = pointers + (6 + j) * rows
            for r in range(rows):
                self.gate_rows[j][r] = at
                at += row_bytes(panels, j)
        self.now.vectors = panels.vectors
        self.now.options = &panels.options
        if panels.zone_h > 0:
            self.now.zone_h = evenly(<char *>panels.zone_h_row, 0)
        if panels.zone_c > 0:
            self.now.zone_c = evenly(<char *>panels.zone_c_row, 0)
        if panels.norm:
            self.now.x_gates = self.now.gates[0]
            self.now.h_gates = evenly(at, row_bytes(panels, 0))
            at += rows * row_bytes(panels, 0)
            self.now.stats = evenly(at, 2 * panels.itemsize)
            at += rows * 2 * panels.itemsize
        self.now.scratch = aligned(at)

    @property
    def dtype(self):
        return self.packed.dtype

    cdef char **advance(self, char **x, const ptrdiff_t *slots, ptrdiff_t count) noexcept nogil:
        cdef const Panels *panels = &self.packed.panels
        cdef char **h = self.h
        cdef char **spare = self.spare
        cdef char **c = self.c
        cdef ptrdiff_t r
        cdef int j
        if slots is not NULL:
            h, spare, c = self.row_h, self.row_spare, self.row_c
            for r in range(count):
                h[r], spare[r], c[r] = self.h[slots[r]], self.spare[slots[r]], self.c[slots[r]]
        self.now.h_before, self.now.h = pointed(h), pointed(spare)
        self.now.operand = self.now.h_before
        self.now.result = self.now.between if panels.options.projected else self.now.h
        self.now.c_before = self.now.c = pointed(c)
        self.now.count = count
        for j in range(panels.cell.phases):
            input_product(panels, j, x, self.gate_rows[j], count, 0, panels.vectors)
        for j in range(panels.cell.phases):
            recurrent_product(panels, j, &self.now, &self.now.h_before if j == 0 else &self.now.between, count, 0,
                              panels.vectors, False, False)
        # The new state lies where there was room; what was the state is room now.
        if slots is NULL:
            self.h, self.spare = spare, h
        else:
            for r in range(count):
                self.h[slots[r]], self.spare[slots[r]] = spare[r], h[r]
        return spare

    def clear(self, cnp.ndarray numbers not None):
        """Set the state of sequences to zero.

        Parameters
        ----------
        numbers : ndarray of intp (n,), contiguous, each in range
            As in `get` and `set`, which sequences. The caller has checked them.
        """
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t r, row
        for r in range(cnp.PyArray_DIM(numbers, 0)):
            row = (<ptrdiff_t *>cnp.PyArray_DATA(numbers))[r]
            memset(self.h[row], 0, output_bytes(panels))
            memset(self.c[row], 0, unit_bytes(panels))

    def get(self, cnp.ndarray numbers not None):
        """The state of sequences: h (n, P), and c (n, H) for the LSTM, new arrays."""
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t n = cnp.PyArray_DIM(numbers, 0), r, row
        cdef cnp.ndarray h = np.empty((n, panels.output_size), self.dtype), c = np.empty((n, panels.hidden_size), self.dtype)
        for r in range(n):
            row = (<ptrdiff_t *>cnp.PyArray_DATA(numbers))[r]
            store_state(cnp.PyArray_BYTES(h), self.h[row], r, panels.output_size, panels.itemsize)
            store_state(cnp.PyArray_BYTES(c), self.c[row], r, panels.hidden_size, panels.itemsize)
        return (h, c) if panels.cell.has_c else (h,)

    def set(self, cnp.ndarray numbers not None, cnp.ndarray h not None, c=None):
        """Set the state of sequences from contiguous arrays, h (n, P) and c (n, H), of the layer's dtype; the caller has checked
        them."""
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t r, row
        for r in range(cnp.PyArray_DIM(numbers, 0)):
            row = (<ptrdiff_t *>cnp.PyArray_DATA(numbers))[r]
            load_state(panels.table, self.h[row], cnp.PyArray_BYTES(h), r, panels.output_size, panels.itemsize)
            if c is not None:
                load_state(panels.table, self.c[row], cnp.PyArray_BYTES(<cnp.ndarray>c), r, panels.hidden_size, panels.itemsize)


cdef class LinearStep(Step):
    """activation(x M + bias).

    Parameters
    ----------
    packed : PackedMatrix
    rows : int
    """

    def __cinit__(self, PackedMatrix packed not None, ptrdiff_t rows):
        cdef ptrdiff_t r
        cdef char *at
        self.packed, self.rows = packed, rows
        self.input_size, self.output_size = packed.affine.depth, packed.affine.columns
        self.work = <double>packed.affine.depth * packed.affine.columns
        self.memory = Buffer.of(times(rows, sizeof(char *) + packed.affine.row_size) + 64)
        self.y = <char **>self.memory.start
        at = aligned(<char *>(self.y + rows))
        for r in range(rows):
            self.y[r] = at + r * packed.affine.row_size

    @property
    def dtype(self):
        return self.packed.dtype

    cdef char **advance(self, char **x, const ptrdiff_t *slots, ptrdiff_t count) noexcept nogil:
        cdef rows source = pointed(x)
        affine_rows(&self.packed.affine, &source, self.y[0], count)
        return self.y
