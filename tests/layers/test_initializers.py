import numpy as np
import pytest

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
