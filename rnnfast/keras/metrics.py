"""Keras's metrics: of probabilities, by Keras's names. As in Keras, weights of samples do not touch them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnfast.keras.losses import get as _get_loss
from rnnfast.keras.losses import sparse_targets
from rnnfast.training import metrics as _ours


class _Unweighted(_ours.Metric):
    """A metric of ours, whose targets may come in Keras's forms, and which does not see weights."""

    def __init__(self, inner: _ours.Metric, name: str | None = None):
        self.inner, self.name = inner, name or inner.name

    def reset(self) -> None:
        self.inner.reset()

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        """Add a batch."""
        if predictions.shape[-1] > 1:
            targets = sparse_targets(targets, predictions.ndim)
        self.inner.update(predictions, targets, mask)

    def result(self) -> float:
        return self.inner.result()

    def state(self) -> dict[str, Any]:
        return self.inner.state()

    def load_state(self, state: Any) -> None:
        self.inner.load_state(state)


class _OfLoss(_Unweighted):
    """The mean of a loss, as a metric."""

    def __init__(self, loss: Any, name: str):
        found = _get_loss(loss)
        super().__init__(
            _ours.Mean(lambda predictions, targets, mask: found(predictions, targets, mask)[:2], name), name
        )

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        """Add a batch."""
        self.inner.update(predictions, targets, mask)


class Accuracy(_Unweighted):
    """The share of places told right: by the greatest probability, or of one probability by the threshold."""

    def __init__(self, name: str = "accuracy", threshold: float = 0.5):
        super().__init__(_ours.Accuracy(threshold=threshold), name)


class BinaryAccuracy(_Unweighted):
    """The share of all numbers told right, 1 above the threshold."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5):
        super().__init__(_ours.Accuracy(threshold=threshold, multilabel=True), name)

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        """Add a batch."""
        targets = np.asarray(targets)
        shaped = targets[..., None] if targets.ndim < predictions.ndim else targets
        self.inner.update(predictions, shaped, mask)


class CategoricalAccuracy(Accuracy):
    """The share of places told right, of one-hot targets."""

    def __init__(self, name: str = "categorical_accuracy"):
        super().__init__(name)


class SparseCategoricalAccuracy(Accuracy):
    """The share of places told right, of whole numbers."""

    def __init__(self, name: str = "sparse_categorical_accuracy"):
        super().__init__(name)


class TopKCategoricalAccuracy(_Unweighted):
    """The share of places where the target is among the k greatest."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy"):
        super().__init__(_ours.TopK(k), name)


class Precision(_Unweighted):
    """Of what is told to be 1, the share that is."""

    def __init__(self, thresholds: float = 0.5, name: str = "precision"):
        super().__init__(_ours.Precision(threshold=0.5 if thresholds is None else thresholds), name)


class Recall(_Unweighted):
    """Of what is 1, the share that is told so."""

    def __init__(self, thresholds: float = 0.5, name: str = "recall"):
        super().__init__(_ours.Recall(threshold=0.5 if thresholds is None else thresholds), name)


class AUC(_Unweighted):
    """The area under the receiver operating characteristic, exact, where Keras takes 200 thresholds."""

    def __init__(self, name: str = "auc"):
        super().__init__(_ours.AUC(), name)


class MeanSquaredError(_OfLoss):
    """(y - t)²."""

    def __init__(self, name: str = "mean_squared_error"):
        super().__init__("mse", name)


class MeanAbsoluteError(_OfLoss):
    """|y - t|."""

    def __init__(self, name: str = "mean_absolute_error"):
        super().__init__("mae", name)


class RootMeanSquaredError(_Unweighted):
    """The root of the mean of (y - t)²."""

    def __init__(self, name: str = "root_mean_squared_error"):
        super().__init__(_ours.RMSE(), name)

    def update(self, predictions: Any, targets: Any, mask: Any = None, weights: Any = None) -> None:
        """Add a batch."""
        self.inner.update(predictions, targets, mask)


_NAMES: dict[str, Any] = {
    **dict.fromkeys(("accuracy", "acc"), Accuracy),
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": TopKCategoricalAccuracy,
    **dict.fromkeys(("precision", "Precision"), Precision),
    **dict.fromkeys(("recall", "Recall"), Recall),
    **dict.fromkeys(("auc", "AUC"), AUC),
    **dict.fromkeys(("rmse", "root_mean_squared_error"), RootMeanSquaredError),
}


def get(metric: Any) -> _ours.Metric:
    """A metric by Keras's name or that of a loss, of its class or function, or itself.

    Raises
    ------
    ValueError
        For an unknown one.
    """
    if isinstance(metric, str):
        if metric in _NAMES:
            return _NAMES[metric](name=metric)
        return _OfLoss(metric, metric)
    if isinstance(metric, type):
        metric = metric()
    if isinstance(metric, _ours.Metric):
        return metric
    [found] = _ours.find_metrics([metric]).values()
    return found


def get_all(metrics: Any) -> dict[str, _ours.Metric]:
    """Metrics by their names, in order."""
    if metrics is None:
        return {}
    listed = [metrics] if isinstance(metrics, str) or not isinstance(metrics, Iterable) else list(metrics)
    found: dict[str, _ours.Metric] = {}
    for each in listed:
        metric = get(each)
        if metric.name in found or metric.name == "loss":
            raise ValueError(f"there are two metrics called {metric.name!r}")
        found[metric.name] = metric
    return found
