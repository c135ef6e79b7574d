"""Which sequences go into a batch together: those of similar length, so that little is spent on padding.

A sampler is an object called as `sampler(lengths, rng)`: `lengths` are the sequences' lengths, integers (N,), and
`rng` is a NumPy Generator, or None for no shuffling. It returns a list of integer arrays: the numbers of the sequences
in each batch. Any function like that serves as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast.layers import _check


@dataclass(frozen=True)
class Buckets:
    """Batches of a fixed size, of sequences of similar length, in random order.

    Parameters
    ----------
    batch_size : int
    boundaries : None, int or list of int
        None sorts all sequences by length (equal lengths in random order): the least padding, but nearly the same
        batches in every epoch. A number makes so many buckets of about equally many sequences each, a list names
        the longest length of each bucket but the last, which takes all that are longer. Within a bucket sequences
        are shuffled, so that batches differ from epoch to epoch; each bucket may leave one batch that is not full.
    drop_last : bool
        Leave out sequences that fill no batch: with shuffling others each epoch, without it the last of a bucket.

    Raises
    ------
    TypeError, ValueError
        When batch_size or boundaries is no positive number, or boundaries do not rise.

    Examples
    --------
    >>> sampler = Buckets(2)
    >>> [batch.tolist() for batch in sampler([7, 3, 9, 2, 8], None)]
    [[3, 1], [0, 4], [2]]
    >>> [batch.tolist() for batch in Buckets(2, [5], drop_last=True)([7, 3, 9, 2, 8], None)]
    [[1, 3], [0, 2]]
    """

    batch_size: int
    boundaries: int | Sequence[int] | None = None
    drop_last: bool = False

    def __post_init__(self) -> None:
        _check.size(self.batch_size, "batch_size")
        if self.boundaries is None:
            return
        if np.ndim(self.boundaries) == 0:
            _check.size(self.boundaries, "boundaries")
            return
        named = np.asarray(self.boundaries)
        if named.ndim != 1 or named.dtype.kind not in "iu" or (named < 0).any() or (np.diff(named) <= 0).any():
            raise ValueError(f"boundaries must be whole numbers that rise, got {self.boundaries!r}")

    def __call__(self, lengths: Any, rng: np.random.Generator | None = None) -> list[np.ndarray]:
        """Make the batches of one epoch.

        Parameters
        ----------
        lengths : integers (N,)
        rng : Generator, optional
            None: no shuffling; buckets from short to long, sequences in their order (sorted where there are no
            boundaries).

        Returns
        -------
        batches : list of int64 arrays (n,), n at most batch_size
            Every sequence is in exactly one, but for those that `drop_last` leaves out.
        """
        lengths = _checked(lengths)
        order = _shuffled(len(lengths), rng)
        batches = []
        for members in self._buckets(lengths[order]):
            rows = order[members]
            if self.drop_last:
                rows = rows[: len(rows) // self.batch_size * self.batch_size]
            if self.boundaries is None:
                rows = rows[np.argsort(lengths[rows], kind="stable")]
            batches += [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        return _in_random_order(batches, rng)

    def _buckets(self, lengths: np.ndarray) -> list[np.ndarray]:
        """The places of the lengths that belong to each bucket."""
        if self.boundaries is None:
            return [np.arange(len(lengths))]
        bounds = np.asarray(self.boundaries)
        if bounds.ndim:
            numbers = np.searchsorted(bounds, lengths)
            return [np.flatnonzero(numbers == number) for number in range(len(bounds) + 1)]
        parts = np.array_split(np.argsort(lengths, kind="stable"), int(bounds))
        return [np.sort(part) for part in parts]


@dataclass(frozen=True)
class TokenBudget:
    """Batches whose padded size, longest length times number of sequences, stays within a budget.

    Sequences are sorted by length (equal lengths in random order) and packed one after the other; the batches come in
    random order. Short sequences make large batches and long ones small batches of about the same cost in time and
    memory. A sequence of length 0 counts as one step.

    Parameters
    ----------
    max_tokens : int
        Most steps in a batch, padding included.
    max_sequences : int, optional
        Most sequences in a batch.

    Raises
    ------
    TypeError, ValueError
        When an argument is no positive number; on call, when one sequence alone is longer than the budget.

    Examples
    --------
    >>> sampler = TokenBudget(12)
    >>> [batch.tolist() for batch in sampler([7, 3, 9, 2, 4, 6], None)]
    [[3, 1, 4], [5], [0], [2]]
    """

    max_tokens: int
    max_sequences: int | None = None

    def __post_init__(self) -> None:
        _check.size(self.max_tokens, "max_tokens")
        if self.max_sequences is not None:
            _check.size(self.max_sequences, "max_sequences")

    def __call__(self, lengths: Any, rng: np.random.Generator | None = None) -> list[np.ndarray]:
        """Make the batches of one epoch.

        Parameters
        ----------
        lengths : integers (N,)
        rng : Generator, optional
            None: no shuffling; from short to long.

        Returns
        -------
        batches : list of int64 arrays
            Every sequence is in exactly one.
        """
        lengths = _checked(lengths)
        if len(lengths) and lengths.max() > self.max_tokens:
            raise ValueError(
                f"sequence {lengths.argmax()} is {lengths.max()} long, longer than max_tokens={self.max_tokens}"
            )
        order = _shuffled(len(lengths), rng)
        order = order[np.argsort(lengths[order], kind="stable")]
        cuts, start = [], 0
        for place, length in enumerate(lengths[order].tolist()):
            count = place - start + 1
            if max(length, 1) * count > self.max_tokens or (self.max_sequences and count > self.max_sequences):
                cuts.append(place)
                start = place
        return _in_random_order(np.split(order, cuts) if len(order) else [], rng)


def _checked(lengths: Any) -> np.ndarray:
    lengths = np.asarray(lengths)
    if lengths.size == 0:
        lengths = lengths.astype(np.int64)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be whole numbers (N,), got shape {lengths.shape}, dtype {lengths.dtype}")
    if (lengths < 0).any():
        raise ValueError(f"lengths must not be negative, got {lengths.min()}")
    return lengths


def _shuffled(count: int, rng: np.random.Generator | None) -> np.ndarray:
    return np.arange(count) if rng is None else rng.permutation(count)


def _in_random_order(batches: list[np.ndarray], rng: np.random.Generator | None) -> list[np.ndarray]:
    return batches if rng is None else [batches[number] for number in rng.permutation(len(batches))]
