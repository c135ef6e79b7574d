"""How far numbers are off. All are computed in float64."""

import math
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training.metrics._base import Mean, Metric
from rnnfast.training.metrics._places import mean_of, places

_SMALLEST = 1e-7


class _Error(Mean):
    """Base of the means of an error of each number, over all numbers (..., F) of the places that count.

    A last axis of 1 may be missing from the targets.
    """

    def __init__(self, name: str | None = None):
        super().__init__(name=name)

    def measure(self, predictions: Any, targets: Any, mask: Any, weights: Any) -> tuple[float, float]:
        predictions, targets, weights = _numbers(self.name, predictions, targets, mask, weights)
        return mean_of(self._errors(predictions, targets), weights)

    def _errors(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class MAE(_Error):
    """The mean of |prediction - target|.

    Examples
    --------
    >>> metric = MAE()
    >>> metric.update(np.array([[1.0], [5.0]]), [2.0, 2.0])
    >>> metric.result()
    2.0
    """

    name = "mae"

    def _errors(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.abs(predictions - targets)


class MSE(_Error):
    """The mean of (prediction - target)²."""

    name = "mse"

    def _errors(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.square(predictions - targets)


class RMSE(MSE):
    """The root of the mean of (prediction - target)².

    Examples
    --------
    >>> metric = RMSE()
    >>> metric.update(np.array([[1.0], [5.0]]), [2.0, -2.0])
    >>> metric.result()
    5.0
    """

    name = "rmse"

    def result(self) -> float:
        return math.sqrt(super().result())


class MAPE(_Error):
    """The mean of 100 · |prediction - target| / |target|: in per cent, as in Keras.

    |target| is taken as 1e-7 where it is less: a series that comes near 0 wants another metric.
    """

    name = "mape"

    def _errors(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return 100 * np.abs(predictions - targets) / np.maximum(np.abs(targets), _SMALLEST)


class SMAPE(_Error):
    """The mean of 200 · |prediction - target| / (|prediction| + |target|): in per cent, from 0 to 200.

    That is the one of the M4 competition (Makridakis et al. 2020); where both numbers are 0, it is 0.
    """

    name = "smape"

    def _errors(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        size = np.abs(predictions) + np.abs(targets)
        return 200 * np.abs(predictions - targets) / np.where(size > 0, size, 1)


class MASE(_Error):
    """The mean of |prediction - target|, in units of what the seasonal naive forecast is off on the training data.

    Below 1 is better than to say on the training data that every step is like the one a period before, one step ahead
    (Hyndman and Koehler 2006, "Another look at measures of forecast accuracy", section 4).

    Parameters
    ----------
    training : array_like (T,), (N, T) or (N, T, F), or list of array_like (T,) or (T, F)
        The series trained on, in the units of the targets. The unit is the mean of |y[t] - y[t - period]| over all
        series, of each of the F features; so series of very different sizes want scaling first.
    period : int
        Steps to a season; 1 is the naive forecast without one.
    lengths : array_like of int (N,), optional
        Valid steps of each series.
    name : str, optional

    Attributes
    ----------
    scale : numpy.ndarray (1,) or (F,)

    Examples
    --------
    >>> metric = MASE([1.0, 3.0, 1.0, 3.0])
    >>> metric.update(np.array([[4.0], [1.0]]), [3.0, 1.0])
    >>> metric.scale, metric.result()
    (array([2.]), 0.25)
    """

    name = "mase"

    def __init__(self, training: Any, period: int = 1, lengths: Any = None, name: str | None = None):
        super().__init__(name=name)
        period = _check.size(period, "period")
        total, count = 0.0, 0
        for series in _series(training, lengths):
            differences = np.abs(series[period:] - series[:-period])
            total, count = total + differences.sum(axis=0), count + len(differences)
        if not count:
            raise ValueError(f"{self.name}: no training series is longer than the period, {period}")
        self.scale = np.atleast_1d(total / count)
        if not (np.isfinite(self.scale).all() and self.scale.all()):
            raise ValueError(
                f"{self.name}: the mean step in the training data must be a number above 0, got {self.scale.tolist()}; "
                "are they constant, or not a number somewhere?"
            )

    def _errors(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        features, F = len(self.scale), predictions.shape[-1]
        if features not in (1, F):
            raise ValueError(f"{self.name}: the training data have {features} features, the predictions {F}")
        return np.abs(predictions - targets) / self.scale


class R2(Metric):
    """1 - sum (target - prediction)² / sum (target - their mean)², the mean of it over the features.

    Parameters
    ----------
    name : str

    Notes
    -----
    As in scikit-learn, a feature whose targets are all the same has 1 where the predictions are exact, and 0 where not.
    nan where fewer than two places count.

    Examples
    --------
    >>> metric = R2()
    >>> metric.update(np.array([[1.0], [2.0], [4.0]]), [1.0, 2.0, 3.0])
    >>> metric.result()
    0.5
    """

    places: int
    weight: float
    mean: np.ndarray
    spread: np.ndarray
    residual: np.ndarray

    def __init__(self, name: str = "r2"):
        self.name = name
        super().__init__()

    def start(self) -> dict[str, Any]:
        # Of each feature: the mean of the targets, the sums of squares around it and of the errors.
        return {"places": 0, "weight": 0.0, **{name: np.zeros(0) for name in ("mean", "spread", "residual")}}

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        predictions, targets, weights = _numbers(self.name, predictions, targets, mask, weights)
        F = targets.shape[-1]
        if self.mean.size not in (0, F):
            raise ValueError(f"{self.name}: there were {self.mean.size} features, now there are {F}")
        weights = np.ones(len(targets)) if weights is None else weights
        weight = float(weights.sum())
        if not weight:
            return
        if not self.mean.size:
            self.mean, self.spread, self.residual = np.zeros((3, F))
        # Chan, Golub and LeVeque 1983: means and squares around them of two parts give those of both.
        mean = weights @ targets / weight
        step, whole = mean - self.mean, self.weight + weight
        self.spread = self.spread + weights @ np.square(targets - mean) + step**2 * (self.weight * weight / whole)
        self.mean = self.mean + step * (weight / whole)
        self.residual = self.residual + weights @ np.square(targets - predictions)
        self.weight = whole
        self.places += len(targets)

    def result(self) -> float:
        if self.places < 2:
            return float("nan")
        constant = self.spread == 0
        unexplained = np.where(constant, self.residual > 0, self.residual / np.where(constant, 1, self.spread))
        return float(np.mean(1 - unexplained))


def _numbers(
    name: str, predictions: Any, targets: Any, mask: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Predictions and targets (n, F) in float64 with weights (n,), of what counts and has a weight."""
    targets = np.asarray(targets)
    if predictions.ndim == 1:
        predictions = predictions[:, None]
    if (*targets.shape, 1) == predictions.shape:
        targets = targets[..., None]
    if targets.shape != predictions.shape or targets.dtype.kind not in "fiub":
        raise ValueError(
            f"{name}: targets must be numbers of shape {predictions.shape}, got {targets.dtype} of {targets.shape}"
        )
    take, weights = places(name, predictions.shape[:-1], mask, weights)
    taken = [take(each).astype(np.float64) for each in (predictions, targets)]
    if weights is not None and not weights.all():
        taken, weights = [each[weights > 0] for each in taken], weights[weights > 0]
    return taken[0], taken[1], weights


def _series(training: Any, lengths: Any) -> list[np.ndarray]:
    """Each series (T, ...) in float64."""
    if isinstance(training, (list, tuple)) and np.ndim(training[0] if len(training) else 0):
        series = [np.asarray(each, np.float64) for each in training]
    else:
        array = np.asarray(training, np.float64)
        series = list(np.atleast_2d(array))
    if not series or any(each.ndim not in (1, 2) for each in series):
        raise ValueError("mase: training must be series of shape (T,), (N, T) or (N, T, F), or a list of series")
    if lengths is not None:
        lengths = np.asarray(lengths)
        longest = [len(each) for each in series]
        if (
            lengths.shape != (len(series),)
            or lengths.dtype.kind not in "iu"
            or (lengths < 0).any()
            or (lengths > longest).any()
        ):
            raise ValueError(f"mase: lengths must be {len(series)} whole numbers from 0 to the series' steps")
        series = [each[:length] for each, length in zip(series, lengths, strict=True)]
    return series
