"""Files that are damaged, or that want something bad: one clear error, that names the layer where there is one."""

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rnnfast.interop import keras as interop

h5py = pytest.importorskip("h5py")
GOLDEN = Path(__file__).parents[2] / "golden" / "keras"


def parts(name="mixed.keras"):
    with zipfile.ZipFile(GOLDEN / name) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def write(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def changed(path, change, name="mixed.keras"):
    """A golden file whose config has been changed."""
    members = parts(name)
    config = json.loads(members["config.json"])
    change(config["config"]["layers"])
    return write(path, {**members, "config.json": json.dumps(config)})


def reweighted(path, change, name="mixed.keras"):
    """A golden file whose weights have been changed."""
    members = parts(name)
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file)
    return write(path, {**members, "model.weights.h5": content.getvalue()})


def test_truncated_files(tmp_path):
    for name in ("mixed.keras", "old.h5"):
        content = (GOLDEN / name).read_bytes()
        for share in (0.0, 0.1, 0.5, 0.9, 0.99):
            path = tmp_path / name
            path.write_bytes(content[: int(share * len(content))])
            with pytest.raises(ValueError, match=name):
                interop.load(path)


def test_bytes_that_are_changed_never_crash(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("old.h5", "mixed.keras"):
        content = bytearray((GOLDEN / name).read_bytes())
        for _ in range(25):
            damaged = content.copy()
            for place in rng.integers(0, len(content), 8):
                damaged[place] = int(rng.integers(0, 256))
            path = tmp_path / name
            path.write_bytes(bytes(damaged))
            with contextlib.suppress(ValueError):
                interop.load(path)(np.zeros((2, 7, 3)))


def test_other_kinds_of_files(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(ValueError, match=r"neither a \.keras file nor an HDF5 file"):
        interop.load(path)
    with pytest.raises(FileNotFoundError):
        interop.load(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="it holds weights alone"):
        interop.load(GOLDEN / "pooled.weights.h5")
    members = parts()
    for left_out in members:
        write(path, {name: content for name, content in members.items() if name != left_out})
        with pytest.raises(ValueError, match=left_out.replace(".", r"\.")):
            interop.load(path)
    for name in ("config.json", "metadata.json"):
        for bad in (b"", b"{", b"[" * 100_000, b"[1]", b'{"class_name": "Sequential"}'):
            with pytest.raises(ValueError, match=r"model\.keras"):
                interop.load(write(path, {**members, name: bad}))
            if name == "metadata.json":
                break


def test_a_zip_bomb(tmp_path):
    path = write(tmp_path / "bomb.keras", {**parts(), "model.weights.h5": bytes(30_000_000)})
    with pytest.raises(ValueError, match=r"bomb\.keras.*model\.weights\.h5 claims 30000000 bytes"):
        interop.load(path)


@pytest.mark.parametrize("kind", ["Lambda", "TFOpLambda", "MultiHeadAttention", "CuDNNLSTM", None, 5, "__import__"])
def test_unknown_layers(tmp_path, kind):
    def change(layers):
        layers[3]["class_name"] = kind

    with pytest.raises(ValueError, match=r"layer 'gru\w*'.*(not supported)"):
        interop.load(changed(tmp_path / "m.keras", change))


def test_code_is_refused_by_name(tmp_path):
    def change(layers):
        layers[2] = {"class_name": "Lambda", "config": {"name": "trick", "function": ["4wEAAAA=", None, None]}}

    with pytest.raises(ValueError, match=r"layer 'trick' .Lambda.*holds code, which is not run"):
        interop.load(changed(tmp_path / "m.keras", change))


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        (3, {"units": 10**12}, "layer 'gru.*units must be a whole number from 1 to"),
        (3, {"units": 60_000}, "layer 'gru.*kernel has shape"),
        (3, {"units": -1}, "layer 'gru.*units must be a whole number"),
        (3, {"units": "5"}, "units must be"),
        (3, {"units": 6}, "layer 'gru.*kernel has shape"),
        (3, {"activation": "my_function"}, "layer 'gru.*activation 'my_function'"),
        (3, {"activation": {"class_name": "Lambda", "config": {}}}, "activation 'Lambda'"),
        (3, {"return_state": True}, "layer 'gru.*several outputs"),
        (3, {"surprise": 3}, "its argument surprise=3"),
        (3, {"reset_after": True}, "bias has shape|weights"),
        (4, {"merge_mode": None}, "two outputs"),
        (4, {"layer": 3}, "its layer is no layer"),
        (1, {"padding": "full"}, "layer 'conv.*padding='full'"),
        (2, {"rate": 7.0}, "layer 'spatial.*p must"),
        (5, {"n": 10**8}, "layer 'repeat.*n must be a whole number from 1 to 65536"),
        (8, {"units": 1.5}, "layer 'dense"),
        (0, {"batch_shape": [None, "x", 3]}, "input shape"),
        (0, {"batch_shape": [None, 7, 4]}, "kernel has shape"),
    ],
)
def test_arguments_that_do_not_fit(tmp_path, place, values, message):
    def change(layers):
        layers[place]["config"].update(values)

    with pytest.raises(ValueError, match=message):
        interop.load(changed(tmp_path / "m.keras", change))


def test_functional_models_that_are_no_chain(tmp_path):
    path = tmp_path / "m.keras"

    def source(layer, name):
        layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = name

    def cycle(layers):
        source(layers[2], layers[-1]["name"])

    def fork(layers):
        source(layers[3], layers[1]["name"])

    def two(layers):
        layers[3]["inbound_nodes"][0]["args"].append(layers[2]["inbound_nodes"][0]["args"][0])

    def twice(layers):
        layers[4]["name"] = layers[4]["config"]["name"] = layers[3]["name"]

    for change, message in (
        (cycle, "on no way from the input"),
        (fork, "goes two ways"),
        (two, "takes 2 inputs"),
        (twice, "names must differ"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.load(changed(path, change, "functional.keras"))


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "m.keras"
    gru = "layers/gru/cell/vars"

    def absent(file):
        del file[f"{gru}/1"]

    def more(file):
        file[f"{gru}/3"] = np.zeros(3)

    def other(file):
        del file[f"{gru}/0"]
        file[f"{gru}/0"] = np.zeros((5, 14))

    def cudnn(file):
        bias = file[f"{gru}/2"][()]
        del file[f"{gru}/2"]
        file[f"{gru}/2"] = np.concatenate([bias, bias])

    def texts(file):
        del file[f"{gru}/0"]
        file[f"{gru}/0"] = np.full((5, 15), b"x")

    def linked(file):
        del file[f"{gru}/0"]
        file[f"{gru}/0"] = h5py.ExternalLink("/etc/passwd", "x")

    def soft(file):
        del file["layers/gru"]
        file["layers/gru"] = h5py.SoftLink("/layers/gru")

    def gone(file):
        del file["layers/gru"]

    def a_group(file):
        del file[f"{gru}/0"]
        file.create_group(f"{gru}/0")

    def nothing(file):
        del file["layers"]

    for change, message in (
        (absent, "layer 'gru.*no array"),
        (more, "layer 'gru.*more weights"),
        (other, r"layer 'gru.*kernel has shape \(5, 14\)"),
        (cudnn, "layer 'gru.*are they weights in cuDNN's layout"),
        (texts, "not numbers"),
        (linked, "is a link"),
        (soft, "is a link"),
        (gone, "there are no weights of it"),
        (a_group, "no array"),
        (nothing, "no layers"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.load(reweighted(path, change))


def test_sizes_that_are_only_claimed(tmp_path):
    """An array of 3.6e9 numbers, of which none is stored, with a config that agrees."""
    members = parts()
    config = json.loads(members["config.json"])
    config["config"]["layers"] = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 7], "name": "in"}},
        {"class_name": "Embedding", "config": {"name": "big", "input_dim": 60_000, "output_dim": 60_000}},
    ]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("layers/embedding/vars/0", (60_000, 60_000), "f4", chunks=(1000, 1000), compression="gzip")
    members |= {"config.json": json.dumps(config), "model.weights.h5": content.getvalue()}
    with pytest.raises(ValueError, match=r"layer 'big'.*claims 14400000000 bytes"):
        interop.load(write(tmp_path / "m.keras", members))


def test_a_model_is_not_changed_by_weights_that_do_not_fit(tmp_path):
    model = interop.load(GOLDEN / "mixed.keras")
    before = model.get_weights()
    with pytest.raises(ValueError, match="weights"):
        interop.load_weights(model, GOLDEN / "pooled.weights.h5")
    path = reweighted(tmp_path / "m.keras", lambda file: file["layers/dense/vars"].pop("1"))
    with pytest.raises(ValueError, match="layer 'dense"):
        interop.load_weights(model, path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
