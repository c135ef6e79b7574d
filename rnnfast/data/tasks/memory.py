"""Tasks of remembering: what came long ago decides what is right now."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.data._checks import whole
from rnnfast.data.tasks._lengths import beyond, drawn_lengths


def adding(size: int, length: int = 100, *, min_length: int | None = None, seed: Any = None) -> tuple[np.ndarray, ...]:
    """The adding problem: the sum of the two numbers that are marked.

    A step holds a number, uniform in [0, 1), and a marker, which is 1 at one step of the first half and at one of the
    second half, elsewhere 0. Who always answers 1 has a mean squared error of 1/6.

    The problem is Hochreiter & Schmidhuber's (1997, "Long short-term memory", section 5.4), in the form of Arjovsky,
    Shah & Bengio (2016, "Unitary evolution recurrent neural networks").

    Parameters
    ----------
    size : int
        Number of sequences N.
    length : int
        Steps T, at least 2.
    min_length : int, optional
        Shortest length: lengths are then uniform from it to `length`, and returned.
    seed : int or Generator, optional

    Returns
    -------
    x : float32 array (N, T, 2)
    y : float32 array (N, 1)
    lengths : int64 array (N,)
        Only with min_length. What lies beyond them is zero.

    Raises
    ------
    TypeError, ValueError
        When a number is too small or no whole number.

    Examples
    --------
    >>> x, y = adding(3, 10, seed=0)
    >>> np.allclose((x[..., 0] * x[..., 1]).sum(1, keepdims=True), y)
    True
    """
    rng = np.random.default_rng(seed)
    lengths = drawn_lengths(size, length, min_length, 2, rng)
    x = np.zeros((size, length, 2), dtype=np.float32)
    x[..., 0] = rng.random((size, length), dtype=np.float32)
    x[beyond(lengths, size, length)] = 0
    ends = np.full(size, length) if lengths is None else lengths
    first, second = rng.integers(0, ends // 2), rng.integers(ends // 2, ends)
    rows = np.arange(size)
    x[rows, first, 1] = x[rows, second, 1] = 1
    y = (x[rows, first, 0] + x[rows, second, 0])[:, None]
    return (x, y) if lengths is None else (x, y, lengths)


def copy_memory(
    size: int, delay: int = 100, *, num_symbols: int = 8, num_copied: int = 10, seed: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The copying memory problem: repeat what was shown long ago.

    First come K symbols, then D - 1 blanks, then the sign to begin, then K blanks, during which the K symbols are to
    be repeated; before, the answer is blank. Who answers blank and then guesses has a mean cross entropy of
    K log(num_symbols) / (D + 2 K).

    The problem is Hochreiter & Schmidhuber's (1997), in the form of Arjovsky, Shah & Bengio (2016, "Unitary evolution
    recurrent neural networks").

    Parameters
    ----------
    size : int
        Number of sequences N.
    delay : int
        D, at least 1.
    num_symbols : int
        Symbols are 1..num_symbols; 0 is the blank, and in x, num_symbols + 1 is the sign to begin.
    num_copied : int
        K.
    seed : int or Generator, optional

    Returns
    -------
    x : int64 array (N, D + 2 K), numbers below num_symbols + 2
    y : int64 array (N, D + 2 K), numbers below num_symbols + 1

    Examples
    --------
    >>> x, y = copy_memory(1, 3, num_symbols=4, num_copied=2, seed=1)
    >>> x.tolist(), y.tolist()
    ([[2, 3, 0, 0, 5, 0, 0]], [[0, 0, 0, 0, 0, 2, 3]])
    """
    rng = np.random.default_rng(seed)
    size, delay = whole(size, "size", 0), whole(delay, "delay")
    num_symbols, num_copied = whole(num_symbols, "num_symbols"), whole(num_copied, "num_copied")
    shown = rng.integers(1, num_symbols + 1, (size, num_copied))
    x = np.zeros((size, delay + 2 * num_copied), dtype=np.int64)
    y = np.zeros_like(x)
    x[:, :num_copied] = y[:, -num_copied:] = shown
    x[:, num_copied + delay - 1] = num_symbols + 1
    return x, y


def parity(
    size: int, length: int = 20, *, min_length: int | None = None, each_step: bool = False, seed: Any = None
) -> tuple[np.ndarray, ...]:
    """Parity: whether the number of ones is odd.

    A single state that flips at every one solves it for any length, yet no part of the sequence tells anything about
    the answer: every bit counts.

    Parameters
    ----------
    size : int
        Number of sequences N.
    length : int
        Steps T.
    min_length : int, optional
        Shortest length: lengths are then uniform from it to `length`, and returned.
    each_step : bool
        The parity of the ones so far at every step, not of the whole alone.
    seed : int or Generator, optional

    Returns
    -------
    x : float32 array (N, T, 1), zeros and ones
    y : int64 array (N,), or (N, T) with each_step
    lengths : int64 array (N,)
        Only with min_length. What lies beyond them is zero.

    Examples
    --------
    >>> x, y = parity(1, 6, each_step=True, seed=3)
    >>> x[0, :, 0].astype(int).tolist(), y.tolist()
    ([1, 0, 0, 0, 0, 1], [[1, 1, 1, 1, 1, 0]])
    """
    rng = np.random.default_rng(seed)
    lengths = drawn_lengths(size, length, min_length, 0, rng)
    bits = rng.integers(0, 2, (size, length))
    outside = beyond(lengths, size, length)
    bits[outside] = 0
    y = np.where(outside, 0, np.cumsum(bits, axis=1) % 2) if each_step else bits.sum(axis=1) % 2
    x = bits[..., None].astype(np.float32)
    return (x, y) if lengths is None else (x, y, lengths)


def reversal(
    size: int, length: int = 10, *, num_symbols: int = 10, min_length: int | None = None, seed: Any = None
) -> tuple[np.ndarray, ...]:
    """Reversal: the same symbols from the last to the first, for encoder and decoder.

    Parameters
    ----------
    size : int
        Number of sequences N.
    length : int
        Steps T.
    num_symbols : int
        Symbols are 1..num_symbols; 0 is padding.
    min_length : int, optional
        Shortest length: lengths are then uniform from it to `length`, and returned.
    seed : int or Generator, optional

    Returns
    -------
    x, y : int64 arrays (N, T)
        Each row of y is the row of x backwards, within its length.
    lengths : int64 array (N,)
        Only with min_length.

    Examples
    --------
    >>> x, y, lengths = reversal(1, 6, min_length=3, seed=5)
    >>> x.tolist(), y.tolist(), lengths.tolist()
    ([[9, 1, 9, 5, 6, 0]], [[6, 5, 9, 1, 9, 0]], [5])
    """
    rng = np.random.default_rng(seed)
    lengths = drawn_lengths(size, length, min_length, 0, rng)
    x = rng.integers(1, whole(num_symbols, "num_symbols") + 1, (size, length))
    outside = beyond(lengths, size, length)
    x[outside] = 0
    ends = np.full(size, length) if lengths is None else lengths
    places = np.where(outside, np.arange(length), ends[:, None] - 1 - np.arange(length))
    y = np.take_along_axis(x, places, axis=1)
    return (x, y) if lengths is None else (x, y, lengths)
