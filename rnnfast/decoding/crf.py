"""The best tags of a linear-chain conditional random field, and the probability of each."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check


def viterbi(potentials: Any, lengths: Any = None, *, n_best: int | None = None) -> tuple[np.ndarray, Any]:
    """The sequence of tags of the greatest score (Viterbi 1967).

    Parameters
    ----------
    potentials : array_like (B, T, C, C) or (T, C, C)
        As the layer `rnnfast.layers.CRF` gives them: the score of tag j after tag i at [i, j]; of the first step, row
        0 alone is read. -inf forbids.
    lengths : array_like of int (B,), optional
        Steps of each sequence; None takes all. Potentials beyond them are not read.
    n_best : int, optional
        So many sequences of tags instead of one, best first.

    Returns
    -------
    paths : numpy.ndarray of int64 (B, T) or (T,); with n_best (B, n_best, T) or (n_best, T)
        Tags, -1 beyond the lengths. Of equal scores the smaller tag wins, decided from the last step on. Where there
        are fewer than n_best, -1.
    scores : numpy.ndarray of float64 (B,), or a float; with n_best (B, n_best) or (n_best,)
        The paths' scores; 0 without steps. Where there are fewer than n_best, -inf.

    Raises
    ------
    TypeError, ValueError
        A shape or dtype does not fit, or a length is out of range.

    Examples
    --------
    >>> potentials = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])
    >>> viterbi(potentials)  # tag 0 is the better one at first, but 1 after 1 is worth more
    (array([1, 1]), 2.0)
    >>> viterbi(potentials, n_best=2)
    (array([[1, 1],
           [0, 0]]), array([2., 1.]))
    """
    batch, single = _batch(potentials)
    if n_best is not None:
        found = ops.crf_best_paths(batch, _lengths(lengths, batch), _check.size(n_best, "n_best"))
        return (found[0][0], found[1][0]) if single else found
    paths, scores = ops.crf_viterbi(batch, _lengths(lengths, batch))
    return (paths[0], float(scores[0])) if single else (paths, scores)


def marginals(potentials: Any, lengths: Any = None) -> tuple[np.ndarray, Any]:
    """Each tag's probability at each step, given all potentials: the sum over all sequences of tags that have it there.

    Parameters
    ----------
    potentials, lengths
        As of `viterbi`.

    Returns
    -------
    probabilities : numpy.ndarray (B, T, C) or (T, C)
        Zero beyond the lengths, and where the potentials allow no sequence of tags.
    normalisers : numpy.ndarray of float64 (B,), or a float
        log of the sum of exp(score) over all sequences of tags. A path's log probability is its score less this.

    Raises
    ------
    TypeError, ValueError
        A shape or dtype does not fit, or a length is out of range.

    Examples
    --------
    >>> probabilities, normaliser = marginals(np.log([[[3.0, 1.0], [3.0, 1.0]], [[1.0, 1.0], [1.0, 5.0]]]))
    >>> probabilities, round(float(np.exp(normaliser)), 6)
    (array([[0.5       , 0.5       ],
           [0.33333333, 0.66666667]]), 12.0)
    """
    batch, single = _batch(potentials)
    probabilities, normalisers = ops.crf_marginals(batch, _lengths(lengths, batch))
    return (probabilities[0], float(normalisers[0])) if single else (probabilities, normalisers)


def _batch(potentials: Any) -> tuple[np.ndarray, bool]:
    potentials = _check.real(potentials, None, "potentials")
    shape = potentials.shape
    if potentials.ndim not in (3, 4) or shape[-1] != shape[-2] or not shape[-1]:
        raise ValueError(f"potentials must have shape (B, T, C, C) or (T, C, C), got {shape}")
    return (potentials, False) if potentials.ndim == 4 else (potentials[None], True)


def _lengths(lengths: Any, batch: np.ndarray) -> np.ndarray | None:
    return None if lengths is None else ops.sequence_lengths(np.atleast_1d(lengths), batch.shape[:2])
