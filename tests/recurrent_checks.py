"""Shared by the tests of the recurrent layers: the kinds, random layers, inputs and states."""

from typing import Any

import numpy as np
import pytest
from layer_checks import map_state, randomise

import rnnfast as rf

KINDS: dict[str, tuple[Any, dict[str, str]]] = {
    "rnn_tanh": (rf.RNN, {}),
    "rnn_relu": (rf.RNN, {"activation": "relu"}),
    "rnn_identity": (rf.RNN, {"activation": "identity"}),
    "lstm": (rf.LSTM, {}),
    "gru": (rf.GRU, {}),
    "gru_before": (rf.GRU, {"reset": "before"}),
    "gru_new": (rf.GRU, {"update": "new"}),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, I: int = 3, H: int = 5, layers: int = 1, seed: int = 1, **options: Any) -> Any:  # noqa: E741
    """A float64 layer of random parameters."""
    cls, more = KINDS[kind]
    return randomise(cls(I, H, layers, **({"dtype": "float64"} | more | options)), seed)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers away from zero."""
    return np.random.default_rng(seed).uniform(0.1, 1, shape) * np.random.default_rng(seed + 1).choice([-1, 1], shape)


def draw_state(layer: Any, B: int, seed: int = 5) -> Any:
    """A random state of a layer."""
    shape = (layer.num_layers * (1 + layer.bidirectional), B, layer.hidden_size)
    h, c = draw(*shape, seed=seed), draw(*shape, seed=seed + 2)
    return (h, c) if isinstance(layer, rf.LSTM) else h


def row_of(state: Any, row: int) -> Any:
    """The state of one sequence of the batch, unbatched."""
    return map_state(lambda array: array[:, row], state)
