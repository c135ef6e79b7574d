"""Files that Keras wrote, read without it; and what is written is read again."""

import copy
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.interop import keras as interop
from rnnfast.keras.models import load_model

pytest.importorskip("h5py")
GOLDEN = Path(__file__).parents[2] / "golden" / "keras"
FILES = {
    "stack.keras": "stack",
    "stack.h5": "stack",
    "mixed.keras": "mixed",
    "functional.keras": "mixed",
    "pooled.keras": "pooled",
    "old.h5": "old",
}


def outputs(name):
    with np.load(GOLDEN / "outputs.npz") as arrays:
        return arrays[f"{name}_x"], arrays[f"{name}_y"]


@pytest.mark.parametrize("file", FILES)
def test_outputs_are_keras_s(file):
    x, y = outputs(FILES[file])
    model = interop.load(GOLDEN / file)
    np.testing.assert_allclose(model(x), y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(load_model(GOLDEN / file).predict(x, verbose=0), y, rtol=1e-5, atol=1e-5)


def test_only_what_the_file_says_is_padding():
    assert interop.load(GOLDEN / "stack.keras").masks == {0: 0.0}
    assert interop.load(GOLDEN / "pooled.keras").masks == {0: -1.0}
    assert type(interop.load(GOLDEN / "mixed.keras")) is rf.Sequential


@pytest.mark.parametrize("file", ["stack.keras", "mixed.keras", "pooled.keras", "functional.keras"])
def test_what_is_written_is_read(file, tmp_path):
    x, y = outputs(FILES[file])
    model = interop.load(GOLDEN / file)
    interop.save(model, tmp_path / "again.keras")
    interop.save_weights(model, tmp_path / "again.weights.h5")
    np.testing.assert_allclose(interop.load(tmp_path / "again.keras")(x), y, rtol=1e-5, atol=1e-5)
    other = interop.load(GOLDEN / file)
    for name in other.params:
        other.params[name] = np.zeros(other.params[name].shape)
    interop.load_weights(other, tmp_path / "again.weights.h5")
    for name, value in model.params.items():
        np.testing.assert_array_equal(other.params[name], value)
    for name, value in model.buffers.items():
        np.testing.assert_array_equal(other.buffers[name], value)
    model.save(tmp_path / "ours.safetensors")
    np.testing.assert_allclose(rf.load(tmp_path / "ours.safetensors")(x), y, rtol=1e-5, atol=1e-5)


def test_a_loaded_model_is_copied_with_its_origin(tmp_path):
    model = interop.load(GOLDEN / "stack.keras")
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        interop.save(again, tmp_path / "again.keras")
        with zipfile.ZipFile(tmp_path / "again.keras") as archive:
            assert b"TimeDistributed" in archive.read("config.json")


def test_the_groups_of_keras_2_15(tmp_path):
    """There each layer that has weights is counted twice, in a group of another name."""
    h5py = pytest.importorskip("h5py")
    with zipfile.ZipFile(GOLDEN / "stack.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
        group = file["_layer_checkpoint_dependencies"]
        group.move("gru", "gru_2")
        group.create_group("gru/vars")
    members["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, each in members.items():
            archive.writestr(name, each)
    x, y = outputs("stack")
    np.testing.assert_allclose(interop.load(tmp_path / "model.keras")(x), y, rtol=1e-5, atol=1e-5)


def test_weights_alone():
    x, y = outputs("pooled")
    model = interop.load(GOLDEN / "pooled.keras")
    for name in model.params:
        model.params[name] = np.zeros(model.params[name].shape)
    interop.load_weights(model, GOLDEN / "pooled.weights.h5")
    np.testing.assert_allclose(model(x), y, rtol=1e-5, atol=1e-5)


def test_weights_of_a_whole_file():
    x, y = outputs("stack")
    for file in ("stack.keras", "stack.h5"):
        model = load_model(GOLDEN / "stack.keras")
        model.set_weights([0 * each for each in model.get_weights()])
        model.load_weights(GOLDEN / file)
        np.testing.assert_allclose(model.predict(x), y, rtol=1e-5, atol=1e-5)


def random_values(model, seed=0):
    rng = np.random.default_rng(seed)
    for slots in (model.params, model.buffers):
        for name in slots:
            slots[name] = rng.uniform(0.2, 0.9, slots[name].shape)
    return model


OURS = {
    "one bias for two": lambda: rf.Sequential(rf.GRU(3, 5), rf.GRU(5, 4, reset="before"), rf.Last(), rf.Linear(4, 2)),
    "two biases for one": lambda: rf.Sequential(
        rf.LSTM(3, 5, bias="double", bidirectional=True),
        rf.Last(merge="average"),
        rf.Linear(5, 2, activation="sigmoid"),
        rf.Activation(("elu", 0.5)),
    ),
    "reverse": lambda: rf.Sequential(
        rf.RNN(3, 4, reverse=True, activation="relu"),
        rf.Reverse(),
        rf.LayerNorm(4),
        rf.BatchNorm(4),
        rf.Dropout(0.5),
        rf.MaxPool(),
        rf.Repeat(3),
        rf.GRU(4, 3, bidirectional=True, merge="sum", bias=False, recurrent_activation="hard_sigmoid"),
        rf.MeanPool(),
    ),
    "masked": lambda: rf.MaskedSequential(
        rf.LSTM(3, 5, padding="hold", input_dropout=0.1, recurrent_dropout=0.2), rf.Linear(5, 2), masks={0: -1.0}
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_models_of_ours(name, tmp_path):
    model = random_values(OURS[name]())
    x = outputs("pooled")[0]
    interop.save(model, tmp_path / "ours.keras")
    again = interop.load(tmp_path / "ours.keras")
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6, atol=1e-6)
    interop.save_weights(model, tmp_path / "ours.weights.h5")
    other = random_values(OURS[name](), 1)
    assert not np.allclose(other(x), model(x))
    interop.load_weights(other, tmp_path / "ours.weights.h5")
    np.testing.assert_allclose(other(x), model(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: rf.Sequential(rf.LSTM(3, 4, peephole=True)), r"layer 0 \(LSTM\): Keras has no peephole=True"),
        (lambda: rf.Sequential(rf.LSTM(3, 4, num_layers=2)), "several layers in one"),
        (lambda: rf.Sequential(rf.GRU(3, 4, update="new")), "update='new'"),
        (lambda: rf.Sequential(rf.LSTM(3, 4), rf.Activation("gelu")), r"layer 1 \(Activation\): .*'gelu'"),
        (lambda: rf.Sequential(rf.Linear(3, 4), rf.Last()), r"layer 1 \(Last\)"),
        (lambda: rf.Sequential(rf.RNN(3, 4, reverse=True)), "put a Reverse after it"),
    ],
)
def test_what_keras_does_not_have(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        interop.save(model(), tmp_path / "never.keras")
    assert not list(tmp_path.iterdir())


def test_a_layer_alone_is_no_model(tmp_path):
    with pytest.raises(TypeError, match="only a Sequential"):
        interop.save_weights(rf.LSTM(3, 4), tmp_path / "never.weights.h5")


def test_frozen_layers_stay_frozen(tmp_path):
    model = rf.Sequential(rf.LSTM(3, 4), rf.Last(), rf.Linear(4, 2))
    model.layers[0].frozen = True
    interop.save(model, tmp_path / "frozen.keras")
    again = interop.load(tmp_path / "frozen.keras")
    assert again.layers[0].frozen
    assert not again.layers[2].frozen
