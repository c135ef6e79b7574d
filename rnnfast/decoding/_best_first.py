"""What a beam would find, with fewer steps of the model: beginnings are carried on in the order of their scores."""

import heapq
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from rnnfast.decoding._steps import Hypothesis, Limits, check_log_probs

Array = np.ndarray


class _Beginning(NamedTuple):
    """A beginning that was carried on: the model has been fed its last token."""

    parent: "_Beginning | None"
    token: int
    length: int
    score: float
    place: int
    """Of the state after it, among those that are kept."""
    values: list[float]
    """Log-probabilities of its likeliest continuations, falling."""
    continuations: list[int]
    weights: Array | None


class _Chosen(NamedTuple):
    """What is to be carried on next."""

    parent: _Beginning | None
    token: int
    length: int
    score: float


class _Search:
    """The search for one row."""

    def __init__(self, beam_size: int, stop: int):
        self.beam_size, self.stop = beam_size, stop
        self.best: Hypothesis | None = None
        self._carried: list[_Beginning] = []
        # (-score, number of a beginning in the order in which they were carried on, which of its continuations).
        self._waiting: list[tuple[float, int, int]] = []
        self._seen: defaultdict[int, int] = defaultdict(int)
        self._on: defaultdict[int, int] = defaultdict(int)

    def add(self, beginning: _Beginning) -> None:
        """Let the continuations of a beginning wait."""
        self._carried.append(beginning)
        self._wait(len(self._carried) - 1, 0)

    def _wait(self, number: int, which: int) -> None:
        """The next best continuation of a beginning; the others come after it in any case."""
        beginning = self._carried[number]
        if which < len(beginning.values) and beginning.values[which] > -np.inf:
            heapq.heappush(self._waiting, (-(beginning.score + beginning.values[which]), number, which))

    def next(self) -> _Chosen | None:
        """What comes next in the order of scores; None at the end."""
        while self._waiting:
            negative, number, which = heapq.heappop(self._waiting)
            self._wait(number, which + 1)
            parent = self._carried[number]
            length, token = parent.length + 1, parent.continuations[which]
            rank = self._seen[length]
            self._seen[length] = rank + 1
            if token == self.stop:
                if rank < self.beam_size:
                    self.best = _traced(parent, -negative)
                    return None
            elif self._on[length] < self.beam_size:
                self._on[length] += 1
                return _Chosen(parent, token, length, -negative)
        return None


def best_first(model: Any, batch: Any, beam_size: int, limits: Limits) -> list[list[Hypothesis]]:
    """The best hypothesis of each row among those that a beam finds without a length penalty.

    Meister et al. 2020 (arXiv:2007.03909): along a hypothesis scores only fall, so that the first one that ends is the
    best if the beginning with the highest score always goes on first. Of each length no more are carried on, and none
    that a beam would not. All rows advance together, each by one beginning at a time.

    Parameters
    ----------
    model
        `Steps` with `beginnings(state)`, what keeps the states of all beginnings: `add(state) -> places (N,)`, and
        `take(places, rows) -> state`, of rows of the batch in rising order.
    batch, beam_size, limits
        As of `rnnfast.decoding.beam_search`; with a stop token.
    """
    assert limits.stop is not None
    tokens, state = model.start(batch)
    kept = model.beginnings(state)
    searches = [_Search(beam_size, limits.stop) for _ in tokens]
    chosen = [(row, _Chosen(None, token, 0, 0.0)) for row, token in enumerate(tokens.tolist())]
    while chosen:
        tokens = np.array([each.token for _, each in chosen], np.int64)
        if chosen[0][1].parent is not None:
            parents = [each.parent.place for _, each in chosen]  # type: ignore[union-attr]
            state = kept.take(np.array(parents), np.array([row for row, _ in chosen]))
        log_probs, state = model.step(tokens, state)
        check_log_probs(log_probs, max(each.length for _, each in chosen), limits)
        _limit(log_probs, np.array([each.length for _, each in chosen]), limits)
        values, continuations = _likeliest(log_probs, beam_size + 1)
        weights, places = getattr(state, "weights", None), kept.add(state).tolist()
        following = []
        for i, (row, each) in enumerate(chosen):
            looked = None if weights is None else weights[i]
            searches[row].add(_Beginning(*each, places[i], values[i], continuations[i], looked))
            if (found := searches[row].next()) is not None:
                following.append((row, found))
        chosen = following
    return [[] if search.best is None else [search.best] for search in searches]


def _limit(log_probs: Array, lengths: Array, limits: Limits) -> None:
    """-inf for what may not be written: a stop too early, anything else too late."""
    stop = limits.stop
    log_probs[lengths < limits.min_length, stop] = -np.inf
    late = np.flatnonzero(lengths >= limits.max_length)
    if len(late):
        kept = log_probs[late, stop]
        log_probs[late] = -np.inf
        log_probs[late, stop] = kept


def _likeliest(log_probs: Array, count: int) -> tuple[list[list[float]], list[list[int]]]:
    """The likeliest tokens of each row, best first, of equals the smaller number; and their log-probabilities."""
    count = min(count, log_probs.shape[1])
    tokens = np.argpartition(-log_probs, count - 1, axis=1)[:, :count]
    tokens.sort(axis=1)
    values = np.take_along_axis(log_probs, tokens, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1).tolist(), np.take_along_axis(tokens, order, axis=1).tolist()


def _traced(last: _Beginning, score: float) -> Hypothesis:
    """The hypothesis that ends after a beginning."""
    tokens, looked, each = [], [], last
    while each.parent is not None:
        tokens.append(each.token)
        each = each.parent
        if each.weights is not None:
            looked.append(each.weights)
    return Hypothesis(np.array(tokens[::-1], np.int64), score, score, np.array(looked[::-1]) if looked else None)
