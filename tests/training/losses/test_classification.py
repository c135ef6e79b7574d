import math

import numpy as np
import pytest
from checks import max_error
from loss_checks import Case, check_loss, check_torch, normal

from rnnfast import get_num_threads, set_num_threads
from rnnfast.training import BinaryCrossEntropy, CrossEntropy, Hinge, KLDivergence

CLASS_WEIGHTS = np.array([0.5, 2.0, 0.0, 1.25, 3.0])


def cross_entropy(smoothing=0.0, weights=None):
    weights = np.ones(5) if weights is None else weights

    def formula(p, t):
        logs = p - math.log(np.exp(p).sum())
        return -(1 - smoothing) * weights[t] * logs[t] - smoothing / 5 * (weights * logs).sum()

    return formula


def torch_cross_entropy(smoothing=0.0, weights=None):
    def losses(f, p, t):
        given = None if weights is None else f.tensor(weights, dtype=p.dtype)
        return f.nn.functional.cross_entropy(
            p.flatten(0, 1), t.flatten(), given, label_smoothing=smoothing, reduction="none"
        )

    return losses


def binary(smoothing=0.0, positive=1.0, *, logits=True):
    def formula(p, t):
        t = t * (1 - smoothing) + smoothing / 2
        y = 1 / (1 + np.exp(-p)) if logits else p
        return float(-(positive * t * np.log(y) + (1 - t) * np.log(1 - y)).sum())

    return formula


def torch_binary(positive=None):
    return lambda f, p, t: f.nn.functional.binary_cross_entropy_with_logits(
        p, t, pos_weight=None if positive is None else f.tensor(positive, dtype=p.dtype), reduction="none"
    )


X, CLASSES = 2 * normal(3, 4, 5), np.random.default_rng(1).integers(0, 5, (3, 4))
HARD, SOFT = (normal(3, 4, 5, seed=2) > 0) * 1.0, np.random.default_rng(3).random((3, 4, 5))
SHARES = SOFT / SOFT.sum(axis=-1, keepdims=True)
LOGS = np.log(np.random.default_rng(4).dirichlet(np.ones(5), (3, 4)))
POSITIVE = np.array([0.5, 1.0, 2.0, 4.0, 0.0])
CASES = {
    "cross_entropy": Case(CrossEntropy(), X, CLASSES, cross_entropy(), torch_cross_entropy()),
    "smoothed": Case(CrossEntropy(label_smoothing=0.2), X, CLASSES, cross_entropy(0.2), torch_cross_entropy(0.2)),
    "all smooth": Case(CrossEntropy(label_smoothing=1.0), X, CLASSES, cross_entropy(1.0), torch_cross_entropy(1.0)),
    "binary": Case(BinaryCrossEntropy(), X, HARD, binary(), torch_binary(), 5),
    "binary of soft targets": Case(BinaryCrossEntropy(), X, SOFT, binary(), torch_binary(), 5),
    "binary smoothed": Case(BinaryCrossEntropy(label_smoothing=0.1), X, HARD, binary(0.1), None, 5),
    "binary with one weight": Case(
        BinaryCrossEntropy(pos_weight=3.0), X, SOFT, binary(positive=3.0), torch_binary(3.0), 5
    ),
    "binary with weights": Case(
        BinaryCrossEntropy(pos_weight=POSITIVE), X, SOFT, binary(positive=POSITIVE), torch_binary(POSITIVE), 5
    ),
    "binary of probabilities": Case(
        BinaryCrossEntropy(from_logits=False),
        0.05 + 0.9 * np.random.default_rng(8).random((3, 4, 5)),
        SOFT,
        binary(logits=False),
        lambda f, p, t: f.nn.functional.binary_cross_entropy(p, t, reduction="none"),
        5,
    ),
    "hinge": Case(Hinge(), X, 2 * HARD - 1, lambda p, t: np.maximum(0, 1 - t * p).sum(), None, 5),
    "squared hinge": Case(
        Hinge(squared=True), X, 2 * HARD - 1, lambda p, t: (np.maximum(0, 1 - t * p) ** 2).sum(), None, 5
    ),
    "kl_div": Case(
        KLDivergence(),
        LOGS,
        SHARES,
        lambda p, t: float((t * (np.log(t) - p)).sum()),
        lambda f, p, t: f.nn.functional.kl_div(p, t, reduction="none"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_are_their_formulas(name):
    check_loss(CASES[name])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.torch])
def test_parity_with_torch(name):
    check_torch(CASES[name], pytest.importorskip("torch"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 3])
def test_the_mean_is_torch_s(dtype, smoothing, weighted, ignored):
    torch = pytest.importorskip("torch")
    predictions, targets = X.astype(dtype), np.where(normal(3, 4, seed=7) > 0.5, ignored, CLASSES)
    weights = CLASS_WEIGHTS if weighted else None
    theirs = torch.from_numpy(predictions.copy()).requires_grad_()
    mean = torch.nn.functional.cross_entropy(
        theirs.flatten(0, 1),
        torch.from_numpy(targets.ravel()),
        None if weights is None else torch.tensor(weights, dtype=theirs.dtype),
        ignore_index=ignored,
        label_smoothing=smoothing,
    )
    mean.backward()
    loss = CrossEntropy(ignore_index=ignored, label_smoothing=smoothing, class_weights=weights)
    total, count, gradient = loss(predictions, targets)
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    assert (type(count) is float) == weighted
    assert abs(total / count - mean.item()) < tolerance * max(1, mean.item())
    assert max_error(gradient / count, theirs.grad.numpy()) < tolerance
    assert not gradient[targets == ignored].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_with_masks_and_weights_of_places(smoothing):
    loss = CrossEntropy(label_smoothing=smoothing, class_weights=CLASS_WEIGHTS.tolist())
    formula = cross_entropy(smoothing, CLASS_WEIGHTS)
    mask, scale = normal(3, 4, seed=3) > -0.5, np.array([0.5, -1.0, 0.0])
    each = np.array([[formula(X[b, t], CLASSES[b, t]) for t in range(4)] for b in range(3)])
    total, count, gradient = loss(X, CLASSES, mask, scale)
    assert abs(total - (each * scale[:, None])[mask].sum()) < 1e-12
    assert count == CLASS_WEIGHTS[CLASSES[mask]].sum()
    plain = loss(X, CLASSES)[2]
    assert max_error(gradient, plain * (scale[:, None] * mask)[..., None]) < 1e-14
    nudge = np.zeros_like(X)
    for index in np.ndindex(X.shape):
        nudge[index] = 1e-6
        slope = (loss(X + nudge, CLASSES)[0] - loss(X - nudge, CLASSES)[0]) / 2e-6
        assert abs(plain[index] - slope) < 1e-8
        nudge[index] = 0
    assert loss(X, np.full((3, 4), 2), mask)[1] == 0


def test_ignored_places_and_the_mask_s_are_both_left_out():
    targets, mask = CLASSES.copy(), np.ones((3, 4), bool)
    targets[0, 1] = targets[2, 2] = -1
    mask[1] = False
    spoilt = X.copy()
    spoilt[0, 1] = spoilt[2, 2] = spoilt[1] = np.nan
    both = mask & (targets != -1)
    wanted = CrossEntropy()(X, np.where(both, targets, 0), both)
    for given in (mask, mask[:, 0]):
        found = CrossEntropy(ignore_index=-1)(spoilt, targets, given)
        assert found[:2] == wanted[:2] == (wanted[0], 6)
        assert np.array_equal(found[2], wanted[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits(dtype):
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0]], dtype)
    total, _, gradient = CrossEntropy()(logits, [0, 0])
    assert total == 2e4
    assert max_error(gradient, [[0, 0, 0], [-1, 1, 0]]) == 0
    total, _, gradient = CrossEntropy(label_smoothing=0.3)(logits, [0, 0])
    assert total == pytest.approx(0.1 * 3e4 + 0.8 * 2e4 + 0.1 * 1e4)
    assert max_error(gradient, [[0.2, -0.1, -0.1], [-0.8, 0.9, -0.1]]) < 1e-6
    logits[:, 2] = -np.inf
    assert CrossEntropy()(logits, [0, 0])[0] == 2e4
    for targets in ([0, 0], [2, 2]):
        assert CrossEntropy(label_smoothing=0.3)(logits, targets)[0] == np.inf
    total, _, gradient = CrossEntropy(label_smoothing=0.3, class_weights=[1, 1, 0])(logits, [0, 0])
    assert total == pytest.approx(0.1 * 2e4 + 0.8 * 2e4)

    x = np.array([1e4, -1e4, 1e4, -1e4, np.inf, -np.inf], dtype)
    total, _, gradient = BinaryCrossEntropy(pos_weight=2.0)(x, [0, 0, 1, 1, 1, 0])
    assert total == 3e4
    assert gradient.tolist() == [1, 0, 0, -2, 0, 0]
    # log(1 + e^-x) keeps its digits where e^-x is next to nothing.
    assert BinaryCrossEntropy()(np.array([60.0]), [1])[0] == pytest.approx(math.exp(-60), rel=1e-14)
    total, _, gradient = BinaryCrossEntropy(from_logits=False)(np.array([0, 1, 0, 1], dtype), [0, 1, 1, 0])
    assert total == 200
    assert gradient[:2].tolist() == [0, 0]
    assert gradient[2:] == pytest.approx([-1e12, 1e12], rel=1e-6)


def test_probabilities_at_the_ends_are_torch_s():
    torch = pytest.importorskip("torch")
    predictions = np.array([0.0, 1.0, 0.0, 1.0, 1e-60, 1e-8, 1 - 1e-9])
    targets = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.25])
    theirs = torch.from_numpy(predictions).requires_grad_()
    wanted = torch.nn.functional.binary_cross_entropy(theirs, torch.from_numpy(targets), reduction="sum")
    wanted.backward()
    total, _, gradient = BinaryCrossEntropy(from_logits=False)(predictions, targets)
    assert total == pytest.approx(wanted.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-7)


def test_what_diverged_is_seen():
    for loss in (BinaryCrossEntropy(), BinaryCrossEntropy(from_logits=False), Hinge(), Hinge(squared=True)):
        for target in (0, 1):
            total, _, gradient = loss(np.array([np.nan, 0.5]), np.array([target, 1]))
            assert math.isnan(total)
            assert np.isnan(gradient).tolist() == [True, False]
    broken = np.where(np.arange(5) == 2, np.nan, 0.5)[None]
    for loss in (CrossEntropy(), CrossEntropy(label_smoothing=0.1), CrossEntropy(class_weights=np.ones(5))):
        total, _, gradient = loss(broken, [1])
        assert math.isnan(total)
        assert np.isnan(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_bits_for_any_number_of_threads(dtype):
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((1500, 67)).astype(dtype), rng.integers(0, 67, 1500)
    mask, scale = rng.random(1500) < 0.8, rng.random(1500)
    smoothed = CrossEntropy(ignore_index=3, label_smoothing=0.1, class_weights=rng.random(67))
    kept, found = get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            set_num_threads(threads)
            found.append(
                [
                    smoothed(logits, targets, mask, scale),
                    BinaryCrossEntropy()(logits, logits > 0.3, mask, scale),
                    BinaryCrossEntropy(False, pos_weight=2.0)(abs(np.sin(logits)), logits > 0.3),
                ]
            )
    finally:
        set_num_threads(kept)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert one[:2] == two[:2]
            assert one[2].tobytes() == two[2].tobytes()
    total, _, gradient = found[0][1]
    formula = np.logaddexp(0, logits.astype(np.float64)) - logits * (logits > 0.3)
    assert total == pytest.approx((formula * scale[:, None])[mask].sum(), rel=1e-12 if dtype == np.float64 else 1e-6)
    sigmoid = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert max_error(gradient, (sigmoid - (logits > 0.3)) * (scale * mask)[:, None]) < 1e-6


def test_awkward_arrays():
    wanted = BinaryCrossEntropy()(X, HARD)
    for predictions, targets in (
        (np.asfortranarray(X), HARD.astype(bool)),
        (X[::-1][::-1], HARD.astype(np.int8)),
        (X.astype(">f8"), HARD.astype(np.float32)),
    ):
        found = BinaryCrossEntropy()(predictions, targets)
        assert found[:2] == wanted[:2]
        assert np.array_equal(found[2], wanted[2])
    column = BinaryCrossEntropy()(X[:, :1, 0], HARD[:, 0, 0])
    assert column[:2] == BinaryCrossEntropy()(X[:, 0, 0], HARD[:, 0, 0])[:2]
    assert BinaryCrossEntropy()(np.array(0.0), 1)[:2] == (pytest.approx(math.log(2), rel=1e-15), 1)
    assert BinaryCrossEntropy(pos_weight=2.0)(np.array(0.0), 1)[0] == pytest.approx(2 * math.log(2))


def test_targets_of_zeros_and_ones():
    for loss in (Hinge(), Hinge(squared=True)):
        wanted = loss(X, 2 * HARD - 1)
        for targets in (HARD, HARD.astype(bool), HARD.astype(int)):
            found = loss(X, targets)
            assert found[:2] == wanted[:2]
            assert np.array_equal(found[2], wanted[2])


def test_divergence_from_certainty():
    logs = np.log(np.array([[0.25, 0.75, 0.0]]), where=np.array([[True, True, False]]), out=np.full((1, 3), -np.inf))
    total, count, gradient = KLDivergence()(logs, [[1.0, 0.0, 0.0]])
    assert total == pytest.approx(math.log(4))
    assert count == 1
    assert gradient.tolist() == [[-1, 0, 0]]
    assert KLDivergence()(logs, [[0.5, 0.0, 0.5]])[0] == np.inf


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CrossEntropy(ignore_index=1.5), TypeError, "ignore_index must be a whole number or None, got 1.5"),
        (lambda: CrossEntropy(label_smoothing=1.1), ValueError, "label_smoothing must be from 0 to 1"),
        (lambda: CrossEntropy(class_weights=[1, -1]), ValueError, "class_weights must be finite and at least 0"),
        (lambda: CrossEntropy(class_weights=[[1]]), ValueError, r"class_weights must have shape \(C,\), got \(1, 1\)"),
        (lambda: CrossEntropy(class_weights=[1, 2])(X, CLASSES), ValueError, r"2 class_weights for .* \(3, 4, 5\)"),
        (lambda: CrossEntropy(ignore_index=-1)(X, CLASSES - 2), ValueError, "classes 0 to 4.*got -2"),
        (lambda: CrossEntropy()(np.array(1.0), 1), ValueError, "targets must have shape"),
        (lambda: CrossEntropy()(X, CLASSES * 1.0), TypeError, "targets must be integers, got dtype float64"),
        (lambda: CrossEntropy(ignore_index=0)(X, CLASSES, np.ones(4, bool)), ValueError, "mask must have the first"),
        (lambda: BinaryCrossEntropy()(X, 2 * HARD), ValueError, r"targets must be 0 to 1, got 2.0 at \(\d, \d, \d\)"),
        (lambda: BinaryCrossEntropy()(X, 2 * HARD - 1), ValueError, r"targets must be 0 to 1, got -1.0 at"),
        (lambda: BinaryCrossEntropy(False)(X, HARD), ValueError, r"probabilities, 0 to 1, got .*from_logits=True"),
        (lambda: BinaryCrossEntropy()(X, HARD[..., 0]), ValueError, r"targets must have shape \(3, 4, 5\)"),
        (lambda: BinaryCrossEntropy()(X, ["a"]), TypeError, "binary_cross_entropy: targets must hold real numbers"),
        (lambda: BinaryCrossEntropy()(CLASSES, CLASSES), TypeError, "predictions must be float32 or float64, got int"),
        (lambda: BinaryCrossEntropy(pos_weight=-1.0), ValueError, "pos_weight must be finite and at least 0"),
        (lambda: BinaryCrossEntropy(pos_weight=[[1.0]]), ValueError, r"a number or of shape \(F,\), got \(1, 1\)"),
        (lambda: BinaryCrossEntropy(pos_weight=[1.0])(X, HARD), ValueError, r"pos_weight has shape \(1,\)"),
        (lambda: BinaryCrossEntropy(label_smoothing=-0.1), ValueError, "label_smoothing must be from 0 to 1"),
        (lambda: Hinge()(X, 2 * HARD), ValueError, "hinge: targets must be 1, and 0 or -1, got 2.0"),
        (lambda: KLDivergence()(LOGS, -SHARES), ValueError, "kl_div: targets must be probabilities, got -"),
        (lambda: KLDivergence()(LOGS, CLASSES), ValueError, r"kl_div: targets must have shape \(3, 4, 5\), got"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_losses_say_of_themselves():
    assert repr(CrossEntropy()) == "CrossEntropy()"
    assert repr(CrossEntropy(label_smoothing=0.1)) == "CrossEntropy(label_smoothing=0.1)"
    assert repr(BinaryCrossEntropy(False)) == "BinaryCrossEntropy(from_logits=False)"
    assert repr(Hinge(squared=True)) == "Hinge(squared=True)"
