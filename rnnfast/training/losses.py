"""What training makes small. Every loss gives a sum and a count, so that means over batches are exact."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check


class Loss:
    """A loss. Calling it gives `(sum, count, gradient of the sum with respect to the predictions)`."""

    name = "loss"

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None
    ) -> tuple[float, int, np.ndarray]:
        """Add the loss of every place up.

        Parameters
        ----------
        predictions : numpy.ndarray
            What the model gives.
        targets : array_like
            What it should give.
        mask : numpy.ndarray of bool (B, T), optional
            True where a step counts; None counts all.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


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
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of places, (B,) or (B, T)."""
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu" and targets.size:
            raise TypeError(f"cross_entropy: targets must be integers, got dtype {targets.dtype}")
        if targets.shape != predictions.shape[:-1]:
            raise ValueError(
                f"cross_entropy: targets must have shape {predictions.shape[:-1]} for predictions of shape "
                f"{predictions.shape}, got {targets.shape}"
            )
        return ops.cross_entropy(predictions, targets, mask)


class MSE(Loss):
    """(prediction - target)², averaged over all numbers. A last axis of 1 may be missing from the targets."""

    name = "mse"

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of numbers."""
        targets = _check.real(targets, predictions.dtype, "targets")
        if (*targets.shape, 1) == predictions.shape:
            targets = targets[..., None]
        if targets.shape != predictions.shape:
            raise ValueError(f"mse: targets must have shape {predictions.shape}, got {targets.shape}")
        return ops.mse(predictions, targets, mask)


_LOSSES: dict[str, type[Loss]] = {loss.name: loss for loss in (CrossEntropy, MSE)}


def find_loss(loss: Any) -> Loss:
    """A loss by its name, or the loss itself."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in _LOSSES:
        return _LOSSES[loss]()
    raise ValueError(f"loss must be a Loss or one of {', '.join(map(repr, _LOSSES))}, got {loss!r}")
