"""Weights as textbooks write them, W [h, x] gate by gate, in and out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray

# Our gate's name to the textbook's weight and bias; in the order in which ours are stacked.
GATES = {
    "lstm": {"i": ("W_i", "b_i"), "f": ("W_f", "b_f"), "g": ("W_C", "b_C"), "o": ("W_o", "b_o")},
    "gru": {"r": ("W_r", "b_r"), "z": ("W_z", "b_z"), "n": ("W", "b")},
}


def from_concat(cell: str, weights: Mapping[str, Any], *, update: str = "new", suffix: str = "") -> dict[str, Array]:
    """Parameters out of a textbook's weights.

    ======  ==============================================  ======================
    cell    weights                                         biases, all or none
    ======  ==============================================  ======================
    lstm    W_f, W_i, W_C, W_o, each (H, H + I)             b_f, b_i, b_C, b_o
    gru     W_z, W_r, W, each (H, H + I)                    b_z, b_r, b
    rnn     W_hh (H, H), W_xh (H, I)                        b_h
    ======  ==============================================  ======================

    Each W multiplies the concatenation [h_{t-1}, x_t], the GRU's W [r_t * h_{t-1}, x_t]: that GRU is
    ``GRU(reset="before", update="new")``, h_t = (1 - z_t) * h_{t-1} + z_t * W(...).

    Parameters
    ----------
    cell : "lstm", "gru" or "rnn"
    weights : mapping of array_like
        Biases may be (H,) or columns (H, 1).
    update : "new" or "keep"
        Of the GRU that takes them. "keep" swaps the roles of z and 1 - z: since 1 - σ(a) = σ(-a), W_z and b_z change
        their sign.
    suffix : str
        For the names: "_l0" for the first layer of an `LSTM`, "_l0_reverse" for its other direction.

    Returns
    -------
    dict of numpy.ndarray
        `weight_ih`, `weight_hh` and, with biases, `bias`: the same bits (z's sign apart) in another order.

    Raises
    ------
    ValueError
        For an unknown cell, missing or unknown names, and shapes that do not fit one another.

    Examples
    --------
    >>> import rnnfast as rf
    >>> weights = {name: np.eye(2, 5) for name in ("W_f", "W_i", "W_C", "W_o")}
    >>> lstm = rf.LSTM(3, 2, bias=False)
    >>> for name, array in from_concat("lstm", weights, suffix="_l0").items():
    ...     lstm.params[name] = array
    >>> to_concat(lstm)["W_f"]
    array([[1., 0., 0., 0., 0.],
           [0., 1., 0., 0., 0.]], dtype=float32)
    """
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    names, bias_names = _names(cell, update)
    wanted = names + (bias_names if any(name in arrays for name in bias_names) else [])
    missing = [name for name in wanted if name not in arrays]
    unknown = [name for name in arrays if name not in names + bias_names]
    if missing or unknown:
        raise ValueError(
            f"weights of the {cell} must be {', '.join(names)}, and all or none of {', '.join(bias_names)}; got "
            f"{', '.join(arrays) or 'none'}"
        )
    shape = arrays[names[0]].shape
    H = shape[0] if shape else 0
    for name in wanted:
        fits = (H, 1) if name in bias_names and arrays[name].ndim == 2 else (H,) if name in bias_names else shape
        if name == "W_xh" and arrays[name].ndim == 2:
            fits = (H, arrays[name].shape[1])
        if arrays[name].shape != fits or (name in names and len(fits) != 2):
            raise ValueError(f"{name} must have shape {fits}, as {names[0]} has {shape}; got {arrays[name].shape}")
    if (cell == "rnn" and shape[1] != H) or shape[1] < H:
        raise ValueError(f"{names[0]} must have {'' if cell == 'rnn' else 'at least '}{H} columns, got shape {shape}")

    if cell == "rnn":
        params = {"weight_ih": arrays["W_xh"].copy(), "weight_hh": arrays["W_hh"].copy()}
    else:
        gates = [_signed(arrays[name], name, update) for name in names]
        params = {
            "weight_ih": np.concatenate([gate[:, H:] for gate in gates]),
            "weight_hh": np.concatenate([gate[:, :H] for gate in gates]),
        }
    if len(wanted) > len(names):
        params["bias"] = np.concatenate([_signed(arrays[name].reshape(H), name, update) for name in bias_names])
    return {name + suffix: array for name, array in params.items()}


def to_concat(layer: Any, *, suffix: str | None = None) -> dict[str, Array]:
    """A textbook's weights out of a layer: what `from_concat` takes, bit for bit on the way there and back.

    Parameters
    ----------
    layer : RNN, LSTM, GRU, or the cell of one
        The GRU must have reset="before": "after" has no such form.
    suffix : str, optional
        Which layer and direction: "_l0" (the default of a layer), "_l1", "_l0_reverse" ... and "" of a cell.

    Returns
    -------
    dict of numpy.ndarray
        With bias="double", each bias is the sum of the two.

    Raises
    ------
    ValueError
        Where the textbook's form has no place for a parameter of the layer.
    TypeError
        For another kind of layer.
    """
    if getattr(layer, "cell", None) not in ("rnn", *GATES):
        raise TypeError(f"layer must be an RNN, LSTM or GRU, or the cell of one, got {type(layer).__name__}")
    if suffix is None:
        suffix = "_l0" if "weight_ih_l0" in layer.params else ""
    plain = {name: name + suffix for name in ("weight_ih", "weight_hh", "bias", "bias_ih", "bias_hh")}
    params = {name: layer.params[full] for name, full in plain.items() if full in layer.params}
    if "weight_ih" not in params:
        raise ValueError(f"there is no weight_ih{suffix}; there are {', '.join(layer.params)}")
    if "bias_ih" in params:
        params["bias"] = params.pop("bias_ih") + params.pop("bias_hh")
    options = dict(layer.options)
    # They act on what is dropped in training alone: the equations are the same.
    changed = options.keys() - {"reset", "update", "recurrent_dropout"}
    if changed - {"activation"} or options.get("activation", "tanh") != "tanh":
        raise ValueError(
            "the textbook's cell has none of these options, so its weights alone would be another function: "
            + ", ".join(f"{name}={options[name]!r}" for name in sorted(changed))
        )
    if options.pop("reset", "before") == "after":
        raise ValueError("a GRU with reset='after' has no form W [r*h, x]; make it with reset='before'")
    others = [name for name in layer.params if name.endswith(suffix) and name not in plain.values()]
    if others:
        raise ValueError(f"the form W [h, x] has no place for {', '.join(others)}")
    rows, H = params["weight_hh"].shape
    if rows != len(GATES.get(layer.cell, "h")) * H:
        raise ValueError(f"the form W [h, x] has a weight for each gate; weight_hh{suffix} has shape {(rows, H)}")
    return stacked_to_concat(layer.cell, params, update=options.get("update", "new"))


def stacked_to_concat(cell: str, params: Mapping[str, Array], *, update: str = "new") -> dict[str, Array]:
    """`to_concat` of parameters that stand under the names weight_ih, weight_hh and bias."""
    names, bias_names = _names(cell, update)
    if cell == "rnn":
        found = {"W_hh": params["weight_hh"].copy(), "W_xh": params["weight_ih"].copy()}
        return found | ({"b_h": params["bias"].copy()} if "bias" in params else {})
    whole = np.concatenate([params["weight_hh"], params["weight_ih"]], axis=1)
    found = dict(zip(names, np.split(whole, len(names)), strict=True))
    if "bias" in params:
        found |= dict(zip(bias_names, np.split(params["bias"], len(names)), strict=True))
    return {name: _signed(array, name, update).copy() for name, array in found.items()}


def _names(cell: str, update: str) -> tuple[list[str], list[str]]:
    """The textbook's names of the weights and of the biases, in our order."""
    if cell == "rnn":
        return ["W_hh", "W_xh"], ["b_h"]
    if cell not in GATES:
        raise ValueError(f"cell must be 'lstm', 'gru' or 'rnn', got {cell!r}")
    if update not in ("new", "keep"):
        raise ValueError(f"update must be 'new' or 'keep', got {update!r}")
    weights, biases = zip(*GATES[cell].values(), strict=True)
    return list(weights), list(biases)


def _signed(array: Array, name: str, update: str) -> Array:
    return -array if update == "keep" and name in ("W_z", "b_z") else array
