import numpy as np
import pytest
from checks import relative_error
from layer_checks import flatten, randomise

from rnnfast.layers import LSTM, Dropout, Embedding, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import MSE, SGD, CrossEntropy, train_step


def tagger():
    return randomise(
        Sequential(Embedding(7, 3, dtype="float64"), LSTM(3, 4, dtype="float64"), Linear(4, 5, dtype="float64"))
    )


def data(B=3, T=6):
    rng = np.random.default_rng(0)
    return rng.integers(0, 7, (B, T)), rng.integers(0, 5, (B, T))


def test_one_step_follows_the_gradient_of_the_mean():
    model, (x, y), lengths = tagger(), data(), np.array([6, 0, 2])
    mask = np.arange(6) < lengths[:, None]
    (logits, _), backward = model.forward(x, lengths=lengths)
    total, count, gradient = CrossEntropy()(logits, y, mask)
    backward(gradient / count)
    before, wanted = model.flat_data.copy(), model.flat_grad.copy()
    model.flat_grad[...] = 99
    step = train_step(model, x, y, CrossEntropy(), SGD(0.5), lengths=lengths)
    assert (step.count, count) == (8, 8)
    assert step.loss_sum == total
    assert step.norm == pytest.approx(np.linalg.norm(wanted), rel=1e-12)
    assert relative_error(model.flat_grad, wanted) < 1e-14
    assert relative_error(before - model.flat_data, 0.5 * wanted) < 1e-12


def test_truncated_back_propagation_carries_values_but_no_gradients():
    model, (x, y) = tagger(), data()
    still = SGD(0.0)
    first = train_step(model, x[:, :4], y[:, :4], CrossEntropy(), still)
    second = train_step(model, x[:, 4:], y[:, 4:], CrossEntropy(), still, state=first.state)
    whole = train_step(model, x, y, CrossEntropy(), still)
    assert first.loss_sum + second.loss_sum == pytest.approx(whole.loss_sum, rel=1e-14)
    assert first.count + second.count == whole.count == 18
    for a, b in zip(flatten(second.state), flatten(whole.state), strict=True):
        assert np.array_equal(a, b)
    assert second.norm != whole.norm


def test_watch_sees_what_the_loss_sees():
    model, (x, y), seen = tagger(), data(), []
    train_step(model, x, y, CrossEntropy(), SGD(0.1), lengths=[1, 2, 3], watch=lambda *what: seen.append(what))
    [(predictions, targets, mask, weights)] = seen
    assert weights is None
    assert predictions.shape == (3, 6, 5)
    assert targets is y
    assert mask.sum(axis=1).tolist() == [1, 2, 3]


def test_lengths_do_not_mask_where_time_has_ended():
    model = randomise(Sequential(LSTM(2, 3, dtype="float64"), Last(), Linear(3, 1, dtype="float64")))
    x = np.random.default_rng(0).standard_normal((4, 5, 2))
    step = train_step(model, x, np.ones(4), MSE(), SGD(0.1), lengths=[5, 1, 0, 2])
    assert step.count == 4


def test_nothing_to_learn_changes_nothing():
    model, (x, y) = tagger(), data()
    before, optimizer = model.flat_data.copy(), SGD(0.1)
    step = train_step(model, x, y, CrossEntropy(), optimizer, lengths=[0, 0, 0])
    assert step[:2] == (0.0, 0)
    assert step.norm == 0.0
    assert optimizer.steps == 0
    assert np.array_equal(model.flat_data, before)


def test_layers_without_state_train_too():
    layer = randomise(Linear(2, 1, dtype="float64"))
    x = np.random.default_rng(0).standard_normal((8, 2))
    optimizer = SGD(0.3)
    losses = [train_step(layer, x, x @ [2.0, -1.0] + 0.5, MSE(), optimizer).loss_sum for _ in range(200)]
    assert losses[-1] < 1e-6 < 0.1 < losses[0]
    assert layer.params["weight"] == pytest.approx(np.array([[2.0, -1.0]]), abs=1e-2)


def test_dropout_follows_the_rng():
    def run(rng):
        model = randomise(Sequential(Dropout(0.5), Linear(20, 1, dtype="float64")))
        train_step(model, np.ones((8, 20)), np.ones(8), MSE(), SGD(0.1), rng=rng)
        return model.flat_data

    assert np.array_equal(run(1), run(np.random.default_rng(1)))
    assert not np.array_equal(run(1), run(2))
