import copy

import numpy as np
import pytest
from checks import awkward, max_error, relative_error
from layer_checks import check_layer_gradients, randomise

from rnnfast.layers import Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD

ACTIVATIONS = {
    None: lambda a: a,
    "relu": lambda a: np.where(a > 0, a, 0),
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
}


def draw(*shape, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 5), (2, 7, 5), (2, 0, 5), (0, 3, 5)])
def test_forward_is_the_equation(activation, bias, shape):
    layer = randomise(Linear(5, 3, bias, activation, dtype="float64"))
    x = draw(*shape)
    wanted = ACTIVATIONS[activation](x @ layer.params["weight"].T + (layer.params["bias"] if bias else 0))
    assert max_error(layer(x), wanted) < 1e-14
    assert max_error(layer.forward(x)[0], wanted) < 1e-14


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3, 5)])
def test_gradients(activation, bias, shape):
    check_layer_gradients(randomise(Linear(5, 3, bias, activation, dtype="float64")), draw(*shape, seed=3))


def test_lengths_zero_the_output_and_the_gradients():
    layer = randomise(Linear(5, 3, activation="sigmoid", dtype="float64"))
    x, lengths = draw(3, 4, 5), [4, 0, 2]
    y = layer(x, lengths=lengths)
    assert np.array_equal(y[0], layer(x[0]))
    assert not y[1].any()
    assert not y[2, 2:].any()
    assert y[2, :2].all()
    check_layer_gradients(layer, x, lengths=lengths)
    dx = layer.forward(x, lengths=lengths)[1](np.ones((3, 4, 3)))
    assert not dx[1].any()
    assert not dx[2, 2:].any()
    assert dx[0].all()
    assert np.array_equal(layer(x[2], lengths=[2]), y[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_of_any_kind_are_cast(dtype):
    layer = randomise(Linear(5, 3, dtype=dtype))
    x = np.arange(-5, 10).reshape(3, 5)
    wanted = layer(x.astype(dtype))
    assert wanted.dtype == dtype
    for kind in (np.int8, np.float16, np.float64, np.float32):
        assert np.array_equal(layer(x.astype(kind)), wanted)
    for _, array in awkward(x.astype(dtype)):
        assert max_error(layer(array), wanted) < 1e-5
        y, backward = layer.forward(array)
        assert relative_error(backward(np.ones_like(y)), np.tile(layer.params["weight"].sum(axis=0), (3, 1))) < 1e-5


def test_the_caller_may_write_to_y():
    layer = randomise(Linear(5, 3, activation="tanh", dtype="float64"))
    x, dy = draw(4, 5), draw(4, 3)
    wanted = layer.forward(x)[1](dy)
    y, backward = layer.forward(x)
    y[...] = 7
    assert np.array_equal(backward(dy), wanted)


def test_packed_weights_never_go_stale():
    layer, x = randomise(Linear(5, 3, dtype="float64")), draw(4, 5)
    for change in (
        lambda: layer.params.__setitem__("weight", np.ones((3, 5))),
        lambda: layer.params.__setitem__("bias", [1, 2, 3]),
        lambda: SGD(0.1).step(layer),
    ):
        layer(x)
        layer.grads["weight"] += 1
        change()
        wanted = x @ layer.params["weight"].T + layer.params["bias"]
        assert max_error(layer(x), wanted) < 1e-13
        assert max_error(layer.forward(x)[0], wanted) < 1e-13
    Sequential(layer, Linear(3, 2, dtype="float64"))
    assert max_error(layer(x), wanted) < 1e-13
    copied = copy.deepcopy(layer)
    copied.params["bias"] = [0, 0, 0]
    assert max_error(copied(x), wanted - layer.params["bias"]) < 1e-13


def test_backward_belongs_to_its_call():
    layer = randomise(Linear(5, 3, dtype="float64"))
    x = draw(2, 5)
    _, backward = layer.forward(x)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 5\)"):
        backward(np.ones((2, 5)))
    backward(np.ones((2, 3)))
    with pytest.raises(RuntimeError, match="works once"):
        backward(np.ones((2, 3)))
    assert layer.grads["bias"].tolist() == [2, 2, 2]
    _, backward = layer.forward(x)
    layer.params["bias"] = [0, 0, 0]
    with pytest.raises(RuntimeError, match="changed"):
        backward(np.ones((2, 3)))
    _, backward = layer.forward(x)
    mine = {}
    assert backward(np.ones((2, 3)), mine, need_dx=False) is None
    assert mine["bias"].tolist() == [2, 2, 2]
    assert layer.grads["bias"].tolist() == [2, 2, 2]


def test_seeds_fix_the_first_weights():
    a, b, c = (Linear(20, 30, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(a.params["weight"], b.params["weight"])
    assert not np.array_equal(a.params["weight"], c.params["weight"])
    assert np.abs(a.params["weight"]).max() <= np.sqrt(6 / 50)
    assert not a.params["bias"].any()
    again = Linear(**a.config())
    assert again.config() == a.config()
    assert again.params["weight"].shape == (30, 20)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 3), ValueError, "in_features must be at least 1, got 0"),
        ((3, 2.5), TypeError, "out_features must be a whole number"),
        ((3, True), ValueError, "out_features"),
        ((3, 3, True, "gelu"), ValueError, "activation must be one of None, 'relu'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Linear(*arguments)


@pytest.mark.parametrize(
    ("x", "lengths", "error", "message"),
    [
        (np.zeros((2, 4)), None, ValueError, r"\(\.\.\., 5\), got \(2, 4\)"),
        (np.float64(1), None, ValueError, r"\(\.\.\., 5\)"),
        (np.zeros((2, 5), complex), None, TypeError, "real numbers, got dtype complex128"),
        ([["a"] * 5], None, TypeError, "real numbers"),
        (np.zeros((2, 3, 5)), [1], ValueError, r"shape \(2,\)"),
        (np.zeros((2, 3, 5)), [1, 4], ValueError, "from 0 to 3, got 1 to 4"),
        (np.zeros((2, 3, 5)), [-1, 3], ValueError, "from 0 to 3"),
        (np.zeros((2, 3, 5)), [1.0, 3.0], TypeError, "integers"),
        (np.zeros((2, 3, 4, 5)), [1, 3], ValueError, r"\(B, T, \.\.\.\)"),
    ],
)
def test_bad_input(x, lengths, error, message):
    with pytest.raises(error, match=message):
        Linear(5, 3)(x, lengths=lengths)


def test_parity_with_torch():
    torch = pytest.importorskip("torch")
    layer = randomise(Linear(5, 3, activation="sigmoid"))
    x, dy = draw(4, 7, 5, dtype=np.float32), draw(4, 7, 3, dtype=np.float32, seed=2)
    theirs = torch.nn.Linear(5, 3)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(theirs, name).copy_(torch.from_numpy(layer.params[name].copy()))
    tx = torch.from_numpy(x.copy()).requires_grad_()
    ty = torch.sigmoid(theirs(tx))
    ty.backward(torch.from_numpy(dy))
    y, backward = layer.forward(x)
    assert relative_error(y, ty.detach().numpy()) < 1e-6
    assert relative_error(backward(dy), tx.grad.numpy()) < 2e-6
    for name in ("weight", "bias"):
        assert relative_error(layer.grads[name], getattr(theirs, name).grad.numpy()) < 2e-6
