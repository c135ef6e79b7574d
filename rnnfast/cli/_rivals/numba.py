"""A kernel that a careful user would write with numba: inference of one sequence, fused and without allocation."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data, two_biases


def contestant(case: Case, data: Data) -> Contestant | None:
    """The faster of two: matrix products by BLAS, or by loops that are compiled with the rest."""
    if case.mode == "training" or case.B != 1 or not case.plain:
        return None
    if case.dtype != "float32" or case.cell == "gru_before":
        return None
    direction = data.direction("_l0")
    bias, second = two_biases(case, direction)
    wx, wh = (np.ascontiguousarray(direction[name].T) for name in ("weight_ih", "weight_hh"))
    x = np.ascontiguousarray(data.x[0, :1] if case.mode == "step" else data.x[0])
    gates, hidden = np.empty((len(x), wx.shape[1]), x.dtype), np.empty(wx.shape[1], x.dtype)
    y, h, c = np.empty((len(x), case.H), x.dtype), np.zeros(case.H, x.dtype), np.zeros(case.H, x.dtype)
    keep = case.mode == "step"

    def seconds(loop: Any) -> float:
        start = time.perf_counter()
        for _ in range(20):
            loop(x, wx, bias, wh, second, h, c, gates, hidden, y, keep)
        return time.perf_counter() - start

    loops = [_compile(case.cell, blas) for blas in (False, True)]
    for loop in loops:
        seconds(loop)  # compiles
    loop = min(loops, key=seconds)
    h[:] = c[:] = 0

    def run() -> Array:
        loop(x, wx, bias, wh, second, h, c, gates, hidden, y, keep)
        return y

    return Contestant(run, lambda: {"y": [run() for _ in range(CHECKED_STEPS if keep else 1)][-1][None].copy()})


def _compile(name: str, blas: bool) -> Any:
    import numba

    # Sums may be fused and reordered, so that the compiler can vectorise them; what is no number stays no number.
    jit = numba.njit(fastmath={"contract", "reassoc", "nsz", "arcp"}, boundscheck=False)
    if blas:

        @jit
        def product(a: Any, w: Any, out: Any) -> None:
            np.dot(a, w, out)

    else:

        @jit
        def product(a: Any, w: Any, out: Any) -> None:
            out[:] = 0
            for k in range(len(a)):
                for j in range(len(out)):
                    out[j] += a[k] * w[k, j]

    @jit
    def sigmoid(v: Any) -> Any:
        return np.float32(1) / (np.float32(1) + np.exp(-v))

    @jit
    def rnn(gates: Any, wh: Any, second: Any, h: Any, c: Any, hidden: Any) -> None:
        product(h, wh, hidden)
        for j in range(len(h)):
            h[j] = np.tanh(gates[j] + hidden[j])

    @jit
    def lstm(gates: Any, wh: Any, second: Any, h: Any, c: Any, hidden: Any) -> None:
        H = len(h)
        product(h, wh, hidden)
        for j in range(4 * H):
            hidden[j] += gates[j]
        for j in range(H):
            c[j] = sigmoid(hidden[H + j]) * c[j] + sigmoid(hidden[j]) * np.tanh(hidden[2 * H + j])
            h[j] = sigmoid(hidden[3 * H + j]) * np.tanh(c[j])

    @jit
    def gru(gates: Any, wh: Any, second: Any, h: Any, c: Any, hidden: Any) -> None:
        H = len(h)
        product(h, wh, hidden)
        for j in range(H):
            r, z = sigmoid(gates[j] + hidden[j]), sigmoid(gates[H + j] + hidden[H + j])
            n = np.tanh(gates[2 * H + j] + r * (hidden[2 * H + j] + second[2 * H + j]))
            h[j] = n + z * (h[j] - n)

    cell = {"rnn": rnn, "lstm": lstm, "gru": gru}[name]

    @jit
    def loop(
        x: Any, wx: Any, bias: Any, wh: Any, second: Any, h: Any, c: Any, gates: Any, hidden: Any, y: Any, keep: bool
    ) -> None:
        if not keep:
            h[:] = 0
            c[:] = 0
        if len(x) == 1:
            product(x[0], wx, gates[0])
        else:
            np.dot(x, wx, gates)
        for t in range(len(x)):
            for j in range(len(bias)):
                gates[t, j] += bias[j]
            cell(gates[t], wh, second, h, c, hidden)
            y[t] = h

    return loop
