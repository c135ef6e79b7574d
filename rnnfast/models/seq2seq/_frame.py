"""The arrays of a decoder's fused time loop, from one forward pass to its backward."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels._attention import Memory
from rnnfast.kernels._feeding import Loop
from rnnfast.layers._attention_steps import Reading
from rnnfast.layers._level import Level
from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray


class Part(NamedTuple):
    """A recurrent level's weights in one pass."""

    packed: Any
    noise: tuple[int, int]
    """Where its masks come from."""
    factor: Array | None
    """(B, T, P): what its output is multiplied by."""


class Stage(NamedTuple):
    """One recurrent level, as `kernels._feeding.Loop` takes it."""

    packed: Any
    noise: tuple[int, int]
    x: Array
    out: Array
    residual: bool
    factor: Array | None


class Reader(NamedTuple):
    """Attention, as the same takes it."""

    memory: Memory
    query: Any
    weight: Array | None
    along: Array | None
    queries: Array
    projected: Array | None
    weights: Array
    coverage: Array | None
    both: Array


class Frame:
    """What a loop over T steps of B rows reads and writes.

    Parameters
    ----------
    decoder : Decoder
    reading : Reading
    query : PackedMatrix or None
        Of `reading.query()`.
    memory, positions : Memory and int
        What attention looks at, S places.
    parts : sequence of Part, one for each level
    B, T : int
    lengths : int64 ndarray (B,), optional
    draws : bool
        Whether masks are drawn, as in training.

    Attributes
    ----------
    x : ndarray (B, T, I)
        Input of the lowest level; its first columns, and of the first step all, are the caller's to fill.
    queries, both, weights : ndarray (B, T, Q), (B, T, F + Q) and (B, T, S)
        Queries; context and output of each step; where it looked.
    coverage : ndarray (B, T + 1, S) or None
        Before each step; the first is the caller's to fill.
    mixed : ndarray (B, T, A) or None
        h~, where it is fed.
    """

    def __init__(
        self,
        decoder: Any,
        reading: Reading,
        query: Any,
        memory: Memory,
        positions: int,
        parts: Sequence[Part],
        B: int,
        T: int,
        lengths: Array | None = None,
        draws: bool = False,
    ):
        attention, combine, dtype = decoder.attention, decoder.combine, reading.attention.dtype
        early, feeds = decoder.attention_order == "bahdanau", decoder.input_feeding
        F, Q, S = attention.key_size, attention.query_size, positions
        width = decoder.recurrent.input_shape[-1]
        levels = [level for _, _, level in levels_of(decoder)]
        self.x, self.both = np.zeros((B, T, width), dtype), np.zeros((B, T, F + Q), dtype)
        outs = [np.zeros((B, T, level.output_size), dtype) for level in levels[:-1]]
        outs.append(self.both[..., F:])
        stages = [
            Stage(part.packed, part.noise, x, out, bool(level.around), part.factor)
            for part, level, x, out in zip(parts, levels, [self.x, *outs], outs, strict=False)
        ]
        self.queries = np.zeros((B, T, Q), dtype) if early else self.both[..., F:]
        self.weights = np.zeros((B, T, S), dtype)
        self.coverage = np.zeros((B, T + 1, S), dtype) if attention.coverage else None
        self.mixed = np.zeros((B, T, combine.out_features), dtype) if feeds else None
        projected = np.zeros((B, T, reading.width), dtype) if reading.additive else None
        self.loop = Loop(
            stages,
            Reader(
                memory,
                query,
                reading.weight,
                reading.along,
                self.queries,
                projected,
                self.weights,
                self.coverage,
                self.both,
            ),
            lengths=lengths,
            early=early,
            feed=width - decoder.fed_size,
            combine=combine._packed() if feeds else None,
            mixed=self.mixed,
            draws=draws,
        )

    def read(self, combine: Any) -> Array:
        """h~ of all steps."""
        return combine(self.both) if self.mixed is None else self.mixed


def levels_of(decoder: Any) -> list[tuple[int, Recurrent, Level]]:
    """The recurrent levels of a decoder from the lowest up, with their layers and the numbers of these."""
    return [
        (i, layer, level)
        for i, layer in enumerate(decoder.recurrent.layers)
        if isinstance(layer, Recurrent)
        for level in layer._levels
    ]


def first_states(decoder: Any, given: Any, B: int) -> list[tuple[Array | None, ...]]:
    """Where each level starts, h or h and c of B rows; None is zeros. A state that is not given may be a learned one.

    Raises
    ------
    ValueError, TypeError
        For another form, shape or kind of number.
    """
    layers = [layer for layer in decoder.recurrent.layers if isinstance(layer, Recurrent)]
    found: list[tuple[Array | None, ...]] = []
    for layer, own in zip(layers, [None] * len(layers) if given is None else given, strict=True):
        starts, _ = layer._given(own, B, False)
        for start, direction in zip(starts, layer._directions, strict=True):
            arrays = start if isinstance(start, tuple) else (start,) * len(direction.state_sizes)
            found.append(tuple(None if array is None else np.ascontiguousarray(array) for array in arrays))
    return found
