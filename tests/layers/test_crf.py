import numpy as np
import pytest
from checks import awkward, central_differences, max_error, ragged, relative_error
from layer_checks import check_citizen, check_layer_gradients, parameters_and_gradients, randomise

import rnnfast as rf
from rnnfast.decoding import viterbi
from rnnfast.layers import CRF
from rnnfast.training import CRFLoss


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def loop(layer, x, length):
    T, C = x.shape
    y = np.zeros((T, C, C))
    p = {"start": np.zeros(C), "end": np.zeros(C), **layer.params}
    for t in range(length):
        for i in range(C):
            for j in range(C):
                before = p["transition"][i, j] if t else p["start"][j]
                y[t, i, j] = x[t, j] + before + (p["end"][j] if t == length - 1 else 0)
    return y


@pytest.mark.parametrize("boundaries", [True, False])
@pytest.mark.parametrize(("B", "T"), [(5, 4), (1, 3), (3, 1), (2, 0), (0, 4)])
def test_values(boundaries, B, T):
    layer, x, lengths = randomise(CRF(3, boundaries=boundaries, dtype="float64")), draw(B, T, 3), ragged(B, T)
    assert list(layer.params) == (["transition", "start", "end"] if boundaries else ["transition"])
    for given, used in ((None, [T] * B), (lengths, lengths)):
        padded = np.where(np.arange(T)[:, None] < np.asarray(used).reshape(-1, 1, 1), x, np.nan)
        wanted = np.array([loop(layer, x[n], length) for n, length in enumerate(used)]).reshape(B, T, 3, 3)
        for _, array in awkward(padded) if x.size else [("", x)]:
            assert max_error(layer(array, lengths=given), wanted) < 1e-14
            assert np.array_equal(layer.forward(array, lengths=given)[0], layer(array, lengths=given))


@pytest.mark.parametrize("boundaries", [True, False])
@pytest.mark.parametrize("lengths", [None, [4, 0, 1]])
def test_gradients(boundaries, lengths):
    layer = randomise(CRF(3, boundaries=boundaries, dtype="float64"))
    check_layer_gradients(layer, draw(3, 4, 3), lengths=lengths)
    check_layer_gradients(layer, draw(4, 3))


def test_gradients_with_the_loss():
    """Emissions and every parameter, through the likelihood, over a ragged batch."""
    layer, x, lengths = randomise(CRF(4, dtype="float64")), draw(4, 6, 4), [6, 1, 0, 3]
    targets, mask = np.random.default_rng(0).integers(0, 4, (4, 6)), np.arange(6) < np.array(lengths)[:, None]

    def loss():
        layer.block.changed()
        return CRFLoss()(layer(x, lengths=lengths), targets, mask)[0]

    y, backward = layer.forward(x, lengths=lengths)
    dx = backward(CRFLoss()(y, targets, mask)[2])
    for name, gradient, array in [*parameters_and_gradients(layer), ("x", dx, x)]:
        assert gradient.any()
        assert relative_error(gradient, central_differences(loss, array)) < 1e-8, name


def test_one_unbatched_sequence():
    layer, x = randomise(CRF(3)), draw(5, 3).astype(np.float32)
    assert np.array_equal(layer(x), layer(x[None])[0])
    assert np.array_equal(layer(x, lengths=2), layer(x[None], lengths=[2])[0])
    y, backward = layer.forward(x, lengths=2)
    assert not backward(np.ones_like(y))[2:].any()


def test_citizen(tmp_path, capsys):
    check_citizen(randomise(CRF(5)), draw(3, 4, 5).astype(np.float32), tmp_path, lengths=[4, 0, 2])
    assert CRF(5).output_shape(("B", "T", 5)) == ("B", "T", 5, 5)
    CRF(5).summary()
    assert "(B, T, 5, 5)" in capsys.readouterr().out
    assert CRF(5, seed=1).params["end"].any()
    assert np.array_equal(CRF(5, seed=1).params["transition"], CRF(5, seed=1).params["transition"])
    with pytest.raises(ValueError, match="needs the whole sequence"):
        CRF(5).stream()


def test_a_tagger_learns_the_order_of_tags():
    """Words 0 to 3 may be tag 0 or 1, which alternate from the word that tells, the first one, on."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 120)
    lengths[7] = 0
    first = rng.integers(0, 2, 120)
    words = rng.integers(0, 4, (120, 8))
    words[:, 0] = 4 + first
    tags = (first[:, None] + np.arange(8)) % 2
    plain = rf.Sequential(
        rf.Embedding(6, 4, seed=0), rf.LSTM(4, 6, bidirectional=True, seed=1), rf.Linear(12, 3, seed=2), CRF(3, seed=3)
    )
    how = {"lengths": lengths, "epochs": 25, "batch_size": 30, "seed": 4, "verbose": False}
    history = plain.fit(words, tags, loss=CRFLoss(), optimizer=rf.Adam(0.03), **how)
    assert history.history["loss"][-1] < 0.05 < 2 < history.history["loss"][0]
    paths, _ = viterbi(plain.predict(words, lengths=lengths), lengths)
    assert np.array_equal(paths, np.where(np.arange(8) < lengths[:, None], tags, -1))
    transition = plain.layers[3].params["transition"]
    assert min(transition[0, 1], transition[1, 0]) > transition[[0, 1], [0, 1]].max()
    assert plain.evaluate(words, tags, lengths=lengths)["loss"] < 0.05


def test_bad_input():
    for shape in ((3,), (2, 3, 4), (2, 2, 3, 5)):
        with pytest.raises(ValueError, match=r"CRF: x must have shape \(B, T, 5\) or \(T, 5\)"):
            CRF(5)(np.zeros(shape))
    with pytest.raises(ValueError, match="from 0 to 3"):
        CRF(5)(np.zeros((2, 3, 5)), lengths=[3, 4])
    with pytest.raises(ValueError, match="num_tags must be at least 1"):
        CRF(0)
    with pytest.raises(ValueError, match="takes 5 features"):
        rf.Sequential(rf.Linear(2, 4), CRF(5))
