"""One direction, one step at a time: the state is kept, and no step allocates."""

cimport numpy as cnp
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._packed cimport Buffer, Packed, Panels, row_bytes, times
from rnnfast.kernels._plan cimport evenly, load_state, store_state
from rnnfast.kernels._recurrent cimport input_product, recurrent_product
from rnnfast.kernels._tables cimport MAX_PHASES, denormals_flush, denormals_restore, rows, step

cnp.import_array()


cdef extern from *:
    enum: __ATOMIC_ACQUIRE
    enum: __ATOMIC_RELEASE
    bint __atomic_test_and_set(void *flag, int order) nogil
    void __atomic_clear(void *flag, int order) nogil


cdef class Chain:
    """Calls of one value, one after another. One thread at a time may call it, or be inside ``with chain:``; whoever
    comes meanwhile gets a RuntimeError.

    Parameters
    ----------
    steps : tuple of callable
    """
    cdef readonly tuple steps
    cdef char taken

    def __cinit__(self, tuple steps not None):
        self.steps = steps

    cdef int enter(self) except -1:
        if __atomic_test_and_set(&self.taken, __ATOMIC_ACQUIRE):
            raise RuntimeError("this stream is in use by another thread; give each thread a stream of its own")
        return 0

    def __enter__(self):
        self.enter()

    def __exit__(self, kind, error, traceback):
        __atomic_clear(&self.taken, __ATOMIC_RELEASE)

    def __call__(self, x, out=None):
        """The last step's result; where `out` is given, a copy there."""
        self.enter()
        try:
            for step in self.steps:
                x = step(x)
            if out is None:
                return x
            if out.shape != x.shape:
                raise ValueError(f"out must have shape {x.shape}, got {out.shape}")
            out[...] = x
            return out
        finally:
            __atomic_clear(&self.taken, __ATOMIC_RELEASE)


cdef class Stepper:
    """The same panels and arithmetic as a whole sequence, hence the same bits, one step a call. For one thread at a time.

    Parameters
    ----------
    packed : Packed
    batch_size : int
    """
    cdef Packed packed
    cdef Buffer memory
    cdef readonly cnp.ndarray y
    cdef ptrdiff_t B
    cdef int type_number
    cdef char **x_rows
    cdef char **gate_rows[MAX_PHASES]
    cdef char *h
    cdef char *h_next
    cdef step now

    def __cinit__(self, Packed packed not None, ptrdiff_t batch_size):
        cdef const Panels *panels = &packed.panels
        cdef ptrdiff_t B = batch_size, unit = panels.vectors * panels.lanes * panels.itemsize, total, r
        cdef int j
        cdef char *at
        self.packed, self.B = packed, B
        self.type_number = cnp.NPY_FLOAT if panels.itemsize == 4 else cnp.NPY_DOUBLE
        total = 3 * sizeof(char *) + 4 * unit
        for j in range(panels.cell.phases):
            total += row_bytes(panels, j)
        total = times(B, total) + 64
        self.memory = Buffer.of(total)
        memset(self.memory.start, 0, total)
        self.x_rows = <char **>self.memory.start
        at = <char *>((<size_t>(self.x_rows + 3 * B) + 63) & ~<size_t>63)
        self.h, self.h_next = at, at + B * unit
        self.now.c = self.now.c_before = evenly(at + 2 * B * unit, unit)
        self.now.between = evenly(at + 3 * B * unit, unit)
        at += 4 * B * unit
        for j in range(panels.cell.phases):
            self.now.gates[j] = evenly(at, row_bytes(panels, j))
            self.gate_rows[j] = self.x_rows + (j + 1) * B
            for r in range(B):
                self.gate_rows[j][r] = at + r * row_bytes(panels, j)
            at += B * row_bytes(panels, j)
        self.now.vectors, self.now.count = panels.vectors, B
        self.y = np.zeros((B, panels.hidden_size), packed.dtype)

    def __call__(self, cnp.ndarray x not None):
        """Advance one step.

        Parameters
        ----------
        x : ndarray of shape (B, I)
            C-contiguous, aligned, of the layer's dtype.

        Returns
        -------
        ndarray of shape (B, H)
            The same array at every call.
        """
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t r, width = panels.input_size * panels.itemsize
        cdef unsigned mode
        if (cnp.PyArray_TYPE(x) != self.type_number or cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_DIM(x, 0) != self.B
                or cnp.PyArray_DIM(x, 1) != panels.input_size or not cnp.PyArray_ISCARRAY_RO(x)):
            raise ValueError(f"x must be a C-contiguous {self.packed.dtype} array of shape ({self.B}, {panels.input_size}), "
                             f"got {x.dtype} of shape {(<object>x).shape}")
        for r in range(self.B):
            self.x_rows[r] = cnp.PyArray_BYTES(x) + r * width
        with nogil:
            mode = denormals_flush()
            self.advance(panels)
            denormals_restore(mode)
        return self.y

    cdef void advance(self, const Panels *panels) noexcept nogil:
        cdef ptrdiff_t unit = panels.vectors * panels.lanes * panels.itemsize, size = panels.itemsize
        cdef char *swap = self.h
        cdef rows target
        cdef int j
        for j in range(panels.cell.phases):
            input_product(panels, j, self.x_rows, self.gate_rows[j], self.B, 0, panels.vectors)
        self.now.h_before, self.now.h = evenly(self.h, unit), evenly(self.h_next, unit)
        for j in range(panels.cell.phases):
            recurrent_product(panels, j, &self.now, &self.now.h_before if j == 0 else &self.now.between, self.B, 0,
                              panels.vectors, False, False)
        target = evenly(cnp.PyArray_BYTES(self.y), panels.hidden_size * size)
        panels.table.store_rows(&target, size, &self.now.h, self.B, panels.hidden_size)
        self.h, self.h_next = self.h_next, swap

    def get(self):
        """The state: h, and c for the LSTM, each a new array (B, H)."""
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t unit = panels.vectors * panels.lanes * panels.itemsize, r
        cdef cnp.ndarray h = np.empty_like(self.y), c = np.empty_like(self.y)
        for r in range(self.B):
            store_state(cnp.PyArray_BYTES(h), self.h + r * unit, r, panels.hidden_size, panels.itemsize)
            store_state(cnp.PyArray_BYTES(c), self.now.c.base + r * unit, r, panels.hidden_size, panels.itemsize)
        return (h, c) if panels.cell.has_c else (h,)

    def set(self, cnp.ndarray h not None, c=None):
        """Set the state from contiguous arrays (B, H) of the layer's dtype; the caller has checked them."""
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t unit = panels.vectors * panels.lanes * panels.itemsize, r
        for r in range(self.B):
            load_state(panels.table, self.h + r * unit, cnp.PyArray_BYTES(h), r, panels.hidden_size, panels.itemsize)
            if c is not None:
                load_state(panels.table, self.now.c.base + r * unit, cnp.PyArray_BYTES(<cnp.ndarray>c), r,
                           panels.hidden_size, panels.itemsize)
