# Nothing for Python: other modules cimport where a call in training saves.
"""What a call in training saves: of all its steps at once, or of one segment of them at a time, all in the same memory.

With several segments, forward keeps the states before each of them alone. Backward goes from the last segment to the first,
and runs each forward again before it. Rows have the same numbers as in a call without segments: the arrays of a plan point
to where row 0 would lie.

Weight gradients are summed in blocks of BLOCK rows that are counted from row 0, the last block first. A block that begins in
a segment before is left to that segment: its rows stay behind the segment's own, as the plan's `rest`.
"""

from libc.string cimport memcpy, memmove

from rnnfast.kernels._packed cimport output_bytes, row_bytes, unit_bytes
from rnnfast.kernels._plan cimport Plan, active, before, offset
from rnnfast.kernels._products cimport BLOCK


cdef void divide_steps(Plan *plan, ptrdiff_t steps) noexcept nogil:
    cdef ptrdiff_t k
    if steps <= 0 or steps >= plan.steps:
        return
    plan.segment = steps
    plan.segments = (plan.steps + steps - 1) // steps
    # Rows of equal steps become fewer, never more.
    open_segment(plan, 0)
    plan.room = plan.last_row + BLOCK - 1


cdef void open_segment(Plan *plan, ptrdiff_t k) noexcept nogil:
    plan.first_step, plan.last_step = k * plan.segment, min(plan.steps, (k + 1) * plan.segment)
    plan.first_row, plan.last_row = offset(plan, plan.first_step), offset(plan, plan.last_step)


cdef ptrdiff_t state_bytes(const Plan *plan) noexcept nogil:
    return output_bytes(plan.panels) + (unit_bytes(plan.panels) if plan.panels.cell.has_c else 0)


cdef ptrdiff_t kept_bytes(const Plan *plan) noexcept nogil:
    cdef ptrdiff_t k, count = 0
    for k in range(plan.segments):
        count += active(plan, k * plan.segment)
    return count * state_bytes(plan)


cdef ptrdiff_t saved_bytes(const Plan *plan) noexcept nogil:
    cdef ptrdiff_t unit = unit_bytes(plan.panels), output = output_bytes(plan.panels), gates = 0, row = 0
    cdef int j
    for j in range(plan.panels.cell.phases):
        gates += row_bytes(plan.panels, j)
    row = gates + (unit if plan.panels.cell.phases > 1 else 0)
    row += output if is_masked(plan) else 0
    row += gates if plan.is_traced else 0
    row += 2 * (row_bytes(plan.panels, 0) + plan.panels.itemsize) if plan.panels.norm else 0
    return (plan.B + plan.room) * state_bytes(plan) + plan.room * row + (plan.B * output if is_masked(plan) else 0)


cdef bint is_masked(const Plan *plan) noexcept nogil:
    return plan.draws and plan.panels.recurrent_dropout > 0


cdef char *place(char **at, ptrdiff_t first, ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    """Where row 0 would lie of rows that begin with `first`."""
    cdef char *start = at[0]
    at[0] += count * size
    return start - first * size


cdef void lay_out(Plan *plan, char *at) noexcept nogil:
    cdef ptrdiff_t unit = unit_bytes(plan.panels), output = output_bytes(plan.panels), row = row_bytes(plan.panels, 0)
    cdef ptrdiff_t first = plan.first_row, start = before(plan, plan.first_step), room = plan.room
    plan.h = place(&at, start, plan.B + room, output)
    if plan.panels.cell.has_c:
        plan.c = place(&at, start, plan.B + room, unit)
    plan.gates[0] = plan.x_gates = plan.h_gates = place(&at, first, room, row)
    if plan.panels.cell.phases > 1:
        plan.gates[1] = place(&at, first, room, row_bytes(plan.panels, 1))
        plan.between = place(&at, first, room, unit)
    if is_masked(plan):
        plan.mask = place(&at, 0, plan.B, output)
        plan.masked = place(&at, first, room, output)
    if plan.panels.norm:
        plan.x_gates = place(&at, first, room, row)
        plan.h_gates = place(&at, first, room, row)
        plan.stats = place(&at, first, room, 2 * plan.panels.itemsize)
    if plan.is_traced:
        plan.traced[0] = place(&at, first, room, row)
        if plan.panels.cell.phases > 1:
            plan.traced[1] = place(&at, first, room, row_bytes(plan.panels, 1))


cdef void carry(char *to, const char *source, ptrdiff_t first, ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    """Rows from where one segment has them to where another does."""
    memmove(to + first * size, source + first * size, count * size)


cdef void go_on(Plan *plan, ptrdiff_t k, char *at) noexcept nogil:
    cdef Plan last = plan[0]
    cdef ptrdiff_t start, count
    open_segment(plan, k)
    lay_out(plan, at)
    if k > 0:
        start, count = before(plan, plan.first_step), active(plan, plan.first_step)
        carry(plan.h, last.h, start, count, output_bytes(plan.panels))
        if plan.panels.cell.has_c:
            carry(plan.c, last.c, start, count, unit_bytes(plan.panels))


cdef ptrdiff_t keep_states(const Plan *plan, char *kept) noexcept nogil:
    cdef ptrdiff_t unit = unit_bytes(plan.panels), output = output_bytes(plan.panels)
    cdef ptrdiff_t start = before(plan, plan.first_step), count = active(plan, plan.first_step)
    memcpy(kept, plan.h + start * output, count * output)
    if plan.panels.cell.has_c:
        memcpy(kept + count * output, plan.c + start * unit, count * unit)
    return count * state_bytes(plan)


cdef ptrdiff_t go_back(Plan *plan, ptrdiff_t k, char *at, const char *kept_end) noexcept nogil:
    cdef Plan last = plan[0]
    cdef ptrdiff_t unit = unit_bytes(plan.panels), output = output_bytes(plan.panels), start, count
    cdef const char *kept
    cdef int j
    open_segment(plan, k)
    lay_out(plan, at)
    if plan.rest > 0:
        carry(plan.h, last.h, plan.B + plan.last_row, plan.rest, output)
        for j in range(plan.panels.cell.phases):
            carry(plan.gates[j], last.gates[j], plan.last_row, plan.rest, row_bytes(plan.panels, j))
        if plan.panels.cell.phases > 1:
            carry(plan.between, last.between, plan.last_row, plan.rest, unit)
        if is_masked(plan):
            carry(plan.masked, last.masked, plan.last_row, plan.rest, output)
        if plan.panels.norm:
            carry(plan.x_gates, last.x_gates, plan.last_row, plan.rest, row_bytes(plan.panels, 0))
            carry(plan.h_gates, last.h_gates, plan.last_row, plan.rest, row_bytes(plan.panels, 0))
    start, count = before(plan, plan.first_step), active(plan, plan.first_step)
    kept = kept_end - count * state_bytes(plan)
    memcpy(plan.h + start * output, kept, count * output)
    if plan.panels.cell.has_c:
        memcpy(plan.c + start * unit, kept + count * output, count * unit)
    return count * state_bytes(plan)


cdef ptrdiff_t first_block(const Plan *plan) noexcept nogil:
    return (plan.first_row + BLOCK - 1) // BLOCK * BLOCK


cdef void leave_rest(Plan *plan) noexcept nogil:
    plan.rest = min(first_block(plan), plan.last_row + plan.rest) - plan.first_row
