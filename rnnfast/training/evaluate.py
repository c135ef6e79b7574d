"""A model's loss, metrics and outputs on arrays, batch by batch."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rnnfast.training._examples import Examples
from rnnfast.training.losses import find_loss
from rnnfast.training.metrics import Metric, find_metrics
from rnnfast.training.step import output_mask


class Means:
    """Running means by name: sums and counts, so that batches of unequal size weigh what they hold."""

    def __init__(self, metrics: Mapping[str, Metric]):
        self._metrics = metrics
        self._totals = {name: [0.0, 0] for name in ("loss", *metrics)}

    def add(self, name: str, total: float, count: int) -> None:
        """Add a batch's sum and count."""
        self._totals[name][0] += total
        self._totals[name][1] += count

    def watch(self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None) -> None:
        """Add a batch to every metric."""
        for name, metric in self._metrics.items():
            self.add(name, *metric(predictions, targets, mask))

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The means; nan where nothing counted."""
        return {prefix + name: float(s / n) if n else float("nan") for name, (s, n) in self._totals.items()}


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    *,
    loss: Any,
    lengths: Any = None,
    metrics: Iterable[Any] = (),
    batch_size: int = 32,
) -> dict[str, float]:
    """Means of the loss and the metrics over everything that counts.

    Parameters
    ----------
    model : Sequential
    x, y : array_like (N, ...)
    loss : str or Loss
    lengths : array_like of int (N,), optional
    metrics : iterable of str or callable
    batch_size : int
        How many sequences at a time; the result does not depend on it, but for rounding.

    Returns
    -------
    dict of str to float
        `loss` and each metric's name.
    """
    return evaluate_examples(
        model, Examples(x, y, lengths, timed=has_time(model)), find_loss(loss), find_metrics(metrics), batch_size
    )


def evaluate_examples(
    model: Any, examples: Examples, loss: Any, metrics: Mapping[str, Metric], batch_size: int
) -> dict[str, float]:
    """`evaluate` on checked arguments."""
    means = Means(metrics)
    for x, y, lengths, _ in examples.batches(batch_size):
        predictions = model(x, lengths=lengths)
        mask = output_mask(model, predictions, lengths)
        loss_sum, count, _ = loss(predictions, y, mask)
        means.add("loss", loss_sum, count)
        means.watch(predictions, y, mask)
    return means.logs()


def predict(model: Any, x: Any, *, lengths: Any = None, batch_size: int = 32) -> np.ndarray:
    """Outputs for all of `x`.

    Parameters
    ----------
    model : Sequential
    x : array_like (N, ...)
    lengths : array_like of int (N,), optional
        Outputs beyond them are zero.
    batch_size : int
        How many sequences at a time.

    Returns
    -------
    numpy.ndarray
        (N, T, F), or (N, F) where the model takes time away.
    """
    examples = Examples(x, None, lengths)
    timed = lengths is not None and has_time(model)
    result: np.ndarray | None = None
    for batch, _, batch_lengths, place in examples.batches(batch_size):
        y = model(batch, lengths=batch_lengths)
        if result is None:
            shape = (len(examples), examples.x.shape[1], *y.shape[2:]) if timed else (len(examples), *y.shape[1:])
            result = np.zeros(shape, y.dtype)
        if timed:
            result[place, : y.shape[1]] = y
        else:
            result[place] = y
    return model(examples.x, lengths=lengths) if result is None else result


def has_time(model: Any) -> bool:
    """Whether the model's output has a time axis: lengths pass through it."""
    return model.output_lengths(np.zeros(0, np.intp)) is not None
