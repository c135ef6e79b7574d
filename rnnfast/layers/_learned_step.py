"""Steps of a stream whose state begins where the layer has learnt to begin."""

from typing import Any

import numpy as np

from rnnfast.kernels._packed import Packed
from rnnfast.kernels._step import RecurrentStep


class LearnedStep(RecurrentStep):
    """A `RecurrentStep` that is cleared to an initial state.

    Parameters
    ----------
    packed : Packed
    rows : int
    state : ndarray (1, H), or for the LSTM the pair (h, c)
    """

    def __new__(cls, packed: Packed, rows: int, state: Any) -> "LearnedStep":
        return super().__new__(cls, packed, rows)  # type: ignore[call-arg]

    def __init__(self, packed: Packed, rows: int, state: Any):
        self._initial = state if isinstance(state, tuple) else (state,)
        self.clear(np.arange(rows))

    def clear(self, numbers: np.ndarray) -> None:
        """Set the state of sequences to the initial one."""
        self.set(numbers, *(np.repeat(array, len(numbers), axis=0) for array in self._initial))
