"""Which gate of a student's cell differs, and which mistake that looks like."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import equations
from rnnfast.layers.concatenated import stacked_to_concat
from rnnfast.testing._mistakes import mistakes

Array = np.ndarray
Named = dict[str, Array]

_ALIASES = {"C": "c", "C_tilde": "g", "c_tilde": "g", "h_tilde": "n"}


def check_cell(
    user_cell: Callable[..., Any] | type,
    cell: str = "lstm",
    *,
    form: str = "stacked",
    input_size: int = 3,
    hidden_size: int = 4,
    batch_size: int | None = 2,
    bias: bool = True,
    tolerance: float = 1e-6,
    seed: int = 0,
    **options: Any,
) -> dict[str, float]:
    """Compare one step of a cell of your own with the equations, and say which gate differs and why, if it can.

    Parameters
    ----------
    user_cell : callable or class
        ``user_cell(x, h, c, params)`` for an LSTM, ``user_cell(x, h, params)`` for the others. A class is made without
        arguments and called. It returns (h, c), or h, or a dict of gates and states by name, as many as you like:
        those of `rnnfast.equations.step` ("i", "f", "g", "o", "c", "h", "a_i" ...; "C", "C_tilde" and "h_tilde" too).
        The more it returns, the closer the answer.
    cell : "lstm", "gru", "rnn", "indrnn" or "mgu"
    form : "stacked" or "concat"
        How `params` is given: `weight_ih` (G·H, I), `weight_hh` (G·H, H), `bias` (G·H,), with the gates in the order
        i f g o or r z n; or a textbook's weights gate by gate, `W_f` (H, H + I), `b_f` (H,) ..., each of which
        multiplies [h, x] (see `rnnfast.from_concat`; the GRU's default is then that form's, reset="before" and
        update="new").
    input_size, hidden_size : int
    batch_size : int or None
        x is (B, I) and h (B, H); None gives vectors (I,) and (H,).
    bias : bool
        Whether there is one.
    tolerance : float
        Largest absolute difference that passes.
    seed : int
        For parameters, input and state.
    **options
        Of `rnnfast.equations.step`: reset, update, peephole ...

    Returns
    -------
    dict of float
        The largest difference in each quantity that the cell returned.

    Raises
    ------
    AssertionError
        When something differs; the message says what, and which mistake gives just these numbers.
    ValueError
        For names that no quantity of the cell has.

    Examples
    --------
    >>> def sigmoid(a):
    ...     return 1 / (1 + np.exp(-a))
    >>> def mine(x, h, c, p):
    ...     a = x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"]
    ...     i, f, g, o = np.split(a, 4, axis=1)
    ...     c = np.tanh(f) * c + sigmoid(i) * np.tanh(g)
    ...     return sigmoid(o) * np.tanh(c), c
    >>> check_cell(mine)
    Traceback (most recent call last):
    ...
    AssertionError: lstm: c and h differ. It looks like gate f computed with tanh in place of sigmoid.
    """
    if form not in ("stacked", "concat"):
        raise ValueError(f"form must be 'stacked' or 'concat', got {form!r}")
    if form == "concat" and cell == "gru":
        options = {"reset": "before", "update": "new"} | options
    rng = np.random.default_rng(seed)
    shapes = equations.parameter_shapes(cell, input_size, hidden_size, **options)
    params = {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items() if bias or not name.startswith("bias")}
    B = batch_size or 1
    x, h, c = (rng.uniform(-1, 1, (B, n)) for n in (input_size, options.get("proj_size") or hidden_size, hidden_size))
    state = (h, c) if cell == "lstm" else h
    truth = equations.step(cell, params, x, state, **options)

    got = _call(user_cell, cell, (x, h, c), params, form, batch_size, options)
    got = {name: _shaped(name, value, truth, batch_size) for name, value in got.items()}
    errors = {name: float(np.nan_to_num(np.abs(got[name] - truth[name]), nan=np.inf).max()) for name in got}
    wrong = [name for name in truth if errors.get(name, 0) > tolerance]
    if not wrong:
        return errors

    def same(name: str, value: Array) -> bool:
        return bool(np.abs(got[name] - value).max() <= tolerance)

    usual = list(mistakes(cell, params, x, state, options, form == "concat"))
    for what, named in usual:
        if all(same(name, named[name]) for name in got):
            raise AssertionError(f"{cell}: {_list(wrong)}. It looks like {what}.")
    # Several mistakes at once: what follows from a wrong gate is not blamed, each gate is explained by itself.
    first = _first(wrong)
    reasons = []
    for name in first:
        found = next((what for what, named in usual if same(name, named[name])), None)
        reasons.append(f"{name} looks like {found}" if found else f"{name} is off by up to {errors[name]:.2g}")
    hint = (
        ""
        if any(name in got for name in truth if name not in ("h", "c")) or cell == "rnn"
        else (" Return a dict of the gates too, and the answer will be closer.")
    )
    raise AssertionError(f"{cell}: {_list(wrong)}. {'; '.join(reasons)}. See rnnfast.equations.{cell}.{hint}")


def _call(
    user_cell: Any, cell: str, inputs: tuple[Array, Array, Array], params: Named, form: str, batch_size: int | None,
    options: dict[str, Any],
) -> Named:  # fmt: skip
    """What the user's cell returns, by our names."""
    given = {name: array.copy() for name, array in params.items()}
    if form == "concat":
        if options.get("reset", "before") != "before" or set(params) - {"weight_ih", "weight_hh", "bias"}:
            raise ValueError("form='concat' holds plain cells alone: see rnnfast.to_concat")
        given = stacked_to_concat(cell, params, update=options.get("update", "new"))
    x, h, c = (array.copy() if batch_size else array[0].copy() for array in inputs)
    function = user_cell() if isinstance(user_cell, type) else user_cell
    result = function(x, h, c, given) if cell == "lstm" else function(x, h, given)
    if isinstance(result, dict):
        return {_ALIASES.get(name) or name: np.asarray(value, float) for name, value in result.items()}
    parts = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    wanted = ("h", "c") if cell == "lstm" else ("h",)
    if len(parts) != len(wanted) or any(part is None for part in parts):
        raise AssertionError(
            f"{cell}: the cell must return {', '.join(wanted)}, or a dict of gates; got {result!r:.80}"
        )
    return {name: np.asarray(part, float) for name, part in zip(wanted, parts, strict=True)}


def _shaped(name: str, value: Array, truth: Named, batch_size: int | None) -> Array:
    if name not in truth:
        raise ValueError(f"no quantity has the name {name!r}; there are {', '.join(truth)}")
    wanted = truth[name].shape if batch_size else truth[name].shape[1:]
    if value.shape != wanted:
        raise AssertionError(f"{name} has shape {value.shape}, wanted {wanted}")
    return value.reshape(truth[name].shape)


def _first(wrong: list[str]) -> list[str]:
    """The quantities nearest to the beginning: what enters the activations, then gates, n, c, h."""
    for stage in (lambda k: k.startswith("a_"), lambda k: k in "ifgorz", lambda k: k == "n", lambda k: k == "c"):
        if found := [name for name in wrong if stage(name)]:
            return found
    return wrong


def _list(names: list[str]) -> str:
    return (
        f"{' and '.join([', '.join(names[:-1]), names[-1]] if names[1:] else names)} differ{'' if names[1:] else 's'}"
    )
