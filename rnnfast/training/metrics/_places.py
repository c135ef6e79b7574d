"""What counts in a batch, taken out of arrays."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast.decoding.crf import viterbi
from rnnfast.training.losses._places import spread


def places(
    name: str, shape: tuple[int, ...], mask: Any = None, weights: Any = None, also: np.ndarray | None = None
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray | None]:
    """How to take what counts from an array that has `shape` in front, and the weights of what is taken.

    Parameters
    ----------
    name : str
        Of the metric, for messages.
    shape : tuple of int
        Of the places, (B,) or (B, T) or longer.
    mask, weights : array_like or None
        Of the first axes of `shape`, at least one.
    also : numpy.ndarray of bool, optional
        Of `shape`: what else must be True where a place counts.

    Returns
    -------
    take : callable
        From an array (*shape, ...) to an array (n, ...).
    weights : numpy.ndarray of float64 (n,), or None
    """
    keep = also
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise TypeError(f"{name}: mask must be boolean (True counts), got {mask.dtype}")
        mask = spread(mask, shape, f"{name}: mask")
        keep = mask if keep is None else keep & mask
    if keep is not None and keep.all():
        keep = None

    def take(array: np.ndarray) -> np.ndarray:
        return array.reshape(math.prod(shape), *array.shape[len(shape) :]) if keep is None else array[keep]

    if weights is None:
        return take, None
    weights = take(spread(np.asarray(weights, np.float64), shape, f"{name}: weights"))
    if not (weights >= 0).all():
        raise ValueError(f"{name}: weights must be numbers that are not negative")
    return take, weights


def mean_of(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """(weighted sum, sum of weights) of values (n, ...) with weights (n,); (sum, number) without."""
    if weights is None:
        return float(values.sum(dtype=np.float64)), values.size
    each = values.size // max(len(values), 1)
    total = sum_over_places(values, weights).sum() if values.size else 0.0
    return float(total), float(weights.sum()) * each


def sum_over_places(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Sum of values (n, ...) over the first axis, weighted; what has weight 0 is not read."""
    if weights is None:
        return values.sum(axis=0, dtype=np.int64 if values.dtype.kind in "bi" else np.float64)
    if not weights.all():
        values, weights = values[weights > 0], weights[weights > 0]
    return np.tensordot(weights, values, axes=1)


def one_score(predictions: np.ndarray) -> bool:
    """Whether there is one score a place, (N,) or (..., 1), for an answer of 0 or 1."""
    return predictions.ndim == 1 or predictions.shape[-1] == 1


def class_places(
    name: str, predictions: np.ndarray, targets: Any, mask: Any, weights: Any
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, np.ndarray | None]:
    """`places` for scores (..., C), with the targets there: int (n,), from integers (...) or the largest of (..., C).

    Places with a target below 0 do not count: -1 and -100 are the usual marks of what a loss ignores.
    """
    targets = np.asarray(targets)
    shape, C = predictions.shape[:-1], predictions.shape[-1]
    if targets.shape == predictions.shape and targets.ndim > 1:
        take, weights = places(name, shape, mask, weights)
        return take, take(targets.argmax(axis=-1)), weights
    if targets.shape != shape or (targets.dtype.kind not in "iu" and targets.size):
        raise ValueError(
            f"{name}: targets must be integers of shape {shape}, got {targets.dtype} of shape {targets.shape}"
        )
    take, weights = places(name, shape, mask, weights, also=targets >= 0)
    wanted = take(targets)
    if (wanted >= C).any():
        raise ValueError(f"{name}: targets must be less than the number of classes, {C}, got {wanted.max()}")
    return take, wanted, weights


def class_answers(
    name: str, predictions: np.ndarray, targets: Any, mask: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Classes that are told and wanted, (n,), with weights (n,): of scores (..., C), or of potentials (B, T, C, C)."""
    of_paths = predictions.ndim == 4 and np.ndim(targets) == 2
    scores = predictions[:, :, 0] if of_paths else predictions
    take, wanted, weights = class_places(name, scores, targets, mask, weights)
    return take(told_ids(name, predictions, mask) if of_paths else scores.argmax(axis=-1)), wanted, weights


def told_ids(name: str, predictions: Any, mask: Any) -> np.ndarray:
    """Ids (B, T): those given, the largest of scores (B, T, C), or the best path through potentials (B, T, C, C)."""
    predictions = np.asarray(predictions)
    if predictions.ndim == 4:
        steps = np.ones(predictions.shape[:2], bool)
        if mask is not None:
            steps &= spread(np.asarray(mask), steps.shape, f"{name}: mask")
        # Up to the last step that counts.
        return viterbi(predictions, (steps * np.arange(1, steps.shape[1] + 1)).max(axis=1, initial=0))[0]
    if predictions.ndim == 3:
        predictions = predictions.argmax(axis=-1)
    if predictions.ndim != 2 or predictions.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: predictions must be scores (B, T, C), potentials (B, T, C, C) or integer ids (B, T), got "
            f"{predictions.dtype} of shape {predictions.shape}"
        )
    return predictions


def binary_places(
    name: str, predictions: np.ndarray, targets: Any, mask: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Scores (n, L) and whether their targets are 1, bool (n, L), with weights (n,), of what counts.

    Predictions are (N,) or (..., L), targets 0 or 1, where L is 1 also without the last axis.
    """
    targets = np.asarray(targets)
    if predictions.ndim == 1:
        predictions = predictions[:, None]
    if targets.shape == predictions.shape[:-1] and predictions.shape[-1] == 1:
        targets = targets[..., None]
    if targets.shape != predictions.shape:
        raise ValueError(f"{name}: targets must have shape {predictions.shape}, got {targets.shape}")
    take, weights = places(name, predictions.shape[:-1], mask, weights)
    wanted = take(targets)
    if not ((wanted == 0) | (wanted == 1)).all():
        raise ValueError(f"{name}: targets must be 0 or 1")
    return take(predictions), wanted == 1, weights
