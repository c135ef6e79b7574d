"""What stands beside the recurrent kernels: linear, embedding, losses, optimizers, functions, against plain NumPy."""

import numpy as np
import pytest

from rnnfast import layers, ops

SYSTEMS = ["rnnfast", "numpy"]
ROWS, FEATURES, CLASSES = 3200, 128, 100  # a batch of 32 sequences of 100 characters

pytestmark = pytest.mark.parametrize("system", SYSTEMS)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def both_precisions(function, *arrays):
    """A call of the function on these float32 arrays, and its results on the same in float64."""
    exact = [array.astype(np.float64) if array.dtype == np.float32 else array for array in arrays]
    return lambda: function(*arrays), function(*exact)


@pytest.mark.parametrize("rows", [1, ROWS])
def test_linear(race, rows, system):
    arrays = x, weight, bias = normal(rows, FEATURES), normal(CLASSES, FEATURES), normal(CLASSES)
    numpy, expected = both_precisions(lambda x, weight, bias: x @ weight.T + bias, *arrays)
    calls = {"rnnfast": lambda: ops.linear(x, weight, bias), "numpy": numpy}
    race(f"linear-{rows}x{FEATURES}x{CLASSES}", calls[system], expected)


def test_linear_backward(race, system):
    arrays = normal(ROWS, FEATURES), normal(CLASSES, FEATURES), normal(ROWS, CLASSES)
    numpy, expected = both_precisions(lambda x, weight, dy: (dy @ weight, dy.T @ x, dy.sum(axis=0)), *arrays)
    calls = {"rnnfast": lambda: ops.linear_backward(*arrays), "numpy": numpy}
    race(f"linear-backward-{ROWS}x{FEATURES}x{CLASSES}", calls[system], expected)


def test_embedding(race, system):
    layer = layers.Embedding(CLASSES, FEATURES, seed=0)
    weight, ids = np.array(layer.params["weight"]), np.random.default_rng(0).integers(0, CLASSES, (32, 100))
    calls = {"rnnfast": lambda: layer(ids), "numpy": lambda: weight[ids]}
    race(f"embedding-{ROWS}x{FEATURES}", calls[system], weight[ids])


def test_embedding_training(race, system):
    layer = layers.Embedding(CLASSES, FEATURES, seed=0)
    weight, ids = np.array(layer.params["weight"]), np.random.default_rng(0).integers(0, CLASSES, (32, 100))
    dy = normal(32, 100, FEATURES)

    def rnnfast():
        layer.zero_grad()
        y, backward = layer.forward(ids)
        backward(dy)
        return y, layer.grads["weight"]

    def numpy(weight, dy):
        dweight = np.zeros_like(weight)
        np.add.at(dweight, ids.ravel(), dy.reshape(-1, FEATURES))
        return weight[ids], dweight

    call, expected = both_precisions(numpy, weight, dy)
    race(f"embedding-training-{ROWS}x{FEATURES}", {"rnnfast": rnnfast, "numpy": call}[system], expected)


def test_cross_entropy(race, system):
    logits, targets = normal(ROWS, CLASSES), np.random.default_rng(0).integers(0, CLASSES, ROWS)
    at = np.arange(ROWS), targets

    def numpy(logits):
        dlogits = np.exp(logits - logits.max(axis=1, keepdims=True))
        dlogits /= dlogits.sum(axis=1, keepdims=True)
        loss = -np.log(dlogits[at]).sum()
        dlogits[at] -= 1
        return loss, ROWS, dlogits

    call, expected = both_precisions(numpy, logits)
    calls = {"rnnfast": lambda: ops.cross_entropy(logits, targets), "numpy": call}
    race(f"cross-entropy-{ROWS}x{CLASSES}", calls[system], expected)


def test_mse(race, system):
    predictions, targets = normal(2, ROWS, FEATURES)

    def numpy(predictions, targets):
        error = predictions - targets
        return np.vdot(error, error), error.size, 2 * error

    call, expected = both_precisions(numpy, predictions, targets)
    calls = {"rnnfast": lambda: ops.mse(predictions, targets), "numpy": call}
    race(f"mse-{ROWS}x{FEATURES}", calls[system], expected)


def sgd(params, grads, velocity):
    velocity *= 0.9
    velocity += grads
    params -= 1e-3 * velocity


def adam(params, grads, m, v):
    m *= 0.9
    m += 0.1 * grads
    v *= 0.999
    v += 0.001 * grads * grads
    params -= 1e-3 * (m / 0.1) / (np.sqrt(v / 0.001) + 1e-8)


@pytest.mark.parametrize(
    ("numpy", "rule", "numbers", "states"),
    [
        (sgd, "momentum", (1e-3, 0.9), 1),
        (adam, "adam", (1e-3 / 0.1, 0.1, 0.999, 0.001, 0.001**-0.5, 1e-8), 2),
    ],
    ids=["sgd", "adam"],
)
def test_optimizer_step(race, numpy, rule, numbers, states, system):
    arrays = [*normal(2, 300_000), *np.zeros((states, 300_000), np.float32)]
    exact = [array.astype(np.float64) for array in arrays]
    numpy(*exact)

    def call():
        if system == "numpy":
            numpy(*arrays)
        else:
            ops.update(rule, *arrays[:2], arrays[2:], numbers)
        return arrays

    race(f"{numpy.__name__}-300000", call, exact)


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid"])
def test_function(race, name, system):
    from rnnfast.kernels._passes import apply

    x = normal(100_000)
    function = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a))}[name]
    call, expected = both_precisions(function, x)
    race(f"{name}-100000", {"rnnfast": lambda: apply(name, x), "numpy": call}[system], expected)
