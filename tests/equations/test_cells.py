"""The options of each cell against formulas written out by hand, PyTorch and ONNX Runtime."""

from pathlib import Path

import checks
import checks_onnx
import numpy as np
import pytest
from equations_checks import make

from rnnfast import equations
from rnnfast.equations.gradients import activate_back

GOLDEN = Path(__file__).parents[1] / "golden" / "onnx"


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def layer_norm(a):
    return (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)


def assert_close(named, **wanted):
    for name, value in wanted.items():
        assert checks.max_error(named[name], value) < 1e-13, name


def gates(params, x, h, count):
    """W x + R h + b of each gate."""
    return np.split(x @ params["weight_ih"].T + h @ params["weight_hh"].T + params["bias"], count, axis=1)


@pytest.mark.parametrize(
    ("activation", "wanted"),
    [
        ("tanh", [np.tanh(-2.0), np.tanh(-0.5), 0, np.tanh(1.0), np.tanh(4.0)]),
        ("sigmoid", [1 / (1 + np.e**2), 1 / (1 + np.e**0.5), 0.5, 1 / (1 + 1 / np.e), 1 / (1 + np.e**-4)]),
        ("relu", [0, 0, 0, 1, 4]),
        ("identity", [-2, -0.5, 0, 1, 4]),
        ("leaky_relu", [-0.02, -0.005, 0, 1, 4]),
        (("leaky_relu", 0.2), [-0.4, -0.1, 0, 1, 4]),
        ("elu", [np.e**-2 - 1, np.e**-0.5 - 1, 0, 1, 4]),
        (("elu", 0.5), [0.5 * (np.e**-2 - 1), 0.5 * (np.e**-0.5 - 1), 0, 1, 4]),
        ("softsign", [-2 / 3, -1 / 3, 0, 0.5, 0.8]),
        ("hard_sigmoid", [1 / 6, 5 / 12, 0.5, 2 / 3, 1]),
        ("hard_sigmoid_onnx", [0.1, 0.4, 0.5, 0.7, 1]),
        (("hard_sigmoid", 0.5, 0.25), [0, 0, 0.25, 0.75, 1]),
    ],
)
def test_activations(activation, wanted):
    got = equations.activate(activation, [-2.0, -0.5, 0.0, 1.0, 4.0])
    assert checks.max_error(got, np.array(wanted)) < 1e-15


def test_an_activation_may_be_a_function():
    params = {"weight_ih": np.array([[2.0]]), "weight_hh": np.array([[0.5]])}
    named = equations.step("rnn", params, [[3.0]], [[4.0]], activation=lambda a: a**2, clip=7.0)
    assert named["h"].tolist() == [[49.0]]
    with pytest.raises(ValueError, match="a function as activation has no slope"):
        activate_back(np.exp, *np.ones((3, 1)))


def test_activations_of_huge_numbers():
    huge = np.array([-1e4, 1e4], np.float32)
    for name in ("sigmoid", "elu", "softsign"):
        assert np.isfinite(equations.activate(name, huge)).all()


def test_lstm_with_peepholes():
    params, x, (h, c) = make("lstm", peephole=True)
    a_i, a_f, a_g, a_o = gates(params, x[:, 0], h, 4)
    p_i, p_f, p_o = np.split(params["weight_ch"], 3)
    i, f, g = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c), np.tanh(a_g)
    new = f * c + i * g
    o = sigmoid(a_o + p_o * new)
    named = equations.step("lstm", params, x[:, 0], (h, c), peephole=True)
    assert_close(named, i=i, f=f, g=g, o=o, c=new, h=o * np.tanh(new), a_o=a_o + p_o * new, a_i=a_i + p_i * c)


def test_coupled_lstm():
    params, x, (h, c) = make("lstm", coupled=True)
    a_i, a_g, a_o = gates(params, x[:, 0], h, 3)
    i = sigmoid(a_i)
    new = (1 - i) * c + i * np.tanh(a_g)
    named = equations.step("lstm", params, x[:, 0], (h, c), coupled=True)
    assert_close(named, a_i=a_i, i=i, f=1 - i, a_g=a_g, a_o=a_o, c=new, h=sigmoid(a_o) * np.tanh(new))
    assert "a_f" not in named


def test_clips_of_gates_and_of_the_cell():
    params, x, (h, c) = make("lstm", peephole=True)
    a_i, a_f, a_g, a_o = gates(params, x[:, 0], h, 4)
    p_i, p_f, p_o = np.split(params["weight_ch"], 3)
    i, f = sigmoid(np.clip(a_i + p_i * c, -0.5, 0.5)), sigmoid(np.clip(a_f + p_f * c, -0.5, 0.5))
    unclipped = f * c + i * np.tanh(np.clip(a_g, -0.5, 0.5))
    assert (abs(unclipped) > 0.3).any()
    new = np.clip(unclipped, -0.3, 0.3)
    o = sigmoid(np.clip(a_o + p_o * new, -0.5, 0.5))
    named = equations.step("lstm", params, x[:, 0], (h, c), peephole=True, clip=0.5, cell_clip=0.3)
    assert_close(named, i=i, f=f, c=new, o=o, h=o * np.tanh(new))


def test_lstm_activations():
    params, x, (h, c) = make("lstm")
    a_i, a_f, a_g, a_o = gates(params, x[:, 0], h, 4)
    i, f, o = (np.clip(a / 6 + 0.5, 0, 1) for a in (a_i, a_f, a_o))
    new = f * c + i * np.maximum(a_g, 0)
    how = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}
    assert_close(equations.step("lstm", params, x[:, 0], (h, c), **how), c=new, h=o * np.maximum(new, 0))
    named = equations.step("lstm", params, x[:, 0], (h, c), output_activation="identity", **how)
    assert_close(named, c=new, h=o * new)


@pytest.mark.parametrize("coupled", [False, True])
def test_lstm_with_layer_norm(coupled):
    params, x, (h, c) = make("lstm", layer_norm=True, coupled=coupled)
    from_x = params["norm_ih"] * layer_norm(x[:, 0] @ params["weight_ih"].T)
    from_h = params["norm_hh"] * layer_norm(h @ params["weight_hh"].T)
    i, *f, g, o = np.split(from_x + from_h + params["bias"], 3 if coupled else 4, axis=1)
    forget = sigmoid(f[0]) if f else 1 - sigmoid(i)
    new = forget * c + sigmoid(i) * np.tanh(g)
    out = sigmoid(o) * np.tanh(params["norm_c"] * layer_norm(new) + params["bias_c"])
    assert_close(equations.step("lstm", params, x[:, 0], (h, c), layer_norm=True, coupled=coupled), c=new, h=out)


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("update", ["keep", "new"])
def test_gru_with_a_recurrent_mask(reset, update):
    params, x, h = make("gru", reset=reset)
    mask = np.random.default_rng(1).uniform(0, 2, h.shape)
    (R_r, R_z, R_n), (W_r, W_z, W_n), (b_r, b_z, b_n) = (
        np.split(params[name], 3) for name in ("weight_hh", "weight_ih", "bias")
    )
    now, seen = x[:, 0], mask * h
    r = sigmoid(now @ W_r.T + seen @ R_r.T + b_r)
    z = sigmoid(now @ W_z.T + seen @ R_z.T + b_z)
    past = r * (seen @ R_n.T + params["bias_hn"]) if reset == "after" else (r * seen) @ R_n.T
    n = np.tanh(now @ W_n.T + b_n + past)
    new = (1 - z) * n + z * h if update == "keep" else (1 - z) * h + z * n
    named = equations.step("gru", params, now, h, recurrent_mask=mask, reset=reset, update=update)
    assert_close(named, r=r, z=z, n=n, h=new)


def test_gru_with_layer_norm():
    params, x, h = make("gru", layer_norm=True)
    from_x = params["norm_ih"] * layer_norm(x[:, 0] @ params["weight_ih"].T) + params["bias"]
    from_h = params["norm_hh"] * layer_norm(h @ params["weight_hh"].T)
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(from_x, 3, axis=1), np.split(from_h, 3, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * (h_n + params["bias_hn"]))
    named = equations.step("gru", params, x[:, 0], h, layer_norm=True)
    assert_close(named, r=r, z=z, n=n, h=(1 - z) * n + z * h)


def test_gru_clip_bounds_what_enters_every_activation():
    params, x, h = make("gru")
    plain = equations.step("gru", params, x[:, 0], h)
    named = equations.step("gru", params, x[:, 0], h, clip=0.4)
    r, z = sigmoid(np.clip(plain["a_r"], -0.4, 0.4)), sigmoid(np.clip(plain["a_z"], -0.4, 0.4))
    W_n, R_n, b_n = (np.split(params[name], 3)[2] for name in ("weight_ih", "weight_hh", "bias"))
    n = np.tanh(np.clip(x[:, 0] @ W_n.T + b_n + r * (h @ R_n.T + params["bias_hn"]), -0.4, 0.4))
    assert_close(named, r=r, z=z, n=n, h=(1 - z) * n + z * h)


def test_rnn_indrnn_and_mgu():
    params, x, h = make("rnn")
    mask = np.random.default_rng(1).uniform(0, 2, h.shape)
    a = np.clip(x[:, 0] @ params["weight_ih"].T + (mask * h) @ params["weight_hh"].T + params["bias"], -0.7, 0.7)
    named = equations.step("rnn", params, x[:, 0], h, recurrent_mask=mask, clip=0.7, activation="relu")
    assert_close(named, a=a, h=np.maximum(a, 0))

    params, x, h = make("indrnn")
    a = x[:, 0] @ params["weight_ih"].T + params["weight_hh"] * mask * h + params["bias"]
    assert_close(equations.step("indrnn", params, x[:, 0], h, recurrent_mask=mask), a=a, h=np.maximum(a, 0))

    params, x, h = make("mgu")
    (W_f, W_n), (R_f, R_n), (b_f, b_n) = (np.split(params[name], 2) for name in ("weight_ih", "weight_hh", "bias"))
    f = sigmoid(x[:, 0] @ W_f.T + (mask * h) @ R_f.T + b_f)
    n = np.tanh(x[:, 0] @ W_n.T + (f * mask * h) @ R_n.T + b_n)
    named = equations.step("mgu", params, x[:, 0], h, recurrent_mask=mask)
    assert_close(named, f=f, n=n, h=(1 - f) * h + f * n)


def test_a_recurrent_mask_of_an_lstm_is_in_the_product_alone():
    params, x, (h, c) = make("lstm", proj_size=2)
    mask = np.random.default_rng(1).uniform(0, 2, h.shape)
    how = {"proj_size": 2, "zoneout": (0.25, 0.0)}
    masked = equations.step("lstm", params, x[:, 0], (h, c), recurrent_mask=mask, **how)
    scaled = equations.step("lstm", params, x[:, 0], (h * mask, c), **how)
    assert_close(masked, c=scaled["c"], o=scaled["o"], h=scaled["h"] + 0.25 * (h - h * mask))


def test_projection_equals_torch():
    torch = pytest.importorskip("torch")
    params, x, (h, c) = make("lstm", proj_size=2)
    layer = torch.nn.LSTM(4, 5, proj_size=2, batch_first=True, dtype=torch.float64)
    theirs = {
        "weight_ih": "weight_ih_l0",
        "weight_hh": "weight_hh_l0",
        "bias": "bias_ih_l0",
        "weight_hr": "weight_hr_l0",
    }
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
        for ours, name in theirs.items():
            getattr(layer, name).copy_(torch.from_numpy(params[ours]))
        wanted, (wanted_h, wanted_c) = layer(
            *map(torch.from_numpy, (x,)), tuple(map(torch.from_numpy, (h[None], c[None])))
        )
    y, (last_h, last_c) = equations.run("lstm", params, x, (h, c), proj_size=2)
    for got, other in ((y, wanted), (last_h, wanted_h[0]), (last_c, wanted_c[0])):
        assert checks.max_error(got, other.numpy()) < 1e-12


def test_golden_files_are_there():
    assert sorted(path.stem for path in GOLDEN.glob("*.npz")) == sorted(checks_onnx.RECORDS)


@pytest.mark.parametrize("name", checks_onnx.RECORDS)
def test_equals_recorded_onnx_runtime(name):
    with np.load(GOLDEN / f"{name}.npz") as record:
        checks_onnx.check_record(name, dict(record), equations.run)


@pytest.mark.parametrize("name", checks_onnx.RECORDS)
def test_equals_onnx_runtime(name):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    checks_onnx.check_record(name, checks_onnx.make_record(name, seed=1), equations.run)


def test_options_that_are_no_options_are_refused():
    params, x, h = make("gru")
    with pytest.raises(ValueError, match="reset must be"):
        equations.step("gru", params, x[:, 0], h, reset="never")
    with pytest.raises(ValueError, match="update 'keep'"):
        equations.step("gru", params, x[:, 0], h, update="old")
