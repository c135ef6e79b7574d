"""Arrays of training examples: checked once, cut into batches."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check


class Examples:
    """Inputs, targets and lengths whose first axis counts the sequences.

    Parameters
    ----------
    x : array_like (N, T, ...)
    y : array_like (N, ...), optional
    lengths : array_like of int (N,), optional
    timed : bool
        Whether y has a time axis, as x has: then batches cut both to the longest sequence in them.
    """

    def __init__(self, x: Any, y: Any = None, lengths: Any = None, *, timed: bool = False):
        self.x = np.asanyarray(x)
        self.y = None if y is None else np.asanyarray(y)
        if not self.x.ndim:
            raise ValueError("x must have a first axis that counts the sequences")
        if self.y is not None and self.y.shape[:1] != self.x.shape[:1]:
            raise ValueError(f"x and y must have equally many sequences, got shapes {self.x.shape} and {self.y.shape}")
        self.lengths = None
        if lengths is not None:
            self.lengths = ops.sequence_lengths(lengths, self.x.shape[:2])
            if timed and self.y is not None and self.y.shape[1:2] != self.x.shape[1:2]:
                raise ValueError(f"x and y must have equally many steps, got shapes {self.x.shape} and {self.y.shape}")
        self.timed = timed

    def __len__(self) -> int:
        return len(self.x)

    def part(self, rows: Any) -> "Examples":
        """Some of the sequences, by a slice."""
        y, lengths = (None if a is None else a[rows] for a in (self.y, self.lengths))
        return Examples(self.x[rows], y, lengths, timed=self.timed)

    def split(self, fraction: float) -> tuple["Examples", "Examples"]:
        """All but the last `fraction` of the sequences, and that tail."""
        at = math.floor(len(self) * (1 - _check.probability(fraction, "validation_split")))
        if at in (0, len(self)):
            raise ValueError(f"validation_split={fraction} of {len(self)} sequences leaves one side empty")
        return self.part(slice(at)), self.part(slice(at, None))

    def batches(self, batch_size: int, order: np.ndarray | None = None) -> Iterator[tuple[Any, Any, Any, slice]]:
        """(x, y, lengths, place) of each batch, in order or in the given order of sequences."""
        batch_size = _check.size(batch_size, "batch_size")
        for start in range(0, len(self), batch_size):
            place = slice(start, start + batch_size)
            rows = place if order is None else order[place]
            if self.lengths is None:
                yield self.x[rows], None if self.y is None else self.y[rows], None, place
                continue
            lengths = self.lengths[rows]
            steps = slice(int(lengths.max()))
            y = None if self.y is None else self.y[rows, steps] if self.timed else self.y[rows]
            yield self.x[rows, steps], y, lengths, place
