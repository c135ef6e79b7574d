"""Reading labels off the logits of a network trained with CTC: the best path, and the best labels by beam search."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check

Array = np.ndarray

Scorer = Callable[[Array], Any]


class Transcription(NamedTuple):
    """Labels that were read, and how good they are."""

    labels: Array
    """int64 (S,), without blanks."""
    score: float
    """Their log-probability, with what a scorer added."""


def ctc_greedy(logits: Any, lengths: Any = None, *, blank: int = 0) -> Any:
    """The labels of the best path: the best class at each step, repetitions merged, then blanks left out.

    Parameters
    ----------
    logits : array_like (B, T, C) or (T, C)
        As `rnnfast.training.CTC` takes them.
    lengths : array_like of int (B,), optional
        Steps of each sequence; None takes all. Logits beyond them are not read.
    blank : int
        The class that means no label.

    Returns
    -------
    list of Transcription, or one
        One for each sequence. The score is the log-probability of that path alone; the labels' is greater.

    Raises
    ------
    TypeError, ValueError
        A shape or dtype does not fit, a number is out of range, or a logit is NaN.

    Examples
    --------
    >>> best = ctc_greedy(np.log([[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1]]))
    >>> best.labels, round(float(np.exp(best.score)), 4)
    (array([1, 1]), 0.4032)
    """
    log_probs, ends, single = _log_probs(logits, lengths, blank)
    found = []
    for rows, end in zip(log_probs, ends, strict=True):
        path = rows[:end].argmax(axis=1)
        found.append(Transcription(labels_of_path(path, blank), float(rows[np.arange(end), path].sum())))
    return found[0] if single else found


def labels_of_path(path: Array, blank: int) -> Array:
    """A path of classes (T,) with repetitions merged, then blanks left out."""
    first = np.ones(len(path), bool)
    first[1:] = path[1:] != path[:-1]
    return path[first & (path != blank)]


def ctc_beam_search(
    logits: Any,
    lengths: Any = None,
    *,
    beam_size: int = 10,
    n_best: int = 1,
    blank: int = 0,
    scorer: Scorer | None = None,
) -> Any:
    """The likeliest labels: beginnings of labels are carried on, each with all the paths that read so.

    That is prefix search decoding (Graves et al. 2006, section 3.2) with a beam (Hannun et al. 2014, arXiv:1408.2873,
    algorithm 1). Unlike the best path it adds up paths that read alike.

    Parameters
    ----------
    logits, lengths, blank
        As of `ctc_greedy`.
    beam_size : int
        How many beginnings are carried from step to step. A beam that holds all there are finds the best labels.
    n_best : int
        How many to give for each sequence, at most beam_size.
    scorer : callable, optional
        `scorer(labels)`, given a beginning as int64 (S,), returns for each class what is added to the score when that
        class comes next, (C,): a language model's log-probabilities, times a weight. The blank's entry is not used.
        It is called once for each beginning.

    Returns
    -------
    list of list of Transcription, or one list
        For each sequence its best labels, best first; fewer than n_best where fewer are possible. Paths that have left
        the beam are not in the score.

    Raises
    ------
    TypeError, ValueError
        A shape or dtype does not fit, a number is out of range, or a logit or score is NaN.

    Examples
    --------
    >>> logits = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> ctc_greedy(logits).labels  # blank blank is the best of four paths, 0.36
    array([], dtype=int64)
    >>> best, = ctc_beam_search(logits)  # three read "1"
    >>> best.labels, round(float(np.exp(best.score)), 6)
    (array([1]), 0.64)
    """
    beam_size, n_best = _check.size(beam_size, "beam_size"), _check.size(n_best, "n_best")
    if n_best > beam_size:
        raise ValueError(f"n_best must be at most beam_size, {beam_size}, got {n_best}")
    log_probs, ends, single = _log_probs(logits, lengths, blank)
    beam = _Beam(len(log_probs), beam_size, log_probs.shape[2], blank, scorer)
    for t in range(log_probs.shape[1]):
        rows = np.flatnonzero(ends > t)
        if len(rows):
            beam.step(rows, log_probs[rows, t])
    found = [beam.best(row, n_best) for row in range(len(log_probs))]
    return found[0] if single else found


def _log_probs(logits: Any, lengths: Any, blank: int) -> tuple[Array, Array, bool]:
    """log softmax (B, T, C) in float64, 0 beyond the lengths; the lengths; whether there was no B."""
    logits = _check.real(logits, np.dtype(np.float64), "logits")
    if logits.ndim not in (2, 3) or not logits.shape[-1]:
        raise ValueError(f"logits must have shape (B, T, C) or (T, C), got {logits.shape}")
    if not isinstance(blank, (int, np.integer)) or not 0 <= blank < logits.shape[-1]:
        raise ValueError(f"blank must be a class, 0 to {logits.shape[-1] - 1}, got {blank!r}")
    single = logits.ndim == 2
    batch = logits[None] if single else logits
    B, T = batch.shape[:2]
    ends = np.full(B, T) if lengths is None else ops.sequence_lengths(np.atleast_1d(lengths), (B, T))
    batch = np.where((np.arange(T) < ends[:, None])[..., None], batch, 0)
    greatest = batch.max(axis=2, keepdims=True)
    if not np.isfinite(greatest).all():
        raise ValueError("logits must not be nan, and each step's greatest must be finite")
    batch = batch - greatest
    return batch - np.log(np.exp(batch).sum(axis=2, keepdims=True)), ends, single


_ROOT, _NOBODY = 0, 1


class _Beam:
    """The beginnings that are carried on, of every sequence: nodes of one tree, and the paths that read so."""

    def __init__(self, rows: int, width: int, classes: int, blank: int, scorer: Scorer | None):
        self._classes, self._blank, self._scorer = classes, blank, scorer
        # Node, the node before it, its label: of each place. A place without a beginning is nobody's.
        self._node = np.full((rows, width), _NOBODY)
        self._parent = np.full((rows, width), -1)
        self._last = np.full((rows, width), blank)
        # Log-probabilities of the paths that end in a blank, and of those that end in the last label.
        self._in_blank = np.full((rows, width), -np.inf)
        self._in_label = np.full((rows, width), -np.inf)
        self._bonus = np.zeros((rows, width))
        self._node[:, 0], self._in_blank[:, 0] = _ROOT, 0
        self._tree = [(-1, blank), (-1, blank)]
        self._children: dict[tuple[int, int], int] = {}
        self._scores: dict[int, Array] = {}

    def step(self, rows: Array, log_probs: Array) -> None:
        """One step of some of the sequences: log-probabilities (rows, C)."""
        A, W, C = len(rows), self._node.shape[1], self._classes
        node, parent, last, bonus = (each[rows] for each in (self._node, self._parent, self._last, self._bonus))
        in_blank, in_label = self._in_blank[rows], self._in_label[rows]
        every = np.logaddexp(in_blank, in_label)
        of_last = np.take_along_axis(log_probs, last, axis=1)
        # A label after itself is a new one only where a blank lies between them.
        longer = every[..., None] + log_probs[:, None]
        np.put_along_axis(longer, last[..., None], (in_blank + of_last)[..., None], axis=2)
        longer[..., self._blank] = -np.inf
        in_blank, in_label = every + log_probs[:, self._blank, None], in_label + of_last
        # Some beginnings with a label more are in the beam already.
        row, short, long = np.nonzero(node[:, :, None] == parent[:, None, :])
        label = last[row, long]
        in_label[row, long] = np.logaddexp(in_label[row, long], longer[row, short, label])
        longer[row, short, label] = -np.inf

        added = np.zeros((A, W, 1)) if self._scorer is None else self._added(node)
        scores = np.concatenate(
            [np.logaddexp(in_blank, in_label) + bonus, (longer + bonus[..., None] + added).reshape(A, W * C)], axis=1
        )
        chosen = _greatest(scores, W)
        same, at, label = chosen < W, np.where(chosen < W, chosen, (chosen - W) // C), (chosen - W) % C
        row = np.arange(A)[:, None]
        found = longer[row, at, label]
        self._in_blank[rows] = np.where(same, in_blank[row, at], -np.inf)
        self._in_label[rows] = np.where(same, in_label[row, at], found)
        gained = np.broadcast_to(added, (A, W, C))[row, at, label]
        self._bonus[rows] = np.where(same, bonus[row, at], bonus[row, at] + gained)
        self._last[rows] = np.where(same, last[row, at], label)
        before = node[row, at]
        self._parent[rows] = np.where(same, parent[row, at], before)
        node = np.where(same, before, _NOBODY)
        new = ~same & (found > -np.inf)
        node[new] = [self._child(*each) for each in zip(before[new].tolist(), label[new].tolist(), strict=True)]
        self._parent[rows] = np.where(node == _NOBODY, -1, self._parent[rows])
        self._node[rows] = node

    def _child(self, node: int, label: int) -> int:
        number = self._children.setdefault((node, label), len(self._tree))
        if number == len(self._tree):
            self._tree.append((node, label))
        return number

    def _labels(self, node: int) -> Array:
        found = []
        while node > _NOBODY:
            node, label = self._tree[node]
            found.append(label)
        return np.array(found[::-1], np.int64)

    def _added(self, nodes: Array) -> Array:
        """What the scorer says to each class after each beginning, (..., C)."""
        assert self._scorer is not None
        self._scores[_NOBODY] = np.zeros(self._classes)
        for node in set(nodes.ravel().tolist()) - self._scores.keys():
            scores = _check.real(self._scorer(self._labels(node)), np.dtype(np.float64), "what the scorer returns")
            if scores.shape == (self._classes,):
                scores = np.where(np.arange(self._classes) == self._blank, 0, scores)
            if scores.shape != (self._classes,) or not (scores < np.inf).all():
                wanted = f"{self._classes} numbers less than infinity, one a class"
                raise ValueError(f"the scorer must return {wanted}, got {scores!r:.80}")
            self._scores[node] = scores
        return np.array([self._scores[node] for node in nodes.ravel().tolist()]).reshape(*nodes.shape, self._classes)

    def best(self, row: int, count: int) -> list[Transcription]:
        """The best of a sequence's beginnings."""
        scores = np.logaddexp(self._in_blank[row], self._in_label[row]) + self._bonus[row]
        order = [i for i in np.argsort(-scores, kind="stable")[:count] if scores[i] > -np.inf]
        return [Transcription(self._labels(int(self._node[row, i])), float(scores[i])) for i in order]


def _greatest(scores: Array, count: int) -> Array:
    """Where the greatest of each row are, greatest first; of equal ones the earlier first."""
    places = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    places.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)
