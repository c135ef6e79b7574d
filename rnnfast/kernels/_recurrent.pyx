"""The fused time loop of every cell, forward: one layer, one direction. Its counterpart is _gradients.pyx."""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from rnnfast.kernels._threads import get_num_threads

from rnnfast.kernels._packed cimport Buffer, Packed, Panels, row_bytes, times
from rnnfast.kernels._tables cimport (
    MAX_PHASES, PLAIN_WIDTH, denormals_flush, denormals_restore, kernel_table, phase, product, rows, step,
)
from rnnfast.kernels._team cimport MAX_WORKERS, Team, gather, meet_team, run_team
from rnnfast.kernels._threads cimport Interrupt, end_watch, interrupted, threads_for, watch

cnp.import_array()

# Bytes of pre-activations that the input product makes at once: they wait in the second cache for their steps.
cdef enum:
    CHUNK_BYTES = 192 * 1024


cdef Array3 array3(cnp.ndarray array):
    cdef Array3 made
    made.base = cnp.PyArray_BYTES(array)
    made.batch, made.time, made.element = cnp.PyArray_STRIDE(array, 0), cnp.PyArray_STRIDE(array, 1), cnp.PyArray_STRIDE(array, 2)
    return made


cdef rows evenly(char *base, ptrdiff_t stride) noexcept nogil:
    cdef rows made
    made.base, made.stride, made.each = base, stride, NULL
    return made


cdef rows pointed(char **each) noexcept nogil:
    cdef rows made
    made.base, made.stride, made.each = NULL, 0, each
    return made


cdef int make_plan(Call call, lengths) except -1:
    """Order the rows and count the running ones of each step."""
    cdef Plan *plan = &call.plan
    cdef ptrdiff_t B = plan.B, T = plan.T, s, j
    cdef cnp.ndarray order, ordered
    plan.has_lengths = lengths is not None
    if plan.has_lengths:
        order = np.argsort(-lengths, kind="stable").astype(np.int64)
        ordered = lengths[order]
    # Not T: without rows nothing bounds it.
    plan.steps = 0 if B == 0 else T if lengths is None else ordered[0]
    call.order = Buffer.of(times(2 * (B + plan.steps + 1), sizeof(int64_t)))
    plan.row = <int64_t *>call.order.start
    plan.length, plan.active = plan.row + B, plan.row + 2 * B
    plan.offset = plan.active + plan.steps + 1
    if lengths is None:
        for j in range(B):
            plan.row[j], plan.length[j] = j, T
    else:
        memcpy(plan.row, cnp.PyArray_DATA(order), B * sizeof(int64_t))
        memcpy(plan.length, cnp.PyArray_DATA(ordered), B * sizeof(int64_t))
    plan.offset[0] = 0
    j = B
    for s in range(plan.steps + 1):
        while j > 0 and plan.length[j - 1] <= s:
            j -= 1
        plan.active[s] = j
        if s < plan.steps:
            plan.offset[s + 1] = plan.offset[s] + j
    plan.total = plan.offset[plan.steps]
    return 0


cdef void point(const Plan *plan, const Array3 *array, ptrdiff_t s, ptrdiff_t first, ptrdiff_t last, char **each) noexcept nogil:
    """Where the rows [first, last) of step s lie in an array of the caller."""
    cdef ptrdiff_t j, time
    for j in range(first, last):
        time = plan.length[j] - 1 - s if plan.reverse else s
        each[j - first] = array.base + plan.row[j] * array.batch + time * array.time


cdef ptrdiff_t before(const Plan *plan, ptrdiff_t s) noexcept nogil:
    """The saved row of the state before row 0 of step s; the state after it is at row B + offset[s]."""
    return plan.B + plan.offset[s - 1] if s > 0 else 0


cdef ptrdiff_t running(const Plan *plan, ptrdiff_t s, ptrdiff_t last) noexcept nogil:
    return min(<ptrdiff_t>plan.active[s], last)


cdef struct Forward:
    const Plan *plan
    Team team
    char **scratch  # one for each row slice
    char **each  # room for pointers: 2 * chunk for each task
    # Initial and final states, (B, H), contiguous.
    char *h0
    char *c0
    char *hn
    char *cn
    ptrdiff_t chunk  # rows that the input product takes at once, at least one step's
    Interrupt interrupt


cdef ptrdiff_t scratch_bytes(const Plan *plan, ptrdiff_t count, ptrdiff_t chunk) noexcept nogil:
    """What a slice of `count` rows needs in inference: states, and a chunk of gates."""
    cdef ptrdiff_t total = 4 * count * plan.panels.vectors * plan.panels.lanes * plan.panels.itemsize
    cdef int j
    for j in range(plan.panels.cell.phases):
        total += chunk * row_bytes(plan.panels, j)
    return 0 if plan.training else total


cdef void forward_slice(void *context, int index) noexcept nogil:
    cdef Forward *f = <Forward *>context
    cdef unsigned mode = denormals_flush()
    cdef int r = index // f.team.units, u = index % f.team.units
    forward_rows(f, f.plan, index, f.team.row[r], f.team.row[r + 1], f.team.vector[u], f.team.vector[u + 1])
    denormals_restore(mode)


cdef void forward_rows(Forward *f, const Plan *plan, int index, ptrdiff_t first, ptrdiff_t last, ptrdiff_t from_vector,
                       ptrdiff_t to_vector) noexcept nogil:
    """The whole time loop for the rows [first, last) and the units of the vectors [from_vector, to_vector)."""
    cdef const Panels *panels = plan.panels
    cdef const kernel_table *table = panels.table
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, unit = panels.vectors * vector
    cdef ptrdiff_t H = panels.hidden_size, size = panels.itemsize, skip = from_vector * vector
    cdef ptrdiff_t own = units_from(panels, from_vector, to_vector)
    cdef ptrdiff_t s = 0, end, done, n, taken, at, r, row, width = last - first
    cdef int j, phases = panels.cell.phases
    cdef bint has_c = panels.cell.has_c, leads = from_vector == 0
    cdef char **x_rows = f.each + 2 * index * f.chunk
    cdef char **gate_rows = x_rows + f.chunk
    cdef char *free_from = f.scratch[index // f.team.units]
    cdef char *gates[MAX_PHASES]
    cdef char *h = NULL
    cdef char *h_next = NULL
    cdef char *c = NULL
    cdef char *between = NULL
    cdef char *swap
    cdef step now
    cdef rows user, operand, after, c_after

    memset(&now, 0, sizeof(step))
    now.vectors = to_vector - from_vector
    if plan.training:
        h = plan.h + first * unit
        c = plan.c + first * unit if has_c else NULL
    else:
        h, h_next, c, between = free_from, free_from + width * unit, free_from + 2 * width * unit, free_from + 3 * width * unit
        free_from += 4 * width * unit
        for j in range(phases):
            gates[j] = free_from
            free_from += f.chunk * row_bytes(panels, j)
    if leads:
        for n in range(width):
            load_state(table, h + n * unit, f.h0, plan.row[first + n], H, size)
            if has_c:
                load_state(table, c + n * unit, f.c0, plan.row[first + n], H, size)
            if plan.length[first + n] == 0:
                store_state(f.hn, h + n * unit, plan.row[first + n], H, size)
                if has_c:
                    store_state(f.cn, c + n * unit, plan.row[first + n], H, size)
    if not meet_team(&f.team, index, &f.interrupt):
        return

    while s < plan.steps and plan.active[s] > first and not interrupted(&f.interrupt):
        # As many steps as fit the chunk, and at least one.
        taken, end = 0, s
        while end < plan.steps and plan.active[end] > first:
            n = running(plan, end, last) - first
            if taken + n > f.chunk:
                break
            point(plan, &plan.x, end, first, first + n, x_rows + taken)
            taken += n
            end += 1
        for j in range(phases):
            at = 0
            for done in range(s, end):
                for n in range(running(plan, done, last) - first):
                    row = plan.offset[done] + first + n if plan.training else at
                    gate_rows[at] = (plan.gates[j] if plan.training else gates[j]) + row * row_bytes(panels, j)
                    at += 1
            input_product(panels, j, x_rows, gate_rows, taken, from_vector, to_vector)
        at = 0
        for done in range(s, end):
            n = running(plan, done, last) - first
            if plan.training:
                operand = evenly(plan.h + (before(plan, done) + first) * unit, unit)
                after = evenly(plan.h + (plan.B + plan.offset[done] + first) * unit, unit)
                if has_c:
                    now.c_before = evenly(plan.c + (before(plan, done) + first) * unit + skip, unit)
                    c_after = evenly(plan.c + (plan.B + plan.offset[done] + first) * unit, unit)
                if phases > 1:
                    between = plan.between + (plan.offset[done] + first) * unit
            else:
                operand, after, c_after = evenly(h, unit), evenly(h_next, unit), evenly(c, unit)
                now.c_before = evenly(c + skip, unit)
            now.h_before, now.h = evenly(operand.base + skip, unit), evenly(after.base + skip, unit)
            now.c = evenly(c_after.base + skip if has_c else NULL, unit)
            now.between = evenly(between + skip if between is not NULL else NULL, unit)
            for j in range(phases):
                row = plan.offset[done] + first if plan.training else at
                now.gates[j] = evenly((plan.gates[j] if plan.training else gates[j]) + row * row_bytes(panels, j)
                                      + skip * panels.cell.phase[j].slots, row_bytes(panels, j))
            at += n
            now.count = n
            for j in range(phases):
                recurrent_product(panels, j, &now, &operand, n, from_vector, to_vector, plan.training, done & 1)
                if not meet_team(&f.team, index, &f.interrupt):
                    return
                operand = evenly(between, unit)
            point(plan, &plan.y, done, first, first + n, x_rows)
            move(x_rows, n, from_vector * panels.lanes * plan.y.element)
            user = pointed(x_rows)
            table.store_rows(&user, plan.y.element, &now.h, n, own)
            if leads:
                # Rows that end here: their final state.
                for r in range(max(<ptrdiff_t>0, running(plan, done + 1, last) - first), n):
                    store_state(f.hn, after.base + r * unit, plan.row[first + r], H, size)
                    if has_c:
                        store_state(f.cn, c_after.base + r * unit, plan.row[first + r], H, size)
            if not plan.training:
                swap = h
                h = h_next
                h_next = swap
        s = end


cdef ptrdiff_t units_from(const Panels *panels, ptrdiff_t first, ptrdiff_t last) noexcept nogil:
    """How many units the vectors [first, last) hold."""
    return min(panels.hidden_size, last * panels.lanes) - first * panels.lanes


cdef void move(char **each, ptrdiff_t count, ptrdiff_t bytes) noexcept nogil:
    cdef ptrdiff_t r
    if bytes:
        for r in range(count):
            each[r] += bytes


cdef void load_state(const kernel_table *table, char *to, char *state, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil:
    """One row of a caller's state, or zeros where there is none."""
    cdef rows target = evenly(to, 0), source
    if state is NULL:
        memset(to, 0, (H + table.lanes - 1) // table.lanes * table.lanes * size)
    else:
        source = evenly(state + row * H * size, 0)
        table.load_rows(&target, &source, size, 1, H)


cdef void store_state(char *state, char *source, ptrdiff_t row, ptrdiff_t H, ptrdiff_t size) noexcept nogil:
    memcpy(state + row * H * size, source, H * size)


cdef void input_product(const Panels *panels, int j, char **x_rows, char **gate_rows, ptrdiff_t count, ptrdiff_t first,
                        ptrdiff_t last) noexcept nogil:
    """Gates = bias + x W^T, for as many rows of any steps as are given, and the units of the vectors [first, last)."""
    cdef const phase *cell = &panels.cell.phase[j]
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, skip = (first * cell.slots + cell.x_first) * vector, r
    cdef product p
    cdef rows to
    memset(&p, 0, sizeof(product))
    p.a = pointed(x_rows)
    p.c = pointed(gate_rows)
    p.init = evenly(panels.bias[j] + skip, 0)
    p.count = count
    p.depth, p.segments, p.repeats = panels.input_size, 1, 1
    p.b = panels.x[j] + first * cell.x_count * panels.input_size * vector
    if cell.slots == 1:
        p.width, p.vectors = PLAIN_WIDTH, last - first
        p.c_panel = PLAIN_WIDTH * vector
    else:
        p.width, p.vectors, p.gated = cell.x_count, cell.x_count * (last - first), 1
        p.c_panel = cell.slots * vector
    p.init_panel = p.c_panel
    move(gate_rows, count, skip)
    panels.table.multiply(&p)
    move(gate_rows, count, -cell.x_first * vector)
    for r in range(cell.x_count, cell.slots):
        to = pointed(gate_rows)
        panels.table.fill_slot(&to, count, last - first, cell.slots, <int>r, panels.bias[j] + first * cell.slots * vector)
    move(gate_rows, count, -first * cell.slots * vector)


cdef void recurrent_product(const Panels *panels, int j, step *now, const rows *operand, ptrdiff_t count, ptrdiff_t first,
                            ptrdiff_t last, bint training, bint descending) noexcept nogil:
    """Gates += h R^T for the units of the vectors [first, last), and on each finished tile the gate arithmetic.

    `operand` has whole rows of h (of r * h in a second phase); what `now` names begins with the vector `first`."""
    cdef const phase *cell = &panels.cell.phase[j]
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize
    cdef product p
    memset(&p, 0, sizeof(product))
    p.a = operand[0]
    p.c = evenly(now.gates[j].base + cell.h_first * vector, now.gates[j].stride)
    p.init = p.c
    p.count = count
    p.depth, p.segments, p.repeats = panels.hidden_size, 1, 1
    p.b = panels.h[j] + first * cell.h_count * panels.hidden_size * vector
    if cell.slots == 1:
        p.width, p.vectors = PLAIN_WIDTH, last - first
        p.c_panel = PLAIN_WIDTH * vector
    else:
        p.width, p.vectors, p.gated = cell.h_count, cell.h_count * (last - first), 1
        p.c_panel = cell.slots * vector
    p.init_panel = p.c_panel
    p.descending = descending
    p.finish = cell.train if training else cell.infer
    p.step = now
    panels.table.multiply(&p)


def forward(Packed packed not None, cnp.ndarray x, h0, c0, lengths, bint reverse, cnp.ndarray y, cnp.ndarray hn, cn, bint training):
    """Run one direction over a batch of sequences. The caller (ops.py) has checked every argument.

    Parameters
    ----------
    packed : Packed
    x : ndarray of shape (B, T, I)
        Features contiguous, all aligned.
    h0, c0 : ndarray of shape (B, H), C-contiguous, or None
    lengths : int64 ndarray of shape (B,), or None
        Each from 0 to T.
    reverse : bool
    y : ndarray of shape (B, T, H)
        Any strides; written where a sequence has a step, zeroed beyond.
    hn, cn : ndarray of shape (B, H), C-contiguous
        Written. cn is None but for the LSTM.
    training : bool
        Save what backward needs.

    Returns
    -------
    Call or None
        What backward needs.
    """
    cdef Call call = Call.__new__(Call)
    cdef Plan *plan = &call.plan
    cdef const Panels *panels = &packed.panels
    cdef ptrdiff_t unit = panels.vectors * panels.lanes * panels.itemsize, total = 0, widest = 0, states, i
    cdef int j
    cdef Forward f
    cdef char *scratches[MAX_WORKERS]
    cdef Buffer scratch, each
    plan.panels, plan.reverse, plan.training = panels, reverse, training
    plan.B, plan.T = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    plan.x, plan.y = array3(x), array3(y)
    make_plan(call, lengths)
    # All sizes below, and those of backward, are sums of a few of these at most.
    for j in range(panels.cell.phases):
        total += row_bytes(panels, j)
    times(plan.B + plan.total, total + 4 * (unit + <ptrdiff_t>sizeof(char *)))
    if training:
        total = 0
        call.packed, call.x = packed, x
        states = (plan.B + plan.total) * unit
        for j in range(panels.cell.phases):
            total += plan.total * row_bytes(panels, j)
        total += states * (2 if panels.cell.has_c else 1) + (plan.total * unit if panels.cell.phases > 1 else 0)
        call.saved = Buffer.of(total)
        plan.h = call.saved.start
        plan.c = plan.h + states
        plan.gates[0] = plan.c + (states if panels.cell.has_c else 0)
        plan.gates[1] = plan.gates[0] + plan.total * row_bytes(panels, 0)
        if panels.cell.phases > 1:
            plan.between = plan.gates[1] + plan.total * row_bytes(panels, 1)
    memset(&f, 0, sizeof(Forward))
    f.plan = plan
    f.h0 = cnp.PyArray_BYTES(<cnp.ndarray>h0) if h0 is not None else NULL
    f.c0 = cnp.PyArray_BYTES(<cnp.ndarray>c0) if c0 is not None else NULL
    f.hn = cnp.PyArray_BYTES(hn)
    f.cn = cnp.PyArray_BYTES(<cnp.ndarray>cn) if cn is not None else NULL
    gather(&f.team, plan.B, plan.length, plan.total, panels.vectors, operations(panels))
    for i in range(f.team.rows):
        widest = max(widest, f.team.row[i + 1] - f.team.row[i])
    for j in range(panels.cell.phases):
        f.chunk = max(f.chunk, row_bytes(panels, j))
    f.chunk = max(widest, min(plan.total, CHUNK_BYTES // max(f.chunk, 1)))
    each = Buffer.of(2 * f.chunk * f.team.rows * f.team.units * sizeof(char *))
    total = (scratch_bytes(plan, widest, f.chunk) + 63) & ~<ptrdiff_t>63
    scratch = Buffer.of(total * f.team.rows)
    f.each, f.scratch = <char **>each.start, scratches
    for i in range(f.team.rows):
        scratches[i] = scratch.start + i * total
    with nogil:
        if plan.has_lengths:
            zero_beyond(plan, &plan.y, panels.hidden_size)
        watch(&f.interrupt)
        run_team(forward_slice, &f, &f.team)
    end_watch(&f.interrupt)
    return call if training else None


cdef void zero_beyond(const Plan *plan, const Array3 *array, ptrdiff_t columns) noexcept nogil:
    """Zero a caller's array where the sequences have ended."""
    cdef ptrdiff_t j, t, k, size = plan.panels.itemsize
    cdef char *at
    for j in range(plan.B):
        for t in range(plan.length[j], plan.T):
            at = array.base + plan.row[j] * array.batch + t * array.time
            if array.element == size:
                memset(at, 0, columns * size)
            else:
                for k in range(columns):
                    memset(at + k * array.element, 0, size)


def worth_side_by_side(Packed packed not None, ptrdiff_t B, ptrdiff_t T):
    """Whether two directions over (B, T) had better run side by side: each has a fifth of a millisecond to do, and both
    find threads."""
    cdef Team team
    cdef cnp.ndarray lengths = np.full(B, T, np.int64)
    cdef double work = operations(&packed.panels)
    gather(&team, B, <int64_t *>cnp.PyArray_DATA(lengths), B * T, packed.panels.vectors, work)
    return 2 * team.rows * team.units <= get_num_threads() and threads_for(work * B * T / 5) > 1


cdef double operations(const Panels *panels) noexcept nogil:
    """Floating-point operations of one step of one row."""
    return 2.0 * panels.cell.gates * panels.hidden_size * (panels.hidden_size + panels.input_size)
