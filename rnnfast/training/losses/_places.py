"""Which places of a batch a loss reads and how much each weighs, and the checks that losses share."""

from typing import Any

import numpy as np

from rnnfast.layers import _check


def check_predictions(predictions: Any, loss: str) -> np.ndarray:
    """The predictions as an array of float32 or float64."""
    predictions = np.asarray(predictions)
    if predictions.dtype.type not in (np.float32, np.float64):
        raise TypeError(f"{loss}: predictions must be float32 or float64, got {predictions.dtype}")
    return predictions


def spread(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """An array of the first axes of `shape`, repeated along the others."""
    if array.shape != shape[: array.ndim]:
        raise ValueError(f"{name} must have the first axes of {shape}, the shape of what is counted, got {array.shape}")
    return np.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - array.ndim)), shape)


class Places:
    """The places of a batch.

    Parameters
    ----------
    shape : tuple of int
        That of the places.
    mask : array_like of bool, optional
        True where a place counts; of the first axes of `shape`.
    weights : array_like, optional
        Of the first axes of `shape`; weights of places that do not count are not read.
    dtype : numpy.dtype
        That of the weights.

    Attributes
    ----------
    count : int
        How many places count.
    read : numpy.ndarray of bool, or None
        Those that count and whose weight is not 0; None where that is all.
    weights : numpy.ndarray, or None
        Of `shape`, 0 where a place is not read.
    """

    def __init__(self, shape: tuple[int, ...], mask: Any, weights: Any, dtype: Any):
        self.shape = shape
        self.read: np.ndarray | None = None
        self.weights: np.ndarray | None = None
        if mask is not None:
            mask = np.asarray(mask)
            if mask.dtype != np.bool_:
                raise TypeError(f"mask must be boolean (True counts), got {mask.dtype}")
            self.read = spread(mask, shape, "mask")
        self.count = int(np.count_nonzero(self.read)) if self.read is not None else int(np.prod(shape))
        if weights is not None:
            weights = spread(_check.real(weights, dtype, "weights"), shape, "weights")
            if self.read is not None:
                weights = np.where(self.read, weights, np.zeros((), dtype))
            if not np.isfinite(weights).all():
                raise ValueError("weights must be finite, got infinity or nan at a place that counts")
            self.weights = weights
            heavy = weights != 0
            if not heavy.all():
                self.read = heavy
