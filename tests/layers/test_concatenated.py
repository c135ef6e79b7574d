"""The lecture notes' weights, in and out, and the formulas that they stand in."""

import checks
import numpy as np
import pytest

import rnnfast as rf
from rnnfast import equations

I, H = 3, 4  # noqa: E741


def draw(*shape):
    rng = np.random.default_rng(list(shape))
    return rng.uniform(-1, 1, shape)


def notes(cell, bias=True):
    """Weights under the notes' names."""
    names = {"lstm": "f i C o", "gru": "z r ", "rnn": "hh xh"}[cell].split(" ")
    rng = np.random.default_rng(5)
    shapes = {"W_hh": (H, H), "W_xh": (H, I)}
    weights = {}
    for name in names:
        key = f"W_{name}" if name else "W"
        weights[key] = rng.uniform(-1, 1, shapes.get(key, (H, H + I)))
    biases = ["b_h"] if cell == "rnn" else [f"b_{name}" if name else "b" for name in names]
    return weights | {name: rng.uniform(-1, 1, H) for name in biases if bias}


def fill(layer, weights, **how):
    suffix = how.get("suffix", "_l0")
    for name, array in rf.from_concat(layer.cell, weights, **{"suffix": suffix, **how}).items():
        layer.params[name] = array
    return layer


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_there_and_back_bit_for_bit(cell, bias, dtype):
    options = {"reset": "before", "update": "new"} if cell == "gru" else {}
    layer = getattr(rf, cell.upper())(I, H, bias=bias, dtype=dtype, **options)
    weights = {name: array.astype(dtype) for name, array in notes(cell, bias).items()}
    back = rf.to_concat(fill(layer, weights))
    assert set(back) == set(weights)
    assert all(checks.same_bits(back[name], weights[name]) for name in weights)
    before = {name: array.copy() for name, array in layer.params.items()}
    after = rf.from_concat(cell, back, suffix="_l0")
    assert set(after) == set(before)
    assert all(checks.same_bits(after[name], before[name]) for name in before)


def test_lstm_equals_the_notes_formulas():
    w = notes("lstm")
    layer = fill(rf.LSTM(I, H, dtype="float64"), w)
    x, h, c = draw(2, 5, I), draw(2, H), draw(2, H) / 2
    y, state = layer(x, (h[None], c[None]))
    for t in range(5):
        hx = np.concatenate([h, x[:, t]], axis=1)
        f, i, o = (sigmoid(hx @ w[f"W_{k}"].T + w[f"b_{k}"]) for k in "fio")
        c = f * c + i * np.tanh(hx @ w["W_C"].T + w["b_C"])
        h = o * np.tanh(c)
        assert checks.max_error(y[:, t], h) < 1e-12
    assert checks.max_error(state.c[0], c) < 1e-12


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("update", ["new", "keep"])
def test_gru_equals_the_notes_formulas(update, bias):
    w = notes("gru", bias)
    layer = fill(rf.GRU(I, H, reset="before", update=update, bias=bias, dtype="float64"), w, update=update)
    back = rf.to_concat(layer)
    assert all(checks.same_bits(back[name], w[name]) for name in w)
    x, h = draw(2, 5, I), draw(2, H)
    y, _ = layer(x, h[None])
    for t in range(5):
        hx = np.concatenate([h, x[:, t]], axis=1)
        z, r = sigmoid(hx @ w["W_z"].T + w.get("b_z", 0)), sigmoid(hx @ w["W_r"].T + w.get("b_r", 0))
        new = np.tanh(np.concatenate([r * h, x[:, t]], axis=1) @ w["W"].T + w.get("b", 0))
        h = (1 - z) * h + z * new
        assert checks.max_error(y[:, t], h) < 1e-12


def test_rnn_equals_the_notes_formula_with_a_bias_column():
    w = notes("rnn")
    layer = fill(rf.RNN(I, H, dtype="float64"), {**w, "b_h": w["b_h"][:, None]})
    x, h = draw(2, 1, I), draw(2, H)
    wanted = np.tanh(h @ w["W_hh"].T + x[:, 0] @ w["W_xh"].T + w["b_h"])
    assert checks.max_error(layer(x, h[None])[0][:, 0], wanted) < 1e-12


def test_other_layers_directions_and_cells():
    w = notes("lstm")
    layer = rf.LSTM(I, H, 2, bidirectional=True, dtype="float64", seed=0)
    fill(layer, w, suffix="_l0_reverse")
    assert checks.same_bits(rf.to_concat(layer, suffix="_l0_reverse")["W_f"], w["W_f"])
    assert not np.array_equal(rf.to_concat(layer)["W_f"], w["W_f"])
    assert rf.to_concat(layer, suffix="_l1")["W_o"].shape == (H, H + 2 * H)
    cell = fill(rf.LSTMCell(I, H, dtype="float64"), w, suffix="")
    assert checks.same_bits(rf.to_concat(cell)["b_C"], w["b_C"])


def test_a_pair_of_biases_is_summed():
    layer = rf.LSTM(I, H, bias="double", dtype="float64")
    layer.params["bias_ih_l0"], layer.params["bias_hh_l0"] = draw(4 * H), draw(4 * H) + 1
    assert checks.max_error(rf.to_concat(layer)["b_i"], 2 * draw(4 * H)[:H] + 1) == 0


def test_the_result_is_the_callers():
    layer = rf.LSTM(I, H, dtype="float64", seed=0)
    rf.to_concat(layer)["W_f"][:] = 9
    assert not (layer.params["weight_ih_l0"] == 9).any()
    w = notes("rnn")
    rf.from_concat("rnn", w)["weight_hh"][:] = 9
    assert not (w["W_hh"] == 9).any()


def test_plain_equations_take_the_parameters():
    w = notes("gru")
    named = equations.step("gru", rf.from_concat("gru", w), draw(2, I), draw(2, H), reset="before", update="new")
    hx = np.concatenate([draw(2, H), draw(2, I)], axis=1)
    assert checks.max_error(named["r"], sigmoid(hx @ w["W_r"].T + w["b_r"])) < 1e-13


@pytest.mark.parametrize(
    ("cell", "change", "says"),
    [
        ("lstm", {"W_o": None}, "weights of the lstm must be W_i, W_f, W_C, W_o, and all or none of"),
        ("lstm", {"b_o": None}, "all or none of b_i, b_f, b_C, b_o"),
        ("gru", {"W_h": np.ones((H, H + I))}, "got W_z, W_r, W, b_z, b_r, b, W_h"),
        ("lstm", {"W_o": np.ones((H, H))}, r"W_o must have shape \(4, 7\), as W_i has \(4, 7\); got \(4, 4\)"),
        ("lstm", {"b_f": np.ones(H + 1)}, r"b_f must have shape \(4,\)"),
        ("rnn", {"W_xh": np.ones((H + 1, I))}, r"W_xh must have shape \(4, 3\)"),
        ("rnn", {"W_hh": np.ones((H, I))}, "W_hh must have 4 columns"),
        ("lstm", {k: np.ones((H, 2)) for k in ("W_f", "W_i", "W_C", "W_o")}, "at least 4 columns"),
        ("lstm", {k: np.ones(H) for k in ("W_f", "W_i", "W_C", "W_o")}, "W_i must have shape"),
    ],
)
def test_weights_that_do_not_fit_are_refused(cell, change, says):
    weights = {name: array for name, array in (notes(cell) | change).items() if array is not None}
    with pytest.raises(ValueError, match=says):
        rf.from_concat(cell, weights)


def test_what_has_no_such_form_is_refused():
    with pytest.raises(ValueError, match="make it with reset='before'"):
        rf.to_concat(rf.GRU(I, H))
    with pytest.raises(ValueError, match="there is no weight_ih_l3"):
        rf.to_concat(rf.LSTM(I, H), suffix="_l3")
    with pytest.raises(TypeError, match="layer must be an RNN, LSTM or GRU, or the cell of one, got Linear"):
        rf.to_concat(rf.Linear(2, 2))
    with pytest.raises(ValueError, match="cell must be"):
        rf.from_concat("mgu", {})
    with pytest.raises(ValueError, match="update must be"):
        rf.from_concat("gru", {}, update="old")


@pytest.mark.parametrize(
    "layer",
    [rf.RNN(2, 3, activation="relu"), rf.LSTM(2, 3, clip=1.0), rf.LSTM(2, 3, zoneout=0.1)],
    ids=["activation", "clip", "zoneout"],
)
def test_a_cell_that_is_not_the_textbooks_is_refused(layer):
    with pytest.raises(ValueError, match=r"another function: (activation|clip|zoneout)="):
        rf.to_concat(layer)
