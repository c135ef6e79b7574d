"""The states of recurrent layers on top of each other, taken apart level by level and put together again."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers._base import Layer
from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray
Parts = list[list[tuple[Array, ...]]]
"""By level and direction: (h,), or (h, c) of an LSTM, each (B, H)."""


class LevelShape(NamedTuple):
    """A level's directions, and how wide h is, and c of an LSTM."""

    directions: int
    sizes: tuple[int, ...]


def level_shapes(layers: Iterable[Layer]) -> list[LevelShape]:
    """The levels of all recurrent layers, from the lowest up.

    Raises
    ------
    ValueError
        When a layer holds a state of a form of its own.
    """
    found = []
    for layer in layers:
        if isinstance(layer, Recurrent):
            directions = 1 + layer.bidirectional
            found += [LevelShape(directions, level.directions[0].state_sizes) for level in layer._levels]
        elif layer.has_state:
            raise ValueError(
                f"the state of a {type(layer).__name__} cannot be led from an encoder to a decoder; use bridge='zeros'"
            )
    return found


def take_apart(layers: Iterable[Layer], states: Sequence[Any], rows: int, dtype: np.dtype) -> Parts:
    """The states of `rows` sequences, one entry a layer that has one, by level and direction."""
    found: Parts = []
    for layer, state in zip((layer for layer in layers if layer.has_state), states, strict=True):
        assert isinstance(layer, Recurrent)
        directions = 1 + layer.bidirectional
        flat = layer._form.enter(state, rows, False, "state", dtype)
        tuples = [each if isinstance(each, tuple) else (each,) for each in flat]
        found += [tuples[i : i + directions] for i in range(0, len(tuples), directions)]
    return found


def put_together(layers: Iterable[Layer], parts: Parts, rows: int, dtype: np.dtype) -> tuple[Any, ...]:
    """The states in the layers' own forms: what `take_apart` took apart."""
    given = iter([direction for level in parts for direction in level])
    found = []
    for layer in layers:
        if isinstance(layer, Recurrent):
            memory, views = layer._form.room(rows, dtype)
            for view in views:
                for array, value in zip(view, next(given), strict=True):
                    array[...] = value
            found.append(layer._form.leave(memory, False))
    return tuple(found)
