"""What a model must be able to do so that sequences can be searched with it, and what a search gives."""

from typing import Any, NamedTuple, Protocol

import numpy as np

Array = np.ndarray


class Steps(Protocol):
    """A model that writes one token after the other, many rows at a time. `Seq2Seq` and `LanguageModel` are such.

    A model may have an attribute `stop`, the token that ends a target. Where it looks at a source, the state that
    `step` gives has an attribute `weights` (N, S), what each row looked at, or None. Of a model with a method
    `beginnings` a beam that is asked for the best hypothesis alone takes fewer steps (see
    `rnnfast.decoding._best_first`).
    """

    def start(self, batch: Any) -> tuple[Array, Any]:
        """The first token to be fed, int (B,), and the state before it; one row for each entry of the batch."""
        ...

    def step(self, tokens: Array, state: Any) -> tuple[Array, Any]:
        """Feed a token (N,) to each row: log-probabilities (N, V) of the next, new memory each time, and the state."""
        ...

    def reorder(self, state: Any, rows: Array) -> Any:
        """The state of chosen rows: row i goes on from what was row `rows[i]`. One may come several times, or never."""
        ...


class Hypothesis(NamedTuple):
    """What was written for one row."""

    tokens: Array
    """int64 (T,), without the start and the stop token."""
    score: float
    """What hypotheses are compared by: the log-probability over the length penalty."""
    log_probability: float
    """Of the tokens, and of the stop token after them."""
    alignment: Array | None
    """(T, S): where each token's step looked, of models that look at a source."""


class Limits(NamedTuple):
    """When a hypothesis may end, and when it must."""

    min_length: int
    max_length: int
    stop: int | None

    @property
    def steps(self) -> int:
        """How many steps there can be; the last one writes the stop token."""
        return self.max_length + (self.stop is not None)


def check_limits(model: Any, min_length: int, max_length: int, stop: int | None) -> Limits:
    """The arguments of a search, checked; the stop token is the model's unless it is given."""
    for name, value in (("min_length", min_length), ("max_length", max_length)):
        if not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}")
    if min_length > max_length:
        raise ValueError(f"min_length must be at most max_length, {max_length}, got {min_length}")
    return Limits(int(min_length), int(max_length), getattr(model, "stop", None) if stop is None else stop)


def advance(model: Steps, tokens: Array, state: Any, place: int, limits: Limits) -> tuple[Array, Any, Array | None]:
    """One step: log-probabilities, -inf for what the limits forbid at this place; the state; where each row looked.

    Raises
    ------
    ValueError
        When the stop token is not one of the model's.
    FloatingPointError
        When the model gives nan.
    """
    log_probs, state = model.step(tokens, state)
    if np.isnan(log_probs).any():
        raise FloatingPointError(f"the model gave nan at step {place}")
    check_stop(log_probs, limits)
    stop = limits.stop
    if stop is not None:
        if place < limits.min_length:
            log_probs[:, stop] = -np.inf
        elif place >= limits.max_length:
            log_probs[:, :stop] = log_probs[:, stop + 1 :] = -np.inf
    return log_probs, state, getattr(state, "weights", None)


def check_stop(log_probs: Array, limits: Limits) -> None:
    """Refuse a stop token that is none of the model's; see `advance`."""
    if limits.stop is not None and not 0 <= limits.stop < log_probs.shape[1]:
        raise ValueError(f"stop must be a token from 0 to {log_probs.shape[1] - 1}, got {limits.stop!r}")


def take_rows(state: Any, rows: Array) -> Any:
    """Rows of the states of recurrent layers: arrays (L, B, H) in any nest of tuples."""
    if isinstance(state, tuple):
        found = [take_rows(each, rows) for each in state]
        return type(state)(*found) if hasattr(state, "_fields") else tuple(found)
    return None if state is None else state.take(rows, axis=1)


def log_softmax(logits: Array) -> Array:
    """Of (..., V), along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
