"""Sequences of unequal length as one array."""

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def pad(sequences: Sequence[Array], dtype: np.dtype | None = None, tail: tuple[int, ...] = ()) -> tuple[Array, Array]:
    """Sequences beside each other, zeros beyond their ends.

    Parameters
    ----------
    sequences : sequence of numpy.ndarray (T_b, ...)
        That differ in T_b alone.
    dtype : numpy.dtype, optional
        None: one that holds the numbers of all that are not empty, float32 where all are.
    tail : tuple of int
        The shape of a step, where there are no sequences.

    Returns
    -------
    x : numpy.ndarray (B, T, ...)
    lengths : numpy.ndarray of int64 (B,)

    Raises
    ------
    ValueError
        When steps differ in shape.
    """
    shapes = {each.shape[1:] for each in sequences} or {tail}
    if any(each.ndim == 0 for each in sequences) or len(shapes) > 1:
        found = ", ".join(str(each.shape) for each in sequences[:4])
        raise ValueError(f"sequences must have shapes (T_b, ...) that differ in T_b alone, got {found} ...")
    if dtype is None:
        # An empty list is float64 to NumPy; it must not make integers floats.
        dtype = np.result_type(*{each.dtype for each in sequences if each.size} or {np.dtype(np.float32)})
    lengths = np.array([len(each) for each in sequences], np.int64)
    x = np.zeros((len(sequences), lengths.max(initial=0), *shapes.pop()), dtype)
    for row, each in zip(x, sequences, strict=True):
        row[: len(each)] = each
    return x, lengths
