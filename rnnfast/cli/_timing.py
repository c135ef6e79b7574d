"""Comparing speeds on a machine that is never quite idle: interleaved rounds, and medians of ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

_LEAST_SECONDS = 0.02  # a shorter measurement is repeated until it lasts this long


def interleaved(functions: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Time functions one after the other, round by round.

    Parameters
    ----------
    functions : sequence of callable
    rounds : int

    Returns
    -------
    list of list of float
        For each round the seconds of one call of each function.
    """
    counts = [repeats(function) for function in functions]
    return [[seconds(f, n) for f, n in zip(functions, counts, strict=True)] for _ in range(rounds)]


def medians(rounds: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Median seconds of each function, and the median over the rounds of each one's ratio to the first."""
    columns = list(zip(*rounds, strict=True))
    ratios = [median(b / a for a, b in zip(columns[0], column, strict=True)) for column in columns]
    return [median(column) for column in columns], ratios


def duration(span: float) -> str:
    """Seconds as a person reads them."""
    return f"{span * 1e3:.2f} ms" if span >= 1e-3 else f"{span * 1e6:.1f} µs"


def seconds(function: Callable[[], Any], count: int) -> float:
    """Seconds of one call, the mean of `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def repeats(function: Callable[[], Any]) -> int:
    """How many calls make a measurement, after some to warm up."""
    function()
    return max(1, round(_LEAST_SECONDS / max(min(seconds(function, 1) for _ in range(3)), 1e-9)))
