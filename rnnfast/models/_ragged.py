"""Sequences of any lengths as one array and their lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers._block import real_array

Array = np.ndarray


def as_batch(sequences: Any, lengths: Any = None, name: str = "sequences") -> tuple[Array, Array | None]:
    """An array as it is, with its lengths; or a list of sequences of any lengths, padded with zeros, and theirs.

    A list of vectors of real numbers is one vector each, not sequences: they have no lengths.

    Raises
    ------
    ValueError, TypeError
        When sequences hold no numbers or differ in anything but their lengths.
    """
    if lengths is not None or not isinstance(sequences, Sequence) or isinstance(sequences, str):
        batch = real_array(sequences, name)
        return batch, None if lengths is None else ops.sequence_lengths(lengths, batch.shape[:2])
    arrays = [real_array(each, f"{name}[{i}]") for i, each in enumerate(sequences)]
    # To NumPy a list of nothing holds float64.
    arrays = [each.astype(np.int64) if each.shape == (0,) else each for each in arrays]
    vectors = any(each.ndim == 1 and each.dtype.kind == "f" for each in arrays)
    shapes = {each.shape[0 if vectors else 1 :] for each in arrays}
    if len(shapes) > 1 or not all(each.ndim for each in arrays):
        found = ", ".join(str(each.shape) for each in arrays[:5])
        raise ValueError(f"{name} must be alike but for the lengths of sequences, got shapes {found}")
    if vectors:
        return np.stack(arrays), None
    ends = np.array([len(each) for each in arrays], np.intp)
    dtype = np.result_type(*{each.dtype for each in arrays}) if arrays else np.dtype(np.int64)
    padded = np.zeros((len(arrays), ends.max(initial=0), *(shapes.pop() if shapes else ())), dtype)
    for row, each in zip(padded, arrays, strict=True):
        row[: len(each)] = each
    return padded, ends
