"""The backend "numpy" computes what the kernels do: outputs, states, gradients, masks and all."""

import threading

import numpy as np
import pytest
from checks import max_error
from equations_checks import LENGTHS, OPTIONS, kernel_options, make

import rnnfast as rf
from rnnfast import ops
from rnnfast._backend import in_numpy

PLAIN = {
    "rnn": ("rnn", {}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "gru new": ("gru", {"update": "new"}),
    "gru before": ("gru", {"reset": "before"}),
}
CASES = {**PLAIN, **OPTIONS}


def flat(*values):
    """The arrays in a nest of tuples, dicts and arrays, in order."""
    for value in values:
        if isinstance(value, dict):
            yield from flat(*(value[name] for name in sorted(value)))
        elif isinstance(value, tuple):
            yield from flat(*value)
        elif value is not None:
            yield value


def both(call):
    """What a call gives by the kernels and in NumPy: one to one, and not by the same code."""
    compiled = list(flat(call()))
    with rf.backend("numpy"):
        assert in_numpy()
        plain = list(flat(call()))
    assert not in_numpy()
    return list(zip(compiled, plain, strict=True))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_every_cell_and_option(name, reverse):
    cell, given = CASES[name]
    params, x, state = make(cell, B=5, **given)
    how = {"lengths": LENGTHS, "reverse": reverse, **kernel_options(given)}
    padded = x.copy()
    padded[1], padded[3, 1:] = np.nan, np.inf

    def call():
        y, end, saved = ops.forward(cell, params, padded, state, save=True, noise=(5, 9), **how)
        norms = np.zeros((x.shape[1], len(x)))
        return ops.forward(cell, params, x, **how)[:2], y, end, ops.backward(saved, np.cos(y), end, norms=norms), norms

    for compiled, plain in both(call):
        assert compiled.shape == plain.shape
        assert compiled.dtype == plain.dtype
        assert max_error(compiled, plain) < 1e-12


@pytest.mark.parametrize(("B", "T"), [(0, 3), (2, 0), (1, 1)])
def test_no_steps_and_no_rows(B, T):
    layer, x = rf.LSTM(3, 4, 2, bidirectional=True, seed=0), np.ones((B, T, 3))

    def call():
        (y, state), backward = layer.forward(x, rng=0)
        return y, tuple(state), tuple(backward(np.ones_like(y))[1])

    for compiled, plain in both(call):
        assert compiled.shape == plain.shape
        assert max_error(compiled, plain) < 1e-6


MODELS = {
    "stacked": lambda dtype: [rf.GRU(5, 4, 2, bidirectional=True, merge="sum", dropout=0.3, dtype=dtype, seed=1)],
    "around": lambda dtype: [
        rf.RNN(5, 4, 3, residual="highway", input_dropout=0.2, learned_state=True, dtype=dtype, seed=1)
    ],
    "dropped": lambda dtype: [
        rf.LSTM(5, 4, weight_drop=0.4, zoneout=0.2, recurrent_dropout=0.3, bias="double", dtype=dtype, seed=1)
    ],
    "conv": lambda dtype: [rf.Conv1D(5, 6, 2, dtype=dtype, seed=1), rf.MGU(6, 4, dtype=dtype, seed=2)],
}


@pytest.mark.parametrize("name", MODELS)
def test_one_step_of_training(name):
    ids = np.random.default_rng(0).integers(0, 9, (6, 5))
    targets, lengths = ids[:, 0] % 3, np.array([5, 1, 2, 5, 3, 4])
    found = []
    for which in ("compiled", "numpy"):
        model = rf.Sequential(
            rf.Embedding(9, 5, dtype="float64", seed=0),
            *MODELS[name]("float64"),
            rf.MeanPool(),
            rf.Linear(4, 4, activation="tanh", dtype="float64", seed=3),
            rf.Linear(4, 3, dtype="float64", seed=4),
        )
        first = model.flat_data.copy()
        how = {"loss": "cross_entropy", "optimizer": rf.SGD(0.5), "batch_size": 6, "seed": 5, "verbose": False}
        with rf.backend(which):
            history = model.fit(ids, targets, lengths=lengths, epochs=1, **how)
            found.append((model.flat_data.copy(), model.predict(ids, lengths=lengths), history.history["loss"][0]))
        assert max_error(model.flat_data, first) > 1e-3
    for compiled, plain in zip(*found, strict=True):
        assert max_error(compiled, plain) < 1e-12
    assert not np.array_equal(*(parameters for parameters, _, _ in found))  # not by the same code


def test_a_switch_finds_no_weights_of_the_other_backend():
    layer, linear, x = rf.LSTM(3, 4, dtype="float64", seed=0), rf.Linear(3, 2, dtype="float64"), np.ones((1, 2, 3))
    for _ in range(2):
        for compiled, plain in both(lambda: (layer(x)[0], linear(x))):
            assert max_error(compiled, plain) < 1e-14
    layer.params["bias_l0"] = np.ones(16)
    for compiled, plain in both(lambda: layer(x)[0]):
        assert max_error(compiled, plain) < 1e-14
    with rf.backend("numpy"):
        (y, _), backward = layer.forward(x)
    wanted = layer.forward(x)[1](y)[0]
    assert max_error(backward(y)[0], wanted) < 1e-14  # as its forward pass, wherever it runs


def test_a_linear_map_of_one_dtype():
    x, weight, bias = np.ones((2, 3), "f"), np.ones((4, 3), "f"), np.ones(4, "f")
    for compiled, plain in both(lambda: (ops.linear(x, weight, bias), ops.linear_backward(x, weight, np.ones((2, 4))))):
        assert compiled.dtype == plain.dtype == np.float32
        assert np.array_equal(compiled, plain)


def test_where_it_holds():
    seen = []
    try:
        rf.set_backend("numpy")
        thread = threading.Thread(target=lambda: seen.append(rf.get_backend()))
        thread.start()
        thread.join()
        with rf.backend("compiled"):
            thread = threading.Thread(target=lambda: seen.append(rf.get_backend()))
            seen.append(rf.get_backend())
            thread.start()
            thread.join()
    finally:
        rf.set_backend("compiled")
    assert seen == ["numpy", "compiled", "numpy"]
    with pytest.raises(KeyError), rf.backend("numpy"):
        raise KeyError
    assert rf.get_backend() == "compiled"


def test_what_is_refused(capsys):
    layer = rf.LSTM(3, 4)
    with rf.backend("numpy"):
        for call in (
            layer.stream,
            lambda: layer.pool(2),
            lambda: layer.explain(1, 1),
            lambda: layer.trace([[0, 1, 2]]),
        ):
            with pytest.raises(RuntimeError, match="compiled kernels' alone"):
                call()
        rf.show_config()
    assert "backend          numpy" in capsys.readouterr().out
    for choose in (rf.set_backend, lambda name: rf.backend(name).__enter__()):
        with pytest.raises(ValueError, match="'compiled' or 'numpy', got 'torch'"):
            choose("torch")
