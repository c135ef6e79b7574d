"""Training that runs segments of steps again: the same bits, less memory."""

import copy
import math
import pickle
import signal

import numpy as np
import pytest
from checks import digest, parts

import rnnfast as rf

LAYERS = {
    "rnn": (rf.RNN, {}),
    "lstm": (rf.LSTM, {}),
    "gru": (rf.GRU, {}),
    "indrnn": (rf.IndRNN, {}),
    "mgu": (rf.MGU, {}),
    "stack": (rf.LSTM, {"num_layers": 3, "bidirectional": True, "dropout": 0.3, "residual": "highway"}),
    "double": (rf.GRU, {"bias": "double", "reset": "before", "update": "new"}),
    "reverse": (rf.GRU, {"reverse": True, "learned_state": True, "zoneout": 0.2}),
    "merged": (rf.LSTM, {"num_layers": 2, "bidirectional": True, "merge": "mul", "recurrent_dropout": 0.3}),
    "dropped": (rf.GRU, {"num_layers": 2, "input_dropout": 0.2, "weight_drop": 0.3, "layer_norm": True}),
    "held": (rf.LSTM, {"bidirectional": True, "padding": "hold", "proj_size": 5}),
}


def train(layer, x, **how):
    """A hash of outputs, states and all gradients."""
    layer.zero_grad()
    (y, state), backward = layer.forward(x, rng=3, **how)
    states = state if isinstance(state, tuple) else (state,)
    dx, dstate = backward(np.cos(3 * y), state)
    return digest([y, dx, *states, *parts(dstate), *(layer.grads[name].copy() for name in sorted(layer.grads))])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("steps", ["all", "lengths", "mask"])
def test_equal_bits(always_divided, name, dtype, steps):
    cls, options = LAYERS[name]
    rng = np.random.default_rng(0)
    x, how = rng.normal(size=(4, 90, 12)), {}
    if steps == "lengths":
        how["lengths"] = [31, 90, 0, 77]
    if steps == "mask":
        how["mask"] = rng.random((4, 90)) < 0.7
        how["mask"][2] = False
    layer, found = cls(12, 12, **options, dtype=dtype, seed=1), set()
    for threads in (1, 2):
        rf.set_num_threads(threads)
        for recompute in (None, True, 1, 8, 33, 1000):
            layer.recompute = recompute
            found.add(train(layer, x, **how))
    assert len(found) == 1


@pytest.mark.parametrize("T", [0, 1, 2, 3])
@pytest.mark.parametrize("recompute", [True, 2, 50])
def test_short_sequences(T, recompute):
    x = np.random.default_rng(0).normal(size=(2, T, 3))
    plain, again = (rf.GRU(3, 5, bidirectional=True, seed=0, recompute=given) for given in (None, recompute))
    assert train(plain, x) == train(again, x)
    assert train(plain, x[0]) == train(again, x[0])


def test_a_model_trains_alike():
    def fit(recompute):
        lstm = rf.LSTM(3, 9, recompute=recompute, recurrent_dropout=0.2, seed=0)
        model = rf.Sequential(lstm, rf.Last(), rf.Linear(9, 2, seed=1))
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(12, 40, 3)), rng.normal(size=(12, 2))
        model.fit(x, y, loss="mse", optimizer=rf.Adam(1e-2), epochs=2, batch_size=5, seed=0, verbose=False)
        return digest([value.copy() for value in model.params.values()])

    assert fit(None) == fit(True) == fit(7)


def test_the_option_is_written():
    assert "recompute" not in rf.GRU(3, 4).config()
    for given in (True, 25):
        layer = rf.GRU(3, 4, recompute=given)
        assert layer.config()["recompute"] is given
        assert rf.GRU(**layer.config()).recompute is given
        assert copy.deepcopy(layer).recompute is given
        assert pickle.loads(pickle.dumps(layer)).recompute is given
    assert rf.GRU(3, 4, recompute=False).recompute is None


def test_the_table():
    text = str(rf.LSTM(3, 5, recompute=True).explain(2, 1000))
    assert "segments of 32 steps run again" in text
    assert rf.LSTM(3, 5, recompute=True).explain(2, 1000, [32, 5]).segment == 0
    assert rf.LSTM(3, 5, recompute=70).explain(2, 50).segment == 0
    for T in (1, 2, 3, 9, 10, 99, 100, 101):
        assert rf.RNN(3, 5, recompute=True).explain(1, T).segment == (math.ceil(T**0.5) if T > 2 else 0)


@pytest.mark.parametrize("given", [0, -3, 2.5, "yes"])
def test_bad_arguments(given):
    with pytest.raises((ValueError, TypeError), match="recompute"):
        rf.LSTM(3, 4, recompute=given)
    layer = rf.LSTM(3, 4)
    layer.recompute = given
    with pytest.raises((ValueError, TypeError), match="recompute"):
        layer.forward(np.ones((1, 5, 3)))


def test_backward_works_once_and_sees_changed_parameters():
    layer = rf.GRU(3, 4, recompute=2, seed=0)
    (y, _), backward = layer.forward(np.ones((1, 9, 3)))
    layer.recompute = None  # what forward kept is what counts
    backward(y)
    with pytest.raises(RuntimeError, match="once"):
        backward(y)
    (y, _), backward = layer.forward(np.ones((1, 9, 3)))
    layer.params["weight_hh_l0"] = layer.params["weight_hh_l0"] + 1
    with pytest.raises(RuntimeError):
        backward(y)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_signal_ends_backward():
    class Stop(Exception):
        pass

    def handler(number, frame):
        raise Stop

    layer = rf.GRU(1, 64, recompute=True, seed=0)
    (y, _), backward = layer.forward(np.ones((2, 100_000, 1), "f"))
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Stop):
            backward(y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not any(grad.any() for grad in layer.grads.values())
