"""Cells written in Python: h_t = g(f1(x_t), f2(h_{t-1})) in a layer like any other."""

import copy
import pickle

import checks
import numpy as np
import pytest
from layer_checks import randomise

import rnnfast as rf
from rnnfast import equations
from rnnfast.layers import python_cell


@rf.register_cell
class Mixed(rf.Cell):
    """g(a, b) = tanh(a) * b, f1(x) = A x, f2(h) = cos(B h) + h."""

    def shapes(self):
        return {"A": (self.hidden_size, self.input_size), "B": (self.hidden_size, self.hidden_size), "c": (1,)}

    def initialise(self, rng):
        return {"c": [0.5]}

    def step(self, params, x, state):
        u, v = np.tanh(x @ params["A"].T), state @ params["B"].T
        h = u * (np.cos(v) + state) + params["c"]
        return h, h, (x, state, u, v)

    def step_backward(self, params, saved, doutput, dstate):
        x, state, u, v = saved
        dh = doutput + dstate
        da, dv = dh * (np.cos(v) + state) * (1 - u * u), -dh * u * np.sin(v)
        grads = {"A": da.T @ x, "B": dv.T @ state, "c": dh.sum().reshape(1)}
        return da @ params["A"], dv @ params["B"] + dh * u, grads


class Elman(rf.Cell):
    """The plain RNN, to be held against the compiled one."""

    def shapes(self):
        H = self.hidden_size
        return {"weight_ih": (H, self.input_size), "weight_hh": (H, H), "bias": (H,)}

    def step(self, params, x, state):
        h = np.tanh(x @ params["weight_ih"].T + state @ params["weight_hh"].T + params["bias"])
        return h, h, (x, state, h)

    def step_backward(self, params, saved, doutput, dstate):
        x, state, h = saved
        da = (doutput + dstate) * (1 - h * h)
        grads = {"weight_ih": da.T @ x, "weight_hh": da.T @ state, "bias": da.sum(axis=0)}
        return da @ params["weight_ih"], da @ params["weight_hh"], grads


class Peak(rf.Cell):
    """Two states of different widths, and an output that is neither: s' = s/2 + x W, m' = m + sum(s), y = W2 s * m."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.output_size, self.state_sizes = 2, (hidden_size, 1)

    def shapes(self):
        return {"W": (self.input_size, self.hidden_size), "V": (self.hidden_size, 2)}

    def step(self, params, x, state):
        s, m = state
        new, total = s / 2 + x @ params["W"], m + s.sum(axis=1, keepdims=True)
        return (new @ params["V"]) * total, (new, total), (x, new, total)

    def step_backward(self, params, saved, doutput, dstate):
        x, new, total = saved
        ds, dm = dstate
        product = new @ params["V"]
        dm = dm + (doutput * product).sum(axis=1, keepdims=True)
        dp = doutput * total
        ds = ds + dp @ params["V"].T
        return ds @ params["W"].T, (ds / 2 + dm, dm), {"V": new.T @ dp, "W": x.T @ ds}


I, H = 3, 4  # noqa: E741
RAGGED = [5, 0, 2]
MASK = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
cells = pytest.mark.parametrize("cell", [Mixed, Elman, Peak])
ways = pytest.mark.parametrize("how", [{}, {"lengths": RAGGED}, {"mask": MASK}], ids=["full", "ragged", "holes"])


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape)


def make(cell=Mixed, **how):
    return randomise(rf.CustomRNN(cell(I, H), dtype="float64", **how))


def state_of(layer, B):
    arrays = tuple(draw(layer.num_directions, B, size) for size in layer.cell.state_sizes)
    return arrays if len(arrays) > 1 else arrays[0]


@cells
@ways
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients(cell, how, bidirectional):
    layer = make(cell, bidirectional=bidirectional)
    errors = rf.testing.check_gradients(layer, draw(3, 5, I), state_of(layer, 3), **how)
    assert set(layer.params) | {"x"} < set(errors)
    assert all(layer.forward(draw(3, 5, I))[1](draw(3, 5, layer.output_size))[0].any(axis=2).ravel())


@ways
@pytest.mark.parametrize("reverse", [False, True])
def test_equals_the_compiled_rnn(how, reverse):
    layer, x, dy = make(Elman, bidirectional=reverse), draw(3, 5, I), draw(3, 5, H * (1 + reverse))
    fused = rf.RNN(I, H, bidirectional=reverse, dtype="float64")
    names = {
        name: name.replace("_reverse", "") + "_l0" + "_reverse" * name.endswith("_reverse") for name in layer.params
    }
    for name, theirs in names.items():
        fused.params[theirs] = layer.params[name]
    state = state_of(layer, 3)
    (y, final), backward = layer.forward(x, state, **how)
    (wanted_y, wanted_final), wanted_backward = fused.forward(x, state, **how)
    assert checks.max_error(y, wanted_y) < 1e-13
    assert checks.max_error(final, wanted_final) < 1e-13
    assert checks.same_bits(layer(x, state, **how)[0], y)
    for got, wanted in zip(backward(dy, state), wanted_backward(dy, state), strict=True):
        assert checks.max_error(got, wanted) < 1e-12
    for name, theirs in names.items():
        assert checks.max_error(layer.grads[name], fused.grads[theirs]) < 1e-12


def test_a_row_alone_gives_what_it_gives_in_a_batch():
    layer, x = make(bidirectional=True), draw(3, 5, I)
    y, h = layer(x, lengths=RAGGED)
    for row, length in enumerate(RAGGED):
        alone, last = layer(x[row, :length])
        assert checks.max_error(y[row, :length], alone) < 1e-14
        assert not y[row, length:].any()
        assert checks.max_error(h[:, row], last) < 1e-14


def test_time_major_unbatched_and_out():
    layer, x = make(), draw(3, 5, I)
    y, h = layer(x)
    turned, same = layer(np.ascontiguousarray(x.swapaxes(0, 1)), time_major=True)
    assert checks.same_bits(np.ascontiguousarray(turned.swapaxes(0, 1)), y)
    assert checks.same_bits(same, h)
    (one, last), backward = layer.forward(x[0], lengths=[4])
    assert one.shape == (5, H)
    assert last.shape == (1, H)
    dx, dstate = backward(draw(5, H), draw(1, H))
    assert dx.shape == (5, I)
    assert dstate.shape == (1, H)
    assert not dx[4:].any()
    out = np.full((3, 5, H), np.nan)
    assert layer(x, out=out)[0] is out
    assert checks.same_bits(out, y)


def test_no_steps_and_no_rows():
    layer = make()
    state = state_of(layer, 2)
    (y, h), backward = layer.forward(draw(2, 0, I), state)
    assert y.shape == (2, 0, H)
    assert checks.same_bits(h, state)
    dx, dstate = backward(y, state)
    assert dx.shape == (2, 0, I)
    assert checks.same_bits(dstate, state)
    assert layer(draw(0, 5, I))[0].shape == (0, 5, H)


def test_trains_in_a_model():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (64, 6, 2)).astype("float32")
    y = (x[:, :, 0].sum(axis=1, keepdims=True) > 0).astype("float32")
    model = rf.Sequential(rf.CustomRNN(Elman(2, 8), seed=0), rf.Last(), rf.Linear(8, 1, seed=1))
    history = model.fit(x, y, loss="mse", optimizer=rf.Adam(1e-2), epochs=30, seed=0, verbose=False)
    assert history.history["loss"][-1] < 0.4 * history.history["loss"][0]
    model.summary()


def test_first_values():
    layer = rf.CustomRNN(Mixed(I, H), bidirectional=True, seed=3)
    assert layer.num_params == 2 * (H * I + H * H + 1)
    assert layer.params["c_reverse"] == 0.5
    assert abs(layer.params["A"]).max() <= (6 / (I + H)) ** 0.5
    assert len(np.unique(layer.params["A"])) == H * I
    again = rf.CustomRNN(Mixed(I, H), bidirectional=True, seed=3)
    assert checks.same_bits(layer.block.data, again.block.data)
    assert layer.dtype == np.float32
    assert layer(draw(2, 3, I))[0].dtype == np.float32


def test_streams_step_by_step():
    layer, x = make(Peak), draw(2, 5, I)
    y, state = layer(x)
    stream = layer.stream(2)
    for t in range(5):
        assert checks.max_error(stream(x[:, t]), y[:, t]) < 1e-14
    for got, wanted in zip(stream.snapshot(), state, strict=True):
        assert checks.max_error(got, wanted) < 1e-14
    stream.reset(rows=1)
    assert not stream.snapshot()[0][0, 1].any()
    stream.restore(state)
    assert checks.max_error(stream(x[:, 0]), layer(x[:, :1], state)[0][:, 0]) < 1e-14
    with pytest.raises(ValueError, match="cannot run step by step"):
        make(bidirectional=True).stream()


def test_in_a_pool():
    layer, x = make(Peak), draw(2, 5, I)
    y, state = layer(x)
    pool = layer.pool(3)
    pool.join()
    slots = [pool.join(), pool.join()]
    for t in range(3):
        assert checks.max_error(pool(x[:, t], slots), y[:, t]) < 1e-14
    for t in (3, 4):
        for row, slot in enumerate(slots):
            assert checks.max_error(pool(x[[row], t], [slot]), y[[row], t]) < 1e-14
    for got, wanted in zip(pool.snapshot(slots[1]), state, strict=True):
        assert checks.max_error(got, wanted[:, 1:]) < 1e-14
    with pytest.raises(ValueError, match=r"x must have shape \(2, 3\)"):
        pool(x[:, 0, :2], slots)
    assert checks.max_error(pool(x[:1, 0], [0]), y[:1, 0]) < 1e-14


def test_copies_and_pickles():
    layer, x = make(), draw(2, 5, I)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert checks.same_bits(other(x)[0], layer(x)[0])
    assert repr(layer) == "CustomRNN(Mixed(input_size=3, hidden_size=4), bidirectional=False, dtype='float64')"


def test_registered_cells_are_saved_and_loaded(tmp_path):
    model, x = rf.Sequential(make(bidirectional=True), rf.Linear(2 * H, 1, dtype="float64")), draw(2, 5, I)
    model.save(tmp_path / "model.safetensors")
    again = rf.load(tmp_path / "model.safetensors")
    assert checks.same_bits(again(x), model(x))
    assert type(again.layers[0].cell) is Mixed


def test_cells_that_are_not_registered_are_refused_kindly(tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="Elman is written in Python, and a file holds no code: put @rnnfast"):
        make(Elman).save(tmp_path / "model.safetensors")
    make().save(tmp_path / "model.safetensors")
    monkeypatch.setattr(python_cell, "_registered", {})
    with pytest.raises(ValueError, match="the cell 'Mixed' is not known here: register its class"):
        rf.load(tmp_path / "model.safetensors")


def test_names_are_registered_once():
    with pytest.raises(ValueError, match="another cell has the name 'Mixed'"):
        rf.register_cell(type("Mixed", (rf.Cell,), {"__module__": "elsewhere"}))
    with pytest.raises(TypeError, match=r"subclass of rnnfast\.Cell"):
        rf.register_cell(Mixed(1, 1))
    assert rf.register_cell(Mixed) is Mixed


def wrong(**methods):
    return randomise(rf.CustomRNN(type("Wrong", (Elman,), methods)(I, H), dtype="float64"))


@pytest.mark.parametrize(
    ("methods", "error", "says"),
    [
        (
            {"step": lambda *_: np.ones((3, H))},
            TypeError,
            r"step must return \(output, new_state, saved\), got ndarray",
        ),
        (
            {"step": lambda *_: (np.ones((3, 1)), np.ones((3, H)), 0)},
            ValueError,
            r"output of step must have shape \(3, 4\)",
        ),
        ({"step": lambda *_: (np.ones((3, H)), np.ones((3, 1)), 0)}, ValueError, r"new state of step must have shape"),
        ({"step_backward": lambda *_: None}, TypeError, r"step_backward must return \(dx, dstate, grads\)"),
        (
            {"step_backward": lambda *_: (np.ones(3), 0, {})},
            ValueError,
            r"dx of step_backward must have shape \(3, 3\)",
        ),
        (
            {"step_backward": lambda *_: (np.ones((3, I)), np.ones((3, H)), {"bias": np.ones(2)})},
            ValueError,
            r"grads\['bias'\] must have shape \(4,\), got \(2,\)",
        ),
        (
            {"step_backward": lambda *_: (np.ones((3, I)), np.ones((3, H)), {"b": 0})},
            ValueError,
            "grads of step_backward has 'b', wanted weight_ih, weight_hh, bias",
        ),
    ],
)
def test_what_a_cell_returns_is_checked(methods, error, says):
    layer = wrong(**methods)
    with pytest.raises(error, match=says):
        layer.forward(draw(3, 5, I))[1](draw(3, 5, H))
    assert not layer.block.grad.any()


def test_what_a_layer_is_given_is_checked():
    layer = make()
    with pytest.raises(ValueError, match=r"x must have shape \(B, T, 3\)"):
        layer(draw(2, 5, 2))
    with pytest.raises(ValueError, match=r"state must have shape \(1, 2, 4\), got \(2, 4\)"):
        layer(draw(2, 5, I), draw(2, H))
    with pytest.raises(ValueError, match="state must have 2 arrays, got 1"):
        make(Peak)(draw(2, 5, I), (draw(1, 2, H),))
    with pytest.raises(ValueError, match="exclude each other"):
        layer(draw(2, 5, I), lengths=[1, 2], mask=np.ones((2, 5), bool))
    with pytest.raises(ValueError, match="out must be"):
        layer(draw(2, 5, I), out=np.empty((2, 5, 1)))
    with pytest.raises(TypeError, match=r"cell must be an rnnfast\.Cell, got int"):
        rf.CustomRNN(3)
    with pytest.raises(TypeError, match="must call super"):
        rf.CustomRNN(type("Bare", (Elman,), {"__init__": lambda self: None})())
    with pytest.raises(NotImplementedError, match="Cell must define shapes"):
        rf.CustomRNN(rf.Cell(1, 1))
    with pytest.raises(ValueError, match="initialise gives D, which shapes does not name"):
        rf.CustomRNN(type("Odd", (Elman,), {"initialise": lambda self, rng: {"D": 0}})(I, H))


def test_backward_works_once_on_the_parameters_it_saw():
    layer = make()
    (y, _), backward = layer.forward(draw(2, 5, I))
    y[:] = 7  # the caller's
    backward(draw(2, 5, H))
    with pytest.raises(RuntimeError, match="works once"):
        backward(draw(2, 5, H))
    _, backward = layer.forward(draw(2, 5, I))
    layer.params["c"] = [1.0]
    with pytest.raises(RuntimeError, match="parameters have changed"):
        backward(draw(2, 5, H))


def test_a_cell_of_the_equations_runs_over_time():
    class Minimal(rf.Cell):
        def shapes(self):
            return equations.parameter_shapes("mgu", self.input_size, self.hidden_size)

        def step(self, params, x, state):
            h = equations.step("mgu", params, x, state)["h"]
            return h, h, None

    layer = randomise(rf.CustomRNN(Minimal(I, H), dtype="float64"))
    x = draw(3, 5, I)
    wanted, final = equations.run("mgu", dict(layer.params), x, lengths=RAGGED)
    y, h = layer(x, lengths=RAGGED)
    assert checks.max_error(y, wanted) < 1e-14
    assert checks.max_error(h[0], final) < 1e-14
