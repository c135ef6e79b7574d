import xml.etree.ElementTree as ElementTree

import pytest

import rnnfast as rf
from rnnfast.plotting import plot_architecture

SVG = "{http://www.w3.org/2000/svg}"


def read(svg):
    """Texts of the boxes, notes, and the number of arrows."""
    root = ElementTree.fromstring(svg)
    texts = [group.find(f"{SVG}text").text for group in root.iter(f"{SVG}g")]
    notes = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "note"]
    return texts, notes, sum(bool(path.get("class")) for path in root.iter(f"{SVG}path"))


def test_a_row_of_layers_and_a_model_inside():
    model = rf.Sequential(rf.Embedding(10, 4), rf.Sequential(rf.GRU(4, 8), rf.Last()), rf.Linear(8, 2))
    texts, notes, arrows = read(plot_architecture(model))
    assert texts == ["input", "0 Embedding", "1.0 GRU", "1.1 Last", "2 Linear"]
    assert notes == [
        "(B, T)",
        "(B, T, 4), 40 parameters",
        "(B, T, 8), 320 parameters",
        "(B, 8)",
        "(B, 2), 18 parameters",
    ]
    assert arrows == 4


def test_a_graph():
    graph = rf.Graph({"words": ("B", "T"), "speed": ("B", "T", 3)})
    both = graph.add(rf.Concatenate(), [graph.add(rf.Embedding(10, 5), "words"), "speed"])
    steps = graph.add(rf.GRU(8, 6), both)
    again = graph.add(rf.GRU(6, 6), steps, state=steps)
    graph.outputs(topic=graph.add(rf.Last(), again), price=steps)
    texts, notes, arrows = read(plot_architecture(graph))
    assert sorted(texts) == sorted(
        ["words", "speed", "embedding: Embedding", "concatenate: Concatenate", "gru: GRU", "gru_2: GRU", "last: Last"]
    )
    assert {"(B, T, 3)", "(B, T, 5), 50 parameters", "→ topic", "→ price"} <= set(notes)
    assert arrows == 7


def test_an_encoder_decoder():
    model = rf.Seq2Seq(
        rf.Encoder(rf.Embedding(9, 4), rf.GRU(4, 6)),
        rf.Decoder(rf.Embedding(9, 4), rf.GRU(4, 6), attention=rf.Attention(6)),
    )
    texts, notes, arrows = read(plot_architecture(model))
    assert texts == [
        *("input", "encoder.0 Embedding", "encoder.1 GRU", "bridge Bridge", "decoder.embedding Embedding"),
        *("decoder.recurrent.0 GRU", "decoder.attention Attention", "decoder.combine Linear", "decoder.output Linear"),
    ]
    assert notes[0] == "((B, S), (B, T))"
    # One into each box but the input, one from the bridge to the state, one from the encoder to the attention.
    assert arrows == 8 + 2


def test_a_single_layer_and_no_model():
    assert read(plot_architecture(rf.Linear(2, 3)))[0] == ["input", "Linear"]
    with pytest.raises(TypeError, match="got str"):
        plot_architecture("model")
