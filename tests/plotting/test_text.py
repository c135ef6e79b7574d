import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import color_text, neuron_text


def test_html_has_a_colour_and_a_value_a_token():
    pre = ElementTree.fromstring(color_text(["a", "b", "c", "d"], [2.0, -1.0, 0.0, np.nan]))
    assert [span.get("style") for span in pre] == [
        *("background: #f0654c", "background: #acccee", "background: #ffffff", "background: #ffffff")
    ]
    assert [span.get("title") for span in pre] == ["2", "-1", "0", "nan"]
    assert [span.text for span in pre] == list("abcd")


def test_html_cannot_be_broken_out_of():
    nasty = ['</pre><script>alert("1")</script>', "&amp;", "'", "\x1b[2J", "\n"]
    pre = ElementTree.fromstring(color_text(nasty, np.ones(5), separator="<"))
    assert [span.text for span in pre] == [nasty[0], "&amp;", "'", "␛[2J", "⏎\n"]
    assert [span.tail for span in pre] == ["<"] * 4 + [None]
    assert "<script" not in color_text(nasty, np.ones(5))


def test_ansi():
    shown = color_text(["a", "\x1b[2J", "b\nc"], [1.0, -1.0, 0.0], "ansi", limit=2.0, separator="")
    ink = "\x1b[38;2;17;17;17m"
    assert shown == (
        f"\x1b[48;2;248;178;166m{ink}a\x1b[0m"
        f"\x1b[48;2;172;204;238m{ink}␛[2J\x1b[0m"
        f"\x1b[48;2;255;255;255m{ink}b⏎\x1b[0m\n\x1b[48;2;255;255;255m{ink}c\x1b[0m"
    )
    assert color_text("\n", [1.0], "ansi").endswith("⏎\x1b[0m\n")


def test_colours_stop_at_the_limit():
    assert color_text("a", [5.0], limit=1.0).count("#f0654c") == 1
    assert color_text("ab", [np.inf, -np.inf]).count("#f0654c") == 1
    assert color_text("a", [0.0]).count("#ffffff") == 2


def test_notebooks_show_it():
    shown = color_text("a", [1.0])
    assert shown._repr_html_() == shown
    assert not hasattr(color_text("a", [1.0], "ansi"), "_repr_html_")


def test_wrong_arguments_are_refused():
    for arguments, message in (
        (("ab", [1.0]), "one label for each value, 1, got 2"),
        (("ab", [[1.0, 2.0]]), r"shape \(N,\)"),
        (("a", [1.0], "rtf"), "'html' or 'ansi'"),
    ):
        with pytest.raises(ValueError, match=message):
            color_text(*arguments)
    with pytest.raises(ValueError, match="limit must be larger than 0"):
        color_text("a", [1.0], limit=0.0)


def values(shown):
    return [float(value) for value in re.findall(r'title="([^"]*)"', shown)]


def test_a_neuron_of_a_language_model():
    model = rf.LanguageModel(rf.data.Vocabulary("abc"), cell="lstm", hidden_size=4, num_layers=2, seed=0)
    embedding, lstm, _ = model.network.layers
    trace = lstm.trace(embedding(model._ids("cab")))
    np.testing.assert_allclose(values(neuron_text(model, "cab", 2)), trace["l0"]["h"][:, 2], rtol=1e-3)
    found = values(neuron_text(model, "cab", 3, layer=1, state="c"))
    np.testing.assert_allclose(found, trace["l1"]["c"][:, 3], rtol=1e-3)


def test_a_neuron_above_other_layers():
    model = rf.Sequential(
        rf.Embedding(9, 3, seed=0), rf.RNN(3, 4, bidirectional=True, seed=1), rf.Dropout(0.5), rf.GRU(8, 2, seed=2)
    )
    ids = [3, 1, 4]
    y = model(np.array([ids]))
    shown = neuron_text(model, ids, 1, layer=-1, tokens=["the", "cat", "sat"], separator=" ")
    np.testing.assert_allclose(values(shown), y[0, :, 1], rtol=1e-3)
    assert "</span> <span" in shown
    below = model.layers[1](model.layers[0](np.array([ids])))[0]
    np.testing.assert_allclose(values(neuron_text(model, ids, 0, layer=1, tokens="abc")), below[0, :, 4], rtol=1e-3)
    assert neuron_text(model.layers[3], np.ones((2, 8)), 0, tokens="ab").count("<span") == 2


def test_words_of_a_classifier():
    texts = ["Good film", "bad film"] * 4
    model = rf.Classifier(hidden_size=4, embedding_dim=3, seed=0).fit(texts, ["+", "-"] * 4, epochs=1, verbose=False)
    shown = neuron_text(model, "a Good film", 1)
    pre = ElementTree.fromstring(shown)
    assert [(span.text, span.tail) for span in pre] == [("a", " "), ("Good", " "), ("film", None)]
    ids = model.vocabulary_.encode("a Good film")
    assert shown == neuron_text(model.network, ids, 1, tokens=model.vocabulary_.tokenize("a Good film"))


def test_neurons_that_there_are_not():
    model = rf.Sequential(rf.Embedding(9, 3), rf.RNN(3, 4))
    for arguments, message in (
        ({"unit": 4}, "4 units, got unit=4"),
        ({"unit": 0, "layer": 1}, "1 recurrent layers and directions, got layer=1"),
        ({"unit": 0, "state": "c"}, "no 'c'; it has a, h"),
    ):
        with pytest.raises(ValueError, match=message):
            neuron_text(model, [1, 2], tokens="ab", **arguments)
    with pytest.raises(TypeError, match="tokens is missing"):
        neuron_text(model, [1, 2], 0)
    with pytest.raises(TypeError, match="no vocabulary"):
        neuron_text(model, "ab", 0)
    with pytest.raises(ValueError, match="no recurrent layer"):
        neuron_text(rf.Sequential(rf.Linear(2, 2)), np.ones((1, 2)), 0, tokens="a")
