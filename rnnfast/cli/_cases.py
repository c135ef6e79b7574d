"""What the benchmarks compute: a case, its random data, and what a system makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops

Array = np.ndarray

CHECKED_STEPS = 3
"""A stream's result is the output of this many steps on one input, from the state zero: a lost state would show."""


class Case(NamedTuple):
    """One row of a table of `_sections`.

    cell is one of CELLS ("gru_before": the reset gate before the product), mode one of MODES ("training" is forward,
    backward to everything, and the packing of weights that have changed), B, T, I, H as in the equations. A ragged
    batch has lengths spread over T/2 to T.
    """

    cell: str
    mode: str
    B: int
    T: int
    I: int  # noqa: E741 - as in the equations
    H: int
    dtype: str = "float32"
    layers: int = 1
    bidirectional: bool = False
    ragged: bool = False

    @property
    def kind(self) -> str:
        """The cell without its variant."""
        return self.cell.partition("_")[0]

    @property
    def options(self) -> dict[str, Any]:
        """The variant."""
        return {"reset": "before"} if self.cell == "gru_before" else {}

    @property
    def stack(self) -> list[list[str]]:
        """The directions of each layer, by the endings of their parameters' names."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [[f"_l{layer}{end}" for end in ends] for layer in range(self.layers)]

    @property
    def ends(self) -> list[str]:
        """The same of all directions, one after the other."""
        return [end for ends in self.stack for end in ends]

    @property
    def plain(self) -> bool:
        """One layer in one direction over sequences of one length."""
        return self.layers == 1 and not self.bidirectional and not self.ragged

    @property
    def outputs(self) -> int:
        """Width of y."""
        return self.H * (1 + self.bidirectional)

    @property
    def lengths(self) -> Array | None:
        """Steps of each sequence (B,), or None where all have T."""
        if not self.ragged:
            return None
        return np.random.default_rng(self.T).integers((self.T + 1) // 2, self.T, self.B, endpoint=True)

    @property
    def operations(self) -> float:
        """Floating-point operations of the matrix products of one call."""
        lengths = self.lengths
        steps = self.B * self.T if lengths is None else int(lengths.sum())
        total = 2.0 * steps * sum(inputs + recurrent for inputs, recurrent in self._weights())
        return 3 * total if self.mode == "training" else total

    def limit(self, peak: float, reading: Callable[[float], float]) -> float:
        """The seconds that a call takes at least: a roofline.

        Products of all steps at once are as fast as the multipliers. A step reads the recurrent weights once, or all
        weights where a call is a step: it takes as long as the multipliers, or the cache that holds them, need.

        Parameters
        ----------
        peak : float
            Floating-point operations in a second.
        reading : callable
            Bytes that can be read in a second, of so many.
        """
        lengths, total = self.lengths, 0.0
        rows = np.full(self.T, self.B) if lengths is None else (np.arange(self.T)[:, None] < lengths).sum(axis=1)
        size = np.dtype(self.dtype).itemsize
        whole = sum(inputs + recurrent for inputs, recurrent in self._weights())
        if self.mode == "step":
            return max(2 * self.B * whole / peak, whole * size / reading(whole * size))
        for inputs, recurrent in self._weights():
            steps = np.maximum(2 * rows * recurrent / peak, recurrent * size / reading(recurrent * size)).sum()
            every = 2 * rows.sum() / peak
            total += every * inputs + steps
            if self.mode == "training":
                total += every * (2 * inputs + recurrent) + steps
        return float(total)

    def _weights(self) -> list[tuple[int, int]]:
        """How many weights each direction of each layer has, for the inputs and for the state."""
        height = ops.GATES[self.kind] * self.H
        sizes = [self.outputs if layer else self.I for layer, ends in enumerate(self.stack) for _ in ends]
        return [(height * inputs, height * self.H) for inputs in sizes]

    @property
    def name(self) -> str:
        """The case in one word."""
        parts = [f"{self.mode}-{self.cell}-B{self.B}-T{self.T}-I{self.I}-H{self.H}"]
        parts += [f"L{self.layers}"] * (self.layers > 1) + ["bidirectional"] * self.bidirectional
        return "-".join(parts + ["ragged"] * self.ragged + ["float64"] * (self.dtype == "float64"))


class Data(NamedTuple):
    """Parameters (named as a layer's) and input of a case, and the gradient of y. Both are zero beyond a row's end."""

    params: dict[str, Array]
    x: Array
    dy: Array
    lengths: Array | None

    def direction(self, end: str) -> dict[str, Array]:
        """Parameters of one direction of one layer, whose names end so."""
        return {name.removesuffix(end): value for name, value in self.params.items() if name.endswith(end)}


class Contestant(NamedTuple):
    """What to time, and what is compared before: y, for training dx and the gradients by their parameters' names too.

    `result` is called first and once. For a stream it makes CHECKED_STEPS calls and gives the last y, (B, 1, H).
    """

    call: Callable[[], Any]
    result: Callable[[], dict[str, Array]]


def make_data(case: Case) -> Data:
    """Random data of a case."""
    rng, G, H = np.random.default_rng(0), ops.GATES[case.kind], case.H
    params = {}
    for layer, ends in enumerate(case.stack):
        inputs = case.outputs if layer else case.I
        for end in ends:
            params["weight_ih" + end] = rng.normal(size=(G * H, inputs)) / np.sqrt(inputs)
            params["weight_hh" + end] = rng.normal(size=(G * H, H)) / np.sqrt(H)
            params["bias" + end] = rng.normal(size=G * H) / 4
            if case.cell == "gru":
                params["bias_hn" + end] = rng.normal(size=H) / 4
    x, dy = rng.normal(size=(case.B, case.T, case.I)), rng.normal(size=(case.B, case.T, case.outputs))
    if case.lengths is not None:
        beyond = np.arange(case.T) >= case.lengths[:, None]
        x[beyond] = dy[beyond] = 0
    return Data(
        {k: v.astype(case.dtype) for k, v in params.items()}, x.astype(case.dtype), dy.astype(case.dtype), case.lengths
    )


def regate(array: Array, order: list[int]) -> Array:
    """The blocks of rows of a weight or a bias in another order."""
    return np.concatenate([np.split(array, len(order))[block] for block in order])


def two_biases(case: Case, direction: dict[str, Array]) -> tuple[Array, Array]:
    """The bias of the input and that of the state, as systems with two of them want them."""
    second = np.zeros_like(direction["bias"])
    if "bias_hn" in direction:
        second[2 * case.H :] = direction["bias_hn"]
    return direction["bias"], second
