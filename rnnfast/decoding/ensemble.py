"""Several models that write together."""

from typing import Any, NamedTuple

import numpy as np

from rnnfast.decoding._steps import Steps

Array = np.ndarray


class _States(NamedTuple):
    of_models: list[Any]
    weights: Array | None


class Ensemble:
    """A model whose probabilities are the mean of those of several: `Steps` made of `Steps`.

    They must have the same target tokens; sources are read by each in its own way, so encoders, cells and sizes may
    differ. Where all look at the source, the weights are the means of theirs.

    Parameters
    ----------
    *models : Steps
        Such as `Seq2Seq` trained from different first weights.
    mean : "arithmetic" or "geometric"
        Of the probabilities; the geometric mean is the mean of log-probabilities, brought back to sum to one.

    Examples
    --------
    >>> import rnnfast as rf
    >>> from rnnfast.decoding import Ensemble, greedy
    >>> models = [rf.LanguageModel(10, seed=seed) for seed in range(3)]
    >>> len(greedy(Ensemble(*models), [[3]], max_length=4)[0].tokens)
    4
    """

    def __init__(self, *models: Steps, mean: str = "arithmetic"):
        if not models:
            raise ValueError("an Ensemble needs at least one model")
        if mean not in ("arithmetic", "geometric"):
            raise ValueError(f"mean must be 'arithmetic' or 'geometric', got {mean!r}")
        if len({getattr(model, "stop", None) for model in models}) > 1:
            raise ValueError("the models of an Ensemble must have one stop token, they differ")
        self.models, self.mean = models, mean

    @property
    def stop(self) -> int | None:
        """The token that ends a target."""
        return getattr(self.models[0], "stop", None)

    def start(self, batch: Any) -> tuple[Array, Any]:
        """The first token, which must be that of every model, and their states."""
        started = [model.start(batch) for model in self.models]
        tokens = started[0][0]
        if any(not np.array_equal(tokens, other) for other, _ in started):
            raise ValueError("the models of an Ensemble must have one start token, they differ")
        return tokens, _States([state for _, state in started], None)

    def step(self, tokens: Array, state: Any) -> tuple[Array, Any]:
        """The mean's log-probabilities, and the states."""
        pairs = [model.step(tokens, own) for model, own in zip(self.models, state.of_models, strict=True)]
        found = [log_probs for log_probs, _ in pairs]
        if len({log_probs.shape for log_probs in found}) > 1:
            raise ValueError(
                f"the models of an Ensemble must have equally many tokens, got {[f.shape[1] for f in found]}"
            )
        stacked = np.stack(found).astype(np.float64)
        total = stacked.mean(axis=0) if self.mean == "geometric" else _log_sum(stacked, 0) - np.log(len(found))
        if self.mean == "geometric":
            total -= _log_sum(total, -1)[..., None]
        looked = [own.weights for _, own in pairs if getattr(own, "weights", None) is not None]
        same = len(looked) == len(pairs) and len({weights.shape for weights in looked}) == 1
        return total, _States([own for _, own in pairs], np.mean(looked, axis=0) if same else None)

    def reorder(self, state: Any, rows: Array) -> Any:
        """The states of chosen rows."""
        return _States([m.reorder(own, rows) for m, own in zip(self.models, state.of_models, strict=True)], None)


def _log_sum(values: Array, axis: int) -> Array:
    """log Σ exp, where not all of them may be -inf."""
    highest = values.max(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.log(np.exp(values - np.where(np.isneginf(highest), 0, highest)).sum(axis=axis))
    return total + np.where(np.isneginf(highest), 0, highest).squeeze(axis)
