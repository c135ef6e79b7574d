"""Hidden states: as a heat map, and as a path through the plane that holds most of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array, Axes, checked_tokens, label_height, one_axes, visible
from rnnfast.plotting._traced import one_sequence, traced
from rnnfast.plotting.gates import draw_units


def plot_states(
    trace: Any,
    *,
    state: str = "h",
    level: str | None = None,
    sequence: int = 0,
    units: slice | Sequence[int] | int | None = None,
    labels: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A heat map of hidden states: a row a unit, a column a step.

    Parameters
    ----------
    trace, level, sequence, units, labels
        As of `plot_gates`; or an array (B, T, H) or (T, H), as a layer returns it.
    state : str
        "h", "c" or a gate.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    values, name = _states(trace, state, level, sequence, labels)
    width = float(np.clip(0.14 * len(values), 5.5, 11))
    ax = one_axes(ax, width, float(np.clip(0.16 * values.shape[1], 2.2, 5.0)) + label_height(labels))
    draw_units(ax, values, units, labels)
    ax.set_title(name, fontsize=10)
    return ax


def plot_state_path(
    trace: Any,
    *,
    state: str = "h",
    level: str | None = None,
    sequence: int = 0,
    labels: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The path of the state through its two principal components, step by step.

    Parameters
    ----------
    trace, state, level, sequence, labels
        As of `plot_states`.
    ax : Axes, optional

    Returns
    -------
    Axes
        Its labels tell what share of the variance each component has.
    """
    values, name = _states(trace, state, level, sequence, labels)
    ax = one_axes(ax, 6.0, 4.6)
    from matplotlib.ticker import MaxNLocator

    places, shares = principal_components(values)
    ax.plot(*places.T, color="0.7", linewidth=1, zorder=1)
    points = ax.scatter(*places.T, c=np.arange(len(places)), cmap="viridis", s=22, zorder=2)
    bar = ax.figure.colorbar(points, ax=ax, pad=0.02, label="step")
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    if labels is not None:
        for place, token in zip(places, checked_tokens(labels, len(places), "step"), strict=True):
            ax.annotate(visible(token), place, textcoords="offset points", xytext=(4, 3), fontsize=8)
    ax.set(xlabel=f"component 1 ({shares[0]:.0%} of the variance)", ylabel=f"component 2 ({shares[1]:.0%})")
    ax.set_title(name, fontsize=10)
    ax.margins(0.08)
    return ax


def principal_components(values: Array) -> tuple[Array, tuple[float, float]]:
    """Rows (N, H) in their first two principal components (N, 2), and what share of the variance each has."""
    centred = np.asarray(values, np.float64) - np.mean(values, axis=0, dtype=np.float64)
    left, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(values), 2))
    found = min(2, len(lengths))
    # The sign of a component is free: the largest weight is made positive, so that equal data look equal.
    largest = directions[np.arange(found), np.abs(directions[:found]).argmax(axis=1)]
    places[:, :found] = left[:, :found] * lengths[:found] * np.where(largest < 0, -1.0, 1.0)
    power = np.zeros(2)
    power[:found] = lengths[:found] ** 2
    total = float(np.sum(lengths**2))
    first, second = power / total if total else power
    return places, (float(first), float(second))


def _states(
    trace: Any, state: str, level: str | None, sequence: int, labels: Sequence[Any] | None
) -> tuple[Array, str]:
    length = None if labels is None else len(labels)
    if isinstance(trace, np.ndarray):
        if trace.ndim not in (2, 3):
            raise ValueError(f"states must have shape (B, T, H) or (T, H), got {trace.shape}")
        return one_sequence(trace, sequence, length), f"state {state}"
    name, found = traced(trace, level)
    if state not in found:
        raise ValueError(f"the trace of {name} has no {state!r}; it has {', '.join(found)}")
    return one_sequence(found[state], sequence, length), f"state {state}, {name}"
