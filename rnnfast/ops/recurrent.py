"""One layer, one direction, over the compiled kernels: check, allocate, call.

`forward` and `backward` have the arguments and results of their textbook twins in :mod:`rnnfast.reference`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels import _gradients, _recurrent
from rnnfast.kernels._memory import empty
from rnnfast.kernels._packed import Packed
from rnnfast.ops._arrays import FLOATS, overlaps_itself, real, sequence_lengths, usable, whole

Array = np.ndarray

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Gates of each cell: the rows of a weight matrix are that many blocks of H."""
_CHOICES = {"activation": ("tanh", "relu", "identity"), "reset": ("after", "before"), "update": ("keep", "new")}


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


@lru_cache
def kind(cell: str, activation: str = "tanh", reset: str = "after", update: str = "keep") -> tuple[str, str, bool]:
    """The kernels' name of a cell and its variant, and whether the update gate's sign turns.

    Raises
    ------
    ValueError
        For an unknown cell or option.
    """
    if cell not in GATES:
        raise ValueError(f"cell must be 'rnn', 'lstm' or 'gru', got {cell!r}")
    for name, value in (("activation", activation), ("reset", reset), ("update", update)):
        if value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, _CHOICES[name]))}, got {value!r}")
    return cell, {"rnn": activation, "lstm": "", "gru": reset}[cell], cell == "gru" and update == "new"


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
    _, variant, new = kind(cell, activation, reset, update)
    known = {"weight_ih", "weight_hh", "bias"} | ({"bias_hn"} if variant == "after" else set())
    if missing := {"weight_ih", "weight_hh"} - params.keys():
        raise ValueError(f"params lacks {', '.join(sorted(missing))}")
    if unknown := params.keys() - known:
        names, wanted = ", ".join(sorted(unknown)), ", ".join(sorted(known))
        raise ValueError(f"params has {names}, which this cell does not know; it knows {wanted}")
    weight_ih, weight_hh = np.asarray(params["weight_ih"]), np.asarray(params["weight_hh"])
    if weight_ih.dtype not in FLOATS:
        raise TypeError(f"weight_ih must be float32 or float64, got dtype {weight_ih.dtype}")
    gates, dtype = GATES[cell], weight_ih.dtype
    if weight_hh.ndim != 2 or not weight_hh.size or weight_hh.shape[0] != gates * weight_hh.shape[1]:
        raise ValueError(f"weight_hh must have shape ({gates}·H, H) with H at least 1, got {weight_hh.shape}")
    H = weight_hh.shape[1]
    if weight_ih.ndim != 2 or weight_ih.shape[0] != gates * H or weight_ih.shape[1] < 1:
        raise ValueError(f"weight_ih must have shape ({gates * H}, I) with I at least 1, got {weight_ih.shape}")
    arrays = {"weight_ih": weight_ih, "weight_hh": real(weight_hh, "weight_hh", dtype, weight_hh.shape)}
    for name, shape in (("bias", (gates * H,)), ("bias_hn", (H,))):
        if params.get(name) is not None:
            arrays[name] = real(params[name], name, dtype, shape)
    arrays = {name: whole(array) for name, array in arrays.items()}
    matrices = arrays["weight_ih"], arrays["weight_hh"]
    return Packed(cell, variant, *matrices, arrays.get("bias"), arrays.get("bias_hn"), new, training)


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
        return whole(real(state, name, dtype, shape)), None
    h, c = state_pair(state, name)
    return (
        whole(real(h, f"h of {name}", dtype, shape)),
        whole(real(c, f"c of {name}", dtype, shape)),
    )


def _states(
    given: tuple[Array, ...] | None, name: str, cell: str, shape: tuple[int, int], dtype: np.dtype
) -> tuple[Array, Array | None]:
    """Where h, and c of an LSTM, are written: new arrays or those given."""
    if given is None:
        return np.empty(shape, dtype), np.empty(shape, dtype) if cell == "lstm" else None
    wanted = 2 if cell == "lstm" else 1
    if len(given) != wanted or not all(
        a.shape == shape and a.dtype == dtype and a.flags.carray and a.flags.writeable for a in given
    ):
        raise ValueError(f"{name} must be {wanted} writable contiguous {dtype} arrays of shape {shape}")
    return given[0], given[1] if wanted == 2 else None


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
    final: tuple[Array, ...] | None = None,
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
    final : tuple of ndarray (B, H), optional
        Where the state is written: h, for the LSTM h and c; contiguous, of the parameters' dtype.

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
    if packed is None or (save and not packed.training):
        if params is None:
            raise ValueError("params is needed where packed is not given, or was not packed for training")
        packed = pack(cell, params, activation=activation, reset=reset, update=update, training=save)
    elif packed.kind != kind(cell, activation, reset, update):
        raise ValueError(
            "packed holds the weights of another cell or variant: (cell, variant, new update) is "
            f"{packed.kind}, wanted {kind(cell, activation, reset, update)}"
        )
    I, H, dtype = packed.input_size, packed.hidden_size, packed.dtype  # noqa: E741 - as in the equations
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[2] != I:
        raise ValueError(f"x must have shape (B, T, {I}), got {x.shape}")
    x = usable(real(x, "x", dtype, x.shape))
    B, T, _ = x.shape
    lengths = None if lengths is None else sequence_lengths(lengths, (B, T))
    h0, c0 = _state(state, cell, (B, H), dtype, "state")
    if out is None:
        y = empty((B, T, H), dtype)
    else:
        y = out
        if not isinstance(y, np.ndarray) or y.dtype != dtype:
            raise TypeError(f"out must be an array of dtype {dtype}, got {getattr(y, 'dtype', type(y).__name__)}")
        if y.shape != (B, T, H):
            raise ValueError(f"out must have shape {(B, T, H)}, got {y.shape}")
        if not y.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        if not y.flags.c_contiguous and overlaps_itself(y):
            raise ValueError(f"out must have memory for each element, got shape {y.shape} with strides {y.strides}")
        if np.may_share_memory(x, y):
            x = x.copy()
        if h0 is not None and np.may_share_memory(h0, y):
            h0 = h0.copy()
        if c0 is not None and np.may_share_memory(c0, y):
            c0 = c0.copy()
    hn, cn = _states(final, "final", cell, (B, H), dtype)
    written = y if y.flags.aligned else np.empty((B, T, H), dtype)
    call = _recurrent.forward(packed, x, h0, c0, lengths, bool(reverse), written, hn, cn, bool(save))
    if written is not y:
        y[...] = written
    saved = None
    if save:
        saved = Saved(call, cell, packed.bias, packed.bias_hn, (B, T, I), H, dtype, [True])
    return y, hn if cn is None else (hn, cn), saved


def backward(
    saved: Saved, dy: Any, dstate: Any = None, *, need_dx: bool = True, initial: tuple[Array, ...] | None = None
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
    initial : tuple of ndarray (B, H), optional
        Where the gradient of the initial state is written, as `final` of `forward`.

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
        dy = real(dy, "dy", dtype, (B, T, H))
        if not dy.flags.aligned:
            dy = dy.copy()
    dhn, dcn = _state(dstate, saved.cell, (B, H), dtype, "dstate")
    dx = empty(saved.shape, dtype) if need_dx else None
    dh0, dc0 = _states(initial, "initial", saved.cell, (B, H), dtype)
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
