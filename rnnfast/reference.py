"""The recurrent cells in plain NumPy: textbook, oracle and benchmark baseline.

One layer in one direction: `forward` runs a batch of sequences, `backward` is back-propagation through time
(Werbos 1990, "Backpropagation through time: what it does and how to do it"). Written from the equations, apart from
the compiled kernels, and as fast as straightforward NumPy is: the input product of all steps is one matrix product
before the loop, each step is one product on the concatenated gates, and the gradients of the weights are one product
each after the loop.

Inside, arrays are time-major, (T, B, ...), and a ragged batch is sorted by falling length, so that the rows still
running at step t are the first `n` of them: no step works on padding, and a batch without lengths pays for no mask.
The states are kept in T+1 slots. Step t reads slot t and writes slot t+1; the reverse direction reads slot t+1 and
writes slot t.

Symbols: x_t (I,) input, h_t (H,) output, W `weight_ih`, R `weight_hh`, b `bias`, σ(a) = 1 / (1 + exp(-a)),
* elementwise product. Gate blocks are stacked in `weight_ih` (G*H, I): LSTM i f g o, GRU r z n. da is the gradient of
the loss with respect to a.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
State = Any  # h (B, H), or for the LSTM the pair (h, c)

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
OPTIONS = {"activation": ("tanh", "relu", "identity"), "reset": ("after", "before"), "update": ("keep", "new")}


@dataclass
class Saved:
    """What `backward` needs of a `forward`; arrays are time-major, rows sorted by falling length."""

    cell: str
    params: dict[str, Array]
    options: dict[str, str]
    order: Any  # row j inside is row order[j] of the caller
    steps: list[tuple[int, int, int, int]]  # in order of time: step, rows running, slot read, slot written
    reverse: bool
    x: Array  # (T, B, I)
    h: Array  # (T+1, B, H)
    gates: Array  # (T, B, G*H): pre-activations from the input, then activated gates
    inner: tuple[Array, ...] = ()  # lstm: c (T+1, B, H) and tanh(c) (T, B, H); gru: q (T, B, H)

    @property
    def h_before(self) -> Array:
        """h_{t-1} of every step, (T, B, H)."""
        return self.h[1:] if self.reverse else self.h[:-1]


def forward(
    cell: str,
    params: Mapping[str, ArrayLike],
    x: ArrayLike,
    state: State = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    activation: str = "tanh",
    reset: str = "after",
    update: str = "keep",
) -> tuple[Array, State, Saved]:
    """Run one layer in one direction over a batch of sequences.

    Parameters
    ----------
    cell : "rnn", "lstm" or "gru"
        See `rnn_forward`, `lstm_forward`, `gru_forward` for the equations.
    params : mapping of arrays
        `weight_ih` (G*H, I), `weight_hh` (G*H, H), optionally `bias` (G*H,), and for the reset-after GRU optionally
        `bias_hn` (H,). The dtype of `weight_ih`, float32 or float64, is that of the computation.
    x : (B, T, I) array
    state : (B, H) array, for the LSTM a pair (h, c) of them, optional
        State before the first step; zeros by default.
    lengths : (B,) integers, optional
        Valid steps of each row, 0 to T, in any order.
    reverse : bool
        Run each row from its last valid step to its first. Outputs stay at the place of their input.
    activation : "tanh", "relu" or "identity"
        Of the RNN.
    reset : "after" or "before"
        Whether the GRU's reset gate works after or before the recurrent product.
    update : "keep" or "new"
        What the GRU's update gate lets through, the old state or the new.

    Returns
    -------
    y : (B, T, H) array
        Outputs, zero beyond a row's end.
    state : as the argument
        State after each row's last step.
    saved : Saved
        For `backward`.

    Raises
    ------
    ValueError
        If a name, a shape or a length is not as above.

    Examples
    --------
    A network of one unit that adds up what it sees:

    >>> params = {"weight_ih": np.array([[1.0]]), "weight_hh": np.array([[1.0]])}
    >>> y, h, saved = forward("rnn", params, [[[1.0], [2.0], [3.0]]], activation="identity")
    >>> y[0, :, 0], h
    (array([1., 3., 6.]), array([[6.]]))
    """
    options = {"activation": activation, "reset": reset, "update": update}
    params, x = _check(cell, params, x, options)
    B, T, input_size = x.shape
    H = params["weight_hh"].shape[1]

    order: Any = slice(None)
    end: Any = T
    rows = [B] * T
    if lengths is not None:
        lengths = _check_shape("lengths", np.asarray(lengths), (B,)).astype(np.intp, casting="same_kind")
        if np.any((lengths < 0) | (lengths > T)):
            raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}, wanted 0 to {T}")
        order = np.argsort(-lengths, kind="stable")
        end = (lengths[order], np.arange(B))
        rows = [int(n) for n in (lengths > np.arange(T)[:, None]).sum(axis=1) if n]
    steps = [(t, n, t + 1, t) if reverse else (t, n, t, t + 1) for t, n in enumerate(rows)]
    first, last = (end, 0) if reverse else (0, end)

    x = np.array(x.swapaxes(0, 1)[:, order], order="C")
    if lengths is not None:
        x[np.arange(T)[:, None] >= lengths[order]] = 0  # padding may hold anything, and 0 * nan is no zero
    gates = (x.reshape(T * B, input_size) @ params["weight_ih"].T).reshape(T, B, GATES[cell] * H)
    if "bias" in params:
        gates += params["bias"]

    slots = []
    for start in _parts(cell, "state", state, (B, H), x.dtype):
        slots.append(np.zeros((T + 1, B, H), x.dtype))
        slots[-1][first] = start[order]
    saved = Saved(cell, params, options, order, steps[::-1] if reverse else steps, reverse, x, slots[0], gates)
    with np.errstate(over="ignore"):  # exp(-a) may be inf: σ is then 0, as it should be
        LOOPS[cell][0](saved, *slots[1:])

    y = _unsorted((slots[0][:-1] if reverse else slots[0][1:]).swapaxes(0, 1), order)
    if lengths is not None and reverse:
        y[np.arange(T) >= lengths[:, None]] = 0  # the initial state stands in slot lengths[b]
    final = [_unsorted(history[last], order) for history in slots]
    return y, tuple(final) if cell == "lstm" else final[0], saved


def backward(saved: Saved, dy: ArrayLike, dstate: State = None) -> tuple[Array, State, dict[str, Array]]:
    """Back-propagate through time: the gradients of everything that went into `forward`.

    Parameters
    ----------
    saved : Saved
        From `forward`; may be used more than once.
    dy : (B, T, H) array
        Gradient of the loss with respect to y. Beyond a row's end it counts for nothing.
    dstate : as the state, optional
        Gradient with respect to the state returned; zeros by default.

    Returns
    -------
    dx : (B, T, I) array
        Zero beyond a row's end.
    dstate : as the state
        Gradient with respect to the initial state.
    grads : dict of arrays
        Gradients of the parameters, under their names.

    Raises
    ------
    ValueError
        If a shape is not as above.
    """
    cell, order, x, params = saved.cell, saved.order, saved.x, saved.params
    T, B, input_size = x.shape
    H = params["weight_hh"].shape[1]
    dy = _check_shape("dy", np.asarray(dy, x.dtype), (B, T, H)).swapaxes(0, 1)[:, order]
    # The gradients of the state walk back in time in these; a row waits here until its last step comes.
    carry = [part[order].copy() for part in _parts(cell, "dstate", dstate, (B, H), x.dtype)]

    da, grads = LOOPS[cell][1](saved, dy, *carry)

    da = da.reshape(T * B, GATES[cell] * H)
    grads["weight_ih"] = da.T @ x.reshape(T * B, input_size)
    if "bias" in params:
        grads["bias"] = da.sum(axis=0)
    dx = _unsorted((da @ params["weight_ih"]).reshape(x.shape).swapaxes(0, 1), order)
    initial = [_unsorted(part, order) for part in carry]
    return dx, tuple(initial) if cell == "lstm" else initial[0], {name: grads[name] for name in params}


def rnn_forward(saved: Saved) -> None:
    """h_t = activation(W x_t + R h_{t-1} + b)  (Elman 1990, "Finding structure in time")."""
    h, R = saved.h, saved.params["weight_hh"].T
    activation = saved.options["activation"]
    for t, n, before, after in saved.steps:
        a = np.dot(h[before, :n], R, out=h[after, :n])
        a += saved.gates[t, :n]
        if activation == "tanh":
            np.tanh(a, out=a)
        elif activation == "relu":
            np.maximum(a, 0, out=a)


def rnn_backward(saved: Saved, dy: Array, dh: Array) -> tuple[Array, dict[str, Array]]:
    """With a_t inside the activation: da = dh * activation'(a), dh_{t-1} = Rᵀ da; tanh' = 1 - h², relu' = [h > 0]."""
    R = saved.params["weight_hh"]
    activation = saved.options["activation"]
    da = np.zeros_like(saved.gates)
    for t, n, _, after in reversed(saved.steps):
        h, slope = saved.h[after, :n], da[t, :n]
        if activation == "tanh":
            np.multiply(h, h, out=slope)
            np.subtract(1, slope, out=slope)
        else:
            slope[:] = h > 0 if activation == "relu" else 1
        slope *= np.add(dh[:n], dy[t, :n], out=dh[:n])
        np.dot(slope, R, out=dh[:n])
    return da, {"weight_hh": _over_time(da, saved.h_before)}


def lstm_forward(saved: Saved, c: Array) -> None:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    i_t = σ(W_i x_t + R_i h_{t-1} + b_i)        input gate
    f_t = σ(W_f x_t + R_f h_{t-1} + b_f)        forget gate
    g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)     candidate
    o_t = σ(W_o x_t + R_o h_{t-1} + b_o)        output gate
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)
    """
    h, R = saved.h, saved.params["weight_hh"].T
    T, B, H = c.shape[0] - 1, *c.shape[1:]
    tanh_c = np.empty((T, B, H), c.dtype)
    scratch = np.empty((B, 4 * H), c.dtype)
    for t, n, before, after in saved.steps:
        gates = saved.gates[t, :n]
        a = np.dot(h[before, :n], R, out=scratch[:n])
        a += gates
        _sigmoid(a, out=gates)  # of g's block too: one pass over all costs less than two over parts
        i, f, g, o = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H : 3 * H], gates[:, 3 * H :]
        np.tanh(a[:, 2 * H : 3 * H], out=g)
        c_new, tanh_new = c[after, :n], tanh_c[t, :n]
        np.multiply(f, c[before, :n], out=c_new)
        c_new += np.multiply(i, g, out=tanh_new)
        np.tanh(c_new, out=tanh_new)
        np.multiply(o, tanh_new, out=h[after, :n])
    saved.inner = (c, tanh_c)


def lstm_backward(saved: Saved, dy: Array, dh: Array, dc: Array) -> tuple[Array, dict[str, Array]]:
    """With a the pre-activations, and dh, dc arriving at step t:

    do = dh * tanh(c_t)                         da_o = do * o (1 - o)
    dc = dc + dh * o * (1 - tanh(c_t)²)
    di = dc * g                                 da_i = di * i (1 - i)
    df = dc * c_{t-1}                           da_f = df * f (1 - f)
    dg = dc * i                                 da_g = dg * (1 - g²)
    dh_{t-1} = Rᵀ da,  dc_{t-1} = dc * f
    """
    R = saved.params["weight_hh"]
    c, tanh_c = saved.inner
    H = R.shape[1]
    da = np.zeros_like(saved.gates)
    scratch = np.empty_like(dh)
    for t, n, before, _ in reversed(saved.steps):
        gates, d, work = saved.gates[t, :n], da[t, :n], scratch[:n]
        i, f, g, o = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H : 3 * H], gates[:, 3 * H :]
        dh_t, dc_t, tanh_t = dh[:n], dc[:n], tanh_c[t, :n]
        dh_t += dy[t, :n]

        np.multiply(tanh_t, tanh_t, out=work)
        np.subtract(1, work, out=work)
        work *= o
        work *= dh_t
        dc_t += work

        np.subtract(1, gates, out=d)  # σ' of all four blocks at once; g's is then put right
        d *= gates
        np.multiply(g, g, out=work)
        np.subtract(1, work, out=d[:, 2 * H : 3 * H])
        d[:, :H] *= np.multiply(dc_t, g, out=work)
        d[:, H : 2 * H] *= np.multiply(dc_t, c[before, :n], out=work)
        d[:, 2 * H : 3 * H] *= np.multiply(dc_t, i, out=work)
        d[:, 3 * H :] *= np.multiply(dh_t, tanh_t, out=work)

        dc_t *= f
        np.dot(d, R, out=dh_t)
    return da, {"weight_hh": _over_time(da, saved.h_before)}


def gru_forward(saved: Saved) -> None:
    """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555, section 3.2).

    r_t = σ(W_r x_t + R_r h_{t-1} + b_r)                                reset gate
    z_t = σ(W_z x_t + R_z h_{t-1} + b_z)                                update gate
    n_t = tanh(W_n x_t + b_n + r_t * (R_n h_{t-1} + b_hn))              reset="after" (cuDNN, PyTorch)
    n_t = tanh(W_n x_t + b_n + R_n (r_t * h_{t-1}))                     reset="before" (both papers)
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}                               update="keep" (Cho)
    h_t = (1 - z_t) * h_{t-1} + z_t * n_t                               update="new" (Chung)
    """
    h, R = saved.h, saved.params["weight_hh"].T
    after_product, keep = saved.options["reset"] == "after", saved.options["update"] == "keep"
    T, B, H = h.shape[0] - 1, *h.shape[1:]
    bias_hn = saved.params.get("bias_hn", np.zeros(H, h.dtype))
    R_rz, R_n = R[:, : 2 * H], R[:, 2 * H :]
    q = np.zeros((T, B, H), h.dtype)  # R_n h + b_hn, or r * h
    # NumPy is about twice as fast on contiguous arrays as on column blocks: work in these, then save.
    product = np.empty((B, 3 * H if after_product else 2 * H), h.dtype)
    scratch_rz, scratch_n = np.empty((B, 2 * H), h.dtype), np.empty((B, H), h.dtype)
    for t, n, before, after in saved.steps:
        h_old, h_new, q_t = h[before, :n], h[after, :n], q[t, :n]
        gates_rz, gates_n = saved.gates[t, :n, : 2 * H], saved.gates[t, :n, 2 * H :]
        p = np.dot(h_old, R if after_product else R_rz, out=product[:n])
        rz = np.add(p[:, : 2 * H], gates_rz, out=scratch_rz[:n])
        _sigmoid(rz, out=rz)
        r, z = rz[:, :H], rz[:, H:]
        if after_product:
            np.add(p[:, 2 * H :], bias_hn, out=q_t)
            candidate = np.multiply(r, q_t, out=scratch_n[:n])
        else:
            np.multiply(r, h_old, out=q_t)
            candidate = np.dot(q_t, R_n, out=scratch_n[:n])
        candidate += gates_n
        np.tanh(candidate, out=candidate)
        base, other = (candidate, h_old) if keep else (h_old, candidate)
        np.subtract(other, base, out=h_new)  # h = base + z * (other - base)
        h_new *= z
        h_new += base
        gates_rz[...], gates_n[...] = rz, candidate
    saved.inner = (q,)


def gru_backward(saved: Saved, dy: Array, dh: Array) -> tuple[Array, dict[str, Array]]:
    """With h = base + z * (other - base), and a the pre-activations:

    dbase = dh * (1 - z),  dother = dh * z      base, other = n, h_{t-1} ("keep") or h_{t-1}, n ("new")
    dz = dh * (other - base)                    da_z = dz * z (1 - z)
                                                da_n = dn * (1 - n²)
    after:  q = R_n h_{t-1} + b_hn,  dq = da_n * r,     dr = da_n * q,      dh_{t-1} += R_nᵀ dq
    before: q = r * h_{t-1},         dq = R_nᵀ da_n,    dr = dq * h_{t-1},  dh_{t-1} += dq * r
                                                da_r = dr * r (1 - r)
    dh_{t-1} += R_rᵀ da_r + R_zᵀ da_z
    """
    R = saved.params["weight_hh"]
    (q,) = saved.inner
    after_product, keep = saved.options["reset"] == "after", saved.options["update"] == "keep"
    H = R.shape[1]
    R_rz, R_n = R[: 2 * H], R[2 * H :]
    da = np.zeros_like(saved.gates)
    dp = np.zeros_like(da) if after_product else da  # gradients of the recurrent products: (da_r, da_z, da_n or dq)
    scratch = np.empty((2, *dh.shape), dh.dtype)
    for t, n, before, _ in reversed(saved.steps):
        gates, d, dp_t, dh_t = saved.gates[t, :n], da[t, :n], dp[t, :n], dh[:n]
        h_old, q_t, dbase, dother = saved.h[before, :n], q[t, :n], scratch[0, :n], scratch[1, :n]
        r, z, candidate = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H :]
        d_rz, d_r, d_z, d_n = d[:, : 2 * H], d[:, :H], d[:, H : 2 * H], d[:, 2 * H :]
        dh_t += dy[t, :n]

        np.subtract(1, gates[:, : 2 * H], out=d_rz)
        d_rz *= gates[:, : 2 * H]
        np.multiply(candidate, candidate, out=d_n)
        np.subtract(1, d_n, out=d_n)

        base, other = (candidate, h_old) if keep else (h_old, candidate)
        np.subtract(other, base, out=dbase)
        dbase *= dh_t
        d_z *= dbase
        np.multiply(dh_t, z, out=dother)
        np.subtract(dh_t, dother, out=dbase)
        dn, past_gates = (dbase, dother) if keep else (dother, dbase)
        d_n *= dn

        if after_product:
            d_r *= np.multiply(d_n, q_t, out=dn)
            dp_t[:, : 2 * H] = d_rz
            np.multiply(d_n, r, out=dp_t[:, 2 * H :])
            np.dot(dp_t, R, out=dh_t)
        else:
            dq = np.dot(d_n, R_n, out=dn)
            d_r *= np.multiply(dq, h_old, out=dh_t)
            past_gates += np.multiply(dq, r, out=dq)
            np.dot(d_rz, R_rz, out=dh_t)
        dh_t += past_gates

    grads = {"weight_hh": _over_time(dp, saved.h_before)}
    if not after_product:
        grads["weight_hh"][2 * H :] = _over_time(da[..., 2 * H :], q)
    elif "bias_hn" in saved.params:
        grads["bias_hn"] = dp[..., 2 * H :].sum(axis=(0, 1))
    return da, grads


LOOPS: dict[str, tuple[Callable[..., None], Callable[..., tuple[Array, dict[str, Array]]]]] = {
    "rnn": (rnn_forward, rnn_backward),
    "lstm": (lstm_forward, lstm_backward),
    "gru": (gru_forward, gru_backward),
}


def _sigmoid(a: Array, out: Array) -> None:
    """out = 1 / (1 + exp(-a))."""
    np.negative(a, out=out)
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)


def _over_time(da: Array, h: Array) -> Array:
    """Σ_t da_tᵀ h_t over all rows: the gradient of a weight."""
    return da.reshape(-1, da.shape[-1]).T @ h.reshape(-1, h.shape[-1])


def _unsorted(a: Array, order: Any) -> Array:
    """A copy with the rows, on axis 0, in the caller's order."""
    result = np.empty_like(a, order="C")
    result[order] = a
    return result


def _parts(cell: str, name: str, state: State, shape: tuple[int, int], dtype: Any) -> list[Array]:
    """The arrays of a state: h, for the LSTM h and c."""
    count = 2 if cell == "lstm" else 1
    if state is None:
        return [np.zeros(shape, dtype)] * count
    arrays = list(state) if cell == "lstm" else [state]
    if len(arrays) != count:
        raise ValueError(f"{name} of an LSTM must be a pair (h, c), got {len(arrays)} arrays")
    return [_check_shape(name, np.asarray(array, dtype), shape) for array in arrays]


def _check(
    cell: str, params: Mapping[str, ArrayLike], x: ArrayLike, options: dict[str, str]
) -> tuple[dict[str, Array], Array]:
    if cell not in GATES:
        raise ValueError(f"cell must be one of {', '.join(GATES)}, got {cell!r}")
    for name, choice in options.items():
        if choice not in OPTIONS[name]:
            raise ValueError(f"{name} must be one of {', '.join(OPTIONS[name])}, got {choice!r}")
    dtype = np.asarray(params["weight_ih"]).dtype
    arrays = {name: np.asarray(value, dtype) for name, value in params.items()}
    x = np.asarray(x, dtype)
    if x.ndim != 3:
        raise ValueError(f"x has shape {x.shape}, wanted (B, T, I)")
    H = arrays["weight_hh"].shape[-1]
    rows = GATES[cell] * H
    wanted = {"weight_ih": (rows, x.shape[2]), "weight_hh": (rows, H), "bias": (rows,)}
    if cell == "gru" and options["reset"] == "after":
        wanted["bias_hn"] = (H,)
    for name, value in arrays.items():
        if name not in wanted:
            raise ValueError(f"params has {name!r}, wanted only {', '.join(wanted)}")
        _check_shape(name, value, wanted[name])
    return arrays, x


def _check_shape(name: str, value: Array, wanted: tuple[int, ...]) -> Array:
    if value.shape != wanted:
        raise ValueError(f"{name} has shape {value.shape}, wanted {wanted}")
    return value
