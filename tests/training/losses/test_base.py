import pickle

import numpy as np
import pytest
from checks import central_differences, max_error, relative_error

from rnnfast import training
from rnnfast.training.losses import MSE, CrossEntropy, FunctionLoss, JointLoss, Loss, find_loss


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


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("cross_entropy", "CrossEntropy"),
        ("binary_cross_entropy", "BinaryCrossEntropy"),
        ("hinge", "Hinge"),
        ("squared_hinge", "Hinge"),
        ("kl_div", "KLDivergence"),
        ("mse mean_squared_error", "MSE"),
        ("mae mean_absolute_error", "MAE"),
        ("huber", "Huber"),
        ("log_cosh logcosh", "LogCosh"),
        ("quantile", "Quantile"),
        ("poisson_nll", "Poisson"),
        ("cosine_similarity", "CosineSimilarity"),
        ("gaussian_nll", "GaussianNLL"),
        ("student_nll", "StudentNLL"),
        ("mixture_nll", "MixtureNLL"),
        ("margin_ranking", "MarginRanking"),
        ("bpr", "BPR"),
        ("triplet", "Triplet"),
        ("contrastive", "Contrastive"),
        ("cosine_embedding", "CosineEmbedding"),
    ],
)
def test_every_loss_has_a_name(names, kind):
    for name in names.split():
        found = find_loss(name)
        assert type(found) is getattr(training, kind)
        assert found is not find_loss(name)
        assert pickle.loads(pickle.dumps(found)).name == found.name in (name, names.split()[0], "hinge")
    assert repr(find_loss("squared_hinge")) == "Hinge(squared=True)"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sparse_categorical_crossentropy", "drop the softmax and use 'cross_entropy'"),
        ("categorical_crossentropy", "'cross_entropy', of logits and integer targets"),
        ("binary_crossentropy", r"BinaryCrossEntropy\(from_logits=False\)"),
        ("poisson", r"Poisson\(log_input=False\)"),
        ("kl_divergence", "use 'kl_div', of log-probabilities"),
    ],
)
def test_names_that_mean_something_else_elsewhere(name, hint):
    with pytest.raises(ValueError, match=f"got '{name}'; it takes .*{hint}"):
        find_loss(name)


def test_losses_by_name():
    assert isinstance(find_loss("cross_entropy"), CrossEntropy)
    assert isinstance(find_loss("mse"), MSE)
    assert repr(MSE()) == "MSE()"

    class Mine(Loss):
        name = "mine"

    mine = Mine()
    assert find_loss(mine) is mine
    with pytest.raises(ValueError, match=r"'cross_entropy', .*'mse', .*got 'hing'"):
        find_loss("hing")


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
        (lambda: JointLoss({("a", "b"): "bpr"}, {"b": 1.0}), ValueError, r"no output 'b'; there are \('a', 'b'\)"),
        (lambda: JointLoss({("a", 1): "bpr"}), TypeError, "a name or a tuple of names, got"),
        (lambda: JointLoss({"a": "mse"}, {"a": -1.0}), ValueError, r"weights\['a'\] must be at least 0"),
        (lambda: JointLoss({"a": "hing"}), ValueError, "loss must be"),
        (lambda: JointLoss({"a": "mse"})(np.ones(3), {"a": 1}), ValueError, "predictions must be a mapping with a"),
        (lambda: JointLoss({"a": "mse"})({"a": np.ones(3)}, {"b": 1}), ValueError, "targets must be .* a, got b"),
    ],
)
def test_bad_joint_losses(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_weights_multiply_the_losses_and_leave_the_count(loss, dtype):
    loss = find_loss(loss)
    rng = np.random.default_rng(3)
    predictions = draw(3, 4, 5, dtype=dtype)
    targets = rng.integers(0, 5, (3, 4)) if loss.name == "cross_entropy" else rng.standard_normal((3, 4, 5))
    mask = rng.random((3, 4)) < 0.6
    for weights in (rng.uniform(-1, 2, 3), rng.uniform(-1, 2, (3, 4))):
        full = np.broadcast_to(weights.reshape(3, -1), (3, 4))
        for given in (None, mask):
            where = np.ones((3, 4), bool) if given is None else mask
            wanted, count = 0.0, 0
            for i in map(tuple, np.argwhere(where)):
                part, places, _ = loss(predictions[i][None], targets[i][None])
                wanted, count = wanted + full[i] * part, count + places
            found = loss(predictions, targets, given, weights)
            assert found[1] == count
            assert abs(found[0] - wanted) < (1e-13 if dtype == np.float64 else 1e-5) * 60
            plain = loss(predictions, targets, given)[2]
            assert found[2].dtype == dtype
            assert max_error(found[2], plain * full[..., None]) < (1e-14 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("loss", [CrossEntropy(), MSE()])
def test_what_does_not_count_or_weighs_nothing_is_not_read(loss):
    predictions, targets = draw(2, 3, 4), np.ones((2, 3), int) if loss.name == "cross_entropy" else np.ones((2, 3, 4))
    mask, weights = np.array([[True, True, False], [True, True, True]]), np.array([[1, 2.0, np.nan], [3, 0, 1]])
    wanted = loss(predictions, targets, mask, np.where(mask, weights, 0))
    predictions[0, 2] = predictions[1, 1] = np.nan
    found = loss(predictions, targets, mask, weights)
    assert found[:2] == wanted[:2]
    assert np.array_equal(found[2], wanted[2])
    assert not found[2][0, 2].any()


@pytest.mark.parametrize(
    ("mask", "weights", "error", "message"),
    [
        (None, np.ones(3), ValueError, r"weights must have the first axes of \(2, 3.*got \(3,\)"),
        (None, [1.0, np.inf], ValueError, "weights must be finite"),
        (None, ["a", "b"], TypeError, "weights must hold real numbers"),
        (np.ones((2, 3)), [1.0, 1.0], TypeError, "mask must be boolean"),
        (np.ones((3, 2), bool), [1.0, 1.0], ValueError, r"mask must have the first axes of \(2, 3.*got \(3, 2\)"),
    ],
)
def test_bad_weights_and_masks(mask, weights, error, message):
    for loss, targets in ((CrossEntropy(), np.zeros((2, 3), int)), (MSE(), np.zeros((2, 3, 4)))):
        with pytest.raises(error, match=message):
            loss(draw(2, 3, 4), targets, mask, weights)


def test_predictions_must_be_floats():
    with pytest.raises(TypeError, match="mse: predictions must be float32 or float64, got int64"):
        MSE()(np.zeros((2, 3), np.int64), np.zeros((2, 3)))


def test_a_joint_loss_with_weights_of_places():
    predictions = {"a": draw(2, 3, 5), "b": draw(2, 4), "free": draw(2, 2)}
    targets = {"a": np.array([[0, 4, 2], [1, 1, 3]]), "b": np.ones((2, 4))}
    weights = np.array([0.5, 2.0])
    loss = JointLoss({"a": "cross_entropy", "b": MSE()}, weights={"b": 0.3})
    for given in (weights, {"a": weights, "b": weights}, {"b": weights}, {"a": None, "b": weights}):
        own = None if isinstance(given, dict) and given.get("a") is None else weights
        total, count, gradient = loss(predictions, targets, weights=given)
        sum_a, count_a, gradient_a = CrossEntropy()(predictions["a"], targets["a"], weights=own)
        sum_b, count_b, _ = MSE()(predictions["b"], targets["b"], weights=weights)
        assert abs(total / count - (sum_a / count_a + 0.3 * sum_b / count_b)) < 1e-14
        assert max_error(gradient["a"], gradient_a * 2 / count_a) < 1e-15
    with pytest.raises(ValueError, match="no output 'free' with a loss; there are a, b"):
        loss(predictions, targets, weights={"free": weights})


def cubed(predictions, targets, mask):
    difference = predictions - targets
    if mask is not None:
        difference = difference[mask]
    gradient = np.zeros(predictions.shape)
    gradient[... if mask is None else mask] = 3 * difference * abs(difference)
    return (abs(difference) ** 3).sum(), difference.size, gradient


def test_a_function_is_a_loss():
    loss = find_loss(cubed)
    assert repr(loss) == "FunctionLoss(cubed)"
    assert loss.name == "cubed"
    predictions, targets, mask = draw(3, 4, dtype=np.float32), np.ones((3, 4), np.float32), np.eye(3, 4) == 0
    total, count, gradient = loss(predictions, targets, mask)
    assert total == pytest.approx((abs(predictions - 1) ** 3)[mask].sum(), rel=1e-6)
    assert (type(total), type(count), count, gradient.dtype) == (float, int, 9, np.float32)
    with pytest.raises(TypeError, match="loss cubed takes no weights"):
        loss(predictions, targets, mask, np.ones(3))

    def weighted(predictions, targets, mask, weights=None):
        scale = 1.0 if weights is None else weights
        return (scale * predictions).sum(), predictions.size, np.broadcast_to(scale, predictions.shape)

    total, _, gradient = find_loss(weighted)(np.ones(3), None, None, np.array([1.0, 2.0, 3.0]))
    assert total == 6
    gradient *= 2
    assert gradient.tolist() == [2, 4, 6]


def test_a_function_of_several_outputs_is_a_loss():
    def between(predictions, targets, mask):
        difference = predictions["a"] - predictions["b"]
        return (difference**2).sum(), len(difference), {"a": 2 * difference, "b": -2 * difference}

    predictions = {"a": draw(2, 3), "b": np.ones((2, 3)), "c": np.ones(2)}
    total, _, gradient = find_loss(between)(predictions, None)
    assert total == pytest.approx(((predictions["a"] - 1) ** 2).sum())
    assert np.array_equal(gradient["b"], 2 - 2 * predictions["a"])
    assert gradient["c"] is None
    with pytest.raises(ValueError, match="mapping of gradients by output"):
        find_loss(lambda p, t, m: (0.0, 1, np.zeros(3)))(predictions, None)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (3.0, TypeError, r"must return a tuple \(sum, count, gradient\), got 3.0"),
        ((1.0, 2), TypeError, "must return a tuple"),
        ((np.zeros(2), 2, np.zeros((2, 3))), TypeError, "a number as the sum"),
        ((1.0, "a", np.zeros((2, 3))), TypeError, "a number as the count"),
        ((1.0, np.nan, np.zeros((2, 3))), ValueError, "finite count of at least 0, got nan"),
        ((1.0, -1, np.zeros((2, 3))), ValueError, "finite count of at least 0, got -1"),
        ((1.0, 2, np.zeros(3)), ValueError, r"of the shape of the predictions, \(2, 3\), got \(3,\)"),
        ((1.0, 2, np.zeros((2, 3), complex)), TypeError, "gradient of the loss <lambda> must hold real numbers"),
        ((1.0, 2, None), TypeError, "gradient of the loss <lambda> must hold real numbers"),
    ],
)
def test_functions_that_are_no_losses(result, error, message):
    with pytest.raises(error, match=message):
        find_loss(lambda predictions, targets, mask: result)(np.ones((2, 3)), None)


def test_what_is_no_loss_at_all():
    for loss in (3, None, MSE):
        with pytest.raises(ValueError, match="loss must be a Loss, a function or one of"):
            find_loss(loss)
    with pytest.raises(TypeError, match="must be a function"):
        FunctionLoss(3)


def test_a_joint_loss_of_outputs_that_are_compared():
    predictions = {name: draw(3, 4) + k for k, name in enumerate("apn")} | {"topic": draw(3, 5)}
    triplet = training.Triplet(20.0, outputs=("a", "p", "n"))
    loss = JointLoss({"topic": "cross_entropy", ("a", "p", "n"): triplet, "p": "mse"}, weights={("a", "p", "n"): 0.5})
    targets = {"topic": [0, 4, 1], "p": np.ones((3, 4))}
    mask = {"topic": None, "a": None, "n": None, "p": np.array([True, False, True])}
    for given in (None, mask):
        for weights in (None, np.array([1.0, 3.0, 0.5])):
            total, count, gradient = loss(predictions, targets, given, weights)
            of_p = None if given is None else mask["p"]
            one = CrossEntropy()(predictions["topic"], targets["topic"], None, weights)
            two = triplet(predictions, None, given, weights)
            three = MSE()(predictions["p"], targets["p"], of_p, weights)
            assert count == 3
            assert total / 3 == pytest.approx(one[0] / one[1] + 0.5 * two[0] / two[1] + three[0] / three[1])
            assert two[0] > 0
            wanted = 3 * (0.5 * two[2]["p"] / two[1] + three[2] / three[1])
            assert max_error(gradient["p"], wanted) < 1e-14
            assert max_error(gradient["a"], 1.5 * two[2]["a"] / two[1]) < 1e-14
    rows = np.array([True, False, True])
    found, wanted = (loss(predictions, targets, each) for each in (rows, dict.fromkeys(predictions, rows)))
    assert found[:2] == wanted[:2]
    assert not any(found[2][name][1].any() for name in predictions)
    alone = JointLoss({("a", "p", "n"): triplet})(predictions, None)
    assert alone[0] == pytest.approx(triplet(predictions)[0])
    assert alone[2]["topic"] is None
    with pytest.raises(ValueError, match="predictions must be a mapping with a, n, p, topic, got a"):
        loss({"a": draw(3, 4)}, targets)
    with pytest.raises(ValueError, match="targets must be a mapping with p, topic, got NoneType"):
        loss(predictions, None)
