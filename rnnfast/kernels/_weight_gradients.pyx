"""What follows the backward time loop: gradients of inputs and weights, large products over all steps; and the sums."""

cimport numpy as cnp
from libc.string cimport memset

import numpy as np

from rnnfast.kernels._memory import zeros

from rnnfast.kernels._packed cimport Packed, Panels, output_bytes, row_bytes, sums_bytes, unit_bytes
from rnnfast.kernels._plan cimport Plan, active, before, evenly, offset, point, pointed
from rnnfast.kernels._products cimport BLOCK, SCATTER, Outer, outer_block, outer_scratch, zero_row
from rnnfast.kernels._segments cimport first_block
from rnnfast.kernels._tables cimport (
    FAULT_SHIFT, PLAIN_WIDTH, built_fault, denormals_flush, denormals_restore, kernel_table, phase, product, rows,
)
from rnnfast.kernels._threads cimport interrupted

cnp.import_array()

cdef void input_rows(void *context, int index) noexcept nogil:
    """dx = d W for this worker's share of the compact rows."""
    cdef Backward *b = <Backward *>context
    cdef const Plan *plan = b.plan
    cdef const Panels *panels = plan.panels
    cdef const kernel_table *table = panels.table
    cdef const phase *cell
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, row_size = panels.input_vectors * vector
    cdef ptrdiff_t blocks = (plan.last_row - plan.first_row + SCATTER - 1) // SCATTER, n, last, s, at, here, row, last_row
    cdef char **each = <char **>b.scratch[index]
    cdef char *target = <char *>((<size_t>(each + SCATTER) + 63) & ~<size_t>63)
    cdef unsigned mode = denormals_flush()
    cdef product p
    cdef rows own, user
    cdef int j
    n = plan.first_row + blocks * index // b.workers * SCATTER
    last = min(plan.last_row, plan.first_row + blocks * (index + 1) // b.workers * SCATTER)
    s = step_of(plan, n)
    while n < last and not interrupted(&b.interrupt):
        here = min(<ptrdiff_t>SCATTER, last - n)
        for j in range(panels.cell.phases):
            cell = &panels.cell.phase[j]
            if cell.x_count == 0:
                continue
            memset(&p, 0, sizeof(product))
            p.a = evenly((plan.x_gates if j == 0 else plan.gates[j]) + n * row_bytes(panels, j) + cell.x_first * vector,
                         row_bytes(panels, j))
            p.c = evenly(target, row_size)
            p.c_panel = PLAIN_WIDTH * vector
            if j == 0:
                p.init = evenly(zero_row(), 0)
            else:
                p.init, p.init_panel = p.c, p.c_panel
            p.count = here
            through_gates(&p, panels, j, cell.x_count)
            p.b = panels.x_back[j]
            p.width, p.vectors = PLAIN_WIDTH, panels.input_vectors
            table.multiply(&p)
        at = 0
        while at < here:
            while offset(plan, s + 1) <= n + at:
                s += 1
            row = n + at - offset(plan, s)
            last_row = min(active(plan, s), row + here - at)
            point(plan, &b.dx, s, row, last_row, each + at)
            at += last_row - row
        own, user = evenly(target, row_size), pointed(each)
        table.store_rows(&user, b.dx.element, &own, here, panels.input_size)
        n += here
    denormals_restore(mode)


cdef ptrdiff_t weights_scratch(const Panels *panels, ptrdiff_t vectors) noexcept nogil:
    """Bytes that a worker with so many vectors of units needs."""
    cdef ptrdiff_t columns = vectors * panels.lanes * 4
    return (BLOCK * columns * panels.itemsize + 3 * columns * sizeof(char *) + 2 * BLOCK * sizeof(char *)
            + outer_scratch(panels.table, max(panels.input_size, max(panels.hidden_size, panels.output_size))) + 5 * 64)


cdef void weight_units(void *context, int index) noexcept nogil:
    """dW, dR and the bias sums for this worker's share of the units: d^T x, d^T h over all rows, block by block, the last
    block first."""
    cdef Backward *b = <Backward *>context
    cdef const Plan *plan = b.plan
    cdef const Panels *panels = plan.panels
    cdef const kernel_table *table = panels.table
    cdef const phase *cell
    cdef ptrdiff_t size = panels.itemsize, vector = panels.lanes * size, unit = unit_bytes(panels), output = output_bytes(panels)
    cdef ptrdiff_t most = (max(panels.vectors, panels.output_vectors) // b.workers + 1) * panels.lanes * 4
    cdef ptrdiff_t first, last, columns, n, here, at, s, row, last_row, k, offset_of_slots
    cdef ptrdiff_t start = first_block(plan), end = plan.last_row + plan.rest
    cdef char **a_rows = <char **>b.scratch[index]
    cdef char **c_rows = a_rows + most
    cdef char **each = c_rows + most
    cdef char *transposed = <char *>((<size_t>(each + 2 * BLOCK + most) + 63) & ~<size_t>63)
    cdef unsigned mode = denormals_flush()
    cdef Outer of_x, of_h
    cdef rows d, operand
    cdef int j
    of_x.table, of_x.columns, of_x.vectors, of_x.element = table, panels.input_size, panels.input_vectors, plan.x.element
    of_h.table, of_h.element = table, size
    of_x.panels = of_h.panels = transposed + BLOCK * most * size
    for j in range(panels.cell.phases):
        cell = &panels.cell.phase[j]
        first, last = panels.unit_vectors[j] * index // b.workers, panels.unit_vectors[j] * (index + 1) // b.workers
        of_h.columns, of_h.vectors = panels.depth[j], panels.output_vectors if j == 0 else panels.vectors
        columns, offset_of_slots = (last - first) * cell.slots * panels.lanes, first * cell.slots * vector
        n = (end + BLOCK - 1) // BLOCK * BLOCK - BLOCK
        while n >= start and not interrupted(&b.interrupt):
            here = min(<ptrdiff_t>BLOCK, end - n)
            d = evenly(plan.gates[j] + n * row_bytes(panels, j) + offset_of_slots, row_bytes(panels, j))
            table.transpose(transposed, BLOCK * size, &d, here, columns, b.d_bias[j] + offset_of_slots)
            # x of the block's rows, then what the recurrent product took: the state before each, or r * h in a second phase.
            s = step_of(plan, n)
            at = 0
            while at < here:
                while offset(plan, s + 1) <= n + at:
                    s += 1
                row = n + at - offset(plan, s)
                last_row = min(active(plan, s), row + here - at)
                point(plan, &plan.x, s, row, last_row, each + at)
                for k in range(row, last_row):
                    if j > 0:
                        each[BLOCK + at + k - row] = plan.between + (offset(plan, s) + k) * unit
                    elif plan.masked is not NULL:
                        each[BLOCK + at + k - row] = plan.masked + (offset(plan, s) + k) * output
                    elif built_fault == FAULT_SHIFT:
                        each[BLOCK + at + k - row] = plan.h + (plan.B + offset(plan, s) + k) * output
                    else:
                        each[BLOCK + at + k - row] = plan.h + (before(plan, s) + k) * output
                at += last_row - row
            if panels.norm and j == 0:
                d.base = plan.x_gates + n * d.stride + offset_of_slots
                table.transpose(transposed, BLOCK * size, &d, here, columns, NULL)
            if cell.x_count > 0:
                operand = pointed(each)
                k = gate_rows(panels, j, True, first, last, transposed, b.d_weight_ih, of_x.vectors * vector, a_rows, c_rows)
                outer_block(&of_x, &operand, here, a_rows, c_rows, k)
            if panels.norm and j == 0:
                d.base = plan.h_gates + n * d.stride + offset_of_slots
                table.transpose(transposed, BLOCK * size, &d, here, columns, NULL)
            if cell.h_count > 0:
                operand = pointed(each + BLOCK)
                k = gate_rows(panels, j, False, first, last, transposed, b.d_weight_hh[j], of_h.vectors * vector, a_rows, c_rows)
                outer_block(&of_h, &operand, here, a_rows, c_rows, k)
            n -= BLOCK
    denormals_restore(mode)


cdef ptrdiff_t gate_rows(const Panels *panels, int j, bint x, ptrdiff_t first, ptrdiff_t last, char *transposed,
                         char *weights, ptrdiff_t row_size, char **a, char **c) noexcept nogil:
    """Pair each transposed gate column of these units with its row of the weight gradient. Returns how many."""
    cdef const phase *cell = &panels.cell.phase[j]
    cdef int slot, start = cell.x_first if x else cell.h_first, count = cell.x_count if x else cell.h_count, gate
    cdef ptrdiff_t v, lane, n = 0
    for slot in range(count):
        gate = cell.x_gate[slot] if x else cell.h_gate[slot]
        for v in range(first, last):
            for lane in range(min(panels.lanes, panels.units[j] - v * panels.lanes)):
                a[n] = transposed + (((v - first) * cell.slots + start + slot) * panels.lanes + lane) * BLOCK * panels.itemsize
                c[n] = weights + (gate * panels.units[j] + v * panels.lanes + lane) * row_size
                n += 1
    return n


cdef ptrdiff_t step_of(const Plan *plan, ptrdiff_t n) noexcept nogil:
    """The step that the compact row n belongs to."""
    cdef ptrdiff_t low = 0, high = plan.steps, middle
    while high - low > 1:
        middle = (low + high) // 2
        if offset(plan, middle) <= n:
            low = middle
        else:
            high = middle
    return low


cdef class Sums:
    """Where the gradients of one direction's parameters are summed."""

    def __cinit__(self, Packed packed):
        cdef const Panels *panels = &packed.panels
        cdef ptrdiff_t H = panels.hidden_size
        cdef int j
        self.packed = packed
        self.dtype = np.dtype(np.float32 if panels.itemsize == 4 else np.float64)
        self.weights = {"weight_ih": zeros((panels.cell.gates * H, panels.input_vectors * panels.lanes), self.dtype)}
        if packed.kind.cell != "indrnn":
            self.weights["weight_hh"] = zeros((panels.cell.gates * H, panels.output_vectors * panels.lanes), self.dtype)
        if packed.projected:
            self.weights["weight_hr"] = zeros((panels.output_size, panels.vectors * panels.lanes), self.dtype)
        self.slots = [np.zeros((panels.unit_vectors[j], panels.cell.phase[j].slots, panels.lanes), self.dtype)
                      for j in range(panels.cell.phases)]

    cdef point(self, Backward *b):
        """Let `b` add here."""
        cdef const Panels *panels = &self.packed.panels
        cdef cnp.ndarray found = self.weights["weight_ih"]
        cdef int j
        b.d_weight_ih = cnp.PyArray_BYTES(found)
        for j in range(panels.cell.phases):
            if panels.cell.phase[j].h_count > 0:
                found = self.weights["weight_hr" if j == 1 and self.packed.projected else "weight_hh"]
                b.d_weight_hh[j] = cnp.PyArray_BYTES(found)
            found = self.slots[j]
            b.d_bias[j] = cnp.PyArray_BYTES(found)

    cdef dict gradients(self, const Backward *b):
        """By the names of `Variant.shapes`, of every parameter that the variant may have."""
        cdef const Panels *panels = &self.packed.panels
        cdef ptrdiff_t H = panels.hidden_size, i
        variant, grads = self.packed.kind, self.weights
        for name, width in (("weight_ih", panels.input_size), ("weight_hh", panels.output_size), ("weight_hr", H)):
            if name in grads:
                grads[name] = grads[name][:, :width]
        grads["bias"] = by_gate(panels, self.slots, True)
        if variant.reset == "after":
            grads["bias_hn"] = np.array(self.slots[0][:, 3].reshape(-1)[:H])
        if panels.whole:
            grads |= option_gradients(panels, variant, b.sums, b.plan.B, self.dtype)
        if panels.new_update:
            i = panels.cell.negated_gate * H
            for name in ("norm_ih", "norm_hh", "bias") if panels.norm else ("weight_ih", "weight_hh", "bias"):
                # Not np.negative(a, out=a): NumPy 2.4 gets that wrong for some strides.
                grads[name][i : i + H] *= -1
        return grads


cdef by_gate(const Panels *panels, list slots, bint x):
    """From the sums (vectors, slots, lanes) of each phase one array (G * H,), in the order of the gates."""
    cdef ptrdiff_t H = panels.hidden_size
    cdef const phase *cell
    cdef int j, slot
    gates = np.zeros(panels.cell.gates * H, slots[0].dtype)
    for j in range(len(slots)):
        cell = &panels.cell.phase[j]
        for slot in range(cell.x_count if x else cell.h_count):
            gate = cell.x_gate[slot] if x else cell.h_gate[slot]
            gates[gate * H : (gate + 1) * H] = slots[j][:, slot + (cell.x_first if x else cell.h_first)].reshape(-1)[:H]
    return gates


cdef dict option_gradients(const Panels *panels, variant, char *sums, ptrdiff_t B, dtype):
    """Gradients of the options' parameters from the sums of every row, added up row by row."""
    cdef ptrdiff_t H = panels.hidden_size, unit = panels.vectors * panels.lanes, slots = panels.cell.phase[0].slots
    cdef ptrdiff_t size = sums_bytes(panels), norm = panels.options.norm_sums // panels.itemsize
    cdef cnp.ndarray total = np.zeros(size // panels.itemsize, dtype)
    if B > 0:
        total = np.frombuffer((<char *>sums)[: B * size], dtype).reshape(B, -1).sum(axis=0)
    rows = total[:norm].reshape(-1, unit)[:, :H]
    grads = {}
    if variant.cell == "indrnn":
        grads["weight_hh"] = rows[0].copy()
    if variant.peephole:
        grads["weight_ch"] = np.concatenate([rows[0], rows[2]] if variant.coupled else [rows[0], rows[1], rows[2]])
    if variant.layer_norm:
        of_norms = total[norm:].reshape(2, panels.vectors, slots, panels.lanes)
        grads["norm_ih"], grads["norm_hh"] = by_gate(panels, [of_norms[0]], True), by_gate(panels, [of_norms[1]], False)
        if variant.has_c:
            grads["norm_c"], grads["bias_c"] = rows[3].copy(), rows[4].copy()
    return grads
