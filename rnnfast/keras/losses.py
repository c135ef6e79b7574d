"""Keras's losses, which take probabilities where ours take logits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast.training import losses as _ours
from rnnfast.training.losses._places import PlaceLoss, check_predictions

Array = np.ndarray

# Probabilities are kept from 0 and 1 by so much; where they had to be, the gradient is 0.
EPSILON = 1e-7


def _kept(predictions: Any, name: str) -> tuple[Array, Array]:
    """Probabilities away from 0 and 1, and where they were."""
    predictions = check_predictions(predictions, name)
    low, high = predictions.dtype.type(EPSILON), predictions.dtype.type(1 - EPSILON)
    return np.clip(predictions, low, high), (predictions >= low) & (predictions <= high)


class BinaryCrossentropy(_ours.BinaryCrossEntropy):
    """-t log y - (1 - t) log(1 - y) of probabilities y, or of logits."""

    name = "binary_crossentropy"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **more: Any):
        super().__init__(from_logits=from_logits, label_smoothing=label_smoothing)
        _only_usual(more)

    def __call__(
        self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> tuple[float, int, Array]:
        """See `rnnfast.training.losses.Loss`."""
        if self.from_logits:
            return super().__call__(predictions, targets, mask, weights)
        kept, inside = _kept(predictions, self.name)
        total, count, gradient = super().__call__(kept, targets, mask, weights)
        return total, count, gradient * inside


class SparseCategoricalCrossentropy(_ours.CrossEntropy):
    """-log y[t] of probabilities y (..., C), or of logits, and whole numbers t (...) or (..., 1)."""

    name = "sparse_categorical_crossentropy"

    def __init__(self, from_logits: bool = False, ignore_class: int | None = None, **more: Any):
        super().__init__(ignore_index=ignore_class)
        self.from_logits, self.ignore_class = bool(from_logits), ignore_class
        _only_usual(more)

    def __call__(
        self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> tuple[float, Any, Array]:
        """See `rnnfast.training.losses.Loss`."""
        targets = sparse_targets(targets, np.ndim(predictions))
        if self.from_logits:
            return super().__call__(predictions, targets, mask, weights)
        # The logarithms of probabilities are logits of theirs, also where these do not add up to 1.
        kept, inside = _kept(predictions, self.name)
        total, count, gradient = super().__call__(np.log(kept), targets, mask, weights)
        return total, count, gradient / kept * inside


def sparse_targets(targets: Any, ndim: int) -> Array:
    """Classes as whole numbers, without a last axis of 1."""
    targets = np.asarray(targets)
    if targets.ndim == ndim and targets.shape[-1] == 1:
        targets = targets[..., 0]
    if targets.dtype.kind == "f" and (targets == np.floor(targets)).all():
        targets = targets.astype(np.int64)
    return targets


class CategoricalCrossentropy(PlaceLoss):
    """-Σ t log y of probabilities y (..., C), or of logits, and targets t of the same shape, such as one-hot ones."""

    name = "categorical_crossentropy"
    inner = 1

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **more: Any):
        self.from_logits, self.label_smoothing = bool(from_logits), float(label_smoothing)
        _only_usual(more)

    def _each(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        if self.label_smoothing:
            share = self.label_smoothing
            targets = targets * (1 - share) + share / targets.shape[-1]
        if self.from_logits:
            logits, kept, inside = predictions, None, None
        else:
            kept, inside = _kept(predictions, self.name)
            logits = np.log(kept)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        sums = np.exp(shifted).sum(axis=-1, keepdims=True)
        slopes = np.exp(shifted) / sums * targets.sum(axis=-1, keepdims=True) - targets
        losses = -(targets * (shifted - np.log(sums))).sum(axis=-1)
        return losses, slopes if kept is None else slopes / kept * inside


class MeanAbsolutePercentageError(PlaceLoss):
    """100 |y - t| / max(|t|, 1e-7)."""

    name = "mean_absolute_percentage_error"

    def _each(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        factor = 100 / np.maximum(abs(targets), predictions.dtype.type(EPSILON))
        difference = predictions - targets
        return factor * abs(difference), factor * np.sign(difference)


class MeanSquaredLogarithmicError(PlaceLoss):
    """(log(y + 1) - log(t + 1))², with what is below 1e-7 taken as that."""

    name = "mean_squared_logarithmic_error"

    def _each(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        least = predictions.dtype.type(EPSILON)
        difference = np.log1p(np.maximum(predictions, least)) - np.log1p(np.maximum(targets, least))
        inside = predictions >= least
        return difference**2, np.where(inside, 2 * difference / (1 + np.maximum(predictions, least)), 0)


class KLDivergence(PlaceLoss):
    """Σ t log(t / y) of probabilities (..., C)."""

    name = "kl_divergence"
    inner = 1

    def _each(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        kept, wanted = (np.clip(each, predictions.dtype.type(EPSILON), 1) for each in (predictions, targets))
        inside = (predictions >= EPSILON) & (predictions <= 1)
        return (wanted * np.log(wanted / kept)).sum(axis=-1), np.where(inside, -wanted / kept, 0)


class Poisson(PlaceLoss):
    """y - t log(y + 1e-7) of expected counts y."""

    name = "poisson"

    def _each(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        raised = predictions + predictions.dtype.type(EPSILON)
        return predictions - targets * np.log(raised), 1 - targets / raised


class MeanSquaredError(_ours.MSE):
    """(y - t)²."""


class MeanAbsoluteError(_ours.MAE):
    """|y - t|."""


class Huber(_ours.Huber):
    """The square of small differences, and the distance of great ones."""


class LogCosh(_ours.LogCosh):
    """log cosh(y - t)."""


class Hinge(_ours.Hinge):
    """max(0, 1 - t y)."""

    def __init__(self) -> None:
        super().__init__()


class SquaredHinge(_ours.Hinge):
    """Its square."""

    def __init__(self) -> None:
        super().__init__(squared=True)


_NAMES: dict[str, Callable[[], _ours.Loss]] = {
    **dict.fromkeys(("mse", "MSE", "mean_squared_error"), MeanSquaredError),
    **dict.fromkeys(("mae", "MAE", "mean_absolute_error"), MeanAbsoluteError),
    **dict.fromkeys(("mape", "MAPE", "mean_absolute_percentage_error"), MeanAbsolutePercentageError),
    **dict.fromkeys(("msle", "MSLE", "mean_squared_logarithmic_error"), MeanSquaredLogarithmicError),
    **dict.fromkeys(("bce", "BCE", "binary_crossentropy"), BinaryCrossentropy),
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    **dict.fromkeys(("kld", "KLD", "kl_divergence", "kullback_leibler_divergence"), KLDivergence),
    **dict.fromkeys(("huber", "huber_loss"), Huber),
    **dict.fromkeys(("log_cosh", "logcosh"), LogCosh),
    "poisson": Poisson,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
}


def get(loss: Any) -> _ours.Loss:
    """A loss by Keras's name, of its class or function, or itself.

    Raises
    ------
    ValueError
        For an unknown one.
    """
    if isinstance(loss, str):
        found = _NAMES.get(loss) or next(
            (each for each in _NAMES.values() if getattr(each, "__name__", "") == loss), None
        )
        if found is None:
            raise ValueError(f"the loss {loss!r} is not known; there are {', '.join(map(repr, _NAMES))}")
        return found()
    return loss() if isinstance(loss, type) else _ours.find_loss(loss)


def _only_usual(more: dict[str, Any]) -> None:
    """Accept Keras's other arguments where they say what is done anyway."""
    usual = {"reduction": "sum_over_batch_size", "name": None, "dtype": None, "axis": -1}
    for name, value in more.items():
        if name not in usual:
            raise TypeError(f"there is no argument {name!r}")
        if name in ("reduction", "axis") and value != usual[name]:
            raise ValueError(f"{name}={value!r} is not supported")
