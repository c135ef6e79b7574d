"""Sequences of unequal length, as a list: padded when a batch is cut out of them, never as a whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.layers._ragged import pad


class Ragged:
    """Arrays of shapes (T_i, ...) that differ in T_i alone.

    Parameters
    ----------
    arrays : sequence of array_like (T_i, ...)
    name : str
        What an error calls them.

    Attributes
    ----------
    lengths : numpy.ndarray of int64 (N,)
    """

    def __init__(self, arrays: Sequence[Any], name: str = "x"):
        self.name, self.arrays = name, [np.asanyarray(each) for each in arrays]
        shapes = {each.shape[1:] for each in self.arrays}
        if any(each.ndim == 0 for each in self.arrays) or len(shapes) > 1:
            found = ", ".join(str(each.shape) for each in self.arrays[:4])
            raise ValueError(f"{name}: sequences must have shapes (T_i, ...) that differ in T_i alone, got {found} ...")
        # An empty list has no kind of number of its own.
        self.dtype = np.result_type(*{each.dtype for each in self.arrays if each.size} or {np.dtype(np.float32)})
        self.tail: tuple[int, ...] = shapes.pop() if shapes else ()
        self.lengths = np.array([len(each) for each in self.arrays], np.int64)

    def __len__(self) -> int:
        return len(self.arrays)

    def part(self, rows: Any) -> "Ragged":
        """Some of the sequences, by a slice or by numbers."""
        chosen = self.arrays[rows] if isinstance(rows, slice) else [self.arrays[i] for i in rows]
        return Ragged(chosen, self.name)

    def padded(self, rows: Any = slice(None)) -> np.ndarray:
        """Some of the sequences (n, T, ...), T the longest among them, zeros beyond their ends."""
        return pad([self.arrays[i] for i in np.arange(len(self))[rows]], self.dtype, self.tail)[0]


def is_ragged(value: Any) -> bool:
    """Whether a value is a list of sequences that are not all equally long."""
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        return False
    try:
        lengths = {len(each) for each in value}
    except TypeError:  # numbers have no length
        return False
    return len(lengths) > 1
