"""Losses of classes, from logits."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.training.losses._base import Loss
from rnnfast.training.losses._places import Places, check_predictions


class CrossEntropy(Loss):
    """-log softmax(logits)[target]: logits (..., C), integer targets (...).

    Examples
    --------
    >>> total, count, _ = CrossEntropy()(np.zeros((2, 4), np.float32), [1, 3])
    >>> round(total / count, 4), round(float(np.log(4)), 4)
    (1.3863, 1.3863)
    """

    name = "cross_entropy"

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of places, (B,) or (B, T)."""
        predictions = check_predictions(predictions, self.name)
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu" and targets.size:
            raise TypeError(f"cross_entropy: targets must be integers, got dtype {targets.dtype}")
        if targets.shape != predictions.shape[:-1]:
            raise ValueError(
                f"cross_entropy: targets must have shape {predictions.shape[:-1]} for predictions of shape "
                f"{predictions.shape}, got {targets.shape}"
            )
        if weights is None:
            return ops.cross_entropy(predictions, targets, mask)
        places = Places(targets.shape, mask, weights, predictions.dtype)
        total, _, gradient = ops.cross_entropy(predictions, targets, places.read, places.weights)
        return total, places.count, gradient
