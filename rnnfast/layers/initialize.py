"""Other first values than a layer's own, by patterns of parameters' names; recurrent weights gate by gate."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from rnnfast.layers._base import Layer, matching
from rnnfast.layers.initializers import orthogonal

Array = np.ndarray
Initializer = Callable[[np.random.Generator, tuple[int, ...]], Any]


def initialize(layer: Layer, rules: Mapping[str, str | float | Initializer], seed: Any = None) -> None:
    """Draw parameters anew.

    The rows of recurrent layers' parameters are those of their gates, one gate after the other, and each gate is drawn
    by itself: an orthogonal matrix a gate, and fans of one gate.

    Parameters
    ----------
    layer : Layer
        A layer or a model.
    rules : mapping of str to str, float or callable
        By patterns of parameters' names, with `*` for any text; of several that fit, the last counts. A name below, a
        number for every value, or a function of (rng, shape) that gives an array.

        ===================================  =======================================================================
        "glorot_uniform", "glorot_normal"    variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, section 4.2.1)
        "he_uniform", "he_normal"            variance 2 / fan_in (He et al. 2015, section 2.2)
        "lecun_uniform", "lecun_normal"      variance 1 / fan_in (LeCun et al. 1998, section 4.6)
        "orthogonal"                         orthonormal rows or columns (Saxe et al. 2014)
        "identity"                           ones on the diagonal
        "zeros", "ones"
        ===================================  =======================================================================

        Normal values are not cut off.
    seed : None, int or numpy.random.Generator

    Raises
    ------
    ValueError
        When a pattern fits no parameter, a name is unknown, or an initialiser wants a matrix; nothing is changed then.

    Examples
    --------
    Sutskever, Vinyals and Le (2014, section 3.4) begin with uniform values in [-0.08, 0.08]; a GRU with orthogonal
    recurrent matrices and inputs as He et al. have them:

    >>> import rnnfast as rf
    >>> layer = rf.GRU(3, 4)
    >>> initialize(layer, {"*": lambda rng, shape: rng.uniform(-0.08, 0.08, shape)}, seed=0)
    >>> initialize(layer, {"weight_ih*": "he_normal", "weight_hh*": "orthogonal", "bias*": 0.0}, seed=0)
    >>> reset, update, new = np.split(layer.params["weight_hh_l0"], 3)
    >>> np.allclose(update @ update.T, np.eye(4), atol=1e-6), layer.params["bias_l0"].max().item()
    (True, 0.0)
    """
    slots, rng = layer.slots(), np.random.default_rng(seed)
    chosen: dict[str, Initializer] = {}
    for pattern, rule in rules.items():
        initializer = _find(rule)
        for name in matching(pattern, slots):
            chosen[name] = initializer
    gates = dict(_gates(layer))
    values: dict[str, Array] = {}
    for name, initializer in chosen.items():
        block, inner = slots[name]
        shape, count = block.shapes[inner], gates.get((id(block), inner), 1)
        part = (shape[0] // count, *shape[1:])
        try:
            values[name] = np.concatenate([np.broadcast_to(initializer(rng, part), part) for _ in range(count)])
        except ValueError as error:
            raise ValueError(
                f"initialize: {name!r} has shape {part}{' a gate' if count > 1 else ''}: {error}"
            ) from None
    for name, value in values.items():
        layer.params[name] = value


def _gates(layer: Any) -> Iterator[tuple[tuple[int, str], int]]:
    """How many gates stand on each other in each parameter of recurrent layers, by where it lives."""
    if hasattr(layer, "_children"):
        for _, child in layer._children():
            yield from _gates(child)
        return
    for direction in getattr(layer, "_directions", None) or filter(None, [getattr(layer, "_direction", None)]):
        for name, shape in direction.shapes().items():
            if name.startswith(("weight_ih", "weight_hh", "bias")) and shape[0] % direction.hidden_size == 0:
                yield (id(layer.block), name), shape[0] // direction.hidden_size


def _find(rule: Any) -> Initializer:
    if callable(rule):
        return rule
    if isinstance(rule, str) and rule in _NAMES:
        return _NAMES[rule]
    if isinstance(rule, (int, float, np.integer, np.floating)) and not isinstance(rule, bool):
        return lambda rng, shape: np.full(shape, rule)
    raise ValueError(f"an initialiser is a function, a number or one of {', '.join(map(repr, _NAMES))}, got {rule!r}")


def _variance(scale: float, of: str, kind: str) -> Initializer:
    """Uniform or normal, with the variance scale / fan_in, or scale over the mean of both fans."""

    def initializer(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if len(shape) < 2:
            raise ValueError("it is not a matrix, and has no fans")
        # A convolution's weights are (out, in, width).
        area = int(np.prod(shape[2:]))
        fan_out, fan_in = shape[0] * area, shape[1] * area
        deviation = np.sqrt(scale / max(1.0, fan_in if of == "in" else (fan_in + fan_out) / 2))
        if kind == "normal":
            return deviation * rng.standard_normal(shape)
        return rng.uniform(-np.sqrt(3) * deviation, np.sqrt(3) * deviation, shape)

    return initializer


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    if len(shape) != 2:
        raise ValueError("it is not a matrix, and cannot be orthogonal")
    return orthogonal(rng, *shape)


def _identity(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    if len(shape) != 2:
        raise ValueError("it is not a matrix, and cannot be the identity")
    return np.eye(*shape)


_NAMES: dict[str, Initializer] = {
    **{
        f"{name}_{kind}": _variance(scale, of, kind)
        for name, scale, of in (("glorot", 1.0, "both"), ("he", 2.0, "in"), ("lecun", 1.0, "in"))
        for kind in ("uniform", "normal")
    },
    "orthogonal": _orthogonal,
    "identity": _identity,
    "zeros": lambda rng, shape: np.zeros(shape),
    "ones": lambda rng, shape: np.ones(shape),
}
