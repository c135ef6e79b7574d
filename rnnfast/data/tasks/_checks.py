"""What the tasks check alike."""

from __future__ import annotations

import operator

import numpy as np


def whole(value: object, name: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def drawn_lengths(
    size: int, length: int, min_length: int | None, least: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Lengths from min_length to length, or None where all are `length`."""
    size, length = whole(size, "size", 0), whole(length, "length", least)
    if min_length is None:
        return None
    if whole(min_length, "min_length", least) > length:
        raise ValueError(f"min_length must be at most length={length}, got {min_length}")
    return rng.integers(min_length, length + 1, size)


def beyond(lengths: np.ndarray | None, size: int, length: int) -> np.ndarray:
    """True where a step lies beyond its sequence's end, bool (size, length)."""
    if lengths is None:
        return np.zeros((size, length), dtype=bool)
    return np.arange(length) >= lengths[:, None]
