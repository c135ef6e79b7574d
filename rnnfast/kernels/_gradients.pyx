"""The fused time loop of every cell, backward: one layer, one direction. What follows it is in _weight_gradients.pyx."""

cimport numpy as cnp
from libc.math cimport sqrt
from libc.string cimport memset

from rnnfast.kernels._memory cimport Buffer
from rnnfast.kernels._packed cimport Packed, Panels, option_scratch, output_bytes, row_bytes, sums_bytes, unit_bytes
from rnnfast.kernels._plan cimport (
    Call, Plan, array3, before, evenly, load_state, make_plan, move, offset, point, pointed, running,
    store_state, units_from, zero_beyond,
)
from rnnfast.kernels._products cimport SCATTER, zero_row
from rnnfast.kernels._recurrent cimport (
    Forward, Needs, divide_forward, divides_units, draw_zones, operations, plan_forward, run_forward,
)
from rnnfast.kernels._segments cimport divide_steps, go_back, leave_rest, open_segment
from rnnfast.kernels._tables cimport (
    FAULT_FIRST_STEP, MAX_PHASES, PLAIN_WIDTH, built_fault, denormals_flush, denormals_restore, kernel_table, phase, product,
    rows, step,
)
from rnnfast.kernels._team cimport MAX_WORKERS, Team, gather, meet_team, run_team
from rnnfast.kernels._threads cimport end_watch, interrupted, run, threads_for, watch
from rnnfast.kernels._weight_gradients cimport Backward, Sums, input_rows, through_gates, weight_units, weights_scratch

cnp.import_array()

cdef void loop_slice(void *context, int index) noexcept nogil:
    cdef Backward *b = <Backward *>context
    cdef unsigned mode = denormals_flush()
    cdef int r = index // b.team.units, u = index % b.team.units
    loop_rows(b, b.plan, index, b.team.row[r], b.team.row[r + 1], b.team.vector[u], b.team.vector[u + 1])
    denormals_restore(mode)


cdef void loop_rows(Backward *b, const Plan *plan, int index, ptrdiff_t first, ptrdiff_t last, ptrdiff_t from_vector,
                    ptrdiff_t to_vector) noexcept nogil:
    """The time loop for the rows [first, last) and the units of the vectors [from_vector, to_vector): the saved gates
    become their gradients."""
    cdef const Panels *panels = plan.panels
    cdef const kernel_table *table = panels.table
    cdef ptrdiff_t size = panels.itemsize, vector = panels.lanes * size, unit = unit_bytes(panels), output = output_bytes(panels)
    cdef ptrdiff_t H = panels.hidden_size, P = panels.output_size, skip = from_vector * vector
    cdef ptrdiff_t own = units_from(panels, from_vector, to_vector)
    cdef ptrdiff_t s, n, stride, row
    cdef int j
    cdef bint has_c = panels.cell.has_c, leads = from_vector == 0
    cdef char **each = <char **>b.scratch[index]
    cdef char *extra = <char *>((<size_t>(each + plan.B) + 63) & ~<size_t>63)
    cdef step now
    cdef rows user, back
    cdef rows gates[MAX_PHASES]
    memset(&now, 0, sizeof(step))
    now.vectors = to_vector - from_vector
    now.dh = evenly(b.dh + first * output + skip, output)
    now.dc = evenly(b.dc + first * unit + skip if has_c else NULL, unit)
    now.between = evenly(b.between + first * unit + skip, unit)
    now.options = &panels.options
    now.scratch = extra
    now.sums = evenly(b.sums + first * sums_bytes(panels), sums_bytes(panels))
    now.d_result = now.between if panels.options.projected else now.dh
    back = evenly(b.back + first * output, output)
    extra += option_scratch(panels)
    if panels.zone_h > 0:
        now.zone_h = evenly(extra, output)
    if panels.zone_c > 0:
        now.zone_c = evenly(extra + (last - first) * output, unit)
    if plan.mask is not NULL:
        now.mask = evenly(plan.mask + first * output, output)
    if leads and plan.last_step == plan.steps:
        for n in range(first, last):
            load_state(table, b.dh + n * output, b.dhn, plan.row[n], P, size)
            if has_c:
                load_state(table, b.dc + n * unit, b.dcn, plan.row[n], H, size)
    if not meet_team(&b.team, index, &b.interrupt):
        return
    for s in range(plan.last_step - 1, plan.first_step - 1, -1):
        n = running(plan, s, last) - first
        if n <= 0:
            continue
        if s % 16 == 0 and interrupted(&b.interrupt):
            return
        row = offset(plan, s) + first
        now.h_before = evenly(plan.h + (before(plan, s) + first) * output + skip, output)
        now.h = evenly(plan.h + (plan.B + row) * output + skip, output)
        if has_c:
            now.c_before = evenly(plan.c + (before(plan, s) + first) * unit + skip, unit)
            now.c = evenly(plan.c + (plan.B + row) * unit + skip, unit)
        for j in range(panels.cell.phases):
            stride = row_bytes(panels, j)
            gates[j] = evenly(plan.gates[j] + row * stride, stride)
            now.gates[j] = evenly(gates[j].base + skip * panels.cell.phase[j].slots, stride)
        if panels.whole:
            now.operand = now.h_before if plan.mask is NULL else evenly(plan.masked + row * output, output)
            if panels.zone_h > 0 or panels.zone_c > 0:
                draw_zones(plan, &now, s, first, n)
            if panels.norm:
                stride = row_bytes(panels, 0)
                now.x_gates, now.h_gates = evenly(plan.x_gates + row * stride, stride), evenly(plan.h_gates + row * stride, stride)
                now.stats = evenly(plan.stats + row * 2 * size, 2 * size)
                gates[0] = now.h_gates
        now.count = n
        if b.dy.base is not NULL:
            point(plan, &b.dy, s, first, first + n, each)
            move(each, n, from_vector * panels.lanes * b.dy.element)
            user = pointed(each)
            table.add_rows(&now.dh, &user, b.dy.element, n, own)
        if b.norms is not NULL:
            note_norms(b, plan, s, first, n)
        if built_fault == FAULT_FIRST_STEP and s == 0:
            for j in range(panels.cell.phases):
                memset(gates[j].base, 0, n * gates[j].stride)
            continue
        for j in range(panels.cell.phases - 1, -1, -1):
            panels.cell.phase[j].backward(&now, 0, n, 0, panels.unit_vectors[j] if panels.whole else now.vectors)
            if panels.whole:
                clean_rows(panels, j, &now, n)
            elif to_vector == panels.vectors:
                clean_lanes(panels, j, &now, n)
            if panels.norm and j == 0:
                table.split_norms(&now, n, H, panels.vectors, &panels.cell.phase[0])
            if not meet_team(&b.team, index, &b.interrupt):
                return
            carry_back(panels, j, &now, &gates[j], &back, n, from_vector, s & 1)
    if not meet_team(&b.team, index, &b.interrupt):
        return
    if leads and plan.first_step == 0:
        for n in range(first, last):
            store_state(b.dh0, b.dh + n * output, plan.row[n], P, size)
            if has_c:
                store_state(b.dc0, b.dc + n * unit, plan.row[n], H, size)


cdef void note_norms(Backward *b, const Plan *plan, ptrdiff_t s, ptrdiff_t first, ptrdiff_t count) noexcept nogil:
    """The Euclidean norm of dh of the rows [first, first + count), at the time of step s."""
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t j, time
    for j in range(first, first + count):
        time = plan.length[j] - 1 - s if plan.reverse else s
        b.norms[time * plan.B + plan.row[j]] = sqrt(panels.table.passes.sum_of_squares(
            b.dh + j * output_bytes(panels), panels.output_size))


cdef void clean_lanes(const Panels *panels, int j, const step *now, ptrdiff_t count) noexcept nogil:
    """`now` ends with the last vector of units: zero its lanes beyond H in rows where an infinity has met the zero weights
    there: the NaN that it left would otherwise come back through the products, which run over whole vectors."""
    cdef ptrdiff_t size = panels.itemsize, vector = panels.lanes * size
    cdef ptrdiff_t spare = panels.vectors * vector - panels.hidden_size * size, end = now.vectors * vector - spare
    cdef ptrdiff_t r
    if spare == 0:
        return
    for r in range(count):
        if is_zero(now.h.base + r * now.h.stride + end, size) and is_zero(now.dh.base + r * now.dh.stride + end, size):
            continue
        memset(now.dh.base + r * now.dh.stride + end, 0, spare)
        if panels.cell.has_c:
            memset(now.dc.base + r * now.dc.stride + end, 0, spare)
        clean_gates(panels, j, now.gates[j].base + r * now.gates[j].stride, now.vectors, spare)


cdef void clean_rows(const Panels *panels, int j, const step *now, ptrdiff_t count) noexcept nogil:
    """The same for the cells with options, whose activations may leave any number beyond H."""
    cdef ptrdiff_t size = panels.itemsize, vector = panels.lanes * size, r
    cdef ptrdiff_t spare = panels.unit_vectors[j] * vector - panels.units[j] * size
    cdef ptrdiff_t cell_spare = unit_bytes(panels) - panels.hidden_size * size
    cdef ptrdiff_t output_spare = output_bytes(panels) - panels.output_size * size
    for r in range(count):
        if spare:
            clean_gates(panels, j, now.gates[j].base + r * now.gates[j].stride, panels.unit_vectors[j], spare)
        if cell_spare and panels.cell.has_c:
            memset(now.dc.base + r * now.dc.stride + unit_bytes(panels) - cell_spare, 0, cell_spare)
        if output_spare:
            memset(now.dh.base + r * now.dh.stride + output_bytes(panels) - output_spare, 0, output_spare)


cdef void clean_gates(const Panels *panels, int j, char *gates, ptrdiff_t vectors, ptrdiff_t spare) noexcept nogil:
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, slots = panels.cell.phase[j].slots, slot
    gates += (vectors - 1) * slots * vector
    for slot in range(slots):
        memset(gates + (slot + 1) * vector - spare, 0, spare)


cdef bint is_zero(const char *number, ptrdiff_t size) noexcept nogil:
    return (<const float *>number)[0] == 0 if size == 4 else (<const double *>number)[0] == 0


cdef void carry_back(const Panels *panels, int j, step *now, const rows *gates, const rows *back, ptrdiff_t count, ptrdiff_t first,
                     bint descending) noexcept nogil:
    """The gradient of the state before the step (of r * h in a second phase) from whole rows of the gates' gradients: d R,
    for the units that `now` names, which begin with the vector `first`. Under a mask the product goes through `back`."""
    cdef const phase *cell = &panels.cell.phase[j]
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, vectors = panels.output_vectors if j == 0 else panels.vectors
    cdef bint masked = j == 0 and now.mask.base is not NULL
    cdef product p
    if cell.h_count == 0:
        return
    memset(&p, 0, sizeof(product))
    p.a = evenly(gates.base + cell.h_first * vector, gates.stride)
    p.c = back[0] if masked else now.dh if j == 0 else now.between
    p.c_panel = PLAIN_WIDTH * vector
    if cell.backward_adds and not masked:
        p.init, p.init_panel = p.c, p.c_panel
    else:
        p.init = evenly(zero_row(), 0)
    p.count = count
    through_gates(&p, panels, j, cell.h_count)
    p.b = panels.h_back[j] + first * cell.h_count * panels.unit_vectors[j] * panels.lanes * vector
    p.width, p.vectors, p.descending = PLAIN_WIDTH, now.vectors if not panels.whole else vectors, descending
    panels.table.multiply(&p)
    if masked:
        panels.table.scale_rows(&now.dh, back, &now.mask, cell.backward_adds, count, panels.output_vectors)


cdef void divide(const Plan *plan, Team *team, Division *division, bint whole_rows) noexcept nogil:
    """Divide the work of the open segment."""
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t vector = panels.lanes * panels.itemsize, vectors = max(panels.vectors, panels.output_vectors), total
    cdef double work = operations(panels)
    total = plan.last_row - plan.first_row
    gather(team, plan.B, plan.length, plan.first_step, plan.last_step, total, panels.vectors, work,
           divides_units(panels) and not whole_rows)
    division.weights = max(1, min(<int>min(vectors, <ptrdiff_t>MAX_WORKERS), threads_for(work * total)))
    division.inputs = max(1, min(<int>MAX_WORKERS, threads_for(
        2.0 * panels.cell.gates * panels.hidden_size * panels.input_size * total)))
    division.most = max(team.rows * team.units, max(division.weights, division.inputs))
    division.carry = plan.B * (2 * (unit_bytes(panels) + output_bytes(panels)) + sums_bytes(panels))
    total = plan.B * (<ptrdiff_t>sizeof(char *) + (unit_bytes(panels) + output_bytes(panels) if panels.whole else 0))
    total += option_scratch(panels) + 64
    total = max(total, SCATTER * (<ptrdiff_t>sizeof(char *) + panels.input_vectors * vector) + 64)
    total = max(total, weights_scratch(panels, vectors // division.weights + 1))
    division.scratch = (total + 63) & ~<ptrdiff_t>63


cdef ptrdiff_t plan_backward(Plan *plan, Team *team, Division *division, bint whole_rows) noexcept nogil:
    """Divide the work. Returns the bytes of scratch that suffice for every segment; the last one is open then."""
    cdef ptrdiff_t k, scratch = 0
    for k in range(plan.segments):
        if plan.segments > 1:
            open_segment(plan, k)
        divide(plan, team, division, whole_rows)
        scratch = max(scratch, division.scratch * division.most)
    return scratch


def explain(Packed packed not None, ptrdiff_t B, ptrdiff_t T, lengths, ptrdiff_t segment=0):
    """The bytes that `backward` would take beside the gradients that it returns."""
    cdef Call call = Call.__new__(Call)
    cdef Team team
    cdef Division division
    cdef Forward f
    cdef Needs needs
    cdef ptrdiff_t scratch
    make_plan(call, &packed.panels, B, T, lengths, False, True)
    call.plan.draws = True
    divide_steps(&call.plan, segment)
    plan_forward(&call.plan, &f, &needs)
    scratch = plan_backward(&call.plan, &team, &division, False)
    return division.carry + scratch + (needs.saved + needs.scratch + needs.each if call.plan.segments > 1 else 0)


cdef void lay_carry(Backward *b, char *at) noexcept nogil:
    """Where the loop carries its rows: `division.carry` bytes."""
    cdef const Panels *panels = b.plan.panels
    cdef ptrdiff_t B = b.plan.B
    b.dh, b.back = at, at + B * output_bytes(panels)
    b.dc = b.back + B * output_bytes(panels)
    b.between = b.dc + B * unit_bytes(panels)
    b.sums = b.between + B * unit_bytes(panels)
    memset(b.sums, 0, B * sums_bytes(panels))


def backward(Call call not None, dy, dhn, dcn, dx, cnp.ndarray dh0, dc0, cnp.ndarray norms=None):
    """Run one direction backward. The caller (`ops.recurrent`) has checked every argument, and calls this once for a Call.

    Parameters
    ----------
    call : Call
        From forward with training.
    dy : ndarray of shape (B, T, P), or None
        Any strides, aligned. P is H where there is no projection.
    dhn, dcn : ndarray of shape (B, P) and (B, H), C-contiguous, or None
    dx : ndarray of shape (B, T, I), or None
        Written; None where nobody asks for it.
    dh0, dc0 : ndarray of shape (B, P) and (B, H), C-contiguous
        Written. dc0 is None but for the LSTM.
    norms : float64 ndarray of shape (T, B), C-contiguous, or None
        Written where a sequence has a step: the Euclidean norm of the gradient of h after it.

    Returns
    -------
    dict of str to ndarray
        Of every parameter that the variant may have, by the names of `Variant.shapes`.
    """
    cdef Plan *plan = &call.plan
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t i, k, size
    cdef Backward b
    cdef Division division
    cdef Forward f
    cdef Needs needs
    cdef char *scratches[MAX_WORKERS]
    cdef Buffer carry, scratch, saved, pointers, forward_scratch
    cdef char *kept = call.saved.start + call.saved.size
    cdef Sums sums
    memset(&b, 0, sizeof(Backward))
    b.plan = plan
    size = plan_backward(plan, &b.team, &division, norms is not None)
    if norms is not None:
        b.norms = <double *>cnp.PyArray_DATA(norms)
    carry = Buffer.of(division.carry)
    lay_carry(&b, carry.start)
    scratch = Buffer.of(size)
    b.scratch = scratches
    if plan.segments > 1:
        plan_forward(plan, &f, &needs)
        saved, pointers, forward_scratch = Buffer.of(needs.saved), Buffer.of(needs.each), Buffer.of(needs.scratch)
        f.again, f.each, f.memory = True, <char **>pointers.start, forward_scratch.start
    if dy is not None:
        b.dy = array3(dy)
    if dx is not None:
        b.dx = array3(dx)
    b.dhn = cnp.PyArray_BYTES(<cnp.ndarray>dhn) if dhn is not None else NULL
    b.dcn = cnp.PyArray_BYTES(<cnp.ndarray>dcn) if dcn is not None else NULL
    b.dh0 = cnp.PyArray_BYTES(dh0)
    b.dc0 = cnp.PyArray_BYTES(<cnp.ndarray>dc0) if dc0 is not None else NULL
    sums = Sums(call.packed)
    sums.point(&b)
    with nogil:
        watch(&b.interrupt)
        if b.dx.base is not NULL and plan.has_lengths:
            zero_beyond(plan, &b.dx, panels.input_size)
        for k in range(plan.segments - 1, -1, -1):
            if plan.segments > 1:
                kept -= go_back(plan, k, saved.start, kept)
                divide_forward(&f)
                f.interrupt = b.interrupt
                run_forward(&f)
                b.interrupt = f.interrupt
                if interrupted(&b.interrupt):
                    break
                divide(plan, &b.team, &division, b.norms is not NULL)
            for i in range(division.most):
                scratches[i] = scratch.start + i * division.scratch
            run_team(loop_slice, &b, &b.team)
            b.workers = division.weights
            run(weight_units, &b, division.weights)
            if b.dx.base is not NULL:
                b.workers = division.inputs
                run(input_rows, &b, division.inputs)
            leave_rest(plan)
    end_watch(&b.interrupt)

    grads = sums.gradients(&b)
    # The caller may keep the call, which nobody can use again, until the next forward has allocated.
    call.saved = call.order = call.packed = call.x = None
    return grads


def fault():
    """Number of the fault that was built in on purpose (src/fault.h); 0 in every build that anybody should use."""
    return built_fault
