import math

import numpy as np
import pytest
from checks import awkward, max_error, relative_error
from layer_checks import check_citizen, check_layer_gradients

import rnnfast as rf
from rnnfast.layers import Activation
from rnnfast.layers._activations import TABLE, parse


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


FORMULAS = {
    "identity": lambda x: x,
    "tanh": math.tanh,
    "sigmoid": sigmoid,
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    ("leaky_relu", 0.2): lambda x: x if x > 0 else 0.2 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    ("elu", 0.5): lambda x: x if x > 0 else 0.5 * (math.exp(x) - 1),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (math.exp(x) - 1)),
    "softsign": lambda x: x / (1 + abs(x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
    "hard_sigmoid_onnx": lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0),
    ("hard_sigmoid", 0.25, 0.25): lambda x: min(max(0.25 * x + 0.25, 0.0), 1.0),
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "swish": lambda x: x * sigmoid(x),
    ("swish", 1.7): lambda x: x * sigmoid(1.7 * x),
}
specs = pytest.mark.parametrize("spec", [*FORMULAS, "softmax"], ids=str)


def draw(*shape, seed=0):
    """Numbers on both sides of every kink, none of them near one."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 0.9, shape) + rng.choice([-4.0, -2.0, -1.0, 0.0, 1.0, 3.0], shape)


def truth(spec, x):
    if spec == "softmax":
        e = np.exp(x)
        return e / e.sum(axis=-1, keepdims=True)
    return np.vectorize(FORMULAS[spec], otypes=[float])(x)


def test_every_function_has_a_formula_here():
    assert {parse(spec).name for spec in FORMULAS} | {"softmax"} == set(TABLE)


@specs
@pytest.mark.parametrize("shape", [(7,), (1, 5), (3, 4, 5), (2, 0, 3), (0, 2, 3), (2, 3, 2, 5), (4, 3, 0)])
def test_values(spec, shape):
    layer, x = Activation(spec), draw(*shape)
    for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 1e-6)):
        y = layer(x.astype(dtype))
        assert y.dtype == dtype
        assert max_error(y, truth(spec, x)) < tolerance
        assert np.array_equal(layer.forward(x.astype(dtype))[0], y)
    for _, array in awkward(x) if x.size else ():
        assert max_error(layer(array), truth(spec, x)) < 1e-14


@specs
@pytest.mark.parametrize("shape", [(7,), (1, 5), (3, 4, 5)])
def test_gradients(spec, shape):
    check_layer_gradients(Activation(spec), draw(*shape, seed=3))


@specs
def test_lengths_zero_the_output_and_the_gradient(spec):
    layer, x = Activation(spec), draw(3, 4, 5)
    x[0], x[2, 2:] = np.nan, np.nan
    y, backward = layer.forward(x, lengths=[0, 4, 2])
    dx = backward(np.ones_like(y))
    for array in (y, dx):
        assert not array[0].any()
        assert not array[2, 2:].any()
    assert np.array_equal(y[2, :2], layer(x[2, :2]))
    assert np.array_equal(layer(x[2], lengths=[2]), y[2])
    check_layer_gradients(layer, draw(3, 4, 5), lengths=[0, 4, 2])


@specs
def test_far_out_all_is_finite(spec):
    for dtype in (np.float32, np.float64):
        x = np.array([-1e30, -800, -100, -50, 0, 50, 100, 800, 1e30], dtype)
        y, backward = Activation(spec).forward(x)
        assert np.isfinite(y).all()
        assert np.isfinite(backward(np.ones_like(y))).all()
        if parse(spec).name in ("softplus", "gelu", "swish", "elu", "relu", "leaky_relu"):
            assert np.array_equal(y[5:], x[5:])
        if parse(spec).name in ("softplus", "gelu", "swish"):
            assert np.abs(y[:3]).max() < 1e-40


@specs
def test_nan_stays(spec):
    assert np.isnan(Activation(spec)(np.array([[np.nan, np.nan]]))).all()


def test_the_caller_may_write_to_y():
    for spec in ("tanh", "softmax", "elu"):
        x, dy = draw(3, 5), draw(3, 5, seed=2)
        wanted = Activation(spec).forward(x)[1](dy)
        y, backward = Activation(spec).forward(x)
        y[...] = 7
        assert np.array_equal(backward(dy), wanted)


@specs
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_citizen(spec, dtype, tmp_path):
    check_citizen(Activation(spec), draw(3, 4, 5).astype(dtype), tmp_path, lengths=[4, 0, 2])


def test_plans_are_short():
    assert Activation("tanh").config() == {"activation": "tanh"}
    assert Activation(("elu", 1.0)).config() == {"activation": "elu"}
    assert Activation(("hard_sigmoid", 0.25)).config() == {"activation": ["hard_sigmoid", 0.25, 0.5]}
    assert Activation(["leaky_relu", 1]).activation == ("leaky_relu", 1.0, 0.0)


@pytest.mark.parametrize("spec", ["softmax", ("elu", 0.5)])
def test_in_a_stream(spec):
    model = rf.Sequential(rf.GRU(3, 5, seed=0), Activation(spec), rf.Linear(5, 2, seed=1))
    x = draw(2, 6, 3).astype(np.float32)
    stream, y = model.stream(2), model(x)
    for t in range(6):
        assert max_error(stream(x[:, t]), y[:, t]) < 1e-6


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("tanhh", ValueError, "activation must be one of 'identity', 'tanh'.*got 'tanhh'"),
        (None, TypeError, "activation must be a name"),
        ((), TypeError, "activation must be a name"),
        (3, TypeError, "activation must be a name.*got 3"),
        (("tanh", 2), ValueError, "'tanh' takes no numbers"),
        (("elu", 2, 3), ValueError, "'elu' takes alpha, got"),
        (("hard_sigmoid", 1, 2, 3), ValueError, "takes alpha and beta"),
        (("elu", "1"), TypeError, "must be numbers, got '1'"),
        (("elu", float("nan")), ValueError, "must be finite"),
    ],
)
def test_bad_specs(spec, error, message):
    with pytest.raises(error, match=message):
        Activation(spec)


def test_bad_input():
    with pytest.raises(TypeError, match="real numbers"):
        Activation("tanh")([1j])
    with pytest.raises(ValueError, match="at least one axis"):
        Activation("tanh")(1.0)
    with pytest.raises(ValueError, match="from 0 to 4"):
        Activation("tanh")(np.zeros((2, 4, 3)), lengths=[5, 1])


def test_parity_with_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "leaky_relu": functional.leaky_relu,
        ("leaky_relu", 0.2): lambda x: functional.leaky_relu(x, 0.2),
        ("elu", 0.5): lambda x: functional.elu(x, 0.5),
        "selu": functional.selu,
        "softsign": functional.softsign,
        "softplus": functional.softplus,
        "hard_sigmoid": functional.hardsigmoid,
        "gelu": lambda x: functional.gelu(x, approximate="tanh"),
        "swish": functional.silu,
        "softmax": lambda x: torch.softmax(x, -1),
    }
    x, dy = draw(3, 4, 5), draw(3, 4, 5, seed=2)
    for spec, function in theirs.items():
        tx = torch.tensor(x, requires_grad=True)
        ty = function(tx)
        ty.backward(torch.tensor(dy))
        y, backward = Activation(spec).forward(x)
        assert relative_error(y, ty.detach().numpy()) < 1e-12, spec
        # PyTorch holds the slope of its hard sigmoid in float32.
        assert relative_error(backward(dy), tx.grad.numpy()) < (1e-7 if spec == "hard_sigmoid" else 1e-12), spec
