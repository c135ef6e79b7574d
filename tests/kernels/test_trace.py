"""Gates, what enters them, and states of every step, from the kernels; norms of the gradients of h."""

import numpy as np
import pytest
from equations_checks import LENGTHS, OPTIONS, kernel_options, make

from rnnfast import equations, ops

PLAIN = {
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "gru, new": ("gru", {"update": "new"}),
    "gru before": ("gru", {"reset": "before"}),
    "rnn": ("rnn", {"activation": "tanh"}),
}
CASES = PLAIN | OPTIONS


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_trace_is_the_textbooks(name, reverse):
    cell, given = CASES[name]
    params, x, state = make(cell, B=5, H=9, **given)
    rest = {key: value for key, value in given.items() if key != "recurrent_dropout"}
    for lengths in (None, LENGTHS):
        expected = equations.trace(cell, params, x, state, lengths=lengths, reverse=reverse, **rest)
        found = ops.trace(cell, params, x, state, lengths=lengths, reverse=reverse, **kernel_options(given))
        expected.pop("a_c", None)
        assert found.keys() <= expected.keys()
        assert {"h"} < found.keys()
        valid = np.arange(x.shape[1]) < (np.full(5, x.shape[1]) if lengths is None else np.array(lengths))[:, None]
        for key, value in found.items():
            np.testing.assert_allclose(value[valid], expected[key][valid], rtol=1e-11, atol=1e-12, err_msg=key)
            assert not value[~valid].any()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_a_trace_has_the_bits_of_the_call(name, dtype):
    cell, given = PLAIN[name]
    params, x, _ = make(cell, B=3, T=9, H=21, **given)
    params, x = {key: value.astype(dtype) for key, value in params.items()}, x.astype(dtype)
    y, _, _ = ops.forward(cell, params, x, **given)
    np.testing.assert_array_equal(ops.trace(cell, params, x, **given)["h"], y)


@pytest.mark.parametrize("name", [*PLAIN, "projection", "lstm all", "gru all"])
@pytest.mark.parametrize("reverse", [False, True])
def test_norms_are_those_of_the_gradients_of_each_state(name, reverse):
    """The gradient of the state before step t, of a call that begins there, is what arrives at the state before it."""
    cell, given = CASES[name]
    rest = {key: value for key, value in kernel_options(given).items() if key not in ("zoneout", "recurrent_dropout")}
    params, x, state = make(cell, B=4, T=5, H=9, **given)
    _, _, saved = ops.forward(cell, params, x, state, save=True, reverse=reverse, **rest)
    dy = np.random.default_rng(1).normal(size=(4, 5, given.get("proj_size") or 9))
    norms = np.zeros((5, 4))
    ops.backward(saved, dy, norms=norms)
    order = list(range(5))[:: -1 if reverse else 1]
    for number, t in enumerate(order):
        past, rest_of = order[: number + 1], sorted(order[number + 1 :])
        _, now, _ = ops.forward(cell, params, x[:, sorted(past)], state, reverse=reverse, **rest)
        arriving = dy[:, t].copy()
        if rest_of:
            _, _, later = ops.forward(cell, params, x[:, rest_of], now, save=True, reverse=reverse, **rest)
            _, dstate, _ = ops.backward(later, dy[:, rest_of])
            arriving += dstate[0] if cell == "lstm" else dstate
        np.testing.assert_allclose(norms[t], np.linalg.norm(arriving, axis=-1), rtol=1e-11)


def test_norms_of_another_shape_are_refused():
    params, x, state = make("gru", B=4, T=5)
    _, _, saved = ops.forward("gru", params, x, state, save=True)
    with pytest.raises(ValueError, match=r"norms must be .*\(5, 4\)"):
        ops.backward(saved, None, norms=np.zeros((4, 5)))
