"""The lecture notes' equations, one test or more for each: E1 to E15."""

import re
from itertools import pairwise

import checks
import numpy as np
import pytest
from layer_checks import randomise

import rnnfast as rf
from rnnfast import equations

I, H, O = 3, 4, 2  # noqa: E741


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def layers_of(kind, **how):
    return randomise(getattr(rf, kind)(I, H, dtype="float64", **how))


class Freely(rf.Cell):
    """h_t = g(f1(x_t), f2(h_{t-1})) with g(a, b) = a * b + a, f1(x) = sin(A x), f2(h) = tanh(B h)."""

    def shapes(self):
        return {"A": (self.hidden_size, self.input_size), "B": (self.hidden_size, self.hidden_size)}

    def step(self, params, x, state):
        u = x @ params["A"].T
        a, b = np.sin(u), np.tanh(state @ params["B"].T)
        h = a * b + a
        return h, h, (x, state, u, a, b)

    def step_backward(self, params, saved, doutput, dstate):
        x, state, u, a, b = saved
        dh = doutput + dstate
        du, dv = dh * (b + 1) * np.cos(u), dh * a * (1 - b * b)
        return du @ params["A"], dv @ params["B"], {"A": du.T @ x, "B": dv.T @ state}


class NotesRNN:
    """The notes' RNN in NumPy: lists of column vectors, T + 1 states."""

    def __init__(self, params, readout):
        self.Wxh, self.Whh, self.bh = params["weight_ih_l0"], params["weight_hh_l0"], params["bias_l0"][:, None]
        self.Why, self.by = readout["weight"], readout["bias"][:, None]

    def forward(self, inputs, h):
        outputs, states = [], [h]
        for x in inputs:
            h = np.tanh(self.Wxh @ x + self.Whh @ h + self.bh)
            outputs.append(self.Why @ h + self.by)
            states.append(h)
        return outputs, states


def test_e1_any_f1_f2_and_g():
    layer = randomise(rf.CustomRNN(Freely(I, H), dtype="float64"))
    x, h0 = draw(2, 5, I), draw(1, 2, H)
    assert max(rf.testing.check_gradients(layer, x, h0, lengths=[5, 3]).values()) < 1e-6

    targets = np.cumsum(x[:, :, :1], axis=1)
    model = rf.Sequential(layer, rf.Linear(H, 1, dtype="float64", seed=0))
    losses = model.fit(x, targets, loss="mse", optimizer=rf.Adam(0.02), epochs=150, seed=0, verbose=False).history[
        "loss"
    ]
    assert losses[-1] < losses[0] / 10


def test_e2_e3_the_notes_rnn_and_its_output_at_every_step():
    layer, readout = layers_of("RNN"), randomise(rf.Linear(H, O, dtype="float64"), seed=1)
    assert set(layer.params) == {"weight_ih_l0", "weight_hh_l0", "bias_l0"}
    columns, h0 = draw(5, I, 1), draw(H, 1)
    outputs, states = NotesRNN(layer.params, readout.params).forward(list(columns), h0)
    y, final = layer(columns[None, :, :, 0], h0.T[None])
    assert checks.max_error(y[0], np.array(states[1:])[:, :, 0]) < 1e-12
    assert checks.max_error(final[0, 0], states[-1][:, 0]) < 1e-12
    out = readout(y)
    assert out.shape == (1, 5, O)
    assert checks.max_error(out[0], np.array(outputs)[:, :, 0]) < 1e-12
    assert (len(outputs), outputs[0].shape, len(states)) == (5, (O, 1), 6)


def test_e4_input_weights_with_a_bias_and_recurrent_ones_without():
    torch = pytest.importorskip("torch")
    W_xh, W_hh = torch.nn.Linear(I, H), torch.nn.Linear(H, H, bias=False)
    cell, layer = rf.RNNCell(I, H), rf.RNN(I, H)
    named = {"weight_ih": W_xh.weight, "weight_hh": W_hh.weight, "bias": W_xh.bias}
    for name, tensor in named.items():
        cell.params[name] = layer.params[f"{name}_l0"] = tensor.detach().numpy()
    x, h = draw(2, 5, I).astype(np.float32), draw(2, H).astype(np.float32)
    y, _ = layer(x, h[None])
    for t in range(5):
        with torch.no_grad():
            wanted = torch.tanh(W_xh(torch.from_numpy(x[:, t])) + W_hh(torch.from_numpy(h))).numpy()
        h = cell(x[:, t], h)
        assert checks.max_error(h, wanted) < 1e-6
        assert checks.max_error(y[:, t], wanted) < 1e-6


def notes_weights(names, columns, biases=True):
    weights = {name: draw(H, columns, seed=k) for k, name in enumerate(names)}
    return weights | {name.replace("W", "b"): draw(H, seed=k + 9) for k, name in enumerate(names) if biases}


def fill(layer, weights):
    for name, array in rf.from_concat(layer.cell, weights, suffix="_l0").items():
        layer.params[name] = array
    return layer


def test_e5_lstm_over_the_concatenation():
    w = notes_weights(["W_f", "W_i", "W_C", "W_o"], H + I)
    layer = fill(rf.LSTM(I, H, dtype="float64"), w)
    back = rf.to_concat(layer)
    assert set(back) == set(w)
    assert all(checks.same_bits(back[name], w[name]) for name in w)
    x, h, C = draw(2, 5, I), draw(2, H), draw(2, H, seed=1)
    y, state = layer(x, (h[None], C[None]))
    for t in range(5):
        hx = np.concatenate([h, x[:, t]], axis=1)
        f, i = sigmoid(hx @ w["W_f"].T + w["b_f"]), sigmoid(hx @ w["W_i"].T + w["b_i"])
        C = f * C + i * np.tanh(hx @ w["W_C"].T + w["b_C"])
        h = sigmoid(hx @ w["W_o"].T + w["b_o"]) * np.tanh(C)
        assert checks.max_error(y[:, t], h) < 1e-12
    assert checks.max_error(state.c[0], C) < 1e-12


@pytest.mark.parametrize("bias", [False, True])
def test_e6_e7_e8_gru_reset_before_new_state_by_z_with_and_without_biases(bias):
    w = notes_weights(["W_z", "W_r", "W"], H + I, bias)
    layer = fill(rf.GRU(I, H, reset="before", update="new", bias=bias, dtype="float64"), w)
    assert layer.num_params == 3 * (H * H + I * H + bias * H)
    back = rf.to_concat(layer)
    assert all(checks.same_bits(back[name], w[name]) for name in w)
    x, h0 = draw(2, 5, I), draw(2, H)
    y, _ = layer(x, h0[None])
    h = h0
    for t in range(5):
        hx = np.concatenate([h, x[:, t]], axis=1)
        z, r = sigmoid(hx @ w["W_z"].T + w.get("b_z", 0)), sigmoid(hx @ w["W_r"].T + w.get("b_r", 0))
        new = np.tanh(np.concatenate([r * h, x[:, t]], axis=1) @ w["W"].T + w.get("b", 0))
        h = (1 - z) * h + z * new
        assert checks.max_error(y[:, t], h) < 1e-12

    after = rf.GRU(I, H, reset="after", update="new", bias=bias, dtype="float64")
    keep = rf.GRU(I, H, reset="before", update="keep", bias=bias, dtype="float64")
    for name, array in layer.params.items():
        after.params[name] = array
        negated = array.copy()
        negated[H : 2 * H] *= -1  # z's block
        keep.params[name] = negated
    assert checks.max_error(after(x, h0[None])[0], y) > 0.01
    assert checks.max_error(keep(x, h0[None])[0], y) < 1e-12
    half_open = {name: array.copy() for name, array in layer.params.items()}
    for other in (layer, after):
        for name, array in half_open.items():
            array[:H] = 0  # r = 1/2 everywhere: half of R h, or R of half h, is the same
            other.params[name] = array
    assert checks.max_error(after(x, h0[None])[0], layer(x, h0[None])[0]) < 1e-12


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("RNN", {}),
        ("LSTM", {}),
        ("GRU", {"reset": "before", "update": "new"}),
        ("GRU", {"reset": "after", "update": "keep"}),
    ],
)
def test_e9_back_propagation_through_time(kind, how):
    layer = layers_of(kind, **how)
    h = draw(1, 2, H)
    errors = rf.testing.check_gradients(layer, draw(2, 6, I), (h, h / 2) if kind == "LSTM" else h, lengths=[6, 4])
    assert max(errors.values()) < 1e-6
    assert {"weight_ih_l0", "weight_hh_l0", "bias_l0", "x"} < set(errors)


def test_e10_the_gradient_summed_term_by_term():
    """dL_t/dW = Σ_k dL_t/dh_t (Π_{j=k+1..t} dh_j/dh_{j-1}) d⁺h_k/dW, d⁺ with h_{k-1} held: k from 1, not only 1."""
    layer, T = layers_of("RNN"), 5
    W, R = layer.params["weight_ih_l0"], layer.params["weight_hh_l0"]
    x, h0, dy = draw(T, I), draw(H), draw(T, H, seed=1)
    (y, _), backward = layer.forward(x[None], h0[None, None])
    backward(dy[None])
    states = [h0, *y[0]]
    total = {"weight_ih_l0": np.zeros_like(W), "weight_hh_l0": np.zeros_like(R), "bias_l0": np.zeros(H)}
    printed = np.zeros_like(R)  # the notes' formula: the product from k = 1, and dh_1/dW alone
    for t in range(1, T + 1):
        for k in range(1, t + 1):
            chain = dy[t - 1]
            for j in range(t, k, -1):
                chain = chain @ ((1 - states[j] ** 2)[:, None] * R)
            da = chain * (1 - states[k] ** 2)
            total["weight_ih_l0"] += np.outer(da, x[k - 1])
            total["weight_hh_l0"] += np.outer(da, states[k - 1])
            total["bias_l0"] += da
            if k == 1:
                printed += np.outer(da, h0)
    for name, wanted in total.items():
        assert checks.relative_error(layer.grads[name], wanted) < 1e-12
    assert checks.relative_error(printed, layer.grads["weight_hh_l0"]) > 0.1


def counted(capsys, *layers):
    """The numbers that a model's summary prints: one for each layer, then those of its last lines."""
    rf.Sequential(*layers).summary()
    *rows, total = capsys.readouterr().out.strip().split("\n")[2:]
    per_layer = [int(row.split()[-1].replace(",", "")) for row in rows if re.match(r"\d+ ", row)]
    return per_layer, [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", total)]


def test_e11_e12_counts_of_the_three_cells(capsys):
    h, x, y = 128, 50, 1
    recurrent = {}
    gru = {"reset": "before", "update": "new"}
    for kind, how, gates, wanted in (("RNN", {}, 1, 23_041), ("LSTM", {}, 4, 91_777), ("GRU", gru, 3, 68_865)):
        per_layer, (total,) = counted(capsys, getattr(rf, kind)(x, h, **how), rf.Last(), rf.Linear(h, y))
        assert total == gates * (h * h + x * h + h) + h * y + y == wanted
        recurrent[kind] = per_layer[0]
    assert recurrent["LSTM"] == 4 * recurrent["RNN"]
    assert recurrent["GRU"] == 3 * recurrent["RNN"]


def keras_lstm(*sizes):
    return [rf.LSTM(i, h) for i, h in pairwise(sizes)]


@pytest.mark.parametrize(
    ("wanted", "layers"),
    [
        (91_777, lambda: [*keras_lstm(50, 128), rf.Last(), rf.Linear(128, 1, activation="sigmoid")]),
        (153_505, lambda: [*keras_lstm(50, 128, 64, 32), rf.Last(), rf.Linear(32, 1)]),
        (69_249, lambda: [rf.GRU(50, 128, bias="double"), rf.Last(), rf.Linear(128, 1)]),
        (68_865, lambda: [rf.GRU(50, 128, reset="before", update="new"), rf.Last(), rf.Linear(128, 1)]),
        (59_009, lambda: [rf.LSTM(50, 64, bidirectional=True), rf.Last(), rf.Linear(128, 1)]),
        (29_570, lambda: [*keras_lstm(50, 64), rf.Last(), rf.Linear(64, 2)]),
        (30_090, lambda: [*keras_lstm(50, 64), rf.Linear(64, 10)]),
        (31_901, lambda: [*keras_lstm(1, 50, 50), rf.Last(), rf.Linear(50, 25, activation="relu"), rf.Linear(25, 1)]),
        (
            1_378_945,
            lambda: [rf.Embedding(10_000, 128), rf.LSTM(128, 64, bidirectional=True), rf.Last(), rf.Linear(128, 1)],
        ),
    ],
)
def test_e13_counts_of_the_keras_listings(wanted, layers, capsys):
    per_layer, (total,) = counted(capsys, *layers())
    assert total == sum(per_layer) == wanted


def test_e13_batch_norm_keeps_128_numbers_that_are_not_trained(capsys):
    layers = [rf.LSTM(50, 64), rf.BatchNorm(64), rf.LSTM(64, 32), rf.Last(), rf.Linear(32, 1)]
    per_layer, numbers = counted(capsys, *layers)
    assert sum(per_layer) == 42_145
    assert {42_145, 128} <= set(numbers)
    assert sum(layer.num_params for layer in layers) == 42_145 - 128


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_e14_shapes(kind):
    layer, cell = layers_of(kind), randomise(getattr(rf, f"{kind}Cell")(I, H, dtype="float64"))
    x = draw(2, 5, I)
    y, state = layer(x)
    h_n = state[0] if kind == "LSTM" else state
    assert (y.shape, h_n.shape) == ((2, 5, H), (1, 2, H))
    assert rf.Linear(H, O, dtype="float64")(y).shape == (2, 5, O)
    zeros = np.zeros((1, 2, H))
    assert checks.same_bits(layer(x, (zeros, zeros) if kind == "LSTM" else zeros)[0], y)
    new = cell(x[:, 0])
    h = new[0] if kind == "LSTM" else new
    assert h.shape == (2, H)
    column = x[0, 0][:, None]  # (I, 1), as the notes have it
    one = cell(column.T)
    assert checks.max_error((one[0] if kind == "LSTM" else one).T, h[:1].T) < 1e-15


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_e15_all_steps_share_one_set_of_weights(kind):
    """The unrolled graph, T calls of one cell, gives the layer's outputs and, summed, its gradient."""
    layer, cell = layers_of(kind), getattr(rf, f"{kind}Cell")(I, H, dtype="float64")
    for name in cell.params:
        cell.params[name] = layer.params[f"{name}_l0"]
    T, x, dy = 6, draw(2, 6, I), draw(2, 6, H, seed=1)
    (y, _), backward = layer.forward(x)
    dx, _ = backward(dy)

    state, steps = None, []
    for t in range(T):
        state, back = cell.forward(x[:, t], state)
        steps.append(back)
        assert checks.max_error(checks.parts(state)[0], y[:, t]) < 1e-14
    dstate = checks.zeros_like(state)
    for t in reversed(range(T)):
        dh, *dc = checks.parts(dstate)
        dx_t, dstate = steps[t](type(state)(dh + dy[:, t], *dc) if dc else dh + dy[:, t])
        assert checks.max_error(dx_t, dx[:, t]) < 1e-13
    for name in cell.params:
        assert checks.relative_error(cell.grads[name], layer.grads[f"{name}_l0"]) < 1e-12


def test_the_equations_and_the_layers_are_the_same_cells():
    for kind in ("RNN", "LSTM", "GRU"):
        layer, x = layers_of(kind), draw(2, 5, I)
        params = {name.removesuffix("_l0"): array for name, array in layer.params.items()}
        assert checks.max_error(equations.run(kind.lower(), params, x)[0], layer(x)[0]) < 1e-12
