"""Training by the piece: one batch, or one pass over data that has just arrived."""

from typing import Any

from rnnfast.training._examples import Examples
from rnnfast.training.evaluate import target_steps
from rnnfast.training.fit import fit
from rnnfast.training.history import History
from rnnfast.training.losses import find_loss
from rnnfast.training.optimizers import find_optimizer
from rnnfast.training.step import train_step


def partial_fit(
    model: Any, x: Any, y: Any = None, *, optimizer: Any = None, verbose: bool = False, **how: Any
) -> History:
    """Go once through new data with the optimizer of the calls before; scikit-learn's verb.

    Parameters
    ----------
    model : Sequential or Graph
    x, y
        As of `fit`.
    optimizer : str or Optimizer, optional
        The model keeps it for the calls that follow; without it, that of `compile`, or a new Adam at the first call.
    verbose : bool
    **how
        Other arguments of `fit`.

    Returns
    -------
    History
    """
    if optimizer is not None or getattr(model, "optimizer", None) is None:
        model.optimizer = find_optimizer("adam" if optimizer is None else optimizer)
    return fit(model, x, y, optimizer=model.optimizer, verbose=verbose, **how)


def train_on_batch(
    model: Any,
    x: Any,
    y: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    lengths: Any = None,
    sample_weight: Any = None,
    rng: Any = None,
) -> dict[str, float]:
    """One step on one batch.

    Parameters
    ----------
    model : Sequential or Graph
    x, y, lengths, sample_weight
        As of `fit`.
    loss, optimizer : optional
        As of `fit`; the model keeps both for the calls that follow.
    rng : None, int or numpy.random.Generator
        For dropout.

    Returns
    -------
    dict of str to float
        The mean `loss` before the step, and the gradients' `norm` before clipping.

    Raises
    ------
    ValueError
        When there is no loss.
    FloatingPointError
        When a gradient is not finite; the parameters are those before the step.
    """
    if loss is None and getattr(model, "loss", None) is None:
        raise ValueError("train_on_batch needs loss=, as this model has been neither compiled nor fitted")
    model.loss = find_loss(model.loss if loss is None else loss)
    if optimizer is not None or getattr(model, "optimizer", None) is None:
        model.optimizer = find_optimizer("adam" if optimizer is None else optimizer)
    examples = Examples(x, y, lengths, sample_weight, target_steps=target_steps(model, model.loss))
    x, y, lengths, weights, _ = examples.batch(slice(None))
    step = train_step(model, x, y, model.loss, model.optimizer, lengths=lengths, weights=weights, rng=rng)
    mean = step.loss_sum / step.count if step.count else float("nan")
    return {"loss": float(mean + step.penalty), "norm": step.norm}
