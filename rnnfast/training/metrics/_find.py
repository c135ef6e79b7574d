"""Metrics by name."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from rnnfast.training.metrics._base import Mean, Metric, OfOutput
from rnnfast.training.metrics.classification import (
    AUC,
    F1,
    Accuracy,
    BalancedAccuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
)
from rnnfast.training.metrics.entities import EntityF1
from rnnfast.training.metrics.regression import MAE, MAPE, MASE, MSE, R2, RMSE, SMAPE
from rnnfast.training.metrics.sequence import EditDistance, Perplexity

_METRICS: dict[str, Any] = {
    "accuracy": Accuracy,
    "binary_accuracy": lambda: Accuracy(multilabel=True),
    "top_5_accuracy": TopK,
    "balanced_accuracy": BalancedAccuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "auc": AUC,
    "confusion_matrix": ConfusionMatrix,
    "mae": MAE,
    "mse": MSE,
    "rmse": RMSE,
    "mape": MAPE,
    "smape": SMAPE,
    "r2": R2,
    "perplexity": Perplexity,
    "edit_distance": EditDistance,
    "wer": lambda: EditDistance(name="wer"),
    "cer": lambda: EditDistance(name="cer"),
}

_KINDS = (*(kind for kind in _METRICS.values() if isinstance(kind, type)), EntityF1, MASE)


def find_metrics(metrics: Iterable[Any]) -> dict[str, Metric]:
    """Metrics by name.

    Parameters
    ----------
    metrics : str, callable, Metric, an iterable of these, or a mapping of str to these
        Names; functions of (predictions, targets, mask) that give (sum, count), which go by their own name; objects
        with `update` and `result`, as `Metric` has them. Those of several outputs come as a mapping from the output's
        name to its metrics.

    Returns
    -------
    dict of str to Metric
        Objects that are given are there themselves: `fresh` makes copies that share nothing.

    Raises
    ------
    ValueError
        When there is no metric of a name, two go by one, or one goes by that of the loss.

    Examples
    --------
    >>> list(find_metrics(["accuracy", "f1"]))
    ['accuracy', 'f1']
    """
    if isinstance(metrics, Mapping):
        found = [
            OfOutput(output, metric, name)
            for output, inner in metrics.items()
            for name, metric in find_metrics(inner).items()
        ]
    elif isinstance(metrics, str) or callable(metrics) or _is_metric(metrics):
        found = [_find(metrics)]
    else:
        found = [_find(metric) for metric in metrics]
    named: dict[str, Metric] = {}
    for metric in found:
        name = getattr(metric, "name", type(metric).__name__)
        if name == "loss":
            raise ValueError("a metric must not go by the name 'loss', which the loss has; give it another with name=")
        if name in named:
            raise ValueError(f"two metrics go by the name {name!r}; give one of them another with name=")
        named[name] = metric
    return named


def fresh(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Copies of metrics that have gathered nothing, and share nothing with them but the caller's functions."""
    copies = {name: copy.deepcopy(metric) for name, metric in metrics.items()}
    for metric in copies.values():
        metric.reset()
    return copies


def is_of_one(metric: Any) -> bool:
    """Whether a metric is one of this package's that take the arrays of one output."""
    return any(type(metric) is kind for kind in _KINDS)


def _find(metric: Any) -> Any:
    if isinstance(metric, str) and metric in _METRICS:
        return _METRICS[metric]()
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if _is_metric(metric):
        return metric
    if callable(metric):
        return Mean(metric)
    names = ", ".join(map(repr, _METRICS))
    raise ValueError(f"a metric must be a function, a Metric, or one of {names}, got {metric!r}")


def _is_metric(metric: Any) -> bool:
    return not isinstance(metric, type) and all(hasattr(metric, each) for each in ("update", "result", "reset"))
