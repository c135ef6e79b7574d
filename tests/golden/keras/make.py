"""Write the files beside this one with Keras 3 (KERAS_BACKEND=torch): models, weights, inputs and what Keras gives.

`old.h5` has the layout of Keras 2, written with h5py alone; its outputs are those of the same weights in Keras 3, with
the hard sigmoid of Keras 2.
"""

import json
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers as L

HERE = Path(__file__).parent


def models():
    """Models, and what they take."""
    sequences, symbols = (7, 3), (7,)
    yield (
        "stack",
        symbols,
        [
            L.Embedding(11, 4, mask_zero=True),
            L.Bidirectional(L.LSTM(5, return_sequences=True, dropout=0.1)),
            L.GRU(3, return_sequences=True),
            L.BatchNormalization(),
            L.LayerNormalization(),
            L.TimeDistributed(L.Dense(3, activation="tanh")),
            L.Dropout(0.2),
            L.SimpleRNN(4),
            L.Dense(2, activation="softmax"),
        ],
    )
    yield (
        "mixed",
        sequences,
        [
            L.Conv1D(5, 3, padding="causal", activation="relu"),
            L.SpatialDropout1D(0.2),
            L.GRU(5, reset_after=False, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid"),
            L.Bidirectional(L.GRU(3), merge_mode="ave"),
            L.RepeatVector(4),
            L.Bidirectional(L.SimpleRNN(3, return_sequences=True, activation="relu"), merge_mode="sum"),
            L.Flatten(),
            L.Dense(3, activation="elu"),
            L.LeakyReLU(negative_slope=0.1),
        ],
    )
    yield (
        "pooled",
        sequences,
        [
            L.Masking(-1.0),
            L.LSTM(5, return_sequences=True, activation="softsign", use_bias=False),
            L.GaussianNoise(0.1),
            L.BatchNormalization(scale=False),
            L.Activation("swish"),
            L.GlobalAveragePooling1D(),
            L.Dense(2),
        ],
    )


def randomise(model, rng):
    model.set_weights(
        [
            0.3 + 0.4 * rng.random(w.shape) if w.ndim == 1 else 0.6 * rng.normal(size=w.shape)
            for w in model.get_weights()
        ]
    )


def inputs(shape, rng):
    """Sequences with padding in front, behind and within."""
    if len(shape) == 1:
        x = rng.integers(1, 11, (5, *shape))
        padding = 0
    else:
        x = rng.normal(size=(5, *shape)).astype("float32")
        padding = -1
    x[0, :3], x[1, 4:], x[2, 2] = padding, padding, padding
    return x


def deflate(path):
    """Write the archive anew, smaller."""
    with zipfile.ZipFile(path) as archive:
        found = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in found:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def old(arrays, rng):
    """A file in the layout of Keras 2, and its like in Keras 3."""

    def hard(x):
        return keras.ops.clip(0.2 * x + 0.5, 0, 1)

    model = keras.Sequential(
        [
            keras.Input((7, 3)),
            L.GRU(4, return_sequences=True, recurrent_activation=hard, reset_after=False),
            L.LSTM(3, recurrent_activation=hard),
            L.Dense(2, activation=hard),
        ]
    )
    randomise(model, rng)
    arrays["old_x"] = inputs((7, 3), rng)
    arrays["old_y"] = model.predict(arrays["old_x"], verbose=0)
    gates = {"activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True, "implementation": 1}
    rest = {"trainable": True, "dtype": "float32", "dropout": 0.0, "recurrent_dropout": 0.0, "return_state": False}
    rest |= {"go_backwards": False, "stateful": False, "unroll": False}
    layers = [
        {
            "class_name": "GRU",
            "config": {
                **{"name": "gru_1", "units": 4, "return_sequences": True, "reset_after": False},
                **{"batch_input_shape": [None, 7, 3], **gates, **rest},
            },
        },
        {"class_name": "LSTM", "config": {"name": "lstm_1", "units": 3, "return_sequences": False, **gates, **rest}},
        {
            "class_name": "Dense",
            "config": {
                "name": "dense_1",
                "units": 2,
                "activation": "hard_sigmoid",
                "use_bias": True,
                "trainable": True,
            },
        },
    ]
    with h5py.File(HERE / "old.h5", "w") as file:
        file.attrs["keras_version"] = b"2.2.4"
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": {"name": "sequential_1", "layers": layers}}
        ).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"gru_1", b"lstm_1", b"dense_1"]
        group.attrs["keras_version"] = b"2.2.4"
        weights = iter(model.get_weights())
        names = ["kernel", "recurrent_kernel", "bias"]
        for layer, own in (("gru_1", names), ("lstm_1", names), ("dense_1", ["kernel", "bias"])):
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in own]
            for name in own:
                inner.create_dataset(f"{layer}/{name}:0", data=next(weights))


def windows():
    """Layers that look at windows of steps, and what acts in training alone."""
    yield (
        "windows",
        (7, 3),
        [
            L.Conv1D(4, 4, padding="same", activation="relu"),
            L.MaxPooling1D(2, padding="same"),
            L.ZeroPadding1D((3, 2)),
            L.AveragePooling1D(3, strides=2),
            L.ActivityRegularization(l2=0.01),
            L.Conv1D(3, 2, strides=3, padding="same"),
            L.LSTM(3, return_sequences=True, kernel_constraint="max_norm"),
            L.MaxPooling1D(2, strides=1),
            L.Dense(2, activity_regularizer="l2"),
        ],
    )


def main():
    rng = np.random.default_rng(0)
    arrays = {}
    write(models(), arrays, rng)
    old(arrays, rng)
    write(windows(), arrays, rng)
    np.savez_compressed(HERE / "outputs.npz", **arrays)


def write(found, arrays, rng):
    """The files of models, and what Keras gives."""
    for name, shape, layers in found:
        model = keras.Sequential([keras.Input(shape, dtype="int64" if len(shape) == 1 else "float32"), *layers])
        randomise(model, rng)
        arrays[f"{name}_x"] = inputs(shape, rng)
        arrays[f"{name}_y"] = model.predict(arrays[f"{name}_x"], verbose=0)
        model.save(HERE / f"{name}.keras")
        deflate(HERE / f"{name}.keras")
        if name == "stack":
            model.save(HERE / f"{name}.h5")
        if name == "mixed":
            tensor = source = keras.Input(shape)
            for layer in model.layers:
                tensor = layer(tensor)
            keras.Model(source, tensor).save(HERE / "functional.keras")
            deflate(HERE / "functional.keras")
        if name == "pooled":
            model.save_weights(HERE / f"{name}.weights.h5")


if __name__ == "__main__":
    sys.exit(main())
