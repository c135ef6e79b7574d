"""The options that the recurrent layers share: what they mean, and their checks."""

import difflib
import inspect
import math
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
    reverse : bool
        Instead of two: the reverse direction alone. Outputs stay at the place of their input.
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
    recompute : None, True or int
        How training remembers. None: gates and states of all steps. Otherwise the states before each segment of so many
        steps, True: √T of them; `backward` runs the segments again, one after another (Chen et al. 2016). Memory then
        grows with √T, beside x and y, for about 1.3 times the time; gradients are equal to the last bit. It is an
        attribute too, which may be set between calls.
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
    reverse: bool
    merge: str | None
    dropout: float
    input_dropout: float
    weight_drop: float
    residual: bool | str
    learned_state: bool
    padding: str
    recompute: bool | int | None
    dtype: Any
    seed: Any


GATED = """    recurrent_activation : str or tuple
        What the gates have in the place of σ.
"""
CELL = """    activation : str or tuple
        "tanh", "relu", "sigmoid", "identity", "leaky_relu", "elu", "softsign", "hard_sigmoid" (x/6 + 1/2, from 0 to 1)
        or "hard_sigmoid_onnx" (x/5 + 1/2); with parameters ("leaky_relu", 0.2), ("elu", 0.5) and
        ("hard_sigmoid", 0.2, 0.5).
    clip : float, optional
        What enters an activation is kept from -clip to clip (ONNX's meaning).
    zoneout : float
        The share of units that keep their old state at a step, in training at random (Krueger et al. 2017).
    recurrent_dropout : float
        Of the state that enters the recurrent products, while training: one mask for all steps of a sequence (Gal and
        Ghahramani 2016).
"""
_USUAL: dict[str, Any] = {
    "activation": "tanh", "output_activation": None, "recurrent_activation": "sigmoid", "peephole": False,
    "coupled": False, "clip": None, "cell_clip": None, "layer_norm": False, "zoneout": 0.0, "recurrent_dropout": 0.0,
}  # fmt: skip


def cell_options(**given: Any) -> dict[str, Any]:
    """What goes on to `ops`: options that are not as usual, lists (as files have them) as tuples."""
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return {name: value for name, value in found.items() if value != _USUAL[name]}


def unknown_argument(layer: type, name: str) -> str:
    """What to say of an argument that a layer does not have: the nearest one that it has, or all of them."""
    known = [one for one in inspect.signature(layer).parameters if one != "grid"] + list(GridOptions.__annotations__)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"its arguments are {', '.join(known)}"
    return f"{layer.__name__}() has no argument {name!r}: {hint}"


def check_projection(size: Any) -> int:
    """The width of h, or 0."""
    return 0 if type(size) is int and size == 0 else _check.size(size, "proj_size")


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


def check_recompute(value: Any) -> bool | int | None:
    """None, True or a number of steps."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return bool(value) or None
    return _check.size(value, "recompute")


def segment_of(recompute: Any, steps: int) -> int:
    """The steps that `backward` runs again at once in sequences of so many; 0: none."""
    checked = check_recompute(recompute)
    if checked is None or steps == 0:
        return 0
    return math.isqrt(steps - 1) + 1 if checked is True else min(checked, steps)


def check_residual(value: Any) -> bool | str:
    """False, True or "highway"."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not isinstance(value, str) or value != "highway":
        raise ValueError(f"residual must be False, True or 'highway', got {value!r}")
    return value
