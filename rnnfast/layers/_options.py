"""The options that the recurrent layers share: what they mean, and their checks."""

from typing import Any, TypedDict

import numpy as np

from rnnfast.layers import _check

ARGUMENTS = """
    Parameters
    ----------
    input_size : int
        I, the features of x_t.
    hidden_size : int, or list of int
        H, the units; a list has one for each layer.
    num_layers : int, optional
        Layers on top of each other: as many as `hidden_size` has entries, or 1.
    bias : True, False or "double"
        One bias a gate, none, or PyTorch's pair `bias_ih` and `bias_hh`.
    bidirectional : bool
        Two directions.
    merge : "concat", "sum", "mul", "average" or None
        What becomes of the outputs of both, in every layer: side by side on the last axis, one array of their sum,
        product or mean, or a pair.
    dropout : float
        Of the output of each layer but the last, while training.
    input_dropout : float
        Of the input of each layer, while training: one mask for all steps of a sequence (Gal and Ghahramani 2016).
        It does not touch what a residual connection leads around the layer.
    weight_drop : float
        Of the numbers in the recurrent matrices, while training: one mask for a whole call (Merity et al. 2018).
    residual : False, True or "highway"
        Around each layer above the first whose input and output are equally wide: y = x + layer(x), or
        y = t·layer(x) + (1 - t)·x with t = σ(W x + b), b at first -1 (Srivastava et al. 2015).
    learned_state : bool
        Whether the initial state, where none is given, is a parameter; at first zero.
    padding : "zeros" or "hold"
        What y holds at steps that are not valid: see a call.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first weights: Glorot uniform input weights, orthogonal recurrent weights, gate by gate; biases zero.
"""
NAMES = """
    Notes
    -----
    Parameters: `weight_ih_l0` (G·H, I), `weight_hh_l0` (G·H, H), `bias_l0` (G·H,), `..._reverse` for the other
    direction and `_l1` and so on for the layers above; with a highway `weight_highway_l1` and `bias_highway_l1`, with a
    learned state `h0_l0` (H,), and `c0_l0` of an LSTM.
"""


class GridOptions(TypedDict, total=False):
    """The options of a grid of layers and directions: see the text below."""

    bias: bool | str
    bidirectional: bool
    merge: str | None
    dropout: float
    input_dropout: float
    weight_drop: float
    residual: bool | str
    learned_state: bool
    padding: str
    dtype: Any
    seed: Any


def widths(hidden_size: Any, num_layers: Any) -> tuple[int, ...]:
    """The width of each layer."""
    if num_layers is not None:
        num_layers = _check.size(num_layers, "num_layers")
    if not isinstance(hidden_size, (list, tuple)):
        return (_check.size(hidden_size, "hidden_size"),) * (num_layers or 1)
    if not hidden_size or num_layers not in (None, len(hidden_size)):
        raise ValueError(
            f"hidden_size must hold one width for each layer, got {len(hidden_size)} of them and "
            f"num_layers={num_layers}"
        )
    return tuple(_check.size(width, "hidden_size") for width in hidden_size)


def check_residual(value: Any) -> bool | str:
    """False, True or "highway"."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not isinstance(value, str) or value != "highway":
        raise ValueError(f"residual must be False, True or 'highway', got {value!r}")
    return value
