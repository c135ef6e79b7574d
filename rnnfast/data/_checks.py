"""What the readers, windows, scalers and tasks check alike."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def whole(value: Any, name: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def real_numbers(value: Any, name: str) -> np.ndarray:
    """An array of real numbers, without copying where it is one."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def is_several(value: Any) -> bool:
    """Whether a value is a list of series, not one series: a list of sequences, or an array of three axes."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and np.ndim(value[0]) > 0
    return np.ndim(value) == 3


def series_list(value: Any, name: str) -> list[np.ndarray]:
    """One series or several as a list of arrays (T_i, F); a series (T,) has F = 1."""
    entries = list(value) if is_several(value) else [value]
    found = []
    for number, entry in enumerate(entries):
        called = f"{name}[{number}]" if is_several(value) else name
        array = real_numbers(entry, called)
        if array.ndim not in (1, 2):
            raise ValueError(f"{called} must have shape (T,) or (T, F), got {array.shape}")
        found.append(array[:, None] if array.ndim == 1 else array)
    if len({array.shape[1] for array in found}) > 1:
        widths = ", ".join(str(array.shape[1]) for array in found)
        raise ValueError(f"all series in {name} must have equally many features, got {widths}")
    return found


def token_ids(ids: Any, count: int) -> np.ndarray:
    """Numbers of tokens, all below `count`, int64 (N,)."""
    found = np.asarray(ids).reshape(-1)
    if found.size == 0:
        return np.zeros(0, dtype=np.int64)
    if found.dtype.kind not in "iu":
        raise ValueError(f"ids must be integers, got dtype {found.dtype}")
    if found.min() < 0 or found.max() >= count:
        raise ValueError(f"ids must lie in 0..{count - 1}, got {found.min()}..{found.max()}")
    return found.astype(np.int64)
