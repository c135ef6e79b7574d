import numpy as np
import pytest

import rnnfast as rf

SYMBOLS = np.array([[0, 0, 3, 1, 4], [2, 5, 0, 0, 0], [0, 0, 0, 0, 0], [6, 0, 2, 0, 1], [1, 2, 3, 4, 5]])


def model(*, bidirectional=False, masks=None, padding="hold"):
    layers = [
        rf.Embedding(7, 3, dtype="float64", seed=0),
        rf.LSTM(3, 4, bidirectional=bidirectional, padding=padding, dtype="float64", seed=1),
        rf.Linear(8 if bidirectional else 4, 2, dtype="float64", seed=2),
    ]
    return rf.MaskedSequential(*layers, masks={0: 0} if masks is None else masks), layers


def test_each_sequence_is_as_if_alone():
    masked, layers = model()
    y, alone = masked(SYMBOLS), rf.Sequential(*layers)
    for row, symbols in enumerate(SYMBOLS):
        kept = symbols != 0
        if kept.any():
            np.testing.assert_allclose(y[row, kept], alone(symbols[kept][None])[0], rtol=1e-12)
    # A padded step has the output before it, and before the first that of a state of zeros.
    np.testing.assert_allclose(y[3, 3], y[3, 2])
    np.testing.assert_allclose(y[0, 0], layers[2](np.zeros(4)))


def test_padding_at_the_end_is_that_of_lengths():
    x = np.array([[3, 1, 4, 0, 0], [2, 6, 5, 3, 1]])
    layers = [rf.Embedding(7, 3, seed=0), rf.GRU(3, 4, seed=1), rf.MeanPool(), rf.Linear(4, 1, seed=2)]
    masked, plain = rf.MaskedSequential(*layers, masks={0: 0}), rf.Sequential(*layers)
    np.testing.assert_allclose(masked(x), plain(x, lengths=[3, 5]), rtol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pool", [False, True])
def test_gradients(bidirectional, pool):
    masked, layers = model(bidirectional=bidirectional, padding="zeros" if bidirectional else "hold")
    if pool:
        masked = rf.MaskedSequential(*layers[:2], rf.Reverse(), rf.MeanPool(), layers[2], masks={0: 0})
    dy = np.random.default_rng(0).normal(size=masked(SYMBOLS).shape)
    masked.zero_grad()
    (y, _), backward = masked.forward(SYMBOLS)
    np.testing.assert_allclose(y, masked(SYMBOLS), rtol=1e-12)
    backward(dy, need_dx=False)
    for name in masked.params:
        value, found = np.array(masked.params[name]), np.array(masked.grads[name])
        assert np.abs(found).max() > 0
        for place in list(np.ndindex(value.shape))[::5]:
            sides = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved[place] += step
                masked.params[name] = moved
                sides.append((masked(SYMBOLS) * dy).sum())
            masked.params[name] = value
            np.testing.assert_allclose(found[place], (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-8)


def test_gradients_of_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 5, 2))
    x[0, :2], x[1, 3:] = -1, -1
    layers = rf.GRU(2, 3, dtype="float64", seed=0), rf.BatchNorm(3, dtype="float64"), rf.Last()
    masked = rf.MaskedSequential(*layers, masks={0: -1})
    (y, _), backward = masked.forward(x)
    dy = rng.normal(size=y.shape)
    dx = backward(dy)[0]
    assert not dx[0, :2].any()
    assert not dx[1, 3:].any()
    assert np.abs(dx).max() > 0


def test_statistics_leave_padding_out():
    norm = rf.BatchNorm(2, momentum=1.0, unbiased=False)
    masked = rf.MaskedSequential(norm, masks={0: -1})
    x = np.array([[[-1, -1], [1, 5], [3, 9]]], float)
    masked.forward(x)
    assert norm.buffers["running_mean"].tolist() == [2, 7]
    assert norm.buffers["running_var"].tolist() == [1, 4]


def test_the_loss_leaves_padding_out():
    masked, _layers = model()
    y = np.random.default_rng(0).normal(size=(5, 5, 2))
    kept = SYMBOLS != 0
    wanted = ((masked(SYMBOLS) - y)[kept] ** 2).mean()
    assert masked.evaluate(SYMBOLS, y, loss="mse")["loss"] == pytest.approx(wanted)
    history = masked.fit(SYMBOLS, y, loss="mse", epochs=1, verbose=False)
    assert history.history["loss"] == [pytest.approx(wanted)]


def test_after_a_layer_that_takes_time_away_all_counts():
    masked = rf.MaskedSequential(rf.Embedding(7, 3, seed=0), rf.Flatten(), rf.Linear(15, 1, seed=0), masks={0: 0})
    np.testing.assert_array_equal(masked(SYMBOLS), rf.Sequential(*masked.layers)(SYMBOLS))
    assert masked.steps_that_count(SYMBOLS) is None


def test_errors():
    masked, _layers = model()
    with pytest.raises(ValueError, match="lengths must be None"):
        masked(SYMBOLS, lengths=[1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="cannot run step by step"):
        masked.stream()
    with pytest.raises(ValueError, match="there is no layer 3, but 0 to 2"):
        model(masks={3: 0})
    with pytest.raises(TypeError, match=r"masks\[0\] must be a number"):
        model(masks={0: "0"})
    with pytest.raises(ValueError, match="must have layers and masks"):
        rf.MaskedSequential.from_config({"layers": []})
