"""Shared by the tests: random cases, independent loops, central differences, awkward arrays, parameter sets."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnnfast import reference

# The address sanitizer has an allocator of its own, which holds back what has been freed.
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
VARIANTS: list[tuple[str, dict[str, str]]] = [
    ("rnn", {"activation": "tanh"}),
    ("rnn", {"activation": "relu"}),
    ("rnn", {"activation": "identity"}),
    ("lstm", {}),
    ("gru", {"reset": "after", "update": "keep"}),
    ("gru", {"reset": "after", "update": "new"}),
    ("gru", {"reset": "before", "update": "keep"}),
    ("gru", {"reset": "before", "update": "new"}),
]
variants = pytest.mark.parametrize(
    ("cell", "options"), VARIANTS, ids=["-".join([cell, *options.values()]) for cell, options in VARIANTS]
)
directions = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def make_case(
    cell: str,
    T: int,
    B: int,
    I: int,  # noqa: E741
    H: int,
    dtype: Any = np.float64,
    seed: int = 0,
    *,
    bias: bool = True,
    **options: str,
) -> SimpleNamespace:
    """A random problem: cell, options, params, x, state, dy, dstate. No value is zero, no gate is saturated."""
    rng = np.random.default_rng([seed, T, B, I, H])
    rows = GATES[cell] * H

    def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
        values = rng.uniform(0.1, 1.0, shape) * rng.choice([-1.0, 1.0], shape)
        return (values * scale).astype(dtype)

    params = {"weight_ih": draw(rows, I, scale=I**-0.5), "weight_hh": draw(rows, H, scale=H**-0.5)}
    if bias:
        params["bias"] = draw(rows, scale=0.5)
        if cell == "gru" and options.get("reset", "after") == "after":
            params["bias_hn"] = draw(H, scale=0.5)

    def draw_state() -> Any:
        return (draw(B, H), draw(B, H)) if cell == "lstm" else draw(B, H)

    return SimpleNamespace(
        cell=cell,
        options=options,
        params=params,
        x=draw(B, T, I),
        state=draw_state(),
        dy=draw(B, T, H),
        dstate=draw_state(),
    )


def rounded_case(*args: Any, **options: Any) -> SimpleNamespace:
    """A float64 case of values that float32 holds exactly: (cell, T, B, I, H, seed=0, **options)."""
    cell, T, B, I, H, *seed = args  # noqa: E741
    return cast(make_case(cell, T, B, I, H, np.float32, *seed, **options), np.float64)


def ragged(B: int, T: int, seed: int = 0) -> np.ndarray:
    """Lengths from 0 to T in no order: 0 and T are among them where B allows."""
    lengths = np.random.default_rng([seed, B, T]).integers(0, T + 1, B)
    lengths[B // 2 : B // 2 + 1] = T
    lengths[B // 3 : B // 3 + 1] = 0 if B > 1 else (T + 1) // 2
    return lengths


def parts(state: Any) -> tuple[np.ndarray, ...]:
    """The arrays of a state."""
    return tuple(state) if isinstance(state, tuple) else (state,)


def cast(value: Any, dtype: Any) -> Any:
    """Arrays, tuples, dicts and cases of arrays in another dtype; what is no number is left."""
    if isinstance(value, SimpleNamespace):
        return SimpleNamespace(**cast(vars(value), dtype))
    if isinstance(value, Mapping):
        return {name: cast(entry, dtype) for name, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(cast(entry, dtype) for entry in value)
    return value.astype(dtype) if isinstance(value, np.ndarray) else value


def zeros_like(state: Any) -> Any:
    """A state of zeros."""
    return tuple(np.zeros_like(part) for part in state) if isinstance(state, tuple) else np.zeros_like(state)


def rows_of(value: Any, rows: slice) -> Any:
    """Some rows of an array or of a state."""
    return tuple(part[rows] for part in value) if isinstance(value, tuple) else value[rows]


def some_rows(case: SimpleNamespace, rows: slice, steps: slice = slice(None)) -> SimpleNamespace:
    """The problem of some rows, and of some steps of them, alone."""
    return SimpleNamespace(
        cell=case.cell,
        options=case.options,
        params=case.params,
        x=case.x[rows, steps],
        state=rows_of(case.state, rows),
        dy=case.dy[rows, steps],
        dstate=rows_of(case.dstate, rows),
    )


def run(forward: Callable, backward: Callable, case: SimpleNamespace, **how: Any) -> dict[str, np.ndarray]:
    """All that a forward and a backward pass give, by name: y, h, c, dx, dh0, dc0 and the parameters' gradients."""
    y, state, saved = forward(case.cell, case.params, case.x, case.state, **how, **case.options)
    dx, dstate, grads = backward(saved, case.dy, case.dstate)
    assert set(grads) == set(case.params)
    results = {"y": y, "dx": dx, **grads}
    results.update(zip(("h", "c"), parts(state), strict=False))
    results.update(zip(("dh0", "dc0"), parts(dstate), strict=False))
    return results


def run_forward(forward: Callable, case: SimpleNamespace, **how: Any) -> dict[str, np.ndarray]:
    """What a forward pass gives, by name: y, h, c."""
    y, state, _ = forward(case.cell, case.params, case.x, case.state, **how, **case.options)
    return {"y": y, **dict(zip(("h", "c"), parts(state), strict=False))}


def assert_accurate(got: Mapping[str, np.ndarray], case: SimpleNamespace, **how: Any) -> None:
    """Hold results of `run` or `run_forward` against the float64 reference of `case`.

    Float64 must agree to 1e-12, float32 to 2e-6 or twice the error of NumPy's own float32: absolute, and relative to
    the largest value where that is above 1.
    """

    def by_reference(dtype: Any) -> dict[str, np.ndarray]:
        if "dx" in got:
            return run(reference.forward, reference.backward, cast(case, dtype), **how)
        return run_forward(reference.forward, cast(case, dtype), **how)

    dtype = got["y"].dtype
    truth = by_reference(np.float64)
    plain = by_reference(np.float32) if dtype == np.float32 else None
    for name, wanted in truth.items():
        assert got[name].dtype == dtype, name
        scale = max(1.0, np.abs(wanted).max(initial=0.0))
        allowed = 1e-12 if plain is None else max(2e-6, 2 * max_error(plain[name], wanted) / scale)
        error = max_error(got[name], wanted) / scale
        assert error <= allowed, f"{name} is off by {error:.1e}, allowed {allowed:.1e}"


def assert_same_bits(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], where: str = "") -> None:
    """All results have equal bits."""
    assert got.keys() == wanted.keys()
    for name in wanted:
        assert same_bits(got[name], wanted[name]), f"{name} {where}"


def digest(arrays: Iterable[np.ndarray]) -> str:
    """A hash of the bits of arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def recurrent_digest(
    ops: Any,
    cell: str,
    options: Mapping[str, str],
    dtype: Any,
    in_reverse: bool,
    size: tuple[int, int, int, int] = (9, 11, 6, 21),
) -> str:
    """A hash of all that training and inference give, for a size of (T, B, I, H); in reverse the batch is ragged."""
    case = make_case(cell, *size, dtype, **options)
    how = {"lengths": ragged(size[1], size[0]), "reverse": True} if in_reverse else {}
    found = run(ops.forward, ops.backward, case, save=True, **how)
    y, state, _ = ops.forward(cell, case.params, case.x, case.state, **how, **options)
    return digest([*(found[name] for name in sorted(found)), y, *parts(state)])


def relative_error(a: Any, b: Any) -> float:
    """Largest difference over the largest magnitude of `b` (the truth); shapes must agree; NaN counts as infinite."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape, f"shape {a.shape}, wanted {b.shape}"
    if a.size == 0:
        return 0.0
    error = float(np.abs(a - b).max()) / max(float(np.abs(b).max()), np.finfo(np.float64).tiny)
    return error if np.isfinite(error) else np.inf


def max_error(a: Any, b: Any) -> float:
    """Largest absolute difference; shapes must agree; NaN counts as infinite."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape, f"shape {a.shape}, wanted {b.shape}"
    error = float(np.abs(a - b).max(initial=0.0))
    return error if np.isfinite(error) else np.inf


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal shape, dtype and bits."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def central_differences(function: Callable[[], float], array: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Gradient of `function()` with respect to `array`, which it reads and which is nudged in place.

    Fourth order: (8 (f(+s) - f(-s)) - (f(+2s) - f(-2s))) / 12 s, with an error of s⁴ f⁽⁵⁾ / 30 plus rounding.
    """
    assert array.dtype == np.float64
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        values = []
        for nudge in (step, -step, 2 * step, -2 * step):
            array[index] = kept + nudge
            values.append(function())
        array[index] = kept
        gradient[index] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * step)
    return gradient


def check_gradients(forward: Callable, backward: Callable, case: SimpleNamespace, tolerance: float = 1e-6, **how: Any):
    """Every gradient of `case` against central differences of `forward`, through y and through the final state."""

    def loss() -> float:
        y, state, _ = forward(case.cell, case.params, case.x, case.state, **how, **case.options)
        through_state = sum((a * b).sum() for a, b in zip(parts(state), parts(case.dstate), strict=True))
        return float((y * case.dy).sum() + through_state)

    gradients = run(forward, backward, case, **how)
    inputs = {**case.params, "dx": case.x, **dict(zip(("dh0", "dc0"), parts(case.state), strict=False))}
    for name, array in inputs.items():
        gradient = gradients[name]
        assert np.any(gradient != 0), f"gradient of {name} is all zero"
        error = relative_error(gradient, central_differences(loss, array))
        assert error < tolerance, f"gradient of {name} is off by {error:.1e}"


def awkward(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same numbers in memory laid out otherwise: (name, array) pairs."""
    yield "contiguous", np.ascontiguousarray(array)
    yield "fortran", np.asfortranarray(array)
    for axis in range(array.ndim):
        shape = list(array.shape)
        shape[axis] = 2 * shape[axis] + 1
        doubled = np.full(shape, np.nan, array.dtype)
        every_other = (slice(None),) * axis + (slice(1, None, 2),)
        doubled[every_other] = array
        yield f"every other on axis {axis}", doubled[every_other]
        yield f"backwards on axis {axis}", np.flip(np.flip(array, axis).copy(), axis)
        order = [axis, *(a for a in range(array.ndim) if a != axis)]
        moved = np.ascontiguousarray(array.transpose(order))
        yield f"axis {axis} outermost", moved.transpose(np.argsort(order))
    read_only = array.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    shifted = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    yield "unaligned", shifted


def _sigmoid(a: float) -> float:
    return 1 / (1 + np.exp(-a))


def naive_rnn(params: Mapping, x: np.ndarray, state: Any, lengths: Any, reverse: bool, activation: str = "tanh") -> Any:
    """Row by row, step by step: h = activation(W x + R h + b)."""
    W, R, b = params["weight_ih"], params["weight_hh"], params["bias"]
    function = {"tanh": np.tanh, "relu": lambda a: a * (a > 0), "identity": lambda a: a}[activation]
    y, final = np.zeros((*x.shape[:2], len(R))), np.zeros((len(x), len(R)))
    for row in range(len(x)):
        h = state[row]
        for t in _walk(lengths[row], reverse):
            h = function(W @ x[row, t] + R @ h + b)
            y[row, t] = h
        final[row] = h
    return y, final


def naive_lstm(params: Mapping, x: np.ndarray, state: Any, lengths: Any, reverse: bool) -> Any:
    """Row by row, step by step, gate by gate; gates i f g o."""
    W, R, b = (np.split(params[name], 4) for name in ("weight_ih", "weight_hh", "bias"))
    H = len(R[0])
    y, final_h, final_c = np.zeros((*x.shape[:2], H)), np.zeros((len(x), H)), np.zeros((len(x), H))
    for row in range(len(x)):
        h, c = state[0][row], state[1][row]
        for t in _walk(lengths[row], reverse):
            i, f, g, o = (W[k] @ x[row, t] + R[k] @ h + b[k] for k in range(4))
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
            y[row, t] = h
        final_h[row], final_c[row] = h, c
    return y, (final_h, final_c)


def naive_gru(
    params: Mapping, x: np.ndarray, state: Any, lengths: Any, reverse: bool, reset: str = "after", update: str = "keep"
) -> Any:
    """Row by row, step by step, gate by gate; gates r z n."""
    (W_r, W_z, W_n), (R_r, R_z, R_n), (b_r, b_z, b_n) = (
        np.split(params[name], 3) for name in ("weight_ih", "weight_hh", "bias")
    )
    y, final = np.zeros((*x.shape[:2], len(R_r))), np.zeros((len(x), len(R_r)))
    for row in range(len(x)):
        h = state[row]
        for t in _walk(lengths[row], reverse):
            r = _sigmoid(W_r @ x[row, t] + R_r @ h + b_r)
            z = _sigmoid(W_z @ x[row, t] + R_z @ h + b_z)
            recurrent = r * (R_n @ h + params["bias_hn"]) if reset == "after" else R_n @ (r * h)
            n = np.tanh(W_n @ x[row, t] + b_n + recurrent)
            h = (1 - z) * n + z * h if update == "keep" else (1 - z) * h + z * n
            y[row, t] = h
        final[row] = h
    return y, final


def naive(case: SimpleNamespace, lengths: Any = None, reverse: bool = False) -> Any:
    """(y, state) of a case by the loop of its cell."""
    loop = {"rnn": naive_rnn, "lstm": naive_lstm, "gru": naive_gru}[case.cell]
    B, T = case.x.shape[:2]
    return loop(case.params, case.x, case.state, [T] * B if lengths is None else lengths, reverse, **case.options)


def _walk(length: int, reverse: bool) -> Any:
    return reversed(range(length)) if reverse else range(length)
