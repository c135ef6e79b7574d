"""Functions on arrays over the compiled kernels: check, allocate, call. One layer, one direction.

`forward` and `backward` have the arguments and results of their textbook twins in :mod:`rnnfast.reference`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels import _gradients, _linear, _recurrent
from rnnfast.kernels._losses import cross_entropy, mse
from rnnfast.kernels._packed import Packed
from rnnfast.kernels._passes import accumulate, add_rows, dropout, sum_of_squares
from rnnfast.kernels._updates import adam_step, sgd_step

__all__ = [
    "GATES",
    "accumulate",
    "adam_step",
    "add_rows",
    "backward",
    "check_options",
    "cross_entropy",
    "dropout",
    "forward",
    "linear",
    "linear_backward",
    "mse",
    "pack",
    "sequence_lengths",
    "sgd_step",
    "state_pair",
    "sum_of_squares",
]

Array = np.ndarray

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Gates of each cell: the rows of a weight matrix are that many blocks of H."""
_CHOICES = {"activation": ("tanh", "relu", "identity"), "reset": ("after", "before"), "update": ("keep", "new")}
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Saved(NamedTuple):
    """What `forward(save=True)` keeps for `backward`."""

    call: Any
    cell: str
    bias: bool
    bias_hn: bool
    shape: tuple[int, int, int]
    hidden_size: int
    dtype: np.dtype
    right: list[bool]  # one entry, which backward takes out: that works once even where threads compete


def _real(value: Any, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> Array:
    """`value` as an array of this dtype and shape, or the error that says what is wrong with it."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array if array.dtype == dtype else array.astype(dtype)


def _usable(array: Array) -> Array:
    """The same numbers where the kernels can read them in place: aligned, whole elements apart, features contiguous."""
    if (array.shape[-1] > 1 and array.strides[-1] != array.itemsize) or not array.flags.aligned:
        return array.copy()
    return array


def _overlaps_itself(array: Array) -> bool:
    """Whether elements may share an address: broadcast arrays, sliding windows."""
    end = array.itemsize
    for stride, count in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if count > 1:
            if stride < end and array.size:
                return True
            end += stride * (count - 1)
    return False


def check_options(cell: str, options: Mapping[str, str]) -> tuple[str, bool]:
    """The kernels' name of the cell's variant, and whether the update gate's sign turns."""
    if cell not in GATES:
        raise ValueError(f"cell must be 'rnn', 'lstm' or 'gru', got {cell!r}")
    for name, value in options.items():
        if value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, _CHOICES[name]))}, got {value!r}")
    variant = {"rnn": options["activation"], "lstm": "", "gru": options["reset"]}[cell]
    return variant, cell == "gru" and options["update"] == "new"


def pack(
    cell: str,
    params: Mapping[str, Any],
    *,
    activation: str = "tanh",
    reset: str = "after",
    update: str = "keep",
    training: bool = False,
) -> Packed:
    """Pack the weights of one direction once, for many calls of `forward` while they do not change.

    Parameters
    ----------
    cell : "rnn", "lstm" or "gru"
    params : mapping of str to array
        weight_ih (G·H, I), weight_hh (G·H, H), bias (G·H,) or none, bias_hn (H,) or none (GRU, reset after only).
        Their dtype, float32 or float64, is the computation's.
    activation, reset, update : str
        See :func:`rnnfast.reference.forward`.
    training : bool
        Pack for `backward` too.

    Returns
    -------
    Packed
        Immutable; a copy of the weights.

    Raises
    ------
    ValueError, TypeError
        For an unknown cell or option, a wrong shape or dtype, or a parameter that is missing or unknown.
    """
    variant, new = check_options(cell, {"activation": activation, "reset": reset, "update": update})
    known = {"weight_ih", "weight_hh", "bias"} | ({"bias_hn"} if variant == "after" else set())
    if missing := {"weight_ih", "weight_hh"} - params.keys():
        raise ValueError(f"params lacks {', '.join(sorted(missing))}")
    if unknown := params.keys() - known:
        names, wanted = ", ".join(sorted(unknown)), ", ".join(sorted(known))
        raise ValueError(f"params has {names}, which this cell does not know; it knows {wanted}")
    weight_ih, weight_hh = np.asarray(params["weight_ih"]), np.asarray(params["weight_hh"])
    if weight_ih.dtype not in _FLOATS:
        raise TypeError(f"weight_ih must be float32 or float64, got dtype {weight_ih.dtype}")
    gates, dtype = GATES[cell], weight_ih.dtype
    if weight_hh.ndim != 2 or not weight_hh.size or weight_hh.shape[0] != gates * weight_hh.shape[1]:
        raise ValueError(f"weight_hh must have shape ({gates}·H, H) with H at least 1, got {weight_hh.shape}")
    H = weight_hh.shape[1]
    if weight_ih.ndim != 2 or weight_ih.shape[0] != gates * H or weight_ih.shape[1] < 1:
        raise ValueError(f"weight_ih must have shape ({gates * H}, I) with I at least 1, got {weight_ih.shape}")
    arrays = {"weight_ih": weight_ih, "weight_hh": _real(weight_hh, "weight_hh", dtype, weight_hh.shape)}
    for name, shape in (("bias", (gates * H,)), ("bias_hn", (H,))):
        if params.get(name) is not None:
            arrays[name] = _real(params[name], name, dtype, shape)
    arrays = {name: np.require(array, requirements=["C", "A"]) for name, array in arrays.items()}
    matrices = arrays["weight_ih"], arrays["weight_hh"]
    return Packed(cell, variant, *matrices, arrays.get("bias"), arrays.get("bias_hn"), new, training)


def sequence_lengths(lengths: Any, shape: tuple[int, ...]) -> Array:
    """Lengths of sequences whose leading axes are `shape`, (B, T), or (T,) for one: int64 (B,), each from 0 to T."""
    if len(shape) not in (1, 2):
        raise ValueError(f"lengths need x of shape (B, T, ...) or (T, ...), got leading axes {shape}")
    array = np.asarray(lengths)
    B, T = shape if len(shape) == 2 else (1, shape[0])
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"lengths must be integers, got dtype {array.dtype}")
    if array.shape != (B,) and not (array.shape == () and len(shape) == 1):
        raise ValueError(f"lengths must have shape ({B},), one for each sequence, got {array.shape}")
    if array.size and not (array.min() >= 0 and array.max() <= T):
        raise ValueError(f"lengths must be from 0 to {T}, got {array.min()} to {array.max()}")
    return array.reshape(B).astype(np.int64)


def state_pair(state: Any, name: str) -> tuple[Any, Any]:
    """(h, c) of an LSTM's state, or the error that says that it is no pair."""
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise ValueError(f"{name} of an LSTM must be a pair (h, c), got {type(state).__name__}")
    return state[0], state[1]


def _state(
    state: Any, cell: str, shape: tuple[int, int], dtype: np.dtype, name: str
) -> tuple[Array | None, Array | None]:
    """(h, c) of a state or its gradient, contiguous; None where it is zero or there is none."""
    if state is None:
        return None, None
    if cell != "lstm":
        return np.require(_real(state, name, dtype, shape), requirements=["C", "A"]), None
    h, c = state_pair(state, name)
    return (
        np.require(_real(h, f"h of {name}", dtype, shape), requirements=["C", "A"]),
        np.require(_real(c, f"c of {name}", dtype, shape), requirements=["C", "A"]),
    )


def forward(
    cell: str,
    params: Mapping[str, Any] | None,
    x: Any,
    state: Any = None,
    *,
    lengths: Any = None,
    reverse: bool = False,
    out: Array | None = None,
    save: bool = False,
    packed: Packed | None = None,
    activation: str = "tanh",
    reset: str = "after",
    update: str = "keep",
) -> tuple[Array, Any, Saved | None]:
    """Run one direction over a batch of sequences. Equations: :func:`rnnfast.reference.forward`.

    Parameters
    ----------
    cell : "rnn", "lstm" or "gru"
    params : mapping of str to array
        As in `pack`. Not read where `packed` is given.
    x : array_like (B, T, I)
        Any strides; cast to the parameters' dtype.
    state : array (B, H), for the LSTM a pair (h, c), or None for zeros
    lengths : array_like of int (B,), optional
        Valid steps of each sequence, 0 to T, in any order.
    reverse : bool
        From each sequence's last valid step to its first.
    out : ndarray (B, T, H), optional
        Where y is written: any strides, the parameters' dtype. It may overlap x and the state.
    save : bool
        Keep what `backward` needs. x must not change before that.
    packed : Packed, optional
        What `pack` returned for these params, with ``training=True`` if `save` is wanted.
    activation, reset, update : str
        The cell's variant.

    Returns
    -------
    y : ndarray (B, T, H)
        Zero beyond each sequence's end. `out` where it was given.
    state : ndarray (B, H), or for the LSTM the pair (h, c)
        After each sequence's last valid step.
    saved : Saved or None
        For `backward`.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, dtypes, lengths and options, before anything is computed or written.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> params = {"weight_ih": rng.normal(size=(8, 3)), "weight_hh": rng.normal(size=(8, 2)), "bias": np.zeros(8)}
    >>> y, (h, c), _ = forward("lstm", params, rng.normal(size=(4, 5, 3)))
    >>> y.shape, h.shape, bool((y[:, -1] == h).all())
    ((4, 5, 2), (4, 2), True)
    """
    options = {"activation": activation, "reset": reset, "update": update}
    if packed is None or (save and not packed.training):
        if params is None:
            raise ValueError("params is needed where packed is not given, or was not packed for training")
        packed = pack(cell, params, **options, training=save)
    elif packed.kind != (cell, *check_options(cell, options)):
        raise ValueError(
            f"packed holds the weights of another cell or variant: {packed.kind}, wanted {cell!r}, {options}"
        )
    I, H, dtype = packed.input_size, packed.hidden_size, packed.dtype  # noqa: E741 - as in the equations
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[2] != I:
        raise ValueError(f"x must have shape (B, T, {I}), got {x.shape}")
    x = _usable(_real(x, "x", dtype, x.shape))
    B, T, _ = x.shape
    lengths = None if lengths is None else sequence_lengths(lengths, (B, T))
    h0, c0 = _state(state, cell, (B, H), dtype, "state")
    if out is None:
        y = np.empty((B, T, H), dtype)
    else:
        y = out
        if not isinstance(y, np.ndarray) or y.dtype != dtype:
            raise TypeError(f"out must be an array of dtype {dtype}, got {getattr(y, 'dtype', type(y).__name__)}")
        if y.shape != (B, T, H):
            raise ValueError(f"out must have shape {(B, T, H)}, got {y.shape}")
        if not y.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        if not y.flags.c_contiguous and _overlaps_itself(y):
            raise ValueError(f"out must have memory for each element, got shape {y.shape} with strides {y.strides}")
        if np.may_share_memory(x, y):
            x = x.copy()
        if h0 is not None and np.may_share_memory(h0, y):
            h0 = h0.copy()
        if c0 is not None and np.may_share_memory(c0, y):
            c0 = c0.copy()
    hn = np.empty((B, H), dtype)
    cn = np.empty((B, H), dtype) if cell == "lstm" else None
    written = y if y.flags.aligned else np.empty((B, T, H), dtype)
    call = _recurrent.forward(packed, x, h0, c0, lengths, bool(reverse), written, hn, cn, bool(save))
    if written is not y:
        y[...] = written
    saved = None
    if save:
        saved = Saved(call, cell, packed.bias, packed.bias_hn, (B, T, I), H, dtype, [True])
    return y, hn if cn is None else (hn, cn), saved


def backward(
    saved: Saved, dy: Any, dstate: Any = None, *, need_dx: bool = True
) -> tuple[Array | None, Any, dict[str, Array]]:
    """Gradients of one call of `forward(save=True)`. Works once: it overwrites what was saved.

    Parameters
    ----------
    saved : Saved
    dy : array_like (B, T, H), or None for zeros
        Gradient of y; what lies beyond a sequence's end is ignored.
    dstate : as the state that forward returned, or None for zeros
        Gradient of that state.
    need_dx : bool
        False leaves dx out, and its work.

    Returns
    -------
    dx : ndarray (B, T, I) or None
    dstate : ndarray (B, H), for the LSTM the pair (dh, dc)
        Gradient of the initial state.
    grads : dict of str to ndarray
        By the names of the parameters.

    Raises
    ------
    RuntimeError
        On a second call.
    ValueError, TypeError
        For wrong shapes and dtypes, and where forward had not `save`.
    """
    if not isinstance(saved, Saved):
        raise TypeError(f"saved must be what forward(save=True) returned, got {type(saved).__name__}")
    B, T, _ = saved.shape
    H, dtype = saved.hidden_size, saved.dtype
    if dy is not None:
        dy = _real(dy, "dy", dtype, (B, T, H))
        if not dy.flags.aligned:
            dy = dy.copy()
    dhn, dcn = _state(dstate, saved.cell, (B, H), dtype, "dstate")
    dx = np.empty(saved.shape, dtype) if need_dx else None
    dh0 = np.empty((B, H), dtype)
    dc0 = np.empty((B, H), dtype) if saved.cell == "lstm" else None
    try:
        saved.right.pop()
    except IndexError:
        raise RuntimeError("backward works once: it overwrites what forward saved; call forward again") from None
    grads = _gradients.backward(saved.call, dy, dhn, dcn, dx, dh0, dc0)
    if not saved.bias:
        del grads["bias"]
    if not saved.bias_hn:
        grads.pop("bias_hn", None)
    return dx, dh0 if dc0 is None else (dh0, dc0), grads


def _weight(weight: Any) -> Array:
    """The weight of a linear map, or the error that says what is wrong with it."""
    weight = np.asarray(weight)
    if weight.dtype not in _FLOATS or weight.ndim != 2 or not weight.size:
        raise TypeError(
            f"weight must be a float32 or float64 matrix, got dtype {weight.dtype} and shape {weight.shape}"
        )
    return weight


def _features(x: Any, inputs: int, dtype: np.dtype) -> Array:
    """x as an array (..., inputs) of this dtype, or the error that says what is wrong with it."""
    x = np.asarray(x)
    if x.ndim == 0 or x.shape[-1] != inputs:
        raise ValueError(f"x must have shape (..., {inputs}), got {x.shape}")
    return _real(x, "x", dtype, x.shape)


def _matrix(array: Array) -> Array:
    """(..., F) as (N, F), where the kernels can read it in place."""
    return _usable(array.reshape(-1, array.shape[-1]))


def linear(x: Any, weight: Array, bias: Array | None = None, *, out: Array | None = None, packed: Any = None) -> Array:
    """y = x Wᵀ + b on the last axis, by the packed product of the recurrent kernels.

    Parameters
    ----------
    x : array_like (..., in)
        Cast to weight's dtype.
    weight : ndarray (out, in)
        float32 or float64.
    bias : ndarray (out,), optional
    out : ndarray (..., out), optional
        C-contiguous. It may overlap x.
    packed : optional
        `PackedMatrix(weight.T, bias)` made before, while neither has changed.

    Returns
    -------
    ndarray (..., out)
        The same bits for a row, whatever other rows are in the call.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and dtypes.
    """
    weight = _weight(weight)
    outputs, inputs = weight.shape
    x = _features(x, inputs, weight.dtype)
    shape = (*x.shape[:-1], outputs)
    if packed is None:
        if bias is not None:
            bias = np.require(_real(bias, "bias", weight.dtype, (outputs,)), requirements=["C", "A"])
        packed = _linear.PackedMatrix(np.require(weight, requirements=["A"]).T, bias)
    elif (packed.depth, packed.columns, packed.dtype) != (inputs, outputs, weight.dtype):
        raise ValueError(
            f"packed holds another matrix: {packed.dtype} ({packed.depth}, {packed.columns}), "
            f"wanted {weight.dtype} ({inputs}, {outputs})"
        )
    if out is None:
        out = np.empty(shape, weight.dtype)
    elif not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    elif out.shape != shape or out.dtype != weight.dtype or not out.flags.carray:
        raise ValueError(
            f"out must be a writeable, aligned, C-contiguous {weight.dtype} array of shape {shape}, "
            f"got {out.dtype} {out.shape}"
        )
    elif np.may_share_memory(x, out):
        x = x.copy()
    if out.size:
        _linear.multiply(packed, _matrix(x), out.reshape(-1, outputs))
    return out


def linear_backward(x: Any, weight: Array, dy: Any, *, need_dx: bool = True) -> tuple[Array | None, Array, Array]:
    """Gradients of `linear`.

    Parameters
    ----------
    x : ndarray (..., in)
    weight : ndarray (out, in)
    dy : ndarray (..., out)
    need_dx : bool

    Returns
    -------
    dx : ndarray (..., in) or None
        dy W.
    dweight : ndarray (out, in)
        dyᵀ x over all rows.
    dbias : ndarray (out,)
        The sum of dy over all rows.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and dtypes.
    """
    weight = _weight(weight)
    outputs, inputs = weight.shape
    x = _features(x, inputs, weight.dtype)
    dy = _real(dy, "dy", weight.dtype, (*x.shape[:-1], outputs))
    rows, gradients = _matrix(x), _matrix(dy)
    if not rows.size or not gradients.size:
        return np.zeros_like(x) if need_dx else None, np.zeros_like(weight), np.zeros(outputs, weight.dtype)
    dweight, dbias = _linear.weight_gradient(rows, gradients)
    dx = None
    if need_dx:
        dx = np.empty(x.shape, weight.dtype)
        packed = _linear.PackedMatrix(np.require(weight, requirements=["A"]))
        _linear.multiply(packed, gradients, dx.reshape(-1, inputs))
    return dx, dweight, dbias
