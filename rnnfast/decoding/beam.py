"""Beam search: the best hypotheses of each row are carried on side by side."""

import heapq
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast.decoding._best_first import best_first
from rnnfast.decoding._steps import Hypothesis, Steps, advance, check_limits

Array = np.ndarray

PENALTIES = ("none", "average", "wu")


class _Trellis:
    """All that was ever carried on: for each step the token, where it came from, and where its step looked."""

    def __init__(self) -> None:
        self._tokens: list[Array] = []
        self._parents: list[Array] = []
        self._weights: list[Array | None] = []

    def add(self, tokens: Array, parents: Array, weights: Array | None) -> None:
        """One step: every row's token, the number of the row before that it carries on, and where that looked."""
        self._tokens.append(tokens)
        self._parents.append(parents)
        self._weights.append(weights)

    def trace(self, row: int) -> tuple[Array, Array | None]:
        """The tokens that led to a row of the last step, and where their steps looked."""
        tokens: list[int] = []
        looked: list[Array] = []
        for t in reversed(range(len(self._tokens))):
            tokens.append(int(self._tokens[t][row]))
            row, weights = int(self._parents[t][row]), self._weights[t]
            if weights is not None:
                looked.append(weights[row])
        return np.array(tokens[::-1], np.int64), np.array(looked[::-1]) if looked else None


class _Ended(NamedTuple):
    """A hypothesis that has ended, as a heap orders them: the worst first, of equals the latest."""

    score: float
    order: int
    log_probability: float
    tokens: Array
    alignment: Array | None


def beam_search(
    model: Steps,
    batch: Any,
    *,
    beam_size: int = 5,
    n_best: int = 1,
    length_penalty: str = "none",
    alpha: float = 0.6,
    coverage_penalty: float = 0.0,
    early_stopping: bool = False,
    max_length: int = 100,
    min_length: int = 0,
    stop: int | None = None,
) -> list[list[Hypothesis]]:
    """Carry the likeliest `beam_size` beginnings of each row on, and give the best that have ended.

    At each step, the beginnings of a row with all tokens after them are ordered by log-probability. Those among the
    first beam_size that end in the stop token have ended and are kept; the first beam_size others are carried on. The
    probabilities that are compared sum up float64, and of equal ones the one with the smaller number comes first.

    Where the one best is wanted, without a penalty and of a model that keeps states (a `Seq2Seq`), beginnings go on in
    the order of their scores instead, which finds the same in fewer steps: of a sure model in a quarter of them
    (Meister et al. 2020, arXiv:2007.03909).

    Parameters
    ----------
    model, batch, max_length, min_length, stop
        As of `rnnfast.decoding.greedy`.
    beam_size : int
        A beam that holds all beginnings there are finds the best sequence of all. 1 is greedy.
    n_best : int
        How many hypotheses to give for each row, at most beam_size.
    length_penalty : "none", "average" or "wu"
        What divides the log-probability of a hypothesis of n tokens, its stop token among them: 1, n, or
        ((5 + n) / 6)^alpha (Wu et al. 2016, arXiv:1609.08144, equation 14).
    alpha : float
        Of "wu", at least 0.
    coverage_penalty : float
        beta, at least 0: of what has ended, beta sum_j log(min(sum_i a_ij, 1)) is added to the score, where step i
        looked at place j of the source by a_ij (the same equation). It sinks translations that leave something out.
    early_stopping : bool
        Whether a row ends when beam_size hypotheses have. Otherwise it ends when no beginning can lead to a better one
        than the n_best found, which costs more steps where a penalty favours length.

    Returns
    -------
    list of list of Hypothesis
        For each row its best hypotheses, best first. There may be fewer than n_best where few can be written.

    Raises
    ------
    ValueError
        For arguments out of range.

    Examples
    --------
    >>> import rnnfast as rf
    >>> model = rf.LanguageModel(10, seed=0)
    >>> best = beam_search(model, [[3], [4, 1]], beam_size=3, n_best=2, max_length=5)
    >>> [[len(each.tokens) for each in row] for row in best]
    [[5, 5], [5, 5]]
    """
    for name, value in (("beam_size", beam_size), ("n_best", n_best)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if n_best > beam_size:
        raise ValueError(f"n_best must be at most beam_size, {beam_size}, got {n_best}")
    limits = check_limits(model, min_length, max_length, stop)
    penalty = _penalty(length_penalty, alpha)
    if not 0 <= coverage_penalty < math.inf:
        raise ValueError(f"coverage_penalty must be a finite number of at least 0, got {coverage_penalty!r}")
    falls = length_penalty == "none" and not coverage_penalty
    if falls and n_best == 1 and not early_stopping and limits.stop is not None and hasattr(model, "beginnings"):
        return best_first(model, batch, int(beam_size), limits)
    tokens, state = model.start(batch)
    sentences = np.arange(len(tokens))
    ended: list[list[_Ended]] = [[] for _ in sentences]
    counts = np.zeros(len(sentences), np.intp)
    scores = np.zeros((len(sentences), 1))
    trellis = _Trellis()

    def end(sentence: int, row: int, log_probability: float, length: int, last: Array | None) -> None:
        counts[sentence] += 1
        score = log_probability / penalty(length)
        if coverage_penalty:
            score += coverage_penalty * _coverage(trellis.trace(row)[1], None if last is None else last[row])
        found = score, -int(counts[sentence]), log_probability
        if len(ended[sentence]) < n_best:
            heapq.heappush(ended[sentence], _Ended(*found, *trellis.trace(row)))
        elif found[0] > ended[sentence][0].score:
            heapq.heapreplace(ended[sentence], _Ended(*found, *trellis.trace(row)))

    for place in range(limits.steps):
        if not len(sentences):
            break
        log_probs, state, weights = advance(model, tokens, state, place, limits)
        rows, values, tokens = _best(scores, log_probs, beam_size, limits.stop is not None)
        is_stop = tokens == limits.stop if limits.stop is not None else np.zeros(tokens.shape, bool)
        for i, j in zip(*np.nonzero(is_stop[:, :beam_size] & np.isfinite(values[:, :beam_size])), strict=True):
            end(int(sentences[i]), int(rows[i, j]), float(values[i, j]), place + 1, weights)
        # Stably, so that what goes on stays in order.
        on = np.argsort(is_stop, axis=1, kind="stable")[:, : min(beam_size, int((~is_stop).sum(axis=1).min()))]
        rows, scores, tokens = (np.take_along_axis(each, on, axis=1) for each in (rows, values, tokens))
        best = scores.max(axis=1, initial=-np.inf)
        left = np.flatnonzero(np.isfinite(best))
        if early_stopping:
            left = left[counts[sentences[left]] < beam_size]
        else:
            longest = penalty(limits.steps)
            left = np.array([i for i in left if not _is_over(ended[sentences[i]], n_best, best[i] / longest)], np.intp)
        sentences, rows, scores, tokens = sentences[left], rows[left].ravel(), scores[left], tokens[left].ravel()
        trellis.add(tokens, rows, weights)
        if len(rows) and place + 1 < limits.steps:
            state = model.reorder(state, rows)
    if limits.stop is None and limits.steps:
        width = scores.shape[1]
        for number, total in enumerate(scores.ravel().tolist()):
            if total > -math.inf:
                end(int(sentences[number // width]), number, total, limits.steps, None)
    elif not limits.steps:
        return [[Hypothesis(np.zeros(0, np.int64), 0.0, 0.0, None)] for _ in sentences]
    return [[_hypothesis(each) for each in sorted(row, key=lambda e: (-e.score, -e.order))] for row in ended]


def _best(scores: Array, log_probs: Array, beam_size: int, with_stop: bool) -> tuple[Array, Array, Array]:
    """The likeliest continuations of each sentence's beginnings, best first: rows, log-probabilities, tokens (A, M).

    M is enough for beam_size of them to go on, as each beginning can end in one way only.
    """
    sentences, width = scores.shape
    size = log_probs.shape[1]
    values = (scores[..., None] + log_probs.reshape(sentences, width, size)).reshape(sentences, -1)
    count = min(beam_size + (width if with_stop else 0), values.shape[1])
    places = np.argpartition(-values, count - 1, axis=1)[:, :count]
    places.sort(axis=1)
    found = np.take_along_axis(values, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    places, found = np.take_along_axis(places, order, axis=1), np.take_along_axis(found, order, axis=1)
    return places // size + np.arange(sentences)[:, None] * width, found, places % size


def _is_over(ended: list[_Ended], n_best: int, bound: float) -> bool:
    """Whether nothing that goes on can be better than the worst of the best: log-probabilities only fall."""
    return len(ended) == n_best and ended[0].score >= bound


def _coverage(looked: Array | None, last: Array | None) -> float:
    """The sum over places of log(min(coverage, 1)), of attention (T, S) and of the last step (S,); 0 at best."""
    rows = [*([] if looked is None else looked), *([] if last is None else [last])]
    if not rows:
        raise ValueError("coverage_penalty needs a model that says where it looks: a Seq2Seq with attention")
    coverage = np.stack(rows).sum(axis=0, dtype=np.float64)
    # Nothing at all is what padding gets.
    return float(np.log(np.minimum(coverage[coverage > 0], 1)).sum())


def _hypothesis(ended: _Ended) -> Hypothesis:
    return Hypothesis(ended.tokens, ended.score, ended.log_probability, ended.alignment)


def _penalty(kind: str, alpha: float) -> Callable[[int], float]:
    """What divides the log-probability of a hypothesis of a length."""
    if kind not in PENALTIES:
        raise ValueError(f"length_penalty must be one of {', '.join(map(repr, PENALTIES))}, got {kind!r}")
    if not alpha >= 0:
        raise ValueError(f"alpha must be at least 0, got {alpha!r}")
    if kind == "wu":
        return lambda length: float(((5 + length) / 6) ** alpha)
    return lambda length: float(length if kind == "average" else 1)
