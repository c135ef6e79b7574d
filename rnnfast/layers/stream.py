"""One step at a time, with the state kept between calls."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels._step import Chain, Stepper
from rnnfast.layers import _check
from rnnfast.layers._base import Layer

Array = np.ndarray
Step = Callable[[Array], Array]


class Snapshot(NamedTuple):
    """The state of a stream at one moment: for each recurrent layer h, and c for the LSTM."""

    states: tuple[tuple[Array, ...], ...]


class Stream:
    """A layer or a model that is fed one step at a time: ``y_t = stream(x_t)``.

    Made by ``layer.stream(batch_size)`` and ``model.stream(batch_size)`` from the parameters as they are then. The bits
    are those of one call on the whole sequence. A stream belongs to one thread; make one for each.

    Parameters
    ----------
    steps : sequence of callable
        From (B, features) to (B, features), one after another.
    batch_size : int
    dtype : numpy.dtype

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.GRU(3, 4, seed=0)
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 3)).astype("float32")
    >>> stream = layer.stream()
    >>> steps = [stream(x[:, t]).copy() for t in range(5)]
    >>> bool((np.stack(steps, 1) == layer(x)[0]).all())
    True
    """

    def __init__(self, steps: Sequence[Step], batch_size: int, dtype: Any):
        self.batch_size = batch_size
        self.dtype = np.dtype(dtype)
        self._chain = Chain(tuple(steps))
        self._steppers = [step for step in steps if isinstance(step, Stepper)]

    def __call__(self, x: Any, *, out: Array | None = None) -> Array:
        """Advance one step.

        Parameters
        ----------
        x : array_like (B, I), or what the first layer takes for one step
        out : ndarray (B, H), optional
            Where the result is copied.

        Returns
        -------
        ndarray (B, H)
            `out`, or a buffer that the next step overwrites.

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype.
        RuntimeError
            When another thread is inside the stream.
        """
        return self._chain(x, out)

    def reset(self, rows: Any = None) -> None:
        """Set the state to zero, of all rows or of those given (an index, a list of them or a mask)."""
        with self._chain:
            for stepper in self._steppers:
                state = stepper.get()
                for array in state:
                    array[slice(None) if rows is None else rows] = 0
                stepper.set(*state)

    def snapshot(self) -> Snapshot:
        """A copy of the state, for `restore`."""
        with self._chain:
            return Snapshot(tuple(stepper.get() for stepper in self._steppers))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this stream, or of another of the same model and batch size."""
        states = snapshot.states
        with self._chain:
            shapes = [[array.shape for array in stepper.get()] for stepper in self._steppers]
            if [[array.shape for array in state] for state in states] != shapes:
                raise ValueError("the snapshot is of a stream of another model or batch size")
            for stepper, state in zip(self._steppers, states, strict=True):
                stepper.set(*(np.ascontiguousarray(array, self.dtype) for array in state))


class Entry:
    """Makes of what a caller passes the contiguous (B, I) array that a recurrent layer takes."""

    def __init__(self, batch_size: int, input_size: int, dtype: np.dtype):
        self.shape, self.dtype = (batch_size, input_size), dtype

    def __call__(self, x: Any) -> Array:
        x = _check.real(x, self.dtype)
        if x.shape != self.shape:
            if self.shape[0] == 1 and x.shape == self.shape[1:]:
                return np.ascontiguousarray(x[None])
            raise ValueError(f"x must have shape {self.shape}, one step of each sequence, got {x.shape}")
        return x if x.flags.carray else np.require(x, requirements=["C", "A"])


def layer_steps(layer: Layer, batch_size: int) -> list[Step]:
    """What a layer does to one step. Layers that need the whole sequence refuse."""
    recurrent_steps = getattr(layer, "_stream_steps", None)
    if recurrent_steps is not None:
        return recurrent_steps(batch_size)
    if layer.has_state or not layer.works_on_steps:
        raise ValueError(f"{type(layer).__name__} needs the whole sequence, so it cannot run step by step")
    return [layer]
