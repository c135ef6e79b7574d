"""What training reports beside the loss: functions of (predictions, targets, mask) that give (sum, count)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[float, int]]


def accuracy(predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None) -> tuple[float, int]:
    """How many largest scores stand at the target.

    Parameters
    ----------
    predictions : numpy.ndarray (..., C)
        Scores of the classes.
    targets : array_like of int (...)
    mask : numpy.ndarray of bool (...), optional
        True where a place counts.

    Returns
    -------
    (float, int)
        Right places, and all that count.
    """
    targets = np.asarray(targets)
    if targets.shape != predictions.shape[:-1] or (targets.dtype.kind not in "iu" and targets.size):
        raise ValueError(
            f"accuracy: targets must be integers of shape {predictions.shape[:-1]}, "
            f"got {targets.dtype} of shape {targets.shape}"
        )
    right = predictions.argmax(axis=-1) == targets if predictions.size else np.zeros(targets.shape, bool)
    if mask is not None:
        right = right[mask]
    return float(right.sum()), right.size


_METRICS: dict[str, Metric] = {"accuracy": accuracy}


def find_metrics(metrics: Iterable[Any]) -> dict[str, Metric]:
    """Metrics by name: each is given as a name or as a function, which goes by its own name.

    Those of several outputs come as a mapping from the output's name to its metrics.
    """
    if isinstance(metrics, Mapping):
        owned = [_OfOutput(name, *each) for name, inner in metrics.items() for each in find_metrics(inner).items()]
        return {each.__name__: each for each in owned}
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    found: dict[str, Metric] = {}
    for metric in metrics:
        if isinstance(metric, str) and metric in _METRICS:
            found[metric] = _METRICS[metric]
        elif callable(metric):
            found[getattr(metric, "__name__", type(metric).__name__)] = metric
        else:
            names = ", ".join(map(repr, _METRICS))
            raise ValueError(f"a metric must be a function or one of {names}, got {metric!r}")
    return found


class _OfOutput:
    """A metric of one output, for predictions, targets and masks by the output's name."""

    def __init__(self, output: str, name: str, metric: Metric):
        self.__name__ = f"{output}_{name}"
        self._output, self._metric = output, metric

    def __call__(self, predictions: Any, targets: Any, mask: Any = None) -> tuple[float, int]:
        output = self._output
        return self._metric(predictions[output], targets[output], None if mask is None else mask[output])
