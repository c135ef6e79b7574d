"""Steps of a search against the whole target at once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from layer_checks import randomise

import rnnfast as rf
from rnnfast.decoding._steps import log_softmax
from rnnfast.models.seq2seq._stepping import Stepper

LINES = [[3, 4, 1, 5, 2], [2], [5, 5, 0]]
CASES = {
    "luong": {},
    "feeding": {"input_feeding": True},
    "bahdanau": {"attention_order": "bahdanau"},
    "every": {"context": "every"},
    "every, feeding": {"context": "every", "input_feeding": True},
    "first, bahdanau": {"context": "first", "attention_order": "bahdanau"},
    "coverage": {"coverage": True},
    "coverage, copy": {"coverage": True, "copy": True, "input_feeding": True},
    "two layers": {"num_layers": 2, "residual": True},
    "projected": {"proj_size": 4},
}


def build(cell="lstm", num_layers=1, coverage=False, proj_size=None, residual=False, dtype="float64", **how):
    """A model of random weights; `how` is of its decoder."""
    encoder = rf.Encoder(rf.Embedding(6, 3, dtype=dtype), rf.GRU(3, 4, bidirectional=True, dtype=dtype))
    size = proj_size or 5
    fed = size if how.get("input_feeding") else 8 if how.get("attention_order") == "bahdanau" else 0
    width = 8 if how.get("context") == "first" else 3
    inputs = width + fed + 8 * (how.get("context") == "every")
    options = {"proj_size": proj_size} if proj_size else {}
    options |= {"residual": True} if residual else {}
    cells = {"lstm": rf.LSTM, "gru": rf.GRU, "rnn": rf.RNN}[cell](inputs, 5, num_layers, dtype=dtype, **options)
    look = rf.Attention(size, 8, "additive", hidden_size=4, coverage=coverage, dtype=dtype)
    decoder = rf.Decoder(rf.Embedding(6, width, dtype=dtype), cells, attention=look, **how)
    return randomise(rf.Seq2Seq(encoder, decoder, "dense"))


@pytest.mark.parametrize(
    ("case", "cell"),
    [
        *((case, cell) for case in CASES for cell in ("lstm", "gru", "rnn") if case != "projected"),
        ("projected", "lstm"),
    ],
)
def test_steps_are_the_whole_target(case, cell):
    model, rng = build(cell, **CASES[case]), np.random.default_rng(1)
    targets = rng.integers(0, 6, (len(LINES), 4))
    x, _, lengths = model.pairs(LINES, targets)
    whole = model.decode({"source": x["source"], "target": targets}, lengths={"source": lengths["source"]})
    _, state = model.start(LINES)
    assert isinstance(state.memory, Stepper)
    rows = np.arange(len(LINES))
    for t in range(targets.shape[1]):
        found, state = model.step(targets[rows, t], state)
        assert np.abs(found - log_softmax(whole.logits)[rows, t]).max() < 1e-12
        assert np.abs(state.weights - whole.weights[rows, t]).max() < 1e-12
        # Any rows go on, one several times; their number changes.
        again = rng.integers(0, len(rows), 2 + 3 * (t % 2))
        rows, state = rows[again], model.reorder(state, again)


def test_threads_step_side_by_side():
    model = build("lstm", input_feeding=True, coverage=True, dtype="float32")
    _, state = model.start([LINES[0]] * 3 + [LINES[2]] * 2)
    tokens = [np.full(5, token) for token in range(6)]
    wanted = [model.step(each, state) for each in tokens]

    def work(number):
        for _ in range(30):
            found, after = model.step(tokens[number % 6], state)
            assert np.array_equal(found, wanted[number % 6][0])
            assert np.array_equal(after.recurrent, wanted[number % 6][1].recurrent)
            assert np.array_equal(after.weights, wanted[number % 6][1].weights)
        return True

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(12)))


def test_what_it_refuses():
    model = build("lstm", input_feeding=True)
    tokens, state = model.start(LINES)
    for wrong in (6, -1):
        with pytest.raises(ValueError, match=rf"tokens must be from 0 to 5, got {wrong} at 1"):
            model.step(np.array([1, wrong, 1]), state)
    with pytest.raises(ValueError, match=r"shape \(1, 2, W\), got \(1, 3, "):
        model.step(tokens[:2], state)
    with pytest.raises(ValueError, match="below 3, of each of 3 rows"):
        model.step(tokens, state._replace(sources=np.array([0, 1, 3])))
