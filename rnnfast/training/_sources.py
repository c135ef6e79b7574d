"""Where the batches of an epoch come from: arrays, or whatever yields batches."""

import collections
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training._examples import Batch, Examples, TargetSteps

_FIELDS = ("x", "y", "lengths", "sample_weight")


class ExampleSource:
    """Arrays, cut anew each epoch.

    Parameters
    ----------
    examples : Examples
    batching : int or callable
        See `Examples.places`.
    shuffle : bool
    """

    unit = "seq"

    def __init__(self, examples: Examples, batching: Any, shuffle: bool):
        self.examples, self.batching, self.shuffle = examples, batching, shuffle
        if not callable(batching):
            _check.size(batching, "batch_size")

    @property
    def sequences(self) -> int | None:
        """How many an epoch has, for the bar."""
        return len(self.examples)

    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch but for the first `skip`; what is drawn is drawn at once."""
        return self.examples.epoch(self.batching, rng if self.shuffle else None, skip)

    def pass_over(self, epochs: int) -> None:
        """Nothing: every epoch begins anew."""

    def describe(self) -> dict[str, Any]:
        """What a resumed run must have in common with the one that it goes on with."""
        return {"sequences": len(self.examples), "batch_size": told(self.batching), "shuffle": self.shuffle}


class BatchSource:
    """Batches that somebody else makes: larger than memory, or made up as they are wanted.

    Parameters
    ----------
    batches : callable, sequence or iterable
        A function without arguments that gives a new iterator each epoch; an object with `__len__` and `__getitem__`,
        whose batches are shuffled; an iterable that starts anew each epoch; or an iterator, which goes on from epoch to
        epoch. Each batch is a tuple (x, y), (x, y, lengths) or (x, y, lengths, sample_weight), or a mapping with these
        names.
    steps : int, optional
        Batches an epoch; without it, until there are no more.
    shuffle : bool
        Of batches that can be had by number.
    target_steps : callable, optional
        As of `Examples`.
    """

    sequences: int | None = None
    unit = "seq"

    def __init__(self, batches: Any, steps: int | None, shuffle: bool, target_steps: TargetSteps):
        self.batches, self.shuffle, self.target_steps = batches, shuffle, target_steps
        self.steps = None if steps is None else _check.size(steps, "steps_per_epoch")
        self.by_number = hasattr(batches, "__getitem__") and hasattr(batches, "__len__")
        if not (callable(batches) or self.by_number or isinstance(batches, Iterable)):
            raise TypeError(f"x without y must be something that gives batches, got {type(batches).__name__}")
        self._going_on: Iterator[Any] | None = batches if isinstance(batches, Iterator) else None

    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch but for the first `skip`; what is drawn is drawn at once."""
        if self.by_number:
            count = len(self.batches)
            order = rng.permutation(count) if self.shuffle else range(count)
            return (as_batch(self.batches[int(i)], self.target_steps) for i in order[skip : self.steps])
        if self._going_on is not None:
            found = self._going_on
        else:
            found = iter(self.batches() if callable(self.batches) else self.batches)
        return (as_batch(each, self.target_steps) for each in islice(found, skip, self.steps))

    def pass_over(self, epochs: int) -> None:
        """Leave out what an iterator gave in so many epochs before."""
        if self._going_on is not None and self.steps is not None:
            collections.deque(islice(self._going_on, max(epochs, 0) * self.steps), maxlen=0)

    def describe(self) -> dict[str, Any]:
        """What a resumed run must have in common with the one that it goes on with."""
        return {"steps_per_epoch": self.steps, "shuffle": self.shuffle and self.by_number}


def as_batch(found: Any, target_steps: TargetSteps) -> Batch:
    """What a source yields, as a batch; `target_steps` as of `Examples`.

    Raises
    ------
    ValueError, TypeError
        When it is neither a tuple of two to four nor a mapping with x and y.
    """
    if isinstance(found, Mapping):
        if not {"x", "y"} <= found.keys() <= set(_FIELDS):
            raise ValueError(f"a batch as a mapping has x, y and perhaps {_FIELDS[2:]}, got {', '.join(found)}")
        found = tuple(found.get(name) for name in _FIELDS)
    if not isinstance(found, (tuple, list)) or not 2 <= len(found) <= 4:
        got = f"{len(found)} entries" if isinstance(found, (tuple, list)) else type(found).__name__
        raise TypeError(f"a batch must be (x, y), (x, y, lengths) or (x, y, lengths, sample_weight), got {got}")
    return Examples(*found, target_steps=target_steps).batch(slice(None))


def make_source(
    x: Any,
    y: Any,
    lengths: Any,
    weights: Any,
    *,
    target_steps: TargetSteps,
    batching: Any,
    shuffle: bool,
    steps: int | None = None,
) -> ExampleSource | BatchSource:
    """Arrays where there is a y, else whatever x is that yields batches; or a source, as it is."""
    if y is None and isinstance(x, (np.ndarray, Mapping)):
        raise ValueError("y is missing: arrays want targets, and what gives batches gives them with each batch")
    if y is not None:
        if steps is not None:
            raise ValueError("steps_per_epoch is for batches that come one by one; arrays have an end of their own")
        return ExampleSource(Examples(x, y, lengths, weights, target_steps=target_steps), batching, shuffle)
    if lengths is not None or weights is not None:
        raise ValueError("lengths and sample_weight of batches that come one by one are given with each batch")
    return x if isinstance(x, BatchSource) else BatchSource(x, steps, shuffle, target_steps)


def told(value: Any) -> str:
    """What an object says of itself, but for its place in memory, which is another in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def check_class_weight(table: Any) -> dict[int, float] | None:
    """Weights by class, or None.

    Raises
    ------
    TypeError, ValueError
        When it is no mapping of whole numbers to finite numbers of at least 0.
    """
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise TypeError(f"class_weight must be a mapping from classes to weights, got {table!r:.60}")
    for name in table:
        if not isinstance(name, (int, np.integer)):
            raise TypeError(f"class_weight: classes go by whole numbers, got {name!r}")
    return {int(name): _check.not_negative(weight, f"class_weight[{name!r}]") for name, weight in table.items()}


def class_weights(y: Any, weights: Any, table: Mapping[int, float]) -> np.ndarray:
    """Weights of the places, of their classes' weights.

    Parameters
    ----------
    y : integers, or numbers that are whole, (B,) or (B, T)
        A last axis of 1 may follow.
    weights : array_like (B,) or (B, T), optional
        What these are multiplied by.
    table : mapping of int to float
        By class; 1 for a class that is not in it.
    """
    classes, weights = np.asarray(y), None if weights is None else np.asarray(weights)
    if classes.ndim > (1 if weights is None else weights.ndim) and classes.shape[-1] == 1:
        classes = classes[..., 0]
    if classes.dtype.kind not in "biuf" or classes.ndim not in (1, 2):
        raise ValueError(f"class_weight needs targets of shape (N,) or (N, T) that name classes, got {np.shape(y)}")
    found = np.ones(classes.shape)
    for name, weight in table.items():
        found[classes == name] = weight
    if weights is None:
        return found
    return found * (weights[:, None] if weights.ndim < found.ndim else weights)


Source = ExampleSource | BatchSource
