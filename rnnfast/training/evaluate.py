"""A model's loss, metrics and outputs on arrays, batch by batch."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from rnnfast.training._examples import Batch, Examples, TargetSteps
from rnnfast.training._ragged import Ragged
from rnnfast.training._sources import make_source
from rnnfast.training.losses import Loss, find_loss
from rnnfast.training.metrics import Mean, Metric, find_metrics, fresh
from rnnfast.training.metrics._find import is_of_one
from rnnfast.training.step import output_mask


class Means:
    """The mean loss and the metrics over batches, which weigh what they hold.

    The metrics are copies: two passes that go on at the same time share nothing.
    """

    def __init__(self, metrics: Mapping[str, Metric]):
        self._gathered: dict[str, Metric] = {"loss": Mean(name="loss"), **fresh(metrics)}

    @property
    def loss(self) -> float:
        """The mean loss so far; nan where nothing counted."""
        return self._gathered["loss"].result()

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self._gathered.values():
            metric.reset()

    def add(self, total: float, count: float) -> None:
        """Add a batch's loss, summed, and how many places it counts."""
        cast(Mean, self._gathered["loss"]).add(total, count)

    def watch(self, predictions: Any, targets: Any, mask: Any, weights: Any = None) -> None:
        """Add a batch to every metric."""
        for name, metric in self._gathered.items():
            if name != "loss":
                metric.update(predictions, targets, mask, weights)

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The figures; nan where nothing counted."""
        return {prefix + name: metric.result() for name, metric in self._gathered.items()}

    def state(self) -> dict[str, Any]:
        """All that has been gathered."""
        return {name: metric.state() for name, metric in self._gathered.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        for name, metric in self._gathered.items():
            metric.load_state(state[name])


def watched(metrics: Any, model: Any) -> dict[str, Metric]:
    """The metrics of a model by name.

    Raises
    ------
    ValueError
        As of `find_metrics`; and where the model gives several outputs, for a metric of one that does not say of which.
    """
    found, outputs = find_metrics(metrics), model.output_lengths(np.zeros(0, np.intp))
    for name, metric in found.items():
        if isinstance(outputs, Mapping) and is_of_one(metric):
            names = ", ".join(map(repr, outputs))
            raise ValueError(f"metrics: {name!r} is of one output of {names}: give a mapping from its name to metrics")
    return found


def evaluate(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    lengths: Any = None,
    sample_weight: Any = None,
    metrics: Iterable[Any] | None = None,
    batch_size: Any = 32,
) -> dict[str, float]:
    """Means of the loss and the metrics over everything that counts.

    Parameters
    ----------
    model : Sequential or Graph
    x, y, loss, lengths, sample_weight, metrics
        As of `rnnfast.training.fit.fit`; loss and metrics of the last fit where they are not given.
    batch_size : int or callable
        How many sequences at a time; the result does not depend on it, but for rounding.

    Returns
    -------
    dict of str to float
        `loss` and each metric's name.

    Raises
    ------
    ValueError
        When neither `loss` nor an earlier `fit` says which loss.
    """
    loss = getattr(model, "loss", None) if loss is None else loss
    if loss is None:
        raise ValueError("evaluate needs loss=, as this model has not been fitted")
    loss = find_loss(loss)
    metrics = getattr(model, "metrics", ()) if metrics is None else metrics
    how = {"target_steps": target_steps(model, loss), "batching": batch_size}
    source = make_source(x, y, lengths, sample_weight, shuffle=False, **how)
    means = Means(watched(metrics, model))
    evaluate_batches(model, source.epoch(np.random.default_rng(0)), loss, means)
    return means.logs()


def evaluate_batches(model: Any, batches: Iterable[Batch], loss: Any, means: Means, carries: bool = False) -> None:
    """Add the loss and the metrics of batches to their means; where the state is carried, from batch to batch."""
    state = None
    for x, y, lengths, weights, _ in batches:
        if carries:
            predictions, state = model.run(x, state, lengths=lengths)
        else:
            predictions = model(x, lengths=lengths)
        if isinstance(predictions, tuple):  # a recurrent layer by itself gives its state, too
            predictions = predictions[0]
        mask = output_mask(model, predictions, lengths, x)
        found = loss(predictions, y, mask) if weights is None else loss(predictions, y, mask, weights)
        means.add(*found[:2])
        means.watch(predictions, y, mask, weights)


def predict(model: Any, x: Any, *, lengths: Any = None, batch_size: int = 32) -> Any:
    """Outputs for all of `x`.

    Parameters
    ----------
    model : Sequential or Graph
    x : array_like (N, ...), list of array_like (T_i, ...), or mapping of str to these
    lengths : array_like of int (N,), or mapping of str to these, optional
        Outputs beyond them are zero.
    batch_size : int
        How many sequences at a time.

    Returns
    -------
    numpy.ndarray, list of numpy.ndarray, or dict of str to these
        (N, T, F), or (N, F) where the model takes time away; a list of (T_i, F) where x is a list of sequences of
        unequal length; by name where the model gives several.
    """
    examples = Examples(x, None, lengths)
    # Batches that are cut to their longest sequence leave the rest of the steps zero.
    whole = _by_output(model.output_lengths(np.array([_steps_of(examples)])) if examples.is_cut else None)
    result: dict[str, np.ndarray] = {}
    for place in examples.places(batch_size):
        batch = examples.batch(place)
        for name, array in _by_output(model(batch.x, lengths=batch.lengths)).items():
            steps = 0 if whole.get(name) is None else int(whole[name][0])
            result[name] = _put(result.get(name), place, array, (len(examples), steps))
    if not result:
        return model(examples.x, lengths=lengths)
    found: dict[str, Any] = dict(result)
    if isinstance(examples.x, Ragged):
        for name, left in _by_output(model.output_lengths(examples.lengths)).items():
            if left is not None:
                found[name] = [row[:n] for row, n in zip(result[name], left, strict=True)]
    return found.get("", found)


def _by_output(found: Any) -> Mapping[str, Any]:
    """What is of each output by name; that of a single one by no name."""
    return found if isinstance(found, Mapping) else {"": found}


def _put(held: np.ndarray | None, place: Any, array: np.ndarray, room: tuple[int, int]) -> np.ndarray:
    """Outputs of some rows put among those of all, with room for so many rows, and at least so many steps."""
    if array.ndim == 1:
        held = np.zeros(room[0], array.dtype) if held is None else held
        held[place] = array
        return held
    steps = max(array.shape[1], room[1] if held is None else held.shape[1])
    if held is None or steps > held.shape[1]:  # longer sequences in lists of several inputs
        wider = np.zeros((room[0], steps, *array.shape[2:]), array.dtype)
        if held is not None:
            wider[:, : held.shape[1]] = held
        held = wider
    held[place, : array.shape[1]] = array
    return held


def _steps_of(examples: Examples) -> int:
    return int(examples.x.lengths.max()) if isinstance(examples.x, Ragged) else examples.x.shape[1]


def target_steps(model: Any, loss: Loss) -> TargetSteps:
    """The steps of the targets by those of the inputs, where targets have the time axis of the model's output.

    None where the output has no time, and for losses that align.
    """
    found = model.output_lengths(np.zeros(0, np.intp))
    if found is None or not loss.aligned:
        return None
    # Of several outputs nothing is cut.
    return (lambda lengths: lengths) if isinstance(found, dict) else model.output_lengths
