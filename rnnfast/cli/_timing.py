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
    repeats = [_repeats(function) for function in functions]
    return [[_seconds(f, n) for f, n in zip(functions, repeats, strict=True)] for _ in range(rounds)]


def medians(rounds: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Median seconds of each function, and the median over the rounds of each one's ratio to the first."""
    columns = list(zip(*rounds, strict=True))
    ratios = [median(b / a for a, b in zip(columns[0], column, strict=True)) for column in columns]
    return [median(column) for column in columns], ratios


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def _seconds(function: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def _repeats(function: Callable[[], Any]) -> int:
    function()
    return max(1, round(_LEAST_SECONDS / max(_seconds(function, 1), 1e-9)))
