"""Layers that look at windows of steps, and what acts in training alone, against what Keras gave."""

from pathlib import Path

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop import keras as interop
from rnnfast.keras import Sequential, layers
from rnnfast.keras.models import load_model

pytest.importorskip("h5py")
GOLDEN = Path(__file__).parents[2] / "golden" / "keras"
in_training_alone = pytest.mark.filterwarnings("ignore:.* is left out. it would act in training alone:UserWarning")


@in_training_alone
def test_outputs_are_keras_s(tmp_path):
    with np.load(GOLDEN / "outputs.npz") as arrays:
        x, y = arrays["windows_x"], arrays["windows_y"]
    model = interop.load(GOLDEN / "windows.keras")
    np.testing.assert_allclose(model(x), y, atol=1e-6)
    np.testing.assert_allclose(load_model(GOLDEN / "windows.keras").predict(x, verbose=0), y, atol=1e-6)
    interop.save(model, tmp_path / "again.keras")
    np.testing.assert_allclose(interop.load(tmp_path / "again.keras")(x), y, atol=1e-6)
    model.save(tmp_path / "ours.safetensors")
    np.testing.assert_array_equal(rf.load(tmp_path / "ours.safetensors")(x), model(x))


def test_what_a_file_wants_in_training_alone_is_said():
    with pytest.warns(UserWarning, match="in training alone") as found:
        interop.load(GOLDEN / "windows.keras")
    said = [str(each.message) for each in found]
    for what in ("ActivityRegularization): its penalty", "LSTM): kernel_constraint=", "Dense): activity_regularizer="):
        assert sum(what in each for each in said) == 1, said


def test_a_model_to_train_is_refused_what_is_not_supported():
    with pytest.raises(ValueError, match="kernel_constraint"):
        layers.Dense(2, kernel_constraint="max_norm").build((None, 3))
    with pytest.raises(ValueError, match="penalty"):
        layers.ActivityRegularization(l2=0.1).build((None, 3))


def test_same_padding_of_pools():
    x = np.arange(1.0, 8).reshape(1, 7, 1) * -1
    pools = {
        layers.MaxPooling1D(2): [-1, -3, -5],
        layers.MaxPooling1D(2, padding="same"): [-1, -3, -5, -7],
        layers.MaxPooling1D(4, 3, padding="same"): [-1, -3, -6],
        layers.MaxPool1D(3, 1, padding="same"): [-1, -1, -2, -3, -4, -5, -6],
        layers.AvgPool1D(3): [-2, -5],
    }
    for layer, wanted in pools.items():
        np.testing.assert_array_equal(Sequential([layers.Input((7, 1)), layer]).predict(x, verbose=0).ravel(), wanted)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (lambda: layers.AveragePooling1D(2, padding="same"), (7, 3), "do not divide the steps"),
        (lambda: layers.MaxPooling1D(2, padding="same"), (None, 3), "number of steps is known"),
        (lambda: layers.Conv1D(2, 3, strides=2, padding="same"), (None, 3), "number of steps is known"),
        (lambda: layers.MaxPooling1D(2, padding="causal"), (7, 3), "padding='valid' or 'same'"),
        (lambda: layers.MaxPooling1D(0), (7, 3), "pool_size"),
        (lambda: layers.MaxPooling1D(2), (3,), r"\(batch, steps, features\)"),
        (lambda: layers.ZeroPadding1D((1, -1)), (7, 3), "one or two whole numbers"),
    ],
)
def test_what_is_not_supported_is_named(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer().build((None, *shape))


@pytest.mark.parametrize("layer", [rf.MaxPool1D(2, 3), rf.MeanPool1D(3), rf.Pad(2, 1)], ids=repr)
def test_models_of_ours_are_written(layer, tmp_path):
    model, x = rf.Sequential(rf.GRU(3, 4, seed=0), layer), np.random.default_rng(0).normal(size=(2, 7, 3))
    interop.save(model, tmp_path / "ours.keras")
    np.testing.assert_allclose(interop.load(tmp_path / "ours.keras")(x), model(x), atol=1e-6)


def test_padding_that_keras_has_not(tmp_path):
    with pytest.raises(ValueError, match="Keras pads with zeros"):
        interop.save(rf.Sequential(rf.GRU(3, 4), rf.Pad(1, 1, 2.0)), tmp_path / "never.keras")
