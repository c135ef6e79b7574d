"""What a traced call kept: gates, what entered their activations, and states, as arrays over time."""

cimport numpy as cnp
from libc.string cimport memcpy

import numpy as np

from rnnfast.kernels._packed cimport Panels, output_bytes, row_bytes, unit_bytes
from rnnfast.kernels._plan cimport Call, Plan, offset

cnp.import_array()


cdef cnp.ndarray spread(const Plan *plan, char *compact, ptrdiff_t row_size, ptrdiff_t group, ptrdiff_t skip, ptrdiff_t units,
                        dtype):
    """Compact rows, which hold a vector of units in each `group` of vectors after `skip`, as (B, T, units); zero beyond."""
    cdef const Panels *panels = plan.panels
    cdef cnp.ndarray found = np.zeros((plan.B, plan.T, units), dtype)
    cdef char *to = cnp.PyArray_BYTES(found)
    cdef ptrdiff_t size = panels.itemsize, vector = panels.lanes * size, s, j, v, time
    cdef char *source
    for j in range(plan.B):
        for s in range(plan.length[j] if plan.steps else 0):
            time = plan.length[j] - 1 - s if plan.reverse else s
            source = compact + (offset(plan, s) + j) * row_size + skip * vector
            for v in range((units + panels.lanes - 1) // panels.lanes):
                memcpy(to + ((plan.row[j] * plan.T + time) * units + v * panels.lanes) * size, source + v * group * vector,
                       min(panels.lanes, units - v * panels.lanes) * size)
    return found


def read(Call call not None):
    """What `_recurrent.forward` with `trace` kept.

    Returns
    -------
    gates, entered : dict of (int, int) to ndarray (B, T, units)
        By phase and slot: the activated gate, and what entered its activation.
    h : ndarray (B, T, P)
    c : ndarray (B, T, H), or None
        States after each step; zero, as the gates, beyond a sequence's end.
    """
    cdef const Plan *plan = &call.plan
    cdef const Panels *panels = plan.panels
    cdef ptrdiff_t slots
    cdef int j, slot
    dtype = np.dtype(np.float32 if panels.itemsize == 4 else np.float64)
    gates, entered = {}, {}
    for j in range(panels.cell.phases):
        slots = panels.cell.phase[j].slots
        for slot in range(slots):
            gates[j, slot] = spread(plan, plan.gates[j], row_bytes(panels, j), slots, slot, panels.units[j], dtype)
            entered[j, slot] = spread(plan, plan.traced[j], row_bytes(panels, j), slots, slot, panels.units[j], dtype)
    h = spread(plan, plan.h + plan.B * output_bytes(panels), output_bytes(panels), 1, 0, panels.output_size, dtype)
    c = None
    if panels.cell.has_c:
        c = spread(plan, plan.c + plan.B * unit_bytes(panels), unit_bytes(panels), 1, 0, panels.hidden_size, dtype)
    return gates, entered, h, c
