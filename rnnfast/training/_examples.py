"""Arrays of training examples: checked once, cut into batches."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check


class Examples:
    """Inputs, targets and lengths whose first axis counts the sequences.

    Parameters
    ----------
    x : array_like (N, T, ...), or mapping of str to array_like (N, ...)
    y : array_like (N, ...), or mapping of str to these, optional
    lengths : array_like of int (N,), or mapping of str to these, optional
    timed : bool
        Whether y has a time axis, as x has: then batches cut both to the longest sequence in them. Of several inputs
        or targets nothing is cut.
    """

    def __init__(self, x: Any, y: Any = None, lengths: Any = None, *, timed: bool = False):
        self.x, self.y, self.lengths = _apply(np.asanyarray, x), _apply(np.asanyarray, y), None
        arrays = {**_by_name("x", self.x), **_by_name("y", self.y)}
        for name, array in arrays.items():
            if not array.ndim:
                raise ValueError(f"{name} must have a first axis that counts the sequences")
        if len({len(array) for array in arrays.values()}) != 1:
            found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
            raise ValueError(f"all arrays must have equally many sequences, got shapes {found}")
        self._count = len(next(iter(arrays.values())))
        self.several = any(isinstance(each, Mapping) for each in (x, y, lengths))
        self.timed = timed
        if lengths is None:
            return
        if self.several:
            self.lengths = _apply(np.asarray, lengths)
            for name, array in _by_name("lengths", self.lengths).items():
                if array.shape != (len(self),):
                    raise ValueError(f"{name} must have shape ({len(self)},), one for each sequence, got {array.shape}")
            return
        self.lengths = ops.sequence_lengths(lengths, self.x.shape[:2])
        if timed and self.y is not None and self.y.shape[1:2] != self.x.shape[1:2]:
            raise ValueError(f"x and y must have equally many steps, got shapes {self.x.shape} and {self.y.shape}")

    @property
    def is_cut(self) -> bool:
        """Whether batches are cut to the longest sequence in them."""
        return self.lengths is not None and not self.several

    def __len__(self) -> int:
        return self._count

    def part(self, rows: Any) -> "Examples":
        """Some of the sequences, by a slice."""
        return Examples(*(_rows(each, rows) for each in (self.x, self.y, self.lengths)), timed=self.timed)

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
            if not self.is_cut:
                yield _rows(self.x, rows), _rows(self.y, rows), _rows(self.lengths, rows), place
                continue
            lengths = _rows(self.lengths, rows)
            steps = slice(int(lengths.max()))
            y = self.y[rows, steps] if self.timed and self.y is not None else _rows(self.y, rows)
            yield self.x[rows, steps], y, lengths, place


def _apply(function: Callable[[Any], Any], value: Any) -> Any:
    """A function of an array, or of each in a mapping; None stays None."""
    if isinstance(value, Mapping):
        return {name: each if each is None else function(each) for name, each in value.items()}
    return None if value is None else function(value)


def _by_name(name: str, value: Any) -> dict[str, np.ndarray]:
    """The arrays in a value as `_apply` takes it, by what an error calls them."""
    named = {f"{name}[{key!r}]": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
    return {key: each for key, each in named.items() if each is not None}


def _rows(value: Any, rows: Any) -> Any:
    return _apply(lambda array: array[rows], value)
