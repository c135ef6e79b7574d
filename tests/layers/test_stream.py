"""Streams: a step at a time gives the bits of the whole sequence."""

import copy
import pickle
import threading

import numpy as np
import pytest
from checks import awkward, same_bits
from layer_checks import randomise

import rnnfast as rf
from rnnfast.layers import Layer

LAYERS = [
    lambda dtype: rf.RNN(3, 5, dtype=dtype),
    lambda dtype: rf.LSTM(3, 37, 2, dtype=dtype, bias="double"),
    lambda dtype: rf.GRU(3, 17, dtype=dtype),
    lambda dtype: rf.GRU(3, 33, 2, dtype=dtype, reset="before", update="new"),
]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("B", [1, 3])
def test_steps_equal_the_sequence(make, dtype, B):
    layer = randomise(make(dtype))
    x = draw(B, 6, 3).astype(dtype)
    y, _ = layer(x)
    stream = layer.stream(B)
    for t in range(6):
        assert same_bits(stream(x[:, t]).copy(), np.ascontiguousarray(y[:, t]))
    stream.reset()
    assert same_bits(stream(x[:, 0]).copy(), np.ascontiguousarray(y[:, 0]))


class Wait(Layer):
    """A layer without compiled steps: it gives its input back, once it is let go."""

    def __init__(self):
        self.inside, self.leave = threading.Event(), threading.Event()
        self.leave.set()

    def __call__(self, x, *, lengths=None):
        self.inside.set()
        assert self.leave.wait(60)
        return x


def make_model(activation="tanh", dtype="float32"):
    return randomise(
        rf.Sequential(
            rf.Embedding(11, 4, dtype=dtype),
            rf.GRU(4, 9, dtype=dtype),
            rf.Dropout(0.5),
            rf.Sequential(rf.LSTM(9, 5, 2, dtype=dtype), rf.Linear(5, 7, activation=activation, dtype=dtype)),
            rf.RNN(7, 3, dtype=dtype),
            rf.Linear(3, 11, bias=False, dtype=dtype),
        )
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("B", [1, 3])
def test_a_model_steps_too(activation, dtype, B):
    model = make_model(activation, dtype)
    ids = np.random.default_rng(0).integers(0, 11, (B, 6))
    stream, y = model.stream(B), model(ids)
    for t in range(6):
        assert same_bits(stream(ids[:, t]).copy(), np.ascontiguousarray(y[:, t]))


@pytest.mark.parametrize("layers", [(rf.Embedding(11, 4),), (rf.Linear(4, 3, activation="relu"),), (rf.Dropout(0.5),)])
def test_models_without_state(layers):
    model = randomise(rf.Sequential(*layers))
    x = np.array([7, 3, 7]) if isinstance(layers[0], rf.Embedding) else draw(3, 4).astype("f")
    stream = model.stream(3)
    for _ in range(2):
        assert same_bits(stream(x).copy(), model(x))
    assert stream.snapshot() == ()
    stream.restore(())
    stream.reset([1])
    out = np.zeros_like(model(x))
    assert stream(x, out=out) is out
    assert same_bits(out, model(x))


def test_a_layer_without_compiled_steps_is_called():
    model = randomise(rf.Sequential(rf.LSTM(3, 4), Wait(), rf.Linear(4, 5), Wait()))
    x = draw(2, 3, 3).astype("f")
    y, stream, out = model(x), model.stream(2), np.zeros((2, 5), "f")
    for t in range(3):
        assert stream(x[:, t], out=out) is out
        assert same_bits(out, np.ascontiguousarray(y[:, t]))


def test_a_layer_used_twice_has_two_states():
    layer = randomise(rf.GRU(5, 5))
    model, x = rf.Sequential(layer, layer), draw(2, 4, 5).astype("f")
    y, stream = model(x), model.stream(2)
    for t in range(4):
        assert same_bits(stream(x[:, t]).copy(), np.ascontiguousarray(y[:, t]))


def test_a_stream_keeps_the_parameters_it_was_made_with():
    model = make_model()
    ids = np.array([[3, 1, 4]])
    y, stream = model(ids), model.stream()
    for name in model.params:
        model.params[name] = model.params[name] + 1
    for t in range(3):
        assert same_bits(stream(ids[:, t]).copy(), y[:, t])
    with pytest.raises(RuntimeError, match="parameters have changed"):
        stream.run(ids)
    assert not np.array_equal(model.stream()(ids[:, 0]), y[:, 0])


@pytest.mark.parametrize("chunks", [(1, 1, 4), (2, 0, 3, 1), (6,)])
def test_chunks_of_any_size(chunks):
    model = rf.Sequential(rf.Linear(3, 4, activation="tanh"), rf.GRU(4, 7), rf.Linear(7, 2))
    for layer in (*(make("float32") for make in LAYERS), model):
        randomise(layer)
        x, start, found = draw(2, 6, 3).astype("f"), 0, []
        y, _ = layer.run(x)
        stream = layer.stream(2)
        for size in chunks:
            part = x[:, start : start + size]
            found.append(stream(part[:, 0])[:, None].copy() if size == 1 else stream.run(part))
            start += size
        assert same_bits(np.concatenate(found, 1), y)
    with pytest.raises(ValueError, match=r"\(2, n, \.\.\.\).*\(3, 4, 3\)"):
        stream.run(draw(3, 4, 3))


def test_the_state_is_the_layers():
    layer = randomise(rf.LSTM(3, 5, 2))
    x = draw(3, 8, 3).astype("f")
    y, state = layer(x)
    stream = layer.stream(3)
    stream.run(x[:, :3])
    middle = stream.snapshot()
    stream.run(x[:, 3:])
    assert all(same_bits(a, b) for a, b in zip(stream.snapshot(), state, strict=True))
    assert same_bits(layer(x[:, 3:], middle)[0], np.ascontiguousarray(y[:, 3:]))
    stream.restore(layer(x[:, :5])[1])
    assert same_bits(stream(x[:, 5]).copy(), np.ascontiguousarray(y[:, 5]))
    one = layer.stream()
    one.restore(layer(x[0, :5])[1])  # without a batch axis
    assert same_bits(one(x[0, 5]).copy(), y[:1, 5])

    model = make_model()
    ids = np.random.default_rng(0).integers(0, 11, (2, 6))
    y, state = model.run(ids)
    stream = model.stream(2)
    stream.restore(model.run(ids[:, :4])[1])
    assert same_bits(stream(ids[:, 4]).copy(), np.ascontiguousarray(y[:, 4]))
    assert same_bits(model.run(ids[:, 5:], stream.snapshot())[0], np.ascontiguousarray(y[:, 5:]))


def test_what_is_no_state_changes_nothing():
    stream = randomise(rf.LSTM(3, 5, 2)).stream(3)
    x = draw(3, 3).astype("f")
    stream(x)
    kept = stream.snapshot()
    for wrong, error in (
        (None, TypeError),
        (kept.h, ValueError),
        ((kept.h, kept.c[:, :2]), ValueError),
        ((kept.h, kept.c * 1j), TypeError),
        ((kept.h[:, :, :4], kept.c), ValueError),
        (rf.LSTM(3, 5, 2).stream(2).snapshot(), ValueError),
        (rf.GRU(3, 5, 2).stream(3).snapshot(), ValueError),
    ):
        with pytest.raises(error, match=r"state"):
            stream.restore(wrong)
    model = make_model().stream()
    for wrong in (None, (), model.snapshot()[:2], (kept, *model.snapshot()[1:])):
        with pytest.raises((ValueError, TypeError), match="state"):
            model.restore(wrong)
    assert all(same_bits(a, b) for a, b in zip(stream.snapshot(), kept, strict=True))


def test_snapshot_restore_and_reset_of_rows():
    layer = randomise(rf.LSTM(3, 5, 2))
    x, stream = draw(3, 4, 3).astype("f"), layer.stream(3)
    stream(x[:, 0])
    snapshot = stream.snapshot()
    wanted = stream(x[:, 1]).copy()
    stream(x[:, 2])
    stream.restore(snapshot)
    assert same_bits(stream(x[:, 1]).copy(), wanted)
    fresh = layer.stream(3)(x[:, 1]).copy()
    for rows in (
        1,
        np.int16(1),
        [1],
        (1, 1),
        np.array([1], "u1"),
        np.array([False, True, False]),
        [False, True, False],
    ):
        stream.restore(snapshot)
        stream.reset(rows)
        after = stream(x[:, 1]).copy()
        assert same_bits(after[[0, 2]], wanted[[0, 2]])
        assert same_bits(after[1], fresh[1])
    for rows in ([], np.zeros(3, bool)):
        stream.restore(snapshot)
        stream.reset(rows)
        assert same_bits(stream(x[:, 1]).copy(), wanted)
    for rows in (None, [2, 0, 1], [True] * 3):
        stream.reset(rows)
        assert same_bits(stream(x[:, 1]).copy(), fresh)


def test_rows_that_are_none_change_nothing():
    stream = randomise(rf.GRU(3, 5)).stream(3)
    stream(draw(3, 3))
    kept = stream.snapshot()
    for rows, error, match in (
        (3, ValueError, "0 to 2, got 3"),
        (-1, ValueError, "0 to 2, got -1"),
        ([0, 5], ValueError, "0 to 2, got 0 to 5"),
        ([True, False], ValueError, r"mask.*\(3,\), got \(2,\)"),
        (True, ValueError, r"mask.*\(3,\), got \(\)"),
        ([[0, 1]], ValueError, r"shape \(1, 2\)"),
        (1.0, TypeError, "float64"),
        (slice(0, 2), TypeError, "object"),
        ("1", TypeError, "U1"),
    ):
        with pytest.raises(error, match=match):
            stream.reset(rows)
    assert same_bits(stream.snapshot(), kept)


def test_out_and_memory():
    layer = randomise(rf.GRU(3, 5))
    x, stream = draw(1, 2, 3).astype("f"), layer.stream()
    y, _ = layer(x)
    out = np.zeros((1, 5), "f")
    assert stream(x[:, 0], out=out) is out
    buffer = stream(np.asfortranarray(x[:, 1]))
    assert same_bits(out, np.ascontiguousarray(y[:, 0]))
    assert same_bits(buffer.copy(), np.ascontiguousarray(y[:, 1]))
    assert stream(x[0, 0]) is buffer
    assert stream(x[0, 0].tolist()) is buffer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_of_any_kind(dtype):
    layer = randomise(rf.LSTM(3, 5, dtype=dtype))
    x = np.arange(6).reshape(2, 3).astype(dtype)
    wanted = layer(x[:, None])[0][:, 0].copy()
    stream = layer.stream(2)
    for kind in ("f2", "f4", "f8", ">f4", ">f8", "i1", "u8"):
        stream.reset()
        assert same_bits(stream(x.astype(kind)).copy(), wanted)
    for _, array in awkward(x):
        stream.reset()
        assert same_bits(stream(array).copy(), wanted)
    thin = randomise(rf.GRU(1, 2, dtype=dtype))
    for _, array in awkward(x[:, :1]):
        assert same_bits(thin.stream(2)(array).copy(), thin(x[:, None, :1])[0][:, 0])


def test_ids_of_any_kind():
    model = make_model()
    ids = np.array([7, 0, 10])
    wanted = model(ids[:, None])[:, 0].copy()
    stream = model.stream(3)
    for kind in ("i1", "u2", "i4", ">i8", "i8", "u8", "q"):
        stream.reset()
        assert same_bits(stream(ids.astype(kind)).copy(), wanted)
    shifted = np.zeros(25, "u1")[1:].view("i8")
    shifted[:] = ids
    for array in (np.repeat(ids, 2)[::2], ids[::-1].copy()[::-1], shifted):
        stream.reset()
        assert same_bits(stream(array).copy(), wanted)
    stream.reset()
    assert same_bits(stream(ids.tolist()).copy(), wanted)
    assert same_bits(model.stream()(7).copy(), wanted[:1])
    stream.reset()
    for wrong, error, match in (
        ([7, 0, 11], ValueError, "0 to 10, got 11"),
        (np.array([-1, 0, 1]), ValueError, "0 to 10, got -1"),
        ([7, 0], ValueError, r"\(3,\).*\(2,\)"),
        (np.zeros((3, 1), int), ValueError, r"\(3,\).*\(3, 1\)"),
        ([7.0, 0.0, 1.0], TypeError, "integers"),
    ):
        with pytest.raises(error, match=match):
            stream(wrong)
    assert same_bits(stream(ids).copy(), wanted)


def test_out_of_any_kind():
    layer = randomise(rf.GRU(3, 5))
    x = draw(2, 3).astype("f")
    wanted = layer(x[:, None])[0][:, 0].copy()
    for out in (
        np.zeros((2, 5), "f"),
        np.zeros((5, 2), "f").T,
        np.zeros((4, 10), "f")[::2, ::-2],
        np.zeros((2, 5), "f8"),
        np.zeros((2, 5), ">f4"),
        np.zeros(41, "u1")[1:].view("f").reshape(2, 5),
    ):
        assert layer.stream(2)(x, out=out) is out
        assert same_bits(out.astype("f"), wanted)
    stream = layer.stream(2)
    read_only = np.zeros((2, 5), "f")
    read_only.flags.writeable = False
    for wrong, error, match in (
        (np.zeros((2, 4), "f"), ValueError, r"\(2, 5\), got an array of shape \(2, 4\)"),
        (np.zeros(10, "f"), ValueError, r"\(2, 5\).*\(10,\)"),
        (read_only, ValueError, "read-only"),
        ([[0] * 5] * 2, TypeError, "list"),
    ):
        with pytest.raises(error, match=match):
            stream(x, out=wrong)
    assert same_bits(stream(x).copy(), wanted)


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_a_result_that_its_holder_reshapes():
    layer = randomise(rf.GRU(3, 5))
    x = draw(1, 2, 3).astype("f")
    y, _ = layer(x)
    stream = layer.stream()
    first = stream(x[:, 0])
    first.shape = (5, 1)
    second = stream(x[:, 1])
    assert same_bits(second.copy(), y[:, 1])
    second[...] = 7  # the state is elsewhere
    stream.restore(layer(x[:, :1])[1])
    assert same_bits(stream(x[:, 1]).copy(), y[:, 1])


@pytest.mark.parametrize("exponent", range(50, 63))
def test_a_batch_beyond_all_memory_is_a_memory_error(exponent):
    with pytest.raises(MemoryError, match="cannot allocate"):
        rf.LSTM(3, 4).stream(2**exponent)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_streams_and_pools_are_not_copied(make):
    for one in (rf.GRU(3, 4).stream(), rf.GRU(3, 4).pool(2)):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            make(one)


def test_what_cannot_stream_says_so():
    with pytest.raises(ValueError, match="bidirectional LSTM cannot run step by step"):
        rf.LSTM(3, 4, bidirectional=True).stream()
    with pytest.raises(ValueError, match="Last needs the whole sequence"):
        rf.Sequential(rf.GRU(3, 4), rf.Last()).stream()
    with pytest.raises(ValueError, match=r"LSTMCell keeps no state.*rnnfast\.LSTM has"):
        rf.LSTMCell(3, 4).stream()
    stream = rf.GRU(3, 4).stream(2)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        stream(np.zeros((2, 4)))
    with pytest.raises(TypeError, match="complex"):
        stream(np.zeros((2, 3), complex))
    with pytest.raises(ValueError, match="batch_size"):
        rf.GRU(3, 4).stream(0)


def test_streams_of_many_threads():
    layer = randomise(rf.LSTM(3, 20))
    x = draw(8, 50, 3).astype("f")
    wanted, _ = layer(x)
    found = [None] * 8

    def work(row):
        stream = layer.stream()
        found[row] = np.stack([stream(x[row : row + 1, t])[0].copy() for t in range(50)])

    threads = [threading.Thread(target=work, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(found[row], wanted[row]) for row in range(8))


def test_one_stream_in_two_threads_is_an_error():
    """Whichever layer the first is in, and whatever the second wants; the stream works on afterwards."""
    wait = Wait()
    model = rf.Sequential(rf.LSTM(3, 4, seed=0), wait)
    stream = model.stream()
    snapshot, x = stream.snapshot(), np.ones((1, 3), "f")
    wait.leave.clear()
    thread = threading.Thread(target=stream, args=(x,))
    thread.start()
    assert wait.inside.wait(60)
    chunk = x[None]
    for use in (
        lambda: stream(x),
        stream.reset,
        stream.snapshot,
        lambda: stream.restore(snapshot),
        lambda: stream.run(chunk),
    ):
        with pytest.raises(RuntimeError, match="another thread"):
            use()
    wait.leave.set()
    thread.join()
    stream.restore(snapshot)
    with pytest.raises(ValueError, match="x must have shape"):
        stream(x[:, :2])
    assert same_bits(stream(x), rf.LSTM(3, 4, seed=0).stream()(x))
