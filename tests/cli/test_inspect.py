"""`rnnfast inspect`, on files that hold different things."""

import json
import math

import numpy as np
import pytest
from cli_checks import one_line_error, output_of
from safetensors.numpy import save_file

import rnnfast as rf
from rnnfast.data import Vocabulary
from rnnfast.models.language_model import LanguageModel

RUN = json.dumps(
    {
        "mapping": [
            ["progress", {"mapping": [["epoch", 1], ["batch", 0], ["step", 1]]}],
            ["history", {"mapping": [["history", {"mapping": [["loss", [0.5]]]}]]}],
        ]
    }
)
HEADER = {"format": "rnnfast training checkpoint", "run": RUN, "settings": "{}"}


@pytest.fixture
def network():
    return rf.Sequential(rf.Embedding(9, 5, seed=0), rf.LSTM(5, 7, seed=0), rf.Last(), rf.Linear(7, 3, seed=0))


def test_a_model_and_what_is_kept_with_it(tmp_path, capsys, network):
    path = tmp_path / "model.safetensors"
    rf.save(network, path, extra={"licence": "none", "labels": list(range(20)), "nothing": {}})
    text = output_of(["inspect", path], capsys)
    assert text.startswith(f"{path}: Sequential, float32, written by rnnfast {rf.__version__}\n")
    assert f"\n{network.num_params:,} parameters\n" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["1", "LSTM", "(B,", "T,", "7)", str(4 * 7 * (5 + 7 + 1))] in rows
    assert ["1.weight_ih_l0", "(28,", "5)", "F32", "140"] in rows
    assert ["licence", '"none"'] in rows
    assert ["labels", "[0,", "1,", "2,", "3,", "4,", "5,", "6,", "7]", "20", "in", "all"] in rows
    assert text.endswith(f"{path.stat().st_size:,} bytes\n")


def test_a_model_as_json(tmp_path, capsys, network):
    path = tmp_path / "model.safetensors"
    rf.save(network, path, extra={"labels": ["a", "b"]})
    found = json.loads(output_of(["inspect", path, "--json"], capsys))
    assert found["kind"] == "Sequential"
    assert found["parameters"] == network.num_params
    assert found["dtype"] == "float32"
    assert found["bytes"] == path.stat().st_size
    assert found["extra"] == {"labels": ["a", "b"]}
    assert [layer["layer"] for layer in found["layers"]] == ["0 Embedding", "1 LSTM", "2 Last", "3 Linear"]
    assert found["layers"][3] == {"layer": "3 Linear", "output_shape": ["B", 3], "parameters": 24}
    shapes = {tensor["name"]: tensor["shape"] for tensor in found["tensors"]}
    assert shapes == {name: list(value.shape) for name, value in network.params.items()}
    assert sum(math.prod(shape) for shape in shapes.values()) == network.num_params


def test_a_language_model_is_called_so(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    LanguageModel(Vocabulary("abc"), hidden_size=4, embedding_dim=2, seed=0).save(path)
    assert f"{path}: LanguageModel, float32" in output_of(["inspect", path], capsys)


def test_one_layer(tmp_path, capsys):
    path = tmp_path / "layer.safetensors"
    rf.save(rf.Linear(3, 2, dtype="float64", seed=0), path)
    found = json.loads(output_of(["inspect", path, "--json"], capsys))
    assert (found["kind"], found["dtype"], found["parameters"]) == ("Linear", "float64", 8)


def test_a_checkpoint(tmp_path, capsys, network):
    path = tmp_path / "run.checkpoint"
    x, y = np.arange(40).reshape(10, 4) % 9, np.arange(10) % 3
    history = network.fit(x, y, loss="cross_entropy", epochs=3, batch_size=4, checkpoint=path, seed=0, verbose=False)
    text = output_of(["inspect", path], capsys)
    assert f"{path}: a training checkpoint\n3 epochs done, 0 batches of the next; 9 updates\n" in text
    assert f"last epoch: loss {history.history['loss'][-1]:.4g}\n" in text
    assert f"\n{network.num_params:,} parameters\n" in text
    assert "  optimizer" in text
    found = json.loads(output_of(["inspect", path, "--json"], capsys))
    assert (found["kind"], found["progress"]["step"]) == ("checkpoint", 9)
    assert found["history"]["history"] == history.history
    assert found["settings"]["optimizer"] == "Adam"
    assert [layer["layer"] for layer in found["layers"]] == ["0 Embedding", "1 LSTM", "2 Last", "3 Linear"]


def test_tensors_of_others(tmp_path, capsys):
    path = tmp_path / "theirs.safetensors"
    save_file({"w": np.zeros((2, 3), np.float16)}, path, metadata={"framework": "other"})
    text = output_of(["inspect", path], capsys)
    assert "a safetensors file that rnnfast did not write" in text
    assert [line.split() for line in text.splitlines()][-2] == ["w", "(2,", "3)", "F16", "6"]
    found = json.loads(output_of(["inspect", path, "--json"], capsys))
    assert found["tensors"] == [{"name": "w", "shape": [2, 3], "dtype": "F16"}]
    assert (found["kind"], found["metadata"]) == (None, {"framework": "other"})


def test_refusals(tmp_path, capsys, network):
    absent = tmp_path / "absent"
    assert f"{absent}: no such file" in one_line_error(["inspect", absent], capsys)
    assert "directory" in one_line_error(["inspect", tmp_path], capsys)
    path = tmp_path / "model.safetensors"
    network.save(path)
    whole = path.read_bytes()
    for content in (b"", b"text,label\n", b"\0" * 100, whole[:-3], whole[:60]):
        path.write_bytes(content)
        assert f"{path}: it " in one_line_error(["inspect", path], capsys)


def test_a_checkpoint_whose_sizes_nothing_fills(tmp_path, capsys):
    path = tmp_path / "run.checkpoint"
    for size, message in ((10**15, "more than its tensors can fill"), ("x", "its architecture is not valid")):
        plan = {"class": "Linear", "config": {"in_features": 2, "out_features": size}}
        save_file({}, path, metadata={**HEADER, "architecture": json.dumps(plan)})
        line = one_line_error(["inspect", path], capsys)
        assert str(path) in line
        assert message in line


@pytest.mark.parametrize(
    "damage", [{"run": "{}"}, {"run": '{"mapping": 3}'}, {"settings": "["}, {"architecture": None}]
)
def test_damaged_checkpoints(tmp_path, capsys, damage):
    path = tmp_path / "run.checkpoint"
    header = {**HEADER, "architecture": "{}", **damage}
    save_file({}, path, metadata={name: value for name, value in header.items() if value is not None})
    assert "damaged or incomplete" in one_line_error(["inspect", path], capsys)


def test_what_is_nested_deeply_is_cut(tmp_path, capsys):
    path, deep = tmp_path / "model.safetensors", "none"
    for _ in range(900):
        deep = {"inner": deep}
    rf.save(rf.Linear(1, 1, seed=0), path, extra=deep)
    assert '.inner  {"inner": {"inner": ' in output_of(["inspect", path], capsys)
    assert output_of(["inspect", path, "--json"], capsys).count('"inner"') == 900
