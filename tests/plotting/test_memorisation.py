import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import memorisation, plot_memorisation

F64 = {"dtype": "float64"}


def numerical(layers, x, place, step=1e-6):
    """Norms of central differences of one output of layers in a row, called, by each step of x (T, F)."""

    def output(values):
        y = values[None]
        for layer in layers:
            y, _ = layer.run(y, None)
        return y[0][place]

    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][at] += step
        moved[1][at] -= step
        found[at] = (output(moved[0]) - output(moved[1])) / (2 * step)
    return np.linalg.norm(found, axis=1)


@pytest.fixture
def noisy():
    """A model with all that is random in training, and running statistics."""
    norm = rf.BatchNorm(6, **F64)
    rng = np.random.default_rng(0)
    norm.forward(rng.normal(1, 2, size=(5, 4, 6)))
    norm.params["weight"] = rng.normal(size=6)
    return rf.Sequential(
        rf.Embedding(9, 3, word_dropout=0.3, seed=0, **F64),
        rf.SpatialDropout(0.3),
        rf.LSTM(3, 3, bidirectional=True, input_dropout=0.4, recurrent_dropout=0.4, weight_drop=0.4, seed=1, **F64),
        norm,
        rf.Sequential(rf.GaussianNoise(0.5), rf.GRU(6, 4, 2, dropout=0.5, seed=2, **F64)),
        rf.ActivityRegularizer(alpha=2.0),
        rf.Dropout(0.5),
        rf.Last(),
        rf.Linear(4, 3, seed=3, **F64),
    )


def test_it_is_the_gradient_at_rest(noisy):
    ids = np.array([3, 1, 4, 1, 5])
    before = [array.copy() for array in noisy.get_weights()]
    vectors = noisy.layers[0](ids)
    found = memorisation(noisy, ids, 1)
    np.testing.assert_allclose(found, numerical(noisy.layers[1:], vectors, (1,)), rtol=1e-6)
    best = int(noisy(ids[None])[0].argmax())
    np.testing.assert_array_equal(memorisation(noisy, ids), memorisation(noisy, ids, best))
    for one, other in zip(before, noisy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not noisy.flat_grad.any()


def test_vectors_and_a_step_of_many():
    model = rf.Sequential(rf.RNN(2, 4, seed=0, **F64), rf.Linear(4, 2, seed=1, **F64))
    x = np.random.default_rng(0).normal(size=(5, 2))
    found = memorisation(model, x, 0, step=2)
    np.testing.assert_allclose(found, numerical(model.layers, x, (2, 0)), rtol=1e-6)
    assert (found[3:] == 0).all()
    assert (found[:3] > 0).all()


def test_text_of_a_language_model():
    model = rf.LanguageModel(rf.data.Vocabulary("abc"), cell="rnn", hidden_size=4, embedding_dim=3, seed=0)
    np.testing.assert_array_equal(memorisation(model, "abca"), memorisation(model.network, model._ids("abca")))


def test_a_classifier_takes_what_it_was_fitted_on():
    x = np.random.default_rng(0).normal(5, 3, size=(6, 4, 2))
    model = rf.Classifier(hidden_size=4, seed=0).fit(list(x), [0, 1] * 3, epochs=1, verbose=False)
    scaled = model._encoded([x[0]], None)[0]
    assert not np.allclose(scaled, x[0])
    np.testing.assert_array_equal(memorisation(model, x[0]), memorisation(model.network, scaled))


def test_what_cannot_be_is_refused():
    model = rf.Sequential(rf.RNN(2, 4), rf.Linear(4, 2))
    for arguments, message in (
        ((np.ones((1, 5, 2)),), r"one sequence, of shape \(T, F\), got \(1, 5, 2\)"),
        ((np.ones((0, 2)),), "one sequence"),
        ((np.ones((5, 2)), 2), "2 features, got output=2"),
    ):
        with pytest.raises(ValueError, match=message):
            memorisation(model, *arguments)
    with pytest.raises(ValueError, match="5 steps, got step=5"):
        memorisation(model, np.ones((5, 2)), step=5)
    with pytest.raises(ValueError, match="zoneout"):
        memorisation(rf.Sequential(rf.GRU(2, 4, zoneout=0.1)), np.ones((5, 2)))
    with pytest.raises(TypeError, match="no vocabulary"):
        memorisation(model, "abc")
    with pytest.raises(TypeError, match="must be a Sequential"):
        memorisation(rf.Graph({"x": ("B", "T", 2)}), np.ones((5, 2)))


def test_the_picture_compares_models(plt):
    vocabulary = rf.data.Vocabulary("abc \n")
    models = {
        cell: rf.LanguageModel(vocabulary, cell=cell, hidden_size=4, embedding_dim=3, seed=0) for cell in ("rnn", "gru")
    }
    text = "ab c\n" * 3
    drawn = plot_memorisation(models, text, columns=8)
    assert [ax.get_title(loc="left") for ax in drawn] == ["rnn", "gru"]
    for ax, model in zip(drawn, models.values(), strict=True):
        assert "".join(each.get_text() for each in ax.texts) == "ab␣c⏎" * 3
        norms = memorisation(model, text)
        darkness = [3 - sum(patch.get_facecolor()[:3]) for patch in ax.patches]
        assert np.argmax(darkness) == np.argmax(norms)
        assert [patch.get_y() for patch in ax.patches] == [0] * 5 + [1] * 5 + [2] * 5


def test_words_and_vectors(plt):
    model = rf.Sequential(rf.Embedding(9, 3, seed=0), rf.RNN(3, 4, seed=0), rf.Last())
    (ax,) = plot_memorisation(model, [1, 2, 3], ["a", "longer", "one"], columns=10)
    cells = [(patch.get_x(), patch.get_y(), patch.get_width()) for patch in ax.patches]
    assert cells == [(0, 0, 1), (2, 0, 6), (0, 1, 3)]
    (ax,) = plot_memorisation(rf.Sequential(*model.layers[1:]), np.ones((5, 3)))
    norms = memorisation(rf.Sequential(*model.layers[1:]), np.ones((5, 3)))
    np.testing.assert_array_equal(ax.images[0].get_array(), norms[None] / norms.max())
    with pytest.raises(ValueError, match="one for each step, 3, got 2"):
        plot_memorisation(model, [1, 2, 3], "ab")
