import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import plot_gradient_norms

X = np.random.default_rng(0).normal(size=(3, 6, 2))


def test_lines_are_the_norms(plt):
    rnn, lstm = rf.RNN(2, 5, dtype="float64", seed=0), rf.LSTM(2, 4, 2, dtype="float64", seed=1)
    ax = plot_gradient_norms({"rnn": rnn, "lstm": lstm}, X)
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["rnn", "lstm, l0", "lstm, l1"]
    dy = np.zeros((3, 6, 5))
    dy[:, -1] = 5**-0.5
    values = ax.lines[0].get_ydata()
    np.testing.assert_allclose(values, rnn.gradient_norms(X, dy)["l0"].mean(axis=0), rtol=1e-12)
    assert values[-1] == pytest.approx(1)
    assert 0 < values[0] < values[-1]


def test_a_gradient_and_lengths_given(plt):
    layer = rf.GRU(2, 4, dtype="float64", seed=0)
    dy, lengths = np.random.default_rng(1).normal(size=(3, 6, 4)), np.array([6, 2, 0])
    ax = plot_gradient_norms({"gru": layer}, X, {"gru": dy}, lengths=lengths)
    norms = layer.gradient_norms(X, dy, lengths=lengths)["l0"]
    wanted = [norms[:2, t].mean() if t < 2 else norms[0, t] for t in range(6)]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), wanted, rtol=1e-12)
    ax = plot_gradient_norms(layer, X, lengths=lengths)
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(1)


def test_norms_given_and_one_sequence(plt):
    ax = plot_gradient_norms({"a": {"l0": np.array([0.0, 1e-3, 1.0])}})
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [np.nan, 1e-3, 1.0])
    layer = rf.RNN(2, 3, seed=0)
    ax = plot_gradient_norms(layer, X[0])
    assert len(ax.lines[0].get_ydata()) == 6
    assert ax.get_legend().get_texts()[0].get_text() == "l0"


def test_what_is_missing_is_said(plt):
    with pytest.raises(TypeError, match="x is missing"):
        plot_gradient_norms(rf.RNN(2, 3))
    with pytest.raises(TypeError, match="must be recurrent layers"):
        plot_gradient_norms({"a": rf.Linear(2, 3)}, X)
    with pytest.raises(ValueError, match="merge=None"):
        plot_gradient_norms(rf.RNN(2, 3, bidirectional=True, merge=None), X)
