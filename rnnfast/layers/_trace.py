"""What happens inside a stack of recurrent layers: gates, states, and norms of gradients."""

from typing import TYPE_CHECKING, Any

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty

if TYPE_CHECKING:
    from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray


def _entered(layer: "Recurrent", x: Any) -> tuple[Array, bool]:
    x = np.asarray(x)
    if x.ndim not in (2, 3) or x.shape[-1] != layer.input_size:
        raise ValueError(f"x must have shape (B, T, {layer.input_size}) or (T, {layer.input_size}), got {x.shape}")
    return (x, False) if x.ndim == 3 else (x[None], True)


def trace(layer: "Recurrent", x: Any, state: Any, lengths: Any) -> dict[str, dict[str, Array]]:
    """See `Recurrent.trace`."""
    x, unbatched = _entered(layer, x)
    (B, T, _), dtype, block = x.shape, layer.block.dtype, layer.block
    ends = None if lengths is None else ops.sequence_lengths(lengths, (T,) if unbatched else (B, T))
    given = layer._form.enter(state, B, unbatched, "state", dtype)
    if layer.learned_state and state is None:
        given = [direction.initial_state(block, B) for direction in layer._directions]
    _, final = layer._form.room(B, dtype)
    found = {}
    for level in layer._levels:
        for i, direction in enumerate(level.directions):
            traced = ops.trace(
                direction.cell,
                direction.weights(block),
                x,
                given[level.at][i],
                lengths=ends,
                reverse=i == 1,
                **direction.options,
            )
            found[direction.suffix[1:]] = {name: array[0] if unbatched else array for name, array in traced.items()}
        if level is not layer._levels[-1]:
            y = empty((B, T, level.output_size), dtype)
            level.forward(block, layer._cache_packed, x, y, given[level.at], final[level.at], ends, None)
            x = y
    return found


def gradient_norms(
    layer: "Recurrent", x: Any, dy: Any, state: Any, dstate: Any, lengths: Any, rng: Any
) -> dict[str, Array]:
    """See `Recurrent.gradient_norms`."""
    entered, unbatched = _entered(layer, x)
    norms = [np.zeros((entered.shape[1], entered.shape[0])) for _ in layer._directions]
    _, backward = layer.forward(x, state, lengths=lengths, rng=rng)
    backward(dy, dstate, {}, False, norms=norms)
    return {
        direction.suffix[1:]: array[:, 0] if unbatched else array.T
        for direction, array in zip(layer._directions, norms, strict=True)
    }
