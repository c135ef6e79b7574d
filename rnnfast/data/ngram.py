"""The baseline every neural language model has to beat: counting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)


@dataclass(frozen=True)
class _Level:
    """The k-grams of one length k: sorted keys (context number * num_tokens + token) and what was counted."""

    keys: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    context_counts: npt.NDArray[np.int64]
    context_kinds: npt.NDArray[np.int64]


class NGram:
    """Interpolated n-gram model over integers, with Witten and Bell's weights.

        P(w | h) = (c(h, w) + s T(h) P(w | h')) / (c(h) + s T(h))

    h is the context of up to n - 1 tokens, h' is h without its first token, c counts, T(h) is the number of different
    tokens that followed h, and the chain ends in the uniform distribution, so that every token has some probability.
    `scale=1` is the textbook's form: Witten & Bell 1991, "The zero-frequency problem", method C; as an interpolation
    in Chen & Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 2.6. On text
    that repeats itself it trusts long contexts too much: `scale="tuned"` chooses s on the last tenth of the training
    tokens and is the stronger baseline.

    Parameters
    ----------
    ids : integers, shape (N,)
        The training tokens.
    num_tokens : int
        Size of the vocabulary; tokens are 0..num_tokens - 1, seen or not.
    order : int
        The n of the n-gram.
    scale : float or "tuned"
        s in the equation.

    Raises
    ------
    ValueError
        When the tokens are no integers below num_tokens, or when another argument is out of range.

    Examples
    --------
    >>> model = NGram([0, 1, 0, 1, 0, 2], num_tokens=3, order=2)
    >>> model.distribution([0]).round(3).tolist()
    [0.178, 0.533, 0.289]
    """

    def __init__(self, ids: npt.ArrayLike, num_tokens: int, *, order: int = 5, scale: float | str = 1.0) -> None:
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        self.num_tokens = num_tokens
        self.order = order
        tokens = self._check(ids)
        if len(tokens) < 1:
            raise ValueError("an n-gram model needs at least one token")
        if isinstance(scale, str):
            if scale != "tuned":
                raise ValueError(f"scale must be a number or 'tuned', got {scale!r}")
            self.scale = self._tune(tokens)
        elif not 0.0 < scale < np.inf:
            raise ValueError(f"scale must be positive, got {scale}")
        else:
            self.scale = float(scale)
        self._levels = self._count(tokens)

    def _check(self, ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
        tokens = np.asarray(ids)
        if tokens.size == 0:
            return np.zeros(0, dtype=np.int64)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise ValueError(f"ids must be a sequence of integers, got shape {tokens.shape}, dtype {tokens.dtype}")
        if tokens.min() < 0 or tokens.max() >= self.num_tokens:
            raise ValueError(f"ids must lie in 0..{self.num_tokens - 1}, got {tokens.min()}..{tokens.max()}")
        return tokens.astype(np.int64)

    def _count(self, tokens: npt.NDArray[np.int64]) -> list[_Level]:
        levels = []
        # A context is named by its number among the k-grams seen, so that keys stay small whatever the vocabulary.
        contexts = np.zeros(len(tokens), dtype=np.int64)
        for length in range(1, min(self.order, len(tokens)) + 1):
            keys, numbers, counts = np.unique(
                (contexts * self.num_tokens + tokens)[length - 1 :], return_inverse=True, return_counts=True
            )
            owners = keys // self.num_tokens
            size = int(owners[-1]) + 1
            context_counts = np.zeros(size, dtype=np.int64)
            np.add.at(context_counts, owners, counts)
            levels.append(_Level(keys, counts, context_counts, np.bincount(owners, minlength=size)))
            contexts = np.zeros(len(tokens), dtype=np.int64)
            contexts[length:] = numbers[:-1]
        return levels

    def _tune(self, tokens: npt.NDArray[np.int64]) -> float:
        cut = len(tokens) - len(tokens) // 10
        if cut == len(tokens):
            return 1.0
        counted = NGram(tokens[:cut], self.num_tokens, order=self.order)
        trial = counted._look_up(tokens[cut:])
        losses = [-np.log(_interpolate(trial, self.num_tokens, scale)).sum() for scale in _SCALES]
        return _SCALES[int(np.argmin(losses))]

    def _look_up(self, tokens: npt.NDArray[np.int64]) -> list[tuple[npt.NDArray, npt.NDArray, npt.NDArray]]:
        """Return, for each context length, c(h, w), c(h) and T(h) of every token; zeros where h was never seen."""
        found = []
        contexts = np.zeros(len(tokens), dtype=np.int64)
        for level in self._levels:
            # The last context of the training text may have had no successor: it has a number, but no counts.
            known = (contexts >= 0) & (contexts < len(level.context_counts))
            safe = np.where(known, contexts, 0)
            keys = np.where(known, contexts * self.num_tokens + tokens, -1)
            places = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
            hit = level.keys[places] == keys
            found.append(
                (
                    np.where(hit, level.counts[places], 0),
                    np.where(known, level.context_counts[safe], 0),
                    np.where(known, level.context_kinds[safe], 0),
                )
            )
            contexts = np.concatenate(([-1], np.where(hit, places, -1)[:-1]))
        return found

    def probabilities(self, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each token, given those before it in the same sequence.

        Parameters
        ----------
        ids : integers, shape (N,)

        Returns
        -------
        probabilities : float64 array, shape (N,)
            The first token has no context; it gets its unigram probability.
        """
        tokens = self._check(ids)
        return _interpolate(self._look_up(tokens), self.num_tokens, self.scale)

    def distribution(self, context: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probabilities of all tokens after ``context`` (of any length), shape (num_tokens,)."""
        history = self._check(context)[max(0, np.size(context) - self.order + 1) :]
        return np.array([self.probabilities([*history, token])[-1] for token in range(self.num_tokens)])

    def perplexity(self, ids: npt.ArrayLike) -> float:
        """Return exp of the mean negative log probability of every token but the first.

        The first is left out because a recurrent model, fed with the same sequence, predicts all but the first.

        Raises
        ------
        ValueError
            When there are fewer than two tokens.
        """
        probabilities = self.probabilities(ids)
        if len(probabilities) < 2:
            raise ValueError(f"perplexity needs at least 2 tokens, got {len(probabilities)}")
        return float(np.exp(-np.log(probabilities[1:]).mean()))


def _interpolate(
    found: list[tuple[npt.NDArray, npt.NDArray, npt.NDArray]], num_tokens: int, scale: float
) -> npt.NDArray[np.float64]:
    probabilities = np.full(len(found[0][0]), 1.0 / num_tokens)
    for counts, context_counts, context_kinds in found:
        escape = scale * context_kinds
        total = context_counts + escape
        mixed = (counts + escape * probabilities) / np.where(total > 0, total, 1.0)
        probabilities = np.where(total > 0, mixed, probabilities)
    return probabilities
