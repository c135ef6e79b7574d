"""What a grid of layers and directions needs around its calls of `ops`."""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast.kernels._threads import side_by_side
from rnnfast.layers import _check

Array = np.ndarray


class LSTMState(NamedTuple):
    """State of an LSTM: h and c, each (L·D, B, H), or (L·D, H) for one unbatched sequence."""

    h: Array
    c: Array


class Masks(IntEnum):
    """What a recurrent layer draws masks for: no two have a random stream in common."""

    BETWEEN = 0
    INPUT = 1
    WEIGHT = 2
    CELL = 3  # zoneout and recurrent dropout: three streams from each fourth place on

    def stream(self, place: int) -> int:
        """The `stream` of `ops.dropout` for one layer or direction."""
        return self << 24 | place


def run_all(run: Callable[[int], Any], directions: int, beside: bool) -> list[Any]:
    """What `run` gives for each direction."""
    if beside:
        return side_by_side(*(partial(run, i) for i in range(directions)))
    return [run(i) for i in range(directions)]


class Orientation:
    """Between the caller's axes and (B, T, features): views, never copies."""

    def __init__(self, unbatched: bool, time_major: bool):
        self.unbatched, self.time_major = unbatched, time_major

    def enter(self, array: Array) -> Array:
        """(B, T, F), or (B, T) of a mask."""
        if self.unbatched:
            return array[None]
        return array.swapaxes(0, 1) if self.time_major else array

    def leave(self, array: Array) -> Array:
        if self.unbatched:
            return array[0]
        return array.swapaxes(0, 1) if self.time_major else array


class StateForm:
    """Between the caller's form of a state and what `ops` takes of it for each direction.

    Layers of one width are stacked, layer-major: (L·D, B, H). Otherwise there is one entry a layer, each (D, B, H).

    Parameters
    ----------
    cell : "rnn", "lstm" or "gru"
    directions : int
        D.
    sizes : sequence of tuple of int
        For each layer, how wide h is, and c of an LSTM.
    """

    def __init__(self, cell: str, directions: int, sizes: Sequence[tuple[int, ...]]):
        self.cell = cell
        self.stacked = len(set(sizes)) == 1
        self._nothing: list[Any] = [None] * (directions * len(sizes))
        self._groups = [(directions * len(sizes), sizes[0])] if self.stacked else [(directions, each) for each in sizes]

    def room(self, B: int, dtype: np.dtype) -> tuple[list[list[Array]], list[tuple[Array, ...]]]:
        """Memory for a state, and each direction's views of it."""
        memory: list[list[Array]] = []
        views: list[tuple[Array, ...]] = []
        for count, widths in self._groups:
            group = [np.empty((count, B, width), dtype) for width in widths]
            memory.append(group)
            views += _each(group, count)
        return memory, views

    def leave(self, memory: list[list[Array]], unbatched: bool) -> Any:
        """The caller's form."""
        if self.stacked:
            return self._named(memory[0], unbatched)
        return tuple(self._named(group, unbatched) for group in memory)

    def enter(self, state: Any, B: int, unbatched: bool, name: str, dtype: np.dtype) -> list[Any]:
        """For each direction h (B, H), or the pair (h, c); None each where `state` is None.

        Raises
        ------
        ValueError, TypeError
            For another form, shape or kind of number.
        """
        if state is None:
            return self._nothing
        found: list[Any] = []
        for (count, widths), (group, label) in zip(self._groups, self._entries(state, name), strict=True):
            arrays = []
            for array, width, what in zip(self._parts(group, label), widths, ("h", "c"), strict=False):
                what = f"{what} of {label}" if self.cell == "lstm" else label
                array, wanted = _check.real(array, dtype, what), (count, width) if unbatched else (count, B, width)
                if array.shape != wanted:
                    raise ValueError(f"{what} must have shape {wanted}, got {array.shape}")
                arrays.append(array.reshape(count, B, width))
            found += _each(arrays, count) if self.cell == "lstm" else [arrays[0][i] for i in range(count)]
        return found

    def is_unbatched(self, state: Any) -> bool:
        """Whether the arrays of a state have no axis for the batch."""
        group, label = self._entries(state, "state")[0]
        return np.ndim(self._parts(group, label)[0]) == 2

    def join(self, held: Iterable[tuple[Array, ...]]) -> Any:
        """The caller's form of what the steps of a one-way stack hold, (h,) or (h, c) each."""
        each = [list(arrays) for arrays in held]
        if self.stacked:
            return self._named([np.stack(part) for part in zip(*each, strict=True)], False)
        return tuple(self._named([part[None] for part in arrays], False) for arrays in each)

    def _named(self, arrays: list[Array], unbatched: bool) -> Any:
        if unbatched:
            arrays = [array[:, 0] for array in arrays]
        return LSTMState(*arrays) if self.cell == "lstm" else arrays[0]

    def _parts(self, group: Any, label: str) -> tuple[Any, ...]:
        return ops.state_pair(group, label) if self.cell == "lstm" else (group,)

    def _entries(self, state: Any, name: str) -> list[tuple[Any, str]]:
        if self.stacked:
            return [(state, name)]
        if not isinstance(state, (tuple, list)) or len(state) != len(self._groups):
            got = f"{len(state)} entries" if isinstance(state, (tuple, list)) else type(state).__name__
            raise ValueError(
                f"{name} must be a tuple of {len(self._groups)} entries, one for each layer, as their widths differ, "
                f"got {got}"
            )
        return [(entry, f"{name}[{i}]") for i, entry in enumerate(state)]


def _each(arrays: list[Array], count: int) -> list[tuple[Array, ...]]:
    """One or two arrays by their first axis. (`zip` takes microseconds to find the end of an array.)"""
    if len(arrays) == 1:
        return [(arrays[0][i],) for i in range(count)]
    h, c = arrays
    return [(h[i], c[i]) for i in range(count)]
