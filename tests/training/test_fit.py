import os
import re
import signal

import numpy as np
import pytest

from rnnfast.layers import LSTM, Dropout, Embedding, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD, Adam


def classifier(dropout=0.3):
    return Sequential(
        Embedding(5, 6, seed=1), LSTM(6, 8, bidirectional=True, seed=2), Dropout(dropout), Last(), Linear(16, 3, seed=3)
    )


def data(N=60, T=7):
    """Which of three classes the first symbol belongs to."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (N, T))
    return x, x[:, 0] % 3, rng.integers(1, T + 1, N)


def quiet_fit(model, x, y, **how):
    return model.fit(x, y, **{"loss": "cross_entropy", "verbose": False, "seed": 0, **how})


def test_fit_learns_many_to_one():
    x, y, lengths = data()
    model = classifier(0.0)
    history = quiet_fit(
        model, x, y, lengths=lengths, epochs=25, batch_size=16, optimizer=Adam(0.02), metrics=["accuracy"]
    )
    assert history.epoch == list(range(25))
    assert set(history.history) == {"loss", "accuracy"}
    assert history.history["loss"][0] > 0.9
    assert history.history["loss"][-1] < 0.2
    assert model.evaluate(x, y, lengths=lengths)["accuracy"] == 1.0
    assert np.array_equal(model.predict(x, lengths=lengths).argmax(axis=1), y)


def test_fit_learns_many_to_many():
    x, _, lengths = data()
    y = (x + np.roll(x, 1, axis=1) * (np.arange(7) > 0)) % 3
    model = Sequential(Embedding(5, 8, seed=1), LSTM(8, 16, seed=2), Linear(16, 3, seed=3))
    history = quiet_fit(model, x, y, lengths=lengths, epochs=30, batch_size=10, optimizer=Adam(0.03))
    assert history.history["loss"][-1] < 0.25 * history.history["loss"][0]


def test_regression_with_mse():
    x = np.random.default_rng(0).standard_normal((64, 5, 2)).astype(np.float32)
    model = Sequential(LSTM(2, 8, seed=0), Last(), Linear(8, 1, seed=1))
    history = model.fit(
        x, x[:, :, 0].sum(axis=1), loss="mse", optimizer=Adam(0.03), epochs=40, batch_size=16, seed=0, verbose=False
    )
    assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]


def test_two_fits_are_equal_to_the_last_bit():
    x, y, lengths = data()
    results = []
    for seed in (0, 0, 1):
        model = classifier()
        history = quiet_fit(model, x, y, lengths=lengths, epochs=2, batch_size=7, seed=seed, validation_split=0.2)
        results.append((model.flat_data.tobytes(), history.history))
    assert results[0] == results[1]
    assert results[0][0] != results[2][0]


def test_epoch_loss_is_the_mean_over_what_counts():
    x, _, lengths = data(N=10)
    model = Sequential(Embedding(5, 6, seed=1), LSTM(6, 8, seed=2), Linear(8, 3, seed=3))
    still = SGD(0.0)
    history = quiet_fit(
        model, x, x % 3, lengths=lengths, batch_size=4, optimizer=still, metrics=["accuracy"], shuffle=False
    )
    whole = model.evaluate(x, x % 3, lengths=lengths, batch_size=10)
    assert history.history["loss"][0] == pytest.approx(whole["loss"], rel=1e-6)
    assert history.history["accuracy"][0] == whole["accuracy"]


def test_validation_holds_out_the_tail():
    x, y, lengths = data(N=20)
    a, b = classifier(), classifier()
    split = quiet_fit(a, x, y, lengths=lengths, epochs=2, validation_split=0.25, batch_size=4)
    given = quiet_fit(
        b, x[:15], y[:15], lengths=lengths[:15], epochs=2, validation_data=(x[15:], y[15:], lengths[15:]), batch_size=4
    )
    assert split.history == given.history
    assert set(split.history) == {"loss", "val_loss"}
    assert np.array_equal(a.flat_data, b.flat_data)
    found = a.evaluate(x[15:], y[15:], lengths=lengths[15:], batch_size=4)
    assert split.history["val_loss"][-1] == found["loss"]
    assert "val_loss" in quiet_fit(a, x, y, validation_data=(x, y)).history


def test_shuffling_draws_a_new_order_each_epoch():
    x = np.arange(12).reshape(12, 1)
    seen = []

    def spy(predictions, targets, mask):
        seen.extend(targets.tolist())
        return 0.0, 1

    model = Sequential(Linear(1, 12))
    quiet_fit(model, x, x[:, 0], epochs=2, batch_size=5, metrics=[spy], optimizer=SGD(0.0))
    first, second = seen[:12], seen[12:]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert first != list(range(12))
    seen.clear()
    quiet_fit(model, x, x[:, 0], epochs=2, batch_size=5, metrics=[spy], optimizer=SGD(0.0), shuffle=False)
    assert seen == list(range(12)) * 2


def test_callbacks_hear_every_epoch_and_may_end_the_fit():
    x, y, _ = data(N=8)
    heard, ended = [], []

    class Recorder:
        def on_epoch_end(self, epoch, logs):
            heard.append((epoch, logs["loss"]))

    def stop(epoch, logs):
        ended.append(epoch)
        return epoch == 1

    history = quiet_fit(classifier(), x, y, epochs=5, callbacks=[stop, Recorder()])
    assert heard == list(zip([0, 1], history.history["loss"], strict=True))
    assert ended == history.epoch == [0, 1]
    assert not history.interrupted


@pytest.mark.skipif(os.name == "nt", reason="signals reach a Windows console only")
def test_ctrl_c_ends_the_fit_and_keeps_what_was_learnt():
    x, y, lengths = data()
    model = classifier()
    before = model.flat_data.copy()

    def press(epoch, logs):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    history = quiet_fit(model, x, y, lengths=lengths, epochs=50, callbacks=[press])
    assert history.interrupted
    assert 1 <= len(history.epoch) <= 3
    assert len(history.history["loss"]) == len(history.epoch)
    assert not np.array_equal(model.flat_data, before)
    assert np.isfinite(model.predict(x, lengths=lengths)).all()
    assert not quiet_fit(model, x, y, lengths=lengths).interrupted


def test_other_errors_come_through():
    x, y, _ = data(N=8)

    def fail(epoch, logs):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        quiet_fit(classifier(), x, y, callbacks=[fail])


def test_the_bar_shows_loss_metrics_and_speed(capsys):
    x, y, _ = data(N=20)
    quiet_fit(classifier(), x, y, epochs=2, verbose=True, metrics=["accuracy"], validation_split=0.5)
    shown = capsys.readouterr().err
    for wanted in ("Epoch 1/2", "Epoch 2/2", "loss=", "accuracy=", "val_loss=", "val_accuracy=", "10/10"):
        assert wanted in shown
    assert re.search(r"seq/s|s/seq", shown)
    quiet_fit(classifier(), x, y)
    assert capsys.readouterr().err == ""


def test_an_optimizer_goes_on_in_the_next_fit():
    x, y, _ = data()
    model, optimizer = classifier(), Adam(0.01)
    quiet_fit(model, x, y, optimizer=optimizer, batch_size=20)
    quiet_fit(model, x, y, optimizer=optimizer, batch_size=20)
    assert optimizer.steps == 6


def test_a_gradient_that_is_not_finite_leaves_the_model():
    model = Sequential(Linear(2, 1, seed=0))
    before = model.flat_data.copy()
    x = np.array([[1.0, np.nan]])
    with pytest.raises(FloatingPointError, match="inf or nan in the data"):
        model.fit(x, [[1.0]], loss="mse", verbose=False)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 1: .*nan"):
        model.fit(x, [[1.0]], loss="mse", verbose=False, accumulate=2)
    assert np.array_equal(model.flat_data, before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": np.zeros(59, int)}, ValueError, "equally many sequences"),
        ({"y": np.zeros((60, 7), int)}, ValueError, r"targets must have shape \(32,\)"),
        ({"loss": "joy"}, ValueError, "loss must be"),
        ({"optimizer": "tiger"}, ValueError, "optimizer must be"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch must be at least 0"),
        ({"initial_epoch": 0.5}, TypeError, "initial_epoch must be a whole number"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be a whole number"),
        ({"validation_split": 1.0}, ValueError, "validation_split"),
        ({"validation_data": 3}, ValueError, "validation_data must be a tuple"),
        ({"lengths": np.full(60, 8)}, ValueError, "from 0 to 7"),
        ({"validation_data": [np.zeros((5, 7), int), np.zeros(5, int)]}, TypeError, r"a batch must be \(x, y\)"),
        ({"validation_data": (np.zeros((5, 7), int), np.zeros((5, 7), int))}, ValueError, "targets must have shape"),
        ({"class_weight": [1.0, 2.0]}, TypeError, "class_weight must be a mapping"),
        ({"class_weight": {"0": 1.0}}, TypeError, "classes go by whole numbers, got '0'"),
        ({"class_weight": {1: -1.0}}, ValueError, r"class_weight\[1\] must be at least 0"),
        ({"metrics": ["shine"]}, ValueError, "a metric must be"),
        ({"callbacks": [3]}, TypeError, "a callback must be callable"),
        ({"x": np.zeros((0, 7), int), "y": np.zeros(0, int)}, ValueError, "no sequences to fit"),
    ],
)
def test_bad_arguments_train_nothing(arguments, error, message):
    x, y, _ = data()
    model = classifier()
    before = model.flat_data.copy()
    arguments = {"x": x, "y": y, **arguments}
    with pytest.raises(error, match=message):
        quiet_fit(model, arguments.pop("x"), arguments.pop("y"), **arguments)
    assert np.array_equal(model.flat_data, before)
