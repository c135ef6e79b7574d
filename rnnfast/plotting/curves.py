"""Curves: losses and metrics by epoch, and what was against what was predicted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.plotting._figure import Array, Axes, one_axes, panels


def plot_history(history: Any, metrics: str | Sequence[str] | None = None, *, ax: Any = None) -> list[Axes]:
    """Losses and metrics by epoch, a panel for each, what was measured on validation data beside it.

    Parameters
    ----------
    history : History, or mapping of str to sequence of float
        As `fit` returns it.
    metrics : str or sequence of str, optional
        Names without "val_"; None is all.
    ax : sequence of Axes, one a metric, optional

    Returns
    -------
    list of Axes

    Raises
    ------
    ValueError
        When there is no such metric.
    """
    found: Mapping[str, Any] = history if isinstance(history, Mapping) else history.history
    known = list(dict.fromkeys(name.removeprefix("val_") for name in found))
    wanted = known if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
    for name in wanted:
        if name not in known:
            raise ValueError(f"the history has no metric {name!r}; it has {', '.join(known) or 'none'}")
    if not wanted:
        raise ValueError("the history is empty: no epoch has ended")
    drawn = panels(ax, len(wanted), 4.8, 3.4, columns=3)
    for each, name in zip(drawn, wanted, strict=True):
        for key, label, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
            if key in found:
                values = np.asarray(found[key], np.float64)
                marker = "o" if len(values) < 15 else None
                each.plot(np.arange(1, len(values) + 1), values, style, marker=marker, markersize=4, label=label)
        each.set(xlabel="epoch", ylabel=name)
        each.xaxis.get_major_locator().set_params(integer=True)
        each.grid(alpha=0.3)
        if len(each.lines) > 1:
            each.legend(frameon=False)
    return drawn


def plot_forecast(
    real: Any,
    predicted: Any,
    bands: Mapping[float, Any] | Sequence[float] | None = None,
    *,
    steps: Any = None,
    start: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A series and its forecast, with bands between quantiles.

    Parameters
    ----------
    real : array_like (N,) or (N, 1)
    predicted : array_like (M,) or (M, 1), or quantiles (M, Q)
    bands : mapping of float to array_like (M,), or sequence of Q floats, optional
        Quantiles by their probability, as in ``{0.1: low, 0.9: high}``: between those of p and 1 - p a band is drawn
        that holds 1 - 2p of what happens; that of 0.5 is a line. Or the probabilities of predicted's columns, as in
        ``plot_forecast(series, model.predict(series), model.quantiles, start=len(series))`` of a `Forecaster`.
    steps : array_like, optional
        Where the steps are on the axis: dates, say. At least as many as there are; None counts from 0.
    start : int, optional
        The step of the first prediction; None lets both end together.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When sizes do not fit, or a quantile has no partner.
    """
    if bands is not None and not isinstance(bands, Mapping):
        predicted, bands = _columns(predicted, bands)
    real, predicted = _series(real, "real"), _series(predicted, "predicted")
    first = len(real) - len(predicted) if start is None else start
    if first < 0:
        raise ValueError(f"predicted has {len(predicted)} steps, more than real with {len(real)}: say where it starts")
    last = max(len(real), first + len(predicted))
    places = np.arange(last) if steps is None else np.asarray(steps)
    if places.ndim != 1 or len(places) < last:
        raise ValueError(f"steps must be at least {last} places on the axis, got shape {places.shape}")
    pairs, middle = _bands(bands or {}, len(predicted))
    ax = one_axes(ax, 7.5, 3.4)
    there = places[first : first + len(predicted)]
    ax.plot(places[: len(real)], real, color="0.25", linewidth=1.2, label="real")
    for i, (probability, low, high) in enumerate(pairs):
        label = f"{100 * (1 - 2 * probability):.3g} % band"
        ax.fill_between(there, low, high, color="C1", alpha=0.18 + 0.14 * i, linewidth=0, label=label)
    if middle is not None:
        ax.plot(there, middle, color="C1", linewidth=1.0, linestyle=":", label="median")
    marker = "o" if len(predicted) == 1 else None
    ax.plot(there, predicted, color="C1", linewidth=1.6, marker=marker, label="predicted")
    ax.set(xlabel="step" if steps is None else "", ylabel="value")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, ncols=6, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return ax


def _series(values: Any, name: str) -> Array:
    array = np.asarray(values, np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must be one series, of shape (N,) or (N, 1), got {array.shape}")
    return array


def _columns(predicted: Any, probabilities: Sequence[float]) -> tuple[Array, dict[float, Array]]:
    """What is nearest to the median, and all quantiles but that, of (M, Q)."""
    array = np.asarray(predicted)
    if array.ndim != 2 or array.shape[1] != len(probabilities):
        raise ValueError(
            f"with bands {tuple(probabilities)}, predicted must have shape (M, {len(probabilities)}), got {array.shape}"
        )
    middle = int(np.abs(np.asarray(probabilities) - 0.5).argmin())
    found = {float(each): array[:, i] for i, each in enumerate(probabilities)}
    return array[:, middle], {each: values for each, values in found.items() if each != 0.5}


def _bands(bands: Mapping[float, Any], size: int) -> tuple[list[tuple[float, Array, Array]], Array | None]:
    """Pairs of quantiles, the widest first, and the median."""
    given = {round(float(probability), 6): _series(values, "a band") for probability, values in bands.items()}
    for probability, values in given.items():
        if not 0 < probability < 1 or round(1 - probability, 6) not in given:
            raise ValueError(f"bands must have a quantile of p and one of 1 - p for each p, got {sorted(given)}")
        if len(values) != size:
            raise ValueError(f"the band of {probability} has {len(values)} steps, predicted has {size}")
    lower = sorted(probability for probability in given if probability < 0.5)
    return [(each, given[each], given[round(1 - each, 6)]) for each in lower], given.get(0.5)
