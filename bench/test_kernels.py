"""The kernels under the layers, one direction at a time, and the passes over arrays, against plain NumPy."""

import numpy as np
import pytest

from rnnfast import ops, reference
from rnnfast.cli._contestants import Case, make_data

SYSTEMS = ("rnnfast", "numpy")


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "gru_before"])
def test_training_pass(benchmark, cell, ragged, system):
    case = Case(cell, "training", 32, 100, 64, 64)
    data, lengths = make_data(case), np.random.default_rng(0).integers(50, 101, 32) if ragged else None
    module, save = (ops, {"save": True}) if system == "rnnfast" else (reference, {})

    def call():
        saved = module.forward(case.kind, data.params, data.x, lengths=lengths, **case.options, **save)[2]
        return module.backward(saved, data.dy)[0]

    benchmark.group = f"kernel-{case.name}-{'ragged' if ragged else 'full'}"
    benchmark(call)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("rows", [1, 3200])
def test_linear(benchmark, rows, system):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=shape).astype("f") for shape in ((rows, 128), (100, 128), (100,)))
    benchmark.group = f"linear-{rows}x128x100"
    benchmark((lambda: ops.linear(x, weight, bias)) if system == "rnnfast" else (lambda: x @ weight.T + bias))


@pytest.mark.parametrize("system", SYSTEMS)
def test_cross_entropy(benchmark, system):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(3200, 100)).astype("f"), rng.integers(0, 100, 3200)

    def numpy():
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        loss = -np.log(probabilities[np.arange(3200), targets]).sum()
        probabilities[np.arange(3200), targets] -= 1
        return loss, probabilities

    benchmark.group = "cross-entropy-3200x100"
    benchmark((lambda: ops.cross_entropy(logits, targets)) if system == "rnnfast" else numpy)


@pytest.mark.parametrize("system", SYSTEMS)
def test_adam(benchmark, system):
    rng = np.random.default_rng(0)
    params, grads = rng.normal(size=(2, 300_000)).astype("f")
    m, v = np.zeros_like(params), np.zeros_like(params)

    def numpy():
        m[:] = 0.9 * m + 0.1 * grads
        v[:] = 0.999 * v + 0.001 * grads * grads
        params[:] -= 1e-3 * (m / 0.1) / (np.sqrt(v / 0.001) + 1e-8)

    def rnnfast():
        ops.adam_step(params, grads, m, v, learning_rate=1e-3, step=1)

    benchmark.group = "adam-300000"
    benchmark(rnnfast if system == "rnnfast" else numpy)


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_function(benchmark, name, system):
    from rnnfast.kernels._passes import apply

    x = np.random.default_rng(0).normal(size=100_000).astype("f")
    numpy = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a))}[name]
    benchmark.group = f"{name}-100000"
    benchmark((lambda: apply(name, x)) if system == "rnnfast" else (lambda: numpy(x)))
