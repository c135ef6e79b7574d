"""The cells: equations, options, parameters. To be read beside the papers.

Symbols: x (B, I) input, h (B, H) output of the step before, c (B, H) state of the LSTM's cell, W `weight_ih`,
R `weight_hh`, b `bias`, * elementwise product, σ the gates' activation, φ the candidate's. a_k is what enters the
activation of gate k. Gate blocks are stacked in W, R and b: LSTM i f g o, coupled LSTM i g o, GRU r z n, MGU f n.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Named = dict[str, Array]
# A name, or (name, alpha) or (name, alpha, beta), or a function of an array.
Activation = str | tuple[Any, ...] | Callable[[Array], Array]

EPSILON = 1e-5  # of layer normalisation


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a))."""
    with np.errstate(over="ignore"):  # exp(-a) may be inf: the quotient is then 0, as it should be
        return 1 / (1 + np.exp(-a))


def hard_sigmoid(a: Array, alpha: float = 1 / 6, beta: float = 0.5) -> Array:
    """αa + β, kept in [0, 1]."""
    return np.clip(alpha * a + beta, 0, 1)


ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda a: np.maximum(a, 0),
    "identity": lambda a: a,
    "leaky_relu": lambda a, alpha=0.01: np.where(a < 0, alpha * a, a),
    "elu": lambda a, alpha=1.0: np.where(a < 0, alpha * np.expm1(np.minimum(a, 0)), a),
    "softsign": lambda a: a / (1 + np.abs(a)),
    "hard_sigmoid": hard_sigmoid,  # PyTorch's and Keras 3's
    "hard_sigmoid_onnx": lambda a, alpha=0.2, beta=0.5: hard_sigmoid(a, alpha, beta),  # Keras 2's too
}


def activate(activation: Activation, a: ArrayLike) -> Array:
    """An activation by its name, or by (name, alpha) or (name, alpha, beta), or itself, of `a`.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> activate("relu", [-1.0, 2.0]), activate(("leaky_relu", 0.5), [-1.0, 2.0])
    (array([0., 2.]), array([-0.5,  2. ]))
    """
    if callable(activation):
        return activation(np.asarray(a))
    name, *constants = (activation,) if isinstance(activation, str) else activation
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name](np.asarray(a), *constants)


def normalise(a: Array) -> Array:
    """LN(a) = (a - mean) / sqrt(variance + 1e-5) over the last axis (Ba, Kiros & Hinton 2016, arXiv:1607.06450)."""
    mean = a.mean(axis=-1, keepdims=True)
    return (a - mean) / np.sqrt(((a - mean) ** 2).mean(axis=-1, keepdims=True) + EPSILON)


def clipped(a: Array, limit: float | None) -> Array:
    """`a` kept in [-limit, limit]; None or 0 is no limit."""
    return np.clip(a, -limit, limit) if limit else a


def zoned(zone: ArrayLike, old: Array, new: Array) -> Array:
    """zone * old + (1 - zone) * new (Krueger et al. 2017, arXiv:1606.01305, section 3)."""
    zone = np.asarray(zone, new.dtype)
    return zone * old + (1 - zone) * new


def products(p: Mapping[str, Array], x: Array, h: Array, layer_norm: bool) -> tuple[Array, Array]:
    """W x and R h of all gates; with layer_norm (Ba et al. 2016) norm_ih * LN(W x) and norm_hh * LN(R h)."""
    from_x, from_h = x @ p["weight_ih"].T, h @ p["weight_hh"].T
    if layer_norm:
        from_x, from_h = p["norm_ih"] * normalise(from_x), p["norm_hh"] * normalise(from_h)
    return from_x, from_h


def rnn(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    *,
    recurrent_mask: ArrayLike = 1.0,
    zone_h: ArrayLike = 0.0,
    activation: Activation = "tanh",
    clip: float | None = None,
) -> Named:
    """h' = φ(W x + R h + b) (Elman 1990, "Finding structure in time")."""
    from_x, from_h = products(p, x, h * recurrent_mask, False)
    a = clipped(from_x + from_h + p.get("bias", 0), clip)
    return {"a": a, "h": zoned(zone_h, h, activate(activation, a))}


def indrnn(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    *,
    recurrent_mask: ArrayLike = 1.0,
    zone_h: ArrayLike = 0.0,
    activation: Activation = "relu",
    clip: float | None = None,
) -> Named:
    """h' = φ(W x + u * h + b), u `weight_hh` (H,): each unit sees its own past alone (Li et al. 2018,
    arXiv:1803.04831, equation 2)."""
    a = clipped(x @ p["weight_ih"].T + p["weight_hh"] * (h * recurrent_mask) + p.get("bias", 0), clip)
    return {"a": a, "h": zoned(zone_h, h, activate(activation, a))}


def mgu(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    *,
    recurrent_mask: ArrayLike = 1.0,
    zone_h: ArrayLike = 0.0,
    activation: Activation = "tanh",
    recurrent_activation: Activation = "sigmoid",
    clip: float | None = None,
) -> Named:
    """Minimal gated unit (Zhou et al. 2016, arXiv:1603.09420, table 2).

    f  = σ(W_f x + R_f h + b_f)
    n  = φ(W_n x + R_n (f * h) + b_n)
    h' = (1 - f) * h + f * n
    """
    x_f, x_n = np.split(x @ p["weight_ih"].T + p.get("bias", 0), 2, axis=-1)
    R_f, R_n = np.split(p["weight_hh"], 2)
    h_in = h * recurrent_mask
    a_f = clipped(x_f + h_in @ R_f.T, clip)
    f = activate(recurrent_activation, a_f)
    a_n = clipped(x_n + (f * h_in) @ R_n.T, clip)
    n = activate(activation, a_n)
    return {"a_f": a_f, "a_n": a_n, "f": f, "n": n, "h": zoned(zone_h, h, (1 - f) * h + f * n)}


def gru(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    *,
    recurrent_mask: ArrayLike = 1.0,
    zone_h: ArrayLike = 0.0,
    reset: str = "after",
    update: str = "keep",
    activation: Activation = "tanh",
    recurrent_activation: Activation = "sigmoid",
    clip: float | None = None,
    layer_norm: bool = False,
) -> Named:
    """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555, section 3.2).

    r  = σ(W_r x + R_r h + b_r)                           reset gate
    z  = σ(W_z x + R_z h + b_z)                           update gate
    n  = φ(W_n x + b_n + r * (R_n h + b_hn))              reset="after" (cuDNN, PyTorch)
    n  = φ(W_n x + b_n + R_n (r * h))                     reset="before" (both papers)
    h' = (1 - z) * n + z * h                              update="keep" (Cho)
    h' = (1 - z) * h + z * n                              update="new" (Chung)

    With layer_norm (reset="after" alone), norm_ih * LN(W x) stands for W x and norm_hh * LN(R h) for R h, each
    normalised over all three gates together.
    """
    if reset not in ("after", "before") or update not in ("keep", "new"):
        raise ValueError(f"reset must be 'after' or 'before' and update 'keep' or 'new', got {reset!r} and {update!r}")
    if layer_norm and reset == "before":
        raise ValueError("layer_norm needs reset='after': with 'before' R_n h is no part of one product to normalise")
    h_in = h * recurrent_mask
    from_x, from_h = products(p, x, h_in, layer_norm)
    x_r, x_z, x_n = np.split(from_x + p.get("bias", 0), 3, axis=-1)
    h_r, h_z, h_n = np.split(from_h, 3, axis=-1)

    a_r = clipped(x_r + h_r, clip)
    a_z = clipped(x_z + h_z, clip)
    r = activate(recurrent_activation, a_r)
    z = activate(recurrent_activation, a_z)
    R_n = np.split(p["weight_hh"], 3)[2]
    recurrent = r * (h_n + p.get("bias_hn", 0)) if reset == "after" else (r * h_in) @ R_n.T
    a_n = clipped(x_n + recurrent, clip)
    n = activate(activation, a_n)
    h_new = (1 - z) * n + z * h if update == "keep" else (1 - z) * h + z * n
    return {"a_r": a_r, "a_z": a_z, "a_n": a_n, "r": r, "z": z, "n": n, "h": zoned(zone_h, h, h_new)}


def lstm(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    c: Array,
    *,
    recurrent_mask: ArrayLike = 1.0,
    zone_h: ArrayLike = 0.0,
    zone_c: ArrayLike = 0.0,
    peephole: bool = False,
    coupled: bool = False,
    proj_size: int = 0,
    activation: Activation = "tanh",
    output_activation: Activation | None = None,
    recurrent_activation: Activation = "sigmoid",
    clip: float | None = None,
    cell_clip: float | None = None,
    layer_norm: bool = False,
) -> Named:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    i  = σ(W_i x + R_i h + b_i [+ p_i * c])               input gate
    f  = σ(W_f x + R_f h + b_f [+ p_f * c])               forget gate; coupled: f = 1 - i (Greff et al. 2017, CIFG)
    g  = φ(W_g x + R_g h + b_g)                           candidate
    c' = f * c + i * g                                    cell_clip: kept in [-k, k]
    o  = σ(W_o x + R_o h + b_o [+ p_o * c'])              output gate
    h' = o * ψ(c')                                        ψ output_activation, φ where it is None

    [ ] peepholes, p `weight_ch` (Gers & Schmidhuber 2000, "Recurrent nets that time and count").
    Projection: h' = W_hr (o * ψ(c')), so that R is (G*H, P) (Sak, Senior & Beaufays 2014, arXiv:1402.1128).
    With layer_norm, norm_ih * LN(W x) stands for W x and norm_hh * LN(R h) for R h, each normalised over all gates
    together, and ψ sees norm_c * LN(c') + bias_c (Ba et al. 2016, equations 20 to 22).
    Zoneout mixes c' and h' with c and h in the end: h' is made of the c' that is not yet mixed.
    """
    from_x, from_h = products(p, x, h * recurrent_mask, layer_norm)
    a = np.split(from_x + from_h + p.get("bias", 0), 3 if coupled else 4, axis=-1)
    peepholes = p["weight_ch"] if peephole else np.zeros(2 if coupled else 3, x.dtype)
    p_i, *p_f, p_o = np.split(peepholes, 2 if coupled else 3)
    named: Named = {}

    named["a_i"] = clipped(a[0] + p_i * c, clip)
    named["i"] = i = activate(recurrent_activation, named["a_i"])
    if coupled:
        named["f"] = f = 1 - i
    else:
        named["a_f"] = clipped(a[1] + p_f[0] * c, clip)
        named["f"] = f = activate(recurrent_activation, named["a_f"])
    named["a_g"] = clipped(a[-2], clip)
    named["g"] = g = activate(activation, named["a_g"])

    c_new = clipped(f * c + i * g, cell_clip)
    named["a_o"] = clipped(a[-1] + p_o * c_new, clip)
    named["o"] = o = activate(recurrent_activation, named["a_o"])
    seen = p["norm_c"] * normalise(c_new) + p.get("bias_c", 0) if layer_norm else c_new
    h_new = o * activate(activation if output_activation is None else output_activation, seen)
    if proj_size:
        h_new = h_new @ p["weight_hr"].T

    named["c"], named["h"] = zoned(zone_c, c, c_new), zoned(zone_h, h, h_new)
    return named


CELLS: dict[str, Callable[..., Named]] = {"rnn": rnn, "lstm": lstm, "gru": gru, "indrnn": indrnn, "mgu": mgu}
GATES = {"rnn": 1, "lstm": 4, "gru": 3, "indrnn": 1, "mgu": 2}
OPTIONAL = ("bias", "bias_hn", "bias_c")


def parameter_shapes(
    cell: str,
    input_size: int,
    hidden_size: int,
    *,
    peephole: bool = False,
    coupled: bool = False,
    proj_size: int = 0,
    layer_norm: bool = False,
    reset: str = "after",
    **others: Any,
) -> dict[str, tuple[int, ...]]:
    """The parameters of a cell, by name, with these options: those that `step` takes and, but for biases, needs.

    Examples
    --------
    >>> parameter_shapes("lstm", 3, 5, coupled=True, proj_size=2)
    {'weight_ih': (15, 3), 'weight_hh': (15, 2), 'bias': (15,), 'weight_hr': (2, 5)}
    """
    if cell not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
    H, rows = hidden_size, (GATES[cell] - bool(coupled)) * hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, input_size),
        "weight_hh": (H,) if cell == "indrnn" else (rows, proj_size or H),
        "bias": (rows,),
    }
    if cell == "gru" and reset != "before":
        shapes["bias_hn"] = (H,)
    if peephole:
        shapes["weight_ch"] = (2 * H if coupled else 3 * H,)
    if proj_size:
        shapes["weight_hr"] = (proj_size, H)
    if layer_norm:
        shapes |= {"norm_ih": (rows,), "norm_hh": (rows,)}
        if cell == "lstm":
            shapes |= {"norm_c": (H,), "bias_c": (H,)}
    return shapes
