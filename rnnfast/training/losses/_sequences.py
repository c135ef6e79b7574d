"""What losses of whole sequences share: how long each is, and how much it weighs."""

from typing import Any

import numpy as np

from rnnfast.layers import _check


class Sequences:
    """The sequences of a batch.

    Parameters
    ----------
    shape : tuple of int
        (B, T).
    mask : array_like of bool (B, T) or (B,), optional
        (B, T): True at the first steps of each sequence, its length, which may be 0. (B,): True where a sequence,
        of T steps, counts.
    weights : array_like (B,), optional
        Those of sequences that do not count are not read.
    loss : str
        Its name, for errors.

    Attributes
    ----------
    lengths : numpy.ndarray of int64 (B,)
    count : int
        How many sequences count.
    weights : numpy.ndarray of float64 (B,)
        1 where none are given, 0 for sequences that do not count.
    """

    def __init__(self, shape: tuple[int, int], mask: Any, weights: Any, loss: str):
        B, T = shape
        self.lengths = np.full(B, T, np.int64)
        counted = np.ones(B, bool)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.dtype != np.bool_:
                raise TypeError(f"{loss}: mask must be boolean (True counts), got {mask.dtype}")
            if mask.shape not in ((B, T), (B,)):
                raise ValueError(f"{loss}: mask must have shape ({B}, {T}) or ({B},), got {mask.shape}")
            if mask.ndim == 1:
                counted = mask
            else:
                self.lengths = mask.sum(axis=1, dtype=np.int64)
                holes = (mask != (np.arange(T) < self.lengths[:, None])).any(axis=1)
                if holes.any():
                    raise ValueError(
                        f"{loss}: mask must be True at the first steps of a sequence and False after them, got "
                        f"{mask[holes.argmax()]} for sequence {holes.argmax()}"
                    )
        self.count = int(np.count_nonzero(counted))
        self.weights = counted.astype(np.float64)
        if weights is not None:
            weights = _check.real(weights, np.dtype(np.float64), "weights")
            if weights.shape != (B,):
                raise ValueError(f"{loss}: weights must have shape ({B},), one a sequence, got {weights.shape}")
            self.weights = np.where(counted, weights, 0.0)
            if not np.isfinite(self.weights).all():
                raise ValueError(f"{loss}: weights must be finite, got infinity or nan for a sequence that counts")

    def total(self, losses: np.ndarray) -> float:
        """The sum of each sequence's loss times its weight, from the first to the last."""
        read = self.weights != 0
        return float(sum((losses[read] * self.weights[read]).tolist()))
