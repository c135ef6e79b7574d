"""What every layer must do. A new layer needs an entry in CASES; the first test says so."""

import copy
import inspect
import json
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from checks import parts
from layer_checks import randomise

import rnnfast as rf
from rnnfast.models._architecture import _LAYERS, _MODELS

# Arguments that a config does not hold: they only choose first values, or memory.
FIRST_VALUES = {"seed", "weights"}
# An argument with which a Decoder alone runs the layer: tests/models/seq2seq and test_attention cover it.
DECODERS = {"coverage"}


@rf.register_cell
class Leaky(rf.Cell):
    """h' = decay h + A x."""

    def __init__(self, input_size: int, hidden_size: int, decay: float = 0.9):
        super().__init__(input_size, hidden_size)
        self.decay = decay

    def config(self) -> dict[str, Any]:
        return {**super().config(), "decay": self.decay}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"A": (self.hidden_size, self.input_size)}

    def step(self, params, x, state):
        h = self.decay * state + x @ params["A"].T
        return h, h, x

    def step_backward(self, params, saved, doutput, dstate):
        dh = doutput + dstate
        return dh @ params["A"], self.decay * dh, {"A": dh.T @ saved}


class Case(NamedTuple):
    """Arguments of a layer and the shapes of its inputs; whole numbers below `symbols` where that is set."""

    arguments: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    num_params: int
    symbols: int = 0
    as_list: bool = False


def case(*shapes: tuple[int, ...], params: int = 0, symbols: int = 0, as_list: bool = False, **arguments: Any) -> Case:
    return Case(arguments, shapes, params, symbols, as_list)


GRID = {"merge": "sum", "bidirectional": True, "input_dropout": 0.1, "weight_drop": 0.2, "residual": True}
GRID |= {"learned_state": True, "dropout": 0.3, "num_layers": 2, "bias": False}
CELL = {"activation": ["elu", 0.7], "clip": 2.0, "zoneout": 0.2, "recurrent_dropout": 0.3}
GATED = {"recurrent_activation": ["hard_sigmoid", 0.3, 0.5], **CELL}
SEQUENCE, STEP = (4, 5, 3), (4, 3)
CASES: dict[str, list[Case]] = {
    "RNN": [
        case(SEQUENCE, params=12 + 16 + 4, input_size=3, hidden_size=4, padding="hold", recompute=2, reverse=True),
        case(SEQUENCE, params=2 * (9 + 9 + 3) * 2, input_size=3, hidden_size=3, activation="relu", **GRID),
        case(SEQUENCE, params=32, input_size=3, hidden_size=4, **CELL),
    ],
    "LSTM": [
        case(
            SEQUENCE,
            params=4 * 36,
            input_size=3,
            hidden_size=4,
            forget_bias=2.0,
            bias="double",
            padding="hold",
            recompute=2,
            reverse=True,
        ),
        case(SEQUENCE, params=2 * 2 * (4 * 18 + 6), input_size=3, hidden_size=3, **GRID),
        case(SEQUENCE, params=4 * (12 + 16 + 4) + 4 * (8 + 4 + 2), input_size=3, hidden_size=[4, 2]),
        case(
            SEQUENCE,
            params=16 * (3 + 2 + 1) + 8 + 12 + 32 + 8,
            **{
                "input_size": 3,
                "hidden_size": 4,
                "proj_size": 2,
                "peephole": True,
                "layer_norm": True,
                "cell_clip": 3.0,
            },
            **{"output_activation": "softsign", **GATED, "zoneout": [0.2, 0.1]},
        ),
        case(SEQUENCE, params=3 * 32, input_size=3, hidden_size=4, coupled=True),
    ],
    "GRU": [
        case(
            SEQUENCE,
            params=3 * 32,
            input_size=3,
            hidden_size=4,
            reset="before",
            update="new",
            padding="hold",
            recompute=2,
            reverse=True,
        ),
        case(SEQUENCE, params=2 * 2 * (3 * 18 + 3), input_size=3, hidden_size=3, **GRID),
        case(SEQUENCE, params=12 * 8 + 4 + 24, input_size=3, hidden_size=4, layer_norm=True, **GATED),
    ],
    "IndRNN": [
        case(
            SEQUENCE, params=12 + 4 + 4, input_size=3, hidden_size=4, padding="hold", recompute=2, reverse=True, **CELL
        ),
        case(SEQUENCE, params=2 * 2 * (9 + 3 + 3), input_size=3, hidden_size=3, **GRID),
    ],
    "MGU": [
        case(SEQUENCE, params=2 * 32, input_size=3, hidden_size=4, padding="hold", recompute=2, reverse=True, **GATED),
        case(SEQUENCE, params=2 * 2 * (2 * 18 + 3), input_size=3, hidden_size=3, **GRID),
    ],
    "RNNCell": [case(STEP, params=12 + 16, input_size=3, hidden_size=4, activation="relu", bias=False)],
    "LSTMCell": [case(STEP, params=4 * 36, input_size=3, hidden_size=4, bias="double", forget_bias=2.0)],
    "GRUCell": [case(STEP, params=3 * 28, input_size=3, hidden_size=4, reset="before", update="new", bias=False)],
    "Linear": [
        case(SEQUENCE, params=6, in_features=3, out_features=2, bias=False, activation="tanh"),
        case(SEQUENCE, params=28, in_features=3, out_features=7, tied=lambda dtype: rf.Embedding(7, 3, dtype=dtype)),
    ],
    "Embedding": [
        case((4, 5), params=21, symbols=7, num_embeddings=7, embedding_dim=3, padding_idx=2, word_dropout=0.2),
        case((4, 5), params=21, symbols=7, num_embeddings=7, embedding_dim=3, frozen=True),
    ],
    "Dropout": [case(SEQUENCE, p=0.3)],
    "Last": [case(SEQUENCE), case((4, 5, 6), directions=2), case((4, 5, 6), merge="sum")],
    "Attention": [
        case((4, 2, 3), SEQUENCE, query_size=3, kind="scaled_dot"),
        case((4, 2, 3), (4, 5, 6), params=7 * 10, query_size=3, key_size=6, kind="additive", hidden_size=7),
        case((4, 2, 3), (4, 5, 6), params=7 * 11 + 1, query_size=3, key_size=6, kind="normed", hidden_size=7),
        case((4, 2, 3), (4, 5, 6), params=24, query_size=3, key_size=6, kind="location", num_positions=8),
    ],
    **{name: [case(SEQUENCE, SEQUENCE, as_list=True)] for name in ("Add", "Average", "Multiply")},
    "Concatenate": [case(SEQUENCE, (4, 5, 2), as_list=True)],
    "Activation": [case(SEQUENCE, activation="softsign"), case(SEQUENCE, activation=["leaky_relu", 0.2])],
    "SpatialDropout": [case(SEQUENCE, p=0.3)],
    "GaussianNoise": [case(SEQUENCE, stddev=0.3)],
    "LayerNorm": [case(SEQUENCE, params=6, num_features=3, eps=1e-3)],
    "BatchNorm": [case(SEQUENCE, params=6, num_features=3, momentum=0.3, eps=1e-3, unbiased=False)],
    "ActivityRegularizer": [case(SEQUENCE, alpha=2.0, beta=1.0)],
    "MeanPool": [case(SEQUENCE)],
    "MaxPool": [case(SEQUENCE)],
    "MeanPool1D": [case(SEQUENCE, size=2, stride=1)],
    "MaxPool1D": [case(SEQUENCE, size=2, stride=3), case(SEQUENCE, size=2)],
    "Pad": [case(SEQUENCE, before=2, after=1, value=0.5)],
    "Flatten": [case(SEQUENCE)],
    "Repeat": [case(STEP, n=3)],
    "Reverse": [case(SEQUENCE)],
    "Conv1D": [
        case(SEQUENCE, params=12 + 2, in_channels=3, out_channels=2, kernel_size=2, dilation=2, activation="tanh"),
        case(SEQUENCE, params=12, in_channels=3, out_channels=2, kernel_size=2, stride=2, causal=False, bias=False),
    ],
    "CRF": [case(SEQUENCE, params=15, num_tags=3), case(SEQUENCE, params=9, num_tags=3, boundaries=False)],
    "CustomRNN": [case(SEQUENCE, params=24, cell=Leaky(3, 4, decay=0.5), bidirectional=True)],
}
EACH = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]
each_layer = pytest.mark.parametrize(("name", "i"), EACH, ids=[f"{name}-{i}" for name, i in EACH])
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
copiers = pytest.mark.parametrize("copier", ["deepcopy", "pickle", "file", "config"])


def takes(name: str) -> dict[str, inspect.Parameter]:
    """The constructor's parameters; those of a recurrent layer's grid by name, too."""
    layer_class = getattr(rf, name)
    found = dict(inspect.signature(layer_class).parameters)
    if "grid" in found:
        from rnnfast.layers.recurrent import Recurrent

        del found["grid"]
        grid = inspect.signature(Recurrent.__init__).parameters.values()
        found |= {one.name: one for one in grid if one.kind == one.KEYWORD_ONLY}
    return {name: one for name, one in found.items() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}


def make(name: str, i: int, dtype: str = "float32") -> Any:
    arguments = CASES[name][i].arguments
    arguments = {key: value(dtype) if callable(value) else value for key, value in arguments.items()}
    layer = randomise(getattr(rf, name)(**arguments, **({"dtype": dtype} if "dtype" in takes(name) else {})))
    for key, array in layer.buffers.items():
        layer.buffers[key] = np.arange(1, array.size + 1).reshape(array.shape)
    return layer


def inputs(name: str, i: int, dtype: str = "float32") -> tuple[Any, ...]:
    rng, case = np.random.default_rng(0), CASES[name][i]
    if case.symbols:
        return (rng.integers(0, case.symbols, case.shapes[0]),)
    arrays = tuple(rng.standard_normal(shape).astype(dtype) for shape in case.shapes)
    return (list(arrays),) if case.as_list else arrays


def outputs(layer: Any, given: tuple[Any, ...]) -> list[np.ndarray]:
    """All that a call gives, end to end."""

    def leaves(value: Any) -> list[np.ndarray]:
        return [array for part in parts(value) for array in (leaves(part) if isinstance(part, tuple) else [part])]

    return leaves(layer(*given))


def same(a: Any, b: Any, given: tuple[Any, ...]) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(outputs(a, given), outputs(b, given), strict=True))


def duplicate(layer: Any, copier: str, folder: Any) -> Any:
    if copier == "deepcopy":
        return copy.deepcopy(layer)
    if copier == "pickle":
        return pickle.loads(pickle.dumps(layer))
    if copier == "file":
        layer.save(folder / "layer")
        return rf.load(folder / "layer")
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    again.set_weights(layer.get_weights())
    return again


def test_every_layer_has_a_case():
    public = {name for name in rf.layers.__all__ if inspect.isclass(getattr(rf.layers, name))}
    layers = {name for name in public if issubclass(getattr(rf.layers, name), rf.layers.Layer)}
    assert layers - {"Layer", "StatefulLayer"} == set(_LAYERS)
    assert set(CASES) == set(_LAYERS)


@pytest.mark.parametrize("name", CASES)
def test_cases_cover_every_argument(name):
    arguments, given = takes(name), [pair for case in CASES[name] for pair in case.arguments.items()]
    covered = {argument for argument, value in given if value != arguments[argument].default}
    elsewhere = FIRST_VALUES | DECODERS | {"dtype"}
    assert covered | elsewhere == set(arguments) | elsewhere


@each_layer
def test_a_config_holds_the_arguments(name, i):
    config, arguments = make(name, i).get_config(), CASES[name][i].arguments
    usual = takes(name)
    for argument, value in arguments.items():
        if argument in config and not callable(value) and not isinstance(value, rf.Cell):
            assert json.dumps(config[argument]) == json.dumps(value)
        elif argument not in config:
            assert value == usual[argument].default
    assert config == json.loads(json.dumps(config))


@dtypes
@each_layer
def test_sizes_dtype_and_summary(name, i, dtype, capsys):
    layer, case = make(name, i, dtype), CASES[name][i]
    assert layer.num_params == case.num_params
    assert sum(array.size for array in layer.params.values()) == case.num_params
    assert (layer.dtype == dtype) if case.num_params else (layer.dtype in (None, dtype))
    assert all(array.dtype == dtype for array in (*layer.get_weights(), *outputs(layer, inputs(name, i, dtype))))
    layer.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith(name)
    kept = sum(array.size for array in layer.buffers.values())
    assert lines[-1].startswith(f"{case.num_params + kept:,} parameters")
    assert name in repr(layer)


@dtypes
@copiers
@each_layer
def test_copies_are_equal_and_apart(name, i, copier, dtype, tmp_path):
    layer, given = make(name, i, dtype), inputs(name, i, dtype)
    assert any(np.abs(array).max() > 0 for array in outputs(layer, given))
    again = duplicate(layer, copier, tmp_path)
    assert type(again) is type(layer)
    assert same(layer, again, given)
    assert again.get_config() == layer.get_config()
    assert again.dtype == layer.dtype
    assert list(again.params) == list(layer.params)
    before = layer.get_weights()
    again.set_weights([array + 1 for array in again.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    assert not (before and same(layer, again, given))


@each_layer
def test_a_backward_works_once(name, i):
    layer = make(name, i)
    y, backward = layer.forward(*inputs(name, i), **({} if name.endswith("Cell") else {"rng": 1}))
    dy = np.ones_like(y[0] if isinstance(y, tuple) else y)
    dy = (dy, dy) if name == "LSTMCell" else dy
    backward(dy)
    grads = {key: np.array(value) for key, value in layer.grads.items()}
    with pytest.raises(RuntimeError, match="works once"):
        backward(dy)
    assert all(np.array_equal(layer.grads[key], value) for key, value in grads.items())


@copiers
@each_layer
def test_what_is_frozen_stays_frozen(name, i, copier, tmp_path):
    layer = make(name, i)
    layer.unfreeze()
    names = list(layer.params)
    for chosen in ([], names[:1], names[1:], names):
        layer.unfreeze()
        if chosen:
            layer.freeze(*chosen)
        again = duplicate(layer, copier, tmp_path)
        assert again.frozen_names == layer.frozen_names == chosen
        assert again.frozen == (chosen == names != [])


def nested_sequential(dtype: str) -> Any:
    words = rf.Embedding(7, 3, dtype=dtype)
    shared = rf.Linear(4, 4, dtype=dtype)
    inner = rf.Sequential(rf.GRU(4, 2, bidirectional=True, dtype=dtype), rf.BatchNorm(4, dtype=dtype), shared)
    last = rf.Sequential(rf.Dropout(0.1), rf.Linear(4, 3, dtype=dtype), rf.Linear(3, 7, tied=words, dtype=dtype))
    return rf.Sequential(words, rf.LSTM(3, 4, dtype=dtype), shared, inner, last)


def graph(dtype: str) -> Any:
    network = rf.Graph({"x": ("B", "T")})
    words = network.add(nested_sequential(dtype), "x", name="nested")
    states = network.add(rf.RNN(7, 5, dtype=dtype), words)
    both = network.add(rf.Concatenate(), [words, states])
    network.outputs(network.add(rf.Linear(12, 2, dtype=dtype), both))
    return network


def masked(dtype: str) -> Any:
    words, cells = rf.Embedding(7, 3, dtype=dtype), rf.GRU(4, 3, bidirectional=True, merge="sum", dtype=dtype)
    lstm, last = rf.LSTM(3, 4, padding="hold", dtype=dtype), rf.Linear(3, 7, dtype=dtype)
    return rf.MaskedSequential(words, lstm, rf.BatchNorm(4, dtype=dtype), cells, last, masks={0: 0, 1: -70000.5})


MODELS = {"Sequential": nested_sequential, "Graph": graph, "MaskedSequential": masked}
PARTS = {"Bridge", "Decoder", "Encoder", "Seq2Seq"}  # of tests/models/seq2seq, which copies them


@dtypes
@copiers
@pytest.mark.parametrize("name", sorted(set(_MODELS) - PARTS))
def test_models_are_copied_with_all_inside(name, copier, dtype, tmp_path):
    model, x = randomise(MODELS[name](dtype)), (np.random.default_rng(0).integers(0, 7, (4, 5)),)
    names = [name for name in model.params if "weight_hh" in name]
    assert len(names) >= 3
    model.freeze(*names)
    for buffer, array in model.buffers.items():
        model.buffers[buffer] = np.arange(1, array.size + 1)
    again = duplicate(model, copier, tmp_path)
    assert type(again) is type(model)
    assert same(model, again, x)
    assert again.get_config() == model.get_config()
    assert again.frozen_names == names
    assert list(again.params) == list(model.params)
    assert again.num_params == model.num_params == again.flat_data.size
    assert again.dtype == dtype
    before = model.flat_data.copy()
    again.set_weights([array + 1 for array in again.get_weights()])
    assert np.array_equal(model.flat_data, before)
    assert not same(model, again, x)
