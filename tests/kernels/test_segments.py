"""Steps run again in segments: equal bits with the call that keeps everything."""

from typing import Any

import numpy as np
import pytest
from checks import VARIANTS, digest, dtypes, parts, ragged
from equations_checks import OPTIONS, kernel_options, make

import rnnfast as rf
from rnnfast import ops
from rnnfast.kernels import _recurrent

CASES = {**{"-".join([cell, *given.values()]): (cell, given) for cell, given in VARIANTS}, **OPTIONS}


def train(
    name: str, dtype: Any, segment: int, *, B: int, T: int, H: int, uneven: bool, reverse: bool, norms: bool
) -> str:
    """A hash of all that forward and backward give."""
    cell, given = CASES[name]
    params, x, state = make(cell, B=B, T=T, H=H, **given)
    params = {key: value.astype(dtype) for key, value in params.items()}
    lengths = ragged(B, T) if uneven else None
    y, final, saved = ops.forward(
        cell,
        params,
        x,
        state,
        lengths=lengths,
        reverse=reverse,
        save=True,
        noise=(5, 9),
        segment=segment,
        **kernel_options(given),
    )
    found = np.zeros((T, B)) if norms else None
    dx, dinitial, grads = ops.backward(saved, np.cos(3 * y), final, norms=found)
    assert not B * T or all(np.any(grad) for grad in grads.values())
    arrays = [y, dx, *parts(final), *parts(dinitial), *(grads[key] for key in sorted(grads))]
    return digest([*arrays, found] if norms else arrays)


@dtypes
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("uneven", "reverse"), [(False, False), (True, True), (True, False)])
def test_equal_bits(name, dtype, uneven, reverse):
    """Three rows: blocks of weight gradients begin within a step, and within a segment or three segments before."""
    how = {"B": 3, "T": 150, "H": 19, "uneven": uneven, "reverse": reverse, "norms": True}
    wanted = train(name, dtype, 0, **how)
    for segment in (7, 64):
        assert train(name, dtype, segment, **how) == wanted


@pytest.mark.parametrize("name", ["lstm", "gru-before-keep", "rnn-relu", "lstm all", "gru all"])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(
    ("B", "T", "H"), [(1, 0, 3), (0, 4, 3), (1, 1, 3), (2, 5, 3), (1, 300, 8), (40, 30, 8), (129, 5, 3)]
)
def test_equal_bits_of_any_size(name, B, T, H, uneven):
    how = {"B": B, "T": T, "H": H, "uneven": uneven, "reverse": False, "norms": False}
    wanted = train(name, np.float32, 0, **how)
    for segment in (1, 2, 16, T - 1, T, T + 1):
        assert train(name, np.float32, segment, **how) == wanted


@pytest.mark.parametrize("name", ["lstm", "gru-after-keep", "gru-before-new", "rnn-tanh", "gru all"])
@pytest.mark.parametrize(("B", "T", "H"), [(9, 40, 21), (1, 60, 131), (4, 40, 131)], ids=["rows", "units", "both"])
@pytest.mark.parametrize("uneven", [False, True])
def test_equal_bits_on_any_number_of_threads(always_divided, name, B, T, H, uneven):
    how = {"B": B, "T": T, "H": H, "uneven": uneven, "reverse": False, "norms": False}
    found = set()
    for threads in (1, 2, 5):
        rf.set_num_threads(threads)
        found |= {train(name, np.float32, segment, **how) for segment in (0, 9, 32)}
    assert len(found) == 1


@pytest.mark.parametrize("uneven", [False, True])
def test_what_is_kept(uneven):
    """The states before each segment, of the rows that still run."""
    B, T, H = 5, 100, 64
    lengths = np.array([100, 7, 0, 51, 30]) if uneven else None
    params, _, _ = make("lstm", B=B, T=T, H=H)
    packed = ops.pack("lstm", {key: value.astype("f") for key, value in params.items()}, training=True)
    kept = _recurrent.explain(packed, B, T, lengths, True, 10)["saved"]
    rows = 10 + 1 + 6 + 3 if uneven else B * 10
    order = 8 * (2 * B + (2 * (T + 1) if uneven else 0))
    assert kept == rows * 2 * H * 4 + order
    whole = _recurrent.explain(packed, B, T, lengths, True)
    assert _recurrent.explain(packed, B, T, lengths, True, T) == whole
