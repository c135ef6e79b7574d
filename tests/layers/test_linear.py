import copy
import pickle

import numpy as np
import pytest
from checks import awkward, max_error, relative_error
from layer_checks import check_layer_gradients, randomise, rebuilt

from rnnfast.layers import GRU, Embedding, Linear
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


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, 1e300])
def test_what_padding_holds_does_not_reach_the_weights(rubbish):
    layer = randomise(Linear(5, 3, activation="tanh", dtype="float64"))
    x, dy, lengths = draw(3, 4, 5), draw(3, 4, 3, seed=2), [4, 0, 2]
    clean, dirty = {}, {}
    wanted = layer.forward(x, lengths=lengths)[1](dy, grads=clean)
    x = np.where((np.arange(4) >= np.array(lengths)[:, None])[..., None], rubbish, x)
    assert np.array_equal(layer.forward(x, lengths=lengths)[1](dy, grads=dirty), wanted)
    assert all(np.array_equal(dirty[name], clean[name]) for name in clean)


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


def language_model(dtype="float64", bias=True, **options):
    words = Embedding(7, 4, dtype=dtype, **options)
    return randomise(Sequential(words, GRU(4, 4, dtype=dtype), Linear(4, 7, bias, tied=words, dtype=dtype)))


@pytest.mark.parametrize("bias", [True, False])
def test_tied_weights_are_one_parameter(bias):
    model = language_model(bias=bias)
    words, gru, linear = model.layers
    assert [name for name in model.params if "_l0" not in name] == ["0.weight", "2.bias"][: 1 + bias]
    assert model.num_params == model.flat_data.size == words.num_params + gru.num_params + 7 * bias
    assert list(linear.params) == ["weight", "bias"][: 1 + bias]
    x = np.array([[3, 1, 6, 3], [2, 2, 0, 5]])
    wanted = gru(words(x))[0] @ words.params["weight"].T + (linear.params["bias"] if bias else 0)
    assert max_error(model(x), wanted) < 1e-14
    check_layer_gradients(model, x)
    check_layer_gradients(linear, draw(2, 4, seed=5))


def test_gradients_of_both_uses_add():
    model = language_model()
    words, gru, linear = model.layers
    x, dy = np.array([[3, 1, 6]]), draw(1, 3, 7)
    hidden = words.forward(x)
    outputs = gru.forward(hidden[0])
    scores = linear.forward(outputs[0][0])
    parts = [{}, {}]
    hidden[1](outputs[1](scores[1](dy, parts[0]))[0], parts[1])
    assert all(part["weight"].any() for part in parts)
    model.zero_grad()
    model.forward(x)[1](dy)
    assert max_error(model.grads["0.weight"], parts[0]["weight"] + parts[1]["weight"]) < 1e-15
    assert np.array_equal(model.grads["2.bias"], parts[0]["bias"])


def test_tied_weights_stay_tied(tmp_path):
    model, x = language_model("float32"), np.array([[3, 1, 6, 3]])
    wanted = model(x)
    alone = model.layers[2]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), rebuilt(model, tmp_path)):
        assert again.layers[2].tied is again.layers[0]
        assert np.array_equal(again(x), wanted)
        assert again.flat_data.size == model.num_params
        again.params["0.weight"] = np.zeros((7, 4))
        assert np.array_equal(again(x), np.broadcast_to(again.params["2.bias"], (1, 4, 7)))
        SGD(0.1).step(again)
    hidden = draw(3, 4, dtype=np.float32)
    for again in (copy.deepcopy(alone), rebuilt(alone, tmp_path)):
        assert np.array_equal(again(hidden), alone(hidden))
        assert again.tied is not model.layers[0]
    steps = model.stream()
    assert max_error(np.stack([steps(x[:, t]).copy() for t in range(4)], 1), wanted) == 0


def test_the_padding_symbol_takes_no_gradient_from_a_tied_layer():
    model = language_model(padding_idx=2)
    model.forward(np.array([[2, 1, 6]]))[1](np.ones((1, 3, 7)))
    assert model.grads["0.weight"].any(axis=1).tolist() == [True, True, False, True, True, True, True]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tied": Linear(5, 3)}, TypeError, "tied must be an Embedding, got Linear"),
        ({"tied": Embedding(5, 3)}, ValueError, r"Embedding\(3, 5, dtype='float32'\).*got an Embedding\(5, 3"),
        ({"tied": Embedding(3, 5), "dtype": "float64"}, ValueError, "dtype='float64'.*dtype='float32'"),
    ],
)
def test_bad_ties(arguments, error, message):
    with pytest.raises(error, match=message):
        Linear(5, 3, **arguments)


def test_tied_parity_with_torch():
    torch = pytest.importorskip("torch")
    words = Embedding(7, 4, seed=0)
    model = Sequential(words, Linear(4, 7, tied=words))
    theirs, output = torch.nn.Embedding(7, 4), torch.nn.Linear(4, 7)
    output.weight = theirs.weight
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(words.params["weight"]))
        output.bias.zero_()
    x, dy = np.array([[3, 1, 6, 3]]), draw(1, 4, 7, dtype=np.float32)
    ty = output(theirs(torch.tensor(x)))
    ty.backward(torch.tensor(dy))
    (y, _), backward = model.forward(x)
    backward(dy)
    assert relative_error(y, ty.detach().numpy()) < 1e-6
    assert relative_error(model.grads["0.weight"], theirs.weight.grad.numpy()) < 1e-6
    assert relative_error(model.grads["1.bias"], output.bias.grad.numpy()) < 1e-6
