import json
import os
import pickle
import struct

import numpy as np
import pytest
from layer_checks import randomise
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

import rnnfast
from rnnfast import files
from rnnfast.layers import LSTM, BatchNorm, Dropout, Embedding, Last, Linear
from rnnfast.models import Sequential


def model(dtype="float32"):
    return randomise(
        Sequential(
            Embedding(7, 3, dtype=dtype),
            LSTM(3, 4, bidirectional=True, dtype=dtype),
            Dropout(0.3),
            Last(),
            Linear(8, 2, activation="tanh", dtype=dtype),
        )
    )


IDS = np.array([[3, 1, 4, 1], [5, 2, 6, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_comes_back(tmp_path, dtype):
    before = model(dtype)
    before.params["4.bias"] = [np.nan, -0.0]
    before.save(tmp_path / "m.safetensors")
    after = rnnfast.load(tmp_path / "m.safetensors")
    assert repr(after) == repr(before)
    assert after.flat_data.tobytes() == before.flat_data.tobytes()
    assert after.dtype == dtype
    assert np.array_equal(after(IDS), before(IDS), equal_nan=True)
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_a_loaded_model_learns(tmp_path):
    before = model()
    rnnfast.save(before, tmp_path / "m")
    after = rnnfast.load(str(tmp_path / "m"))
    for net in (before, after):
        net.fit(IDS, [0, 1], loss="cross_entropy", epochs=2, seed=1, verbose=False)
    assert np.array_equal(before.flat_data, after.flat_data)


def test_layers_alone_and_layers_without_parameters(tmp_path):
    for layer in (randomise(LSTM(3, 4)), randomise(Linear(2, 3, bias=False)), Dropout(0.25), Sequential(Last(2))):
        layer.save(tmp_path / "layer")
        again = rnnfast.load(tmp_path / "layer")
        assert repr(again) == repr(layer)
        for name, array in layer.params.items():
            assert np.array_equal(again.params[name], array)


def test_shared_layers_are_stored_once(tmp_path):
    shared = randomise(Linear(3, 3))
    Sequential(shared, Linear(3, 3), shared).save(tmp_path / "m")
    again = rnnfast.load(tmp_path / "m")
    assert again.layers[0] is again.layers[2]
    assert len(safe_open(tmp_path / "m", "numpy").keys()) == 4


def test_the_header_says_what_it_is(tmp_path):
    model().save(tmp_path / "m")
    metadata = safe_open(tmp_path / "m", "numpy").metadata()
    assert metadata["format"] == "rnnfast"
    assert metadata["format_version"] == "1"
    assert metadata["rnnfast_version"] == rnnfast.__version__
    assert json.loads(metadata["architecture"])["class"] == "Sequential"


def test_extra_comes_back(tmp_path):
    extra = {"vocabulary": "aé\n☃", "numbers": [1, 2.5, None]}
    rnnfast.save(model(), tmp_path / "m", extra=extra)
    again, found = files.load_with_extra(tmp_path / "m")
    assert found == extra
    assert again.num_params == model().num_params
    model().save(tmp_path / "m")
    assert files.load_with_extra(tmp_path / "m")[1] == {}


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_crash_leaves_the_old_file_whole(tmp_path, monkeypatch, failing):
    path = tmp_path / "m"
    model().save(path)
    old = path.read_bytes()

    def crash(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, failing, crash)
    with pytest.raises(OSError, match="disk is full"):
        randomise(model(), 5).save(path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["m"]


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        rnnfast.save(model(), path, extra={"function": print})
    with pytest.raises(OSError, match="nowhere"):
        model().save(tmp_path / "nowhere" / "m")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes and links")
def test_modes_and_links_are_kept(tmp_path):
    path, link = tmp_path / "m", tmp_path / "link"
    model().save(path)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o640)
    link.symlink_to(path)
    model().save(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640


def rewritten(path, *, tensors=None, raw=None, **metadata):
    """A sound file with some of its tensors or metadata replaced."""
    net = model()
    net.save(path)
    with safe_open(path, "numpy") as file:
        found = {**file.metadata(), **metadata}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arrays.update(tensors or {})
    arrays = {name: array for name, array in arrays.items() if array is not None}
    found = {name: value for name, value in found.items() if value is not None}
    path.write_bytes(raw(path.read_bytes()) if raw else to_bytes(arrays, found))


def plan_with(**config):
    plan = {"class": "Linear", "config": {"in_features": 3, "out_features": 2, **config}}
    return json.dumps({"class": "Sequential", "config": {"layers": [plan]}})


HUGE = {"in_features": 10**9, "out_features": 10**9}
DEEP = '{"class": "Sequential", "config": {"layers": [' * 3000 + "]}}" * 3000
BROKEN = {
    "empty": ({"raw": lambda b: b""}, "not a safetensors file"),
    "a few bytes": ({"raw": lambda b: b"abc"}, "not a safetensors file"),
    "no header": ({"raw": lambda b: struct.pack("<Q", 2) + b"{}"}, "another format"),
    "a header of no tensors": ({"raw": lambda b: struct.pack("<Q", 7) + b'{"a":3}'}, "header is damaged"),
    "overlapping tensors": ({"raw": lambda b: b.replace(b"[0,84]", b"[4,88]")}, "not a sound safetensors file"),
    "text": ({"raw": lambda b: b"hello world, this is no model"}, "not a safetensors file"),
    "pickle": ({"raw": lambda b: pickle.dumps({"weight": np.ones(3)})}, "not a safetensors file"),
    "a huge header": ({"raw": lambda b: struct.pack("<Q", 2**62) + b[8:]}, "not a safetensors file"),
    "cut in the header": ({"raw": lambda b: b[:100]}, "truncated within its header"),
    "cut in the data": ({"raw": lambda b: b[:-4]}, r"has \d+ bytes and should have \d+: it is truncated"),
    "too long": ({"raw": lambda b: b + b"1234"}, "truncated or damaged"),
    "another format": ({"format": "pt"}, "of another format, 'pt'"),
    "no format": ({"format": None}, "another format, 'without a name'"),
    "newer": ({"format_version": "2", "rnnfast_version": "9.9"}, "version is 2.*reads up to 1.*rnnfast 9.9"),
    "odd version": ({"format_version": "one"}, "not a number"),
    "no architecture": ({"architecture": None}, "no 'architecture'"),
    "not JSON": ({"architecture": "{"}, "'architecture' in its header is not JSON"),
    "extra not JSON": ({"extra": "{"}, "'extra' in its header is not JSON"),
    "extra no object": ({"extra": "[1]"}, "'extra' is not a JSON object"),
    "unknown layer": ({"architecture": plan_with().replace("Linear", "Evil")}, "unknown layer 'Evil'"),
    "bad argument": ({"architecture": plan_with(activation="gelu")}, "not valid: activation"),
    "too deep": ({"architecture": DEEP}, "not JSON|not valid"),
    "missing tensor": ({"tensors": {"4.bias": None}}, "lacks tensor '4.bias'"),
    "missing tensors": ({"tensors": {"4.bias": None, "4.weight": None}}, "lacks tensors '4.weight', '4.bias'"),
    "extra tensor": ({"tensors": {"5.bias": np.zeros(2, np.float32)}}, "architecture has no tensor '5.bias'"),
    "wrong shape": ({"tensors": {"4.bias": np.zeros(3, np.float32)}}, r"'4.bias' has shape \(3,\).*wants \(2,\)"),
    "wrong dtype": ({"tensors": {"4.bias": np.zeros(2)}}, "'4.bias' has dtype F64.*wants float32"),
    "whole numbers": ({"tensors": {"4.bias": np.zeros(2, np.int32)}}, "'4.bias' has dtype I32"),
    "huge": ({"architecture": plan_with(**HUGE)}, "size of 1000000000, more than its tensors can fill"),
    "large": ({"architecture": plan_with(in_features=60_000, out_features=60_000)}, "lacks tensor"),
    "not finite": ({"architecture": plan_with(in_features=float("nan"))}, "size of nan"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_named(tmp_path, what):
    change, message = BROKEN[what]
    path = tmp_path / "broken.safetensors"
    rewritten(path, **change)
    with pytest.raises(ValueError, match=rf"(?s)broken\.safetensors: .*({message})"):
        rnnfast.load(path)


def test_no_file_and_no_permission(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        rnnfast.load(tmp_path / "nothing")
    with pytest.raises(OSError, match=r"directory|denied"):
        rnnfast.load(tmp_path)


def test_any_flipped_header_byte_is_an_error_or_a_model(tmp_path):
    path = tmp_path / "m"
    model().save(path)
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for place in rng.integers(0, len(sound), 150):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            loaded = rnnfast.load(path)
        except ValueError as error:
            messages.append(str(error))
        else:
            assert loaded.num_params == model().num_params
    assert len(messages) > 50
    assert all(message.startswith(f"{path}: ") for message in messages)


def test_running_statistics_are_stored_and_wanted(tmp_path):
    path = tmp_path / "m"
    net = Sequential(Linear(3, 2), BatchNorm(2))
    net.forward(np.random.default_rng(0).standard_normal((4, 3)))
    net.save(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert tensors["1.running_var"].tolist() == net.buffers["1.running_var"].tolist() != [1, 1]
    assert sorted(tensors) == sorted([*net.params, "1.running_mean", "1.running_var"])
    for wrong, message in (
        ({"1.running_var": np.ones(3, np.float32)}, r"'1.running_var' has shape \(3,\).*wants \(2,\)"),
        ({"1.running_var": np.ones(2)}, "'1.running_var' has dtype F64"),
        ({"0.running_var": np.ones(2, np.float32)}, "architecture has no tensor '0.running_var'"),
    ):
        path.write_bytes(to_bytes({**tensors, **wrong}, metadata))
        with pytest.raises(ValueError, match=message):
            rnnfast.load(path)
    del tensors["1.running_mean"]
    path.write_bytes(to_bytes(tensors, metadata))
    with pytest.raises(ValueError, match=r"lacks tensor '1\.running_mean'"):
        rnnfast.load(path)


def test_frozen_parameters_come_back_frozen(tmp_path):
    before = model()
    before.freeze("0.*", "1.weight_hh*", "4.bias")
    before.save(tmp_path / "m")
    after = rnnfast.load(tmp_path / "m")
    assert after.frozen_names == ["0.weight", "1.weight_hh_l0", "1.weight_hh_l0_reverse", "4.bias"]
    assert pickle.loads(pickle.dumps(before)).frozen_names == after.frozen_names
