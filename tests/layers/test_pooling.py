import numpy as np
import pytest
from checks import awkward, max_error, ragged, relative_error
from layer_checks import check_citizen, check_layer_gradients

import rnnfast as rf
from rnnfast.layers import MaxPool, MeanPool

KINDS = [MeanPool, MaxPool]
kinds = pytest.mark.parametrize("kind", KINDS, ids=["mean", "max"])


def draw(*shape, seed=0):
    """Distinct numbers, far enough apart that a nudge changes no order."""
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1


def loop(kind, x, lengths):
    y = np.zeros((len(x), x.shape[2]))
    for row, length in enumerate(lengths):
        for f in range(x.shape[2]) if length else ():
            column = [x[row, t, f] for t in range(length)]
            y[row, f] = max(column) if kind is MaxPool else sum(column) / length
    return y


@kinds
@pytest.mark.parametrize(("B", "T"), [(5, 4), (1, 3), (3, 1), (2, 0), (0, 4)])
def test_values(kind, B, T):
    x, lengths = draw(B, T, 6), ragged(B, T)
    for given, used in ((None, [T] * B), (lengths, lengths)):
        wanted = loop(kind, x, used)
        padded = np.where(np.arange(T)[:, None] < np.asarray(used).reshape(-1, 1, 1), x, np.nan)
        for _, array in awkward(padded) if x.size else [("", x)]:
            y = kind()(array, lengths=given)
            assert max_error(y, wanted) < 1e-14
            assert np.array_equal(kind().forward(array, lengths=given)[0], y)
        y = kind()(padded.astype(np.float32), lengths=given)
        assert y.dtype == np.float32
        assert max_error(y, wanted) < 1e-5


@kinds
@pytest.mark.parametrize("lengths", [None, [4, 0, 1]])
def test_gradients(kind, lengths):
    check_layer_gradients(kind(), draw(3, 4, 6), lengths=lengths)
    check_layer_gradients(kind(), draw(4, 6))


@kinds
def test_the_gradient_of_padding_is_zero(kind):
    y, backward = kind().forward(draw(3, 4, 6), lengths=[4, 0, 1])
    dx = backward(np.ones_like(y))
    assert not dx[1].any()
    assert not dx[2, 1:].any()
    assert dx[2, 0].tolist() == [1] * 6
    y, backward = kind().forward(np.zeros((2, 0, 6)))
    assert backward(y).shape == (2, 0, 6)
    assert not y.any()


def test_ties_go_to_the_first():
    _, backward = MaxPool().forward([[[1.0, 2.0], [3.0, 2.0], [3.0, 1.0]]])
    assert backward([[5.0, 7.0]]).tolist() == [[[0, 7], [5, 0], [0, 0]]]


def test_the_least_number_is_a_number():
    x = np.full((1, 3, 2), -np.inf)
    y, backward = MaxPool().forward(x, lengths=[2])
    assert y.tolist() == [[-np.inf, -np.inf]]
    assert backward(np.ones((1, 2))).tolist() == [[[1, 1], [0, 0], [0, 0]]]
    assert np.isnan(MaxPool()([[[1.0], [np.nan]]])).all()


def test_long_sequences_keep_their_digits():
    x = np.random.default_rng(0).uniform(0, 1, (2, 20_000, 3)).astype(np.float32)
    assert relative_error(MeanPool()(x), x.astype(np.float64).mean(axis=1)) < 1e-7


@kinds
def test_one_unbatched_sequence(kind):
    x = draw(4, 6)
    assert np.array_equal(kind()(x), kind()(x[None])[0])
    assert np.array_equal(kind()(x, lengths=2), kind()(x[:2]))
    y, backward = kind().forward(x, lengths=[2])
    assert backward(y).shape == (4, 6)


@kinds
def test_citizen(kind, tmp_path):
    check_citizen(kind(), draw(3, 4, 5), tmp_path, lengths=[4, 0, 2])
    assert kind().output_shape(("B", "T", 5)) == ("B", 5)
    assert kind().output_lengths([1, 2]) is None
    with pytest.raises(ValueError, match="needs the whole sequence"):
        rf.Sequential(kind()).stream()


@kinds
def test_it_learns_over_ragged_sequences(kind):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 60)
    x = rng.standard_normal((60, 8, 3)).astype(np.float32)
    targets = np.array([x[i, :n, 0].max() > 0.8 for i, n in enumerate(lengths)]).astype(int)
    model = rf.Sequential(rf.GRU(3, 8, seed=0), kind(), rf.Linear(8, 2, seed=1))
    history = model.fit(
        x, targets, loss="cross_entropy", epochs=25, lengths=lengths, optimizer=rf.Adam(0.02), seed=0, verbose=False
    )
    assert history.history["loss"][-1] < 0.6 * history.history["loss"][0]


@kinds
def test_bad_input(kind):
    with pytest.raises(ValueError, match=r"\(B, T, F\) or \(T, F\), got \(4,\)"):
        kind()(np.zeros(4))
    with pytest.raises(ValueError, match="from 0 to 3"):
        kind()(np.zeros((2, 3, 5)), lengths=[3, 4])
