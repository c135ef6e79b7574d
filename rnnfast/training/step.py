"""One step of training: a batch, or one chunk of a long sequence."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._penalties import penalties
from rnnfast.training._blame import blame
from rnnfast.training.constraints import Constraints, constrain
from rnnfast.training.losses import Loss
from rnnfast.training.optimizers import Optimizer
from rnnfast.training.regularizers import Penalties, add_penalties

Watch = Callable[[Any, Any, Any, Any], None]


class Step(NamedTuple):
    """What one step gives: the loss summed, how many places it counts, the state to carry, the gradients' norm.

    What was made small is `loss_sum / count + penalty`; the penalty is that of regularizers.
    """

    loss_sum: float
    count: float  # type: ignore[assignment]
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
    weights: Any = None,
    state: Any = None,
    rng: Any = None,
    watch: Watch | None = None,
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
    weights : array_like (B,) or (B, T), optional
        What the losses of the sequences, or of their steps, are multiplied by.
    state : optional
        What an earlier step returned; None starts from zeros.
    rng : None, int or numpy.random.Generator
        For dropout.
    watch : callable, optional
        Called with (predictions, targets, mask, weights), for metrics.
    regularizers, constraints : mapping, optional
        As of `rnnfast.training.fit.fit`.

    Returns
    -------
    Step

    Raises
    ------
    FloatingPointError
        When a gradient is not finite; the parameters are those before the step, and the message says where it began.
    """
    model.zero_grad()
    found = add_gradients(model, x, y, loss, lengths=lengths, weights=weights, state=state, rng=rng, watch=watch)
    if not found.count:
        return found
    return update(found, model, optimizer, regularizers, constraints, seen=[(x, state, lengths, y)])


def add_gradients(
    model: Any,
    x: Any,
    y: Any,
    loss: Loss,
    *,
    lengths: Any = None,
    weights: Any = None,
    state: Any = None,
    rng: Any = None,
    watch: Watch | None = None,
    counted: int = 0,
    earlier: float = 0,
) -> Step:
    """Forward, loss and backward: the model's gradients become those of the mean over this batch and earlier ones.

    Parameters
    ----------
    model, x, y, loss, lengths, weights, state, rng, watch
        As of `train_step`.
    counted : int
        The first step that counts.
    earlier : float
        How many places the gradients that are there are the mean over.
    """
    with penalties() as found:
        if model.has_state:
            (predictions, state), backward = model.forward(x, state, lengths=lengths, rng=rng)
        else:
            predictions, backward = model.forward(x, lengths=lengths, rng=rng)
    mask = output_mask(model, predictions, lengths, x)
    if counted:
        mask = np.ones(predictions.shape[:2], bool) if mask is None else mask
        mask[:, :counted] = False
    loss_sum, count, gradient = loss(predictions, y, mask) if weights is None else loss(predictions, y, mask, weights)
    if watch is not None:
        watch(predictions, y, mask, weights)
    if not count:
        return Step(loss_sum, 0, state, 0.0)
    if earlier:
        for block in model.blocks():
            block.grad *= earlier / (earlier + count)
    for each in gradient.values() if isinstance(gradient, dict) else [gradient]:
        if each is not None:
            each *= 1.0 / (earlier + count)
    found.share = count / (earlier + count)
    backward(gradient, need_dx=False)
    return Step(loss_sum, count, state, 0.0, sum(found))


def update(
    found: Step,
    model: Any,
    optimizer: Optimizer,
    regularizers: Penalties | None = None,
    constraints: Constraints | None = None,
    *,
    seen: Sequence[tuple[Any, Any, Any, Any]],
) -> Step:
    """Penalties on parameters, clip, update, constraints, once gradients are there; and the norm in what was found.

    Parameters
    ----------
    found : Step
    model, optimizer, regularizers, constraints
        As of `train_step`.
    seen : sequence of tuple
        x, state, lengths and y of each batch that the gradients come from, to look for the fault in where they are not
        finite.
    """
    penalty = found.penalty + add_penalties(model, regularizers)
    try:
        norm = optimizer.step(model)
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; {blame(model, seen)}") from None
    constrain(model, constraints)
    return found._replace(norm=norm, penalty=penalty)


def output_mask(model: Any, predictions: Any, lengths: Any, x: Any = None) -> Any:
    """True at the steps that count, bool (B, T); None when all do or the output has no time. By name, of several.

    A model may tell them itself, by x: see `MaskedSequential`.
    """
    if hasattr(model, "steps_that_count"):
        return model.steps_that_count(x)
    left = None if lengths is None else model.output_lengths(lengths)
    if isinstance(predictions, dict):
        return {name: _mask(array, None if left is None else left[name]) for name, array in predictions.items()}
    return _mask(predictions, left)


def _mask(predictions: np.ndarray, lengths: Any) -> np.ndarray | None:
    beyond = _check.padding(lengths, predictions.shape[:2])
    return None if beyond is None else ~beyond
