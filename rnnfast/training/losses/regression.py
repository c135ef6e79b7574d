"""Losses of numbers. A last axis of 1 may be missing from the targets; the count is of numbers."""

import math
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.training.losses._base import Loss
from rnnfast.training.losses._places import PlaceLoss, Places, check_predictions, like_predictions


class MSE(Loss):
    """(prediction - target)², averaged over all numbers. A last axis of 1 may be missing from the targets."""

    name = "mse"

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of numbers."""
        predictions = check_predictions(predictions, self.name)
        targets = like_predictions(targets, predictions, self.name)
        if weights is None:
            return ops.mse(predictions, targets, mask)
        places = Places(predictions.shape, mask, weights, predictions.dtype)
        gradient = ops.mse(predictions, targets, places.read)[2]
        scaled = gradient * places.weights
        total = np.multiply(gradient, scaled, dtype=np.float64).sum() / 4
        return float(total), places.count, scaled


class MAE(PlaceLoss):
    """|prediction - target|, averaged over all numbers; the gradient where they are equal is 0.

    Examples
    --------
    >>> MAE()(np.array([1.0, 5.0, 2.0]), [3.0, 1.0, 2.0])
    (6.0, 3, array([-1.,  1.,  0.]))
    """

    name = "mae"

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = predictions - targets
        return abs(difference), np.sign(difference)


class Huber(PlaceLoss):
    """Half the square of small differences, and the distance, less a constant, of great ones.

    Parameters
    ----------
    delta : float
        Where the one becomes the other.

    Notes
    -----
    d²/2 where |d| <= delta, else delta (|d| - delta/2), with d = prediction - target (Huber 1964).

    Examples
    --------
    >>> Huber(delta=2.0)(np.array([1.0, 5.0]), [0.0, 0.0])
    (8.5, 2, array([1., 2.]))
    """

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = _check.not_negative(delta, "delta")
        if not self.delta:
            raise ValueError("delta must be greater than 0, got 0")

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = predictions - targets
        slope = np.clip(difference, -self.delta, self.delta)
        return slope * (difference - slope / 2), slope


class LogCosh(PlaceLoss):
    """log cosh(prediction - target): about half the square of small differences, and the distance of great ones.

    Notes
    -----
    With d the distance: |d| + log(1 + exp(-2 |d|)) - log 2, and log(1 + 2 sinh²(d/2)) where d is small, so that
    neither overflows nor cancels. The gradient is tanh d.

    Examples
    --------
    >>> total, count, gradient = LogCosh()(np.array([0.0, 1e4]), [0.0, 0.0])
    >>> round(total, 4), count, gradient
    (9999.3069, 2, array([0., 1.]))
    """

    name = "log_cosh"

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = predictions - targets
        distance = abs(difference)
        near = np.log1p(2 * np.sinh(np.minimum(distance, 1) / 2) ** 2)
        far = distance + np.log1p(np.exp(-2 * distance)) - math.log(2)
        return np.where(distance < 1, near, far), np.tanh(difference)


class Quantile(PlaceLoss):
    """The pinball loss, which is least where the prediction is the target's quantile.

    Parameters
    ----------
    quantiles : float or sequence of float
        Greater than 0 and less than 1. A number: predictions have the shape of the targets (a last axis of 1 may be
        missing from these). Several, Q: predictions are (..., Q), one for each, and targets (...) or (..., 1).

    Notes
    -----
    q d where d >= 0, else (q - 1) d, with d = target - prediction (Koenker and Bassett 1978). The count is of
    predictions. The gradient where both are equal is 0.

    Examples
    --------
    >>> Quantile([0.25, 0.75])(np.array([[1.0, 3.0]]), [2.0])
    (0.5, 2, array([[-0.25,  0.25]]))
    """

    name = "quantile"

    def __init__(self, quantiles: Any = 0.5) -> None:
        self._levels = _check.real(quantiles, np.dtype(np.float64), "quantiles")
        if self._levels.ndim > 1 or not self._levels.size or not ((self._levels > 0) & (self._levels < 1)).all():
            raise ValueError(
                f"quantiles must be a number or several, greater than 0 and less than 1, got {quantiles!r:.80}"
            )
        self.quantiles = self._levels.tolist()

    def _targets(self, targets: Any, predictions: np.ndarray) -> np.ndarray:
        if not self._levels.ndim:
            return like_predictions(targets, predictions, self.name)
        if predictions.shape[-1:] != self._levels.shape:
            raise ValueError(
                f"quantile: predictions must have shape (..., {self._levels.size}), one for each quantile, "
                f"got {predictions.shape}"
            )
        targets = _check.real(targets, predictions.dtype, "quantile: targets")
        if targets.shape == predictions.shape[:-1]:
            targets = targets[..., None]
        if targets.shape != (*predictions.shape[:-1], 1):
            raise ValueError(f"quantile: targets must have shape {predictions.shape[:-1]}, got {targets.shape}")
        return np.broadcast_to(targets, predictions.shape)

    @property
    def inner(self) -> int:  # type: ignore[override]
        """One place holds all quantiles."""
        return self._levels.ndim

    def _numbers(self, predictions: np.ndarray) -> int:
        return self._levels.size

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference = targets - predictions
        level = self._levels.astype(predictions.dtype)
        slope = np.where(difference > 0, level, np.where(difference < 0, level - 1, 0 * difference))
        losses = slope * difference
        return (losses.sum(axis=-1) if self.inner else losses), -slope


class Poisson(PlaceLoss):
    """The negative log-likelihood of counts, but for log(target!), which no prediction changes.

    Parameters
    ----------
    log_input : bool
        Whether predictions x are logarithms of the expected counts, as a last `Linear` layer may give them: the loss
        is exp(x) - t x. It is infinite where exp overflows. False takes the counts: x - t log(x + epsilon).
    epsilon : float
        Keeps log(0) away where predictions are counts.

    Notes
    -----
    That of `torch.nn.functional.poisson_nll_loss` with `full=False`. Keras's loss of a similar name takes counts.

    Examples
    --------
    >>> Poisson()(np.zeros(2), [0.0, 3.0])
    (2.0, 2, array([ 1., -2.]))
    """

    name = "poisson_nll"

    def __init__(self, log_input: bool = True, epsilon: float = 1e-8) -> None:
        self.log_input = bool(log_input)
        self.epsilon = _check.not_negative(epsilon, "epsilon")

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if (targets < 0).any():
            raise ValueError(f"{self.name}: targets must be counts, at least 0, got {targets[targets < 0][0]}")
        if self.log_input:
            expected = np.exp(predictions)
            return expected - targets * predictions, expected - targets
        above = predictions + self.epsilon
        return predictions - targets * np.log(above), 1 - targets / above


class CosineSimilarity(PlaceLoss):
    """-cos of the angle between prediction and target, both (..., F): -1 where they point the same way.

    Parameters
    ----------
    epsilon : float
        Norms are taken to be at least this.

    Notes
    -----
    -p·t / (max(|p|, epsilon) max(|t|, epsilon)), the value of Keras's loss of this name; the similarity is that of
    `torch.nn.functional.cosine_similarity`. The count is of places, (B,) or (B, T).

    Examples
    --------
    >>> CosineSimilarity()(np.array([[0.0, 2.0]]), [[0.0, 1.0]])
    (-1.0, 1, array([[0., 0.]]))
    """

    name = "cosine_similarity"
    inner = 1

    def __init__(self, epsilon: float = 1e-8) -> None:
        self.epsilon = _check.not_negative(epsilon, "epsilon")

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity, slope, _ = cosine(predictions, targets, self.epsilon)
        return 0 - similarity, 0 - slope


def cosine(a: np.ndarray, b: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cosine of the angle between rows, and its gradients by a and by b, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norm_a, norm_b = (np.sqrt((x * x).sum(axis=-1, keepdims=True)) for x in (a, b))
    safe_a, safe_b = np.maximum(norm_a, epsilon), np.maximum(norm_b, epsilon)
    unit_a, unit_b = a / safe_a, b / safe_b
    similarity = (unit_a * unit_b).sum(axis=-1, keepdims=True)
    slope_a = (unit_b - (norm_a > epsilon) * similarity * unit_a) / safe_a
    slope_b = (unit_a - (norm_b > epsilon) * similarity * unit_b) / safe_b
    return similarity[..., 0], slope_a, slope_b
