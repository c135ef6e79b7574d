"""How long one step of a model takes: not in the mean, but how often it takes how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np

from rnnfast.cli._arguments import CommandError, bad_input
from rnnfast.cli._timing import duration

_WARM_UP = 50


def report(path: str, rate: float | None, calls: int, steps: int) -> tuple[str, dict[str, Any]]:
    """Time a model file step by step, or sequence by sequence where it cannot run step by step.

    Parameters
    ----------
    path : str
        A model that rnnfast has written.
    rate : float, optional
        Steps a second of the signal that the model shall follow.
    calls, steps : int
        How many are timed, and of how many steps a sequence is.

    Returns
    -------
    text : str
    values : dict
        The same for programs; times in seconds.
    """
    from rnnfast import files

    with bad_input():
        model = files.load(path)
        call, each = _call(model, steps)
        for _ in range(_WARM_UP):
            call()
    spans = np.empty(calls)
    for k in range(calls):
        start = time.perf_counter()
        call()
        spans[k] = time.perf_counter() - start
    p50, p99 = (float(value) for value in np.percentile(spans, [50, 99]))
    values: dict[str, Any] = {
        "file": path, "steps_a_call": each, "calls": calls, "mean": float(spans.mean()), "p50": p50, "p99": p99,
        "worst": float(spans.max()),
    }  # fmt: skip
    what = "one step of a stream" if each == 1 else f"a sequence of {each} steps (the model cannot run step by step)"
    lines = [f"{path}: {what}, {calls:,} of them"]
    lines += [f"  {name:<6} {duration(values[name])}" for name in ("p50", "p99", "worst", "mean")]
    if rate is not None:
        values |= {"rate": rate, "real_time_factor": values["mean"] * rate / each, "late": _late(spans, each / rate)}
        factor = f"{values['real_time_factor']:.3g}"
        lines.append(f"  real-time factor {factor} at {rate:g} steps a second; {values['late']:.3%} of the calls late")
    return "\n".join(lines), values


def _late(spans: np.ndarray, period: float) -> float:
    """The share of calls that took longer than the steps they are of."""
    return float((spans > period).mean())


def _call(model: Any, steps: int) -> tuple[Callable[[], Any], int]:
    """One call of the model on numbers it might see, and how many steps it is of."""
    rng, features = np.random.default_rng(0), model.input_shape[-1]
    first = model
    while hasattr(first, "layers") and not isinstance(first.layers, dict):
        first = first.layers[0]
    if ids := getattr(first, "num_embeddings", None):
        x = rng.integers(0, ids, (1, steps))
    elif isinstance(features, int):
        x = rng.normal(size=(1, steps, features)).astype(model.dtype or np.float32)
    else:
        raise CommandError(
            f"the model takes {model.input_shape}, and --latency wants one whose number of inputs is known"
        )
    try:
        stream = model.stream()
    except ValueError:
        return lambda: model(x), steps
    places = cycle([np.ascontiguousarray(x[:, t]) for t in range(steps)])
    return lambda: stream(next(places)), 1
