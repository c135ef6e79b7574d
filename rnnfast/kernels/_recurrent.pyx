"""The fused time loop of every cell, forward: one layer, one direction. Its counterpart is _gradients.pyx."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np

from rnnfast.kernels._threads import get_num_threads

from rnnfast.kernels._memory cimport Buffer, times
from rnnfast.kernels._packed cimport Packed, Panels, option_scratch, output_bytes, row_bytes, unit_bytes
from rnnfast.kernels._passes_table cimport dropout_options
from rnnfast.kernels._plan cimport (
    Call, Plan, active, array3, before, evenly, load_state, make_plan, move, offset, point, pointed, running, store_state,
    units_from, zero_beyond,
)
from rnnfast.kernels._segments cimport divide_steps, go_on, keep_states, kept_bytes, lay_out, open_segment, saved_bytes
from rnnfast.kernels._tables cimport (
    MAX_PHASES, PLAIN_WIDTH, denormals_flush, denormals_restore, kernel_table, phase, product, rows, step,
)
from rnnfast.kernels._team cimport MAX_WORKERS, Team, gather, meet_team, run_team
from rnnfast.kernels._threads cimport end_watch, interrupted, threads_for, watch

cnp.import_array()

# Bytes of pre-activations that the input product makes at once: they wait in the second cache for their steps.
cdef enum:
    CHUNK_BYTES = 192 * 1024


cdef int plan_forward(Plan *plan, Forward *f, Needs *needs) except -1:
    """Divide the work and count the bytes that suffice for every segment. The first one is open then."""
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t gates = 0, k
    cdef int j
    for j in range(panels.cell.phases):
        gates += row_bytes(panels, j)
    # All sizes here, and those of backward, are sums of a few of these at most.
    times(plan.B + plan.total, 3 * gates + 8 * (unit_bytes(panels) + output_bytes(panels) + <ptrdiff_t>sizeof(char *)))
    memset(f, 0, sizeof(Forward))
    memset(needs, 0, sizeof(Needs))
    f.plan = plan
    if plan.training:
        needs.saved = saved_bytes(plan)
    for k in range(plan.segments - 1, -1, -1):
        if plan.segments > 1:
            open_segment(plan, k)
        divide_forward(f)
        needs.scratch = max(needs.scratch, f.team.rows * f.slice_scratch)
        needs.each = max(needs.each, 2 * f.chunk * f.team.rows * f.team.units * <ptrdiff_t>sizeof(char *))
    return 0


cdef void divide_forward(Forward *f) noexcept nogil:
    """Divide the work of the open segment."""
    cdef const Plan *plan = f.plan
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t unit = unit_bytes(panels), output = output_bytes(panels), widest = 0, gates = 0, i
    cdef ptrdiff_t total = plan.last_row - plan.first_row
    cdef int j
    gather(&f.team, plan.B, plan.length, plan.first_step, plan.last_step, total, panels.vectors, operations(panels),
           divides_units(panels))
    for i in range(f.team.rows):
        widest = max(widest, f.team.row[i + 1] - f.team.row[i])
    f.chunk = 1
    for j in range(panels.cell.phases):
        f.chunk = max(f.chunk, row_bytes(panels, j))
        gates += row_bytes(panels, j)
    f.chunk = max(widest, min(total, CHUNK_BYTES // f.chunk))
    # For every row: two states and c, r h, shares of zoneout, and the second of two normalised products.
    f.row_scratch = 3 * output + 3 * unit + (row_bytes(panels, 0) + 2 * panels.itemsize if panels.norm else 0)
    f.slice_scratch = option_scratch(panels) + widest * f.row_scratch if panels.whole or not plan.training else 0
    if not plan.training:
        f.slice_scratch += f.chunk * gates
    f.slice_scratch = (f.slice_scratch + 63) & ~<ptrdiff_t>63


cdef void run_forward(Forward *f) noexcept nogil:
    """Run the open segment, which is divided."""
    cdef char *scratches[MAX_WORKERS]
    cdef ptrdiff_t i
    for i in range(f.team.rows):
        scratches[i] = f.memory + i * f.slice_scratch
    f.scratch = scratches
    run_team(forward_slice, f, &f.team)


cdef ptrdiff_t divides_units(const Panels *panels) noexcept nogil:
    """Whether threads may share the units of one row: not where arithmetic runs on whole rows."""
    return not panels.whole and panels.recurrent_dropout == 0


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
    cdef ptrdiff_t size = panels.itemsize, vector = panels.lanes * size, unit = unit_bytes(panels), output = output_bytes(panels)
    cdef ptrdiff_t H = panels.hidden_size, P = panels.output_size, skip = from_vector * vector
    cdef ptrdiff_t own = units_from(panels, from_vector, to_vector)
    cdef ptrdiff_t s = plan.first_step, end, done, n, taken, at, r, row, width = last - first
    cdef int j, phases = panels.cell.phases
    cdef bint has_c = panels.cell.has_c, leads = from_vector == 0
    cdef char **x_rows = f.each + 2 * index * f.chunk
    cdef char **gate_rows = x_rows + f.chunk
    cdef char *free_from = f.scratch[index // f.team.units]
    cdef char *gates[MAX_PHASES]
    cdef char *x_gates
    cdef char *h = NULL
    cdef char *h_next = NULL
    cdef char *c = NULL
    cdef char *between = NULL
    cdef char *extra = free_from  # one row's share of scratch after the other: what inference and options want
    cdef char *swap
    cdef step now
    cdef rows user, operand, after, c_after, mask

    memset(&now, 0, sizeof(step))
    now.vectors = to_vector - from_vector
    now.options = &panels.options
    now.scratch = extra
    extra += option_scratch(panels)
    free_from = extra + width * f.row_scratch
    if plan.training:
        h = plan.h + first * output
        c = plan.c + first * unit if has_c else NULL
    else:
        h, h_next, c, between = extra, extra + width * output, extra + 3 * width * output, extra + (3 * output + unit) * width
        for j in range(phases):
            gates[j] = free_from
            free_from += f.chunk * row_bytes(panels, j)
    if panels.zone_h > 0:
        now.zone_h = evenly(extra + 2 * width * output, output) if plan.draws else evenly(<char *>panels.zone_h_row, 0)
    if panels.zone_c > 0:
        now.zone_c = evenly(extra + (3 * output + 2 * unit) * width, unit) if plan.draws else evenly(<char *>panels.zone_c_row, 0)
    if plan.training and plan.mask is not NULL:
        for n in range(first, last):
            # Whole vectors, here and in draw_zones: what lies beyond the units meets their gradients.
            table.passes.dropout(plan.mask + n * output, panels.ones, panels.output_vectors * panels.lanes, 0,
                                 <uint32_t>plan.row[n], &plan.dropout)
    if leads and s == 0 and not f.again:
        for n in range(width):
            load_state(table, h + n * output, f.h0, plan.row[first + n], P, size)
            if has_c:
                load_state(table, c + n * unit, f.c0, plan.row[first + n], H, size)
            if plan.length[first + n] == 0:
                store_state(f.hn, h + n * output, plan.row[first + n], P, size)
                if has_c:
                    store_state(f.cn, c + n * unit, plan.row[first + n], H, size)
    if not meet_team(&f.team, index, &f.interrupt):
        return

    while s < plan.last_step and active(plan, s) > first and not interrupted(&f.interrupt):
        # As many steps as fit the chunk, and at least one.
        taken, end = 0, s
        while end < plan.last_step and active(plan, end) > first:
            n = running(plan, end, last) - first
            if taken + n > f.chunk:
                break
            point(plan, &plan.x, end, first, first + n, x_rows + taken)
            taken += n
            end += 1
        for j in range(phases):
            at = 0
            x_gates = (plan.x_gates if j == 0 else plan.gates[j]) if plan.training else gates[j]
            for done in range(s, end):
                for n in range(running(plan, done, last) - first):
                    row = offset(plan, done) + first + n if plan.training else at
                    gate_rows[at] = x_gates + row * row_bytes(panels, j)
                    at += 1
            input_product(panels, j, x_rows, gate_rows, taken, from_vector, to_vector)
        at = 0
        for done in range(s, end):
            n = running(plan, done, last) - first
            row = offset(plan, done) + first if plan.training else at
            if plan.training:
                operand = evenly(plan.h + (before(plan, done) + first) * output, output)
                after = evenly(plan.h + (plan.B + row) * output, output)
                if has_c:
                    now.c_before = evenly(plan.c + (before(plan, done) + first) * unit + skip, unit)
                    c_after = evenly(plan.c + (plan.B + row) * unit, unit)
                if phases > 1:
                    between = plan.between + row * unit
            else:
                operand, after, c_after = evenly(h, output), evenly(h_next, output), evenly(c, unit)
                now.c_before = evenly(c + skip, unit)
            now.h_before, now.h = evenly(operand.base + skip, output), evenly(after.base + skip, output)
            now.c = evenly(c_after.base + skip if has_c else NULL, unit)
            now.between = evenly(between + skip if between is not NULL else NULL, unit)
            for j in range(phases):
                now.gates[j] = evenly((plan.gates[j] if plan.training else gates[j]) + row * row_bytes(panels, j)
                                      + skip * panels.cell.phase[j].slots, row_bytes(panels, j))
            if plan.training and plan.mask is not NULL:
                mask = evenly(plan.mask + first * output, output)
                user = evenly(plan.masked + row * output, output)
                table.scale_rows(&user, &operand, &mask, 0, n, panels.output_vectors)
                operand = user
            if panels.whole:
                now.operand = operand
                now.result = now.between if panels.options.projected else now.h
                if plan.draws:
                    draw_zones(plan, &now, done, first, n)
                if plan.is_traced:
                    for j in range(phases):
                        now.traced[j] = evenly(plan.traced[j] + row * row_bytes(panels, j), row_bytes(panels, j))
                if panels.norm:
                    now.x_gates = evenly(plan.x_gates + row * row_bytes(panels, 0), row_bytes(panels, 0)) if plan.training else now.gates[0]
                    now.h_gates = evenly(plan.h_gates + row * row_bytes(panels, 0) if plan.training
                                         else extra + width * (3 * output + 3 * unit), row_bytes(panels, 0))
                    now.stats = evenly(plan.stats + row * 2 * size if plan.training
                                       else extra + width * (3 * output + 3 * unit + row_bytes(panels, 0)), 2 * size)
            at += n
            now.count = n
            for j in range(phases):
                recurrent_product(panels, j, &now, &operand, n, from_vector, to_vector, plan.training, done & 1)
                if not meet_team(&f.team, index, &f.interrupt):
                    return
                operand = evenly(between, unit)
            if f.again:
                continue
            point(plan, &plan.y, done, first, first + n, x_rows)
            move(x_rows, n, from_vector * panels.lanes * plan.y.element)
            user = pointed(x_rows)
            table.store_rows(&user, plan.y.element, &now.h, n, own)
            if leads:
                # Rows that end here: their final state.
                for r in range(max(<ptrdiff_t>0, running(plan, done + 1, last) - first), n):
                    store_state(f.hn, after.base + r * output, plan.row[first + r], P, size)
                    if has_c:
                        store_state(f.cn, c_after.base + r * unit, plan.row[first + r], H, size)
            if not plan.training:
                swap = h
                h = h_next
                h_next = swap
        s = end


cdef void draw_zones(const Plan *plan, const step *now, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The masks of zoneout for the rows [first, first + count) at step s, in training."""
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t r, j
    cdef uint32_t time
    for r in range(count):
        j = first + r
        time = <uint32_t>(plan.length[j] - 1 - s if plan.reverse else s)
        if panels.zone_h > 0:
            panels.table.passes.dropout(now.zone_h.base + r * now.zone_h.stride, panels.ones,
                                        panels.output_vectors * panels.lanes, time, <uint32_t>plan.row[j], &plan.zone_h)
        if panels.zone_c > 0:
            panels.table.passes.dropout(now.zone_c.base + r * now.zone_c.stride, panels.ones,
                                        panels.vectors * panels.lanes, time, <uint32_t>plan.row[j], &plan.zone_c)


cdef void input_product(const Panels *panels, int j, char **x_rows, char **gate_rows, ptrdiff_t count, ptrdiff_t first,
                        ptrdiff_t last) noexcept nogil:
    """Gates = bias + x W^T, for as many rows of any steps as are given, and the units of the vectors [first, last)."""
    cdef const phase *cell = &panels.cell.phase[j]
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, skip = (first * cell.slots + cell.x_first) * vector, r
    cdef product p
    cdef rows to
    if cell.x_count == 0:
        return
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
    """Gates += h R^T for the units of the vectors [first, last), and the gate arithmetic: on each finished tile, or on whole
    rows after the product.

    `operand` has whole rows of h (of r * h in a second phase); what `now` names begins with the vector `first`."""
    cdef const phase *cell = &panels.cell.phase[j]
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, vectors = panels.unit_vectors[j] if panels.whole else last - first
    cdef bint norm = panels.norm and j == 0
    cdef const rows *target = &now.h_gates if norm else &now.gates[j]
    cdef int slot
    cdef product p
    if cell.h_count > 0:
        memset(&p, 0, sizeof(product))
        p.a = operand[0]
        p.c = evenly(target.base + cell.h_first * vector, target.stride)
        p.init = p.c if cell.x_count > 0 and not norm else evenly(panels.bias[j] + cell.h_first * vector, 0)
        p.count = count
        p.depth, p.segments, p.repeats = panels.depth[j], 1, 1
        p.b = panels.h[j] + first * cell.h_count * panels.depth[j] * vector
        if cell.slots == 1:
            p.width, p.vectors = PLAIN_WIDTH, vectors
            p.c_panel = PLAIN_WIDTH * vector
        else:
            p.width, p.vectors, p.gated = cell.h_count, cell.h_count * vectors, 1
            p.c_panel = cell.slots * vector
        p.init_panel = p.c_panel
        p.descending = descending
        if not cell.whole:
            p.finish = cell.train if training else cell.infer
        p.step = now
        panels.table.multiply(&p)
    if norm:
        for slot in range(cell.slots):
            if not cell.h_first <= slot < cell.h_first + cell.h_count:
                panels.table.fill_slot(&now.h_gates, count, vectors, cell.slots, slot, panels.bias[j])
        panels.table.normalise(&now.x_gates, &now.stats, 0, count, panels.hidden_size, vectors, cell.slots, cell.x_first, cell.x_count)
        panels.table.normalise(&now.h_gates, &now.stats, 1, count, panels.hidden_size, vectors, cell.slots, cell.h_first, cell.h_count)
        panels.table.join_norms(now, count, vectors, cell.slots)
    if cell.whole:
        (cell.train if training else cell.infer)(now, 0, count, 0, vectors)


cdef void set_dropout(dropout_options *to, double share, double scale, uint64_t key, uint32_t stream) noexcept nogil:
    """Rows of zeros with the probability `share`, and of `scale`."""
    to.key, to.stream, to.scale = key, stream, scale
    to.threshold = <uint32_t>min(share * 4294967296.0, 4294967295.0)


cdef void set_noise(Plan *plan, uint64_t key, uint32_t stream) noexcept nogil:
    """The key and the streams of the masks of zoneout and recurrent dropout."""
    cdef const Panels *panels = plan.panels
    set_dropout(&plan.zone_h, 1 - panels.zone_h, 1, key, stream)
    set_dropout(&plan.zone_c, 1 - panels.zone_c, 1, key, stream + 1)
    set_dropout(&plan.dropout, panels.recurrent_dropout, 1 / (1 - panels.recurrent_dropout), key, stream + 2)


def forward(Packed packed not None, cnp.ndarray x, h0, c0, lengths, bint reverse, cnp.ndarray y, cnp.ndarray hn, cn, bint training,
            uint64_t key=0, uint32_t stream=0, bint trace=False, ptrdiff_t segment=0):
    """Run one direction over a batch of sequences. The caller (`ops.recurrent`) has checked every argument.

    Parameters
    ----------
    packed : Packed
    x : ndarray of shape (B, T, I)
        Features contiguous, all aligned.
    h0, c0 : ndarray of shape (B, P) and (B, H), C-contiguous, or None
        P is H where there is no projection.
    lengths : int64 ndarray of shape (B,), or None
        Each from 0 to T.
    reverse : bool
    y : ndarray of shape (B, T, P)
        Any strides; written where a sequence has a step, zeroed beyond.
    hn, cn : ndarray of shape (B, P) and (B, H), C-contiguous
        Written. cn is None but for the LSTM.
    training : bool
        Save what backward needs.
    key : int
        64 bits, for the masks of zoneout and recurrent dropout in training; with `stream` and the two numbers after it.
    stream : int
    trace : bool
        With training and weights packed for it: keep what enters each activation too, for `_trace.read`, and draw no masks.
    segment : int
        With training and where not 0: keep nothing but the states before every so many steps; `backward` runs the steps
        again, so many at a time.

    Returns
    -------
    Call or None
        What backward needs.
    """
    cdef Call call = Call.__new__(Call)
    cdef Plan *plan = &call.plan
    cdef Forward f
    cdef Needs needs
    cdef Buffer scratch, each, saved
    cdef char *kept
    cdef ptrdiff_t k
    make_plan(call, &packed.panels, cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), lengths, reverse, training)
    plan.is_traced, plan.draws = trace, training and not trace
    if training and not trace:
        divide_steps(plan, segment)
    plan_forward(plan, &f, &needs)
    plan.x, plan.y = array3(x), array3(y)
    if training:
        call.packed, call.x = packed, x
        saved = Buffer.of(needs.saved)
        call.saved = saved if plan.segments == 1 else Buffer.of(kept_bytes(plan))
        lay_out(plan, saved.start)
        set_noise(plan, key, stream)
    f.h0 = cnp.PyArray_BYTES(<cnp.ndarray>h0) if h0 is not None else NULL
    f.c0 = cnp.PyArray_BYTES(<cnp.ndarray>c0) if c0 is not None else NULL
    f.hn = cnp.PyArray_BYTES(hn)
    f.cn = cnp.PyArray_BYTES(<cnp.ndarray>cn) if cn is not None else NULL
    each = Buffer.of(needs.each)
    scratch = Buffer.of(needs.scratch)
    f.each, f.memory = <char **>each.start, scratch.start
    with nogil:
        if plan.has_lengths:
            zero_beyond(plan, &plan.y, packed.panels.output_size)
        watch(&f.interrupt)
        if plan.segments == 1:
            run_forward(&f)
        else:
            kept = call.saved.start
            for k in range(plan.segments):
                go_on(plan, k, saved.start)
                divide_forward(&f)
                run_forward(&f)
                kept += keep_states(plan, kept)
                if interrupted(&f.interrupt):
                    break
    end_watch(&f.interrupt)
    return call if training else None


def explain(Packed packed not None, ptrdiff_t B, ptrdiff_t T, lengths, bint training, ptrdiff_t segment=0):
    """How `forward` would divide its time loop, and the bytes that it would take.

    Returns
    -------
    dict of str to int
        slices of the rows and of the units; packed, saved and scratch bytes; steps of all rows, and of the longest; the
        operations of one.
    """
    cdef Call call = Call.__new__(Call)
    cdef Forward f
    cdef Needs needs
    make_plan(call, &packed.panels, B, T, lengths, False, training)
    call.plan.draws = training
    if training:
        divide_steps(&call.plan, segment)
    plan_forward(&call.plan, &f, &needs)
    whole = call.plan.segments == 1
    return {
        "row_slices": f.team.rows, "unit_slices": f.team.units, "packed": packed.memory.size, "steps": call.plan.total,
        "longest": call.plan.steps,
        "operations": <ptrdiff_t>operations(&packed.panels),
        "saved": (needs.saved if whole else kept_bytes(&call.plan)) + call.order.size if training else 0,
        "scratch": needs.scratch + needs.each + (0 if whole else needs.saved) + (0 if training else call.order.size),
    }


def worth_side_by_side(Packed packed not None, ptrdiff_t B, ptrdiff_t T):
    """Whether two directions over (B, T) had better run side by side: each has a tenth of a millisecond to do, and both
    find threads."""
    cdef Team team
    cdef cnp.ndarray lengths = np.full(B, T, np.int64)
    cdef double work = operations(&packed.panels)
    gather(&team, B, <int64_t *>cnp.PyArray_DATA(lengths), 0, T, B * T, packed.panels.vectors, work, divides_units(&packed.panels))
    return 2 * team.rows * team.units <= get_num_threads() and threads_for(work * B * T) > 1


cdef double operations(const Panels *panels) noexcept nogil:
    """Floating-point operations of one step of one row."""
    cdef double found = 2.0 * panels.cell.gates * panels.hidden_size * panels.input_size
    cdef int j
    for j in range(panels.cell.phases):
        found += 2.0 * panels.cell.phase[j].h_count * panels.units[j] * panels.depth[j]
    return found
