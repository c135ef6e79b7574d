"""Weights of one direction, packed into the panels that the products read."""

cimport numpy as cnp
from libc.stdint cimport int8_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport (
    CELL_GRU_AFTER, CELL_GRU_BEFORE, CELL_LSTM, CELL_RNN_IDENTITY, CELL_RNN_RELU, CELL_RNN_TANH, FAULT_BIAS, FAULT_GATES,
    FAULT_TAIL, MAX_SLOTS, PLAIN_WIDTH, built_fault, phase,
)

cnp.import_array()

cdef extern from *:
    ptrdiff_t PY_SSIZE_T_MAX

_CELLS = {
    ("rnn", "tanh"): CELL_RNN_TANH, ("rnn", "relu"): CELL_RNN_RELU, ("rnn", "identity"): CELL_RNN_IDENTITY,
    ("lstm", ""): CELL_LSTM, ("gru", "after"): CELL_GRU_AFTER, ("gru", "before"): CELL_GRU_BEFORE,
}


cdef class Buffer:
    @staticmethod
    cdef Buffer of(ptrdiff_t size):
        cdef Buffer made = Buffer.__new__(Buffer)
        made.block = malloc(size + 64)
        if made.block is NULL:
            raise MemoryError(f"cannot allocate {size} bytes")
        made.start = <char *>((<size_t>made.block + 63) & ~<size_t>63)
        return made

    def __dealloc__(self):
        free(self.block)


cdef ptrdiff_t times(ptrdiff_t count, ptrdiff_t size) except -1:
    if count < 0 or size > 0 and count > (PY_SSIZE_T_MAX >> 8) // size:
        raise MemoryError(f"cannot allocate {count} times {size} bytes")
    return count * size


cdef class Packed:
    """Packed weights of one direction. Immutable: make another where the weights have changed.

    Parameters
    ----------
    cell : str
        "rnn", "lstm" or "gru".
    variant : str
        The activation of an RNN, the reset of a GRU, "" for an LSTM.
    weight_ih : ndarray of shape (G * H, I)
        Float32 or float64, C-contiguous and aligned, as all arrays here; the caller has checked them.
    weight_hh : ndarray of shape (G * H, H)
    bias : ndarray of shape (G * H,) or None
    bias_hn : ndarray of shape (H,) or None
        Only for a GRU with the reset after the product.
    new_update : bool
        The GRU's state is (1 - z) h + z n: by the sign of z's weights.
    training : bool
        Pack for the backward pass too.
    """

    def __cinit__(self, cell, variant, cnp.ndarray weight_ih, cnp.ndarray weight_hh, bias, bias_hn, bint new_update,
                 bint training):
        cdef const char *bias_data = cnp.PyArray_BYTES(bias) if bias is not None else NULL
        cdef const char *bias_hn_data = cnp.PyArray_BYTES(bias_hn) if bias_hn is not None else NULL
        cdef int kind = _CELLS[cell, variant]
        cdef ptrdiff_t most, total
        cdef Buffer scratch
        cdef Panels *made = &self.panels
        self.kind = str(cell), str(variant), bool(new_update)
        self.bias, self.bias_hn = bias is not None, bias_hn is not None
        made.table = kernels_of(weight_ih.itemsize)
        made.cell = made.table.cells[kind]
        made.itemsize, made.lanes = weight_ih.itemsize, made.table.lanes
        made.input_size, made.hidden_size = cnp.PyArray_DIM(weight_ih, 1), cnp.PyArray_DIM(weight_hh, 1)
        made.vectors = (made.hidden_size + made.lanes - 1) // made.lanes
        made.input_vectors = (made.input_size + made.lanes - 1) // made.lanes
        made.new_update, made.training = new_update, training
        # Offsets and signs of the rows and of the columns of the largest matrix.
        most = (MAX_SLOTS * made.vectors + max(made.vectors, made.input_vectors)) * made.lanes
        scratch = Buffer.of(most * (sizeof(int64_t) + 1))
        total = pack_all(made, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
        self.memory = Buffer.of(total)
        cdef char *to = self.memory.start
        cdef int64_t *offsets = <int64_t *>scratch.start
        cdef const char *w = cnp.PyArray_BYTES(weight_ih)
        cdef const char *r = cnp.PyArray_BYTES(weight_hh)
        with nogil:
            pack_all(made, to, w, r, bias_data, bias_hn_data, offsets, <int8_t *>(offsets + most))

    @property
    def input_size(self):
        return self.panels.input_size

    @property
    def hidden_size(self):
        return self.panels.hidden_size

    @property
    def training(self):
        return bool(self.panels.training)

    @property
    def dtype(self):
        return np.dtype(np.float32 if self.panels.itemsize == 4 else np.float64)


cdef ptrdiff_t row_bytes(const Panels *panels, int j) noexcept nogil:
    """Bytes of a row of this phase's gates."""
    return panels.vectors * panels.cell.phase[j].slots * panels.lanes * panels.itemsize


cdef ptrdiff_t pack_all(Panels *panels, char *to, const char *weight_ih, const char *weight_hh, const char *bias,
                        const char *bias_hn, int64_t *offsets, int8_t *signs) noexcept nogil:
    """Pack everything from `to` on, or only count the bytes where `to` is NULL."""
    cdef ptrdiff_t used = 0
    cdef const phase *p
    cdef int j
    for j in range(panels.cell.phases):
        p = &panels.cell.phase[j]
        if to is not NULL:
            panels.bias[j] = to + used
            write_bias(panels, to + used, p, bias, bias_hn)
        used += row_bytes(panels, j)
        panels.x[j] = to + used
        used += pack_one(panels, to + used if to is not NULL else NULL, weight_ih, panels.input_size, p, True, False, offsets, signs)
        panels.h[j] = to + used
        used += pack_one(panels, to + used if to is not NULL else NULL, weight_hh, panels.hidden_size, p, False, False, offsets, signs)
        if panels.training:
            panels.x_back[j] = to + used
            used += pack_one(panels, to + used if to is not NULL else NULL, weight_ih, panels.input_size, p, True, True, offsets, signs)
            panels.h_back[j] = to + used
            used += pack_one(panels, to + used if to is not NULL else NULL, weight_hh, panels.hidden_size, p, False, True, offsets, signs)
    return used


cdef ptrdiff_t pack_one(const Panels *panels, char *to, const char *weight, ptrdiff_t size, const phase *p, bint x, bint back,
                        int64_t *offsets, int8_t *signs) noexcept nogil:
    """One phase's part of a weight matrix with rows of `size` elements: forward as (size, gates), back as (gates, size).

    Returns the bytes it takes; `to` NULL: only that.
    """
    cdef int count = p.x_count if x else p.h_count, width = count if p.slots > 1 else PLAIN_WIDTH, slot, gate
    cdef ptrdiff_t plain = (size + panels.lanes - 1) // panels.lanes, gate_columns = panels.vectors * count * panels.lanes
    cdef ptrdiff_t v, lane, unit, n = 0
    cdef int64_t *plain_offsets
    cdef int8_t *plain_signs
    cdef ptrdiff_t bytes = (gate_columns * plain * panels.lanes if back else size * gate_columns) * panels.itemsize
    if to is NULL:
        return bytes
    plain_offsets, plain_signs = offsets + gate_columns, signs + gate_columns
    for v in range(panels.vectors):
        for slot in range(count):
            gate = p.x_gate[slot] if x else p.h_gate[slot]
            if built_fault == FAULT_GATES and panels.cell.gates > 1 and x and gate < 2:
                gate = 1 - gate
            # Backward runs through the gates slot by slot, whatever the vectors' width.
            n = (slot * panels.vectors + v if back else v * count + slot) * panels.lanes
            for lane in range(panels.lanes):
                unit = v * panels.lanes + lane
                offsets[n] = (gate * panels.hidden_size + unit) * size if unit < panels.hidden_size else -1
                if built_fault == FAULT_TAIL and unit == panels.hidden_size - 1:
                    offsets[n] = -1
                signs[n] = -1 if panels.new_update and gate == panels.cell.negated_gate else 1
                n += 1
    for n in range(plain * panels.lanes):
        plain_offsets[n] = n if n < size else -1
        plain_signs[n] = 1
    if back:
        panels.table.pack(to, weight, gate_columns, offsets, signs, plain, plain_offsets, plain_signs, PLAIN_WIDTH)
    else:
        panels.table.pack(to, weight, size, plain_offsets, plain_signs, panels.vectors * count, offsets, signs, width)
    return bytes


cdef void write_bias(const Panels *panels, char *to, const phase *p, const char *bias, const char *bias_hn) noexcept nogil:
    """The row of biases in the order of the slots; the slot that only the recurrent product fills has bias_hn."""
    cdef ptrdiff_t v, lane, unit, size = panels.itemsize
    cdef const char *source
    cdef int slot, gate
    memset(to, 0, panels.vectors * p.slots * panels.lanes * size)
    for v in range(panels.vectors):
        for slot in range(p.slots):
            if p.x_first <= slot < p.x_first + p.x_count:
                gate, source = p.x_gate[slot - p.x_first], bias
            else:
                gate, source = 0, bias_hn
            if source is NULL or built_fault == FAULT_BIAS:
                continue
            for lane in range(panels.lanes):
                unit = v * panels.lanes + lane
                if unit < panels.hidden_size:
                    memcpy(to + ((v * p.slots + slot) * panels.lanes + lane) * size,
                           source + (gate * panels.hidden_size + unit) * size, size)
                    if panels.new_update and source is bias and gate == panels.cell.negated_gate:
                        if size == 4:
                            (<float *>to)[(v * p.slots + slot) * panels.lanes + lane] *= -1
                        else:
                            (<double *>to)[(v * p.slots + slot) * panels.lanes + lane] *= -1
