"""RNN, LSTM and GRU layers: gradients, parity with PyTorch, states, axes, copies. Kernels are tested in kernels/."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from checks import awkward, same_bits
from checks_torch import RECORDS, make_record
from layer_checks import check_layer_gradients, flatten, randomise

import rnnfast as rf

KINDS = {
    "rnn_tanh": (rf.RNN, {}),
    "rnn_relu": (rf.RNN, {"activation": "relu"}),
    "rnn_identity": (rf.RNN, {"activation": "identity"}),
    "lstm": (rf.LSTM, {}),
    "gru": (rf.GRU, {}),
    "gru_before": (rf.GRU, {"reset": "before"}),
    "gru_new": (rf.GRU, {"update": "new"}),
}
kinds = pytest.mark.parametrize("kind", KINDS)
GOLDEN = Path(__file__).parents[1] / "golden"


def make(kind, I=3, H=5, layers=1, seed=1, **options):  # noqa: E741
    cls, more = KINDS[kind]
    return randomise(cls(I, H, layers, **({"dtype": "float64"} | more | options)), seed)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, shape) * np.random.default_rng(seed + 1).choice([-1, 1], shape)


def draw_state(layer, B):
    rows = layer.num_layers * layer.num_directions
    h, c = draw(rows, B, layer.hidden_size, seed=5), draw(rows, B, layer.hidden_size, seed=7)
    return (h, c) if isinstance(layer, rf.LSTM) else h


@kinds
@pytest.mark.parametrize(
    ("layers", "options"),
    [
        (1, {}),
        (2, {"bidirectional": True}),
        (2, {"bidirectional": True, "bias": "double"}),
        (3, {"dropout": 0.4, "bias": False}),
    ],
    ids=["single", "stack", "double", "dropout"],
)
def test_every_gradient(kind, layers, options):
    layer = make(kind, layers=layers, **options)
    if kind == "rnn_relu":  # keep every unit away from the kink
        for name, value in list(layer.params.items()):
            layer.params[name] = np.abs(value)
        check_layer_gradients(layer, np.abs(draw(2, 4, 3)), state=np.abs(draw_state(layer, 2)), rng=3)
        return
    check_layer_gradients(layer, draw(2, 4, 3), state=draw_state(layer, 2), rng=3)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"rnn_relu"}))  # its kink would spoil differences
def test_every_gradient_of_a_ragged_batch(kind):
    layer = make(kind, layers=2, bidirectional=True)
    check_layer_gradients(layer, draw(4, 5, 3), state=draw_state(layer, 4), lengths=[3, 0, 5, 1])


@pytest.mark.parametrize("source", ["golden", "live"])
@pytest.mark.parametrize("name", RECORDS)
def test_parity_with_pytorch(name, source):
    if source == "live":
        pytest.importorskip("torch")
        record = make_record(name, seed=11)
    else:
        record = dict(np.load(GOLDEN / f"{name}.npz"))
    cell, activation, layers, directions = RECORDS[name]
    x = record["x"]
    layer = {"rnn": rf.RNN, "lstm": rf.LSTM, "gru": rf.GRU}[cell](
        x.shape[2],
        record["weight_hh_l0"].shape[1],
        layers,
        bias="double",
        bidirectional=directions == 2,
        dtype="float64",
        **({"activation": activation} if cell == "rnn" else {}),
    )
    for key in layer.params:
        layer.params[key] = record[key]

    def pick(what):
        return (record[f"{what}_h"], record[f"{what}_c"]) if cell == "lstm" else record[f"{what}_h"]

    (y, final), backward = layer.forward(x, pick("state"), lengths=record.get("lengths"))
    dx, dstate = backward(record["dy"], pick("dstate"))
    pairs = [(y, record["y"]), (dx, record["dx"]), *zip(flatten(final), flatten(pick("final")), strict=True)]
    pairs += zip(flatten(dstate), flatten(pick("initial")), strict=True)
    pairs += [(layer.grads[key], record[f"d{key}"]) for key in layer.params]
    for got, wanted in pairs:
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_axes_states_and_chunks(kind, dtype):
    layer = make(kind, layers=2, dtype=dtype)
    x, state = draw(3, 6, 3).astype(dtype), draw_state(layer, 3)
    y, after = layer(x, state)
    assert y.shape == (3, 6, 5)
    assert all(part.shape == (2, 3, 5) for part in flatten(after))
    major, after_major = layer(x.transpose(1, 0, 2), state, time_major=True)
    assert same_bits(np.ascontiguousarray(major.transpose(1, 0, 2)), y)
    assert all(same_bits(a, b) for a, b in zip(flatten(after), flatten(after_major), strict=True))
    first, middle = layer(x[:, :2], state)
    second, end = layer(x[:, 2:], middle)
    assert same_bits(np.concatenate([first, second], 1), y)
    assert all(same_bits(a, b) for a, b in zip(flatten(after), flatten(end), strict=True))
    one = tuple(part[:, 1] for part in state) if isinstance(state, tuple) else state[:, 1]
    alone, after_alone = layer(x[1], one)
    assert same_bits(alone, y[1])
    assert all(same_bits(a, b[:, 1]) for a, b in zip(flatten(after_alone), flatten(after), strict=True))
    (trained, _), _ = layer.forward(x, state)
    assert same_bits(trained, y)


@kinds
def test_unbatched_and_time_major_gradients(kind):
    layer = make(kind, bidirectional=True)
    x, dy = draw(2, 4, 3), draw(2, 4, 10, seed=3)
    (_, _), backward = layer.forward(x)
    dx, _ = backward(dy)
    wanted = layer.grads["weight_hh_l0"].copy()
    layer.zero_grad()
    (_, _), backward = layer.forward(x.transpose(1, 0, 2), time_major=True)
    assert same_bits(np.ascontiguousarray(backward(dy.transpose(1, 0, 2))[0].transpose(1, 0, 2)), dx)
    assert same_bits(layer.grads["weight_hh_l0"], wanted)
    (y, state), backward = layer.forward(x[1])
    alone, dstate = backward(dy[1], state)
    assert y.shape == (4, 10)
    assert alone.shape == (4, 3)
    assert all(part.shape == (2, 5) for part in flatten(dstate))
    np.testing.assert_allclose(layer(x[1], lengths=3)[0][:3], layer(x[1, :3])[0], atol=1e-15)


@kinds
def test_any_input_and_output_memory(kind):
    layer = make(kind, bidirectional=True)
    x = draw(3, 4, 3)
    wanted, _ = layer(x)
    for what, same in awkward(x):
        assert same_bits(layer(same)[0], wanted), what
    for what, out in awkward(np.zeros((3, 4, 10))):
        if out.flags.writeable:
            given, _ = layer(x, out=out)
            assert given is out
            assert same_bits(np.ascontiguousarray(out), wanted), what
    buffer = draw(3, 4, 10)
    wanted, _ = layer(buffer[..., :3].copy())
    assert same_bits(np.ascontiguousarray(layer(buffer[..., :3], out=buffer)[0]), wanted)


def test_what_the_caller_does_to_y_changes_nothing():
    layer = make("lstm", layers=2)
    x, dy = draw(2, 4, 3), draw(2, 4, 5, seed=3)
    (_, _), backward = layer.forward(x)
    wanted, _ = backward(dy)
    (y, (h, c)), backward = layer.forward(x)
    for array in (y, h, c):
        array.fill(np.nan)
    assert same_bits(backward(dy)[0], wanted)


def test_backward_once_and_on_the_same_parameters():
    layer = make("gru")
    (y, _), backward = layer.forward(draw(2, 4, 3))
    backward(np.ones_like(y))
    before = layer.grads["weight_ih_l0"].copy()
    with pytest.raises(RuntimeError, match="once"):
        backward(np.ones_like(y))
    (y, _), backward = layer.forward(draw(2, 4, 3))
    layer.params["bias_l0"] = np.zeros(15)
    with pytest.raises(RuntimeError, match="changed"):
        backward(np.ones_like(y))
    assert same_bits(layer.grads["weight_ih_l0"], before)


def test_gradients_add_up_or_go_where_they_are_told():
    layer, x, dy = make("lstm", bias="double"), draw(2, 4, 3), draw(2, 4, 5, seed=3)
    given: dict = {}
    layer.forward(x)[1](dy, grads=given)
    assert set(given) == set(layer.params)
    assert not layer.grads["weight_ih_l0"].any()
    layer.forward(x)[1](dy)
    layer.forward(x)[1](dy, grads=given)
    layer.forward(x)[1](dy)
    for name, value in layer.grads.items():
        np.testing.assert_allclose(value, given[name], rtol=1e-15)
    assert given["bias_ih_l0"] is not given["bias_hh_l0"]
    assert layer.forward(x)[1](dy, need_dx=False)[0] is None


def test_packed_weights_are_never_stale():
    layer, x = make("lstm"), draw(2, 4, 3)
    before, _ = layer(x)
    layer.params["weight_hh_l0"] = -np.array(layer.params["weight_hh_l0"])
    changed, _ = layer(x)
    assert not same_bits(changed, before)
    fresh = make("lstm")
    for name, value in layer.params.items():
        fresh.params[name] = value
    assert same_bits(fresh(x)[0], changed)
    (y, _), backward = layer.forward(x)
    backward(np.ones_like(y))
    rf.SGD(0.1).step(layer)
    assert not same_bits(layer(x)[0], changed)
    with pytest.raises(ValueError, match="read-only"):
        layer.params["weight_hh_l0"][0, 0] = 1.0


@kinds
def test_copies(kind):
    layer, x = make(kind, layers=2, bidirectional=True, bias="double"), draw(2, 4, 3)
    wanted, _ = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert same_bits(twin(x)[0], wanted)
        twin.params["weight_ih_l0"] = np.zeros_like(twin.params["weight_ih_l0"])
        assert not same_bits(twin(x)[0], wanted)
        assert same_bits(layer(x)[0], wanted)
        assert twin.config() == layer.config()
    assert type(layer)(**layer.config()).block.shapes == layer.block.shapes


def test_dropout_is_between_layers_and_only_while_training():
    layer, x = make("gru", layers=2, dropout=0.5, H=40), draw(4, 3, 3)
    still = make("gru", layers=2, H=40)
    assert same_bits(layer(x)[0], still(x)[0])
    (a, _), _ = layer.forward(x, rng=1)
    (b, _), _ = layer.forward(x, rng=1)
    (c, _), _ = layer.forward(x, rng=2)
    assert same_bits(a, b)
    assert not same_bits(a, c)
    (alone, _), _ = layer.forward(x[:2], rng=1)
    assert same_bits(alone, a[:2])
    (single, _), _ = make("gru", dropout=0.5).forward(x, rng=1)
    assert same_bits(single, make("gru")(x)[0])


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (rf.RNN(50, 128), 128 * 128 + 128 * 50 + 128),
        (rf.LSTM(50, 128), 4 * (128 * 128 + 128 * 50 + 128)),
        (rf.GRU(50, 128, reset="before"), 3 * (128 * 128 + 128 * 50 + 128)),
        (rf.GRU(50, 128), 3 * (128 * 128 + 128 * 50 + 128) + 128),
        (rf.GRU(50, 128, bias="double"), 3 * (128 * 128 + 128 * 50 + 2 * 128)),
        (rf.LSTM(50, 64, bidirectional=True), 2 * 4 * (64 * 64 + 64 * 50 + 64)),
        (rf.LSTM(50, 64, bias=False), 4 * (64 * 64 + 64 * 50)),
    ],
)
def test_parameter_counts(layer, count):
    assert layer.num_params == count


def test_first_values():
    layer = rf.LSTM(20, 30, num_layers=2, bidirectional=True, seed=0)
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        R = layer.params[f"weight_hh_{suffix}"].reshape(4, 30, 30)
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(30), (4, 30, 30)), atol=1e-6)
        assert np.array_equal(layer.params[f"bias_{suffix}"], np.repeat([0, 1, 0, 0], 30))
        W = layer.params[f"weight_ih_{suffix}"]
        assert 0.9 < np.abs(W).max() / np.sqrt(6 / (W.shape[1] + 30)) <= 1
    assert same_bits(rf.GRU(3, 4, seed=5).params["weight_ih_l0"], rf.GRU(3, 4, seed=5).params["weight_ih_l0"])


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (0, 0, 3), (0, 3)])
@kinds
def test_nothing_to_do(kind, shape):
    layer = make(kind, bidirectional=True)
    x = np.zeros(shape)
    (y, state), backward = layer.forward(x)
    assert y.shape == (*shape[:-1], 10)
    assert not any(part.any() for part in flatten(state))
    dx, _ = backward(y)
    assert dx.shape == shape
    assert not any(value.any() for value in layer.grads.values())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, x: m(x[..., :2]), ValueError, ["x", "(B, T, 3)", "(2, 4, 2)"]),
        (lambda m, x: m(x[0, 0]), ValueError, ["x", "(B, T, 3)", "(3,)"]),
        (lambda m, x: m(x.astype(complex)), TypeError, ["x", "complex"]),
        (lambda m, x: m(x.astype(object)), TypeError, ["x", "object"]),
        (lambda m, x: m(x, np.zeros((2, 2, 5))), ValueError, ["state", "pair"]),
        (lambda m, x: m(x, (np.zeros((1, 2, 5)), np.zeros((2, 5)))), ValueError, ["c of state", "(1, 2, 5)", "(2, 5)"]),
        (lambda m, x: m(x, lengths=[4]), ValueError, ["lengths", "(2,)", "(1,)"]),
        (lambda m, x: m(x, lengths=[4, 5]), ValueError, ["lengths", "0 to 4", "5"]),
        (lambda m, x: m(x, lengths=[4, -1]), ValueError, ["lengths", "0 to 4", "-1"]),
        (lambda m, x: m(x, lengths=[4.0, 1.0]), TypeError, ["lengths", "integers", "float64"]),
        (lambda m, x: m(x, out=np.zeros((2, 4, 6))), ValueError, ["out", "(2, 4, 5)", "(2, 4, 6)"]),
        (lambda m, x: m(x, out=np.zeros((2, 4, 5), "f")), TypeError, ["out", "float64", "float32"]),
        (lambda m, x: m.forward(x)[1](np.zeros((2, 4, 6))), ValueError, ["dy", "(2, 4, 5)", "(2, 4, 6)"]),
        (lambda m, x: m.forward(x)[1](None, np.zeros(3)), ValueError, ["dstate"]),
        (lambda m, x: rf.LSTM(0, 5), ValueError, ["input_size", "0"]),
        (lambda m, x: rf.LSTM(3, 5.5), TypeError, ["hidden_size", "5.5"]),
        (lambda m, x: rf.LSTM(3, 5, dropout=1.0), ValueError, ["dropout", "1.0"]),
        (lambda m, x: rf.LSTM(3, 5, bias="both"), ValueError, ["bias", "both"]),
        (lambda m, x: rf.LSTM(3, 5, dtype="float16"), ValueError, ["dtype", "float16"]),
        (lambda m, x: rf.GRU(3, 5, reset="never"), ValueError, ["reset", "never"]),
        (lambda m, x: rf.RNN(3, 5, activation="swish"), ValueError, ["activation", "swish"]),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error) as caught:
        call(make("lstm"), draw(2, 4, 3))
    assert all(word in str(caught.value) for word in words), caught.value
