"""Arrays of training examples: checked once, cut into batches."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._block import as_array
from rnnfast.training._ragged import Ragged, is_ragged

TargetSteps = Callable[[np.ndarray], np.ndarray] | None


class Batch(NamedTuple):
    """What one step of training takes: `count` sequences."""

    x: Any
    y: Any
    lengths: Any
    weights: Any
    count: int  # type: ignore[assignment]


class Examples:
    """Inputs, targets, lengths and weights whose first axis counts the sequences.

    Parameters
    ----------
    x : array_like (N, T, ...), list of array_like (T_i, ...), or mapping of str to these
        A list of sequences of unequal length is padded batch by batch, and gives the lengths.
    y : array_like (N, ...), list of array_like, or mapping of str to these, optional
        A list that is as long as x sequence by sequence is padded as x is; of any other list, a batch holds a list.
    lengths : array_like of int (N,), or mapping of str to these, optional
    weights : array_like (N,) or (N, T), list of array_like (T_i,), or mapping of str to these, optional
        What the losses of the sequences, or of their steps, are multiplied by.
    target_steps : callable, optional
        Where y has a time axis: the lengths (N,) of y's sequences by those of x's. Batches then cut both to the longest
        sequence in them. Of several inputs or targets nothing is cut.
    """

    def __init__(
        self, x: Any, y: Any = None, lengths: Any = None, weights: Any = None, *, target_steps: TargetSteps = None
    ):
        self.several = any(isinstance(each, Mapping) for each in (x, y, lengths))
        self.x, self.y = _columns("x", x), _columns("y", y)
        self.lengths, self.weights = self._own_lengths(lengths), _columns("sample_weight", weights)
        self.target_steps = target_steps
        named = {**_by_name("x", self.x), **_by_name("y", self.y), **_by_name("sample_weight", self.weights)}
        counts = {name: len(each) for name, each in named.items()}
        if len(set(counts.values())) != 1:
            found = ", ".join(f"{name} {_shape(each)}" for name, each in named.items()) or "none"
            raise ValueError(f"all arrays must have equally many sequences, got shapes {found}")
        self._count = next(iter(counts.values()))
        self._check_lengths()
        if not self.several:
            self._check_steps()

    def _own_lengths(self, lengths: Any) -> Any:
        ragged = {name: each.lengths for name, each in _by_name("x", self.x).items() if isinstance(each, Ragged)}
        if not ragged:
            return lengths
        if lengths is not None and not isinstance(lengths, Mapping):
            raise ValueError("lengths of a list of sequences are those of its entries: leave lengths= out")
        if not isinstance(self.x, Mapping):
            return self.x.lengths
        own = {name: each.lengths for name, each in self.x.items() if isinstance(each, Ragged)}
        return {**own, **(lengths or {})}

    def _check_lengths(self) -> None:
        if self.lengths is None:
            return
        if self.several:
            self.lengths = _apply(np.asarray, self.lengths)
            for name, array in _by_name("lengths", self.lengths).items():
                if array.shape != (len(self),):
                    raise ValueError(f"{name} must have shape ({len(self)},), one for each sequence, got {array.shape}")
            return
        steps = int(self.x.lengths.max(initial=0)) if isinstance(self.x, Ragged) else None
        shape = self.x.shape[:2] if steps is None else (len(self), steps)
        self.lengths = ops.sequence_lengths(self.lengths, shape)

    def _check_steps(self) -> None:
        x, y, weights = self.x, self.y, self.weights
        if self.target_steps is not None and self.lengths is not None and y is not None:
            if isinstance(y, Ragged):
                same = np.array_equal(self._own_steps(), y.lengths)
            else:
                same = not isinstance(x, Ragged) and y.shape[1:2] == (self._steps_of_targets(x.shape[1]),)
            if not same:
                where = ", counted in the model's output" if self._steps_of_targets(64) != 64 else ""
                raise ValueError(f"x and y must have equally many steps{where}, got shapes {_shape(x)} and {_shape(y)}")
        if isinstance(weights, Ragged):
            if weights.tail or self.lengths is None or not np.array_equal(self._own_steps(), weights.lengths):
                raise ValueError("sample_weight: a list must hold a number for each step of each sequence in lists")
        elif weights is not None and weights.ndim > 2:
            raise ValueError(f"sample_weight must have shape (N,) or (N, T), got {_shape(weights)}")

    def _own_steps(self) -> np.ndarray:
        """How many steps of each sequence the loss counts."""
        return self.lengths if self.target_steps is None else self.target_steps(self.lengths)

    def _steps_of_targets(self, steps: int) -> int:
        """How many steps y has where x has `steps`."""
        return steps if self.target_steps is None else int(self.target_steps(np.array([steps]))[0])

    @property
    def is_cut(self) -> bool:
        """Whether batches are cut to the longest sequence in them."""
        return self.lengths is not None and not self.several

    def __len__(self) -> int:
        return self._count

    def part(self, rows: slice) -> "Examples":
        """Some of the sequences."""
        x, y, weights = (_rows(each, rows) for each in (self.x, self.y, self.weights))
        lengths = None if isinstance(self.x, Ragged) else _rows(self.lengths, rows)
        return Examples(x, y, lengths, weights, target_steps=self.target_steps)

    def split(self, fraction: float) -> tuple["Examples", "Examples"]:
        """All but the last `fraction` of the sequences, and that tail."""
        at = math.floor(len(self) * (1 - _check.probability(fraction, "validation_split")))
        if at in (0, len(self)):
            raise ValueError(f"validation_split={fraction} of {len(self)} sequences leaves one side empty")
        return self.part(slice(at)), self.part(slice(at, None))

    def places(self, batching: Any, rng: np.random.Generator | None = None) -> list[Any]:
        """The rows of each batch, as slices or numbers.

        Parameters
        ----------
        batching : int or callable
            Sequences a batch, or a function of (lengths (N,), rng) that gives a list of integer arrays.
        rng : numpy.random.Generator, optional
            Draws the order; None keeps it.
        """
        if not callable(batching):
            size = _check.size(batching, "batch_size")
            slices = [slice(start, start + size) for start in range(0, len(self), size)]
            if rng is None:
                return slices
            order = rng.permutation(len(self))
            return [order[place] for place in slices]
        found = [np.asarray(rows) for rows in batching(self._sizes(), rng)]
        if any(rows.ndim != 1 or rows.dtype.kind not in "iu" for rows in found):
            raise ValueError(f"batch_size={batching!r} must give lists of numbers of sequences")
        wrong = [row for rows in found if rows.size for row in (rows.min(), rows.max()) if not 0 <= row < len(self)]
        if wrong:
            raise ValueError(f"batch_size={batching!r} must give numbers from 0 to {len(self) - 1}, got {wrong[0]}")
        if len(self) and not any(rows.size for rows in found):
            raise ValueError(f"batch_size={batching!r} leaves no batch of {len(self)} sequences")
        return found

    def _sizes(self) -> np.ndarray:
        """How long each sequence is, for what makes batches of equal length."""
        if self.lengths is not None and not isinstance(self.lengths, Mapping):
            return self.lengths
        each = next(iter(_by_name("x", self.x).values()))
        lengths = next(iter(self.lengths.values())) if isinstance(self.lengths, Mapping) else None
        return np.full(len(self), each.shape[1] if each.ndim > 1 else 1) if lengths is None else lengths

    def count(self, rows: Any) -> int:
        """How many sequences some rows are."""
        return len(range(*rows.indices(len(self)))) if isinstance(rows, slice) else len(rows)

    def batch(self, rows: Any) -> Batch:
        """The batch of some rows."""
        lengths = _rows(self.lengths, rows)
        longest = int(lengths.max(initial=0)) if self.is_cut else 0
        steps = slice(self._steps_of_targets(longest) if self.is_cut else None)
        x = self.x.padded(rows) if isinstance(self.x, Ragged) else _cut(self.x, rows, slice(longest), self.is_cut)
        return Batch(
            x, self._targets(rows, steps), lengths, _cut(self.weights, rows, steps, self.is_cut), self.count(rows)
        )

    def _targets(self, rows: Any, steps: slice) -> Any:
        if isinstance(self.y, Ragged):
            return self.y.part(rows).arrays if self.target_steps is None else self.y.padded(rows)
        return _cut(self.y, rows, steps, self.is_cut and self.target_steps is not None)

    def epoch(self, batching: Any, rng: np.random.Generator | None, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch but for the first `skip`; the order is drawn at once."""
        places = self.places(batching, rng)
        return (self.batch(rows) for rows in places[skip:])


def _columns(name: str, value: Any) -> Any:
    """Arrays of a value, or of each in a mapping; None stays None."""
    if isinstance(value, Mapping):
        return {key: each if each is None else _column(f"{name}[{key!r}]", each) for key, each in value.items()}
    return None if value is None else _column(name, value)


def _column(name: str, value: Any) -> Any:
    if isinstance(value, Ragged) or is_ragged(value):
        return value if isinstance(value, Ragged) else Ragged(value, name)
    array = value if isinstance(value, np.ndarray) else as_array(value, name)
    if not array.ndim:
        raise ValueError(f"{name} must have a first axis that counts the sequences")
    return array


def _apply(function: Callable[[Any], Any], value: Any) -> Any:
    """A function of an array, or of each in a mapping; None stays None."""
    if isinstance(value, Mapping):
        return {name: each if each is None else function(each) for name, each in value.items()}
    return None if value is None else function(value)


def _by_name(name: str, value: Any) -> dict[str, Any]:
    """The arrays in a value as `_apply` takes it, by what an error calls them."""
    named = {f"{name}[{key!r}]": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
    return {key: each for key, each in named.items() if each is not None}


def _rows(value: Any, rows: Any) -> Any:
    return _apply(lambda each: each.part(rows) if isinstance(each, Ragged) else each[rows], value)


def _cut(value: Any, rows: Any, steps: slice, cuts: bool) -> Any:
    """Some rows, and where the batch is cut some steps of them."""
    if cuts and isinstance(value, np.ndarray) and value.ndim > 1:
        return value[rows, steps]
    return _apply(lambda each: each.padded(rows) if isinstance(each, Ragged) else each[rows], value)


def _shape(value: Any) -> str:
    return f"({len(value)}, ragged)" if isinstance(value, Ragged) else str(value.shape)
