"""`rnnfast convert`, and `rnnfast inspect` of other people's files."""

import json

import numpy as np
import pytest
from cli_checks import one_line_error, output_of
from safetensors.numpy import load_file, save_file

import rnnfast as rf
from rnnfast.export import c_source


@pytest.fixture
def model():
    model = rf.Sequential(rf.LSTM(3, 4, bidirectional=True, bias="double", seed=0), rf.Linear(8, 2, seed=1))
    rng = np.random.default_rng(2)
    for name, value in model.params.items():
        model.params[name] = rng.normal(size=value.shape)
    return model


@pytest.fixture
def file(tmp_path, model):
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


X = np.random.default_rng(3).normal(size=(2, 5, 3)).astype(np.float32)


def convert(source, output, capsys, *more):
    found = json.loads(output_of(["convert", source, "--output", output, "--json", *more], capsys))
    assert found["bytes"] == output.stat().st_size
    return found


def test_torch_and_back(tmp_path, capsys, file, model):
    state = tmp_path / "state.safetensors"
    found = convert(file, state, capsys, "--to", "torch")
    assert (found["from"], found["to"], found["parameters"]) == ("rnnfast", "torch", model.num_params)
    tensors = load_file(state)
    assert np.array_equal(tensors["0.weight_hh_l0_reverse"], model.params["0.weight_hh_l0_reverse"])
    text = output_of(["inspect", state], capsys)
    assert "  0  LSTM(input_size=3, hidden_size=4, num_layers=1, bias=double, bidirectional=True" in text.replace(
        "'", ""
    )
    back = tmp_path / "back.safetensors"
    assert convert(state, back, capsys, "--part", "0")["model"] == "LSTM"
    assert np.array_equal(rf.load(back)(X)[0], model.layers[0](X)[0])
    save_file({**tensors, **{"1" + name[1:]: value for name, value in tensors.items() if name[0] == "0"}}, state)
    assert "several recurrent modules" in one_line_error(["convert", state, "--output", tmp_path / "b.onnx"], capsys)


def test_onnx_and_back(tmp_path, capsys, file, model):
    pytest.importorskip("onnx")
    network = tmp_path / "network.onnx"
    assert convert(file, network, capsys)["to"] == "onnx"
    found = json.loads(output_of(["inspect", network, "--json"], capsys))
    assert found["operators"]["LSTM"] == 1
    (name,) = found["recurrent"]
    assert f"  {name}  LSTM(input_size=3" in output_of(["inspect", network], capsys)
    back = tmp_path / "back.safetensors"
    convert(network, back, capsys, "--part", name)
    np.testing.assert_allclose(rf.load(back)(X)[0], model.layers[0](X)[0], rtol=1e-6, atol=1e-6)
    line = one_line_error(["convert", network, "--part", "none", "--output", tmp_path / "b.onnx"], capsys)
    assert f"no recurrent node is called 'none'; there are {name}" in line
    written = tmp_path / "exported.onnx"
    output_of(["export", "onnx", file, "--output", written, "--lengths"], capsys)
    assert json.loads(output_of(["inspect", written, "--json"], capsys))["operators"]["LSTM"] == 1


def test_keras_and_back(tmp_path, capsys, model):
    pytest.importorskip("h5py")
    pytest.importorskip("rnnfast.interop.keras")
    theirs, back, file = (tmp_path / name for name in ("model.keras", "back.safetensors", "model.safetensors"))
    model = rf.Sequential(rf.GRU(3, 4, bias="double", seed=0), rf.Linear(4, 2, seed=1))
    model.save(file)
    assert convert(file, theirs, capsys)["to"] == "keras"
    assert "a Keras model" in output_of(["inspect", theirs], capsys)
    assert convert(theirs, back, capsys)["from"] == "keras"
    np.testing.assert_allclose(rf.load(back)(X), model(X), rtol=1e-6, atol=1e-6)


def test_c(tmp_path, capsys):
    file, output = tmp_path / "model.safetensors", tmp_path / "model.c"
    rf.GRU(3, 4, seed=0).save(file)
    convert(file, output, capsys)
    assert output.read_text() == c_source(rf.load(file))


def test_refusals(tmp_path, capsys, file):
    ask = ["convert", file, "--output"]
    assert "does not tell the format; give --to" in one_line_error([*ask, tmp_path / "model.txt"], capsys)
    assert "exists already" in one_line_error([*ask, file], capsys)
    assert "--part is for" in one_line_error([*ask, tmp_path / "a.c", "--part", "0"], capsys)
    assert "give max_steps" in one_line_error([*ask, tmp_path / "a.c"], capsys)
    (tmp_path / "text").write_text("nothing")
    line = one_line_error(["convert", tmp_path / "text", "--output", tmp_path / "a.c"], capsys)
    assert "not a safetensors file" in line
    assert "no such file" in one_line_error(["convert", tmp_path / "none", "--output", tmp_path / "a.c"], capsys)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    pytest.importorskip("onnx")
    assert "no ONNX model" in one_line_error(["inspect", tmp_path / "bad.onnx"], capsys)
