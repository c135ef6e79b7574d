"""Recurrent layers: dropout of inputs and of recurrent weights, which only training knows."""

import numpy as np
import pytest
from checks import relative_error, same_bits
from layer_checks import randomise
from recurrent_checks import draw, make

import rnnfast as rf
from rnnfast import ops
from rnnfast.layers._grid import Masks
from rnnfast.layers._key import draw_key


def echo(**options):
    """A layer that gives its input back."""
    layer = rf.RNN(20, 20, activation="identity", bias=False, dtype="float64", **options)
    for name, array in layer.params.items():
        layer.params[name] = np.eye(20) if name.startswith("weight_ih") else np.zeros_like(array)
    return layer


def test_one_mask_for_all_steps_of_a_sequence():
    layer, x = echo(input_dropout=0.4), np.ones((50, 7, 20))
    (y, _), backward = layer.forward(x, rng=1)
    assert set(np.unique(y)) == {0, 1 / 0.6}
    assert (y == y[:, :1]).all()
    assert abs((y > 0).mean() - 0.6) < 5 * (0.6 * 0.4 / 1000) ** 0.5
    assert len({row.tobytes() for row in y[:, 0]}) == 50
    dx, _ = backward(np.ones_like(y))
    assert same_bits(dx, y)
    assert same_bits(layer(x)[0], x)
    assert same_bits(layer.forward(x, rng=1)[0][0], y)
    assert not same_bits(layer.forward(x, rng=2)[0][0], y)
    assert same_bits(layer.forward(x[:, :3], rng=1)[0][0], np.ascontiguousarray(y[:, :3]))
    assert same_bits(layer.forward(x[:5], rng=1)[0][0], y[:5])
    assert same_bits(layer.forward(x[3], rng=1)[0][0], y[0])
    major = layer.forward(x.transpose(1, 0, 2), time_major=True, rng=1)[0][0]
    assert same_bits(np.ascontiguousarray(major.transpose(1, 0, 2)), y)


def test_each_layer_has_its_own_mask():
    ones = np.ones((30, 2, 20))
    whole = echo(num_layers=2, input_dropout=0.4).forward(ones, rng=1)[0][0]
    first = echo(input_dropout=0.4).forward(ones, rng=1)[0][0]
    second = np.where(first > 0, whole / np.where(first > 0, first, 1), 0)
    assert set(np.unique(second)) == {0, 1 / 0.6}
    assert (second[first > 0] == 0).mean() > 0.2
    between = echo(num_layers=2, dropout=0.4).forward(ones, rng=1)[0][0]
    assert not same_bits(np.ascontiguousarray(between[:, 0] > 0), np.ascontiguousarray(second[:, 0] > 0))


def test_streams_of_masks_are_apart():
    streams = {mask.stream(place) for mask in Masks for place in range(100)}
    assert len(streams) == len(Masks) * 100
    assert max(streams) < 2**32
    assert Masks.BETWEEN.stream(3) == 3


@pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
@pytest.mark.parametrize("bias", [True, "double"])
def test_weight_drop_is_a_layer_with_fewer_weights(cls, bias):
    grid = {"num_layers": 2, "bidirectional": True, "dtype": "float64", "bias": bias}
    layer, thin = (randomise(cls(3, 6, **grid, **more)) for more in ({"weight_drop": 0.4}, {}))
    x, dy = draw(4, 5, 3), draw(4, 5, 12, seed=3)
    assert same_bits(layer(x)[0], thin(x)[0])
    masks = {}
    for number in range(4):
        name = f"weight_hh_l{number // 2}" + ("_reverse" if number % 2 else "")
        weight = layer.params[name]
        masks[name] = ops.dropout(np.ones_like(weight), 0.4, int(draw_key(7)), Masks.WEIGHT.stream(number))
        assert set(np.unique(masks[name])) == {0, 1 / 0.6}
        thin.params[name] = weight * masks[name]
    (y, _), backward = layer.forward(x, rng=7)
    (wanted, _), backward_thin = thin.forward(x)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-14)
    dx, _ = backward(dy)
    np.testing.assert_allclose(dx, backward_thin(dy)[0], rtol=0, atol=1e-14)
    for name in layer.params:
        assert relative_error(layer.grads[name], thin.grads[name] * masks.get(name, 1)) < 1e-13, name
    assert len({mask.tobytes() for mask in masks.values()}) == 4
    (again, _), _ = layer.forward(x, rng=7)
    assert same_bits(again, y)
    assert not same_bits(layer.forward(x, rng=8)[0][0], y)
    assert same_bits(layer.forward(x[:2], rng=7)[0][0], y[:2])


def test_a_residual_passes_by_the_input_dropout():
    layer = echo(num_layers=2, input_dropout=0.5, residual=True)
    (y, _), _ = layer.forward(np.ones((30, 2, 20)), rng=1)
    assert set(np.unique(y)) == {0, 2, 6}  # dropped below; kept there, and dropped or kept above


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru_before"])
def test_float32_gradients(kind):
    found = {}
    for dtype in ("float32", "float64"):
        layer = make(
            kind, I=7, H=21, layers=3, bidirectional=True, merge="average", residual="highway", input_dropout=0.2,
            weight_drop=0.3, dropout=0.1, learned_state=True, dtype=dtype,
        )  # fmt: skip
        (y, _), backward = layer.forward(draw(5, 9, 7).astype("f"), lengths=[9, 0, 4, 7, 1], rng=2)
        dx, _ = backward(draw(5, 9, 21, seed=3).astype("f"))
        found[dtype] = {"y": y, "dx": dx, **layer.grads}
    for name, wanted in found["float64"].items():
        got = found["float32"][name]
        assert got.dtype == np.float32
        assert np.any(wanted != 0)
        assert relative_error(got, wanted) < 2e-5, name
