"""Formal languages: read a string, and say at every step which symbols may come next.

Symbol 0 is the marker that stands before each string and follows it. x is the marker and the string, y tells for every
step which symbols may follow, 1 for each that may and 0 for each that may not: several may, so that the loss is a
binary cross entropy for each symbol, and a string counts as recognised when all steps are right. The procedure is that
of Gers & Schmidhuber 2001, "LSTM recurrent networks learn simple context-free and context-sensitive languages".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.data._checks import whole


def a_n_b_n(size: int, max_n: int = 10, *, min_n: int = 1, seed: Any = None) -> tuple[np.ndarray, ...]:
    """The context-free language a^n b^n: as many b as there were a.

    While a are read, a or b may follow; from the first b on all is certain, if one has counted.

    Parameters
    ----------
    size : int
        Number of strings N.
    max_n, min_n : int
        n is uniform between these. To see whether a network counts, test it with greater n than it was trained with.
    seed : int or Generator, optional

    Returns
    -------
    x : int64 array (N, 2 max_n + 1)
        0 is the marker (and padding), 1 is a, 2 is b.
    y : float32 array (N, 2 max_n + 1, 3)
    lengths : int64 array (N,)
        2 n + 1.

    Raises
    ------
    TypeError, ValueError
        When a number is too small or no whole number.

    Examples
    --------
    >>> x, y, lengths = a_n_b_n(1, 2, min_n=2)
    >>> x.tolist(), lengths.tolist()
    ([[0, 1, 1, 2, 2]], [5])
    >>> [np.flatnonzero(step).tolist() for step in y[0]]
    [[1], [1, 2], [1, 2], [2], [0]]
    """
    return _equal_runs(size, 2, max_n, min_n, seed)


def a_n_b_n_c_n(size: int, max_n: int = 10, *, min_n: int = 1, seed: Any = None) -> tuple[np.ndarray, ...]:
    """The context-sensitive language a^n b^n c^n: as many b, and then as many c, as there were a.

    Parameters
    ----------
    size, max_n, min_n, seed
        As in `a_n_b_n`.

    Returns
    -------
    x : int64 array (N, 3 max_n + 1)
        0 is the marker (and padding), 1 is a, 2 is b, 3 is c.
    y : float32 array (N, 3 max_n + 1, 4)
    lengths : int64 array (N,)
        3 n + 1.
    """
    return _equal_runs(size, 3, max_n, min_n, seed)


def _equal_runs(size: int, kinds: int, max_n: int, min_n: int, seed: Any) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    size, min_n = whole(size, "size", 0), whole(min_n, "min_n")
    n = rng.integers(min_n, whole(max_n, "max_n", min_n) + 1, size)[:, None]
    lengths = kinds * n[:, 0] + 1
    time = np.arange(kinds * max_n + 1)
    inside = time < lengths[:, None]
    x = np.where(inside, (time - 1) // n + 1, 0)
    following = (x + (time % n == 0)) % (kinds + 1)
    y = np.zeros((*x.shape, kinds + 1), dtype=np.float32)
    np.put_along_axis(y, following[..., None], 1, axis=-1)
    y[..., 1:3] += (x == 1)[..., None]
    y = np.minimum(y, 1) * inside[..., None]
    return x, y.astype(np.float32), lengths


def dyck(
    size: int,
    max_pairs: int = 10,
    *,
    kinds: int = 1,
    max_depth: int | None = None,
    min_pairs: int = 1,
    seed: Any = None,
) -> tuple[np.ndarray, ...]:
    """Dyck languages: brackets of one or several kinds that match.

    Where brackets may follow, all kinds of opening ones may; of the closing ones, that of the bracket opened last; and
    the marker where none is open. The number of pairs is uniform from min_pairs to max_pairs, and of all strings with
    that number of pairs each is equally likely.

    Chomsky & Schützenberger 1963, "The algebraic theory of context-free languages"; Suzgun et al. 2019, "LSTM networks
    can perform dynamic counting" (one kind); Hewitt et al. 2020, "RNNs can generate bounded hierarchical languages with
    optimal memory" (max_depth).

    Parameters
    ----------
    size : int
        Number of strings N.
    max_pairs, min_pairs : int
        Number of pairs of brackets.
    kinds : int
        Kinds of brackets k.
    max_depth : int, optional
        Most brackets open at a time. No further bracket may be opened there.
    seed : int or Generator, optional

    Returns
    -------
    x : int64 array (N, 2 max_pairs + 1)
        0 is the marker (and padding), 1..k open, k + 1..2 k close.
    y : float32 array (N, 2 max_pairs + 1, 2 k + 1)
    lengths : int64 array (N,)

    Raises
    ------
    TypeError, ValueError
        When a number is too small or no whole number.

    Examples
    --------
    >>> x, y, lengths = dyck(1, 3, kinds=2, min_pairs=3, seed=4)
    >>> "".join("#([)]"[symbol] for symbol in x[0])
    '#[]([])'
    """
    rng = np.random.default_rng(seed)
    size, kinds, min_pairs = whole(size, "size", 0), whole(kinds, "kinds"), whole(min_pairs, "min_pairs", 0)
    max_pairs = whole(max_pairs, "max_pairs", max(min_pairs, 1))
    deepest = max_pairs if max_depth is None else min(whole(max_depth, "max_depth"), max_pairs)
    left = 2 * rng.integers(min_pairs, max_pairs + 1, size)
    lengths = left + 1
    x = np.zeros((size, 2 * max_pairs + 1), dtype=np.int64)
    y = np.zeros((*x.shape, 2 * kinds + 1), dtype=np.float32)
    depth = np.zeros(size, dtype=np.int64)
    opened = np.zeros((size, deepest + 1), dtype=np.int64)
    rows, ways = np.arange(size), _ways_to_close(2 * max_pairs, deepest)
    for time in range(2 * max_pairs + 1):
        y[rows, time, 0] = depth == 0
        y[:, time, 1 : kinds + 1] = ((depth < max_depth) if max_depth else np.ones(size, dtype=bool))[:, None]
        closing = kinds + opened[rows, depth]
        y[rows, time, closing] = np.where(depth > 0, 1, y[rows, time, closing])
        if time == 2 * max_pairs:
            break
        alive = left > 0
        after = np.maximum(left - 1, 0)
        up = ways[after, np.minimum(depth + 1, deepest)] * (depth < deepest)
        down = ways[after, np.maximum(depth - 1, 0)] * (depth > 0)
        opens = alive & (rng.random(size) * (up + down) < up)
        kind = rng.integers(1, kinds + 1, size)
        depth += np.where(opens, 1, np.where(alive, -1, 0))
        opened[rows[opens], depth[opens]] = kind[opens]
        x[:, time + 1] = np.where(opens, kind, np.where(alive, closing, 0))
        left -= alive
    y *= (np.arange(2 * max_pairs + 1) < lengths[:, None])[..., None]
    return x, y, lengths


def _ways_to_close(steps: int, deepest: int) -> np.ndarray:
    """In how many ways r steps lead from depth d to 0, up to a factor of each row, float64 (steps + 1, deepest + 1).

    The recursion is W(r, d) = W(r - 1, d + 1) + W(r - 1, d - 1). Only ratios within a row are used; the factor keeps
    the numbers from overflowing.
    """
    ways = np.zeros((steps + 1, deepest + 1))
    ways[0, 0] = 1
    for row in range(1, steps + 1):
        ways[row, :-1] = ways[row - 1, 1:]
        ways[row, 1:] += ways[row - 1, :-1]
        ways[row] /= ways[row].max()
    return ways
