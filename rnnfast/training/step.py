"""One step of training: a batch, or one chunk of a long sequence."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._penalties import penalties
from rnnfast.training.constraints import Constraints, constrain
from rnnfast.training.losses import Loss
from rnnfast.training.optimizers import Optimizer
from rnnfast.training.regularizers import Penalties, add_penalties


class Step(NamedTuple):
    """What one step gives: the loss summed, how many places it counts, the state to carry, the gradients' norm.

    What was made small is `loss_sum / count + penalty`; the penalty is that of regularizers.
    """

    loss_sum: float
    count: int  # type: ignore[assignment]
    state: Any
    norm: float
    penalty: float = 0.0


def train_step(
    model: Any,
    x: Any,
    y: Any,
    loss: Loss,
    optimizer: Optimizer,
    *,
    lengths: Any = None,
    state: Any = None,
    rng: Any = None,
    watch: Callable[[np.ndarray, Any, np.ndarray | None], None] | None = None,
    regularizers: Penalties | None = None,
    constraints: Constraints | None = None,
) -> Step:
    """Forward, loss, backward, penalties, clip, update, constraints.

    Handing the state on from chunk to chunk of a long sequence is truncated back-propagation through time: values
    are carried across, gradients are not.

    Parameters
    ----------
    model : Layer
        A `Sequential`, a `Graph` or any other layer.
    x, y : array_like, or mapping of str to array_like
        Inputs, and targets as the loss wants them.
    loss : Loss
    optimizer : Optimizer
        Minimises the mean of the loss over the places that count.
    lengths : array_like of int (B,), optional
        Steps beyond them do not count where the output still has time.
    state : optional
        What an earlier step returned; None starts from zeros.
    rng : None, int or numpy.random.Generator
        For dropout.
    watch : callable, optional
        Called with (predictions, targets, mask), for metrics.
    regularizers, constraints : mapping, optional
        As of `rnnfast.training.fit.fit`.

    Returns
    -------
    Step
    """
    model.zero_grad()
    with penalties() as found:
        if model.has_state:
            (predictions, state), backward = model.forward(x, state, lengths=lengths, rng=rng)
        else:
            predictions, backward = model.forward(x, lengths=lengths, rng=rng)
    mask = output_mask(model, predictions, lengths)
    loss_sum, count, gradient = loss(predictions, y, mask)
    if watch is not None:
        watch(predictions, y, mask)
    if not count:
        return Step(loss_sum, 0, state, 0.0)
    for each in gradient.values() if isinstance(gradient, dict) else [gradient]:
        if each is not None:
            each *= 1.0 / count
    backward(gradient, need_dx=False)
    penalty = sum(found, add_penalties(model, regularizers))
    norm = optimizer.step(model)
    constrain(model, constraints)
    return Step(loss_sum, count, state, norm, penalty)


def output_mask(model: Any, predictions: Any, lengths: Any) -> Any:
    """True at the steps that count, bool (B, T); None when all do or the output has no time. By name, of several."""
    left = None if lengths is None else model.output_lengths(lengths)
    if isinstance(predictions, dict):
        return {name: _mask(array, None if left is None else left[name]) for name, array in predictions.items()}
    return _mask(predictions, left)


def _mask(predictions: np.ndarray, lengths: Any) -> np.ndarray | None:
    beyond = _check.padding(lengths, predictions.shape[:2])
    return None if beyond is None else ~beyond
