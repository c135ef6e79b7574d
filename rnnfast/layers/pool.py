"""Streams that come and go, stepped as one batch."""

from typing import Any

import numpy as np

from rnnfast.kernels._stream import PoolBase
from rnnfast.layers import _check
from rnnfast.layers._base import Layer
from rnnfast.layers.stream import parts_of, stateful_steps


class Pool(PoolBase):
    """Many live streams of one layer or model: ``y = pool(x, slots)`` steps those that have something to say.

    Made by ``layer.pool(capacity)`` and ``model.pool(capacity)`` from the parameters as they are then. Each stream has
    the bits that it would have alone, whoever else is in the batch; the work is that of the rows stepped. All memory is
    had at the start. A pool belongs to one thread; make one for each.

    Parameters
    ----------
    layer : Layer
    capacity : int
        How many streams may live at once.

    Attributes
    ----------
    capacity : int
    dtype : numpy.dtype
    live_slots : tuple of int
        Those that have a stream, in ascending order.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.LSTM(3, 4, seed=0)
    >>> x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    >>> pool = layer.pool(capacity=100)
    >>> a, b = pool.join(), pool.join()
    >>> for t in range(4):
    ...     _ = pool(x[:1, t], [a])  # b pauses
    >>> together = pool(x[[0, 1], [4, 0]], [a, b]).copy()  # step 4 of a, step 0 of b
    >>> bool((together[0] == layer(x[:1])[0][0, 4]).all()), bool((together[1] == layer(x[1:])[0][0, 0]).all())
    (True, True)
    >>> pool.leave(a)
    >>> len(pool), pool.live_slots
    (1, (1,))
    """

    def __init__(self, layer: Layer, capacity: int):
        self.capacity = _check.size(capacity, "capacity")
        self.dtype = layer.dtype or np.dtype(np.float32)
        self._layer = layer
        parts = parts_of(layer, self.capacity)
        super().__init__(parts, self.capacity)
        self._held = stateful_steps(parts)

    def __len__(self) -> int:
        """How many streams live."""
        return len(self.live_slots)

    def __bool__(self) -> bool:
        return True

    def join(self, state: Any = None) -> int:
        """A new stream.

        Parameters
        ----------
        state : optional
            Where it goes on: what `snapshot` gave, or the state of a call of the layer (of `run`, for a model) on one
            sequence. None starts from zeros.

        Returns
        -------
        int
            Its slot, 0 to capacity - 1. A slot that was left is used again.

        Raises
        ------
        RuntimeError
            When the pool is full.
        ValueError, TypeError
            Where it is not the state of one sequence of such a layer.
        """
        arrays = None if state is None else self._layer._split_steps(state, 1)
        with self:
            slot = self.occupy()
            if slot < 0:
                raise RuntimeError(f"the pool is full: {self.capacity} streams live, which is its capacity")
            number = np.array([slot])
            for i, step in enumerate(self._held):
                if arrays is None:
                    step.clear(number)
                else:
                    step.set(number, *arrays[i])
            return slot

    def leave(self, slot: int) -> None:
        """End a stream and free its slot.

        Raises
        ------
        ValueError
            When the slot has no stream.
        """
        with self:
            self.vacate(slot)

    def snapshot(self, slot: int) -> Any:
        """A copy of one stream's state, in the form that the layer (or a model's `run`) takes and returns it."""
        with self:
            self.require_live(slot)
            return self._layer._join_steps(iter([step.get(np.array([slot])) for step in self._held]))
