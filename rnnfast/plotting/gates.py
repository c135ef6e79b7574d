"""Gates and states by step and unit, as heat maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array, Axes, heat_map, label_height, panels, token_ticks
from rnnfast.plotting._traced import STATES, chosen, one_sequence, traced

TITLES = {
    "i": "input gate i", "f": "forget gate f", "g": "candidate g", "o": "output gate o", "c": "cell state c",
    "h": "state h", "r": "reset gate r", "z": "update gate z", "n": "candidate n",
}  # fmt: skip


def plot_gates(
    trace: Any,
    gates: Sequence[str] | None = None,
    *,
    level: str | None = None,
    sequence: int = 0,
    units: slice | Sequence[int] | int | None = None,
    labels: Sequence[Any] | None = None,
    ax: Any = None,
) -> list[Axes]:
    """Heat maps of gates and states: a panel each, a row a unit, a column a step.

    Parameters
    ----------
    trace : mapping, or a tuple (layer, x)
        What ``layer.trace(x)`` gives.
    gates : sequence of str, optional
        Names as in the trace, "a_i" and such among them; None is all gates, and the states.
    level : str, optional
        Which layer and direction: "l0", "l0_reverse", "l1" ...; None is the first.
    sequence : int
        Which one of a batch.
    units : slice, int or sequence of int, optional
        Which units; None is all.
    labels : sequence of str, optional
        The tokens: one a step. Steps beyond them are padding, and are not drawn.
    ax : sequence of Axes, one a gate, optional

    Returns
    -------
    list of Axes

    Notes
    -----
    Gates from 0, closed, to 1, open, are drawn from dark to bright; what may be negative from blue through white to
    red, with 0 white.
    """
    name, found = traced(trace, level)
    names = [each for each in TITLES if each in found] if gates is None else list(gates)
    if gates is None:
        names.sort(key=lambda each: (each in STATES, STATES[::-1].index(each) if each in STATES else 0))
    for each in names:
        if each not in found:
            raise ValueError(f"the trace of {name} has no {each!r}; it has {', '.join(found)}")
    if not names:
        raise ValueError("gates must name at least one gate")
    length = None if labels is None else len(labels)
    arrays = [one_sequence(found[each], sequence, length) for each in names]
    width, height = _size(*arrays[0].shape)
    drawn = panels(ax, len(names), width, height + label_height(labels), columns=2 if len(names) > 1 else 1)
    for each, gate, array in zip(drawn, names, arrays, strict=True):
        draw_units(each, array, units, labels)
        each.set_title(f"{TITLES.get(gate, gate)}, {name}", fontsize=10)
    return drawn


def draw_units(ax: Axes, values: Array, units: Any, labels: Sequence[Any] | None) -> None:
    """A heat map of (T, H): units upwards, steps to the right."""
    numbers = chosen(units, values.shape[1])
    shown = values[:, numbers].T
    heat_map(ax, shown, *scale(shown))
    token_ticks(ax.xaxis, labels, shown.shape[1], "step", turned=True)
    if len(numbers) <= 24:
        ax.set_yticks(range(len(numbers)), numbers.tolist(), fontsize=8 if len(numbers) <= 16 else 6)
    elif not np.array_equal(numbers, np.arange(len(numbers))):
        places = np.linspace(0, len(numbers) - 1, 8).astype(int)
        ax.set_yticks(places, numbers[places].tolist(), fontsize=8)
    ax.set_ylabel("unit")


def scale(values: Array) -> tuple[tuple[float, float], str]:
    """Limits and colours for values: 0 to 1 for what has no sign and stays there, else even around 0."""
    finite = values[np.isfinite(values)]
    lowest, highest = float(finite.min(initial=0)), float(finite.max(initial=0))
    if lowest >= 0 and highest <= 1:
        return (0.0, 1.0), "viridis"
    reach = max(-lowest, highest)
    reach = 1.0 if 0.5 < reach <= 1 else reach or 1.0
    return (-reach, reach), "RdBu_r"


def _size(steps: int, units: int) -> tuple[float, float]:
    """Inches of a panel."""
    return float(np.clip(0.14 * steps, 4.4, 9)), float(np.clip(0.16 * units, 1.7, 4.0))
