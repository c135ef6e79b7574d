"""What an optimizer goes through: the trained parameters of a model, as few stretches of memory as possible."""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers._block import Block, contiguous_runs


class Part(NamedTuple):
    """A stretch of parameters, their gradients, their place among all of the model's, and what they have in common."""

    data: np.ndarray
    grad: np.ndarray
    place: slice
    common: Any


def trained_parts(blocks: Sequence[Block], common: Callable[[Block, str], Hashable] | None = None) -> list[Part]:
    """The parameters that are not frozen; neighbours in memory are joined where they have the same in common.

    Parameters
    ----------
    blocks : sequence of Block
    common : callable, optional
        Called with a block and a parameter's name in it.
    """
    parts, start = [], 0
    for run, data, grad in contiguous_runs(blocks):
        for first, last, value in _stretches(run, common):
            parts.append(Part(data[first:last], grad[first:last], slice(start + first, start + last), value))
        start += data.size
    return parts


def _stretches(run: list[Block], common: Callable[[Block, str], Hashable] | None) -> list[tuple[int, int, Any]]:
    found: list[tuple[int, int, Any]] = []
    stop = 0
    for block in run:
        for name, shape in block.shapes.items():
            start, stop = stop, stop + math.prod(shape)
            if name in block.frozen_names or start == stop:
                continue
            value = None if common is None else common(block, name)
            if found and found[-1][1:] == (start, value):
                start = found.pop()[0]
            found.append((start, stop, value))
    return found
