"""A model's loss, metrics and outputs on arrays, batch by batch."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rnnfast.training._examples import Examples
from rnnfast.training.losses import find_loss
from rnnfast.training.metrics import Mean, Metric, find_metrics, fresh
from rnnfast.training.step import output_mask


class Means:
    """The mean loss and the metrics over batches, which weigh what they hold.

    The metrics are copies: two passes that go on at the same time share nothing.
    """

    def __init__(self, metrics: Mapping[str, Metric]):
        self._metrics = fresh(metrics)
        self._loss = Mean(name="loss")

    def add(self, total: float, count: float) -> None:
        """Add a batch's sum and count of the loss."""
        self._loss.add(total, count)

    def watch(self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None) -> None:
        """Add a batch to every metric."""
        for metric in self._metrics.values():
            metric.update(predictions, targets, mask)

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The figures; nan where nothing counted."""
        return {prefix + name: metric.result() for name, metric in {"loss": self._loss, **self._metrics}.items()}


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
    model : Sequential or Graph
    x, y, loss, lengths, metrics
        As of `rnnfast.training.fit.fit`.
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
        means.add(loss_sum, count)
        means.watch(predictions, y, mask)
    return means.logs()


def predict(model: Any, x: Any, *, lengths: Any = None, batch_size: int = 32) -> Any:
    """Outputs for all of `x`.

    Parameters
    ----------
    model : Sequential or Graph
    x : array_like (N, ...), or mapping of str to these
    lengths : array_like of int (N,), or mapping of str to these, optional
        Outputs beyond them are zero.
    batch_size : int
        How many sequences at a time.

    Returns
    -------
    numpy.ndarray, or dict of str to numpy.ndarray
        (N, T, F), or (N, F) where the model takes time away; by name where the model gives several.
    """
    examples = Examples(x, None, lengths)
    result: dict[str, np.ndarray] | None = None
    several = False
    for batch, _, batch_lengths, place in examples.batches(batch_size):
        y = model(batch, lengths=batch_lengths)
        several = isinstance(y, Mapping)
        found = y if several else {"": y}
        if result is None:
            # Batches that are cut to their longest sequence leave the rest of the steps zero.
            timed = has_time(model) if examples.is_cut else False
            steps = {name: timed[name] if isinstance(timed, dict) else timed for name in found}
            shapes = {
                name: array.shape[1:] if not steps[name] else (examples.x.shape[1], *array.shape[2:])
                for name, array in found.items()
            }
            result = {name: np.zeros((len(examples), *shapes[name]), found[name].dtype) for name in found}
        for name, array in found.items():
            result[name][(place, slice(array.shape[1])) if steps[name] else place] = array
    if result is None:
        return model(examples.x, lengths=lengths)
    return result if several else result[""]


def has_time(model: Any) -> Any:
    """Whether the model's output has a time axis: lengths pass through it. Of several outputs, by name."""
    found = model.output_lengths(np.zeros(0, np.intp))
    return {name: each is not None for name, each in found.items()} if isinstance(found, dict) else found is not None
