"""One step at a time, with the state kept between calls."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnfast._backend import require_compiled
from rnnfast.kernels._step import Step
from rnnfast.kernels._stream import Line, StreamBase
from rnnfast.layers import _check
from rnnfast.layers._base import Layer
from rnnfast.layers._block import as_array

Array = np.ndarray


class Stream(StreamBase):
    """A layer or a model that is fed one step at a time: ``y_t = stream(x_t)``.

    Made by ``layer.stream(batch_size)`` and ``model.stream(batch_size)`` from the parameters as they are then. The bits
    are those of one call on the whole sequence. All memory is had at the start, and a step allocates nothing, but for
    the layers that step in Python: activations, convolution, one's own cells. A stream belongs to one thread; make one
    for each.

    Parameters
    ----------
    layer : Layer
    batch_size : int
        B, how many sequences step together.

    Attributes
    ----------
    batch_size : int
    dtype : numpy.dtype

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.GRU(3, 4, seed=0)
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 3)).astype("float32")
    >>> stream = layer.stream()
    >>> steps = [stream(x[:, t]).copy() for t in range(5)]
    >>> y, state = layer(x)
    >>> bool((np.stack(steps, 1) == y).all()), bool((stream.snapshot() == state).all())
    (True, True)
    """

    def __init__(self, layer: Layer, batch_size: int = 1):
        self.batch_size = _check.size(batch_size, "batch_size")
        self.dtype = layer.dtype or np.dtype(np.float32)
        self._layer = layer
        self._versions = _versions(layer)
        super().__init__(parts_of(layer, self.batch_size), self.batch_size)
        self._held = stateful_steps(self.parts)
        self._all = np.arange(self.batch_size)

    def run(self, x: Any) -> Array:
        """Advance as many steps as x has, in one call of the layer: faster than one by one, and the same bits.

        Parameters
        ----------
        x : array_like (B, n, I), or (B, n) integers where the first layer is an Embedding

        Returns
        -------
        ndarray (B, n, F)
            New, not the steps' buffer.

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype; nothing has changed then.
        RuntimeError
            When the layer's parameters have changed since the stream was made, or another thread is inside.
        """
        x = as_array(x, "x")
        if x.ndim < 2 or x.shape[0] != self.batch_size:
            raise ValueError(
                f"x must have shape ({self.batch_size}, n, ...), some steps of each sequence, got {x.shape}"
            )
        with self:
            if _versions(self._layer) != self._versions:
                raise RuntimeError("the parameters have changed since this stream was made; make a new one")
            y, state = self._layer.run(x, self._state())
            self._set_state(state)
        return y

    def reset(self, rows: Any = None) -> None:
        """Set the state to zero.

        Parameters
        ----------
        rows : int, sequence of int, or mask (B,), optional
            Of these sequences alone; the others keep every bit.

        Raises
        ------
        ValueError, TypeError
            Where `rows` are not rows of this stream; nothing has changed then.
        """
        if type(rows) is int and 0 <= rows < self.batch_size:
            numbers = self._all[rows : rows + 1]
        else:
            numbers = self._all if rows is None else row_numbers(rows, self.batch_size)
        with self:
            for step in self._held:
                step.clear(numbers)

    def snapshot(self) -> Any:
        """A copy of the state, in the form that the layer (or a model's `run`) takes and returns it."""
        with self:
            return self._state()

    def restore(self, state: Any) -> None:
        """Go on from a state: of `snapshot`, or of a call of the layer (of `run`, for a model) on B sequences.

        Raises
        ------
        ValueError, TypeError
            Where it is not the state of such a layer and batch size; nothing has changed then.
        """
        with self:
            self._set_state(state)

    def _state(self) -> Any:
        return self._layer._join_steps(iter([step.get(self._all) for step in self._held]))

    def _set_state(self, state: Any) -> None:
        # All of it is checked before the first step changes.
        arrays = self._layer._split_steps(state, self.batch_size)
        for step, each in zip(self._held, arrays, strict=True):
            step.set(self._all, *each)


def _versions(layer: Layer) -> list[int]:
    return [block.version for block in (*layer.blocks(), *layer.buffer_blocks())]


class Entry(NamedTuple):
    """Where a line begins otherwise than with numbers: how input is converted, and the table whose rows ids choose."""

    convert: Callable[[Any, int], Array]
    table: Array


def parts_of(layer: Layer, rows: int) -> list[Any]:
    """What a layer does to one step of so many sequences: lines of compiled steps, and the layers that have none."""
    require_compiled("a stream or a pool")
    parts: list[Any] = []
    steps: list[Step] = []
    entry: Entry | None = None

    def close() -> None:
        nonlocal entry
        if steps:
            convert, table = entry or (partial(_numbers, width=steps[0].input_size, dtype=steps[0].dtype), None)
            parts.append(Line(tuple(steps), rows, convert, table))
        elif entry:
            parts.append(Line((), rows, *entry))
        steps.clear()
        entry = None

    for one in layer._stream_steps(rows):
        if isinstance(one, Step):
            steps.append(one)
            continue
        close()
        if isinstance(one, Entry):
            entry = one
        else:
            parts.append(one)
    close()
    return parts or [partial(_check.real, dtype=None)]


def stateful_steps(parts: Iterable[Any]) -> list[Any]:
    """The steps that hold a state, in order: compiled ones, and Python's with the same `clear`, `get` and `set`."""
    steps = [step for part in parts for step in (part.steps if isinstance(part, Line) else (part,))]
    return [step for step in steps if getattr(step, "has_state", False)]


def _numbers(x: Any, count: int, width: int, dtype: np.dtype) -> Array:
    """x as an array (count, width)."""
    x = _check.real(x, dtype)
    if x.shape == (width,) and count == 1:
        x = x[None]
    if x.shape != (count, width):
        raise ValueError(f"x must have shape {(count, width)}, one step of each sequence, got {x.shape}")
    return np.require(x, requirements=["C", "A"])


def row_numbers(rows: Any, count: int) -> Array:
    """An index, several or a mask as intp (n,), each from 0 to count - 1."""
    found = np.asarray(rows)
    if found.dtype == bool:
        if found.shape != (count,):
            raise ValueError(f"a mask of rows must have shape ({count},), got {found.shape}")
        return np.flatnonzero(found)
    if found.dtype.kind not in "iu" and found.size:
        raise TypeError(f"rows must be an index, a sequence of them or a mask, got dtype {found.dtype}")
    if found.ndim > 1:
        raise ValueError(f"rows must be an index, a sequence of them or a mask, got shape {found.shape}")
    if found.size and not (found.min() >= 0 and found.max() < count):
        raise ValueError(f"rows must be from 0 to {count - 1}, got {found.min()} to {found.max()}")
    return np.require(found.reshape(-1), np.intp, ["C", "A"])
