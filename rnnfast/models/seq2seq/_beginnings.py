"""The states of many hypotheses, of any length, to go on from."""

from typing import Any

import numpy as np

from rnnfast.models.seq2seq._search import Position
from rnnfast.models.seq2seq._stepping import Stepper

Array = np.ndarray


class Beginnings:
    """Keeps the recurrent states of all beginnings of a search.

    Parameters
    ----------
    first : Position
        Where the search begins: a row for each source.
    """

    def __init__(self, first: Position):
        self._first, self._last = first, first
        self._rows = np.arange(len(first.sources))
        self._count = 0
        self._kept: list[Array] = []
        """The arrays of a state (L, capacity, H), in the order of the nest."""

    def add(self, position: Position) -> None:
        """Keep the states after a step."""
        arrays = _flat(position.recurrent)
        begin, self._count = self._count, self._count + arrays[0].shape[1]
        if not self._kept or self._kept[0].shape[1] < self._count:
            room = [np.empty((len(each), 2 * self._count, *each.shape[2:]), each.dtype) for each in arrays]
            for new, old in zip(room, self._kept, strict=False):
                new[:, :begin] = old[:, :begin]
            self._kept = room
        for kept, each in zip(self._kept, arrays, strict=True):
            kept[:, begin : self._count] = each
        self._nest = position.recurrent

    def take(self, places: Array, rows: Array) -> Position:
        """The states of the numbers (N,) in which they came, each of another row of the batch.

        Rows (N,) rise, and each call's are among those of the call before.
        """
        recurrent = _nested(self._nest, iter([kept.take(places, axis=1) for kept in self._kept]))
        first, last = self._first, self._last
        if len(rows) != len(self._rows):
            memory, lengths, sources = first.memory, first.lengths, rows
            if not isinstance(memory, Stepper) and memory is not None:
                memory, sources = memory[rows], np.arange(len(rows))
                lengths = None if lengths is None else lengths[rows]
            context = None if first.context is None else first.context[rows]
            self._last = last = Position(None, memory, lengths, context, sources, None)
            self._rows = rows
        return last._replace(recurrent=recurrent)


def _flat(nest: Any) -> list[Array]:
    if isinstance(nest, tuple):
        return [array for each in nest for array in _flat(each)]
    return [] if nest is None else [nest]


def _nested(form: Any, arrays: Any) -> Any:
    if isinstance(form, tuple):
        found = [_nested(each, arrays) for each in form]
        return type(form)(*found) if hasattr(form, "_fields") else tuple(found)
    return None if form is None else next(arrays)
