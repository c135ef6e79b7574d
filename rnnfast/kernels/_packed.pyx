"""Weights of one direction, packed into the panels that the products read."""

cimport numpy as cnp
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport (
    CELL_GRU_AFTER, CELL_GRU_BEFORE, CELL_LSTM, CELL_RNN_IDENTITY, CELL_RNN_RELU, CELL_RNN_TANH, FAULT_BIAS, FAULT_GATES,
    FAULT_TAIL, MAX_SLOTS, PLAIN_WIDTH, built_fault, phase, rows,
)

cnp.import_array()

_CELLS = {
    ("rnn", "tanh"): CELL_RNN_TANH, ("rnn", "relu"): CELL_RNN_RELU, ("rnn", "identity"): CELL_RNN_IDENTITY,
    ("lstm", ""): CELL_LSTM, ("gru", "after"): CELL_GRU_AFTER, ("gru", "before"): CELL_GRU_BEFORE,
}


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
        cdef int kind = _CELLS[cell, variant]
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
        if new_update:
            first = made.cell.negated_gate * made.hidden_size
            weight_ih, weight_hh, bias = (_negated(array, first, first + made.hidden_size) for array in (weight_ih, weight_hh, bias))
        scratch = Buffer.of(MAX_SLOTS * made.vectors * made.lanes * sizeof(char *))
        self.memory = Buffer.of(pack_all(made, NULL, NULL, NULL, NULL, NULL, NULL))
        cdef char *to = self.memory.start
        cdef char *w = cnp.PyArray_BYTES(weight_ih)
        cdef char *r = cnp.PyArray_BYTES(weight_hh)
        cdef const char *bias_data = cnp.PyArray_BYTES(<cnp.ndarray>bias) if bias is not None else NULL
        cdef const char *bias_hn_data = cnp.PyArray_BYTES(<cnp.ndarray>bias_hn) if bias_hn is not None else NULL
        with nogil:
            pack_all(made, to, w, r, bias_data, bias_hn_data, <char **>scratch.start)

    @property
    def input_size(self):
        return self.panels.input_size

    @property
    def hidden_size(self):
        return self.panels.hidden_size

    @property
    def nbytes(self):
        return self.memory.size

    @property
    def training(self):
        return bool(self.panels.training)

    @property
    def dtype(self):
        return np.dtype(np.float32 if self.panels.itemsize == 4 else np.float64)


cdef ptrdiff_t row_bytes(const Panels *panels, int j) noexcept nogil:
    """Bytes of a row of this phase's gates."""
    return panels.vectors * panels.cell.phase[j].slots * panels.lanes * panels.itemsize


def _negated(array, first, last):
    if array is None:
        return None
    array = array.copy()
    array[first:last] *= -1
    return array


cdef ptrdiff_t pack_all(Panels *panels, char *to, char *weight_ih, char *weight_hh, const char *bias, const char *bias_hn,
                        char **each) noexcept nogil:
    """Pack everything from `to` on, or only count the bytes where `to` is NULL. `each` has room for a row of gates."""
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
        used += pack_one(panels, to + used if to is not NULL else NULL, weight_ih, panels.input_size, p, True, False, each)
        panels.h[j] = to + used
        used += pack_one(panels, to + used if to is not NULL else NULL, weight_hh, panels.hidden_size, p, False, False, each)
        if panels.training:
            panels.x_back[j] = to + used
            used += pack_one(panels, to + used if to is not NULL else NULL, weight_ih, panels.input_size, p, True, True, each)
            panels.h_back[j] = to + used
            used += pack_one(panels, to + used if to is not NULL else NULL, weight_hh, panels.hidden_size, p, False, True, each)
    return used


cdef ptrdiff_t pack_one(const Panels *panels, char *to, char *weight, ptrdiff_t size, const phase *p, bint x, bint back,
                        char **each) noexcept nogil:
    """One phase's part of a weight matrix with rows of `size` elements: forward as (size, gates), back as (gates, size).

    Returns the bytes it takes; `to` NULL: only that.
    """
    cdef int count = p.x_count if x else p.h_count, width = count if p.slots > 1 else PLAIN_WIDTH, slot, gate
    cdef ptrdiff_t plain = (size + panels.lanes - 1) // panels.lanes, columns = panels.vectors * count * panels.lanes
    cdef ptrdiff_t v, lane, unit, n
    cdef rows gate_rows
    if to is not NULL:
        for v in range(panels.vectors):
            for slot in range(count):
                gate = p.x_gate[slot] if x else p.h_gate[slot]
                if built_fault == FAULT_GATES and panels.cell.gates > 1 and x and gate < 2:
                    gate = 1 - gate
                # Backward runs through the gates slot by slot, whatever the vectors' width.
                n = (slot * panels.vectors + v if back else v * count + slot) * panels.lanes
                for lane in range(panels.lanes):
                    unit = v * panels.lanes + lane
                    if unit >= panels.hidden_size or built_fault == FAULT_TAIL and unit == panels.hidden_size - 1:
                        each[n + lane] = NULL
                    else:
                        each[n + lane] = weight + (gate * panels.hidden_size + unit) * size * panels.itemsize
        gate_rows.base, gate_rows.stride, gate_rows.each = NULL, 0, each
        if back:
            panels.table.pack_rows(to, &gate_rows, panels.itemsize, columns, size)
        else:
            panels.table.pack_columns(to, &gate_rows, columns, size, panels.vectors * count, width)
    return (columns * plain * panels.lanes if back else size * columns) * panels.itemsize


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
