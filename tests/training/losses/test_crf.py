import itertools
import math

import numpy as np
import pytest
from checks import awkward, central_differences, digest, max_error, ragged, relative_error

import rnnfast as rf
from rnnfast.decoding import marginals, viterbi
from rnnfast.kernels import _threads
from rnnfast.training import CRFLoss


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def score(potentials, tags):
    steps = [potentials[0, 0, tags[0]]] + [potentials[t, tags[t - 1], tags[t]] for t in range(1, len(tags))]
    return math.fsum(steps)


def by_paths(potentials, tags):
    """-log p(tags), by going through every sequence of tags."""
    T, C = potentials.shape[:2]
    return math.log(sum(math.exp(score(potentials, y)) for y in itertools.product(range(C), repeat=T))) - score(
        potentials, tags
    )


@pytest.mark.parametrize(("T", "C"), [(1, 1), (1, 4), (4, 1), (2, 2), (3, 5), (6, 3)])
def test_the_sum_over_every_sequence_of_tags(T, C):
    x, targets = draw(1, T, C, C), np.random.default_rng(T).integers(0, C, (1, T))
    total, count, gradient = CRFLoss()(x, targets)
    assert abs(total - by_paths(x[0], targets[0])) < 1e-10
    assert count == 1
    assert gradient.shape == x.shape
    if C > 1:
        differences = central_differences(lambda: by_paths(x[0], targets[0]), x)
        assert relative_error(gradient, differences) < 1e-9
    total, _, single = CRFLoss()(x.astype(np.float32), targets)
    assert abs(total - by_paths(x[0], targets[0])) < 1e-5
    assert single.dtype == np.float32
    assert max_error(single, gradient) < 1e-6


def test_lengths_and_weights():
    x, targets, lengths = draw(5, 6, 3, 3), np.random.default_rng(0).integers(0, 3, (5, 6)), [6, 0, 1, 3, 2]
    mask = np.arange(6) < np.array(lengths)[:, None]
    weights = np.array([1.0, 5.0, -2.0, 0.5, 0.0])
    wanted = [
        w * by_paths(x[n, :T], targets[n, :T]) if T else 0
        for n, (w, T) in enumerate(zip(weights, lengths, strict=True))
    ]
    differences = central_differences(lambda: CRFLoss()(x, targets, mask, weights)[0], x)
    x[~mask], targets[~mask] = np.nan, -7
    x[4], targets[4] = np.nan, 99
    total, count, gradient = CRFLoss()(x, targets, mask, weights)
    assert abs(total - sum(wanted)) < 1e-10
    assert count == 5
    assert relative_error(gradient, differences) < 1e-9
    weights[4] = np.nan
    x, targets, kept = x[[0, 0, 4]], targets[[0, 0, 4]], CRFLoss()(x[:1], targets[:1])
    total, count, gradient = CRFLoss()(x, targets, np.array([True, True, False]), weights[[0, 0, 4]])
    assert (total, count) == (2 * kept[0], 2)
    assert np.array_equal(gradient[:2], kept[2][[0, 0]])
    assert not gradient[2].any()


def test_the_gradient_is_the_marginals_less_the_target():
    x, targets, lengths = draw(3, 7, 4, 4), np.random.default_rng(1).integers(0, 4, (3, 7)), np.array([7, 4, 1])
    mask = np.arange(7) < lengths[:, None]
    _, _, gradient = CRFLoss()(x, targets, mask)
    probabilities, _ = marginals(x, lengths)
    wanted = np.where(mask[..., None], probabilities - np.eye(4)[targets], 0)
    assert max_error(gradient.sum(axis=2), wanted) < 1e-14


def test_long_sequences_of_large_scores():
    """Scores that no exponential holds; against a sum in logarithms."""
    x = draw(1, 2000, 4, 4) * 500
    targets = viterbi(x)[0]
    total, _, gradient = CRFLoss()(x, targets)
    alpha = x[0, 0, 0]
    for row in x[0, 1:]:
        alpha = np.logaddexp.reduce(alpha[:, None] + row, axis=0)
    normaliser = np.logaddexp.reduce(alpha)
    assert abs(total - (normaliser - viterbi(x)[1][0])) < 1e-12 * normaliser
    assert 0 <= total < 10
    assert np.isfinite(gradient).all()
    assert max_error(gradient.sum(axis=(2, 3)), np.zeros((1, 2000))) < 1e-12


def test_forbidden_transitions():
    x = draw(2, 5, 3, 3)
    x[:, :, 1, 2] = -np.inf
    targets = np.array([[0, 1, 0, 2, 2], [0, 1, 2, 2, 2]])
    total, _, gradient = CRFLoss()(x[:1], targets[:1])
    assert abs(total - by_paths(x[0], targets[0])) < 1e-10
    assert not gradient[0, 1:, 1, 2].any()
    total, count, gradient = CRFLoss()(x, targets)
    assert (total, count) == (math.inf, 2)
    assert not gradient[1].any()
    assert np.array_equal(gradient[:1], CRFLoss()(x[:1], targets[:1])[2])
    x[:, 2] = -np.inf
    total, _, gradient = CRFLoss()(x, targets)
    assert total == math.inf
    assert not gradient.any()


def test_nan_shows():
    x, targets = draw(2, 5, 3, 3), np.zeros((2, 5), int)
    x[0, 2, 1, 1] = np.nan
    total, _, gradient = CRFLoss()(x, targets)
    assert math.isnan(total)
    assert np.isnan(gradient[0]).any()
    assert np.isfinite(gradient[1]).all()


def test_any_layout_and_type():
    x, targets = draw(3, 4, 2, 2), np.random.default_rng(0).integers(0, 2, (3, 4))
    wanted = CRFLoss()(x, targets)
    for name, array in awkward(x):
        total, _, gradient = CRFLoss()(array, targets)
        assert total == wanted[0], name
        assert np.array_equal(gradient, wanted[2]), name
    for kind in (np.int8, np.uint64, ">i4"):
        assert CRFLoss()(x, targets.astype(kind))[0] == wanted[0]
    for shape in ((0, 4, 3, 3), (2, 0, 3, 3)):
        total, count, gradient = CRFLoss()(np.zeros(shape), np.zeros(shape[:2], int))
        assert (total, count, gradient.shape) == (0.0, shape[0], shape)


def test_bits_do_not_depend_on_the_batch_or_the_threads():
    x, targets = draw(7, 9, 5, 5, dtype=np.float32), np.random.default_rng(0).integers(0, 5, (7, 9))
    lengths = ragged(7, 9)
    mask = np.arange(9) < lengths[:, None]
    found, before, calls = set(), _threads._set_worth_a_thread(0.0), _threads._divided_calls()
    try:
        for threads in (1, 2, 3, 7):
            rf.set_num_threads(threads)
            total, _, gradient = CRFLoss()(x, targets, mask)
            found.add((total, digest([gradient, *viterbi(x, lengths), *marginals(x, lengths)])))
        assert _threads._divided_calls() == calls + 9
    finally:
        _threads._set_worth_a_thread(before)
    assert len(found) == 1
    alone = [CRFLoss()(x[n : n + 1], targets[n : n + 1], mask[n : n + 1])[2] for n in range(7)]
    assert np.array_equal(np.concatenate(alone), gradient)


def test_errors():
    x, targets = np.zeros((2, 3, 4, 4)), np.zeros((2, 3), int)
    for arguments, error, text in (
        ((x[0], targets), ValueError, r"potentials \(B, T, C, C\), as the layer CRF gives, got \(3, 4, 4\)"),
        ((x[..., :3], targets), ValueError, r"got \(2, 3, 4, 3\)"),
        ((x.astype(int), targets), TypeError, "predictions must be float32 or float64, got int64"),
        ((x, targets[:1]), ValueError, r"targets must have shape \(2, 3\) .* got \(1, 3\)"),
        ((x, targets + 0.5), TypeError, "targets must be integers, got dtype float64"),
        ((x, targets + 4), ValueError, "targets must be 0 to 3, got 4 to 4"),
        ((x, targets - 1), ValueError, "targets must be 0 to 3, got -1 to -1"),
        ((x, targets, [[True] * 3, [False, True, True]]), ValueError, "first steps .* sequence 1"),
        ((x, targets, None, np.ones((2, 3))), ValueError, r"weights must have shape \(2,\)"),
    ):
        with pytest.raises(error, match=text):
            CRFLoss()(*arguments)
