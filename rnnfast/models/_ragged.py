"""Sequences of any lengths as one array and their lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers._block import real_array
from rnnfast.layers._ragged import pad

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
    if any(each.ndim == 1 and each.size and each.dtype.kind == "f" for each in arrays):
        if len({each.shape for each in arrays}) > 1:
            raise ValueError(f"{name}: vectors must be equally long, got shapes {sorted({e.shape for e in arrays})}")
        return np.stack(arrays), None
    return pad(arrays)
