"""Weights of one direction, packed into the panels that the products read."""

cimport numpy as cnp
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._runtime cimport kernels_of
from rnnfast.kernels._tables cimport (
    CELL_GRU_AFTER, CELL_GRU_AFTER_OPTIONS, CELL_GRU_BEFORE, CELL_GRU_BEFORE_OPTIONS, CELL_INDRNN, CELL_LSTM, CELL_LSTM_COUPLED,
    CELL_LSTM_OPTIONS, CELL_MGU, CELL_RNN_IDENTITY, CELL_RNN_OPTIONS, CELL_RNN_RELU, CELL_RNN_TANH, FAULT_BIAS, FAULT_GATES,
    FAULT_TAIL, MAX_SLOTS, OPTION_ROWS, PLAIN_WIDTH, built_fault, function, phase, rows,
)

cnp.import_array()

# By the cell and, of a plain RNN, the number of its activation.
_PLAIN = {
    ("rnn", 1): CELL_RNN_TANH, ("rnn", 3): CELL_RNN_RELU, ("rnn", 0): CELL_RNN_IDENTITY, "lstm": CELL_LSTM,
    "gruafter": CELL_GRU_AFTER, "grubefore": CELL_GRU_BEFORE,
}
_OPTIONS = {
    "rnn": CELL_RNN_OPTIONS, "indrnn": CELL_INDRNN, "lstm": CELL_LSTM_OPTIONS, "gruafter": CELL_GRU_AFTER_OPTIONS,
    "grubefore": CELL_GRU_BEFORE_OPTIONS, "mgu": CELL_MGU,
}


cdef class Packed:
    """Packed weights of one direction. Immutable: make another where the weights have changed.

    Parameters
    ----------
    variant : rnnfast.ops.Variant
        The cell and its options.
    arrays : dict of str to ndarray
        The parameters that there are, by the names and in the shapes of `Variant.shapes`: float32 or float64, C-contiguous
        and aligned; the caller has checked them.
    training : bool
        Pack for the backward pass too.
    whole : bool
        Take the cell whose arithmetic runs on whole rows, which can note what enters each activation.
    """

    def __cinit__(self, variant, dict arrays, bint training, bint whole=False):
        cdef Buffer scratch
        cdef Panels *made = &self.panels
        cdef cnp.ndarray weight_ih = arrays["weight_ih"], weight_hh = arrays["weight_hh"]
        cdef char *weights[3]
        cdef const char *bias = NULL
        cdef const char *bias_hn = NULL
        cdef ptrdiff_t widest
        cdef int j
        name = variant.cell + variant.reset
        self.projected = "weight_hr" in arrays
        plain = variant.plain and not self.projected and not whole
        if plain:
            number = _PLAIN[("rnn", variant.candidate[0]) if name == "rnn" else name]
        else:
            number = CELL_LSTM_COUPLED if variant.coupled else _OPTIONS[name]
        self.kind = variant
        self.names = frozenset(arrays)
        made.table = kernels_of(weight_ih.itemsize)
        self.own = made.table.cells[<int>number][0]
        made.cell = &self.own
        made.itemsize, made.lanes = weight_ih.itemsize, made.table.lanes
        made.input_size = cnp.PyArray_DIM(weight_ih, 1)
        made.hidden_size = made.output_size = cnp.PyArray_DIM(weight_ih, 0) // self.own.gates
        if self.projected:
            made.output_size = cnp.PyArray_DIM(<cnp.ndarray>arrays["weight_hr"], 0)
            self.own.phase[1] = made.table.projection[0]
            self.own.phases = 2
        made.vectors, made.input_vectors, made.output_vectors = (
            -(-size // made.lanes) for size in (made.hidden_size, made.input_size, made.output_size)
        )
        made.new_update, made.training, made.whole, made.norm = variant.new_update, training, not plain, variant.layer_norm
        made.zone_h, made.zone_c, made.recurrent_dropout = variant.zoneout_h, variant.zoneout_c, variant.recurrent_dropout
        for j in range(self.own.phases):
            made.units[j], made.unit_vectors[j], made.depth[j] = made.hidden_size, made.vectors, made.hidden_size
        made.depth[0] = made.output_size
        if self.projected:
            made.units[1], made.unit_vectors[1] = made.output_size, made.output_vectors
        if made.new_update and not made.norm:
            first = self.own.negated_gate * made.hidden_size
            for key in ("weight_ih", "weight_hh", "bias"):
                if key in arrays:
                    arrays = {**arrays, key: _negated(arrays[key], first, first + made.hidden_size)}
        self.held = [arrays]
        self.take_options(variant, arrays)
        weights[0] = cnp.PyArray_BYTES(<cnp.ndarray>arrays["weight_ih"])
        weights[1] = weights[2] = cnp.PyArray_BYTES(<cnp.ndarray>arrays["weight_hh"])
        if self.projected:
            weights[2] = cnp.PyArray_BYTES(<cnp.ndarray>arrays["weight_hr"])
        if not made.norm:
            bias = cnp.PyArray_BYTES(<cnp.ndarray>arrays["bias"]) if "bias" in arrays else NULL
            bias_hn = cnp.PyArray_BYTES(<cnp.ndarray>arrays["bias_hn"]) if "bias_hn" in arrays else NULL
        widest = max(made.vectors, made.output_vectors)
        scratch = Buffer.of(MAX_SLOTS * widest * made.lanes * sizeof(char *))
        self.memory = Buffer.of(pack_all(made, NULL, NULL, NULL, NULL, NULL))
        cdef char *to = self.memory.start
        with nogil:
            pack_all(made, to, weights, bias, bias_hn, <char **>scratch.start)
        del self.held[0]

    cdef take_options(self, variant, dict arrays):
        """The parameters of the options, in rows of whole vectors that this object holds."""
        cdef Panels *made = &self.panels
        cdef ptrdiff_t H = made.hidden_size
        cdef const phase *p = &made.cell.phase[0]
        cdef int slot
        set_function(&made.options.gate, variant.gate)
        set_function(&made.options.candidate, variant.candidate)
        set_function(&made.options.output, variant.output)
        made.options.clip, made.options.cell_clip = variant.clip, variant.cell_clip
        made.options.units, made.options.projected = H, self.projected
        if made.zone_h > 0:
            made.zone_h_row = self.constant(made.zone_h)
        if made.zone_c > 0:
            made.zone_c_row = self.constant(made.zone_c)
        if made.zone_h > 0 or made.zone_c > 0 or made.recurrent_dropout > 0:
            made.ones = self.constant(1.0)
        made.options.norm_sums = (5 if made.cell.has_c else 1) * unit_bytes(made)
        if "weight_ch" in arrays:
            ends = np.split(arrays["weight_ch"], 2 if variant.coupled else 3)
            made.options.peephole[0] = self.hold(ends[0])
            made.options.peephole[1] = NULL
            made.options.peephole[2] = self.hold(ends[1 if variant.coupled else 2])
            if not variant.coupled:
                made.options.peephole[1] = self.hold(ends[1])
        if variant.cell == "indrnn":
            made.options.recurrent = self.hold(arrays["weight_hh"])
        if made.norm:
            slots = {name: np.zeros((p.slots, H), arrays["weight_ih"].dtype) for name in ("norm_ih", "norm_hh", "bias")}
            for name in ("norm_ih", "bias"):
                if name in arrays:
                    for slot in range(p.x_count):
                        slots[name][p.x_first + slot] = arrays[name][p.x_gate[slot] * H : (p.x_gate[slot] + 1) * H]
            for slot in range(p.h_count):
                slots["norm_hh"][p.h_first + slot] = arrays["norm_hh"][p.h_gate[slot] * H : (p.h_gate[slot] + 1) * H]
            if "bias_hn" in arrays:
                slots["bias"][p.slots - 1] = arrays["bias_hn"]
            if made.new_update:
                for slot in range(p.x_count):
                    if p.x_gate[slot] == made.cell.negated_gate:
                        for name in slots:
                            slots[name][p.x_first + slot] *= -1
            made.options.norm_ih, made.options.norm_hh = self.hold(slots["norm_ih"]), self.hold(slots["norm_hh"])
            made.options.bias = self.hold(slots["bias"])
            if "norm_c" in arrays:
                bias_c = arrays["bias_c"] if "bias_c" in arrays else np.zeros_like(arrays["norm_c"])
                made.options.norm_c, made.options.bias_c = self.hold(arrays["norm_c"]), self.hold(bias_c)

    cdef const char *constant(self, double value) except NULL:
        row = np.full(max(self.panels.vectors, self.panels.output_vectors) * self.panels.lanes, value, self.dtype)
        self.held.append(row)
        return cnp.PyArray_BYTES(<cnp.ndarray>row)

    cdef const char *hold(self, given) except NULL:
        """Rows (slots, H), or one (H,), as the kernels have gates: for each vector of units the slots side by side."""
        cdef Panels *made = &self.panels
        slots = given.reshape(-1, made.hidden_size)
        padded = np.zeros((len(slots), made.vectors * made.lanes), given.dtype)
        padded[:, : made.hidden_size] = slots
        row = np.ascontiguousarray(padded.reshape(len(slots), made.vectors, made.lanes).swapaxes(0, 1))
        self.held.append(row)
        return cnp.PyArray_BYTES(<cnp.ndarray>row)

    @property
    def input_size(self):
        return self.panels.input_size

    @property
    def hidden_size(self):
        return self.panels.hidden_size

    @property
    def output_size(self):
        return self.panels.output_size

    @property
    def nbytes(self):
        return self.memory.size

    @property
    def training(self):
        return bool(self.panels.training)

    @property
    def dtype(self):
        return np.dtype(np.float32 if self.panels.itemsize == 4 else np.float64)


cdef void set_function(function *to, given):
    to.kind, to.alpha, to.beta = given


cdef ptrdiff_t unit_bytes(const Panels *panels) noexcept nogil:
    return panels.vectors * panels.lanes * panels.itemsize


cdef ptrdiff_t output_bytes(const Panels *panels) noexcept nogil:
    return panels.output_vectors * panels.lanes * panels.itemsize


cdef ptrdiff_t option_scratch(const Panels *panels) noexcept nogil:
    return OPTION_ROWS * unit_bytes(panels) if panels.whole else 0


cdef ptrdiff_t sums_bytes(const Panels *panels) noexcept nogil:
    if not panels.whole:
        return 0
    return panels.options.norm_sums + (2 * row_bytes(panels, 0) if panels.norm else 0)


cdef ptrdiff_t row_bytes(const Panels *panels, int j) noexcept nogil:
    """Bytes of a row of this phase's gates."""
    return panels.unit_vectors[j] * panels.cell.phase[j].slots * panels.lanes * panels.itemsize


def _negated(array, first, last):
    if array is None:
        return None
    array = array.copy()
    array[first:last] *= -1
    return array


cdef ptrdiff_t pack_all(Panels *panels, char *to, char **weights, const char *bias, const char *bias_hn, char **each) noexcept nogil:
    """Pack W, then R of each phase, from `to` on, or only count the bytes where `to` is NULL. `each` has room for a row of
    gates."""
    cdef ptrdiff_t used = 0
    cdef const phase *p
    cdef int j
    cdef char *w = weights[0] if weights is not NULL else NULL
    cdef char *r
    for j in range(panels.cell.phases):
        p = &panels.cell.phase[j]
        r = weights[1 + j] if weights is not NULL else NULL
        if to is not NULL:
            panels.bias[j] = to + used
            write_bias(panels, j, to + used, bias, bias_hn)
        used += row_bytes(panels, j)
        panels.x[j] = to + used
        used += pack_one(panels, j, to + used if to is not NULL else NULL, w, True, False, each)
        panels.h[j] = to + used
        used += pack_one(panels, j, to + used if to is not NULL else NULL, r, False, False, each)
        if panels.training:
            panels.x_back[j] = to + used
            used += pack_one(panels, j, to + used if to is not NULL else NULL, w, True, True, each)
            panels.h_back[j] = to + used
            used += pack_one(panels, j, to + used if to is not NULL else NULL, r, False, True, each)
    return used


cdef ptrdiff_t pack_one(const Panels *panels, int j, char *to, char *weight, bint x, bint back, char **each) noexcept nogil:
    """One phase's part of a weight matrix whose rows have as many elements as the operand: forward as (operand, gates), back
    as (gates, operand).

    Returns the bytes it takes; `to` NULL: only that.
    """
    cdef const phase *p = &panels.cell.phase[j]
    cdef int count = p.x_count if x else p.h_count, width = count if p.slots > 1 else PLAIN_WIDTH, slot, gate
    cdef ptrdiff_t size = panels.input_size if x else panels.depth[j], units = panels.units[j], vectors = panels.unit_vectors[j]
    cdef ptrdiff_t plain = (size + panels.lanes - 1) // panels.lanes, columns = vectors * count * panels.lanes
    cdef ptrdiff_t v, lane, unit, n
    cdef rows gate_rows
    if to is not NULL and count > 0:
        for v in range(vectors):
            for slot in range(count):
                gate = p.x_gate[slot] if x else p.h_gate[slot]
                if built_fault == FAULT_GATES and panels.cell.gates > 1 and x and gate < 2:
                    gate = 1 - gate
                # Backward runs through the gates slot by slot, whatever the vectors' width.
                n = (slot * vectors + v if back else v * count + slot) * panels.lanes
                for lane in range(panels.lanes):
                    unit = v * panels.lanes + lane
                    if unit >= units or built_fault == FAULT_TAIL and unit == units - 1:
                        each[n + lane] = NULL
                    else:
                        each[n + lane] = weight + (gate * units + unit) * size * panels.itemsize
        gate_rows.base, gate_rows.stride, gate_rows.each = NULL, 0, each
        if back:
            panels.table.pack_rows(to, &gate_rows, panels.itemsize, columns, size)
        else:
            panels.table.pack_columns(to, &gate_rows, columns, size, vectors * count, width)
    return (columns * plain * panels.lanes if back else size * columns) * panels.itemsize


cdef void write_bias(const Panels *panels, int j, char *to, const char *bias, const char *bias_hn) noexcept nogil:
    """The row of biases in the order of the slots; the slot that only the recurrent product fills has bias_hn."""
    cdef const phase *p = &panels.cell.phase[j]
    cdef ptrdiff_t v, lane, unit, size = panels.itemsize
    cdef const char *source
    cdef int slot, gate
    memset(to, 0, row_bytes(panels, j))
    for v in range(panels.unit_vectors[j]):
        for slot in range(p.slots):
            if p.x_first <= slot < p.x_first + p.x_count:
                gate, source = p.x_gate[slot - p.x_first], bias
            else:
                gate, source = 0, bias_hn
            if source is NULL or built_fault == FAULT_BIAS:
                continue
            for lane in range(panels.lanes):
                unit = v * panels.lanes + lane
                if unit < panels.units[j]:
                    memcpy(to + ((v * p.slots + slot) * panels.lanes + lane) * size,
                           source + (gate * panels.hidden_size + unit) * size, size)
