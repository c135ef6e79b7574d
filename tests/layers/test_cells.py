"""RNNCell, LSTMCell, GRUCell: one step of the layers."""

import numpy as np
import pytest
from checks import central_differences, relative_error, same_bits
from layer_checks import flatten, parameters_and_gradients, randomise

import rnnfast as rf

CELLS = {
    "rnn": (rf.RNNCell, rf.RNN, {}),
    "rnn_relu": (rf.RNNCell, rf.RNN, {"activation": "relu"}),
    "lstm": (rf.LSTMCell, rf.LSTM, {}),
    "gru": (rf.GRUCell, rf.GRU, {}),
    "gru_before": (rf.GRUCell, rf.GRU, {"reset": "before", "update": "new"}),
}
cells = pytest.mark.parametrize("name", CELLS)


def make(name, bias=True, dtype="float64"):
    cls, _, options = CELLS[name]
    return randomise(cls(3, 5, bias=bias, dtype=dtype, **options), 4)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, shape)


def draw_state(name, *shape):
    h, c = draw(*shape, 5, seed=1), draw(*shape, 5, seed=2)
    return (h, c) if name == "lstm" else h


@cells
@pytest.mark.parametrize("bias", [True, False, "double"])
def test_a_step_is_a_sequence_of_one(name, bias):
    cell = make(name, bias, "float32")
    _, layer_class, options = CELLS[name]
    layer = layer_class(3, 5, bias=bias, **options)
    for key, value in cell.params.items():
        layer.params[f"{key}_l0"] = value
    x, state = draw(2, 3), draw_state(name, 2)
    layer_state = tuple(part[None] for part in state) if name == "lstm" else state[None]
    y, after = layer(x[:, None], layer_state)
    new = cell(x, state)
    assert all(same_bits(a, b[0]) for a, b in zip(flatten(new), flatten(after), strict=True))
    assert same_bits(flatten(new)[0], y[:, 0])
    row = tuple(part[1] for part in state) if name == "lstm" else state[1]
    assert all(same_bits(a, b[1]) for a, b in zip(flatten(cell(x[1], row)), flatten(new), strict=True))
    zero = tuple(np.zeros_like(part) for part in state) if name == "lstm" else np.zeros_like(state)
    assert all(same_bits(a, b) for a, b in zip(flatten(cell(x)), flatten(cell(x, zero)), strict=True))


@cells
@pytest.mark.parametrize("bias", [True, "double"])
@pytest.mark.parametrize("batch", [(), (2,)], ids=["alone", "batch"])
def test_every_gradient(name, bias, batch):
    cell, x, state = make(name, bias), draw(*batch, 3), draw_state(name, *batch)
    new, backward = cell.forward(x, state)
    weights = [draw(*part.shape, seed=9 + i) for i, part in enumerate(flatten(new))]
    dnew = tuple(weights) if name == "lstm" else weights[0]

    def loss():
        cell.block.changed()
        return float(sum((a * b).sum() for a, b in zip(flatten(cell(x, state)), weights, strict=True)))

    dx, dstate = backward(dnew)
    pairs = [(dx, x), *zip(flatten(dstate), flatten(state), strict=True)]
    pairs += [(gradient, values) for _, gradient, values in parameters_and_gradients(cell)]
    for gradient, array in pairs:
        assert np.any(gradient != 0)
        assert gradient.shape == array.shape
        assert relative_error(gradient, central_differences(loss, array)) < 1e-6


def test_backward_once():
    cell = make("gru")
    h, backward = cell.forward(draw(2, 3))
    backward(h)
    with pytest.raises(RuntimeError, match="once"):
        backward(h)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda cell: cell(draw(2, 4)), ["x", "(B, 3)", "(2, 4)"]),
        (lambda cell: cell(draw(2, 1, 3)), ["x", "(2, 1, 3)"]),
        (lambda cell: cell(draw(2, 3), draw(2, 5)), ["state", "pair"]),
        (lambda cell: cell(draw(2, 3), (draw(2, 5), draw(1, 5))), ["c of state", "(2, 5)", "(1, 5)"]),
    ],
)
def test_errors_say_what_is_wrong(call, words):
    with pytest.raises(ValueError, match="must") as caught:
        call(make("lstm"))
    assert all(word in str(caught.value) for word in words), caught.value
