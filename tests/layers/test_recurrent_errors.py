"""RNN, LSTM and GRU layers: what is wrong is said, and nothing is touched."""

import numpy as np
import pytest
from recurrent_checks import draw, make

import rnnfast as rf


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, x: m(x[..., :2]), ValueError, ["x", "(B, T, 3)", "(2, 4, 2)"]),
        (lambda m, x: m(x[0, 0]), ValueError, ["x", "(B, T, 3)", "(3,)"]),
        (lambda m, x: m(x.astype(complex)), TypeError, ["x", "complex"]),
        (lambda m, x: m(x.astype(object)), TypeError, ["x", "object"]),
        (lambda m, x: m(x, np.zeros((2, 2, 5))), ValueError, ["state", "pair"]),
        (lambda m, x: m(x, (np.zeros((1, 2, 5)), np.zeros((2, 5)))), ValueError, ["c of state", "(1, 2, 5)", "(2, 5)"]),
        (lambda m, x: m(x, lengths=[4]), ValueError, ["lengths", "(2,)", "(1,)"]),
        (lambda m, x: m(x, lengths=[4, 5]), ValueError, ["lengths", "0 to 4", "5"]),
        (lambda m, x: m(x, lengths=[4, -1]), ValueError, ["lengths", "0 to 4", "-1"]),
        (lambda m, x: m(x, lengths=[4.0, 1.0]), TypeError, ["lengths", "integers", "float64"]),
        (lambda m, x: m(x, out=np.zeros((2, 4, 6))), ValueError, ["out", "(2, 4, 5)", "(2, 4, 6)"]),
        (lambda m, x: m(x, out=np.zeros((2, 4, 5), "f")), TypeError, ["out", "float64", "float32"]),
        (lambda m, x: m(x, out=np.broadcast_to(0.0, (2, 4, 5))), ValueError, ["out", "read-only"]),
        (lambda m, x: m(x, out=[0.0]), ValueError, ["out", "(2, 4, 5)", "list"]),
        (lambda m, x: m(x[0], lengths=[4, 4]), ValueError, ["lengths", "(1,)", "(2,)"]),
        (lambda m, x: m(x[0], lengths=5), ValueError, ["lengths", "0 to 4", "5"]),
        (lambda m, x: m(x[0], lengths="4"), TypeError, ["lengths", "integers", "<U1"]),
        (lambda m, x: m(x, time_major=True, lengths=[2, 2]), ValueError, ["lengths", "(4,)", "(2,)"]),
        (lambda m, x: m(x, time_major=True, out=np.zeros((4, 2, 5))), ValueError, ["out", "(2, 4, 5)", "(4, 2, 5)"]),
        (lambda m, x: m(x[0, :, :2], time_major=True), ValueError, ["x", "(T, B, 3)", "(4, 2)"]),
        (lambda m, x: m([["a", "b", "c"]]), TypeError, ["x", "<U1"]),
        (lambda m, x: m(x, (None, None)), TypeError, ["h of state", "object"]),
        (lambda m, x: m(x[0], (np.zeros((1, 1, 5)),) * 2), ValueError, ["h of state", "(1, 5)", "(1, 1, 5)"]),
        (lambda m, x: make("gru", layers=2)(x, np.zeros((1, 2, 5))), ValueError, ["state", "(2, 2, 5)", "(1, 2, 5)"]),
        (lambda m, x: make("gru")(x, np.zeros((1, 2, 5), complex)), TypeError, ["state", "complex128"]),
        (lambda m, x: m.forward(x)[1](np.zeros((2, 4, 6))), ValueError, ["dy", "(2, 4, 5)", "(2, 4, 6)"]),
        (lambda m, x: m.forward(x)[1](None, np.zeros(3)), ValueError, ["dstate"]),
        (lambda m, x: m.forward(x)[1](None, (np.zeros((1, 2, 5)), 1)), ValueError, ["c of dstate", "(1, 2, 5)", "()"]),
        (lambda m, x: make("gru").forward(x)[1](None, np.zeros((2, 5))), ValueError, ["dstate", "(1, 2, 5)", "(2, 5)"]),
        (lambda m, x: m.params.__setitem__("bias_l0", np.zeros(3)), ValueError, ["bias_l0", "(20,)", "(3,)"]),
        (lambda m, x: m.params.__setitem__("bias_l0", np.zeros(20, "c8")), TypeError, ["bias_l0", "complex64"]),
        (lambda m, x: m.params["bias"], KeyError, ["bias", "bias_l0"]),
        (lambda m, x: rf.LSTM(3, 5, num_layers=0), ValueError, ["num_layers", "0"]),
        (lambda m, x: rf.LSTM(3, 5, True), ValueError, ["num_layers", "True"]),
        (lambda m, x: rf.LSTM(3, 5, bidirectinal=True), TypeError, ["LSTM()", "'bidirectinal'", "'bidirectional'"]),
        (lambda m, x: rf.GRU(3, 5, resets="before"), TypeError, ["GRU()", "'resets'", "'reset'"]),
        (lambda m, x: rf.RNN(3, 5, qqq=1), TypeError, ["RNN()", "'qqq'", "input_size", "activation", "seed"]),
        (lambda m, x: rf.LSTM(3, 5, bidirectional=1), TypeError, ["bidirectional", "True or False", "1"]),
        (lambda m, x: rf.LSTM(3, 5, reverse="no"), TypeError, ["reverse", "True or False", "'no'"]),
        (lambda m, x: rf.LSTM(3, 5, learned_state=None), TypeError, ["learned_state", "True or False", "None"]),
        (
            lambda m, x: (rf.LSTM(3, 5, peephole=True), rf.LSTM(3, 5, peephole=1)),
            TypeError,
            ["peephole", "True or False", "1"],
        ),
        (lambda m, x: setattr(m, "frozen", 1), TypeError, ["frozen", "True or False", "1"]),
        (lambda m, x: rf.LSTM(3, 5, seed="one"), TypeError, ["seed", "Generator", "'one'"]),
        (lambda m, x: rf.LSTM(3, 5, seed=-1), ValueError, ["seed", "at least 0", "-1"]),
        (lambda m, x: rf.Linear(3, 5, seed=1.5), TypeError, ["seed", "Generator", "1.5"]),
        (lambda m, x: rf.Linear(3, 5, "tanh"), TypeError, ["bias", "True or False", "'tanh'"]),
        (lambda m, x: m.forward(x, rng="x"), TypeError, ["rng", "Generator", "'x'"]),
        (lambda m, x: m([[[1.0] * 3], [[1.0] * 3] * 2]), ValueError, ["x", "different lengths", "ragged"]),
        (lambda m, x: rf.Linear(3, 5)([[1.0] * 3, [1.0]]), ValueError, ["x", "different lengths", "pad_sequences"]),
        (lambda m, x: rf.Embedding(3, 5)([[1, 2], [1]]), ValueError, ["x", "different lengths", "lengths="]),
        (lambda m, x: rf.GRUCell(3, 5)([[1.0] * 3, [1.0]]), ValueError, ["x", "different lengths"]),
        (lambda m, x: rf.LSTM(3, -1), ValueError, ["hidden_size", "-1"]),
        (lambda m, x: rf.LSTM("3", 5), TypeError, ["input_size", "'3'"]),
        (lambda m, x: rf.LSTM(3, 5, dropout="0.5"), TypeError, ["dropout", "'0.5'"]),
        (lambda m, x: rf.LSTM(3, 5, dropout=np.nan), ValueError, ["dropout", "nan"]),
        (lambda m, x: rf.LSTM(3, 5, bias=np.zeros(20)), ValueError, ["bias", "'double'"]),
        (lambda m, x: rf.GRUCell(3, 5, bias="single"), ValueError, ["bias", "single"]),
        (lambda m, x: rf.GRU(3, 5, update="old"), ValueError, ["update", "old"]),
        (lambda m, x: rf.LSTM(0, 5), ValueError, ["input_size", "0"]),
        (lambda m, x: rf.LSTM(3, 5.5), TypeError, ["hidden_size", "5.5"]),
        (lambda m, x: rf.LSTM(3, 5, dropout=1.0), ValueError, ["dropout", "1.0"]),
        (lambda m, x: rf.LSTM(3, 5, bias="both"), ValueError, ["bias", "both"]),
        (lambda m, x: rf.LSTM(3, 5, dtype="float16"), ValueError, ["dtype", "float16"]),
        (lambda m, x: rf.GRU(3, 5, reset="never"), ValueError, ["reset", "never"]),
        (lambda m, x: rf.RNN(3, 5, activation="swish"), ValueError, ["activation", "swish"]),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error) as caught:
        call(make("lstm"), draw(2, 4, 3))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    "wrong", [{"lengths": [4, 5]}, {"lengths": [4.0, 4.0]}, {"state": np.zeros((1, 2, 4))}, {"x": np.zeros((2, 4, 4))}]
)
@pytest.mark.parametrize("layers", [1, 2])
def test_nothing_is_written_on_an_error(layers, wrong):
    out = np.full((2, 4, 5), 7.0)
    with pytest.raises((ValueError, TypeError)):
        make("gru", layers=layers)(**({"x": draw(2, 4, 3)} | wrong), out=out)
    assert np.all(out == 7)
