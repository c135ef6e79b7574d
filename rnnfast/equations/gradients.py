"""The cells' gradients, one step back: what `cells` says, read from its last line to its first.

d_k stands for the gradient of the loss with respect to k. A function takes the parameters, the step's x and old state,
what the cell named in its step, the gradients of the new state and the cell's options. It adds to `grads`, and returns
the gradients of x and of the old state.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnfast.equations.cells import EPSILON, Activation, Array, Named, activate, normalise

Grads = dict[str, Array]

SLOPES: dict[str, Callable[..., ArrayLike]] = {
    "tanh": lambda a, y: 1 - y * y,
    "sigmoid": lambda a, y: y * (1 - y),
    "relu": lambda a, y: y > 0,
    "identity": lambda a, y: np.ones_like(y),
    "leaky_relu": lambda a, y, alpha=0.01: np.where(a < 0, alpha, 1),
    "elu": lambda a, y, alpha=1.0: np.where(a < 0, y + alpha, 1),
    "softsign": lambda a, y: 1 / (1 + np.abs(a)) ** 2,
    "hard_sigmoid": lambda a, y, alpha=1 / 6, beta=0.5: alpha * ((y > 0) & (y < 1)),
    "hard_sigmoid_onnx": lambda a, y, alpha=0.2, beta=0.5: alpha * ((y > 0) & (y < 1)),
}


def activate_back(activation: Activation, a: Array, y: Array, dy: Array) -> Array:
    """d_a, of y = activate(activation, a)."""
    if callable(activation):
        raise ValueError("a function as activation has no slope that is known: give one of the names")
    name, *constants = (activation,) if isinstance(activation, str) else activation
    return dy * np.asarray(SLOPES[name](a, y, *constants), dy.dtype)


def clipped_back(a: Array, limit: float | None, d: Array) -> Array:
    """Nothing passes where `a`, already clipped, has met the limit."""
    return np.where(np.abs(a) < limit, d, 0) if limit else d


def normalise_back(a: Array, d: Array) -> Array:
    """d_a, of normalise(a)."""
    scale = 1 / np.sqrt(a.var(axis=-1, keepdims=True) + EPSILON)
    z = normalise(a)
    return scale * (d - d.mean(axis=-1, keepdims=True) - z * (d * z).mean(axis=-1, keepdims=True))


def products_back(
    p: Mapping[str, Array], x: Array, h: Array, d_x: Array, d_h: Array, layer_norm: bool, grads: Grads
) -> tuple[Array, Array]:
    """Gradients of x and h, of those of what `products` gives."""
    W, R = p["weight_ih"], p["weight_hh"]
    if layer_norm:
        grads["norm_ih"] += (d_x * normalise(x @ W.T)).sum(axis=0)
        grads["norm_hh"] += (d_h * normalise(h @ R.T)).sum(axis=0)
        d_x = normalise_back(x @ W.T, d_x * p["norm_ih"])
        d_h = normalise_back(h @ R.T, d_h * p["norm_hh"])
    grads["weight_ih"] += d_x.T @ x
    grads["weight_hh"] += d_h.T @ h
    return d_x @ W, d_h @ R


def _bias(grads: Grads, name: str, d: Array) -> None:
    if name in grads:
        grads[name] += d.sum(axis=0)


def rnn_back(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    now: Named,
    d_new: Array,
    grads: Grads,
    *,
    recurrent_mask: Any = 1.0,
    zone_h: Any = 0.0,
    activation: Activation = "tanh",
    clip: float | None = None,
) -> tuple[Array, Array]:
    """Of `rnn`."""
    d_out = (1 - zone_h) * d_new
    d_a = clipped_back(now["a"], clip, activate_back(activation, now["a"], activate(activation, now["a"]), d_out))
    _bias(grads, "bias", d_a)
    d_x, d_in = products_back(p, x, h * recurrent_mask, d_a, d_a, False, grads)
    return d_x, zone_h * d_new + d_in * recurrent_mask


def indrnn_back(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    now: Named,
    d_new: Array,
    grads: Grads,
    *,
    recurrent_mask: Any = 1.0,
    zone_h: Any = 0.0,
    activation: Activation = "relu",
    clip: float | None = None,
) -> tuple[Array, Array]:
    """Of `indrnn`."""
    d_out = (1 - zone_h) * d_new
    d_a = clipped_back(now["a"], clip, activate_back(activation, now["a"], activate(activation, now["a"]), d_out))
    _bias(grads, "bias", d_a)
    grads["weight_ih"] += d_a.T @ x
    grads["weight_hh"] += (d_a * h * recurrent_mask).sum(axis=0)
    return d_a @ p["weight_ih"], zone_h * d_new + d_a * p["weight_hh"] * recurrent_mask


def mgu_back(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    now: Named,
    d_new: Array,
    grads: Grads,
    *,
    recurrent_mask: Any = 1.0,
    zone_h: Any = 0.0,
    activation: Activation = "tanh",
    recurrent_activation: Activation = "sigmoid",
    clip: float | None = None,
) -> tuple[Array, Array]:
    """Of `mgu`."""
    f, n, h_in = now["f"], now["n"], h * recurrent_mask
    R_f, R_n = np.split(p["weight_hh"], 2)
    d_out = (1 - zone_h) * d_new
    d_a_n = clipped_back(now["a_n"], clip, activate_back(activation, now["a_n"], n, d_out * f))
    d_product = d_a_n @ R_n
    d_f = d_out * (n - h) + d_product * h_in
    d_a_f = clipped_back(now["a_f"], clip, activate_back(recurrent_activation, now["a_f"], f, d_f))
    d_a = np.concatenate([d_a_f, d_a_n], axis=-1)
    _bias(grads, "bias", d_a)
    grads["weight_ih"] += d_a.T @ x
    grads["weight_hh"] += np.concatenate([d_a_f.T @ h_in, d_a_n.T @ (f * h_in)])
    d_in = d_a_f @ R_f + d_product * f
    return d_a @ p["weight_ih"], zone_h * d_new + d_out * (1 - f) + d_in * recurrent_mask


def gru_back(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    now: Named,
    d_new: Array,
    grads: Grads,
    *,
    recurrent_mask: Any = 1.0,
    zone_h: Any = 0.0,
    reset: str = "after",
    update: str = "keep",
    activation: Activation = "tanh",
    recurrent_activation: Activation = "sigmoid",
    clip: float | None = None,
    layer_norm: bool = False,
) -> tuple[Array, Array]:
    """Of `gru`."""
    r, z, n, h_in = now["r"], now["z"], now["n"], h * recurrent_mask
    d_out = (1 - zone_h) * d_new
    new = 1 - z if update == "keep" else z  # the share of n
    d_z = d_out * (h - n if update == "keep" else n - h)
    d_a_n = clipped_back(now["a_n"], clip, activate_back(activation, now["a_n"], n, d_out * new))
    d_in: ArrayLike = 0
    if reset == "after":
        h_n = h_in @ np.split(p["weight_hh"], 3)[2].T
        if layer_norm:
            h_n = np.split(p["norm_hh"] * normalise(h_in @ p["weight_hh"].T), 3, axis=-1)[2]
        d_r, d_h_n = d_a_n * (h_n + p.get("bias_hn", 0)), d_a_n * r
        _bias(grads, "bias_hn", d_h_n)
    else:
        R_n = np.split(p["weight_hh"], 3)[2]
        d_product = d_a_n @ R_n
        d_r, d_in, d_h_n = d_product * h_in, d_product * r, np.zeros_like(d_a_n)
        np.split(grads["weight_hh"], 3)[2][...] += d_a_n.T @ (r * h_in)
    d_a_r = clipped_back(now["a_r"], clip, activate_back(recurrent_activation, now["a_r"], r, d_r))
    d_a_z = clipped_back(now["a_z"], clip, activate_back(recurrent_activation, now["a_z"], z, d_z))
    d_from_x = np.concatenate([d_a_r, d_a_z, d_a_n], axis=-1)
    _bias(grads, "bias", d_from_x)
    d_from_h = np.concatenate([d_a_r, d_a_z, d_h_n], axis=-1)
    d_x, through_R = products_back(p, x, h_in, d_from_x, d_from_h, layer_norm, grads)
    return d_x, zone_h * d_new + d_out * (1 - new) + (d_in + through_R) * recurrent_mask


def lstm_back(
    p: Mapping[str, Array],
    x: Array,
    h: Array,
    c: Array,
    now: Named,
    d_h_new: Array,
    d_c_new: Array,
    grads: Grads,
    *,
    recurrent_mask: Any = 1.0,
    zone_h: Any = 0.0,
    zone_c: Any = 0.0,
    peephole: bool = False,
    coupled: bool = False,
    proj_size: int = 0,
    activation: Activation = "tanh",
    output_activation: Activation | None = None,
    recurrent_activation: Activation = "sigmoid",
    clip: float | None = None,
    cell_clip: float | None = None,
    layer_norm: bool = False,
) -> tuple[Array, Array, Array]:
    """Of `lstm`: with the gradient of c, and that of the old c."""

    def gate(name: str, d: Array) -> Array:
        """The gradient of what enters a gate's activation."""
        return clipped_back(now[f"a_{name}"], clip, activate_back(recurrent_activation, now[f"a_{name}"], now[name], d))

    i, f, g, o = (now[name] for name in "ifgo")
    p_i, *p_f, p_o = np.split(p["weight_ch"], 2 if coupled else 3) if peephole else [np.zeros(c.shape[1], c.dtype)] * 3
    last = activation if output_activation is None else output_activation
    c_new = f * c + i * g
    if cell_clip:
        c_new = np.clip(c_new, -cell_clip, cell_clip)
    seen = p["norm_c"] * normalise(c_new) + p.get("bias_c", 0) if layer_norm else c_new
    shown = activate(last, seen)

    d_out, d_c = (1 - zone_h) * d_h_new, (1 - zone_c) * d_c_new
    if proj_size:
        grads["weight_hr"] += d_out.T @ (o * shown)
        d_out = d_out @ p["weight_hr"]
    d_seen = activate_back(last, seen, shown, d_out * o)
    if layer_norm:
        grads["norm_c"] += (d_seen * normalise(c_new)).sum(axis=0)
        _bias(grads, "bias_c", d_seen)
        d_seen = normalise_back(c_new, d_seen * p["norm_c"])
    d_a_o = gate("o", d_out * shown)
    d_c = clipped_back(c_new, cell_clip, d_c + d_seen + d_a_o * p_o)
    d_a_g = clipped_back(now["a_g"], clip, activate_back(activation, now["a_g"], g, d_c * i))
    d_old = zone_c * d_c_new + d_c * f
    if coupled:
        d_a_i = gate("i", d_c * g - d_c * c)
        gates, peeped = [d_a_i, d_a_g, d_a_o], [d_a_i * c, d_a_o * c_new]
    else:
        d_a_i, d_a_f = gate("i", d_c * g), gate("f", d_c * c)
        gates, peeped = [d_a_i, d_a_f, d_a_g, d_a_o], [d_a_i * c, d_a_f * c, d_a_o * c_new]
        d_old = d_old + d_a_f * p_f[0]
    d_old = d_old + d_a_i * p_i
    if peephole:
        grads["weight_ch"] += np.concatenate(peeped, axis=-1).sum(axis=0)
    d_a = np.concatenate(gates, axis=-1)
    _bias(grads, "bias", d_a)
    d_x, d_in = products_back(p, x, h * recurrent_mask, d_a, d_a, layer_norm, grads)
    return d_x, zone_h * d_h_new + d_in * recurrent_mask, d_old


BACK: dict[str, Callable[..., tuple[Array, ...]]] = {
    "rnn": rnn_back, "lstm": lstm_back, "gru": gru_back, "indrnn": indrnn_back, "mgu": mgu_back,
}  # fmt: skip
