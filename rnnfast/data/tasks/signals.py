"""Series to forecast: one regular, one chaotic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnfast.data._checks import whole


def sine(size: int = 1000, *, end: float = 100.0, noise: float = 0.0, seed: Any = None) -> np.ndarray:
    """A sine wave with noise: sin(t) + noise * normal, at evenly spaced t from 0 to `end`.

    Parameters
    ----------
    size : int
        Number of points.
    end : float
        Last t, in radians.
    noise : float
        Standard deviation of what is added. No forecast can have a smaller mean squared error than its square.
    seed : int or Generator, optional

    Returns
    -------
    float64 array (size,)

    Examples
    --------
    >>> sine(5, end=2 * np.pi).round(6).tolist()
    [0.0, 1.0, 0.0, -1.0, -0.0]
    """
    series = np.sin(np.linspace(0.0, end, whole(size, "size", 0)))
    return _with_noise(series, noise, np.random.default_rng(seed))


def mackey_glass(
    size: int = 1000,
    *,
    tau: float = 17.0,
    beta: float = 0.2,
    gamma: float = 0.1,
    power: float = 10.0,
    start: float = 1.2,
    step: float = 1.0,
    substeps: int = 10,
    discard: int = 0,
    noise: float = 0.0,
    seed: Any = None,
) -> np.ndarray:
    """The Mackey-Glass series, chaotic for tau of 17 and more.

        dx/dt = beta x(t - tau) / (1 + x(t - tau)^power) - gamma x(t),    x(t) = start for t <= 0

    Mackey & Glass 1977, "Oscillation and chaos in physiological control systems", equation 4b. It is integrated by the
    classical Runge-Kutta method of fourth order, `substeps` of it between two points; the delayed value at the middle
    of a substep is read off a cubic (Hermite) through its ends, so that the order stays four. The delay is rounded to
    whole substeps.

    Parameters
    ----------
    size : int
        Number of points.
    tau : float
        Delay.
    beta, gamma, power, start : float
        As in the equation.
    step : float
        Time between two points.
    substeps : int
        Steps of the integration between two points.
    discard : int
        Points left out at the beginning, where the series still runs in.
    noise : float
        Standard deviation of the normal noise added to what was integrated.
    seed : int or Generator, optional
        Of the noise.

    Returns
    -------
    float64 array (size,)
        From t = step * discard on.

    Raises
    ------
    TypeError, ValueError
        When a number is out of range.

    Examples
    --------
    >>> mackey_glass(3).round(6).tolist()
    [1.2, 1.117562, 1.042969]
    """
    size, substeps, discard = whole(size, "size", 0), whole(substeps, "substeps"), whole(discard, "discard", 0)
    if not (0 < step < math.inf and 0 <= tau < math.inf):
        raise ValueError(f"step must be positive and tau not negative, got {step} and {tau}")
    width = step / substeps
    delay = round(tau / width)
    if delay < 1:
        raise ValueError(f"tau must be at least one substep, {width:g}, got {tau:g}")

    def slope(now: float, delayed: float) -> float:
        return beta * delayed / (1.0 + delayed**power) - gamma * now

    # values[k + delay] is x at k substeps, slopes its derivative, which is 0 in the constant past. The derivative
    # jumps at 0, so that 0 has two: the past's for the substep before it, its own for the substep after.
    values, slopes = [start] * (delay + 1), [0.0] * (delay + 1)
    for place in range((size + discard - 1) * substeps):
        old, new = values[place], values[place + 1]
        old_slope = slopes[place] if place != delay else slope(start, start)
        middle = 0.5 * (old + new) + 0.125 * width * (old_slope - slopes[place + 1])
        now = values[-1]
        first = slope(now, old)
        second = slope(now + 0.5 * width * first, middle)
        third = slope(now + 0.5 * width * second, middle)
        fourth = slope(now + width * third, new)
        values.append(now + width * (first + 2.0 * second + 2.0 * third + fourth) / 6.0)
        slopes.append(slope(values[-1], new))
    series = np.array(values[delay + discard * substeps :: substeps])[:size]
    return _with_noise(series, noise, np.random.default_rng(seed))


def _with_noise(series: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    return series + noise * rng.standard_normal(len(series)) if noise else series
