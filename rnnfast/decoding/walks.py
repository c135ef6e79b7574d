"""One hypothesis a row: the likeliest token at each step, or one drawn."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.decoding._steps import Hypothesis, Limits, Steps, advance, check_limits

Array = np.ndarray


def greedy(
    model: Steps, batch: Any, *, max_length: int = 100, min_length: int = 0, stop: int | None = None
) -> list[Hypothesis]:
    """Take the likeliest token at every step.

    Parameters
    ----------
    model : Steps
        A `Seq2Seq`, a `LanguageModel`, or anything else with `start`, `step` and `reorder`.
    batch
        What `model.start` takes: sources, or prompts.
    max_length : int
        The most tokens, without the stop token: after these it is written in any case.
    min_length : int
        The stop token is not written before.
    stop : int, optional
        The token that ends a hypothesis. None is the model's own; where it has none, all have max_length tokens.

    Returns
    -------
    list of Hypothesis
        One a row.

    Examples
    --------
    >>> import rnnfast as rf
    >>> model = rf.LanguageModel(10, seed=0)
    >>> [len(each.tokens) for each in greedy(model, [[3], [4, 1]], max_length=5)]
    [5, 5]
    """
    return _collect(model, batch, _likeliest, check_limits(model, min_length, max_length, stop))


def sample(
    model: Steps,
    batch: Any,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int | Sequence[int] | None = None,
    max_length: int = 100,
    min_length: int = 0,
    stop: int | None = None,
) -> list[Hypothesis]:
    """Draw each token from the model's distribution.

    Parameters
    ----------
    model, batch, max_length, min_length, stop
        As of `greedy`.
    temperature : float
        Log-probabilities are divided by it: 1 draws from the model as it is, less is more careful, 0 takes the
        likeliest token.
    top_k : int, optional
        Draw from the likeliest top_k tokens alone (Fan et al. 2018, section 5.2), after the temperature.
    top_p : float
        Then from the fewest likeliest tokens whose probabilities sum to at least top_p (Holtzman et al. 2020,
        section 3.1).
    seed : int, sequence of int (B,), or None
        Of each row; one number gives row i the seed (seed, i). A row's draws depend on its own seed alone, whatever
        else is in the batch.

    Returns
    -------
    list of Hypothesis
        One a row. Scores are the model's log-probabilities, without temperature, top_k and top_p.

    Raises
    ------
    ValueError
        For arguments out of range.
    """
    choose = _chooser(temperature, top_k, top_p, seed)
    return _collect(model, batch, choose, check_limits(model, min_length, max_length, stop))


def stream_tokens(
    model: Steps,
    batch: Any,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int | Sequence[int] | None = None,
    max_length: int = 100,
    min_length: int = 0,
    stop: int | None = None,
) -> Iterator[Array]:
    """Give tokens as they are written, one of each row at a time: for a reader who does not want to wait.

    Parameters
    ----------
    model, batch, temperature, top_k, top_p, seed, max_length, min_length, stop
        As of `sample`; the temperature 0 that it has at first takes the likeliest token, as `greedy`.

    Yields
    ------
    numpy.ndarray of int64 (B,)
        The next token of each row, -1 of those that have ended. The end comes when all have.

    Raises
    ------
    ValueError
        For arguments out of range; before the first token.

    Examples
    --------
    >>> import rnnfast as rf
    >>> for tokens in stream_tokens(rf.LanguageModel(10, seed=0), [[3], [4, 1]], max_length=2):
    ...     print(tokens.shape)
    (2,)
    (2,)
    """
    choose = _chooser(temperature, top_k, top_p, seed)
    limits = check_limits(model, min_length, max_length, stop)

    def tokens() -> Iterator[Array]:
        begun = model.start(batch)
        rows = len(begun[0])
        for step in _walk(model, begun, choose, limits):
            on = step.goes_on
            if on.any():
                found = np.full(rows, -1, np.int64)
                found[step.rows[on]] = step.tokens[on]
                yield found

    return tokens()


def _chooser(temperature: float, top_k: int | None, top_p: float, seed: Any) -> Callable[[Array, Array], Array]:
    """What chooses a token (N,) of log-probabilities (N, V), for the rows of these numbers."""
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return _likeliest
    generators: dict[int, np.random.Generator] = {}
    several = seed is not None and not isinstance(seed, (int, np.integer))
    entropy: Any = np.random.SeedSequence().entropy if seed is None else seed

    def uniform(row: int) -> float:
        if row not in generators:
            generators[row] = np.random.default_rng(entropy[row] if several else [entropy, row])
        return generators[row].random()

    def choose(log_probs: Array, rows: Array) -> Array:
        if several and rows[-1] >= len(entropy):
            raise ValueError(f"seed must hold one number for each row, got {len(entropy)}")
        return draw(log_probs, np.array([uniform(row) for row in rows.tolist()]), temperature, top_k, top_p)

    return choose


def _likeliest(log_probs: Array, rows: Array) -> Array:
    return log_probs.argmax(axis=1)


def check_sampling(temperature: float, top_k: int | None, top_p: float) -> None:
    """Refuse what `sample` says is out of range."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be a finite number of at least 0, got {temperature!r}")
    if top_k is not None and (not isinstance(top_k, (int, np.integer)) or top_k < 1):
        raise ValueError(f"top_k must be None or at least 1, got {top_k!r}")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be more than 0 and at most 1, got {top_p!r}")


def draw(log_probs: Array, uniforms: Array, temperature: float, top_k: int | None, top_p: float) -> Array:
    """One token a row, of log-probabilities (N, V) that may lack a constant, by numbers (N,) from [0, 1)."""
    order, heights = _nucleus(log_probs, temperature, top_k, top_p)
    drawn = uniforms * heights[:, -1]
    places = (heights <= drawn[:, None]).sum(axis=1)
    # Rounding may put a draw at the very top: the last token with a probability, then.
    highest = (heights < heights[:, -1:]).sum(axis=1)
    return order[np.arange(len(order)), np.minimum(places, highest)]


def _nucleus(log_probs: Array, temperature: float, top_k: int | None, top_p: float) -> tuple[Array, Array]:
    """Tokens from the likeliest down, and the sums of their weights so far; those cut off weigh nothing."""
    order = np.argsort(-log_probs, axis=1, kind="stable")
    scores = np.take_along_axis(log_probs, order, axis=1).astype(np.float64)
    with np.errstate(under="ignore", over="ignore"):
        weights = np.exp((scores - scores[:, :1]) / temperature)
    if top_k is not None:
        weights[:, top_k:] = 0
    heights = weights.cumsum(axis=1)
    if top_p < 1:
        weights[heights - weights >= top_p * heights[:, -1:]] = 0
        heights = weights.cumsum(axis=1)
    return order, heights


class _Step(NamedTuple):
    """What one step wrote."""

    rows: Array
    """Numbers of the rows that were not at their end."""
    tokens: Array
    scores: Array
    weights: Array | None
    goes_on: Array
    """Of each of these rows, whether the token was another than the stop."""


def _walk(
    model: Steps, begun: tuple[Array, Any], choose: Callable[[Array, Array], Array], limits: Limits
) -> Iterator[_Step]:
    """Write all rows, each until its stop; rows that have ended leave the batch."""
    tokens, state = begun
    rows = np.arange(len(tokens))
    for place in range(limits.steps):
        if not len(rows):
            break
        log_probs, state, weights = advance(model, tokens, state, place, limits)
        if place == limits.max_length and limits.stop is not None:
            tokens = np.full(len(rows), limits.stop)
        else:
            tokens = choose(log_probs, rows)
        goes_on = tokens != limits.stop if limits.stop is not None else np.ones(len(rows), bool)
        yield _Step(rows, tokens, log_probs[np.arange(len(rows)), tokens], weights, goes_on)
        if not goes_on.all():
            left = np.flatnonzero(goes_on)
            rows, tokens = rows[left], tokens[left]
            if len(left):
                state = model.reorder(state, left)


def _collect(model: Steps, batch: Any, choose: Callable[[Array, Array], Array], limits: Limits) -> list[Hypothesis]:
    """What a walk has written for each row."""
    begun = model.start(batch)
    count = len(begun[0])
    written: list[list[int]] = [[] for _ in range(count)]
    looked: list[list[Array]] = [[] for _ in range(count)]
    scores = np.zeros(count)
    for step in _walk(model, begun, choose, limits):
        scores[step.rows] += step.scores
        for i in np.flatnonzero(step.goes_on):
            written[step.rows[i]].append(int(step.tokens[i]))
            if step.weights is not None:
                looked[step.rows[i]].append(step.weights[i].copy())
    return [
        Hypothesis(np.array(each, np.int64), float(score), float(score), np.array(places) if places else None)
        for each, score, places in zip(written, scores, looked, strict=True)
    ]
