"""Checks that layers share. Each names the argument, what it got and what it wants."""

import math
import operator
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers._block import real_array


def size(value: Any, name: str, least: int = 1) -> int:
    """A whole number of at least 1, or another."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least or isinstance(value, bool):
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return number


def probability(value: Any, name: str) -> float:
    """A number in [0, 1)."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1, got {value!r}")
    return float(value)


def not_negative(value: Any, name: str, most: float = math.inf) -> float:
    """A finite number from 0 to `most`."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value <= most or math.isinf(value):
        wanted = "at least 0 and finite" if math.isinf(most) else f"from 0 to {most:g}"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return float(value)


def flag(value: Any, name: str) -> bool:
    """True or False, and nothing that merely counts as such."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def real(x: Any, dtype: np.dtype | None, name: str = "x") -> np.ndarray:
    """`x` as an array of `dtype`; with None, float64 stays and all else becomes float32."""
    x = real_array(x, name)
    if dtype is None:
        dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    return x if x.dtype == dtype else x.astype(dtype)


def features(x: np.ndarray, wanted: int, layer: str) -> None:
    """The last axis holds `wanted` numbers."""
    if x.ndim == 0 or x.shape[-1] != wanted:
        raise ValueError(f"{layer}: x must have shape (..., {wanted}), got {x.shape}")


def output_gradient(dy: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """`dy` in the dtype and shape of the output."""
    dy = real(dy, dtype, "dy")
    if dy.shape != shape:
        raise ValueError(f"dy must have the shape of y, {shape}, got {dy.shape}")
    return dy


def padding(lengths: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """True where a step lies beyond its sequence's end, bool of `shape`; None when there are no lengths."""
    if lengths is None:
        return None
    lengths = ops.sequence_lengths(lengths, shape)
    return (np.arange(shape[-1]) >= lengths[:, None]).reshape(shape)
