import itertools
import math

import numpy as np
import pytest
from checks import awkward, max_error, ragged

from rnnfast.decoding import marginals, viterbi


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def score(potentials, tags):
    return potentials[0, 0, tags[0]] + sum(potentials[t, tags[t - 1], tags[t]] for t in range(1, len(tags)))


def every_path(potentials):
    T, C = potentials.shape[:2]
    paths = list(itertools.product(range(C), repeat=T))
    return paths, np.array([score(potentials, path) for path in paths])


@pytest.mark.parametrize(("T", "C"), [(1, 1), (1, 4), (5, 1), (2, 2), (3, 5), (6, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_against_every_path(T, C, seed):
    x = draw(T, C, C, seed=seed)
    paths, scores = every_path(x)
    best, top = viterbi(x)
    assert tuple(best) == paths[scores.argmax()]
    assert best.dtype == np.int64
    assert abs(top - scores.max()) < 1e-12
    probabilities, normaliser = marginals(x)
    assert abs(normaliser - math.log(np.exp(scores).sum())) < 1e-12
    weights = np.exp(scores - normaliser)
    wanted = np.zeros((T, C))
    for path, weight in zip(paths, weights, strict=True):
        wanted[np.arange(T), path] += weight
    assert max_error(probabilities, wanted) < 1e-12
    single = x.astype(np.float32)
    assert tuple(viterbi(single)[0]) == paths[scores.argmax()]
    assert marginals(single)[0].dtype == np.float32
    assert max_error(marginals(single)[0], wanted) < 1e-6


@pytest.mark.parametrize(("T", "C"), [(1, 1), (1, 4), (5, 1), (2, 2), (3, 5), (5, 3)])
@pytest.mark.parametrize("n_best", [1, 2, 7, 300])
def test_the_best_paths(T, C, n_best):
    x = draw(T, C, C, seed=4)
    paths, scores = every_path(x)
    order = np.argsort(-scores)[:n_best]
    found, values = viterbi(x, n_best=n_best)
    assert found.shape == (n_best, T)
    assert found.dtype == np.int64
    assert np.array_equal(found[: len(order)], np.array(paths)[order])
    assert np.abs(values[: len(order)] - scores[order]).max() < 1e-12
    assert (found[len(order) :] == -1).all()
    assert np.isneginf(values[len(order) :]).all()


def test_the_best_paths_of_a_ragged_batch():
    x, lengths = draw(5, 6, 3, 3), ragged(5, 6)
    x[:, 1:, 2, 1] = -np.inf
    x[np.arange(6) >= lengths[:, None]] = np.nan
    paths, scores = viterbi(x, lengths, n_best=4)
    assert np.array_equal(paths[:, 0], viterbi(x, lengths)[0])
    assert np.array_equal(scores[:, 0], viterbi(x, lengths)[1])
    for n, length in enumerate(lengths):
        assert (paths[n, :, length:] == -1).all()
        if length:
            alone = viterbi(x[n, :length], n_best=4)
            assert np.array_equal(paths[n, :, :length], alone[0])
            assert np.array_equal(scores[n], alone[1])
            assert not any((2, 1) in itertools.pairwise(path) for path in paths[n].tolist())
        else:
            assert scores[n].tolist() == [0] + [-np.inf] * 3
    assert viterbi(np.zeros((3, 2, 2)), n_best=3)[0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match="n_best must be at least 1"):
        viterbi(x, lengths, n_best=0)


@pytest.mark.parametrize(("B", "T"), [(5, 6), (1, 3), (3, 1), (2, 0), (0, 4)])
def test_lengths(B, T):
    x, lengths = draw(B, T, 3, 3), ragged(B, T)
    x[np.arange(T) >= lengths[:, None]] = np.nan
    paths, scores = viterbi(x, lengths)
    probabilities, normalisers = marginals(x, lengths)
    assert paths.shape == (B, T)
    assert probabilities.shape == (B, T, 3)
    for n, length in enumerate(lengths):
        assert (paths[n, length:] == -1).all()
        assert not probabilities[n, length:].any()
        if not length:
            assert (scores[n], normalisers[n]) == (0, 0)
            continue
        alone, top = viterbi(x[n, :length])
        assert np.array_equal(paths[n, :length], alone)
        assert scores[n] == top
        shares, normaliser = marginals(x[n, :length])
        assert np.array_equal(probabilities[n, :length], shares)
        assert normalisers[n] == normaliser
        assert np.array_equal(viterbi(x[n], length)[0], paths[n])


def test_ties_and_what_is_forbidden():
    assert viterbi(np.zeros((4, 3, 3)))[0].tolist() == [0, 0, 0, 0]
    x = np.zeros((3, 2, 2))
    x[1:, 0, 0] = -np.inf  # after 0 comes 1
    x[:, :, 0] += 1
    path, top = viterbi(x)
    assert path.tolist() == [0, 1, 0]
    assert top == 2
    assert marginals(x)[0][1, 0] == pytest.approx(
        sum(np.exp(score(x, y)) for y in [(1, 0, 1)]) / np.exp(every_path(x)[1]).sum(), abs=1e-14
    )
    x[1] = -np.inf
    assert viterbi(x)[1] == -np.inf
    probabilities, normaliser = marginals(x)
    assert normaliser == -np.inf
    assert not probabilities.any()


def test_any_layout():
    x = draw(3, 4, 2, 2)
    for name, array in awkward(x):
        assert np.array_equal(viterbi(array)[0], viterbi(x)[0]), name
        assert np.array_equal(marginals(array)[0], marginals(x)[0]), name
    assert viterbi(x.tolist())[0].shape == (3, 4)


@pytest.mark.parametrize("function", [viterbi, marginals])
def test_errors(function):
    for shape in ((3, 4), (2, 3, 4, 3), (1, 2, 3, 4, 4), (2, 3, 0, 0)):
        with pytest.raises(ValueError, match=r"potentials must have shape \(B, T, C, C\) or \(T, C, C\), got"):
            function(np.zeros(shape))
    with pytest.raises(TypeError, match="potentials must hold real numbers"):
        function(np.zeros((2, 3, 4, 4), complex))
    with pytest.raises(ValueError, match="lengths must be from 0 to 3, got 4 to 4"):
        function(np.zeros((1, 3, 4, 4)), [4])
    with pytest.raises(ValueError, match="one for each sequence"):
        function(np.zeros((2, 3, 4, 4)), [3])
