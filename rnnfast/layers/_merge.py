"""Two directions made one: side by side, or number by number."""

from typing import Any

import numpy as np

Array = np.ndarray

KINDS = ("concat", "sum", "mul", "average")


def check_merge(merge: Any, kinds: tuple[Any, ...]) -> Any:
    """One of `kinds`."""
    if (merge is not None and not isinstance(merge, str)) or merge not in kinds:
        raise ValueError(f"merge must be one of {', '.join(map(repr, kinds))}, got {merge!r}")
    return merge


def merge_into(kind: str, first: Array, second: Array, out: Array) -> Array:
    """Write the sum, the product or the mean of two arrays to `out`."""
    if kind == "mul":
        return np.multiply(first, second, out=out)
    np.add(first, second, out=out)
    return np.multiply(out, 0.5, out=out) if kind == "average" else out


def split_gradient(kind: str, dy: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """The gradients of both, of that of their sum, product or mean."""
    if kind == "mul":
        return dy * second, dy * first
    if kind == "average":
        dy = dy * 0.5
    return dy, dy
