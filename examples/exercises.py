"""The lecture notes' exercises 10.1 to 10.5, solved.

    python examples/exercises.py [1 2 3 4 5]

1. An RNN that sums a sequence: trained, and by hand without any error.
2. An LSTM from zero with all its gates, compared gate by gate by `rnnfast.testing.check_cell`.
3. The forecast of a series: sine_forecast.py tells more.
4. Kind or unkind reviews, of made sentences in which the order of words counts: sentiment.py has real ones.
5. Text written character by character; `rnnfast demo` and `rnnfast train text` do it in earnest.
"""

import argparse

import numpy as np

import rnnfast as rf
from rnnfast.data import Vocabulary, hold_out, python_documentation
from rnnfast.testing import check_cell
from rnnfast.training.schedules import Cosine

STEPS = 20


def adder():
    """An RNN of one unit without a squashing function, h_t = 1 x_t + 1 h_{t-1} + 0: the sum so far, by hand."""
    layer = rf.RNN(1, 1, activation="identity", dtype="float64")
    layer.params["weight_ih_l0"] = layer.params["weight_hh_l0"] = [[1.0]]
    layer.params["bias_l0"] = [0.0]
    return layer


def summing(seed=0, epochs=40):
    """Exercise 10.1: the mean squared error of a trained RNN on sums of 20 numbers, and the largest of the adder's."""
    rng = np.random.default_rng(seed)
    x, x_test = rng.random((2000, STEPS, 1)), rng.random((500, STEPS, 1))
    model = rf.Sequential(rf.RNN(1, 8, activation="identity", seed=seed), rf.Last(), rf.Linear(8, 1, seed=seed))
    rate = Cosine(0.01, steps=epochs * 63)
    how = {"optimizer": rf.Adam(rate, clip_norm=1.0), "epochs": epochs, "seed": seed, "verbose": False}
    model.fit(x, x.sum(axis=1), loss="mse", **how)
    by_hand, _ = adder()(x_test)
    error = float(np.mean((model(x_test) - x_test.sum(axis=1)) ** 2))
    return error, float(np.abs(by_hand - x_test.cumsum(axis=1)).max())


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm(x, h, c, p):
    """Exercise 10.2: one step of an LSTM; each gate's weights multiply the state and the input, put side by side."""
    both = np.concatenate([h, x], axis=1)
    f = sigmoid(both @ p["W_f"].T + p["b_f"])  # what the cell keeps
    i = sigmoid(both @ p["W_i"].T + p["b_i"])  # what it takes in
    candidate = np.tanh(both @ p["W_C"].T + p["b_C"])
    o = sigmoid(both @ p["W_o"].T + p["b_o"])  # what it shows
    c = f * c + i * candidate
    return {"f": f, "i": i, "C_tilde": candidate, "o": o, "C": c, "h": o * np.tanh(c)}


def lstm_that_forgets_to_forget(x, h, c, p):
    """The same with a mistake that is often made: the cell adds to what it had."""
    right = lstm(x, h, c, p)
    c = c + right["i"] * right["C_tilde"]
    return right | {"C": c, "h": right["o"] * np.tanh(c)}


def gates():
    """Exercise 10.2: the largest difference of the cell above, and what is said of the wrong one."""
    errors = check_cell(lstm, form="concat")
    try:
        check_cell(lstm_that_forgets_to_forget, form="concat")
    except AssertionError as error:
        return max(errors.values()), str(error)
    raise SystemExit("the wrong cell passed")


def forecast(seed=0, epochs=20):
    """Exercise 10.3: mean squared errors of forecasts of a noisy sine, of the last value again, of the sine itself."""
    sine = np.sin(np.arange(1000) * 0.1)
    series = sine + np.random.default_rng(seed).normal(0, 0.1, 1000)
    model = rf.Forecaster(window=30, hidden_size=32, seed=seed).fit(series[:800], epochs=epochs)
    starts = np.arange(800, 1000)
    guesses = np.ravel(model.forecasts(series, starts, 1)), series[starts - 1], sine[starts]
    return tuple(float(np.mean((guess - series[starts]) ** 2)) for guess in guesses)


GOOD, BAD = ("good", "wonderful", "moving"), ("bad", "boring", "clumsy")
THINGS = ("film", "plot", "music", "ending")


def review(rng):
    """A made sentence, and whether it is kind: 'not' turns the word that follows it round."""
    kind = bool(rng.integers(2))
    not_at_all = bool(rng.integers(2))
    word = rng.choice(GOOD if kind != not_at_all else BAD)
    return ["the", rng.choice(THINGS), "was", *["very"] * rng.integers(3), *["not"] * not_at_all, word], kind


def sentiment(seed=0, epochs=15):
    """Exercise 10.4: the accuracy of a bidirectional LSTM on new reviews; a bag of words is at one half."""
    rng = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = (zip(*(review(rng) for _ in range(count)), strict=True) for count in (400, 200))
    model = rf.Classifier(hidden_size=16, embedding_dim=8, bidirectional=True, recurrent_dropout=0.2, seed=seed)
    return model.fit(list(x), list(y), epochs=epochs).score(list(x_test), list(y_test))


def writing(seed=0, characters=100_000, epochs=4):
    """Exercise 10.5: perplexity by character of held-out text before and after training, and what an LSTM writes."""
    text, held_out = hold_out(python_documentation()[:characters])
    model = rf.LanguageModel(Vocabulary(text), cell="lstm", hidden_size=128, embedding_dim=32, seed=seed)
    before = model.evaluate(held_out)
    model.fit(text, epochs=epochs, batch_size=16, chunk=50, learning_rate=0.01, seed=seed, verbose=False)
    return before, model.evaluate(held_out), model.generate("The ", 120, temperature=0.6, seed=seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exercises", type=int, nargs="*", metavar="1 to 5")
    wanted = parser.parse_args().exercises or range(1, 6)
    if not set(wanted) <= set(range(1, 6)):
        parser.error(f"the exercises are 1 to 5, got {' '.join(map(str, wanted))}")
    if 1 in wanted:
        error, by_hand = summing()
        print(f"10.1 sum of {STEPS} numbers: mean squared error {error:.1e} learnt, largest error {by_hand} by hand")
    if 2 in wanted:
        error, said = gates()
        print(f"10.2 LSTM from zero: largest difference {error:.1e}; of a wrong one: {said}")
    if 3 in wanted:
        error, last, noise = forecast()
        print(f"10.3 noisy sine: mean squared error {error:.4f}, of the last value {last:.4f}, of the sine {noise:.4f}")
    if 4 in wanted:
        print(f"10.4 kind or unkind: accuracy {sentiment():.1%}")
    if 5 in wanted:
        before, after, written = writing()
        print(f"10.5 text: perplexity {before:.0f} before training, {after:.2f} after; it writes\nThe {written}")


if __name__ == "__main__":
    main()
