"""Where numbers that are not finite began."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def blame(model: Any, seen: Sequence[tuple[Any, Any, Any, Any]]) -> str:
    """Say which layer is the first whose output is not finite, in which sequence and at which step, or which gradient.

    Parameters
    ----------
    model : Layer
    seen : sequence of tuple
        x, state and lengths that its forward was given, and the targets or None: of each batch of a step.
    """
    for number, each in enumerate(seen, 1):
        with np.errstate(all="ignore"):
            found = _of_batch(model, *each)
        if found is not None:
            return found if len(seen) == 1 else f"{found}, in part {number} of the {len(seen)} that make the step"
    names = [name for name, grad in model.grads.items() if not np.isfinite(grad).all()]
    return f"outputs are finite; gradients that are not: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"


def _of_batch(model: Any, x: Any, state: Any, lengths: Any, y: Any) -> str | None:
    layers = getattr(model, "layers", None)
    found = _of_array(x, "the input")
    if found is None and layers is not None:
        found = _of_layers(layers, x, state, lengths)
    elif found is None:
        output = model.run(x, state, lengths=lengths)[0] if model.has_state else model(x, lengths=lengths)
        found = _of_array(output, "the output")
    return _of_targets(model, y, lengths) if found is None else found


def _of_layers(layers: Any, x: Any, state: Any, lengths: Any) -> str | None:
    states = iter(state if state is not None else [None] * len(layers))
    for i, layer in enumerate(layers):
        x, _ = layer.run(x, next(states) if layer.has_state else (), lengths=lengths)
        found = _of_array(x, f"the output of layer {i}, {type(layer).__name__},")
        if found is not None:
            return found
        lengths = layer.output_lengths(lengths)
    return None


def _of_targets(model: Any, y: Any, lengths: Any) -> str | None:
    if isinstance(y, dict):
        return _of_array({name: each for name, each in y.items() if isinstance(each, np.ndarray)}, "the target")
    if not isinstance(y, np.ndarray):  # lists of labels
        return None
    left = None if lengths is None else model.output_lengths(lengths)
    if isinstance(left, np.ndarray) and y.ndim > 1:  # what padding holds is nobody's fault
        beyond = np.arange(y.shape[1]) >= left[:, None]
        y = np.where(beyond.reshape(*beyond.shape, *[1] * (y.ndim - 2)), 0, y)
    return _of_array(y, "the target")


def _of_array(value: Any, what: str) -> str | None:
    if isinstance(value, dict):
        return next(filter(None, (_of_array(each, f"{what} {name!r}") for name, each in value.items())), None)
    array = np.asarray(value)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return None
    place = np.argwhere(~np.isfinite(array))[0]
    # The earliest step of any sequence is where a recurrent layer went astray.
    if array.ndim == 3:
        bad = ~np.isfinite(array).all(axis=-1)
        step = int(bad.any(axis=0).argmax())
        return f"{what} is first not finite at step {step} of sequence {int(bad[:, step].argmax())}"
    return f"{what} is not finite in sequence {int(place[0])}" if place.size else f"{what} is not finite"
