"""State dicts, without PyTorch: what it wrote and computed is in the golden files."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import rnnfast as rf
from rnnfast.files import read_tensors
from rnnfast.interop.torch import from_torch, load_state_dict, to_torch_state_dict

GOLDEN = Path(__file__).parents[2] / "golden" / "torch"
RECURRENT = {
    "lstm": rf.LSTM, "lstm_projected": rf.LSTM, "lstm_no_bias": rf.LSTM, "lstm_bfloat16": rf.LSTM, "gru": rf.GRU,
    "gru_float16": rf.GRU, "rnn": rf.RNN, "rnn_relu": rf.RNN, "lstm_cell": rf.LSTMCell,
}  # fmt: skip
NAMES = {"0": "embedding", "1": "rnn", "2": "norm", "3": "batch_norm", "4": "head.0", "6": "head.2"}


def golden(name):
    found = np.load(GOLDEN / f"{name}.npz")
    return GOLDEN / f"{name}.safetensors", found["x"], found["y"]


def output(layer, x):
    made = layer(x)
    return made[0] if isinstance(made, tuple) else made


def random_state(cell="lstm", layers=2, reverse=True, I=3, H=4, P=0, bias=True, dtype="f"):  # noqa: E741
    """A state dict with numbers of which no two are alike."""
    rng, gates = np.random.default_rng(0), {"lstm": 4, "gru": 3, "rnn": 1}[cell] * H
    width, found = P or H, {}
    ends = ("", "_reverse") if reverse else ("",)
    for k in range(layers):
        for end in ends:
            below = width * len(ends) if k else I
            shapes = {"weight_ih": (gates, below), "weight_hh": (gates, width)}
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)} if bias else {}
            shapes |= {"weight_hr": (P, H)} if P else {}
            found |= {f"{n}_l{k}{end}": rng.uniform(-0.6, 0.6, shape).astype(dtype) for n, shape in shapes.items()}
    return found


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("bias", ["double", True])
def test_golden_outputs(name, bias):
    path, x, y = golden(name)
    layer = from_torch(path, bias=bias, **({"activation": "relu"} if name == "rnn_relu" else {}))
    assert type(layer) is RECURRENT[name]
    assert layer.dtype == y.dtype
    np.testing.assert_allclose(output(layer, x), y, atol=1e-6 if y.dtype == np.float32 else 1e-14)
    assert np.abs(y).min() > 1e-9 or name == "rnn_relu"


def test_there_are_golden_files():
    assert {path.stem for path in GOLDEN.glob("*.safetensors")} == {*RECURRENT, "tagger"}


@pytest.mark.parametrize("name", RECURRENT)
def test_state_dicts_come_back_to_the_last_bit(name):
    path, _, _ = golden(name)
    layer = from_torch(path, **({"activation": "relu"} if name == "rnn_relu" else {}))
    again = to_torch_state_dict(layer, prefix="a.b")
    if name != "lstm_bfloat16":
        wanted = {f"a.b.{key}": array.astype(layer.dtype) for key, array in read_tensors(path)[0].items()}
        assert list(again) == list(to_torch_state_dict(layer, prefix="a.b."))
        assert again.keys() == wanted.keys()
        assert all(np.array_equal(again[key], wanted[key]) for key in wanted)
    other = type(layer).from_config(layer.get_config())
    load_state_dict(other, again, prefix="a.b")
    assert all(np.array_equal(other.params[key], layer.params[key]) for key in layer.params)
    assert len({array.tobytes() for array in again.values()}) == len(again)


def test_bfloat16_is_read_exactly():
    import struct

    layer = from_torch(GOLDEN / "lstm_bfloat16.safetensors")
    words = np.concatenate([array.ravel() for array in layer.get_weights()]).view(np.uint32)
    assert not (words & 0xFFFF).any()
    assert len(set(words.tolist())) > 0.5 * words.size
    assert struct.unpack("<f", words[:1].tobytes())[0] == layer.params["weight_ih_l0"][0, 0]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_one_bias_is_the_sum_and_goes_back_in_parts(cell):
    state = random_state(cell, dtype="d")
    pair, one = from_torch(state), from_torch(state, bias=True)
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    np.testing.assert_allclose(one(x)[0], pair(x)[0], atol=1e-15)
    H = 4
    again = to_torch_state_dict(one)
    assert again.keys() == state.keys()
    for name, array in again.items():
        if name.startswith("weight"):
            assert np.array_equal(array, state[name])
        elif name.startswith("bias_ih"):
            other = name.replace("ih", "hh")
            total, inner = state[name] + state[other], slice(2 * H, None)
            if cell == "gru":
                total[inner] = state[name][inner]
                assert np.array_equal(again[other][inner], state[other][inner])
                assert not again[other][: 2 * H].any()
            else:
                assert not again[other].any()
            assert np.array_equal(array, total)
    np.testing.assert_allclose(from_torch(again)(x)[0], pair(x)[0], atol=1e-15)


def test_prefixes():
    encoder, decoder = random_state("lstm"), random_state("gru", layers=1, reverse=False, H=5)
    both = {f"encoder.rnn.{name}": array for name, array in encoder.items()}
    single = {**both, "fc.weight": np.ones((2, 8), "f"), "fc.bias": np.zeros(2, "f"), "steps": np.zeros(1, "f")}
    assert isinstance(from_torch(single), rf.LSTM)
    both |= {f"decoder.{name}": array for name, array in decoder.items()}
    for prefix in ("decoder", "decoder."):
        layer = from_torch(both, prefix=prefix, dropout=0.0)
        assert isinstance(layer, rf.GRU)
        assert np.array_equal(layer.params["bias_hh_l0"], decoder["bias_hh_l0"])
    with pytest.raises(ValueError, match=r"several recurrent modules.*'encoder.rnn', 'decoder'"):
        from_torch(both)
    with pytest.raises(ValueError, match=r"has the prefix 'coder'; there are 'encoder.rnn', 'decoder'"):
        from_torch(both, prefix="coder")
    with pytest.raises(ValueError, match="no recurrent module in it"):
        from_torch({"fc.weight": np.ones((2, 8))})


def test_the_names_of_pytorch_crf():
    """A path scores start + emissions + transitions[from, to] + end, as that package has it."""
    rng = np.random.default_rng(4)
    shapes = {"start_transitions": (3,), "end_transitions": (3,), "transitions": (3, 3)}
    state = {f"crf.{name}": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    model = rf.Sequential(rf.Activation("identity"), rf.CRF(3))
    load_state_dict(model, state, names={"1": "crf"})
    x, tags = rng.normal(size=(1, 4, 3)), [2, 0, 1, 1]
    wanted = state["crf.start_transitions"][2] + state["crf.end_transitions"][1] + x[0, range(4), tags].sum()
    wanted += sum(state["crf.transitions"][pair] for pair in itertools.pairwise(tags))
    y = model(x)[0]
    assert abs(y[0, 0, 2] + sum(y[t, tags[t - 1], tags[t]] for t in (1, 2, 3)) - wanted) < 1e-5
    again = to_torch_state_dict(model, names={"1": "crf"})
    assert list(again) == list(state)
    assert all(np.array_equal(again[name], state[name]) for name in state)
    with pytest.raises(TypeError, match="CRF has no counterpart"):
        to_torch_state_dict(rf.CRF(3, boundaries=False))


def test_a_checkpoint_s_state_dict_is_named():
    state = to_torch_state_dict(rf.GRU(3, 4))
    checkpoint = {"epoch": 3, "model_state_dict": state, "vocab": {"a": 1}, "config": {}}
    for read in (from_torch, lambda source: load_state_dict(rf.GRU(3, 4), source)):
        with pytest.raises(ValueError, match=r"give checkpoint\['model_state_dict'\]"):
            read(checkpoint)


def test_other_kinds_of_number_beside(tmp_path):
    state = {**random_state("gru"), "fc.ids": np.arange(3), "fc.scale": np.ones(2, np.int8)}
    state |= {"fc.half": np.ones(2, np.float16)}
    save_file(state, tmp_path / "a.safetensors")
    for source in (state, tmp_path / "a.safetensors"):
        layer = from_torch(source)
        assert np.array_equal(layer.params["bias_hh_l1"], state["bias_hh_l1"])
    save_file({**state, "bias_hh_l1": np.ones(12, np.int8)}, tmp_path / "b.safetensors")
    with pytest.raises(
        TypeError, match=r"b\.safetensors: tensor 'bias_hh_l1' must hold floating-point numbers, got I8"
    ):
        from_torch(tmp_path / "b.safetensors")


def test_a_whole_model_by_names():
    path, x, y = golden("tagger")
    model = rf.Sequential(
        rf.Embedding(11, 6, padding_idx=0), rf.LSTM(6, 4, bidirectional=True), rf.LayerNorm(8), rf.BatchNorm(8),
        rf.Linear(8, 7), rf.Activation("relu"), rf.Linear(7, 5),
    )  # fmt: skip
    load_state_dict(model, path, names=NAMES)
    np.testing.assert_allclose(model(x), y, atol=2e-6)
    again, wanted = to_torch_state_dict(model, names=NAMES), read_tensors(path)[0]
    assert again.keys() == wanted.keys() - {"batch_norm.num_batches_tracked"}
    for name in again:
        if "bias_" not in name:
            assert np.array_equal(again[name], wanted[name])
    with pytest.raises(ValueError, match=r"lacks '4.weight', '4.bias'; it has"):
        load_state_dict(model, path, names={**NAMES, "4": "4"})
    with pytest.raises(ValueError, match=r"the state dict has 'head.2.bias', 'head.2.weight', which the Sequential"):
        load_state_dict(rf.Sequential(*model.layers[:6]), path, names={k: v for k, v in NAMES.items() if k != "6"})
    with pytest.raises(ValueError, match=r"names has '9'; the layers are '0'"):
        to_torch_state_dict(model, names={"9": "x"})


def test_weights_are_set_all_or_none():
    state = random_state("gru")
    layer = rf.GRU(3, 4, 2, bidirectional=True, bias="double", seed=0)
    before = [array.copy() for array in layer.get_weights()]
    for broken, match in (
        ({**state, "bias_hh_l1_reverse": np.zeros(3)}, r"'bias_hh_l1_reverse' has shape \(3,\), the GRU \(12,\)"),
        ({k: v for k, v in state.items() if k != "bias_hh_l1"}, "lacks 'bias_hh_l1'"),
        ({**state, "weight_ih_l2": np.zeros((12, 8))}, "has 'weight_ih_l2', which the GRU has not"),
    ):
        with pytest.raises(ValueError, match=match):
            load_state_dict(layer, broken)
        assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


WRONG = {
    "missing": (lambda s: s.pop("weight_hh_l1"), "lacks 'weight_hh_l1'"),
    "missing bias": (lambda s: s.pop("bias_hh_l0_reverse"), "lacks 'bias_hh_l0_reverse'"),
    "missing layer": (lambda s: [s.pop(n) for n in list(s) if "_l0" in n], "lacks 'weight_ih_l0'"),
    "a far layer": (lambda s: s.update(weight_ih_l9999=s["weight_ih_l1"]), "there is a layer 9999"),
    "a huge number": (lambda s: s.update(weight_ih_l99999999999=s["weight_ih_l1"]), "no such names"),
    "weight norm": (lambda s: s.update(weight_hh_l0_g=s.pop("weight_hh_l0")), r"'weight_hh_l0_g'.*folded"),
    "parametrized": (
        lambda s: s.update({"parametrizations.weight_hh_l0.original0": s.pop("weight_hh_l0")}),
        r"'parametrizations.weight_hh_l0.original0'.*remove_parametrizations",
    ),
    "flat weights of cuDNN": (lambda s: s.update(flat_weights=np.zeros(99, "f")), "'flat_weights': no such names"),
    "columns": (lambda s: s.update(weight_ih_l1=np.zeros((16, 7), "f")), r"shape \(16, 7\), wanted \(16, 8\)"),
    "rows": (lambda s: s.update(weight_ih_l0=np.zeros((15, 3), "f")), "has 15 rows, which are not 1, 3 or 4"),
    "two gates": (lambda s: s.update(weight_ih_l0=np.zeros((8, 3), "f")), "has 8 rows, which are not 1, 3 or 4"),
    "bias": (lambda s: s.update(bias_ih_l0=np.zeros((16, 1), "f")), r"\(16, 1\), wanted \(16,\)"),
    "vector": (lambda s: s.update(weight_hh_l0=np.zeros(16, "f")), r"must be a matrix, got shape \(16,\)"),
    "empty": (lambda s: s.update(weight_hh_l0=np.zeros((16, 0), "f")), r"must be a matrix, got shape \(16, 0\)"),
    "cell and layer": (lambda s: s.update(weight_ih=s["weight_ih_l0"]), "not beside 'weight_ih'|lacks 'weight_hh'"),
    "mixed": (lambda s: s.update(bias_ih_l0=s["bias_ih_l0"].astype("d")), r"different dtypes.*choose one with dtype="),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_state_dict_is_named(case):
    state = random_state()
    spoil, match = WRONG[case]
    spoil(state)
    with pytest.raises(ValueError, match=match):
        from_torch(state)


def test_other_wrong_sources():
    state = random_state("gru", layers=1, reverse=False)
    for dtype in (np.int8, np.complex64, object):
        with pytest.raises(TypeError, match="'bias_ih_l0' must hold floating-point numbers"):
            from_torch({**state, "bias_ih_l0": np.zeros(12, dtype)})
    with pytest.raises(ValueError, match="a projection, is there in an LSTM alone"):
        from_torch({**state, "weight_hr_l0": np.zeros((4, 4), "f")})
    with pytest.raises(TypeError, match=r"wanted a torch.nn.Module, a state dict or the path .*, got int"):
        from_torch(3)
    with pytest.raises(TypeError, match="names in a state dict must be str, got 3"):
        from_torch({3: 4})
    with pytest.raises(ValueError, match="activation is for an RNN"):
        from_torch(state, activation="relu")
    with pytest.raises(ValueError, match="bias must be 'double' or True"):
        from_torch(state, bias=False)
    assert from_torch({**state, "bias_ih_l0": state["bias_ih_l0"].astype("d")}, dtype="float64").dtype == np.float64


def test_hostile_files(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(random_state(), path)
    whole = path.read_bytes()
    for size in (0, 4, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"a\.safetensors: it"):
            from_torch(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(ValueError, match="truncated or damaged"):
        from_torch(str(path))
    header = int.from_bytes(whole[:8], "little")
    huge = whole[8 : 8 + header].replace(b'"shape":[16,3]', b'"shape":[9223372036854775807,3]').ljust(header)
    path.write_bytes(len(huge).to_bytes(8, "little") + huge + whole[8 + header :])
    with pytest.raises(ValueError, match=r"a\.safetensors: it"):
        from_torch(path)
    for start in (b"PK\x03\x04", b"\x80\x02}q"):
        path.write_bytes(start + b"anything")
        with pytest.raises(ValueError, match=r"it is a pickle.*weights_only=True.*safetensors\.torch\.save_file"):
            from_torch(path)
    with pytest.raises(FileNotFoundError):
        from_torch(tmp_path / "none.safetensors")


def test_layers_without_counterpart():
    for layer, match in (
        (rf.GRU(2, 3, reset="before"), r"GRU\(reset='before'\) has no counterpart in PyTorch"),
        (rf.GRU(2, 3, update="new"), r"update='new'"),
        (rf.LSTM(2, 3, peephole=True), "peephole=True"),
        (rf.LSTM(2, [3, 4]), r"hidden_size=\[3, 4\]"),
        (rf.LSTM(2, 3, bidirectional=True, merge="sum"), "merge='sum'"),
        (rf.RNN(2, 3, activation="sigmoid"), "activation='sigmoid'"),
        (rf.RNN(2, 3, zoneout=0.1), "zoneout=0.1"),
    ):
        with pytest.raises(ValueError, match=match):
            to_torch_state_dict(layer)
    with pytest.raises(TypeError, match="MGU has no counterpart"):
        to_torch_state_dict(rf.layers.MGU(2, 3))
    assert to_torch_state_dict(rf.RNN(2, 3, activation="relu", recurrent_dropout=0.1)).keys() == {
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
    }  # fmt: skip


def test_pytorch_is_not_imported():
    code = (
        "import sys, rnnfast.interop, rnnfast.interop.torch as rt; sys.modules['torch'] = None; "
        f"print(type(rt.from_torch({str(GOLDEN / 'gru.safetensors')!r})).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "GRU"
    code = "import sys, rnnfast.interop.torch as rt; rt.from_torch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_pytorch_its_modules_say_what_they_need(monkeypatch):
    import rnnfast.interop.torch as rt

    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("LSTM", "GRU", "RNN", "accelerate", "restore"):
        monkeypatch.delitem(vars(rt), name, raising=False)
        with pytest.raises(ImportError, match=rf"rnnfast.interop.torch.{name} needs torch: pip install torch"):
            getattr(rt, name)
    with pytest.raises(ImportError, match="load_into needs torch: pip install torch"):
        rt.load_into(None, rf.LSTM(1, 1))
