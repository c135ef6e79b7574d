"""First values as Keras draws them, of its variables in its layout: fan_in is the first axis."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnfast.layers.initializers import orthogonal

Array = np.ndarray
Draw = Callable[[np.random.Generator, tuple[int, ...], Mapping[str, Any]], Array]

# The deviation of a standard normal that is cut off at twice it.
_CUT = 0.87962566103423978


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    area = math.prod(shape[:-2])
    return shape[-2] * area, shape[-1] * area


def _cut_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers between -2 and 2: those beyond are drawn again."""
    found = rng.standard_normal(shape)
    while (beyond := abs(found) > 2).any():
        found[beyond] = rng.standard_normal(int(beyond.sum()))
    return found


def _scaled(scale: float, mode: str, kind: str) -> Draw:
    def draw_scaled(rng: np.random.Generator, shape: tuple[int, ...], config: Mapping[str, Any]) -> Array:
        fan_in, fan_out = _fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = float(config.get("scale", scale)) / max(1.0, fans[config.get("mode", mode)])
        distribution = config.get("distribution", kind)
        if distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        if distribution == "untruncated_normal":
            return math.sqrt(variance) * rng.standard_normal(shape)
        return math.sqrt(variance) / _CUT * _cut_normal(rng, shape)

    return draw_scaled


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...], config: Mapping[str, Any]) -> Array:
    rows = math.prod(shape[:-1])
    return float(config.get("gain", 1.0)) * orthogonal(rng, rows, shape[-1]).reshape(shape)


DRAWS: dict[str, Draw] = {
    "Zeros": lambda rng, shape, config: np.zeros(shape),
    "Ones": lambda rng, shape, config: np.ones(shape),
    "Constant": lambda rng, shape, config: np.full(shape, float(config.get("value", 0.0))),
    "Identity": lambda rng, shape, config: float(config.get("gain", 1.0)) * np.eye(shape[0], shape[1]),
    "Orthogonal": _orthogonal,
    "RandomUniform": lambda rng, shape, config: rng.uniform(
        config.get("minval", -0.05), config.get("maxval", 0.05), shape
    ),
    "RandomNormal": lambda rng, shape, config: (
        config.get("mean", 0.0) + config.get("stddev", 0.05) * rng.standard_normal(shape)
    ),
    "TruncatedNormal": lambda rng, shape, config: (
        config.get("mean", 0.0) + config.get("stddev", 0.05) * _cut_normal(rng, shape)
    ),
    "VarianceScaling": _scaled(1.0, "fan_in", "truncated_normal"),
    **{
        f"{name}{kind}": _scaled(scale, mode, "uniform" if kind == "Uniform" else "truncated_normal")
        for name, scale, mode in (("Glorot", 1.0, "fan_avg"), ("He", 2.0, "fan_in"), ("Lecun", 1.0, "fan_in"))
        for kind in ("Uniform", "Normal")
    },
}

_NAMES = {
    **{name.lower(): name for name in DRAWS},
    **{"".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"): name for name in DRAWS},
    **{"uniform": "RandomUniform", "normal": "RandomNormal", "zero": "Zeros", "one": "Ones"},
}


def draw(spec: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """First values of a variable.

    Parameters
    ----------
    spec : str, mapping or callable
        Keras's name of an initializer, what its files make of one, or a function of the shape.
    shape : tuple of int
        In Keras's layout.
    rng : numpy.random.Generator
        Used unless the initializer has a seed of its own.

    Raises
    ------
    ValueError
        For an unknown initializer.
    """
    if callable(spec):
        return np.broadcast_to(np.asarray(spec(shape)), shape)
    config: Any = {}
    name = spec
    if isinstance(spec, Mapping):
        name, config = spec.get("class_name"), spec.get("config")
        config = config if isinstance(config, Mapping) else {}
    name = name if name in DRAWS else _NAMES.get(name) if isinstance(name, str) else None
    if name is None:
        raise ValueError(f"the initializer {spec!r:.80} is not known; there are {', '.join(DRAWS)}")
    seed = config.get("seed")
    return DRAWS[name](np.random.default_rng(seed) if isinstance(seed, int) else rng, shape, config)
