"""What happens inside: gates and states of stacks, and the gradients that reach each state."""

import numpy as np
import pytest
from layer_checks import randomise
from recurrent_checks import draw, draw_state

import rnnfast as rf
from rnnfast import equations

LAYERS = {
    "lstm": lambda **more: rf.LSTM(3, 5, 2, bidirectional=True, dtype="float64", **more),
    "lstm, projected": lambda **more: rf.LSTM(3, 5, 2, proj_size=4, peephole=True, dtype="float64", **more),
    "gru": lambda **more: rf.GRU(3, 5, 2, bidirectional=True, merge="sum", dtype="float64", **more),
    "rnn": lambda **more: rf.RNN(3, [5, 3], residual=False, dtype="float64", **more),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("lengths", [None, [4, 0, 6]])
def test_a_trace_is_what_each_layer_does(name, lengths):
    layer = randomise(LAYERS[name]())
    x = draw(3, 6, 3)
    traced = layer.trace(x, lengths=lengths)
    y, _ = layer(x, lengths=lengths)
    last = [array["h"] for key, array in traced.items() if key.startswith("l1")]
    np.testing.assert_allclose(np.sum(last, axis=0) if name == "gru" else np.concatenate(last, axis=-1), y, atol=1e-12)
    params = {key.removesuffix("_l0"): value for key, value in layer.params.items() if key.endswith("_l0")}
    options = {"peephole": True, "proj_size": 4} if "projected" in name else {}
    expected = equations.trace(layer.cell, params, x, lengths=lengths, **options)
    valid = np.arange(6) < np.array(lengths or [6] * 3)[:, None]
    assert set(traced["l0"]) == set(expected) - {"a_c"}
    for key, array in traced["l0"].items():
        np.testing.assert_allclose(array[valid], expected[key][valid], atol=1e-12)
        assert not array[~valid].any()


def test_of_one_sequence_with_a_state():
    layer = randomise(rf.GRU(3, 5, learned_state=True, dtype="float64"))
    x, state = draw(6, 3), draw_state(layer, 1)
    for given in (None, state[:, 0]):
        y, _ = layer(x, given)
        np.testing.assert_allclose(layer.trace(x, given)["l0"]["h"], y, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_norms_of_the_last_layer_are_those_of_dy_where_nothing_comes_later(name):
    layer = randomise(LAYERS[name]())
    x, lengths = draw(3, 6, 3), np.array([4, 0, 6])
    y, _ = layer(x, lengths=lengths)
    dy = draw(*y.shape, seed=4)
    norms = layer.gradient_norms(x, dy, lengths=lengths)
    width = layer._directions[-1].output_size
    for row in (0, 2):
        end = lengths[row] - 1
        np.testing.assert_allclose(norms["l1"][row, end], np.linalg.norm(dy[row, end, :width]), rtol=1e-12)
        if "l1_reverse" in norms:
            np.testing.assert_allclose(norms["l1_reverse"][row, 0], np.linalg.norm(dy[row, 0, -width:]), rtol=1e-12)
    for array in norms.values():
        assert array.shape == (3, 6)
        assert (array[2] > 0).all()
        assert not array[1].any()
        assert not array[0, 4:].any()
    assert all(not grad.any() for grad in layer.grads.values())


def test_gradients_vanish_in_an_rnn_and_not_in_an_lstm():
    """What the lecture notes show: a gradient at the end of 50 steps, seen at the first."""
    x = draw(4, 50, 3).astype("f")
    dy = np.zeros((4, 50, 16), "f")
    dy[:, -1] = 1
    kept = {}
    for cls, more in ((rf.RNN, {}), (rf.LSTM, {"forget_bias": 5.0})):
        layer = cls(3, 16, seed=0, **more)
        if cls is rf.RNN:
            layer.params["weight_hh_l0"] = 0.5 * layer.params["weight_hh_l0"]
        norms = layer.gradient_norms(x, dy)["l0"].mean(axis=0)
        kept[cls] = norms[0] / norms[-1]
    assert kept[rf.RNN] < 1e-10 < 1e-4 < kept[rf.LSTM]
