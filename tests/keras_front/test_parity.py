"""The same code with Keras's layers and with ours, on the same weights."""

import numpy as np
import pytest
from checks_keras import keras as find_keras
from checks_keras import randomise

from rnnfast import keras as ours

keras = find_keras()
pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, of NumPy and of masks that it drops


def both(make, shape, seed=0):
    """A model of each side with equal weights."""
    theirs, mine = (side.Sequential([side.Input(shape), *make(side.layers, side)]) for side in (keras, ours))
    randomise(theirs, seed)
    assert [w.shape for w in mine.get_weights()] == [w.shape for w in theirs.get_weights()]
    mine.set_weights(theirs.get_weights())
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    return theirs, mine


def symbols(rows=7, steps=9, count=11):
    x = np.random.default_rng(1).integers(1, count, (rows, steps))
    x[0, :4], x[1, 5:], x[2], x[3, 2:4] = 0, 0, 0, 0
    return x


def numbers(rows=7, steps=9, features=3):
    return np.random.default_rng(2).normal(size=(rows, steps, features)).astype("float32")


PREDICT = {
    "lstm": lambda L, K: [L.LSTM(5), L.Dense(2, activation="softmax")],
    "gru": lambda L, K: [L.GRU(5, return_sequences=True), L.GRU(4, reset_after=False, activation="relu")],
    "hard": lambda L, K: [L.LSTM(5, recurrent_activation="hard_sigmoid", activation="softsign")],
    "no bias": lambda L, K: [L.GRU(5, use_bias=False, return_sequences=True), L.LSTM(3, use_bias=False)],
    "rnn": lambda L, K: [L.SimpleRNN(5, go_backwards=True, return_sequences=True), L.SimpleRNN(4, go_backwards=True)],
    "bidirectional": lambda L, K: [
        L.Bidirectional(L.GRU(5, return_sequences=True), merge_mode="mul"),
        L.Bidirectional(L.LSTM(4), merge_mode="ave"),
    ],
    "sum": lambda L, K: [
        L.Bidirectional(L.SimpleRNN(5), merge_mode="sum"),
        L.RepeatVector(4),
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.Flatten(),
        L.Dense(3, activation="selu"),
    ],
    "norms": lambda L, K: [
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        L.BatchNormalization(scale=False),
        L.LayerNormalization(center=False),
        L.Conv1D(5, 2, strides=2),
        L.GRU(4, return_sequences=True),
        L.GlobalMaxPooling1D(),
    ],
    "pooled": lambda L, K: [
        L.SpatialDropout1D(0.3),
        L.GaussianNoise(0.2),
        L.LSTM(4, return_sequences=True, dropout=0.1),
        L.TimeDistributed(L.Dense(3, activation="elu")),
        L.LeakyReLU(),
        L.Activation("softplus"),
        L.GlobalAveragePooling1D(),
        L.Softmax(),
    ],
}
MASKED = {
    "last": lambda L, K: [L.Embedding(11, 4, mask_zero=True), L.LSTM(5), L.Dense(2)],
    "no mask": lambda L, K: [L.Embedding(11, 4), L.LSTM(5), L.Dense(2)],
    "held": lambda L, K: [L.Embedding(11, 4, mask_zero=True), L.GRU(5, return_sequences=True), L.Dense(2)],
    "backwards": lambda L, K: [
        L.Embedding(11, 4, mask_zero=True),
        L.LSTM(5, return_sequences=True, go_backwards=True),
        L.Dense(2),
    ],
    "zeros": lambda L, K: [
        L.Embedding(11, 4, mask_zero=True),
        L.Bidirectional(L.LSTM(5, return_sequences=True)),
        L.LayerNormalization(),
        L.Bidirectional(L.GRU(3)),
    ],
    "mean": lambda L, K: [L.Embedding(11, 4, mask_zero=True), L.Dropout(0.5), L.GlobalAveragePooling1D(), L.Dense(2)],
    "lost": lambda L, K: [
        L.Embedding(11, 4, mask_zero=True),
        L.SimpleRNN(5, return_sequences=True),
        L.GlobalMaxPooling1D(),
    ],
}


@pytest.mark.parametrize("name", PREDICT)
def test_predictions_are_keras_s(name):
    theirs, mine = both(PREDICT[name], (9, 3))
    assert mine.count_params() == theirs.count_params()
    assert mine.output_shape == theirs.output_shape
    x = numbers()
    np.testing.assert_allclose(mine.predict(x), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MASKED)
def test_masked_predictions_are_keras_s(name):
    theirs, mine = both(MASKED[name], (9,))
    x = symbols()
    if name == "mean":
        x[2, 0] = 5  # the mean of no steps is nan to Keras, and 0 to us
    wanted = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(mine.predict(x), wanted, rtol=1e-5, atol=1e-5)


def test_masking_is_keras_s():
    def make(L, K):
        return [L.Masking(-1.0), L.LSTM(4, return_sequences=True), L.TimeDistributed(L.Dense(3)), L.GRU(2)]

    theirs, mine = both(make, (9, 3))
    x = numbers()
    x[0, :3], x[1, 4:], x[2] = -1, -1, -1
    np.testing.assert_allclose(mine.predict(x), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


TRAIN = {
    "sgd": (lambda K: K.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "mse", PREDICT["lstm"], 2),
    "adam clipnorm": (lambda K: K.optimizers.Adam(0.01, clipnorm=0.05), "mse", lambda L, K: [L.GRU(5), L.Dense(1)], 1),
    "adam clipvalue": (
        lambda K: K.optimizers.Adam(0.01, clipvalue=0.01),
        "mae",
        lambda L, K: [L.LSTM(5), L.Dense(1)],
        1,
    ),
    "adamw global": (
        lambda K: K.optimizers.AdamW(0.01, global_clipnorm=0.1),
        "huber",
        lambda L, K: [L.Bidirectional(L.GRU(4)), L.Dense(1)],
        1,
    ),
    "regularized": (
        lambda K: K.optimizers.SGD(0.1, clipnorm=0.2),
        "binary_crossentropy",
        lambda L, K: [
            L.GRU(4, kernel_regularizer="l2", bias_regularizer=K.regularizers.L1(0.02)),
            L.Dense(1, activation="sigmoid", kernel_regularizer=K.regularizers.L1L2(0.01, 0.02)),
        ],
        -1,
    ),
    "norm": (
        lambda K: K.optimizers.SGD(0.05),
        "mse",
        lambda L, K: [L.LSTM(4, return_sequences=True), L.BatchNormalization(momentum=0.7), L.LSTM(3), L.Dense(1)],
        1,
    ),
    "classes": (lambda K: "adam", "sparse_categorical_crossentropy", PREDICT["lstm"], -2),
    "one-hot": (lambda K: "sgd", "categorical_crossentropy", PREDICT["lstm"], 2),
}


@pytest.mark.parametrize("name", TRAIN)
def test_training_is_keras_s(name):
    optimizer, loss, make, outputs = TRAIN[name]
    theirs, mine = both(make, (9, 3), 3)
    rng = np.random.default_rng(5)
    x = numbers(12)
    if outputs == -2:
        y = rng.integers(0, 2, 12)
    elif outputs == -1:
        y = rng.integers(0, 2, (12, 1))
    elif loss == "categorical_crossentropy":
        y = np.eye(2)[rng.integers(0, 2, 12)].astype("float32")
    else:
        y = rng.normal(size=(12, outputs)).astype("float32")
    weights = rng.uniform(0.5, 2, 12).astype("float32")
    metrics = ["mae"] if outputs == 1 else ["accuracy"]
    found = {}
    for model, side in ((theirs, keras), (mine, ours)):
        model.compile(optimizer=optimizer(side), loss=loss, metrics=list(metrics))
        how = {"epochs": 4, "batch_size": 5, "shuffle": False, "verbose": 0, "sample_weight": weights}
        history = model.fit(x, y, **how).history
        found[side.__name__] = history, model.evaluate(x, y, verbose=0)
    (history, after), (wanted, wanted_after) = found["rnnfast.keras"], found["keras"]
    assert set(history) == set(wanted)
    for each in wanted:
        np.testing.assert_allclose(history[each], wanted[each], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after, wanted_after, rtol=1e-4, atol=1e-5)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_a_masked_tagger_trains_as_keras_s():
    def make(L, K):
        return [
            L.Embedding(11, 4, mask_zero=True),
            L.Bidirectional(L.LSTM(5, return_sequences=True)),
            L.Dense(3, activation="softmax"),
        ]

    theirs, mine = both(make, (9,))
    x = symbols(8)
    y = (x + np.roll(x, 1, axis=1)) % 3
    losses = []
    for model, side in ((theirs, keras), (mine, ours)):
        model.compile(side.optimizers.SGD(0.5), "sparse_categorical_crossentropy", metrics=["accuracy"])
        losses.append(model.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0).history)
    np.testing.assert_allclose(losses[1]["loss"], losses[0]["loss"], rtol=1e-4)
    np.testing.assert_allclose(losses[1]["accuracy"], losses[0]["accuracy"], rtol=1e-6)


def test_stateful_predictions_are_keras_s():
    def make(L, K):
        return [L.LSTM(4, stateful=True), L.Dense(1)]

    theirs = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), *make(keras.layers, keras)])
    mine = ours.Sequential([ours.Input(batch_shape=(2, 5, 3)), *make(ours.layers, ours)])
    randomise(theirs)
    mine.set_weights(theirs.get_weights())
    x = numbers(6, 5)
    for _ in range(2):
        wanted = theirs.predict(x, batch_size=2, verbose=0)
        np.testing.assert_allclose(mine.predict(x, batch_size=2), wanted, rtol=1e-5, atol=1e-5)
    mine.reset_states()
    theirs.layers[0].reset_state()
    np.testing.assert_allclose(
        mine.predict(x, batch_size=2), theirs.predict(x, batch_size=2, verbose=0), rtol=1e-5, atol=1e-5
    )


def test_files_go_both_ways(tmp_path):
    theirs, mine = both(MASKED["zeros"], (9,))
    x = symbols()
    wanted = theirs.predict(x, verbose=0)
    mine.save(tmp_path / "mine.keras")
    again = keras.models.load_model(tmp_path / "mine.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, rtol=1e-6, atol=1e-6)
    theirs.save(tmp_path / "theirs.keras")
    np.testing.assert_allclose(
        ours.models.load_model(tmp_path / "theirs.keras").predict(x), wanted, rtol=1e-5, atol=1e-5
    )
    randomise(theirs, 7)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    mine.load_weights(tmp_path / "theirs.weights.h5")
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    randomise(mine, 8)
    mine.save_weights(tmp_path / "mine.weights.h5")
    theirs.load_weights(tmp_path / "mine.weights.h5")
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
