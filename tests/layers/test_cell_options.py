"""The options of cells in layers: gradients, streams, files, threads, and what is refused."""

import copy

import numpy as np
import pytest
from layer_checks import randomise
from recurrent_checks import draw, draw_state

import rnnfast as rf

HARD = ("hard_sigmoid", 0.3, 0.45)
LSTM_ALL = {
    "peephole": True,
    "proj_size": 4,
    "clip": 1.5,
    "cell_clip": 0.9,
    "activation": "softsign",
    "recurrent_activation": HARD,
    "layer_norm": True,
    "zoneout": (0.2, 0.4),
    "recurrent_dropout": 0.25,
}
LAYERS = {
    "lstm": (rf.LSTM, LSTM_ALL),
    "lstm, coupled": (rf.LSTM, {"coupled": True, "peephole": True, "layer_norm": True, "zoneout": 0.2}),
    "lstm, projected": (rf.LSTM, {"proj_size": 7}),
    "gru": (
        rf.GRU,
        {"layer_norm": True, "clip": 1.2, "activation": ("elu", 0.7), "zoneout": 0.3, "recurrent_dropout": 0.3},
    ),
    "gru, before": (rf.GRU, {"reset": "before", "recurrent_dropout": 0.3, "update": "new"}),
    "mgu": (rf.MGU, {"zoneout": 0.2, "recurrent_dropout": 0.3}),
    "indrnn": (rf.IndRNN, {"activation": "elu", "recurrent_dropout": 0.3}),
    "rnn": (rf.RNN, {"activation": ("leaky_relu", 0.3), "clip": 1.1, "zoneout": 0.2}),
}
layers = pytest.mark.parametrize("name", LAYERS)


def make(name, I=3, H=5, num_layers=1, **more):  # noqa: E741 - as in the equations
    cls, options = LAYERS[name]
    return randomise(cls(I, H, num_layers, **{"dtype": "float64", **options, **more}))


def state_of(layer, B):
    if not isinstance(layer, rf.LSTM):
        return draw_state(layer, B)
    D = layer.num_layers * (1 + layer.bidirectional)
    width = layer._directions[0].output_size
    return draw(D, B, width, seed=5), draw(D, B, layer.hidden_size, seed=7)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


@layers
@pytest.mark.parametrize("bias", [True, False, "double"])
def test_gradients(name, bias):
    layer = make(name, I=2, H=3, num_layers=2, bidirectional=bias is True, bias=bias)
    rf.testing.check_gradients(layer, draw(4, 3, 2), state_of(layer, 4), lengths=[3, 0, 2, 1], samples=12)


@layers
def test_with_the_options_of_the_grid(name):
    dropped = {"dropout": 0.2, "input_dropout": 0.2, "weight_drop": 0.3}
    layer = make(name, I=2, H=3, num_layers=2, bidirectional=True, merge="sum", learned_state=True, **dropped)
    mask = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 1]], bool)
    rf.testing.check_gradients(layer, draw(3, 4, 2), mask=mask, samples=12)


@layers
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stream_has_the_bits_of_the_whole(name, dtype):
    layer = make(name, I=5, H=11, num_layers=2, dtype=dtype)
    x = draw(3, 8, 5).astype(dtype)
    y, state = layer(x)
    stream = layer.stream(3)
    for t in range(4):
        np.testing.assert_array_equal(stream(x[:, t]), y[:, t])
    snapshot = stream.snapshot()
    for _ in range(2):
        for t in range(4, 8):
            np.testing.assert_array_equal(stream(x[:, t]), y[:, t])
        stream.restore(snapshot)
    first, carried = layer(x[:, :3])
    second, final = layer(x[:, 3:], carried)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), y)
    for ours, whole in zip(parts(final), parts(state), strict=True):
        np.testing.assert_array_equal(ours, whole)


@layers
def test_a_file_a_copy_and_the_config_give_it_back(name, tmp_path):
    layer = make(name, num_layers=2)
    x = draw(2, 4, 3)
    y, _ = layer(x)
    layer.save(tmp_path / "layer.safetensors")
    for other in (rf.load(tmp_path / "layer.safetensors"), copy.deepcopy(layer)):
        np.testing.assert_array_equal(other(x)[0], y)
    again = type(layer)(**layer.config())
    assert [array.shape for array in again.params.values()] == [array.shape for array in layer.params.values()]


@layers
def test_threads_and_the_rest_of_the_batch_change_no_bit(name):
    layer = make(name, I=20, H=40, bidirectional=True)
    x, dy = draw(24, 30, 20), draw(24, 30, layer.output_size, seed=9)
    results = []
    before = rf.get_num_threads()
    try:
        for threads in (1, 2, 3):
            rf.set_num_threads(threads)
            layer.zero_grad()
            (y, _), backward = layer.forward(x, rng=3)
            dx, _ = backward(dy)
            results.append([y, dx, *(np.array(grad) for grad in layer.grads.values())])
    finally:
        rf.set_num_threads(before)
    for other in results[1:]:
        for ours, first in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(ours, first)
    np.testing.assert_array_equal(layer.forward(x[:7], rng=3)[0][0], results[0][0][:7])


def test_zoneout_and_recurrent_dropout_draw_anew_with_each_key():
    layer = make("lstm", H=32)
    x = draw(3, 20, 3)
    first, again, other = (layer.forward(x, rng=rng)[0][0] for rng in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_explain_and_first_values():
    layer = rf.LSTM(3, 8, proj_size=5, peephole=True, layer_norm=True, coupled=True, seed=0)
    assert layer.num_params == 3 * 8 * (3 + 5 + 1) + 5 * 8 + 2 * 8 + 2 * 24 + 16
    np.testing.assert_array_equal(layer.params["norm_hh_l0"], 1)
    np.testing.assert_array_equal(layer.params["bias_l0"][:8], -1)
    weights = layer.params["weight_hh_l0"][:8].astype(float)
    np.testing.assert_allclose(weights.T @ weights, np.eye(5), atol=1e-6)
    plan = layer.explain(4, 10)
    assert plan.operations == 2 * 40 * (24 * (3 + 5) + 5 * 8)
    assert plan.output == 4 * 10 * 5 * 4


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (rf.GRU, {"reset": "before", "layer_norm": True}, "reset='after'"),
        (rf.GRU, {"update": "new", "recurrent_activation": "tanh"}, "f\\(-a\\) = 1 - f\\(a\\)"),
        (rf.LSTM, {"clip": -1.0}, "clip must be positive"),
        (rf.LSTM, {"clip": float("inf")}, "finite number"),
        (rf.LSTM, {"zoneout": 1.0}, "zoneout"),
        (rf.LSTM, {"zoneout": (0.1, 0.2, 0.3)}, "a pair of them"),
        (rf.GRU, {"zoneout": (0.1, 0.2)}, "zoneout must be a number"),
        (rf.RNN, {"activation": 3}, "activation must be one of"),
        (rf.LSTM, {"activation": ("elu", "a")}, "activation must be a number"),
        (rf.LSTM, {"activation": ("elu", float("nan"))}, "finite"),
        (rf.LSTM, {"peephole": "no"}, "peephole must be True or False"),
        (rf.RNN, {"activation": ()}, "activation must be one of"),
        (rf.RNN, {"recurrent_dropout": -0.1}, "recurrent_dropout"),
        (rf.RNN, {"activation": "swish"}, "activation must be one of"),
        (rf.RNN, {"activation": ("tanh", 0.5)}, "has 0 parameters"),
        (rf.LSTM, {"proj_size": -2}, "proj_size"),
        (rf.LSTM, {"activation": ("leaky_relu", -0.5)}, "slope"),
    ],
)
def test_what_is_refused(cls, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cls(3, 4, **options)


@pytest.mark.parametrize(("size", "projection"), [(6, 3), (17, 5)])
def test_projection_is_pytorchs(size, projection):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LSTM(4, size, 2, proj_size=projection, bidirectional=True, batch_first=True, dtype=torch.float64)
    ours = rf.LSTM(4, size, 2, proj_size=projection, bidirectional=True, bias="double", dtype="float64")
    for name, value in theirs.named_parameters():
        ours.params[name] = value.detach().numpy()
    x = draw(3, 7, 4)
    x_torch = torch.tensor(x, requires_grad=True)
    expected, (h, c) = theirs(x_torch)
    ((y, state), backward) = ours.forward(x)
    for got, wanted in ((y, expected), (state.h, h), (state.c, c)):
        np.testing.assert_allclose(got, wanted.detach().numpy(), atol=1e-12)
    dy = draw(*y.shape, seed=3)
    dx, _ = backward(dy)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(dx, x_torch.grad.numpy(), atol=1e-12)
    for name, value in theirs.named_parameters():
        np.testing.assert_allclose(ours.grads[name], value.grad.numpy(), atol=1e-11)
