"""What a grid of layers and directions needs around its calls of `ops`."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels._threads import side_by_side
from rnnfast.layers import _check

Array = np.ndarray


class Saved(NamedTuple):
    """What a grid keeps from forward to backward."""

    key: Any
    calls: list[Any]
    beside: list[bool]  # for each layer: its directions run side by side


def run_all(calls: Sequence[Callable[[], Any]], beside: bool) -> list[Any]:
    return side_by_side(*calls) if beside else [call() for call in calls]


def one_state(h: Array | None, c: Array | None, at: int) -> Any:
    """One direction's part of a state."""
    return None if h is None else h[at] if c is None else (h[at], c[at])


class Orientation:
    """Between the caller's axes and (B, T, features): views, never copies."""

    def __init__(self, unbatched: bool, time_major: bool):
        self.unbatched, self.time_major = unbatched, time_major
        self.state_shape: tuple[int, int, int] = (0, 0, 0)

    def enter(self, array: Array) -> Array:
        if self.unbatched:
            return array[None]
        return array.transpose(1, 0, 2) if self.time_major else array

    def leave(self, array: Array) -> Array:
        if self.unbatched:
            return array[0]
        return array.transpose(1, 0, 2) if self.time_major else array

    def enter_state(self, state: Any, name: str, dtype: np.dtype) -> Array:
        state = _check.real(state, dtype, name)
        wanted = (self.state_shape[0], self.state_shape[2]) if self.unbatched else self.state_shape
        if state.shape != wanted:
            raise ValueError(f"{name} must have shape {wanted}, got {state.shape}")
        return state.reshape(self.state_shape)
