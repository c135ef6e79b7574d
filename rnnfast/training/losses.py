"""What training makes small. Every loss gives a sum and a count, so that means over batches are exact."""

from collections.abc import Mapping
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


class JointLoss(Loss):
    """The sum of the mean losses of several outputs, each with a loss and a weight of its own.

    `fit` and `evaluate` make it of a mapping given as the loss.

    Parameters
    ----------
    losses : mapping of str to Loss or str
        By the output's name.
    weights : mapping of str to float, optional
        By the output's name; 1 where none is given.

    Notes
    -----
    What it gives is that sum times the number of sequences, and this number as the count. Each output's mean is over
    the places that count in the batch, so a mean over batches weighs ragged outputs by sequences, not by steps.

    Examples
    --------
    >>> loss = JointLoss({"topic": "cross_entropy", "price": "mse"}, weights={"price": 0.5})
    >>> predictions = {"topic": np.zeros((2, 4)), "price": np.array([[1.0], [3.0]])}
    >>> total, count, gradient = loss(predictions, {"topic": [0, 3], "price": [0.0, 0.0]})
    >>> round(total / count, 4), round(float(np.log(4) + 0.5 * 5), 4)
    (3.8863, 3.8863)
    """

    name = "joint"

    def __init__(self, losses: Mapping[str, Any], weights: Mapping[str, float] | None = None):
        if not losses:
            raise ValueError("losses must name at least one output")
        self.losses = {name: find_loss(loss) for name, loss in losses.items()}
        self.weights = dict.fromkeys(self.losses, 1.0)
        for name, weight in (weights or {}).items():
            if name not in self.losses:
                raise ValueError(f"weights: there is no output {name!r}; there are {', '.join(self.losses)}")
            self.weights[name] = _check.not_negative(weight, f"weights[{name!r}]")

    def __repr__(self) -> str:
        return f"JointLoss({self.losses!r}, weights={self.weights!r})"

    def __call__(self, predictions: Any, targets: Any, mask: Any = None) -> tuple[float, int, Any]:  # type: ignore[override]
        """See `Loss`; predictions, targets and mask by the output's name, and the gradient likewise.

        An output without a loss has the gradient None.
        """
        for what, found in (("predictions", predictions), ("targets", targets)):
            if not isinstance(found, Mapping) or not self.losses.keys() <= found.keys():
                got = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
                raise ValueError(f"{what} must be a mapping with {', '.join(self.losses)}, got {got}")
        total, gradients = 0.0, dict.fromkeys(predictions)
        sequences = len(next(iter(predictions.values())))
        for name, loss in self.losses.items():
            part, count, gradient = loss(predictions[name], targets[name], None if mask is None else mask[name])
            if count:
                share = self.weights[name] * sequences / count
                total += share * part
                gradient *= share
            gradients[name] = gradient
        return total, sequences, gradients


_LOSSES: dict[str, type[Loss]] = {loss.name: loss for loss in (CrossEntropy, MSE)}


def find_loss(loss: Any) -> Loss:
    """A loss by its name, or the loss itself; of a mapping, the joint loss of its outputs."""
    if isinstance(loss, Mapping):
        return JointLoss(loss)
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in _LOSSES:
        return _LOSSES[loss]()
    raise ValueError(f"loss must be a Loss or one of {', '.join(map(repr, _LOSSES))}, got {loss!r}")
