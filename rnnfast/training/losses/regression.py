"""Losses of numbers."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.training.losses._base import Loss
from rnnfast.training.losses._places import Places, check_predictions


class MSE(Loss):
    """(prediction - target)², averaged over all numbers. A last axis of 1 may be missing from the targets."""

    name = "mse"

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of numbers."""
        predictions = check_predictions(predictions, self.name)
        targets = _check.real(targets, predictions.dtype, "targets")
        if (*targets.shape, 1) == predictions.shape:
            targets = targets[..., None]
        if targets.shape != predictions.shape:
            raise ValueError(f"mse: targets must have shape {predictions.shape}, got {targets.shape}")
        if weights is None:
            return ops.mse(predictions, targets, mask)
        places = Places(predictions.shape, mask, weights, predictions.dtype)
        gradient = ops.mse(predictions, targets, places.read)[2]
        scaled = gradient * places.weights
        total = np.multiply(gradient, scaled, dtype=np.float64).sum() / 4
        return float(total), places.count, scaled
