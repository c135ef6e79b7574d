"""RNN, LSTM and GRU layers: parity with PyTorch, states, axes, memory, copies. Kernels: see kernels/."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from checks import awkward, same_bits
from checks_torch import RECORDS, make_record
from layer_checks import flatten, map_state, randomise
from recurrent_checks import draw, draw_state, kinds, make, row_of

import rnnfast as rf

GOLDEN = Path(__file__).parents[1] / "golden"


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
    alone, after_alone = layer(x[1], row_of(state, 1))
    assert same_bits(alone, y[1])
    assert all(same_bits(a, b[:, 1]) for a, b in zip(flatten(after_alone), flatten(after), strict=True))
    (trained, _), _ = layer.forward(x, state)
    assert same_bits(trained, y)


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_one_sequence_is_that_of_pytorch(kind, layers, bidirectional):
    """In float32, unbatched, with PyTorch's own parameters."""
    torch = pytest.importorskip("torch")
    module = getattr(torch.nn, kind.partition("_")[0].upper())(3, 5, layers, bidirectional=bidirectional)
    layer = make(kind, layers=layers, bidirectional=bidirectional, bias="double", dtype="float32")
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(layer.params[name].copy()))
        x, state = draw(7, 3).astype("f"), map_state(lambda part: part.astype("f"), row_of(draw_state(layer, 2), 0))
        theirs, their_state = module(torch.from_numpy(x), map_state(torch.from_numpy, state))
    ours, our_state = layer(x, state)
    for got, wanted in zip([ours, *flatten(our_state)], [theirs, *flatten(their_state)], strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
def test_last_picks_what_pytorch_calls_h_n(cls, dtype):
    """The top layer's last states of both directions, side by side, as in nn.LSTM's h_n[-2:]."""
    layer = randomise(cls(3, 5, 2, bidirectional=True, dtype=dtype))
    model, x = rf.Sequential(layer, rf.Last()), draw(5, 6, 3).astype(dtype)
    for lengths in (None, [3, 0, 6, 1, 5]):
        state = layer(x, lengths=lengths)[1]
        h = state.h if cls is rf.LSTM else state
        assert same_bits(model(x, lengths=lengths), np.concatenate([h[-2], h[-1]], axis=1))


@kinds
def test_memory_of_time_major_ragged_and_unbatched_output(kind):
    layer, lengths = make(kind, layers=2, bidirectional=True), [3, 0, 4]
    x, state = draw(3, 4, 3), draw_state(layer, 3)
    wanted, after = layer(x, state, lengths=lengths)
    assert not wanted[0, 3:].any()
    assert not wanted[1].any()
    assert same_bits(row_of(flatten(after)[0], 1), row_of(flatten(state)[0], 1))  # nothing happened to that one
    for what, out in awkward(np.full((4, 3, 10), np.nan)):
        if out.flags.writeable:
            y, end = layer(x.transpose(1, 0, 2), state, lengths=lengths, time_major=True, out=out)
            assert y is out
            assert same_bits(np.ascontiguousarray(out.transpose(1, 0, 2)), wanted), what
            assert all(same_bits(a, b) for a, b in zip(flatten(end), flatten(after), strict=True))
    for length in (3, np.int32(3), [3], np.array([3], np.uint8)):
        out = np.full((4, 10), np.nan)
        assert layer(x[0], row_of(state, 0), lengths=length, out=out)[0] is out
        assert same_bits(out, wanted[0])


@kinds
@pytest.mark.parametrize("shift", [0, 5, 10, 15, 20])
def test_output_over_the_state(kind, shift):
    layer = make(kind, layers=2, bidirectional=True)
    memory = draw(1000)
    shape = (4, 1, 5)
    h, c = memory[100:120].reshape(shape), memory[120:140].reshape(shape)
    state = (h, c) if kind == "lstm" else h
    wanted, after = layer(draw(1, 3, 3), map_state(np.copy, state))
    out = memory[100 + shift : 130 + shift].reshape(1, 3, 10)
    y, end = layer(draw(1, 3, 3), state, out=out)
    assert same_bits(y, wanted)
    assert all(same_bits(a, b) for a, b in zip(flatten(end), flatten(after), strict=True))


def test_real_numbers_of_any_type_are_cast():
    layer = make("gru", dtype="float32")
    x, h = draw(2, 4, 3).astype(np.float16), draw(1, 2, 5).astype(np.float16)
    wanted = layer(x.astype("f"), h.astype("f"))[0]
    for dtype in (np.float16, np.float64, ">f4", "<f8", np.longdouble):
        assert same_bits(layer(x.astype(dtype), h.astype(dtype))[0], wanted)
    assert same_bits(layer(x.tolist(), h.tolist())[0], wanted)
    ones = layer(np.ones((2, 4, 3)))[0]
    assert same_bits(layer(np.ones((2, 4, 3), bool))[0], ones)
    assert same_bits(layer(np.ones((2, 4, 3), np.uint8))[0], ones)


@kinds
def test_what_is_returned_belongs_to_the_caller(kind):
    layer, x = make(kind, layers=2), draw(2, 4, 3)
    state = draw_state(layer, 2)
    y, after = layer(x, state)
    kept, kept_state = y.copy(), map_state(np.copy, state)
    again, after_again = layer(x, state)
    for array in (again, *flatten(after_again)):
        array.fill(np.nan)
    assert same_bits(y, kept)
    assert all(same_bits(a, b) for a, b in zip(flatten(state), flatten(kept_state), strict=True))
    assert not any(np.shares_memory(a, b) for a in flatten(after) for b in (y, *flatten(state)))


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
def test_packed_weights_follow_a_model(kind, tmp_path):
    """Moved into a model, trained there, frozen, written through the flat buffer, saved and loaded."""
    layer, x = make(kind, layers=2, bidirectional=True, bias="double"), draw(4, 4, 3)

    def check():
        """What the layer gives is what a new layer of the same parameters gives."""
        fresh = type(layer)(**layer.config())
        for name, value in layer.params.items():
            fresh.params[name] = value
        y, _ = layer(x)
        assert same_bits(y, fresh(x)[0])
        return y

    seen = [check()]
    model = rf.Sequential(layer, rf.Linear(10, 2, dtype="float64", seed=0))
    assert same_bits(check(), seen[0])
    for optimizer in (rf.Adam(0.01), rf.SGD(0.01, momentum=0.9)):
        model.fit(x, draw(4, 4, 2), loss="mse", optimizer=optimizer, epochs=1, batch_size=2, seed=0, verbose=False)
        seen.append(check())
    layer.frozen = True
    model.fit(x, draw(4, 4, 2), loss="mse", epochs=1, seed=0, verbose=False)
    assert same_bits(check(), seen[-1])
    model.flat_data[: layer.num_params] *= 0.5
    layer.block.changed()
    seen.append(check())
    model.save(tmp_path / "m")
    assert same_bits(rf.load(tmp_path / "m").layers[0](x)[0], seen[-1])
    assert len({y.tobytes() for y in seen}) == len(seen)


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
    assert type(layer)(**json.loads(json.dumps(layer.config()))).block.shapes == layer.block.shapes


def test_arguments_of_numpy_types_can_be_saved(tmp_path):
    layer = rf.LSTM(
        np.int64(3), np.uint8(4), np.int16(2), bias=np.bool_(True), bidirectional=np.bool_(True),
        dropout=np.float32(0.5), dtype=np.float64, seed=np.int64(3),
    )  # fmt: skip
    layer.save(tmp_path / "layer")
    assert repr(rf.load(tmp_path / "layer")) == repr(layer)
    cell = rf.GRUCell(np.int64(3), np.uint8(4), bias=np.bool_(False))
    cell.save(tmp_path / "cell")
    assert repr(rf.load(tmp_path / "cell")) == repr(cell)


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


@kinds
def test_dropout_masks_do_not_depend_on_the_layout(kind):
    """The mask is a function of (key, layer, step, row, unit): not of axes, batch, time, lengths or memory."""
    layer, x = make(kind, layers=3, dropout=0.5, H=20), draw(4, 5, 3)
    (wanted, _), _ = layer.forward(x, rng=1)
    (major, _), _ = layer.forward(x.transpose(1, 0, 2), time_major=True, rng=1)
    assert same_bits(np.ascontiguousarray(major.transpose(1, 0, 2)), wanted)
    for what, same in awkward(x):
        assert same_bits(layer.forward(same, rng=1)[0][0], wanted), what
    assert same_bits(layer.forward(x[0], rng=1)[0][0], wanted[0])
    assert same_bits(layer.forward(x[:, :3], rng=1)[0][0], np.ascontiguousarray(wanted[:, :3]))
    (short, _), _ = layer.forward(x, lengths=[3, 5, 0, 1], rng=1)
    for row, length in enumerate([3, 5, 0, 1]):
        assert same_bits(short[row, :length], wanted[row, :length])
    assert same_bits(layer.forward(x, rng=np.random.default_rng(1))[0][0], wanted)
    generator = np.random.default_rng(1)
    first, second = (layer.forward(x, rng=generator)[0][0] for _ in range(2))
    assert same_bits(first, wanted)
    assert not same_bits(second, wanted)
    assert not same_bits(layer.forward(x)[0][0], layer.forward(x)[0][0])


def test_dropout_keeps_the_mean_and_the_share():
    """Through an upper layer that only adds: its output is the sum of what is kept, scaled."""
    layer = make("rnn_identity", layers=2, dropout=0.3, I=1, H=50, bias=False)
    for name, value in {"weight_ih_l0": 1, "weight_hh_l0": 0, "weight_ih_l1": np.eye(50), "weight_hh_l1": 0}.items():
        layer.params[name] = np.broadcast_to(value, layer.params[name].shape)
    (y, _), _ = layer.forward(np.ones((40, 30, 1)), rng=0)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert abs((y > 0).mean() - 0.7) < 5 * (0.3 * 0.7 / y.size) ** 0.5


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


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        ([rf.RNN(50, 128), rf.Linear(128, 1)], 23_041),
        ([rf.LSTM(50, 128), rf.Linear(128, 1)], 91_777),
        ([rf.GRU(50, 128, reset="before"), rf.Linear(128, 1)], 68_865),
        ([rf.GRU(50, 128, bias="double"), rf.Linear(128, 1)], 69_249),
        ([rf.LSTM(50, 128), rf.LSTM(128, 64), rf.LSTM(64, 32), rf.Linear(32, 1)], 153_505),
        ([rf.LSTM(50, 64, bidirectional=True), rf.Last(), rf.Linear(128, 1)], 59_009),
        ([rf.LSTM(50, 64), rf.Last(), rf.Linear(64, 2)], 29_570),
        ([rf.LSTM(50, 64), rf.Linear(64, 10)], 30_090),
        ([rf.LSTM(1, 50), rf.LSTM(50, 50), rf.Last(), rf.Linear(50, 25), rf.Linear(25, 1)], 31_901),
        ([rf.Embedding(10_000, 128), rf.LSTM(128, 64, bidirectional=True), rf.Last(), rf.Linear(128, 1)], 1_378_945),
    ],
)
def test_parameter_counts_of_textbook_models(layers, count, capsys):
    model = rf.Sequential(*layers)
    assert model.num_params == model.flat_data.size == count
    model.summary()
    assert f"{count:,} parameters" in capsys.readouterr().out


def test_an_lstm_has_four_times_and_a_gru_three_times_the_parameters_of_an_rnn():
    one = rf.RNN(50, 128).num_params
    assert rf.LSTM(50, 128).num_params == 4 * one
    assert rf.GRU(50, 128, reset="before").num_params == 3 * one


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
