"""RNNCell, LSTMCell, GRUCell: one step of the layers."""

import copy
import pickle

import numpy as np
import pytest
from checks import awkward, central_differences, relative_error, same_bits
from layer_checks import flatten, map_state, parameters_and_gradients, randomise

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
    y, after = layer(x[:, None], map_state(lambda part: part[None], state))
    new = cell(x, state)
    assert all(same_bits(a, b[0]) for a, b in zip(flatten(new), flatten(after), strict=True))
    assert same_bits(flatten(new)[0], y[:, 0])
    row = map_state(lambda part: part[1], state)
    assert all(same_bits(a, b[1]) for a, b in zip(flatten(cell(x[1], row)), flatten(new), strict=True))
    zero = map_state(np.zeros_like, state)
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


@cells
@pytest.mark.parametrize("bias", [True, False, "double"])
def test_a_chain_of_steps_is_the_sequence(name, bias):
    """Forward and backward through time by hand, against the layer."""
    cell, T = make(name, bias), 5
    _, layer_class, options = CELLS[name]
    layer = layer_class(3, 5, bias=bias, dtype="float64", **options)
    for key, value in cell.params.items():
        layer.params[f"{key}_l0"] = value
    x, dy, state = draw(2, T, 3), draw(2, T, 5, seed=3), draw_state(name, 2)
    (y, after), layer_backward = layer.forward(x, map_state(lambda part: part[None], state))
    dx, initial = layer_backward(dy)
    steps, new = [], state
    for t in range(T):
        new, backward = cell.forward(x[:, t], new)
        steps.append(backward)
        assert same_bits(flatten(new)[0], np.ascontiguousarray(y[:, t]))
    assert all(same_bits(a, b[0]) for a, b in zip(flatten(new), flatten(after), strict=True))
    dstate = map_state(np.zeros_like, state)
    for t in reversed(range(T)):
        dstate = (dstate[0] + dy[:, t], dstate[1]) if name == "lstm" else dstate + dy[:, t]
        dx_t, dstate = steps[t](dstate)
        np.testing.assert_allclose(dx_t, dx[:, t], rtol=0, atol=1e-14)
    for got, wanted in zip(flatten(dstate), flatten(initial), strict=True):
        np.testing.assert_allclose(got, wanted[0], rtol=0, atol=1e-14)
    for key, value in cell.grads.items():
        np.testing.assert_allclose(value, layer.grads[f"{key}_l0"], rtol=0, atol=1e-13)


@cells
def test_memory_types_and_copies(name):
    cell, x, state = make(name, dtype="float32"), draw(4, 3).astype("f"), draw_state(name, 4)
    wanted = flatten(cell(x, state))
    for what, same in awkward(x):
        assert all(same_bits(a, b) for a, b in zip(flatten(cell(same, state)), wanted, strict=True)), what
    again = cell(x.tolist(), map_state(np.asfortranarray, state))
    assert all(same_bits(a, b) for a, b in zip(flatten(again), wanted, strict=True))
    trained, _ = cell.forward(x, state)
    assert all(same_bits(a, b) for a, b in zip(flatten(trained), wanted, strict=True))
    for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell)), type(cell)(**cell.config())):
        twin.block.data[...] = cell.block.data
        twin.block.changed()
        assert all(same_bits(a, b) for a, b in zip(flatten(twin(x, state)), wanted, strict=True))
        twin.params["weight_hh"] = np.zeros_like(twin.params["weight_hh"])  # nothing packed is left over
        assert not same_bits(flatten(twin(x, state))[0], wanted[0])
        assert same_bits(flatten(cell(x, state))[0], wanted[0])


@cells
def test_nothing_to_do(name):
    cell = make(name)
    new, backward = cell.forward(np.zeros((0, 3)))
    assert all(part.shape == (0, 5) for part in flatten(new))
    dx, dstate = backward(new)
    assert dx.shape == (0, 3)
    assert all(part.shape == (0, 5) for part in flatten(dstate))
    assert not any(value.any() for value in cell.grads.values())


@cells
def test_backward_once_and_on_the_same_parameters(name):
    cell, x, state = make(name), draw(2, 3), draw_state(name, 2)
    new, backward = cell.forward(x, state)
    backward(new)
    with pytest.raises(RuntimeError, match="once"):
        backward(new)
    kept = cell.block.grad.copy()
    new, backward = cell.forward(x, state)
    wanted, given = map_state(np.copy, new), {}
    for part in flatten(new):
        part.fill(np.nan)
    backward(wanted, given)
    assert all(same_bits(given[key], value) for key, value in cell.grads.items())
    new, backward = cell.forward(x, state)
    cell.params["weight_ih"] = np.ones_like(cell.params["weight_ih"])
    with pytest.raises(RuntimeError, match="changed"):
        backward(new)
    assert same_bits(cell.block.grad, kept)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda cell: cell(draw(2, 4)), ["x", "(B, 3)", "(2, 4)"]),
        (lambda cell: cell(draw(2, 1, 3)), ["x", "(2, 1, 3)"]),
        (lambda cell: cell(1.0), ["x", "()"]),
        (lambda cell: cell(draw(3), (draw(1, 5), draw(1, 5))), ["h of state", "(5,)", "(1, 5)"]),
        (lambda cell: cell.forward(draw(2, 3))[1](draw(2, 5)), ["dstate", "pair"]),
        (lambda cell: cell.forward(draw(2, 3))[1]((draw(2, 5), draw(5))), ["c of dstate", "(2, 5)", "(5,)"]),
        (lambda cell: make("gru").forward(draw(2, 3))[1](draw(2, 6)), ["dstate", "(2, 5)", "(2, 6)"]),
        (lambda cell: cell(draw(2, 3), draw(2, 5)), ["state", "pair"]),
        (lambda cell: cell(draw(2, 3), (draw(2, 5), draw(1, 5))), ["c of state", "(2, 5)", "(1, 5)"]),
    ],
)
def test_errors_say_what_is_wrong(call, words):
    with pytest.raises(ValueError, match="must") as caught:
        call(make("lstm"))
    assert all(word in str(caught.value) for word in words), caught.value
