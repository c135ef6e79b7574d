"""Many Python threads on one layer at once."""

import threading

import numpy as np
import pytest
from checks import same_bits

import rnnfast as rf

THREADS = 8


def together(work):
    """Run work(0) ... work(THREADS - 1), each on a thread, all at once; re-raise what any of them raises."""
    errors, gate = [], threading.Barrier(THREADS)

    def body(index):
        gate.wait()
        try:
            work(index)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
def test_inference(cls):
    layer = cls(5, 33, 2, bidirectional=True, seed=0)
    x = np.random.default_rng(0).normal(size=(THREADS, 4, 20, 5)).astype("f")
    wanted = [layer(part)[0] for part in x]
    layer.params["bias_l0"] = layer.params["bias_l0"]  # what is packed is packed again, by all of them at once

    def work(index):
        for _ in range(20):
            assert same_bits(layer(x[index])[0], wanted[index])

    together(work)


@pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
def test_training_adds_every_gradient(cls):
    layer = cls(5, 17, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(THREADS, 3, 10, 5)), rng.normal(size=(THREADS, 3, 10, 17))
    wanted, dx = {}, []
    for part, gradient in zip(x, dy, strict=True):
        (_, _), backward = layer.forward(part)
        dx.append(backward(gradient, grads=wanted)[0])
    layer.zero_grad()

    def work(index):
        for _ in range(10):
            (_, _), backward = layer.forward(x[index])
            assert same_bits(backward(dy[index])[0], dx[index])

    together(work)
    for name, total in wanted.items():
        np.testing.assert_allclose(layer.grads[name], 10 * total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [rf.RNN, rf.LSTM, rf.GRU])
def test_data_parallel_training(cls, dtype):
    """All threads compute gradients of one version of the parameters, into mappings of their own; then one thread adds
    these up in order and lets the optimizer change the parameters, while the others wait. That is the protocol, and it
    gives the bits of one thread that does it all; inference goes on meanwhile."""
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(THREADS, 3, 10, width)).astype(dtype) for width in (5, 34))

    def gradients(layer, index):
        found: dict = {}
        (_, _), backward = layer.forward(x[index], lengths=[10, 0, 7], rng=index)
        backward(dy[index], grads=found)
        return found

    def update(layer, optimizer, found):
        layer.zero_grad()
        for one in found:
            for name, value in one.items():
                layer.grads[name] += value
        optimizer.step(layer)

    def new():
        return cls(5, 17, 2, bidirectional=True, dropout=0.2, dtype=dtype, seed=0), rf.Adam(0.01, clip_norm=1.0)

    alone, optimizer = new()
    outputs = [alone(x[0])[0]]
    for _ in range(5):
        update(alone, optimizer, [gradients(alone, index) for index in range(THREADS)])
        outputs.append(alone(x[0])[0])
    assert len({y.tobytes() for y in outputs}) == 6

    shared, optimizer = new()
    found: list = [None] * THREADS
    barrier = threading.Barrier(THREADS, action=lambda: update(shared, optimizer, found))

    def work(index):
        try:
            for _ in range(5):
                found[index] = gradients(shared, index)
                barrier.wait()
                shared(x[index])
        except BaseException:
            barrier.abort()
            raise

    together(work)
    assert same_bits(shared.block.data, alone.block.data)
    assert same_bits(shared(x[0])[0], outputs[-1])


def test_parameters_that_change_meanwhile():
    layer = rf.LSTM(5, 17, seed=0)
    values = [np.full((68, 17), value, "f") for value in (-0.1, 0.1)]
    x = np.random.default_rng(0).normal(size=(3, 10, 5)).astype("f")
    wanted = []
    for value in values:
        layer.params["weight_hh_l0"] = value
        wanted.append(layer(x)[0])
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for value in values:
                layer.params["weight_hh_l0"] = value

    changer = threading.Thread(target=change)
    changer.start()
    try:
        together(lambda index: [np.isfinite(layer(x)[0]).all() or pytest.fail("not finite") for _ in range(20)])
    finally:
        stop.set()
        changer.join()
    # Once nothing changes any more, nothing packed meanwhile may be left over.
    for value, y in zip(values, wanted, strict=True):
        layer.params["weight_hh_l0"] = value
        assert same_bits(layer(x)[0], y)


def test_one_backward_wins():
    layer = rf.GRU(5, 17, seed=0)
    (y, _), backward = layer.forward(np.ones((3, 10, 5), "f"))
    won = []

    def work(index):
        try:
            backward(np.ones_like(y))
        except RuntimeError:
            return
        won.append(index)

    together(work)
    assert len(won) == 1
