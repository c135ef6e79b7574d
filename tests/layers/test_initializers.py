import numpy as np
import pytest

import rnnfast as rf
from rnnfast.layers import initializers
from rnnfast.layers._block import planned


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_glorot_fills_its_range(rng):
    weight = initializers.glorot_uniform(rng, (200, 100))
    limit = np.sqrt(6 / 300)
    assert weight.shape == (200, 100)
    assert 0.999 * limit < np.abs(weight).max() <= limit
    assert abs(weight.mean()) < 0.01 * limit
    assert abs(weight.var() - 2 / 300) < 0.02 * 2 / 300


@pytest.mark.parametrize("size", [1, 2, 7, 33])
def test_orthogonal_is(rng, size):
    q = initializers.orthogonal(rng, size)
    assert np.abs(q @ q.T - np.eye(size)).max() < 1e-13


def test_orthogonal_has_no_favourite_sign(rng):
    # Without the sign fix, LAPACK's QR gives one sign of the diagonal far more often.
    diagonals = np.array([np.diagonal(initializers.orthogonal(rng, 3)) for _ in range(400)])
    assert np.abs((diagonals > 0).mean(axis=0) - 0.5).max() < 0.1


def test_each_gate_is_initialised_on_its_own(rng):
    recurrent = initializers.gates_orthogonal(rng, 4, 9)
    assert recurrent.shape == (36, 9)
    for gate in np.split(recurrent, 4):
        assert np.abs(gate @ gate.T - np.eye(9)).max() < 1e-13
    assert not np.allclose(recurrent[:9], recurrent[9:18])
    inputs = initializers.gates_glorot(rng, 3, 50, 70)
    assert inputs.shape == (150, 70)
    for gate in np.split(inputs, 3):
        assert 0.98 * np.sqrt(6 / 120) < np.abs(gate).max() <= np.sqrt(6 / 120)


def test_forget_gate_starts_open():
    assert initializers.lstm_bias(2).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_normal(rng):
    values = initializers.normal(rng, (100, 100))
    assert abs(values.mean()) < 0.03
    assert abs(values.std() - 1) < 0.03


def test_a_plan_draws_nothing(rng):
    before = rng.bit_generator.state
    with planned():
        shapes = [
            initializers.glorot_uniform(rng, (10**8, 10**8)).shape,
            initializers.gates_glorot(rng, 4, 10**8, 10**8).shape,
            initializers.gates_orthogonal(rng, 3, 10**8).shape,
            initializers.orthogonal(rng, 10**8).shape,
            initializers.lstm_bias(10**12).shape,
            initializers.normal(rng, (10**9,)).shape,
        ]
    n = 10**8
    assert shapes == [(n, n), (4 * n, n), (3 * n, n), (n, n), (4 * 10**12,), (10**9,)]
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("bias", [True, False, "double"])
def test_irnn(bias):
    layer = rf.RNN(40, 50, 2, activation="relu", bidirectional=True, bias=bias, learned_state=True)
    initializers.irnn(layer, seed=0)
    for name, array in layer.params.items():
        if name.startswith("weight_hh"):
            assert np.array_equal(array, np.eye(50))
        elif name.startswith("weight_ih"):
            assert abs(array.std() - 1e-3) < 1e-4
        else:
            assert not array.any()
    initializers.irnn(layer, seed=0, scale=0.5)
    assert np.array_equal(layer.params["weight_hh_l1_reverse"], np.eye(50) / 2)
    cell = rf.RNNCell(3, 4, bias=bias)
    initializers.irnn(cell)
    assert np.array_equal(cell.params["weight_hh"], np.eye(4))
    with pytest.raises(TypeError, match="irnn is for RNN layers, got LSTM"):
        initializers.irnn(rf.LSTM(3, 4))


@pytest.mark.parametrize("bias", [True, "double"])
@pytest.mark.parametrize(("cls", "options"), [(rf.LSTM, {}), (rf.GRU, {}), (rf.GRU, {"update": "new"})])
def test_chrono(cls, options, bias):
    layer = cls(3, [900, 500], bias=bias, seed=0, **options)
    before = {name: array.copy() for name, array in layer.params.items()}
    initializers.chrono(layer, 1000, seed=1)
    for number, H in enumerate([900, 500]):
        names = [f"bias_ih_l{number}", f"bias_hh_l{number}"] if bias == "double" else [f"bias_l{number}"]
        gates = sum(layer.params[name] for name in names).reshape(-1, H)
        keep = gates[1] if not options else -gates[1]
        time = 1 + np.exp(keep)  # 1 / (1 - σ(keep)): how long a unit remembers
        assert np.exp(keep).min() >= 1 - 1e-6
        assert np.exp(keep).max() <= 999.001
        assert abs(time.mean() - 501) < 5 * 288 / H**0.5
        if cls is rf.LSTM:
            np.testing.assert_allclose(gates[0], -gates[1], rtol=1e-6)
            assert not gates[2:].any()
        else:
            assert not gates[[0, 2]].any()
    assert all(np.array_equal(layer.params[name], before[name]) for name in before if not name.startswith("bias"))
    cell = rf.LSTMCell(3, 4)
    initializers.chrono(cell, 2)
    assert not cell.params["bias"].any()
    with pytest.raises(ValueError, match="bias=False"):
        initializers.chrono(cls(3, 4, bias=False), 10)
    with pytest.raises(ValueError, match=r"max_steps.*at least 2.*1"):
        initializers.chrono(layer, 1)
    with pytest.raises(TypeError, match="chrono is for LSTM and GRU layers, got Linear"):
        initializers.chrono(rf.Linear(3, 4), 10)


@pytest.mark.parametrize("bias", [True, "double"])
def test_forget_bias(bias):
    layer, cell = rf.LSTM(3, 4, 2, bias=bias, forget_bias=-2.5), rf.LSTMCell(3, 4, bias=bias, forget_bias=3)
    name = "bias_ih" if bias == "double" else "bias"
    for found, value in ((layer.params[f"{name}_l1"], -2.5), (cell.params[name], 3)):
        assert np.array_equal(found, np.repeat([0, value, 0, 0], 4))
    assert rf.LSTM(**layer.config()).config() == layer.config()
    assert rf.LSTMCell(**cell.config()).config()["forget_bias"] == 3
    assert "forget_bias" not in rf.LSTMCell(3, 4).config()
