"""Which places of a batch a loss reads and how much each weighs, and the checks that losses share."""

import math
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training.losses._base import Loss


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
    mask : numpy.ndarray of bool, or None
        True where a place counts, of `shape`; None where all do.
    count : int
        How many places count.
    weights : numpy.ndarray, or None
        Of `shape`, 0 where a place does not count.
    read : numpy.ndarray of bool, or None
        Those that count and whose weight is not 0; None where that is all.
    """

    def __init__(self, shape: tuple[int, ...], mask: Any, weights: Any, dtype: Any):
        self.mask: np.ndarray | None = None
        self.weights: np.ndarray | None = None
        if mask is not None:
            mask = np.asarray(mask)
            if mask.dtype != np.bool_:
                raise TypeError(f"mask must be boolean (True counts), got {mask.dtype}")
            self.mask = spread(mask, shape, "mask")
        self.count = math.prod(shape) if self.mask is None else int(np.count_nonzero(self.mask))
        self.read = self.mask
        if weights is None:
            return
        self.weights = spread(_check.real(weights, np.dtype(dtype), "weights"), shape, "weights")
        if self.mask is not None:
            self.weights = np.where(self.mask, self.weights, np.zeros((), dtype))
        if not np.isfinite(self.weights).all():
            raise ValueError("weights must be finite, got infinity or nan at a place that counts")
        if not self.weights.all():
            self.read = self.weights != 0


def like_predictions(targets: Any, predictions: np.ndarray, loss: str) -> np.ndarray:
    """Targets of the predictions' shape and dtype; a last axis of 1 may be missing."""
    targets = _check.real(targets, predictions.dtype, f"{loss}: targets")
    if (*targets.shape, 1) == predictions.shape:
        targets = targets[..., None]
    if targets.shape != predictions.shape:
        raise ValueError(f"{loss}: targets must have shape {predictions.shape}, got {targets.shape}")
    return targets


def signs(targets: np.ndarray, loss: str) -> np.ndarray:
    """1 where a target is 1, -1 where it is 0 or -1; there are no others."""
    wrong = targets[(targets != 1) & (targets != 0) & (targets != -1)]
    if wrong.size:
        raise ValueError(f"{loss}: targets must be 1, and 0 or -1, got {wrong[0]}")
    return np.where(targets == 1, 1, -1).astype(targets.dtype)


class PlaceLoss(Loss):
    """A loss of places that have nothing to do with one another: a subclass says that of each.

    Attributes
    ----------
    inner : int
        How many last axes of the predictions belong to one place.
    """

    inner = 0

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, Any, np.ndarray]:
        """See `Loss`."""
        predictions = check_predictions(predictions, self.name)
        shape = predictions.shape[: predictions.ndim - self.inner]
        targets = self._targets(targets, predictions)
        if predictions.ndim < self.inner:
            raise ValueError(f"{self.name}: predictions must have a last axis of several numbers, got a single one")
        places = Places(shape, mask, weights, predictions.dtype)
        size = math.prod(shape)
        chosen = [
            array.reshape(size, *array.shape[len(shape) :]) if places.read is None else array[places.read]
            for array in (predictions, targets)
        ]
        # What diverges gives inf or nan, as in the compiled losses; the optimizer says so.
        with np.errstate(all="ignore"):
            losses, slopes = self._each(*chosen)
            if places.weights is not None:
                factors = places.weights.reshape(size) if places.read is None else places.weights[places.read]
                losses = losses * factors
                slopes = slopes * factors.reshape(-1, *[1] * self.inner)
            gradient = np.zeros(predictions.shape, predictions.dtype)
            gradient[... if places.read is None else places.read] = (
                slopes.reshape(predictions.shape) if places.read is None else slopes
            )
        return float(losses.sum(dtype=np.float64)), places.count * self._numbers(predictions), gradient

    def _targets(self, targets: Any, predictions: np.ndarray) -> np.ndarray:
        """The targets as an array whose first axes are those of the places, or an error."""
        return like_predictions(targets, predictions, self.name)

    def _numbers(self, predictions: np.ndarray) -> int:
        """How much a place adds to the count."""
        return 1

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses (N,), and their gradient like the predictions, of N places: arrays (N, inner axes)."""
        raise NotImplementedError
