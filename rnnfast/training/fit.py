"""The training loop."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training._examples import Examples
from rnnfast.training._rules import check_rules
from rnnfast.training.constraints import Constraints
from rnnfast.training.evaluate import Means, evaluate_examples, has_time
from rnnfast.training.history import History
from rnnfast.training.losses import find_loss
from rnnfast.training.metrics import find_metrics
from rnnfast.training.optimizers import find_optimizer
from rnnfast.training.progress import progress_bar
from rnnfast.training.regularizers import Penalties
from rnnfast.training.step import train_step


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any = "adam",
    epochs: int = 1,
    batch_size: int = 32,
    lengths: Any = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, ...] | None = None,
    shuffle: bool = True,
    metrics: Iterable[Any] = (),
    callbacks: Iterable[Any] = (),
    regularizers: Penalties | None = None,
    constraints: Constraints | None = None,
    seed: Any = None,
    verbose: bool = True,
) -> History:
    """Train a model on arrays.

    Parameters
    ----------
    model : Sequential or Graph
    x : array_like (N, T, ...), or mapping of str to array_like (N, ...)
        Inputs, batch first; by name, where a graph takes several.
    y : array_like (N, ...), or mapping of str to these
        Targets, as the loss wants them; with a time axis where the model's output has one. By name, where a graph gives
        several outputs.
    loss : str, Loss, or mapping of str to these
        "cross_entropy", "mse", or a loss. Of several outputs, the loss of each by name; `JointLoss` takes weights, too.
    optimizer : str or Optimizer
        "adam", "sgd", or an optimizer; the same one again continues where it was.
    epochs : int
        How often to go through the data.
    batch_size : int
        Sequences a step.
    lengths : array_like of int (N,), optional
        Valid steps of each sequence. A batch is cut to its longest. Of a graph also a mapping, as in its call; where
        there are several inputs or outputs, nothing is cut.
    validation_split : float
        This last part of the data, before any shuffling, is held out and evaluated after each epoch.
    validation_data : (x, y) or (x, y, lengths), optional
        Data to evaluate instead.
    shuffle : bool
        Whether to draw a new order each epoch.
    metrics : iterable of str or callable
        "accuracy", or functions of (predictions, targets, mask) that give (sum, count). Of several outputs, a mapping
        from the output's name to its metrics.
    callbacks : iterable
        Functions of (epoch, logs), or objects with `on_epoch_end(epoch, logs)`. One that returns True ends the fit.
    regularizers : mapping of str to L1, L2, L1L2, Orthogonal or a function, optional
        Penalties on parameters, by patterns of their names: `{"*weight_hh*": L2(1e-4)}`. The mean loss is made small
        together with them, and `loss` in the History holds them; `evaluate` and `val_loss` are the loss alone. A
        parameter that several patterns fit bears the sum. Frozen parameters bear none.
    constraints : mapping of str to MaxNorm, UnitNorm, NonNegative or a function, optional
        What parameters must be after each step, by patterns likewise, one after the other.
    seed : None, int or numpy.random.Generator
        Fixes order and dropout: two fits of equal models are equal to the last bit.
    verbose : bool
        Whether to show a bar with the loss, the metrics and the sequences per second.

    Returns
    -------
    History
        Of the epochs that were finished. Ctrl-C ends the fit, and the model keeps what it has learnt.

    Raises
    ------
    ValueError, TypeError
        When shapes, sizes or names do not fit; nothing has been trained then.
    FloatingPointError
        When a gradient is not finite; the parameters are those before that step.
    """
    loss, optimizer, metrics = find_loss(loss), find_optimizer(optimizer), find_metrics(metrics)
    calls = [_epoch_end(callback) for callback in callbacks]
    epochs, batch_size = _check.size(epochs, "epochs"), _check.size(batch_size, "batch_size")
    timed = has_time(model)
    check_rules(model, regularizers, "regularizers")
    check_rules(model, constraints, "constraints")
    examples, held_out = Examples(x, y, lengths, timed=timed), None
    if validation_data is not None:
        if not isinstance(validation_data, tuple) or len(validation_data) not in (2, 3):
            raise ValueError("validation_data must be a tuple (x, y) or (x, y, lengths)")
        held_out = Examples(*validation_data, timed=timed)
    elif validation_split:
        examples, held_out = examples.split(validation_split)
    if not len(examples):
        raise ValueError("there are no sequences to fit")
    model.loss, model.metrics = loss, tuple(metrics.values())

    rng = np.random.default_rng(seed)
    history = History()
    try:
        for epoch in range(epochs):
            means = Means(metrics)
            with progress_bar(len(examples), f"Epoch {epoch + 1}/{epochs}", verbose=verbose) as show:
                order = rng.permutation(len(examples)) if shuffle else None
                for x_batch, y_batch, batch_lengths, place in examples.batches(batch_size, order):
                    step = train_step(
                        model,
                        x_batch,
                        y_batch,
                        loss,
                        optimizer,
                        lengths=batch_lengths,
                        rng=rng,
                        watch=means.watch,
                        regularizers=regularizers,
                        constraints=constraints,
                    )
                    means.add(step.loss_sum + step.penalty * step.count, step.count)
                    show(min(place.stop, len(examples)) - place.start, means.logs())
                logs = means.logs()
                if held_out is not None:
                    found = evaluate_examples(model, held_out, loss, metrics, batch_size)
                    logs.update({"val_" + name: value for name, value in found.items()})
                    show(0, logs)
            history.add(epoch, logs)
            if any([call(epoch, logs) is True for call in calls]):  # noqa: C419 (every callback is called)
                break
    except KeyboardInterrupt:
        history.interrupted = True
    return history


def _epoch_end(callback: Any) -> Callable[[int, dict[str, float]], Any]:
    call = getattr(callback, "on_epoch_end", callback)
    if not callable(call):
        raise TypeError(f"a callback must be callable or have on_epoch_end, got {callback!r}")
    return call
