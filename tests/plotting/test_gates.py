import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import plot_gates

X = np.random.default_rng(0).normal(size=(3, 7, 2))


def test_every_gate_and_state_has_a_panel(plt):
    layer = rf.LSTM(2, 5, seed=0)
    trace = layer.trace(X)
    drawn = plot_gates(trace, sequence=2)
    assert [ax.get_title() for ax in drawn] == [
        *("input gate i, l0", "forget gate f, l0", "candidate g, l0", "output gate o, l0"),
        *("cell state c, l0", "state h, l0"),
    ]
    for ax, name in zip(drawn, "ifgoch", strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), trace["l0"][name][2].T)
    assert drawn[0].images[0].get_clim() == (0, 1)
    low, high = drawn[4].images[0].get_clim()
    assert -low == high >= np.abs(trace["l0"]["c"][2]).max()
    assert (drawn[0].get_xlabel(), drawn[0].get_ylabel()) == ("step", "unit")


def test_layer_gates_units_and_tokens(plt):
    layer = rf.GRU(2, [5, 4], bidirectional=True, seed=0)
    (z, entering) = plot_gates((layer, X), ["z", "a_z"], level="l1_reverse", units=[3, 0], labels=["a", "\n", "$"])
    trace = layer.trace(X)["l1_reverse"]
    np.testing.assert_array_equal(z.images[0].get_array(), trace["z"][0, :3].T[[3, 0]])
    np.testing.assert_array_equal(entering.images[0].get_array(), trace["a_z"][0, :3].T[[3, 0]])
    assert [tick.get_text() for tick in z.get_xticklabels()] == ["a", "⏎", r"\$"]
    assert [tick.get_text() for tick in z.get_yticklabels()] == ["3", "0"]


def test_words_are_turned_and_characters_stand(plt):
    trace = rf.RNN(2, 3).trace(X)
    for labels, angle in (("abc", 0), (["the", "cat", "sat"], 90)):
        (ax,) = plot_gates(trace, labels=labels)
        assert {tick.get_rotation() for tick in ax.get_xticklabels()} == {angle}


def test_one_sequence_without_a_batch(plt):
    layer = rf.RNN(2, 3, seed=0)
    (ax,) = plot_gates(layer.trace(X[1]), units=slice(1, None))
    np.testing.assert_array_equal(ax.images[0].get_array(), layer.trace(X[1])["l0"]["h"].T[1:])


def test_many_units_have_few_numbers(plt):
    (ax,) = plot_gates((rf.RNN(2, 80, seed=0), X), units=range(10, 80))
    assert [tick.get_text() for tick in ax.get_yticklabels()][::7] == ["10", "79"]


def test_what_there_is_not_is_refused(plt):
    trace = rf.RNN(2, 3).trace(X)
    for arguments, message in (
        ({"gates": ["f"]}, "no 'f'; it has a, h"),
        ({"gates": []}, "at least one gate"),
        ({"level": "l1"}, "no layer 'l1'; it has l0"),
        ({"sequence": 3}, "there are 3 sequences, got sequence=3"),
        ({"units": [3]}, "numbers from 0 to 2"),
        ({"units": []}, "at least one of 3"),
        ({"labels": "a" * 8}, "8 labels for 7 steps"),
        ({"labels": ""}, "nothing to draw"),
    ):
        with pytest.raises(ValueError, match=message):
            plot_gates(trace, **arguments)
    for wrong in (X, (X, X), {"l0": X}):
        with pytest.raises(TypeError, match=r"what layer.trace\(x\) gives"):
            plot_gates(wrong)
