"""Sequences of several lengths, which tasks have alike."""

from __future__ import annotations

import numpy as np

from rnnfast.data._checks import whole


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
