"""Gates and states of one sequence, out of a trace."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array

STATES = ("h", "c")


def traced(trace: Any, level: str | None) -> tuple[str, Mapping[str, Array]]:
    """One layer and direction of a trace: its name, and its arrays by name.

    Parameters
    ----------
    trace : mapping as `layer.trace` gives it, or a tuple (layer, x)
    level : str, optional
        "l0", "l0_reverse" ...; None is the first.
    """
    if isinstance(trace, tuple):
        if len(trace) != 2 or not hasattr(trace[0], "gradient_norms"):
            raise TypeError("trace must be what layer.trace(x) gives, or a tuple (layer, x)")
        trace = trace[0].trace(trace[1])
    if not isinstance(trace, Mapping) or not all(isinstance(each, Mapping) for each in trace.values()):
        raise TypeError(f"trace must be what layer.trace(x) gives, or a tuple (layer, x), got {type(trace).__name__}")
    level = next(iter(trace)) if level is None else level
    if level not in trace:
        raise ValueError(f"the trace has no layer {level!r}; it has {', '.join(trace)}")
    return level, trace[level]


def one_sequence(array: Array, sequence: int, length: int | None = None) -> Array:
    """(T, H) of one sequence, up to its length."""
    if array.ndim == 3:
        if not -len(array) <= sequence < len(array):
            raise ValueError(f"there are {len(array)} sequences, got sequence={sequence}")
        array = array[sequence]
    if length is not None:
        if length > len(array):
            raise ValueError(f"there are {length} labels for {len(array)} steps")
        array = array[:length]
    if not array.size:
        raise ValueError(f"there is nothing to draw: the sequence has shape {array.shape}")
    return array


def chosen(units: slice | Sequence[int] | int | None, count: int) -> Array:
    """The numbers of the units that are drawn; None is all."""
    if units is None:
        return np.arange(count)
    if not isinstance(units, slice):
        units = np.atleast_1d(np.asarray(units, None if np.size(units) else np.int64))  # type: ignore[assignment]
    try:
        found = np.arange(count)[units]  # type: ignore[index]
    except IndexError as error:
        raise ValueError(f"units must be numbers from 0 to {count - 1}, got {units}") from error
    if not len(found):
        raise ValueError(f"units must choose at least one of {count}, got {units}")
    return found
