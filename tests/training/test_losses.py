import numpy as np
import pytest
from checks import central_differences, max_error, relative_error

from rnnfast.training import MSE, CrossEntropy, JointLoss
from rnnfast.training.losses import Loss, find_loss


def draw(*shape, dtype=np.float64):
    return (2 * np.random.default_rng(1).standard_normal(shape)).astype(dtype)


def test_cross_entropy_is_the_equation():
    logits, targets = draw(2, 3, 5), np.array([[0, 4, 2], [1, 1, 3]])
    mask = np.array([[True, True, False], [True, False, False]])
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    each = -np.take_along_axis(logs, targets[..., None], -1)[..., 0]
    for given, wanted in ((None, each.sum()), (mask, each[mask].sum())):
        total, count, gradient = CrossEntropy()(logits, targets, given)
        assert count == (6 if given is None else 3)
        assert abs(total - wanted) < 1e-12
        differences = central_differences(lambda given=given: CrossEntropy()(logits, targets, given)[0], logits)
        assert relative_error(gradient, differences) < 1e-6
        if given is not None:
            assert not gradient[~mask].any()


def test_mse_is_the_equation():
    predictions, targets = draw(2, 3, 4), np.random.default_rng(2).standard_normal((2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    for given, where in ((None, np.ones((2, 3), bool)), (mask, mask)):
        total, count, gradient = MSE()(predictions, targets, given)
        assert count == where.sum() * 4
        assert abs(total - ((predictions - targets) ** 2)[where].sum()) < 1e-12
        assert max_error(gradient, 2 * (predictions - targets) * where[..., None]) < 1e-14
        differences = central_differences(lambda given=given: MSE()(predictions, targets, given)[0], predictions)
        assert relative_error(gradient, differences) < 1e-6


def test_mse_takes_targets_without_the_last_axis():
    predictions = draw(6, 1, dtype=np.float32)
    total, count, gradient = MSE()(predictions, list(range(6)))
    assert count == 6
    assert gradient.shape == (6, 1)
    assert abs(total - ((predictions[:, 0] - np.arange(6)) ** 2).sum()) < 1e-4


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_targets_of_every_integer_dtype(kind):
    logits = draw(4, 3, dtype=np.float32)
    wanted = CrossEntropy()(logits, [2, 0, 1, 1])
    found = CrossEntropy()(logits, np.array([2, 0, 1, 1], kind))
    assert found[:2] == wanted[:2]
    assert np.array_equal(found[2], wanted[2])


def test_nothing_counts():
    for loss, targets in ((CrossEntropy(), np.zeros((2, 3), int)), (MSE(), np.zeros((2, 3, 4)))):
        total, count, gradient = loss(draw(2, 3, 4), targets, np.zeros((2, 3), bool))
        assert (total, count) == (0, 0)
        assert not gradient.any()
    assert CrossEntropy()(draw(0, 4), np.zeros(0, int))[:2] == (0, 0)


def test_losses_by_name():
    assert isinstance(find_loss("cross_entropy"), CrossEntropy)
    assert isinstance(find_loss("mse"), MSE)
    assert repr(MSE()) == "MSE()"

    class Mine(Loss):
        name = "mine"

    mine = Mine()
    assert find_loss(mine) is mine
    with pytest.raises(ValueError, match="'cross_entropy', 'mse', got 'hinge'"):
        find_loss("hinge")


@pytest.mark.parametrize(
    ("loss", "targets", "error", "message"),
    [
        (CrossEntropy(), np.zeros((2, 3)), TypeError, "targets must be integers, got dtype float64"),
        (CrossEntropy(), np.zeros((2, 3, 4), int), ValueError, r"shape \(2, 3\).*got \(2, 3, 4\)"),
        (CrossEntropy(), np.full((2, 3), 4), ValueError, "targets"),
        (CrossEntropy(), np.full((2, 3), -1), ValueError, "targets"),
        (MSE(), np.zeros((2, 4)), ValueError, r"\(2, 3, 4\), got \(2, 4\)"),
        (MSE(), np.zeros((2, 3, 4), complex), TypeError, "targets must hold real numbers"),
    ],
)
def test_bad_targets(loss, targets, error, message):
    with pytest.raises(error, match=message):
        loss(draw(2, 3, 4), targets)


def test_parity_with_torch():
    torch = pytest.importorskip("torch")
    logits, targets = draw(4, 6, 9, dtype=np.float32), np.random.default_rng(2).integers(0, 9, (4, 6))
    mask = np.arange(6) < np.array([6, 0, 3, 1])[:, None]
    theirs = torch.from_numpy(logits.copy()).requires_grad_()
    ignored = torch.from_numpy(np.where(mask, targets, -100))
    mean = torch.nn.functional.cross_entropy(theirs.transpose(1, 2), ignored)
    mean.backward()
    total, count, gradient = CrossEntropy()(logits, targets, mask)
    assert abs(total / count - mean.item()) < 2e-6
    assert relative_error(gradient / count, theirs.grad.numpy()) < 2e-6
    theirs = torch.from_numpy(logits.copy()).requires_grad_()
    mean = torch.nn.functional.mse_loss(theirs, torch.ones(4, 6, 9))
    mean.backward()
    total, count, gradient = MSE()(logits, np.ones((4, 6, 9)))
    assert abs(total / count - mean.item()) < 1e-5
    assert relative_error(gradient / count, theirs.grad.numpy()) < 2e-6


def test_a_joint_loss_is_the_weighted_sum_of_means():
    predictions = {"a": draw(2, 3, 5), "b": draw(2, 4), "free": draw(2, 2)}
    targets = {"a": np.array([[0, 4, 2], [1, 1, 3]]), "b": np.ones((2, 4))}
    mask = {"a": np.array([[True, True, False], [True, False, False]]), "b": None, "free": None}
    loss = JointLoss({"a": "cross_entropy", "b": MSE()}, weights={"b": 0.3})
    for given in (None, mask):
        total, count, gradient = loss(predictions, targets, given)
        sum_a, count_a, _ = CrossEntropy()(predictions["a"], targets["a"], None if given is None else mask["a"])
        sum_b, count_b, _ = MSE()(predictions["b"], targets["b"])
        assert count == 2
        assert abs(total / count - (sum_a / count_a + 0.3 * sum_b / count_b)) < 1e-14
        for name in "ab":
            differences = central_differences(
                lambda given=given: loss(predictions, targets, given)[0], predictions[name]
            )
            assert relative_error(gradient[name], differences) < 1e-6
        assert gradient["free"] is None


def test_a_joint_loss_where_nothing_counts():
    loss = find_loss({"a": "mse", "b": "mse"})
    assert isinstance(loss, JointLoss)
    assert repr(loss) == "JointLoss({'a': MSE(), 'b': MSE()}, weights={'a': 1.0, 'b': 1.0})"
    arrays = {"a": np.ones((2, 3)), "b": np.ones((2, 3))}
    zeros = {"a": np.zeros((2, 3)), "b": np.zeros((2, 3))}
    total, count, gradient = loss(arrays, zeros, {"a": np.zeros((2, 3), bool), "b": None})
    assert (total, count) == (2.0, 2)
    assert not gradient["a"].any()
    empty = {"a": np.zeros((0, 3)), "b": np.zeros((0, 3))}
    assert loss(empty, empty)[:2] == (0.0, 0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: JointLoss({}), ValueError, "at least one output"),
        (lambda: JointLoss({"a": "mse"}, {"b": 1.0}), ValueError, "no output 'b'; there are a"),
        (lambda: JointLoss({"a": "mse"}, {"a": -1.0}), ValueError, r"weights\['a'\] must be at least 0"),
        (lambda: JointLoss({"a": "hinge"}), ValueError, "loss must be"),
        (lambda: JointLoss({"a": "mse"})(np.ones(3), {"a": 1}), ValueError, "predictions must be a mapping with a"),
        (lambda: JointLoss({"a": "mse"})({"a": np.ones(3)}, {"b": 1}), ValueError, "targets must be .* a, got b"),
    ],
)
def test_bad_joint_losses(make, error, message):
    with pytest.raises(error, match=message):
        make()
