"""Gradients by central differences."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers._base import Layer
from rnnfast.layers._penalties import penalties
from rnnfast.layers.embedding import Embedding
from rnnfast.models._network import Network

Array = np.ndarray

# Where a whole tensor of gradients is smaller than this, its error is measured against this instead: the differences
# of two losses that hardly differ are rounding errors.
_SMALLEST_SCALE = 1e-4


class Tensor(NamedTuple):
    """Something that the loss depends on: `values` may be written, and `put` tells the layer so."""

    name: str
    gradient: Array
    values: Array
    put: Callable[[Array], None] = lambda values: None
    left_out: int | None = None  # a row that takes no gradient


def check_gradients(
    layer: Layer,
    x: Any,
    state: Any = None,
    *,
    lengths: Any = None,
    epsilon: float = 1e-4,
    tolerance: float = 1e-6,
    samples: int | None = None,
    seed: int = 0,
    **kwargs: Any,
) -> dict[str, float]:
    """Hold every gradient of `backward` against central differences of `forward`.

    The loss is a random projection of all outputs, Σ w·y + Σ w'·state. A difference is of fourth order:
    (8 (L(+ε) - L(-ε)) - (L(+2ε) - L(-2ε))) / 12ε. All of it happens to a copy of the layer.

    Parameters
    ----------
    layer : Layer
        Of dtype float64: a layer, a cell or a model. Frozen parameters are left out, and so is the vector of an
        `Embedding`'s padding symbol, which takes no gradient by definition.
    x : array_like, or mapping of str to array_like where a `Graph` has several inputs
        Integers, such as an `Embedding` takes, have no gradient.
    state : optional
        Initial state as `forward` takes it. None starts as the layer does by itself, and no gradient of it is checked.
    lengths : array_like of int (B,), optional
    epsilon : float
        ε. Near a kink (relu at 0) choose inputs away from it, or a smaller ε; a smaller ε too where the loss curves
        sharply, as layer normalization does on a state that is zero.
    tolerance : float
        Largest relative error that passes.
    samples : int, optional
        Check so many numbers of each tensor, drawn at random, instead of all: each costs four calls of `forward`.
    seed : int
        For the projection, the samples, and the layer's own masks, which are the same at every call.
    **kwargs
        For `forward`, such as time_major.

    Returns
    -------
    dict of float
        Relative errors, the largest difference over the largest gradient, by name: those of the parameters, "x"
        ("x.name" of several inputs), and "state" ("state.h" and "state.c" of an LSTM, "state[0]" and so on of a model).

    Raises
    ------
    AssertionError
        When an error is above `tolerance`: it names the tensors, and where each is worst.
    ValueError
        For a float32 layer: rounding would drown the differences.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.GRU(2, 3, dtype="float64", seed=0)
    >>> errors = check_gradients(layer, np.ones((1, 4, 2)), np.ones((1, 1, 3)))
    >>> list(errors)
    ['weight_ih_l0', 'weight_hh_l0', 'bias_l0', 'bias_hn_l0', 'x', 'state']
    >>> max(errors.values()) < 1e-6
    True
    """
    if layer.dtype == np.float32:
        raise ValueError("the layer has dtype float32, wanted float64: rounding would drown the differences")
    layer = copy.deepcopy(layer)
    x = _map(_own, x)
    state = _map(lambda part: np.array(part, np.float64), state)
    rng = np.random.default_rng(seed)
    takes = inspect.signature(layer.forward).parameters
    given = kwargs if lengths is None else {"lengths": lengths, **kwargs}
    if "rng" in takes or any(one.kind == one.VAR_KEYWORD for one in takes.values()):
        given = {"rng": seed, **given}
    inputs = (x, state) if "state" in takes else (x,)

    outputs, backward = layer.forward(*inputs, **given)
    weights = _map(lambda part: rng.uniform(0.1, 1.0, part.shape) * rng.choice([-1.0, 1.0], part.shape), outputs)

    def loss() -> float:
        with penalties() as found:
            outputs, _ = layer.forward(*inputs, **given)
        both = zip(_leaves("", outputs), _leaves("", weights), strict=True)
        return float(sum((a * b).sum() for (_, a), (_, b) in both)) + sum(found)

    grads: dict[str, Array] = {}
    result = backward(*weights, grads=grads) if layer.has_state else backward(weights, grads=grads)
    dx, dstate = result if "state" in takes else (result, None)

    wrong, errors = [], {}
    for tensor in _tensors(layer, x, state, dx, dstate, grads):
        errors[tensor.name], worst = _compare(tensor, loss, epsilon, samples, rng)
        if not errors[tensor.name] <= tolerance:
            wrong.append(f"gradient of {tensor.name} is off by {errors[tensor.name]:.1e} relative: {worst}")
    if wrong:
        raise AssertionError(f"{type(layer).__name__}: " + "; ".join(wrong) + f" (tolerance {tolerance:.0e})")
    return errors


def _tensors(layer: Layer, x: Array, state: Any, dx: Any, dstate: Any, grads: dict[str, Array]) -> Iterator[Tensor]:
    """Everything that has a gradient. One that `backward` has left out counts as zero."""

    def setter(name: str) -> Callable[[Array], None]:
        return lambda values: layer.params.__setitem__(name, values)

    padding = {id(each.block): each.padding_idx for each in _inside(layer) if isinstance(each, Embedding)}
    for name, (block, _) in layer.slots().items():
        if name not in layer.frozen_names:
            values = layer.params[name].copy()
            yield Tensor(name, grads.get(name, np.zeros_like(values)), values, setter(name), padding.get(id(block)))
    of_inputs = dict(_leaves("x", dx))
    for name, values in _leaves("x", x):
        if values.dtype.kind == "f":
            yield Tensor(name, of_inputs.get(name, np.zeros_like(values)), values)
    if state is not None:
        found, given = list(_leaves("state", dstate)), list(_leaves("state", state))
        if len(found) != len(given):
            raise AssertionError(f"backward gives {len(found)} gradients of the state, which has {len(given)} arrays")
        for (name, gradient), (_, values) in zip(found, given, strict=True):
            yield Tensor(name, gradient, values)


def _inside(layer: Layer) -> Iterator[Layer]:
    """A layer, and those of a model."""
    yield layer
    if isinstance(layer, Network):
        for _, each in layer._children():
            yield from _inside(each)


def _compare(
    tensor: Tensor, loss: Callable[[], float], epsilon: float, samples: int | None, rng: np.random.Generator
) -> tuple[float, str]:
    """The relative error, and where it is largest."""
    name, gradient, values, put, left_out = tensor
    if np.shape(gradient) != values.shape:
        raise AssertionError(f"gradient of {name} has shape {np.shape(gradient)}, wanted {values.shape}")
    places = [place for place in np.ndindex(values.shape) if left_out is None or place[0] != left_out]
    if samples is not None and samples < len(places):
        places = [places[k] for k in rng.choice(len(places), samples, replace=False)]
    if not places:
        return 0.0, ""
    numeric = np.array([_difference(loss, values, put, place, epsilon) for place in places])
    analytic = np.array([gradient[place] for place in places])
    scale = max(np.abs(numeric).max(), np.abs(analytic).max(), _SMALLEST_SCALE)
    differences = np.abs(analytic - numeric)
    k = int(np.argmax(differences))  # of nan, too
    where = f"at {tuple(map(int, places[k]))} backward gives {analytic[k]:.6g}, differences give {numeric[k]:.6g}"
    return float(differences[k] / scale), where


def _difference(
    loss: Callable[[], float], values: Array, put: Callable[[Array], None], place: tuple[int, ...], epsilon: float
) -> float:
    kept, losses = values[place], []
    for steps in (1, -1, 2, -2):
        values[place] = kept + steps * epsilon
        put(values)
        losses.append(loss())
    values[place] = kept
    put(values)
    return (8 * (losses[0] - losses[1]) - (losses[2] - losses[3])) / (12 * epsilon)


def _own(x: Any) -> Array:
    """A copy, in float64 where it has a gradient."""
    x = np.array(x)
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def _map(function: Callable[[Any], Any], nest: Any) -> Any:
    """The same nest of tuples and mappings with a function applied to each array; None stays."""
    if isinstance(nest, Mapping):
        return {name: _map(function, part) for name, part in nest.items()}
    if isinstance(nest, tuple):
        found = [_map(function, part) for part in nest]
        return type(nest)(*found) if hasattr(nest, "_fields") else tuple(found)
    return None if nest is None else function(nest)


def _leaves(name: str, nest: Any) -> Iterator[tuple[str, Array]]:
    """(name, array) of each array in a nest of tuples and mappings."""
    if isinstance(nest, Mapping):
        for key, part in nest.items():
            yield from _leaves(f"{name}.{key}", part)
    elif isinstance(nest, tuple):
        fields = getattr(nest, "_fields", None)
        for k, part in enumerate(nest):
            yield from _leaves(f"{name}.{fields[k]}" if fields else f"{name}[{k}]", part)
    elif nest is not None:
        yield name, nest
