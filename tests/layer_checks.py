"""Checks that the tests of layers, models and training share."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checks import central_differences, parts, relative_error, same_bits

from rnnfast.files import load
from rnnfast.models import Sequential


def randomise(layer: Any, seed: int = 0) -> Any:
    """Give every parameter random values away from zero, and return the layer."""
    rng = np.random.default_rng(seed)
    for name, array in layer.params.items():
        values = rng.uniform(0.1, 1.0, array.shape) * rng.choice([-1.0, 1.0], array.shape)
        layer.params[name] = values * array.shape[-1] ** -0.5
    return layer


def flatten(state: Any) -> list[np.ndarray]:
    """The arrays in a nest of tuples."""
    return [array for part in parts(state) for array in (flatten(part) if isinstance(part, tuple) else [part])]


def parameters_and_gradients(layer: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, gradient, values) of each parameter, flat; the values may be written."""
    for block in layer.blocks():
        start = 0
        for name in block.names:
            gradient = block.grad_array(name).ravel()
            yield name, gradient, block.data[start : start + gradient.size]
            start += gradient.size


def check_layer_gradients(layer: Any, x: np.ndarray, *, state: Any = None, tolerance: float = 1e-6, **how: Any) -> None:
    """Every gradient of a float64 layer or model against central differences, through y and the state it returns."""
    rng = np.random.default_rng(99)
    calls = (x, state) if layer.has_state else (x,)
    out, backward = layer.forward(*calls, **how)
    y, after = out if layer.has_state else (out, ())
    dy = rng.uniform(0.1, 1.0, y.shape) * rng.choice([-1.0, 1.0], y.shape)
    dafter = map_state(lambda array: rng.uniform(0.1, 1.0, array.shape), after)

    def loss() -> float:
        for block in layer.blocks():
            block.changed()
        out = layer.forward(*calls, **how)[0]
        y, after = out if layer.has_state else (out, ())
        total = (y * dy).sum()
        return float(total + sum((a * b).sum() for a, b in zip(flatten(after), flatten(dafter), strict=True)))

    layer.zero_grad()
    result = backward(dy, dafter) if layer.has_state else backward(dy)
    dx, dstate = result if layer.has_state else (result, ())
    pairs = list(parameters_and_gradients(layer))
    if dx is not None:
        pairs.append(("x", dx, x))
    if state is not None:
        pairs += [("state", a, b) for a, b in zip(flatten(dstate), flatten(state), strict=True)]
    for name, gradient, array in pairs:
        assert np.any(gradient != 0), f"gradient of {name} is all zero"
        error = relative_error(gradient, central_differences(loss, array))
        assert error < tolerance, f"gradient of {name} is off by {error:.1e}"


def map_state(function: Any, state: Any) -> Any:
    """The same nest of tuples with a function applied to each array."""
    if isinstance(state, tuple):
        found = [map_state(function, part) for part in state]
        return type(state)(*found) if hasattr(state, "_fields") else tuple(found)
    return function(state)


def check_citizen(layer: Any, x: np.ndarray, folder: Any, **how: Any) -> None:
    """A leaf layer is at home everywhere: in a model, copied, pickled, saved; and its backward works once."""
    model = Sequential(layer)
    wanted = model(x, **how)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), rebuilt(model, folder)):
        assert repr(again) == repr(model)
        assert again.config() == model.config()
        assert again.num_params == model.num_params
        assert same_bits(again(x, **how), wanted)
        if layer.blocks():
            again.layers[0].block.data[...] += 1
            assert same_bits(model(x, **how), wanted)
    shape = layer.output_shape(x.shape)
    assert shape == wanted.shape
    (y, _), backward = model.forward(x, rng=5, **how)
    assert y.shape == shape
    assert y.dtype == wanted.dtype
    assert same_bits(model.forward(x, rng=5, **how)[0][0], y)
    with pytest.raises(ValueError, match="shape of y"):
        backward(np.ones((*shape, 2)))
    assert backward(np.ones_like(y))[0].shape == x.shape
    with pytest.raises(RuntimeError, match="works once"):
        backward(np.ones_like(y))


def rebuilt(layer: Any, folder: Any) -> Any:
    """A layer or model by way of a file."""
    layer.save(folder / "layer")
    return load(folder / "layer")
