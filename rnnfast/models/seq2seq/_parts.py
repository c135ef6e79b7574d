"""What goes into a decoder, and what comes out of it."""

from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers._base import Layer
from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray


class Source(NamedTuple):
    """What a decoder takes of a source; a gradient has the same form."""

    state: Any = None
    """Where its recurrent layers start: a tuple of their states; None is their own start."""
    memory: Array | None = None
    """(B, S, F): what attention looks at."""
    lengths: Array | None = None
    """(B,): how many steps of the memory count; None is all."""
    context: Array | None = None
    """(B, C): what it hears first, or at every step."""
    tokens: Array | None = None
    """(B, S): what a decoder that copies may copy; a gradient has none."""


class Decoded(NamedTuple):
    """What a decoder gives."""

    logits: Array
    """(B, T, num_tokens); of a decoder that copies, log-probabilities."""
    state: Any
    """After each row's last step: of its recurrent layers, and what goes with them from step to step."""
    weights: Array | None
    """(B, T, S): what each step looked at; None without attention."""


def check_layer(layer: Any, place: int) -> None:
    """Refuse what cannot write from left to right, one token at a time."""
    if not isinstance(layer, Layer):
        raise TypeError(f"layer {place} of a decoder must be a Layer, got {type(layer).__name__}")
    if getattr(layer, "bidirectional", False) or getattr(layer, "reverse", False):
        raise ValueError(
            f"layer {place} of a decoder reads in reverse: a decoder writes from left to right, and the reverse "
            "direction would start from tokens that are not written yet; the encoder may be bidirectional"
        )
    if layer.has_state and not isinstance(layer, Recurrent):
        raise ValueError(
            f"layer {place} of a decoder must be RNN, LSTM, GRU or a layer without state, got {layer!r:.80}"
        )
    if not layer.has_state and not layer.works_on_steps:
        raise ValueError(
            f"layer {place} of a decoder, {type(layer).__name__}, needs whole sequences; a decoder goes step by step"
        )
