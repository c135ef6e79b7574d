import numpy as np
import pytest
from layer_checks import randomise

from rnnfast.layers import GRU, Dropout, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import MSE, SGD, Adam, train_step


def model():
    return randomise(Sequential(GRU(2, 3, dtype="float64"), Last(), Dropout(0.3), Linear(3, 1, dtype="float64")))


def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, 5, 2)), rng.standard_normal(6), rng.integers(0, 6, 6)


def test_train_on_batch_is_a_step():
    x, y, lengths = data()
    weights = np.linspace(0, 2, 6)
    one, other = model(), model()
    optimizer = SGD(0.1)
    for _ in range(2):
        step = train_step(one, x, y, MSE(), optimizer, lengths=lengths, weights=weights, rng=7)
        found = other.train_on_batch(
            x, y, loss="mse", optimizer=other.optimizer or SGD(0.1), lengths=lengths, sample_weight=weights, rng=7
        )
        assert found == {"loss": step.loss_sum / step.count, "norm": step.norm}
    assert np.array_equal(one.flat_data, other.flat_data)
    assert other.optimizer.steps == 2
    other.train_on_batch(x, y)
    assert other.optimizer.steps == 3


def test_partial_fit_goes_on_with_its_optimizer():
    x, y, _ = data()
    network = model()
    network.partial_fit(x, y, loss="mse", batch_size=2, seed=0)
    history = network.partial_fit(x, y, batch_size=3, seed=0)
    assert network.optimizer.steps == 5
    assert isinstance(network.optimizer, Adam)
    assert set(history.history) == {"loss"}
    network.partial_fit(x, y, optimizer="sgd", seed=0)
    assert isinstance(network.optimizer, SGD)


def test_a_batch_may_be_a_list_of_sequences():
    x, y, _ = data()
    ends = [3, 5, 1, 4, 2, 5]
    padded = np.where((np.arange(x.shape[1]) < np.array(ends)[:, None])[..., None], x[:6], 0)
    one, other = model(), model()
    found = one.train_on_batch([row[:end] for row, end in zip(x[:6], ends, strict=True)], y[:6], loss="mse", rng=3)
    assert found == other.train_on_batch(padded[:, : max(ends)], y[:6], loss="mse", lengths=ends, rng=3)
    assert np.array_equal(one.flat_data, other.flat_data)
    with pytest.raises(ValueError, match=r"equally many sequences, got shapes x \(2, ragged\), y \(3,\)"):
        one.train_on_batch([x[0], x[1][:2]], y[:3])


def test_compile_says_what_is_taken():
    x, y, _ = data()
    network = model()
    network.compile(optimizer=Adam(0.01), loss="mse", metrics=[_worst])
    history = network.fit(x, y, seed=0, verbose=False)
    network.fit(x, y, seed=0, verbose=False)
    assert network.optimizer.steps == 2
    assert set(history.history) == {"loss", "_worst"}
    assert set(network.evaluate(x, y)) == {"loss", "_worst"}
    with pytest.raises(ValueError, match="loss must be"):
        network.compile(loss="joy")
    with pytest.raises(ValueError, match="optimizer must be"):
        network.compile(optimizer="tiger")


def test_without_a_loss_nothing_is_learnt():
    x, y, _ = data()
    network = model()
    for verb in (network.fit, network.partial_fit, network.train_on_batch, network.evaluate):
        with pytest.raises(ValueError, match="needs loss="):
            verb(x, y)


def _worst(predictions, targets, mask):
    return float(np.abs(predictions[:, 0] - targets).max()), 1
