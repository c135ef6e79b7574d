"""The NumPy reference. In float64 it tells what every system must compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import reference
from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data


def contestant(case: Case, data: Data) -> Contestant:
    """The reference in the case's dtype."""
    if case.mode == "training":
        return Contestant(lambda: _train(case, data), lambda: _train(case, data))
    if case.mode == "forward":
        return Contestant(lambda: _forward(case, data), lambda: {"y": _forward(case, data)[0]})
    x, params, state = data.x[:, :1], data.direction("_l0"), None

    def step() -> Array:
        nonlocal state
        y, state, _ = reference.forward(case.kind, params, x, state, **case.options)
        return y

    return Contestant(step, lambda: {"y": [step() for _ in range(CHECKED_STEPS)][-1]})


def expected(case: Case, data: Data) -> dict[str, Array]:
    """What a contestant's result is compared with: the same in float64."""
    params = {name: value.astype(np.float64) for name, value in data.params.items()}
    x, dy = data.x.astype(np.float64), data.dy.astype(np.float64)
    return contestant(case, Data(params, x, dy, data.lengths)).result()


def _forward(case: Case, data: Data) -> tuple[Array, list[list[reference.Saved]]]:
    y, tape = data.x, []
    for ends in case.stack:
        runs = [
            reference.forward(
                case.kind, data.direction(end), y, lengths=data.lengths, reverse=bool(side), **case.options
            )
            for side, end in enumerate(ends)
        ]
        y = np.concatenate([run[0] for run in runs], axis=2) if case.bidirectional else runs[0][0]
        tape.append([saved for _, _, saved in runs])
    return y, tape


def _train(case: Case, data: Data) -> dict[str, Array]:
    y, tape = _forward(case, data)
    gradient, found = data.dy, {"y": y}
    for ends, layer in zip(reversed(case.stack), reversed(tape), strict=True):
        parts: list[Any] = []
        for end, saved, dy in zip(ends, layer, np.split(gradient, len(ends), axis=2), strict=True):
            dx, _, grads = reference.backward(saved, dy)
            parts.append(dx)
            found |= {name + end: grad for name, grad in grads.items()}
        gradient = sum(parts[1:], parts[0])
    return {**found, "dx": gradient}
