"""The lecture notes' training practice: min-char-rnn (Karpathy 2015, "The unreasonable effectiveness of recurrent
neural networks"), written again from its description, against the fused layer."""

import numpy as np
import pytest
from checks import relative_error

from rnnfast.data import tasks
from rnnfast.layers import LSTM, RNN, Embedding, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD, Adam, CrossEntropy, train_step

TEXT = "in the beginning there was nothing but a sequence of characters, and then there was a state. " * 3
STEPS, HIDDEN = 25, 17


class MinCharRNN:
    """One-hot inputs, a tanh layer, a softmax; gradients of the summed loss, step by step backwards."""

    def __init__(self, symbols, rng):
        self.Wxh, self.Whh, self.Why = (
            0.01 * rng.standard_normal(shape) for shape in ((HIDDEN, symbols), (HIDDEN, HIDDEN), (symbols, HIDDEN))
        )
        self.bh, self.by = 0.01 * rng.standard_normal(HIDDEN), 0.01 * rng.standard_normal(symbols)
        self.memory = {name: np.zeros_like(value) for name, value in self.params().items()}

    def params(self):
        return {"Wxh": self.Wxh, "Whh": self.Whh, "Why": self.Why, "bh": self.bh, "by": self.by}

    def loss(self, inputs, targets, h):
        states, probabilities, total = [h], [], 0.0
        for symbol, target in zip(inputs, targets, strict=True):
            h = np.tanh(self.Wxh[:, symbol] + self.Whh @ h + self.bh)
            scores = np.exp(self.Why @ h + self.by)
            states.append(h)
            probabilities.append(scores / scores.sum())
            total -= np.log(probabilities[-1][target])
        grads = {name: np.zeros_like(value) for name, value in self.params().items()}
        dh_next = np.zeros(HIDDEN)
        for t in reversed(range(len(inputs))):
            dy = probabilities[t].copy()
            dy[targets[t]] -= 1
            draw = (self.Why.T @ dy + dh_next) * (1 - states[t + 1] ** 2)
            grads["Why"] += np.outer(dy, states[t + 1])
            grads["by"] += dy
            grads["bh"] += draw
            grads["Wxh"][:, inputs[t]] += draw
            grads["Whh"] += np.outer(draw, states[t])
            dh_next = self.Whh.T @ draw
        return total, grads, h

    def update(self, grads, rate=0.1):
        for name, value in self.params().items():
            clipped = np.clip(grads[name], -5, 5)
            self.memory[name] += clipped * clipped
            value -= rate * clipped / np.sqrt(self.memory[name] + 1e-8)


@pytest.fixture
def text():
    symbols = sorted(set(TEXT))
    return np.array([symbols.index(each) for each in TEXT]), len(symbols)


def layers(theirs, symbols):
    model = Sequential(RNN(symbols, HIDDEN, dtype="float64"), Linear(HIDDEN, symbols, dtype="float64"))
    copy_in(theirs, model)
    return model


def copy_in(theirs, model):
    names = {"Wxh": "0.weight_ih_l0", "Whh": "0.weight_hh_l0", "bh": "0.bias_l0", "Why": "1.weight", "by": "1.bias"}
    for name, value in theirs.params().items():
        model.params[names[name]] = value
    return names


def test_min_char_rnns_loss_and_gradients_come_out_from_its_own_weights(text):
    ids, symbols = text
    theirs = MinCharRNN(symbols, np.random.default_rng(0))
    model, h, state = layers(theirs, symbols), np.zeros(HIDDEN), None
    for iteration in range(4):
        part = slice(iteration * STEPS, (iteration + 1) * STEPS)
        x, y = ids[part], ids[1:][part]
        total, grads, h = theirs.loss(x, y, h)
        names = copy_in(theirs, model)
        step = train_step(model, np.eye(symbols)[x][None], y[None], CrossEntropy(), SGD(0.0), state=state)
        state = step.state
        assert step.loss_sum == pytest.approx(total, rel=1e-10)
        if iteration == 0:
            # The first loss is that of guessing: -log(1 / symbols) each step.
            assert step.loss_sum == pytest.approx(STEPS * np.log(symbols), rel=1e-2)
        for name, wanted in grads.items():
            assert relative_error(model.grads[names[name]] * STEPS, wanted) < 1e-10
        assert relative_error(state[0].ravel(), h) < 1e-10
        theirs.update(grads)


def test_many_to_one_with_a_softmax_of_two_tells_parity():
    x, y, lengths = tasks.parity(1000, 8, min_length=1, seed=0)
    model = Sequential(LSTM(1, 16, seed=0), Last(), Linear(16, 2, seed=0))
    how = {"optimizer": Adam(0.05, clip_norm=1.0), "epochs": 30, "metrics": ["accuracy"], "seed": 0, "verbose": False}
    model.fit(x, y, lengths=lengths, loss="cross_entropy", **how)
    x, y = tasks.parity(500, 8, seed=1)
    assert model.evaluate(x, y)["accuracy"] > 0.99


def test_many_to_many_with_a_softmax_of_ten_at_each_step():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10, (300, 12))
    # What a step is called depends on it, and on the one that follows.
    y = (ids + 3 * np.roll(ids, -1, axis=1) % 5) % 10
    y[:, -1] = ids[:, -1]
    model = Sequential(Embedding(10, 8, seed=0), LSTM(8, 24, bidirectional=True, seed=0), Linear(48, 10, seed=0))
    how = {"optimizer": Adam(0.02), "epochs": 20, "metrics": ["accuracy"], "seed": 0, "verbose": False}
    model.fit(ids[:250], y[:250], loss="cross_entropy", **how)
    assert model.evaluate(ids[250:], y[250:])["accuracy"] > 0.99
