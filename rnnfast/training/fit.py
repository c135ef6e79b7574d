"""The training loop."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training._calls import Calls
from rnnfast.training._rules import check_rules
from rnnfast.training._sources import ExampleSource, Source, check_class_weight, class_weights, make_source, told
from rnnfast.training.checkpoint import as_checkpoint
from rnnfast.training.constraints import Constraints
from rnnfast.training.evaluate import Means, evaluate_batches, target_steps, watched
from rnnfast.training.history import History
from rnnfast.training.losses import find_loss
from rnnfast.training.optimizers import find_optimizer
from rnnfast.training.progress import progress_bar
from rnnfast.training.regularizers import Penalties
from rnnfast.training.run import Rules, Run
from rnnfast.training.truncated import truncation


def fit(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    optimizer: Any = None,
    epochs: int = 1,
    batch_size: Any = 32,
    lengths: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    metrics: Iterable[Any] | None = None,
    callbacks: Any = (),
    regularizers: Penalties | None = None,
    constraints: Constraints | None = None,
    accumulate: int = 1,
    tbptt: int | tuple[int, int] | None = None,
    stateful: bool = False,
    checkpoint: Any = None,
    initial_epoch: int = 0,
    seed: Any = None,
    verbose: bool = True,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : Sequential or Graph
    x : array_like (N, T, ...), list of array_like (T_i, ...), mapping of str to these, or batches
        Inputs, batch first; by name, where a graph takes several. A list of sequences of unequal length is padded batch
        by batch and gives the lengths. A memory-mapped array is read batch by batch.

        Without y, what gives batches: a function that makes an iterator for each epoch, an object with `__len__` and
        `__getitem__`, or an iterable. A batch is a tuple (x, y), (x, y, lengths) or (x, y, lengths, sample_weight), or
        a mapping with these names. An iterator goes on from epoch to epoch, and with `checkpoint` must give from its
        beginning what it gave before.
    y : array_like (N, ...), list of array_like, or mapping of str to these
        Targets, as the loss wants them; with a time axis where the model's output has one. By name, where a graph gives
        several outputs.
    loss : str, Loss, function, or mapping of str to these
        "cross_entropy", "mse", ..., a loss, or a function of (predictions, targets, mask) that gives (sum, count,
        gradient of the sum). Of several outputs, the loss of each by name; `JointLoss` takes weights, too. Without it,
        that of `compile` or of the last fit.
    optimizer : str or Optimizer
        "adam", "sgd", ..., or an optimizer; the same one again continues where it was. Without it, that of `compile`,
        or a new Adam.
    epochs : int
        The epoch to end before: how often to go through the data, where `initial_epoch` is 0.
    batch_size : int or callable
        Sequences a step; or what makes batches of the sequences' lengths, as `Buckets` and `TokenBudget` do.
    lengths : array_like of int (N,), optional
        Valid steps of each sequence. A batch is cut to its longest. Of a graph also a mapping, as in its call; where
        there are several inputs or outputs, nothing is cut.
    sample_weight : array_like (N,) or (N, T), or list of array_like (T_i,), optional
        What the losses of the sequences, or of their steps, are multiplied by. Means are over the number of places
        that count, whatever their weight, as Keras has it.
    class_weight : mapping of int to float, optional
        Likewise by the target's class, while training; 1 for a class that is not in it.
    validation_split : float
        This last part of the data, before any shuffling, is held out and evaluated after each epoch.
    validation_data : tuple (x, y), (x, y, lengths) or (x, y, lengths, sample_weight), or batches, optional
        Data to evaluate instead; of batches, what can be gone through anew after each epoch.
    shuffle : bool
        Whether to draw a new order each epoch.
    steps_per_epoch : int, optional
        Of batches that come one by one, how many make an epoch; without it, all.
    metrics : iterable of str, callable or Metric
        "accuracy", ..., metrics, or functions of (predictions, targets, mask) that give (sum, count). Of several
        outputs, a mapping from the output's name to its metrics.
    callbacks : iterable, one callback, or None
        Functions of (epoch, logs), or objects with some of the hooks of `rnnfast.training.Callback`. One that returns
        True at an epoch's end ends the fit.
    regularizers : mapping of str to L1, L2, L1L2, Orthogonal or a function, optional
        Penalties on parameters, by patterns of their names: `{"*weight_hh*": L2(1e-4)}`. The mean loss is made small
        together with them, and `loss` in the History holds them; `evaluate` and `val_loss` are the loss alone. A
        parameter that several patterns fit bears the sum. Frozen parameters bear none.
    constraints : mapping of str to MaxNorm, UnitNorm, NonNegative or a function, optional
        What parameters must be after each step, by patterns likewise, one after the other.
    accumulate : int
        How many batches make one step of the optimizer, by the gradient of their common mean.
    tbptt : int, or (int, int), optional
        Truncated back-propagation through time: the parameters are moved after every k1 steps, gradients flow through
        the last k2, values are carried on. One number is both. What a step keeps does not grow with the sequences'
        length. See `rnnfast.training.truncated.windows`.
    stateful : bool
        Whether row b of a batch goes on where row b of the batch before ended: the state is carried through the epoch,
        and zero at its beginning. Arrays are then not to be shuffled; `stream_batches` lays out a long sequence so.
    checkpoint : str, path or Checkpoint, optional
        Where the run is written down, and from where it goes on when fit is called again after a crash.
    initial_epoch : int
        The first epoch's number, of a fit that goes on from another.
    seed : None, int or numpy.random.Generator
        Fixes order and dropout: two fits of equal models are equal to the last bit, on any number of threads.
    verbose : bool
        Whether to show a bar with the loss, the metrics, the sequences per second and the time left.

    Returns
    -------
    History
        Of the epochs that were finished. Ctrl-C ends the fit, and the model keeps what it has learnt.

    Raises
    ------
    ValueError, TypeError
        When shapes, sizes or names do not fit; nothing has been trained then.
    FloatingPointError
        When a gradient is not finite; the parameters are those before that step, and the message says which step, and
        which layer is the first whose output is not finite.
    """
    loss = find_loss(_given(loss, model, "loss"))
    optimizer = find_optimizer(_or(optimizer, getattr(model, "optimizer", None), "adam"))
    metrics = _or(metrics, getattr(model, "metrics", None), ())
    if isinstance(metrics, Iterator):
        metrics = list(metrics)
    figures, calls = watched(metrics, model), Calls(callbacks)
    epochs, initial_epoch = _check.size(epochs, "epochs"), _check.size(initial_epoch, "initial_epoch", least=0)
    steps_of = target_steps(model, loss)
    check_rules(model, regularizers, "regularizers")
    check_rules(model, constraints, "constraints")
    rules = Rules(loss, truncation(tbptt), bool(stateful), _check.size(accumulate, "accumulate"))
    rules = rules._replace(regularizers=regularizers, constraints=constraints)
    how = {"target_steps": steps_of, "batching": batch_size}
    source = make_source(x, y, lengths, sample_weight, shuffle=shuffle, steps=steps_per_epoch, **how)
    held_out = _validation(validation_data, how)
    if held_out is None and validation_split:
        if not isinstance(source, ExampleSource):
            raise ValueError("validation_split is for arrays; give validation_data beside batches that come one by one")
        kept, tail = source.examples.split(validation_split)
        source = ExampleSource(kept, batch_size, shuffle)
        held_out = ExampleSource(tail, batch_size, shuffle=False)
    if source.sequences == 0:
        raise ValueError("there are no sequences to fit")
    class_weight = check_class_weight(class_weight)
    _check_carried(model, rules, steps_of is not None, source, held_out)
    _check_validation(model, held_out, rules)
    model.loss, model.metrics = loss, metrics

    run = Run(model, optimizer, rules, Means(figures), np.random.default_rng(seed))
    run.epoch, run.validates = initial_epoch, held_out is not None
    written = as_checkpoint(checkpoint)
    settings = {**source.describe(), "tbptt": rules.tbptt, "stateful": rules.stateful, "accumulate": rules.accumulate}
    settings.update(loss=told(loss), optimizer=type(optimizer).__name__)
    try:
        calls.begin(run)
        if written is not None:
            written.read(run, calls, settings)
            source.pass_over(run.epoch - initial_epoch)

        def after_update() -> None:
            calls.batch_ends(run)
            if written is not None and written.is_due(run):
                written.write(run, calls, settings)

        while run.epoch < epochs and not (run.stop or run.finished):
            if not run.is_within:
                calls.epoch_begins(run)
            logs = _epoch(run, source, held_out, figures, class_weight, after_update, epochs, verbose)
            if logs is None:
                if written is not None and not run.waits:
                    written.write(run, calls, settings)
                break
            run.finish_epoch(logs)
            run.finished = calls.epoch_ends(run.epoch - 1, logs)
            if written is not None:
                written.write(run, calls, settings)
        calls.end(run)
    except KeyboardInterrupt:
        run.history.interrupted = True
        calls.end(run)
    return run.history


def _epoch(
    run: Run,
    source: Source,
    held_out: Source | None,
    figures: Mapping[str, Any],
    class_weight: Mapping[int, float] | None,
    after_update: Callable[[], None],
    epochs: int,
    verbose: bool,
) -> dict[str, float] | None:
    """The rest of an epoch, and its logs; None where it was stopped within."""
    title, went_on = f"Epoch {run.epoch + 1}/{epochs}", run.is_within
    with progress_bar(source.sequences, title, unit=source.unit, verbose=verbose) as show:
        for batch in run.batches(source):
            if class_weight is not None:
                batch = batch._replace(weights=class_weights(batch.y, batch.weights, class_weight))
            run.train(batch, after_update)
            show(batch.count, run.means.logs)
            if run.stop:
                return None
        if not (run.is_within or went_on):
            raise ValueError(f"there are no batches in epoch {run.epoch + 1}: give a function that makes an iterator")
        run.update(after_update)
        if run.stop:
            return None
        logs = run.means.logs()
        if held_out is not None:
            means = Means(figures)
            evaluate_batches(run.model, held_out.epoch(run.rng), run.rules.loss, means, carries=run.rules.stateful)
            logs.update(means.logs("val_"))
        show(0, logs)
    return logs


def _validation(data: Any, how: Mapping[str, Any]) -> Source | None:
    if data is None:
        return None
    if not isinstance(data, tuple):
        if isinstance(data, (int, float, str)) or hasattr(data, "__next__"):
            raise ValueError("validation_data must be a tuple (x, y) or (x, y, lengths), or give batches every epoch")
        return make_source(data, None, None, None, shuffle=False, **how)
    if not 2 <= len(data) <= 4:
        raise ValueError("validation_data must be a tuple (x, y), (x, y, lengths) or (x, y, lengths, sample_weight)")
    return make_source(*(*data, None, None)[:4], shuffle=False, **how)


def _check_validation(model: Any, held_out: Source | None, rules: Rules) -> None:
    """Evaluate the first batch, where that takes nothing away: what does not fit is said before the first epoch."""
    if held_out is None or not (isinstance(held_out, ExampleSource) or held_out.by_number):
        return
    try:
        first = islice(held_out.epoch(np.random.default_rng(0)), 1)
        evaluate_batches(model, first, rules.loss, Means({}), carries=rules.stateful)
    except (ValueError, TypeError) as error:
        error.add_note("This is about the data to validate on.")
        raise


def _check_carried(model: Any, rules: Rules, timed: bool, source: Source, held_out: Source | None) -> None:
    """Refuse to cut time, or to carry a state, where that has no meaning."""
    what = "tbptt" if rules.tbptt is not None else "stateful" if rules.stateful else None
    if what is None:
        return
    if not model.has_state:
        raise ValueError(f"{what} carries a state from step to step, and {type(model).__name__} has none")
    if rules.tbptt is not None and not timed:
        raise ValueError("tbptt needs an output, and a target, at every step")
    try:
        model.stream(1)
    except ValueError as error:
        raise ValueError(f"{what} carries a state from step to step: {error}") from None
    if rules.stateful and isinstance(source, ExampleSource) and source.shuffle:
        raise ValueError("stateful needs shuffle=False: rows of a batch go on where those of the batch before ended")
    for each in (source, held_out):
        if not isinstance(each, ExampleSource):
            continue
        examples = each.examples
        if rules.tbptt is not None and examples.lengths is None and examples.x.shape[:2] != np.shape(examples.y)[:2]:
            found = f"{examples.x.shape} and {np.shape(examples.y)}"
            raise ValueError(f"x and y must have equally many steps, got shapes {found}")
        if rules.stateful:
            counts = sorted({examples.count(rows) for rows in examples.places(each.batching)})
            if len(counts) > 1:
                raise ValueError(f"stateful carries the state of each row: batches must have one size, got {counts}")


def _given(value: Any, model: Any, name: str) -> Any:
    value = getattr(model, name, None) if value is None else value
    if value is None:
        raise ValueError(f"fit needs {name}=, as this model has been neither compiled nor fitted")
    return value


def _or(*values: Any) -> Any:
    return next(value for value in values if value is not None)
