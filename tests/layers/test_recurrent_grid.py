"""What stands around the cells of a recurrent layer: widths, merges, residual connections, learned states."""

import copy
import json
import pickle

import numpy as np
import pytest
from checks import same_bits
from layer_checks import flatten, map_state, randomise
from recurrent_checks import KINDS, draw, draw_state, make

import rnnfast as rf

cells = pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
GRIDS = {
    "widths": {"hidden_size": [3, 5, 4]},
    "widths both": {"hidden_size": (3, 5), "bidirectional": True},
    "sum": {"hidden_size": 4, "num_layers": 2, "bidirectional": True, "merge": "sum"},
    "mul": {"hidden_size": [4, 3], "bidirectional": True, "merge": "mul"},
    "average": {"hidden_size": 4, "num_layers": 2, "bidirectional": True, "merge": "average"},
    "residual": {"hidden_size": 4, "num_layers": 3, "residual": True},
    "highway": {"hidden_size": 4, "num_layers": 3, "residual": "highway"},
    "learned": {"hidden_size": 4, "num_layers": 2, "learned_state": True},
    "dropped": {"hidden_size": 4, "num_layers": 2, "input_dropout": 0.3, "weight_drop": 0.4},
    "all": {"hidden_size": [4, 4, 3], "bidirectional": True, "residual": "highway", "learned_state": True,
            "merge": "sum", "dropout": 0.1, "bias": "double"},
}  # fmt: skip
grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def build(cls, grid, **more):
    return randomise(cls(3, **({"dtype": "float64"} | grid | more)))


def alone(layer, number, **more):
    """Layer `number` of a stack by itself, with the same parameters."""
    level = layer._levels[number]
    one = type(layer)(
        level.input_size, layer.hidden_sizes[number], bidirectional=layer.bidirectional,
        merge=layer.merge, dtype="float64", bias=layer.bias, **more,
    )  # fmt: skip
    for name in one.params:
        one.params[name] = layer.params[name.replace("_l0", f"_l{number}")]
    return one


@cells
@pytest.mark.parametrize("bidirectional", [False, True])
def test_widths_are_those_of_layers_one_by_one(cls, bidirectional):
    layer = build(cls, {"hidden_size": [3, 5, 4], "bidirectional": bidirectional})
    model = rf.Sequential(*(alone(layer, number) for number in range(3)))
    x, lengths = draw(4, 6, 3), [3, 0, 6, 1]
    D = 1 + bidirectional
    state = map_state(lambda part: draw(*part.shape, seed=7), layer(x)[1])
    y, after = layer(x, state, lengths=lengths)
    wanted, wanted_after = model.run(x, state, lengths=lengths)
    assert same_bits(y, wanted)
    assert isinstance(after, tuple)
    assert [part.shape for part in flatten(after)] == [part.shape for part in flatten(wanted_after)]
    assert next(part.shape for part in flatten(after)) == (D, 4, 3)
    assert all(same_bits(a, b) for a, b in zip(flatten(after), flatten(wanted_after), strict=True))
    (y, after), backward = layer.forward(x, state, lengths=lengths)
    dx, dstate = backward(draw(*y.shape, seed=3), state)
    (_, _), backward = model.forward(x, state, lengths=lengths)
    dx_wanted, dstate_wanted = backward(draw(*y.shape, seed=3), state)
    assert same_bits(dx, dx_wanted)
    assert all(same_bits(a, b) for a, b in zip(flatten(dstate), flatten(dstate_wanted), strict=True))
    assert same_bits(layer.block.grad, model.flat_grad)
    row = map_state(lambda part: part[:, 2], state)
    one, one_after = layer(x[2], row)
    assert same_bits(one, y[2])
    assert next(part.shape for part in flatten(one_after)) == (D, 3)


@cells
@pytest.mark.parametrize("bidirectional", [False, True])
def test_four_layers_are_those_one_by_one(cls, bidirectional):
    layer = build(cls, {"hidden_size": 5, "num_layers": 4, "bidirectional": bidirectional})
    x, lengths, D = draw(4, 6, 3), [3, 0, 6, 1], 1 + bidirectional
    state = map_state(lambda part: draw(*part.shape, seed=7), layer(x)[1])
    (y, after), backward = layer.forward(x, state, lengths=lengths)
    dx, dstate = backward(draw(*y.shape, seed=3), state)
    assert layer.num_layers == 4
    assert [part.shape for part in flatten(after)] == [(4 * D, 4, 5)] * len(flatten(state))

    def level(states, number):
        return map_state(lambda part: part[number * D : (number + 1) * D], states)

    singles = [alone(layer, number) for number in range(4)]
    wanted, backwards = x, []
    for number, single in enumerate(singles):
        (wanted, ended), back = single.forward(wanted, level(state, number), lengths=lengths)
        backwards.append(back)
        assert all(same_bits(a, b) for a, b in zip(flatten(level(after, number)), flatten(ended), strict=True))
    assert same_bits(y, wanted)
    gradient = draw(*y.shape, seed=3)
    for number in reversed(range(4)):
        gradient, of_state = backwards[number](gradient, level(state, number))
        assert all(same_bits(a, b) for a, b in zip(flatten(level(dstate, number)), flatten(of_state), strict=True))
    assert same_bits(dx, gradient)
    assert same_bits(layer.block.grad, np.concatenate([single.block.grad for single in singles]))


def test_equal_widths_are_a_stack():
    layer, plain = rf.LSTM(3, [5, 5], seed=0), rf.LSTM(3, 5, 2, seed=0)
    assert layer.config() == plain.config()
    assert same_bits(layer(draw(2, 4, 3))[1].h, plain(draw(2, 4, 3))[1].h)
    assert rf.LSTM(3, [5, 6], 2).num_layers == 2


@cells
@pytest.mark.parametrize(
    ("merge", "function"),
    [("sum", np.add), ("mul", np.multiply), ("average", lambda a, b: (a + b) * 0.5), (None, lambda a, b: (a, b))],
)
def test_merges(cls, merge, function):
    layer, both = (build(cls, {"hidden_size": 5, "bidirectional": True, "merge": kind}) for kind in (merge, "concat"))
    x, lengths = draw(4, 6, 3), [3, 0, 6, 1]
    y, state = layer(x, lengths=lengths)
    halves, wanted_state = both(x, lengths=lengths)
    wanted = function(halves[..., :5], halves[..., 5:])
    for got, truth in zip(*((y, wanted) if merge is None else ([y], [wanted])), strict=True):
        assert same_bits(np.ascontiguousarray(got), np.ascontiguousarray(truth))
    assert all(same_bits(a, b) for a, b in zip(flatten(state), flatten(wanted_state), strict=True))
    assert layer.output_shape(("B", "T", 3)) == ((2, "B", "T", 5) if merge is None else ("B", "T", 5))
    if merge is not None:
        major, out = x.transpose(1, 0, 2), np.full((6, 4, 5), np.nan)
        assert layer(major, lengths=lengths, time_major=True, out=out)[0] is out
        assert same_bits(np.ascontiguousarray(out.transpose(1, 0, 2)), y)
        buffer = np.zeros((4, 6, 8))
        buffer[..., :3] = x
        assert same_bits(np.ascontiguousarray(layer(buffer[..., :3], lengths=lengths, out=buffer[..., 1:6])[0]), y)


@cells
def test_two_outputs_have_two_gradients(cls):
    layer, both = (build(cls, {"hidden_size": 5, "bidirectional": True, "merge": kind}) for kind in (None, "concat"))
    x, dy, lengths = draw(4, 6, 3), draw(4, 6, 10, seed=3), [3, 0, 6, 1]
    dx, _ = layer.forward(x, lengths=lengths)[1]((dy[..., :5], dy[..., 5:]))
    wanted, _ = both.forward(x, lengths=lengths)[1](dy)
    assert same_bits(dx, wanted)
    assert same_bits(layer.block.grad, both.block.grad)
    dx, _ = layer.forward(x)[1]((None, dy[..., 5:]))
    dy[..., :5] = 0
    np.testing.assert_allclose(dx, both.forward(x)[1](dy)[0], rtol=0, atol=1e-15)
    (first, second), _ = layer(x[0])
    assert first.shape == second.shape == (6, 5)
    (first, second), _ = layer(x.transpose(1, 0, 2), time_major=True)
    assert first.shape == second.shape == (6, 4, 5)


@cells
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "average"])
@pytest.mark.parametrize("residual", [True, "highway"])
def test_what_leads_around_a_layer(cls, merge, residual):
    grid = {"hidden_size": [4, 4, 2, 2], "bidirectional": True, "merge": merge, "residual": residual}
    layer, lengths = build(cls, grid), [3, 0, 6, 1]
    wanted = draw(4, 6, 3)
    y, _ = layer(wanted, lengths=lengths)
    for number in range(4):
        made = alone(layer, number)(wanted, lengths=lengths)[0]
        if number not in (1, 3):
            wanted = made
        elif residual is True:
            wanted = made + wanted
        else:
            W, b = layer.params[f"weight_highway_l{number}"], layer.params[f"bias_highway_l{number}"]
            t = 1 / (1 + np.exp(-(wanted @ W.T + b)))
            wanted = t * made + (1 - t) * wanted
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-14)
    assert np.abs(y[0, :3]).min() > 0
    assert not y[0, 3:].any()
    names = {name for name in layer.params if "highway" in name}
    widths = {1: 4 * (1 + (merge == "concat")), 3: 2 * (1 + (merge == "concat"))}
    assert len(names) == (4 if residual == "highway" else 0)
    assert all(layer.params[f"weight_highway_l{n}"].shape == (w, w) for n, w in widths.items() if names)


def test_a_highway_starts_mostly_open():
    layer = rf.GRU(3, 4, 2, residual="highway", seed=0)
    assert layer.params["bias_highway_l1"].tolist() == [-1] * 4
    assert 0.5 < np.abs(layer.params["weight_highway_l1"]).max() <= np.sqrt(6 / 8)


@cells
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("hidden_size", [4, [4, 3]])
def test_a_learned_state_is_a_state_given_to_every_row(cls, bidirectional, hidden_size):
    grid = {"hidden_size": hidden_size, "num_layers": 2, "bidirectional": bidirectional, "learned_state": True}
    layer, x, lengths = build(cls, grid), draw(4, 5, 3), [3, 0, 5, 1]
    parts = flatten(layer(x)[1])
    names = [f"{part}0_l{n}{end}" for n in (0, 1) for part in "hc" for end in ("", "_reverse")]
    names = [name for name in names if name in layer.params]
    assert len(names) == 2 * (1 + bidirectional) * (1 + (cls is rf.LSTM))
    if hidden_size == 4:
        names.sort(key=lambda name: name[0] != "h")
    columns = iter(names)
    state_parts = [np.stack([np.tile(layer.params[next(columns)], (4, 1)) for _ in part]) for part in parts]
    state = layer(x)[1]
    filled = iter(state_parts)
    state = map_state(lambda _: next(filled), state)
    y, after = layer(x, lengths=lengths)
    wanted, wanted_after = layer(x, state, lengths=lengths)
    assert same_bits(y, wanted)
    assert all(same_bits(a, b) for a, b in zip(flatten(after), flatten(wanted_after), strict=True))
    dy = draw(*y.shape, seed=3)
    _, dstate = layer.forward(x, lengths=lengths)[1](dy, after)
    grads = {name: np.array(layer.grads[name]) for name in names}
    columns = iter(names)
    for part in flatten(dstate):
        for direction in part:
            name = next(columns)
            np.testing.assert_allclose(grads[name], direction.sum(0), rtol=1e-13)
            assert np.abs(grads[name]).min() > 0
    given: dict = {}
    layer.forward(x, state)[1](dy, grads=given)
    assert set(given) == set(layer.params)
    assert not any(given[name].any() for name in names)
    assert not any(rf.LSTM(3, 4, learned_state=True).params[name].any() for name in ("h0_l0", "c0_l0"))
    one, _ = layer(x[0])
    assert same_bits(one, layer(x[:1])[0][0])


@cells
@grids
def test_copies_files_and_summary(cls, grid, tmp_path, capsys):
    layer, x = build(cls, grid, dtype="float32", padding="zeros"), draw(2, 5, 3).astype("f")
    y, state = layer(x)
    assert y.dtype == np.float32
    layer.save(tmp_path / "layer")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), rf.load(tmp_path / "layer")):
        assert twin.config() == layer.config() == json.loads(json.dumps(layer.config()))
        assert twin.num_params == layer.num_params == sum(array.size for array in layer.params.values())
        got, got_state = twin(x)
        assert same_bits(got, y)
        assert all(same_bits(a, b) for a, b in zip(flatten(got_state), flatten(state), strict=True))
    layer.summary()
    text = capsys.readouterr().out
    assert f"(B, T, {y.shape[-1]})" in text
    assert f"{layer.num_params:,} parameters" in text
    model = rf.Sequential(layer, rf.Linear(layer.output_size, 2))
    assert model(x).shape == (2, 5, 2)


def test_plans_of_before_still_load_and_plain_layers_write_them():
    before = {
        "input_size": 3, "hidden_size": 4, "num_layers": 2, "bias": True, "bidirectional": True, "dropout": 0.5,
        "dtype": "float32",
    }  # fmt: skip
    assert rf.LSTM(**before).config() == before
    assert rf.GRU(**before, reset="before", update="keep").config() == {**before, "reset": "before", "update": "keep"}
    changed = rf.LSTM(3, [4, 5], merge="sum", bidirectional=True, learned_state=True, forget_bias=2, padding="hold")
    assert changed.config() == {
        "input_size": 3, "hidden_size": [4, 5], "num_layers": 2, "bias": True, "bidirectional": True, "dropout": 0.0,
        "dtype": "float32", "merge": "sum", "learned_state": True, "forget_bias": 2.0, "padding": "hold",
    }  # fmt: skip


@cells
@pytest.mark.parametrize("name", ["widths", "residual", "highway", "learned", "dropped"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_streams_and_pools(cls, name, dtype):
    layer, x = build(cls, GRIDS[name], dtype=dtype), draw(3, 7, 3).astype(dtype)
    y, state = layer(x)
    stream = layer.stream(3)
    stream(x[:, 1])
    stream.reset()
    steps = [stream(x[:, t]).copy() for t in range(5)]
    steps.append(stream.run(x[:, 5:6])[:, 0])
    held = stream.snapshot()
    stream(x[:, 0])
    stream.restore(held)
    steps.append(stream(x[:, 6], out=np.empty_like(y[:, 0])))
    assert same_bits(np.stack(steps, 1), y)
    assert type(stream.snapshot()) is type(state)
    assert all(same_bits(a, b) for a, b in zip(flatten(stream.snapshot()), flatten(state), strict=True))
    stream.reset([1])
    assert same_bits(stream(x[:, 0])[1], y[1, 0])
    pool = layer.pool(5)
    slots = [pool.join() for _ in range(4)][1:]
    pool(x[:1, 3], slots[:1])
    pool.leave(slots[0])
    slots[0] = pool.join()
    for t in range(7):
        if t == 3:
            continue
        assert same_bits(pool(x[1:, t], slots[1:]), layer(x[1:, [s for s in range(t + 1) if s != 3]])[0][:, -1])
    assert same_bits(pool(x[:1, 0], slots[:1]), y[:1, 0])
    slot = pool.join(map_state(lambda part: part[:, :1], state))
    assert all(
        same_bits(a, np.ascontiguousarray(b[:, :1]))
        for a, b in zip(flatten(pool.snapshot(slot)), flatten(state), strict=True)
    )


@pytest.mark.parametrize("merge", ["sum", "mul", "average"])
def test_last_of_merged_directions(merge, tmp_path):
    layer = make("lstm", bidirectional=True)
    model = rf.Sequential(layer, rf.Last(merge=merge), rf.Linear(5, 2, dtype="float64", seed=0))
    x, lengths = draw(3, 4, 3), [2, 0, 4]
    h = layer(x, lengths=lengths)[1].h
    wanted = {"sum": h[0] + h[1], "mul": h[0] * h[1], "average": (h[0] + h[1]) * 0.5}[merge]
    assert same_bits(model.layers[1](layer(x, lengths=lengths)[0], lengths=lengths), wanted)
    model.save(tmp_path / "model")
    assert same_bits(rf.load(tmp_path / "model")(x, lengths=lengths), model(x, lengths=lengths))
    merged = rf.LSTM(3, 5, bidirectional=True, merge=merge)
    with pytest.raises(ValueError, match="take the forward direction's end"):
        rf.Sequential(merged, rf.Last())
    with pytest.raises(ValueError, match="two directions side by side"):
        rf.Sequential(merged, rf.Last(merge=merge))
    assert rf.Sequential(merged, rf.Last(directions=1))(x).shape == (3, 5)


def test_explain_counts_every_layer():
    layer = rf.LSTM(8, [16, 32], bidirectional=True, merge="sum", seed=0)
    plan = layer.explain(4, 10)
    assert plan.output == 4 * 10 * 32 * 4
    assert plan.operations == 40 * 2 * 2 * 4 * (16 * (8 + 16) + 32 * (16 + 32))
    assert plan.parameters == layer.num_params * 4
    assert rf.LSTM(8, 16, merge=None, bidirectional=True).explain(4, 10).output == 2 * 4 * 10 * 16 * 4


@cells
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "average"])
@pytest.mark.parametrize("residual", [True, "highway"])
def test_what_comes_back_from_beyond_an_end_is_ignored(cls, merge, residual):
    grid = {"hidden_size": 4, "num_layers": 2, "bidirectional": True, "merge": merge, "residual": residual}
    layer, x, lengths = build(cls, grid), draw(4, 5, 3), np.array([3, 0, 5, 1])
    dy, found = draw(4, 5, layer.output_size, seed=3), []
    for beyond in (0, np.nan):
        dy[np.arange(5) >= lengths[:, None]] = beyond
        layer.zero_grad()
        dx, _ = layer.forward(x, lengths=lengths)[1](dy)
        found.append([dx, layer.block.grad.copy()])
    assert all(same_bits(a, b) for a, b in zip(*found, strict=True))
    assert not found[0][0][0, 3:].any()


def test_one_sequence_of_a_stack_of_widths_joins_a_pool():
    layer, x = build(rf.LSTM, GRIDS["widths"]), draw(6, 3)
    pool, (y, _) = layer.pool(2), layer(x)
    slot = pool.join(layer(x[:4])[1])
    assert same_bits(pool(x[4:5], [slot])[0], y[4])
    assert [len(entry) for entry in pool.snapshot(slot)] == [2, 2, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_residual_without_dx(kind):
    layer, x = make(kind, H=4, layers=3, residual="highway", learned_state=True), draw(2, 4, 3)
    dy, state = draw(2, 4, 4, seed=3), draw_state(layer, 2)
    layer.forward(x, state)[1](dy)
    kept = layer.block.grad.copy()
    layer.zero_grad()
    assert layer.forward(x, state)[1](dy, need_dx=False)[0] is None
    assert same_bits(layer.block.grad, kept)
    layer.zero_grad()
    given: dict = {}
    layer.forward(x, state)[1](None, state, grads=given)
    assert set(given) == set(layer.params)
    again: dict = {}
    layer.forward(x, state)[1](np.zeros_like(dy), state, grads=again)
    assert all(np.array_equal(given[name], again[name]) for name in given)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rf.LSTM(3, []), ValueError, ["hidden_size", "0"]),
        (lambda: rf.LSTM(3, [4, 5], 3), ValueError, ["hidden_size", "2", "num_layers=3"]),
        (lambda: rf.LSTM(3, [4, 0]), ValueError, ["hidden_size", "0"]),
        (lambda: rf.LSTM(3, [4, "5"]), TypeError, ["hidden_size", "'5'"]),
        (lambda: rf.GRU(3, 4, merge="sum"), ValueError, ["merge='sum'", "bidirectional=True"]),
        (lambda: rf.GRU(3, 4, bidirectional=True, merge="max"), ValueError, ["merge", "'average'", "'max'"]),
        (lambda: rf.GRU(3, 4, 2, bidirectional=True, merge=None), ValueError, ["merge=None", "num_layers=1"]),
        (lambda: rf.RNN(3, 4, 2, residual="yes"), ValueError, ["residual", "'highway'", "'yes'"]),
        (lambda: rf.RNN(4, 4, residual=True), ValueError, ["residual=True", "[4]"]),
        (lambda: rf.RNN(4, [4, 5], residual=True), ValueError, ["residual=True", "[4, 5]"]),
        (lambda: rf.RNN(4, 4, padding="repeat"), ValueError, ["padding", "'hold'", "'repeat'"]),
        (lambda: rf.RNN(4, 4, 2, bidirectional=True, merge="sum", residual=True, padding="hold"), ValueError,
         ["padding='hold'", "merge='sum'"]),
        (lambda: rf.RNN(4, 4, input_dropout=1), ValueError, ["input_dropout", "1"]),
        (lambda: rf.RNN(4, 4, weight_drop=-0.1), ValueError, ["weight_drop", "-0.1"]),
        (lambda: rf.LSTM(4, 4, forget_bias="1"), TypeError, ["forget_bias", "'1'"]),
        (lambda: rf.LSTM(4, 4, forget_bias=np.inf), ValueError, ["forget_bias", "inf"]),
        (lambda: rf.GRU(4, 4, forget_bias=1.0), TypeError, ["forget_bias"]),
        (lambda: rf.LSTM(3, [4, 5])(draw(2, 4, 3), (np.zeros((1, 2, 4)),) * 3), ValueError, ["state", "2", "3"]),
        (lambda: rf.LSTM(3, [4, 5])(draw(2, 4, 3), ((np.zeros((1, 2, 4)),) * 2, (np.zeros((1, 2, 4)),) * 2)),
         ValueError, ["h of state[1]", "(1, 2, 5)", "(1, 2, 4)"]),
        (lambda: rf.GRU(3, [4, 5])(draw(2, 4, 3), np.zeros((2, 2, 4))), ValueError, ["state", "2 entries", "ndarray"]),
        (lambda: rf.GRU(3, 4, bidirectional=True, merge=None)(draw(2, 4, 3), out=np.zeros((2, 4, 4), "f")),
         ValueError, ["out", "merge=None"]),
        (lambda: rf.GRU(3, 4, bidirectional=True, merge=None).forward(draw(2, 4, 3))[1](np.zeros((2, 4, 4))),
         ValueError, ["dy", "pair", "ndarray"]),
        (lambda: rf.GRU(3, 4, bidirectional=True, merge="sum")(draw(2, 4, 3), out=np.zeros((2, 4, 4))),
         TypeError, ["out", "float32", "float64"]),
        (lambda: rf.Sequential(rf.GRU(3, 4, bidirectional=True, merge=None)), ValueError, ["merge=None", "two"]),
        (lambda: rf.GRU(3, 4, bidirectional=True, merge="sum").stream(), ValueError, ["bidirectional", "end"]),
        (lambda: rf.Last(merge="max"), ValueError, ["merge", "'max'"]),
        (lambda: rf.Last(directions=1, merge="sum"), ValueError, ["merge='sum'", "directions=1"]),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert all(word in str(caught.value) for word in words), caught.value
