import math

import numpy as np
import pytest
from loss_checks import Case, check_loss, check_torch, normal

from rnnfast.training import MAE, MSE, CosineSimilarity, Huber, LogCosh, Poisson, Quantile


def pinball(level):
    return lambda p, t: float(np.where(t >= p, level * (t - p), (level - 1) * (t - p)).sum())


def cosine(p, t):
    return float(p @ t / (np.sqrt(p @ p) * np.sqrt(t @ t)))


X, Y, COUNTS = 2 * normal(3, 4, 5), normal(3, 4, 5, seed=1), np.random.default_rng(0).integers(0, 6, (3, 4, 5)) * 1.0
CASES = {
    "mse": Case(MSE(), X, Y, lambda p, t: ((p - t) ** 2).sum(), lambda f, p, t: (p - t) ** 2, 5),
    "mae": Case(
        MAE(), X, Y, lambda p, t: abs(p - t).sum(), lambda f, p, t: f.nn.functional.l1_loss(p, t, reduction="none"), 5
    ),
    "huber": Case(
        Huber(0.7),
        X,
        Y,
        lambda p, t: sum(0.5 * d * d if abs(d) <= 0.7 else 0.7 * (abs(d) - 0.35) for d in p - t),
        lambda f, p, t: f.nn.functional.huber_loss(p, t, reduction="none", delta=0.7),
        5,
    ),
    "log_cosh": Case(
        LogCosh(),
        X,
        Y,
        lambda p, t: sum(math.log(math.cosh(d)) for d in p - t),
        lambda f, p, t: f.log(f.cosh(p - t)),
        5,
    ),
    "quantile": Case(Quantile(0.3), X, Y, pinball(0.3), None, 5),
    "quantiles": Case(
        Quantile([0.1, 0.25, 0.5, 0.75, 0.9]), X, Y[..., 0], pinball(np.array([0.1, 0.25, 0.5, 0.75, 0.9])), None, 5
    ),
    "poisson of logarithms": Case(
        Poisson(),
        X,
        COUNTS,
        lambda p, t: (np.exp(p) - t * p).sum(),
        lambda f, p, t: f.nn.functional.poisson_nll_loss(p, t, reduction="none"),
        5,
    ),
    "poisson of counts": Case(
        Poisson(log_input=False, epsilon=1e-3),
        abs(X) + 0.1,
        COUNTS,
        lambda p, t: (p - t * np.log(p + 1e-3)).sum(),
        lambda f, p, t: f.nn.functional.poisson_nll_loss(p, t, log_input=False, eps=1e-3, reduction="none"),
        5,
    ),
    "cosine_similarity": Case(
        CosineSimilarity(),
        X,
        Y,
        lambda p, t: -cosine(p, t),
        lambda f, p, t: -f.nn.functional.cosine_similarity(p, t, dim=-1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_are_their_formulas(name):
    check_loss(CASES[name])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.torch])
def test_parity_with_torch(name):
    check_torch(CASES[name], pytest.importorskip("torch"))


@pytest.mark.parametrize("loss", [MSE(), MAE(), Huber(), LogCosh(), Quantile(), Poisson()])
def test_a_last_axis_of_one_may_be_missing_from_the_targets(loss):
    predictions, targets = normal(6, 1), np.arange(6)
    wanted = loss(predictions[:, 0], targets)
    for given in (targets, targets[:, None], targets.tolist()):
        total, count, gradient = loss(predictions, given)
        assert (total, count) == wanted[:2]
        assert np.array_equal(gradient[:, 0], wanted[2])
    assert wanted[1] == 6


def test_one_output_for_one_of_several_quantiles():
    predictions = normal(6, 1)
    wanted = Quantile(0.2)(predictions, np.arange(6))
    for targets in (np.arange(6), np.arange(6)[:, None]):
        found = Quantile([0.2])(predictions, targets)
        assert found[:2] == pytest.approx(wanted[:2])
        assert np.array_equal(found[2], wanted[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_and_equal(dtype):
    predictions, targets = np.array([1e30, -1e30, 2, 2 + 1e-4], dtype), np.array([0, 0, 2, 2], dtype)
    for loss, far, slope in ((MAE(), 1, 1), (Huber(3.0), 3, 3), (LogCosh(), 1, 1)):
        for place, sign in ((0, 1), (1, -1)):
            total, _, gradient = loss(predictions[place : place + 1], targets[place : place + 1])
            assert total == pytest.approx(far * 1e30, rel=1e-6)
            assert gradient.tolist() == [sign * slope]
        assert loss(predictions[2:3], targets[2:3])[0] == 0
        assert loss(predictions[2:3], targets[2:3])[2].tolist() == [0]
    total, _, gradient = Quantile(0.9)(predictions[:3], targets[:3])
    assert total == pytest.approx(1e30, rel=1e-6)
    assert gradient == pytest.approx([0.1, -0.9, 0], rel=1e-6)
    # log cosh d = d²/2 - d⁴/12 ...: nothing cancels.
    small = np.array([1e-4], dtype)
    assert LogCosh()(small, np.zeros(1, dtype))[0] == pytest.approx(float(small[0]) ** 2 / 2, rel=1e-6)
    total, _, gradient = Poisson()(np.array([-1e4], dtype), [3.0])
    assert (total, gradient.tolist()) == (3e4, [-3.0])
    total, _, gradient = Poisson(log_input=False)(np.array([0.0]), [2.0])
    assert total == pytest.approx(-2 * math.log(1e-8))
    assert gradient.tolist() == [1 - 2 / 1e-8]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cosines_of_nothing_and_of_very_much(dtype):
    predictions = np.array([[0, 0], [1e30, 1e30], [0, 3]], dtype)
    total, count, gradient = CosineSimilarity()(predictions, np.array([[1, 0], [1e30, 0], [0, 0]], dtype))
    assert total == pytest.approx(-(0.5**0.5))
    assert count == 3
    assert gradient[0] == pytest.approx([-1e8, 0])
    assert gradient[1] == pytest.approx([-(0.5**1.5) * 1e-30, 0.5**1.5 * 1e-30], rel=1e-6)
    assert not gradient[2].any()


def test_what_diverged_is_seen():
    for loss in (MSE(), MAE(), Huber(), LogCosh(), Quantile(), Poisson()):
        total, _, gradient = loss(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))
        assert math.isnan(total)
        assert np.isnan(gradient).tolist() == [True, False]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MAE()(X, Y[..., 0]), ValueError, r"mae: targets must have shape \(3, 4, 5\), got \(3, 4\)"),
        (lambda: MAE()(X, Y.astype(complex)), TypeError, "mae: targets must hold real numbers, got dtype complex"),
        (lambda: MAE()(X.astype(int), Y), TypeError, "mae: predictions must be float32 or float64, got int64"),
        (lambda: MAE()(X, Y, np.ones((4, 3), bool)), ValueError, r"mask must have the first axes of \(3, 4, 5\)"),
        (lambda: MAE()(X, Y, np.ones((3, 4))), TypeError, "mask must be boolean"),
        (lambda: MAE()(X, Y, None, np.ones(4)), ValueError, r"weights must have the first axes of \(3, 4, 5\)"),
        (
            lambda: CosineSimilarity()(X, Y, np.ones(X.shape, bool)),
            ValueError,
            r"first axes of \(3, 4\), .*\(3, 4, 5\)",
        ),
        (
            lambda: CosineSimilarity()(np.array(1.0), 1.0),
            ValueError,
            "a last axis of several numbers, got a single one",
        ),
        (lambda: Huber(0), ValueError, "delta must be greater than 0"),
        (lambda: Huber("1"), TypeError, "delta must be a number"),
        (lambda: Quantile(1.0), ValueError, "greater than 0 and less than 1, got 1.0"),
        (lambda: Quantile([]), ValueError, "a number or several"),
        (lambda: Quantile([0.1, 0.9])(X, Y), ValueError, r"predictions must have shape \(\.\.\., 2\), one for each"),
        (lambda: Quantile([0.1, 0.9])(X[..., :2], Y), ValueError, r"quantile: targets must have shape \(3, 4\), got"),
        (lambda: Poisson()(X, -abs(Y)), ValueError, "poisson_nll: targets must be counts, at least 0, got -"),
        (lambda: Poisson(epsilon=-1), ValueError, "epsilon must be at least 0"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_losses_say_of_themselves():
    assert repr(Huber(2.0)) == "Huber(delta=2.0)"
    assert repr(Huber()) == "Huber()"
    assert repr(Quantile([0.1, 0.9])) == "Quantile(quantiles=[0.1, 0.9])"
    assert repr(Poisson(log_input=False)) == "Poisson(log_input=False)"
