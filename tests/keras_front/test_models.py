"""The Keras-shaped models beyond the listings."""

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import keras
from rnnfast.keras import Input, Model, Sequential, layers
from rnnfast.keras.models import load_model


def data(count=24, steps=6, features=3):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, steps, features)).astype("float32")
    return x, x.sum(axis=(1, 2))


def small(*more, **compiled):
    model = Sequential([Input((6, 3)), layers.GRU(4), *more, layers.Dense(1)])
    model.compile(**{"optimizer": "adam", "loss": "mse", **compiled})
    return model


def test_first_values_are_keras_s():
    model = Sequential([Input((6, 30)), layers.LSTM(20), layers.BatchNormalization(), layers.Dense(50)])
    kernel, recurrent, bias, gamma, beta, mean, variance, dense, dense_bias = model.get_weights()
    limit = np.sqrt(6 / (30 + 80))
    assert 0.97 * limit < abs(kernel).max() <= limit
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(20), atol=1e-5)
    assert bias.tolist() == [0.0] * 20 + [1.0] * 20 + [0.0] * 40
    assert (gamma.tolist(), variance.tolist()) == ([1.0] * 20, [1.0] * 20)
    assert not any(each.any() for each in (beta, mean, dense_bias))
    assert 0.97 * np.sqrt(6 / 70) < abs(dense).max() <= np.sqrt(6 / 70)
    norm = model.core.layers[2]
    assert (norm.eps, norm.momentum) == (1e-3, pytest.approx(0.01))
    vectors = Sequential([Input((5,)), layers.Embedding(500, 8)]).get_weights()[0]
    assert 0.049 < abs(vectors).max() <= 0.05
    biases = Sequential([Input((6, 3)), layers.GRU(4)]).get_weights()[2]
    assert biases.shape == (2, 12)
    named = layers.Dense(3, kernel_initializer=keras.initializers.Constant(2.0), bias_initializer="ones")
    assert [each.tolist() for each in Sequential([Input((1,)), named]).get_weights()] == [[[2.0] * 3], [1.0] * 3]


def test_a_model_is_built_by_its_first_data():
    x, y = data()
    model = Sequential([layers.LSTM(5, return_sequences=True), layers.LSTM(4), layers.Dense(1)])
    assert not model.built
    with pytest.raises(ValueError, match="does not know what it takes"):
        model.count_params()
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    assert model.input_shape == (None, 6, 3)
    assert model.count_params() == 4 * 5 * 9 + 4 * 4 * 10 + 5
    for kwargs in ({"input_shape": (6, 3)}, {"batch_input_shape": (None, 6, 3)}, {"input_dim": 3, "input_length": 6}):
        assert Sequential([layers.LSTM(5, **kwargs)]).output_shape == (None, 5)


def test_add_keeps_weights():
    model = Sequential()
    model.add(Input((6, 3)))
    model.add(layers.GRU(4, return_sequences=True))
    before = model.get_weights()
    model.add(layers.GRU(4))
    model.add(layers.Dense(1))
    for a, b in zip(before, model.get_weights(), strict=False):
        np.testing.assert_array_equal(a, b)
    assert [layer.name.split("_")[0] for layer in model.layers] == ["gru", "gru", "dense"]
    assert model.get_layer(index=1) is model.layers[1] is model.get_layer(model.layers[1].name)
    model.pop()
    assert model.output_shape == (None, 4)


def test_evaluate_gives_what_keras_gives():
    x, y = data()
    model = small()
    loss = model.evaluate(x, y)
    assert loss == pytest.approx(((model.predict(x)[:, 0] - y) ** 2).mean(), rel=1e-5)
    model.compile("adam", "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()])
    found = model.evaluate(x, y)
    assert found == pytest.approx([loss, abs(model.predict(x)[:, 0] - y).mean(), np.sqrt(loss)], rel=1e-5)
    assert model.evaluate(x, y, return_dict=True) == dict(zip(model.metrics_names, found, strict=True))
    assert list(model.metrics_names) == ["loss", "mae", "root_mean_squared_error"]


def test_accuracy_by_the_kind_of_targets():
    x, _ = data()
    y = np.arange(24) % 3
    model = Sequential([Input((6, 3)), layers.GRU(4), layers.Dense(3, activation="softmax")])
    right = (model.predict(x).argmax(axis=1) == y).mean()
    for loss, targets in (
        ("sparse_categorical_crossentropy", y),
        ("sparse_categorical_crossentropy", y[:, None].astype(float)),
        ("categorical_crossentropy", keras.utils.to_categorical(y)),
    ):
        model.compile("adam", loss, metrics=["accuracy"])
        found = model.evaluate(x, targets)
        assert found[1] == pytest.approx(right)
        assert found[0] == pytest.approx(-np.log(model.predict(x)[np.arange(24), y]).mean(), rel=1e-5)
    one = Sequential([Input((6, 3)), layers.GRU(4), layers.Dense(1, activation="sigmoid")])
    one.compile("adam", "binary_crossentropy", metrics=["acc", "AUC", keras.metrics.Precision()])
    loss, accuracy, *_ = one.evaluate(x, y % 2)
    p = one.predict(x)[:, 0].astype(float)
    assert loss == pytest.approx(-np.log(np.where(y % 2 == 1, p, 1 - p)).mean(), rel=1e-5)
    assert accuracy == pytest.approx(((p > 0.5) == (y % 2 == 1)).mean())
    assert one.metrics_names == ["loss", "acc", "AUC", "precision"]


def test_losses_at_certainty_are_finite():
    loss = keras.losses.get("binary_crossentropy")
    total, _, gradient = loss(np.array([[1.0], [0.0]], np.float32), [0.0, 1.0])
    assert total == pytest.approx(-2 * np.log(1.19e-7), rel=0.02)
    assert not gradient.any()
    for name in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        targets = [1] if name.startswith("sparse") else [[0.0, 1.0]]
        total, _, gradient = keras.losses.get(name)(np.array([[1.0, 0.0]], np.float32), targets)
        assert total == pytest.approx(-np.log(1e-7), rel=0.01)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "name",
    [
        *("mse", "mae", "mape", "msle", "binary_crossentropy", "categorical_crossentropy", "kl_divergence", "poisson"),
        *("huber", "log_cosh", "hinge", "squared_hinge"),
    ],
)
def test_gradients_of_losses(name):
    rng = np.random.default_rng(0)
    y = rng.dirichlet(5 * np.ones(3), 4)
    targets = rng.dirichlet(np.ones(3), 4) if "hinge" not in name else rng.integers(0, 2, (4, 3))
    loss = keras.losses.get(name)
    _, _, gradient = loss(y, targets)
    for place in np.ndindex(y.shape):
        step = np.zeros_like(y)
        step[place] = 1e-6
        numeric = (loss(y + step, targets)[0] - loss(y - step, targets)[0]) / 2e-6
        assert gradient[place] == pytest.approx(numeric, rel=1e-5, abs=1e-6)


def test_callbacks(tmp_path):
    pytest.importorskip("h5py")
    x, y = data()
    model = small()
    seen = []

    class Mine(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs), self.params["epochs"]))
            if epoch == 2:
                self.model.stop_training = True

    history = model.fit(
        x,
        y,
        epochs=9,
        validation_split=0.25,
        verbose=0,
        callbacks=[
            Mine(),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), save_best_only=True),
            keras.callbacks.ModelCheckpoint(str(tmp_path / "w{epoch}.weights.h5"), save_weights_only=True),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    assert seen == [(epoch, ["loss", "val_loss"], 9) for epoch in range(3)]
    assert len(history.history["loss"]) == 3
    assert model.history is history
    assert model.optimizer.learning_rate == pytest.approx(0.001 / 8)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    best = int(np.argmin(history.history["val_loss"]))
    assert best == 2
    np.testing.assert_array_equal(load_model(tmp_path / "best.keras").predict(x), model.predict(x))
    model.load_weights(tmp_path / "w1.weights.h5")
    model.compile("adam", "mse")
    assert model.evaluate(x[18:], y[18:]) == pytest.approx(history.history["val_loss"][0], rel=1e-5)


def test_early_stopping_and_plateaus():
    x, y = data()
    model = small(optimizer=keras.optimizers.SGD(0.0))
    stopping = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    lower = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_lr=0.0)
    assert len(model.fit(x, y, epochs=9, verbose=0, shuffle=False, callbacks=[stopping, lower]).epoch) == 3
    assert stopping.stopped_epoch == 2


def test_frozen_layers():
    x, y = data()
    model = small(layers.BatchNormalization())
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(x, y, epochs=1, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False] * 3 + [True] * 6
    model.layers[0].trainable = True
    model.fit(x, y, epochs=1, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])


def test_a_regularizer_is_in_the_loss():
    x, y = data()
    model = Sequential(
        [Input((6, 3)), layers.LSTM(4, recurrent_regularizer=keras.regularizers.L2(0.3)), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    penalty = 0.3 * (model.get_weights()[1].astype(float) ** 2).sum()
    plain = ((model.predict(x)[:, 0] - y) ** 2).mean()
    assert model.evaluate(x, y) == pytest.approx(plain + penalty, rel=1e-5)
    assert model.fit(x, y, batch_size=24, verbose=0).history["loss"][0] == pytest.approx(plain + penalty, rel=1e-5)


def test_seeds():
    x, y = data()
    found = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        model = small(layers.Dropout(0.5))
        model.fit(x, y, epochs=2, batch_size=5, verbose=0)
        found.append(model.predict(x))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_functional_chains():
    inputs = Input(shape=(6, 3))
    hidden = layers.Bidirectional(layers.LSTM(4))(inputs)
    assert hidden.shape == (None, 8)
    model = Model(inputs=inputs, outputs=layers.Dense(2)(hidden))
    assert model.count_params() == 2 * 4 * 4 * 8 + 18
    assert model.predict(data()[0]).shape == (24, 2)
    with pytest.raises(ValueError, match="one Input"):
        Model([inputs, inputs], hidden)


def test_the_core_is_one_of_ours():
    model = small()
    assert isinstance(model.core, rf.Sequential)
    x, _ = data(2)
    np.testing.assert_array_equal(model(x), model.core(x))
    stream = Sequential([Input((None, 3)), layers.GRU(4, return_sequences=True), layers.Dense(1)]).core.stream(2)
    assert stream(x[:, 0]).shape == (2, 1)


def test_train_on_batch_and_weights():
    x, y = data()
    model = small(optimizer="sgd")
    first = model.evaluate(x, y)
    assert model.train_on_batch(x, y) == pytest.approx(first, rel=1e-5)
    assert model.evaluate(x, y) < first
    weights = [each + 1 for each in model.get_weights()]
    model.set_weights(weights)
    for a, b in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    twin = Sequential.from_config(model.get_config())
    twin.set_weights(weights)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: layers.LSTM(), TypeError, "LSTM needs units"),
        (lambda: layers.LSTM(4, return_sequence=True), TypeError, "did you mean 'return_sequences'"),
        (lambda: layers.LSTM(4, 5, units=3), TypeError, "'units' twice"),
        (lambda: Sequential([Input((3, 2)), layers.LSTM(0)]), ValueError, "layer 'lstm.*units must be a whole number"),
        (lambda: Sequential([Input((3,)), layers.LSTM(4)]), ValueError, r"takes arrays \(batch, steps, features\)"),
        (
            lambda: Sequential([Input((3, 2)), layers.Dense(1, activation="gelu")]),
            ValueError,
            "'gelu' is not supported",
        ),
        (lambda: Sequential([rf.LSTM(3, 4)]), TypeError, "rnnfast.keras.layers"),
        (lambda: Sequential([Input((0,))]), ValueError, "above 0 or None"),
        (lambda: small().fit(np.zeros((4, 6, 5)), np.zeros(4)), ValueError, r"\(None, 6, 3\), got \(4, 6, 5\)"),
        (lambda: small().set_weights([np.zeros(3)]), ValueError, "the model has 5 weights, got 1"),
        (lambda: Sequential([Input((6, 3)), layers.GRU(4)]).fit(*data()), RuntimeError, "call compile"),
        (
            lambda: small(loss="categorical_crossentropy").fit(*data(), class_weight={0: 2.0}),
            ValueError,
            "class_weight goes by whole numbers",
        ),
        (lambda: small(loss="mean"), ValueError, "the loss 'mean' is not known"),
        (lambda: small(optimizer="ftrl"), ValueError, "the optimizer 'ftrl' is not known"),
        (lambda: small(metrics=["accurate"]), ValueError, "'accurate' is not known"),
        (lambda: keras.optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, "only one of"),
        (lambda: keras.optimizers.Adam(0.1, beta1=0.5), TypeError, "no argument 'beta1'"),
        (lambda: small().save("model.h5"), ValueError, r"'\.keras' or '\.safetensors'"),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()
