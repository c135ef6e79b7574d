import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import plot_unrolled

SVG = "{http://www.w3.org/2000/svg}"


def counts(svg):
    """How many boxes and arrows there are of each kind."""
    root = ElementTree.fromstring(svg)
    boxes = Counter(group.get("class").removeprefix("box ") for group in root.iter(f"{SVG}g"))
    arrows = Counter(path.get("class") for path in root.iter(f"{SVG}path") if path.get("class"))
    return dict(boxes), {kind.removeprefix("arrow "): count for kind, count in arrows.items()}


def boxes(svg):
    """Text and rectangle (x, y, width, height) of each box."""
    root = ElementTree.fromstring(svg)
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        yield group.find(f"{SVG}text").text, *(float(rect.get(key)) for key in ("x", "y", "width", "height"))


def test_many_to_many():
    found = counts(plot_unrolled(rf.Sequential(rf.LSTM(3, 8, 2), rf.Linear(8, 1)), steps=5))
    # Two levels of five cells; each level has an arrow into its first cell.
    assert found == ({"input": 5, "recurrent": 10, "layer": 5, "output": 5}, {"up": 20, "time": 10})


def test_both_directions_to_one():
    model = rf.Sequential(rf.Embedding(9, 3), rf.GRU(3, 8, bidirectional=True), rf.Last(), rf.Linear(16, 1))
    kinds, arrows = counts(plot_unrolled(model, steps=3))
    assert kinds == {"input": 3, "layer": 3 + 1 + 1, "recurrent": 3, "reverse": 3, "output": 1}
    # To embeddings 3, to both directions 6, to Last the end of each, to Linear and the output 1 each.
    assert arrows == {"up": 3 + 6 + 2 + 1 + 1, "time": 3, "back": 3}


def test_one_to_many_and_reverse():
    model = rf.Sequential(rf.Repeat(3), rf.RNN(4, 5, reverse=True), rf.Linear(5, 2))
    kinds, arrows = counts(plot_unrolled(model, steps=4))
    assert kinds == {"input": 1, "layer": 6, "reverse": 3, "output": 3}
    assert arrows == {"up": 3 + 3 + 3 + 3, "back": 3}


def test_pools_and_convolutions():
    model = rf.Sequential(rf.Conv1D(2, 4, 3), rf.MeanPool())
    kinds, arrows = counts(plot_unrolled(model, steps=4))
    assert kinds == {"input": 4, "layer": 5, "output": 1}
    assert arrows == {"up": (1 + 2 + 3 + 3) + 4 + 1}
    model = rf.Sequential(rf.Conv1D(2, 4, 2, causal=False, stride=2))
    assert counts(plot_unrolled(model, steps=5)) == ({"input": 5, "layer": 2, "output": 2}, {"up": 4 + 2})


def test_encoder_and_decoder():
    def model(attention):
        encoder = rf.Encoder(rf.Embedding(9, 4), rf.LSTM(4, 6, 2))
        decoder = rf.Decoder(rf.Embedding(9, 4), rf.LSTM(4, 6, 2), attention=attention)
        return rf.Seq2Seq(encoder, decoder)

    kinds, arrows = counts(plot_unrolled(model(None), steps=3))
    assert kinds == {"input": 6, "layer": 3 + 3 + 3, "recurrent": 12, "output": 3}
    assert arrows["bridge"] == 2
    kinds, arrows = counts(plot_unrolled(model(rf.Attention(6)), steps=3))
    assert kinds == {"input": 6, "layer": 12, "recurrent": 12, "output": 3, "attention": 1 + 3}
    assert arrows["bridge"] == 2 + 3


class Mine(rf.Cell):
    def shapes(self):
        return {"weight": (self.hidden_size, self.input_size)}

    def step(self, params, x, state):
        h = x @ params["weight"].T + state
        return h, h, None


def test_other_things_that_can_be_unrolled():
    assert counts(plot_unrolled(rf.GRU(2, 3), steps=1))[0] == {"input": 1, "recurrent": 1, "output": 1}
    kinds, _ = counts(plot_unrolled(rf.CustomRNN(Mine(2, 3), bidirectional=True), steps=2))
    assert kinds == {"input": 2, "recurrent": 2, "reverse": 2, "output": 2}
    assert counts(plot_unrolled(rf.LanguageModel(9), steps=2))[0]["recurrent"] == 2


@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_box_covers_another_and_texts_fit(bidirectional):
    model = rf.Sequential(
        rf.Embedding(9, 3), rf.LSTM(3, 8, 2, bidirectional=bidirectional), rf.SpatialDropout(0.1), rf.Last()
    )
    svg = plot_unrolled(model)
    drawn = list(boxes(svg))
    for i, (text, x, y, width, height) in enumerate(drawn):
        assert 6.5 * len(text) < width
        for _, u, v, wide, high in drawn[:i]:
            assert x + width < u or u + wide < x or y + height < v or v + high < y
    left, top, width, height = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    corners = np.array([(x, y, x + w, y + h) for _, x, y, w, h in drawn])
    assert (corners[:, :2] > [left, top]).all()
    assert (corners[:, 2:] < [left + width, top + height]).all()


def test_labels_and_shapes_stand_there():
    svg = plot_unrolled(rf.Sequential(rf.Embedding(9, 3), rf.LSTM(3, 8)), steps=2)
    for text in ("x₁", "x₂", "y₂", "(B, T, 3)", "1 LSTM, 8 units", "h, c"):
        assert f">{text}</text>" in svg
    assert svg._repr_svg_() == svg


def test_what_cannot_be_unrolled():
    with pytest.raises(ValueError, match="from 1 to 50, got 0"):
        plot_unrolled(rf.GRU(2, 3), steps=0)
    with pytest.raises(TypeError, match="must be a Sequential"):
        plot_unrolled(rf.Graph({"x": ("B", "T", 2)}))
    with pytest.raises(TypeError, match="must be a Sequential"):
        plot_unrolled("model")
