"""One layer, one direction, over the compiled kernels: check, allocate, call.

`forward` and `backward` have the arguments and results of their textbook twins in :mod:`rnnfast.reference`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnfast._backend import in_numpy
from rnnfast.kernels import _gradients, _recurrent
from rnnfast.kernels._memory import empty
from rnnfast.kernels._packed import Packed
from rnnfast.ops import _numpy
from rnnfast.ops._arrays import FLOATS, as_array, overlaps_itself, real, sequence_lengths, usable, whole
from rnnfast.ops._variant import kind

Array = np.ndarray


class Saved(NamedTuple):
    """What `forward(save=True)` keeps for `backward`."""

    call: Any
    cell: str
    names: frozenset[str]  # of the parameters
    shape: tuple[int, int, int]
    widths: tuple[int, int]  # of h and of c
    dtype: np.dtype
    right: list[bool]  # one entry, which backward takes out: that works once even where threads compete


def pack(
    cell: str, params: Mapping[str, Any], *, training: bool = False, traced: bool = False, **options: Any
) -> Packed | _numpy.NumpyWeights:
    """Pack the weights of one direction once, for many calls of `forward` while they do not change.

    Parameters
    ----------
    cell : "rnn", "lstm", "gru", "indrnn" or "mgu"
    params : mapping of str to array
        weight_ih (G·H, I); weight_hh (G·H, H), with a projection (G·H, P), of the IndRNN (H,); bias (G·H,) or none;
        bias_hn (H,) or none (GRU, reset after only); weight_hr (P, H) for an LSTM with a projection; weight_ch (3·H,)
        for peepholes; norm_ih, norm_hh (G·H,), norm_c, bias_c (H,) for layer normalization. Their dtype, float32 or
        float64, is the computation's.
    training : bool
        Pack for `backward` too.
    traced : bool
        For `trace`: its arithmetic runs on whole rows, whatever the options.
    **options
        As of `kind`: activation, reset, update; recurrent_activation, output_activation; peephole, coupled, clip,
        cell_clip, layer_norm, zoneout, recurrent_dropout. Equations: :mod:`rnnfast.equations`.

    Returns
    -------
    Packed
        Immutable; a copy of the weights. Under the backend "numpy" it stands for a computation in NumPy, whoever calls.

    Raises
    ------
    ValueError, TypeError
        For an unknown cell or option, a wrong shape or dtype, or a parameter that is missing or unknown.
    """
    variant = kind(cell, **options)
    weight_ih, weight_hh = (np.asarray(params[name]) if name in params else None for name in ("weight_ih", "weight_hh"))
    if weight_ih is None or weight_hh is None:
        raise ValueError(f"params lacks {', '.join(sorted({'weight_ih', 'weight_hh'} - params.keys()))}")
    if weight_ih.dtype not in FLOATS:
        raise TypeError(f"weight_ih must be float32 or float64, got dtype {weight_ih.dtype}")
    gates, dtype, projection = variant.gates, weight_ih.dtype, params.get("weight_hr")
    if projection is not None:
        if not variant.has_c:
            raise ValueError(f"weight_hr, a projection, is an option of the LSTM alone, got cell {cell!r}")
        if np.ndim(projection) != 2 or not np.size(projection):
            raise ValueError(f"weight_hr must have shape (P, H) with both at least 1, got {np.shape(projection)}")
        P, H = np.shape(projection)
    else:
        P, H = 0, weight_hh.shape[-1] if weight_hh.ndim else 0
        if (
            weight_hh.ndim != (1 if cell == "indrnn" else 2)
            or not weight_hh.size
            or (cell != "indrnn" and weight_hh.shape[0] != gates * H)
        ):
            wanted = "(H,)" if cell == "indrnn" else f"({gates}·H, H)"
            raise ValueError(f"weight_hh must have shape {wanted} with H at least 1, got {weight_hh.shape}")
    if weight_ih.ndim != 2 or weight_ih.shape[0] != gates * H or weight_ih.shape[1] < 1:
        raise ValueError(f"weight_ih must have shape ({gates * H}, I) with I at least 1, got {weight_ih.shape}")
    shapes = variant.shapes(weight_ih.shape[1], H, P)
    if unknown := params.keys() - shapes.keys():
        names, wanted = ", ".join(sorted(unknown)), ", ".join(sorted(shapes))
        raise ValueError(f"params has {names}, which this cell does not know; it knows {wanted}")
    if missing := {name for name in shapes if params.get(name) is None} - {"bias", "bias_hn", "bias_c"}:
        raise ValueError(f"params lacks {', '.join(sorted(missing))}")
    arrays = {
        name: whole(real(params[name], name, dtype, shape))
        for name, shape in shapes.items()
        if params.get(name) is not None
    }
    if in_numpy():
        return _numpy.NumpyWeights(variant, arrays, options)
    return Packed(variant, arrays, training, traced)


def state_pair(state: Any, name: str) -> tuple[Any, Any]:
    """(h, c) of an LSTM's state, or the error that says that it is no pair."""
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise ValueError(f"{name} of an LSTM must be a pair (h, c), got {type(state).__name__}")
    return state[0], state[1]


def states_of(
    state: Any, cell: str, rows: int, widths: tuple[int, int], dtype: np.dtype, name: str
) -> tuple[Array | None, Array | None]:
    """(h, c) of a state or its gradient, contiguous; None where it is zero or there is none."""
    if state is None:
        return None, None
    if cell != "lstm":
        return whole(real(state, name, dtype, (rows, widths[0]))), None
    h, c = state_pair(state, name)
    return (
        whole(real(h, f"h of {name}", dtype, (rows, widths[0]))),
        whole(real(c, f"c of {name}", dtype, (rows, widths[1]))),
    )


def _states(
    given: tuple[Array, ...] | None, name: str, cell: str, rows: int, widths: tuple[int, int], dtype: np.dtype
) -> tuple[Array, Array | None]:
    """Where h, and c of an LSTM, are written: new arrays or those given."""
    shapes = [(rows, width) for width in widths[: 2 if cell == "lstm" else 1]]
    if given is None:
        given = tuple(np.empty(shape, dtype) for shape in shapes)
    elif len(given) != len(shapes) or not all(
        a.shape == shape and a.dtype == dtype and a.flags.carray and a.flags.writeable
        for a, shape in zip(given, shapes, strict=True)
    ):
        raise ValueError(f"{name} must be {len(shapes)} writable contiguous {dtype} arrays of shapes {shapes}")
    return given[0], given[1] if cell == "lstm" else None


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
    packed: Packed | _numpy.NumpyWeights | None = None,
    final: tuple[Array, ...] | None = None,
    noise: tuple[int, int] = (0, 0),
    segment: int = 0,
    **options: Any,
) -> tuple[Array, Any, Saved | None]:
    """Run one direction over a batch of sequences. Equations: :func:`rnnfast.reference.forward`.

    Parameters
    ----------
    cell : "rnn", "lstm", "gru", "indrnn" or "mgu"
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
    final : tuple of ndarray (B, H), optional
        Where the state is written: h, for the LSTM h and c; contiguous, of the parameters' dtype.
    noise : (int, int)
        Key (64 bits) and stream (32 bits, with the two numbers after it this call's own) of the masks of zoneout and
        recurrent dropout, which `save` alone draws: they depend on these and on the place in the batch alone.
    segment : int
        With `save` and where not 0: keep the states before every so many steps instead of all gates and states.
        `backward` runs these steps again, so many at a time, and gives the same gradients to the last bit.
    **options
        The cell's variant, as in `pack`.

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
        packed = pack(cell, params, training=save, **options)
    elif packed.kind != kind(cell, **options):
        raise ValueError(
            f"packed holds the weights of another cell or variant, {packed.kind}, wanted {kind(cell, **options)}"
        )
    I, P, dtype = packed.input_size, packed.output_size, packed.dtype  # noqa: E741 - as in the equations
    widths = (P, packed.hidden_size)
    x = as_array(x)
    if x.ndim != 3 or x.shape[2] != I:
        raise ValueError(f"x must have shape (B, T, {I}), got {x.shape}")
    x = usable(real(x, "x", dtype, x.shape))
    B, T, _ = x.shape
    lengths = None if lengths is None else sequence_lengths(lengths, (B, T))
    h0, c0 = states_of(state, cell, B, widths, dtype, "state")
    if out is None:
        y = empty((B, T, P), dtype)
    else:
        y = out
        if not isinstance(y, np.ndarray) or y.dtype != dtype:
            raise TypeError(f"out must be an array of dtype {dtype}, got {getattr(y, 'dtype', type(y).__name__)}")
        if y.shape != (B, T, P):
            raise ValueError(f"out must have shape {(B, T, P)}, got {y.shape}")
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
    hn, cn = _states(final, "final", cell, B, widths, dtype)
    written = y if y.flags.aligned else np.empty((B, T, P), dtype)
    call: Any
    if isinstance(packed, _numpy.NumpyWeights):
        call = _numpy.forward(packed, x, h0, c0, lengths, bool(reverse), written, hn, cn, bool(save), *noise)
    else:
        call = _recurrent.forward(
            packed, x, h0, c0, lengths, bool(reverse), written, hn, cn, bool(save), *noise, segment=segment
        )
    if written is not y:
        y[...] = written
    saved = None
    if save:
        saved = Saved(call, cell, packed.names, (B, T, I), widths, dtype, [True])
    return y, hn if cn is None else (hn, cn), saved


def backward(
    saved: Saved,
    dy: Any,
    dstate: Any = None,
    *,
    need_dx: bool = True,
    initial: tuple[Array, ...] | None = None,
    norms: Array | None = None,
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
    norms : float64 ndarray (T, B), C-contiguous, optional
        Where the Euclidean norm of the gradient of each h is written, for the steps that sequences have.

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
    widths, dtype = saved.widths, saved.dtype
    if dy is not None:
        dy = real(dy, "dy", dtype, (B, T, widths[0]))
        if not dy.flags.aligned:
            dy = dy.copy()
    dhn, dcn = states_of(dstate, saved.cell, B, widths, dtype, "dstate")
    dx = empty(saved.shape, dtype) if need_dx else None
    dh0, dc0 = _states(initial, "initial", saved.cell, B, widths, dtype)
    if norms is not None and (
        norms.shape != (T, B) or norms.dtype != np.float64 or not norms.flags.carray or not norms.flags.writeable
    ):
        raise ValueError(f"norms must be a writable contiguous float64 array of shape {(T, B)}, got {norms.shape}")
    try:
        saved.right.pop()
    except IndexError:
        raise RuntimeError("backward works once: it overwrites what forward saved; call forward again") from None
    run = _numpy.backward if isinstance(saved.call, _numpy.NumpyCall) else _gradients.backward
    grads = run(saved.call, dy, dhn, dcn, dx, dh0, dc0, norms)
    grads = {name: gradient for name, gradient in grads.items() if name in saved.names}
    return dx, dh0 if dc0 is None else (dh0, dc0), grads
