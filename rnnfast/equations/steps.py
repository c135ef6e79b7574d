"""One step of any cell, and the plain loop over time."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnfast.equations.cells import CELLS, GATES, OPTIONAL, Array, Named, parameter_shapes

State = Any  # h, or for the LSTM the pair (h, c)


def step(
    cell: str,
    params: Mapping[str, ArrayLike],
    x: ArrayLike,
    state: State = None,
    *,
    mask: ArrayLike | None = None,
    recurrent_mask: ArrayLike | None = None,
    zone_h: ArrayLike | None = None,
    zone_c: ArrayLike | None = None,
    zoneout: float | tuple[float, float] = 0.0,
    **options: Any,
) -> Named:
    """One time step: every quantity of the equations by its name.

    Parameters
    ----------
    cell : "rnn", "lstm", "gru", "indrnn" or "mgu"
        The functions of these names hold the equations.
    params : mapping of arrays
        See `parameter_shapes`. Biases may be absent.
    x : (B, I) array
    state : (B, H) array, for the LSTM a pair (h, c), optional
        Zeros by default. With a projection h is (B, P).
    mask : (B,) booleans, optional
        Rows where this is False keep their state.
    recurrent_mask : (B, H) array, optional
        Multiplies the h that enters the recurrent products, not the h that is carried on: dropout with one mask for
        all steps (Gal & Ghahramani 2016, arXiv:1512.05287, section 4). Scaled by 1 / (1 - p) by the caller.
    zone_h, zone_c : (B, H) arrays of 0 and 1, optional
        For zoneout in training: 1 keeps the old value.
    zoneout : p or (p_h, p_c)
        For zoneout in inference: the expectation of the two masks above.
    **options
        The keyword arguments of the cell's function: activation, clip, peephole, reset ...

    Returns
    -------
    dict of (B, H) arrays
        What enters each activation (`a_i`), gates (`i`), and the new state (`h`, `c`).

    Raises
    ------
    ValueError
        For unknown names, missing parameters and wrong shapes.
    TypeError
        For an option that the cell does not have.

    Examples
    --------
    >>> params = {"weight_ih": np.ones((4, 1)), "weight_hh": np.ones((4, 1))}
    >>> now = step("lstm", params, [[0.0]], ([[0.0]], [[2.0]]))
    >>> now["f"], now["c"]
    (array([[0.5]]), array([[1.]]))
    """
    p = _checked(cell, params, options)
    x = np.asarray(x, p["weight_ih"].dtype)
    if x.ndim != 2 or x.shape[1] != p["weight_ih"].shape[1]:
        raise ValueError(f"x has shape {x.shape}, wanted (B, {p['weight_ih'].shape[1]})")
    old = _state(cell, p, state, x.shape[0], options)
    p_h, p_c = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout)
    options["recurrent_mask"] = 1.0 if recurrent_mask is None else np.asarray(recurrent_mask, x.dtype)
    options["zone_h"] = p_h if zone_h is None else zone_h
    if cell == "lstm":
        options["zone_c"] = p_c if zone_c is None else zone_c
    named = CELLS[cell](p, x, *old.values(), **options)
    if mask is not None:
        valid = np.asarray(mask, bool)[:, None]
        named |= {name: np.where(valid, named[name], before) for name, before in old.items()}
    return named


def run(
    cell: str,
    params: Mapping[str, ArrayLike],
    x: ArrayLike,
    state: State = None,
    *,
    lengths: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
    **options: Any,
) -> tuple[Array, State]:
    """The plain loop of `step` over time.

    Parameters
    ----------
    cell, params, state
        As for `step`.
    x : (B, T, I) array
    lengths : (B,) integers, optional
        Valid steps of each row; what lies beyond counts for nothing.
    mask : (B, T) booleans, optional
        Steps that count; at the others the state is held.
    reverse : bool
        From the last step to the first. Outputs stay at the place of their input.
    **options
        As for `step`. `zone_h` and `zone_c` may be (B, T, H) here, a mask for each step.

    Returns
    -------
    y : (B, T, H) array, with a projection (B, T, P)
        Zero at steps that do not count.
    state : as the argument
        After the last step that counts.

    Examples
    --------
    >>> params = {"weight_ih": np.array([[1.0]]), "weight_hh": np.array([[1.0]])}
    >>> y, h = run("rnn", params, [[[1.0], [2.0], [3.0]]], lengths=[2], activation="identity")
    >>> y[0, :, 0], h
    (array([1., 3., 0.]), array([[3.]]))
    """
    p = _checked(cell, params, options)
    now: Named = _state(cell, p, state, np.shape(x)[0], options)
    y = np.zeros((*np.shape(x)[:2], now["h"].shape[1]), now["h"].dtype)
    for t, valid, named in _steps(cell, p, x, state, lengths, mask, reverse, options):
        y[valid, t] = named["h"][valid]
        now = named
    return y, (now["h"], now["c"]) if cell == "lstm" else now["h"]


def trace(
    cell: str,
    params: Mapping[str, ArrayLike],
    x: ArrayLike,
    state: State = None,
    *,
    lengths: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
    **options: Any,
) -> Named:
    """Every quantity of every step, (B, T, H) each by its name; arguments as those of `run`, with T at least 1.

    At steps that do not count, all but the state (which is held) is zero.
    """
    if np.shape(x)[1] == 0:
        raise ValueError("x has no step, wanted at least one to name what a step is made of")
    found: Named = {}
    for t, valid, named in _steps(cell, params, x, state, lengths, mask, reverse, options):
        for name, value in named.items():
            whole = found.setdefault(name, np.zeros((*np.shape(x)[:2], value.shape[1]), value.dtype))
            whole[:, t] = value if name in ("h", "c") else np.where(valid[:, None], value, 0)
    return found


def _steps(
    cell: str, params: Any, x: Any, state: State, lengths: Any, mask: Any, reverse: bool, options: dict[str, Any]
) -> Iterator[tuple[int, Array, Named]]:
    """(t, rows that count, what `step` gives) in the order in which they happen."""
    x = np.asarray(x)
    if x.ndim != 3:
        raise ValueError(f"x has shape {x.shape}, wanted (B, T, I)")
    B, T = x.shape[:2]
    valid = np.ones((B, T), bool) if mask is None else np.asarray(mask, bool)
    if valid.shape != (B, T):
        raise ValueError(f"mask has shape {valid.shape}, wanted {(B, T)}")
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != (B,) or np.any((lengths < 0) | (lengths > T)):
            raise ValueError(f"lengths must be {B} numbers from 0 to {T}, got {lengths}")
        valid = valid & (np.arange(T) < lengths[:, None])
    x = np.where(valid[..., None], x, 0)  # padding may hold anything
    for t in reversed(range(T)) if reverse else range(T):
        at_t = {name: zone[:, t] for name, zone in options.items() if name.startswith("zone_") and np.ndim(zone) == 3}
        named = step(cell, params, x[:, t], state, mask=valid[:, t], **{**options, **at_t})
        state = (named["h"], named["c"]) if cell == "lstm" else named["h"]
        yield t, valid[:, t], named


def _checked(cell: str, params: Mapping[str, ArrayLike], options: Mapping[str, Any]) -> Named:
    """The parameters as arrays of one dtype, that of `weight_ih`."""
    if missing := {"weight_ih", "weight_hh"} - set(params):
        raise ValueError(f"params lacks {', '.join(sorted(missing))}")
    dtype = np.result_type(np.asarray(params["weight_ih"]).dtype, np.float32)
    p = {name: np.asarray(value, dtype) for name, value in params.items()}
    rows, input_size = p["weight_ih"].shape
    H = rows // (GATES.get(cell, 1) - bool(options.get("coupled")))
    wanted = parameter_shapes(cell, input_size, H, **options)
    for name, shape in wanted.items():
        if name not in p and name not in OPTIONAL:
            raise ValueError(f"params lacks {name!r}, wanted of shape {shape}")
    for name, value in p.items():
        if name not in wanted:
            raise ValueError(f"params has {name!r}, wanted only {', '.join(wanted)}")
        if value.shape != wanted[name]:
            raise ValueError(f"{name} has shape {value.shape}, wanted {wanted[name]}")
    return p


def _state(cell: str, p: Named, state: State, B: int, options: Mapping[str, Any]) -> Named:
    """The state by name, h and for the LSTM c."""
    H = p["weight_hr"].shape[1] if "weight_hr" in p else p["weight_hh"].shape[-1]
    widths = {"h": options.get("proj_size") or H} | ({"c": H} if cell == "lstm" else {})
    dtype = p["weight_ih"].dtype
    given = [None] * len(widths) if state is None else state if cell == "lstm" else [state]
    if len(given) != len(widths):
        raise ValueError(f"the state of an LSTM is a pair (h, c), got {len(given)} arrays")
    found: Named = {}
    for (name, width), value in zip(widths.items(), given, strict=True):
        found[name] = np.zeros((B, width), dtype) if value is None else np.asarray(value, dtype)
        if found[name].shape != (B, width):
            raise ValueError(f"state {name} has shape {found[name].shape}, wanted {(B, width)}")
    return found
