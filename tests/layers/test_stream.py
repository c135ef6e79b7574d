"""Streams: a step at a time gives the bits of the whole sequence."""

import threading

import numpy as np
import pytest
from checks import same_bits
from layer_checks import randomise

import rnnfast as rf
from rnnfast.layers.stream import Stream

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


def test_a_model_steps_too():
    model = rf.Sequential(rf.Embedding(11, 4), rf.GRU(4, 9), rf.Dropout(0.5), rf.Linear(9, 11, activation="tanh"))
    randomise(model)
    ids = np.random.default_rng(0).integers(0, 11, (2, 5))
    stream, y = model.stream(2), model(ids)
    for t in range(5):
        assert same_bits(stream(ids[:, t]).copy(), np.ascontiguousarray(y[:, t]))


def test_snapshot_restore_and_reset_of_rows():
    layer = randomise(rf.LSTM(3, 5, 2))
    x, stream = draw(3, 4, 3).astype("f"), layer.stream(3)
    stream(x[:, 0])
    snapshot = stream.snapshot()
    wanted = stream(x[:, 1]).copy()
    stream(x[:, 2])
    stream.restore(snapshot)
    assert same_bits(stream(x[:, 1]).copy(), wanted)
    stream.restore(snapshot)
    stream.reset([1])
    after = stream(x[:, 1]).copy()
    fresh = layer.stream(3)
    assert same_bits(after[[0, 2]], wanted[[0, 2]])
    assert same_bits(after[1], fresh(x[:, 1])[1])
    with pytest.raises(ValueError, match="another model or batch size"):
        layer.stream(2).restore(snapshot)


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


@pytest.mark.parametrize("exponent", range(50, 63))
def test_a_batch_beyond_all_memory_is_a_memory_error(exponent):
    with pytest.raises(MemoryError, match="cannot allocate"):
        rf.LSTM(3, 4).stream(2**exponent)


def test_what_cannot_stream_says_so():
    with pytest.raises(ValueError, match="bidirectional LSTM cannot run step by step"):
        rf.LSTM(3, 4, bidirectional=True).stream()
    with pytest.raises(ValueError, match="Last needs the whole sequence"):
        rf.Sequential(rf.GRU(3, 4), rf.Last()).stream()
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
    inside, leave = threading.Event(), threading.Event()

    def wait(x):
        inside.set()
        assert leave.wait(60)
        return x

    first = rf.LSTM(3, 4, seed=0).stream()
    stream = Stream([*first._chain.steps, wait], 1, "float32")
    snapshot, x = stream.snapshot(), np.ones((1, 3), "f")
    thread = threading.Thread(target=stream, args=(x,))
    thread.start()
    assert inside.wait(60)
    for use in (lambda: stream(x), stream.reset, stream.snapshot, lambda: stream.restore(snapshot)):
        with pytest.raises(RuntimeError, match="another thread"):
            use()
    leave.set()
    thread.join()
    stream.restore(snapshot)
    with pytest.raises(ValueError, match="x must have shape"):
        stream(x[:, :2])
    assert same_bits(stream(x), rf.LSTM(3, 4, seed=0).stream()(x))
