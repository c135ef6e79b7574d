"""Every gate and state of one layer and direction, by the names of the equations."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast._backend import require_compiled
from rnnfast.kernels import _recurrent, _trace
from rnnfast.ops._arrays import real, sequence_lengths, usable
from rnnfast.ops._variant import kind
from rnnfast.ops.recurrent import pack, states_of

Array = np.ndarray

_SLOTS: dict[str, dict[str, tuple[int, int]]] = {
    "rnn": {"h": (0, 0)},
    "indrnn": {"h": (0, 0)},
    "lstm": {"i": (0, 0), "f": (0, 1), "g": (0, 2), "o": (0, 3)},
    "coupled": {"i": (0, 0), "g": (0, 1), "o": (0, 2)},
    "gruafter": {"r": (0, 1), "z": (0, 2), "n": (0, 0)},
    "grubefore": {"r": (0, 0), "z": (0, 1), "n": (1, 0)},
    "mgu": {"f": (0, 0), "n": (1, 0)},
}
"""Where the kernels keep each gate: phase and slot."""


def trace(
    cell: str,
    params: Mapping[str, Any],
    x: Any,
    state: Any = None,
    *,
    lengths: Any = None,
    reverse: bool = False,
    **options: Any,
) -> dict[str, Array]:
    """Run one direction in inference and keep everything: what :func:`rnnfast.equations.trace` names, from the kernels.

    Parameters
    ----------
    cell, params, x, state, lengths, reverse, **options
        As of `forward`.

    Returns
    -------
    dict of str to ndarray (B, T, H)
        Gates ("i", "f", "g", "o"; "r", "z", "n"), what enters each activation ("a_i" ..., "a" of an RNN), "h", and "c"
        of an LSTM. Zero beyond each sequence's end.
    """
    require_compiled("trace")
    variant = kind(cell, **options)
    packed: Any = pack(cell, params, training=True, traced=True, **options)
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[2] != packed.input_size:
        raise ValueError(f"x must have shape (B, T, {packed.input_size}), got {x.shape}")
    B, T, _ = x.shape
    widths, dtype = (packed.output_size, packed.hidden_size), packed.dtype
    ends = None if lengths is None else sequence_lengths(lengths, (B, T))
    h0, c0 = states_of(state, cell, B, widths, dtype, "state")
    hn, cn = np.empty((B, widths[0]), dtype), np.empty((B, widths[1]), dtype) if variant.has_c else None
    y = np.empty((B, T, widths[0]), dtype)
    call = _recurrent.forward(
        packed, usable(real(x, "x", dtype, x.shape)), h0, c0, ends, bool(reverse), y, hn, cn, True, trace=True
    )
    assert call is not None
    gates, entered, h, c = _trace.read(call)
    slots = _SLOTS["coupled" if variant.coupled else cell + variant.reset]
    if variant.new_update:
        # The kernels turn the sign of what makes z: z is then the share of the old state.
        gates[slots["z"]] = 1 - gates[slots["z"]]
        entered[slots["z"]] = -entered[slots["z"]]
    found = {"a" if name == "h" else f"a_{name}": entered[at] for name, at in slots.items()}
    found |= {name: gates[at] for name, at in slots.items() if name != "h"}
    if variant.new_update and ends is not None:
        found["z"][np.arange(T) >= ends[:, None]] = 0
    return found | {"h": h} | ({} if c is None else {"c": c})
