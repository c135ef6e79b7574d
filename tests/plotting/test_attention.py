import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import plot_attention


def test_weights_and_tokens(plt):
    weights = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3))
    ax = plot_attention(weights, ["the", "cat", "sat"], ["el", "gato"], sequence=1)
    np.testing.assert_array_equal(ax.images[0].get_array(), weights[1, :2, :3])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["the", "cat", "sat"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["el", "gato"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("source", "target")


def test_of_a_layer_and_of_a_model(plt):
    rng = np.random.default_rng(0)
    _, weights = rf.Attention(8)(rng.normal(size=(1, 3, 8)), rng.normal(size=(1, 5, 8)))
    np.testing.assert_array_equal(plot_attention(weights).images[0].get_array(), weights[0])
    model = rf.Seq2Seq(
        rf.Encoder(rf.Embedding(9, 4), rf.GRU(4, 6)),
        rf.Decoder(rf.Embedding(9, 4), rf.GRU(4, 6), attention=rf.Attention(6)),
    )
    x, _, lengths = model.pairs([[3, 4, 5]], [[6, 7]])
    decoded = model.decode(x, lengths=lengths)
    ax = plot_attention(decoded, "abc", "deo")
    np.testing.assert_array_equal(ax.images[0].get_array(), decoded.weights[0])


def test_what_does_not_fit_is_refused(plt):
    with pytest.raises(ValueError, match="source must have 1 to 2 tokens, as the weights have, got 3"):
        plot_attention(np.ones((1, 2)), "abc")
    with pytest.raises(ValueError, match=r"\(T, S\) or \(B, T, S\)"):
        plot_attention(np.ones(2))
    with pytest.raises(ValueError, match="2 sequences, got sequence=2"):
        plot_attention(np.ones((2, 1, 2)), sequence=2)
    decoder = rf.Decoder(rf.Embedding(9, 4), rf.GRU(4, 6))
    model = rf.Seq2Seq(rf.Encoder(rf.Embedding(9, 4), rf.GRU(4, 6)), decoder)
    x, _, lengths = model.pairs([[3, 4, 5]], [[6, 7]])
    with pytest.raises(ValueError, match="no attention"):
        plot_attention(model.decode(x, lengths=lengths))
